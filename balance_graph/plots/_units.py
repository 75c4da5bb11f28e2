"""In-cost, out-cost and imbalance of units: free nodes, or groups of nodes that move together."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array
from balance_graph.problem import BalanceProblem, log_abs, log_ratio, log_sum_by


def log_in_out(problem: BalanceProblem) -> tuple[Array, Array]:
    """Logarithms of each unit's in-cost, and of its degree times its out-cost."""
    into, out_of = problem.log_in_out(np.zeros(problem.n_nodes))
    basis = problem.manifold.basis.tocoo()
    node, unknown, width = basis.row, basis.col, basis.shape[1]
    size, positive = log_abs(basis.data), basis.data > 0
    return (
        log_sum_by(unknown, size + np.where(positive, into[node], out_of[node]), width),
        log_sum_by(unknown, size + np.where(positive, out_of[node], into[node]), width),
    )


def largest_imbalance(problem: BalanceProblem) -> float:
    """Relative imbalance of the network as it is."""
    return problem.relative_imbalance(np.zeros(problem.n_nodes))


def signed_imbalance(problem: BalanceProblem) -> Array:
    """Signed relative imbalance of each node's unknown (the largest, should a node belong to several); NaN if held."""
    signed = np.tanh(0.5 * log_ratio(*log_in_out(problem)))
    basis = problem.manifold.basis.tocoo()
    values = np.full(problem.n_nodes, np.nan)
    order = np.argsort(np.abs(signed[basis.col]), kind="stable")
    values[basis.row[order]] = signed[basis.col[order]]
    return values
