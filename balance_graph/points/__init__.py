"""States on the way to balance: flows, imbalance, directions."""
