"""The balance problem as arrays: costs, the linear manifold, existence, what a solver returns."""
