"""Imbalance of units: free nodes, or groups of nodes that move together."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.log_domain import log_ratio


def signed_imbalance(problem: BalanceProblem) -> Array:
    """Signed relative imbalance of each node's unknown (the largest, should a node belong to several); NaN if held."""
    signed = np.tanh(0.5 * log_ratio(*problem.log_sides(problem.unscaled)))
    basis = problem.manifold.basis.tocoo()
    values = np.full(problem.n_nodes, np.nan)
    order = np.argsort(np.abs(signed[basis.col]), kind="stable")
    values[basis.row[order]] = signed[basis.col[order]]
    return values
