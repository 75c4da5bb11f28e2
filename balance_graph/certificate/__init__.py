"""The certified lower bound on the optimal cost, from any point of any solver."""
