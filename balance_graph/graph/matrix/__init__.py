"""Balancing of square matrices: ``B = D A D^-1`` with equal row and column norms."""

from balance_graph.graph.matrix._balance import balance_matrix
from balance_graph.graph.matrix._result import MatrixBalance

__all__ = ["MatrixBalance", "balance_matrix"]
