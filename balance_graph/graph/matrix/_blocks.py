"""Irreducible blocks of a matrix: which index is in which, and balance within them."""

from __future__ import annotations

import dataclasses
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._progress import Report
from balance_graph._time_limit import Deadline
from balance_graph._types import Array, Index, Mask
from balance_graph.errors import SolverError
from balance_graph.graph.matrix._dense import MOST_SPARSE, dense_log_scales
from balance_graph.graph.matrix._entries import Entries
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.newton import NewtonSolver

# Logarithms up to this, either way, are those of ordinary floats.
_MODERATE = 700.0


def irreducible_blocks(entries: Entries) -> Index:
    """The block of each index, numbered so that entries lead from lower numbers to higher ones."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    graph = sparse.csr_array((np.ones(entries.row.size), (entries.row, entries.column)), shape=(entries.size,) * 2)
    count, found = csgraph.connected_components(graph, directed=True, connection="strong")
    block: Index = np.asarray(found, dtype=np.intp)
    tail, head = block[entries.row], block[entries.column]
    if np.all(tail >= head):  # SciPy finds the last blocks first, but does not promise it
        return count - 1 - block
    return block if np.all(tail <= head) else _in_order(count, tail, head)[block]


def _in_order(count: int, tail: Index, head: Index) -> Index:
    """The place of each block in an order of which all its edges follow."""
    before: dict[int, set[int]] = {k: set() for k in range(count)}
    for one, two in zip(tail.tolist(), head.tolist(), strict=True):
        if one != two:
            before[two].add(one)
    place = np.empty(count, dtype=np.intp)
    place[list(TopologicalSorter(before).static_order())] = np.arange(count)
    return place


def balance_within(
    entries: Entries,
    block: Index,
    p: float,
    tol: float,
    progress: bool | Report,
    deadline: Deadline,
    array: Any = None,
) -> Array:
    """Logarithms of D that balance each block; large blocks of a dense array by products with them."""
    log_scales = np.zeros(entries.size)
    left = block[entries.row] == block[entries.column]
    if array is not None:
        count = np.bincount(block)
        for k in np.flatnonzero(count >= MOST_SPARSE).tolist():
            member = np.flatnonzero(block == k)
            found = dense_log_scales(array[np.ix_(member, member)], p, tol, progress, deadline)
            if found is not None:
                log_scales[member] = found
                left &= block[entries.row] != k
    if left.any():
        log_scales += _solved(_problem(entries, left, p), tol, progress, deadline)
    return log_scales


def _problem(entries: Entries, kept: Mask, p: float) -> BalanceProblem:
    """The network whose edge i -> j carries ``|A_ij|``, for the entries kept."""
    row, column, log_size = entries.row[kept], entries.column[kept], entries.log_size[kept]
    moderate = bool(np.abs(log_size).max(initial=0.0) < _MODERATE)
    weight = np.exp(log_size) if moderate else np.ones(log_size.size)
    network = sparse.csr_array((weight, (row, column)), shape=(entries.size,) * 2)
    problem = BalanceProblem.from_sparse(network, pinned=np.zeros(entries.size, dtype=bool), regularizer=p)
    return problem if moderate else dataclasses.replace(problem, log_coefficient=p * log_size)


def _solved(problem: BalanceProblem, tol: float, progress: bool | Report, deadline: Deadline) -> Array:
    solution = solve(problem, NewtonSolver(tol=tol, time_limit=deadline.seconds_left), progress=progress)
    if not (solution.converged or deadline.cuts_short()):
        message = f"balance_matrix: {solution.status}, relative imbalance {solution.relative_imbalance:.2g}; raise tol"
        raise SolverError(message)
    return -solution.log_scales
