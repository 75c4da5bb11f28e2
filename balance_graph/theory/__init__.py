"""The theory, checked: rates of local balancing, bounds on its way, bounds on Osborne's iteration."""
