"""Solves with the sparse matrices of the balance equations: grounded Laplacians, row by row scaled."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array

Solve = Callable[[Array], Array]

# Up to this size a sparse LU is cheap whatever the graph; above, the operations that its envelope predicts decide: a
# graph without small separators fills in until memory is gone.
_SMALL = 3000
_MOST_OPERATIONS = 2e10
# A diagonal entry is the pivot if it is at least this share of the largest in its column.
_PIVOT = 1e-3
# A residual of more than this share of the terms that it is added up from is no rounding: the factors are useless.
_WRONG = 1e-10
# The iterative solves are asked for this residual; what they leave is accounted for by those who call them.
_TOLERANCE = 1e-11


def is_affordable(matrix: Any, most_operations: float = _MOST_OPERATIONS) -> bool:
    """Whether a factorization of a matrix of this pattern is small, or takes at most so many operations."""
    return matrix.shape[0] <= _SMALL or _envelope_operations(matrix) <= most_operations


def factorize(matrix: Any, *, affordable: bool | None = None) -> Solve | None:
    """A function that solves with the matrix, or None where it is singular to rounding.

    By sparse LU where that is affordable: the pattern is symmetric, which the minimum degree ordering uses. Pivots stay
    on the diagonal while they are not tiny, which keeps that order; where a solution turns out wrong, the matrix is
    factorized again with partial pivoting. Otherwise by GMRES with the diagonal as preconditioner,
    which suits the graphs that have no cheap factorization: they mix fast.

    Parameters
    ----------
    matrix : sparse array
    affordable : bool, optional
        Whether sparse LU is affordable, where that is known: a matrix in another basis seems to cost far more than it
        does. Default: what `is_affordable` says.
    """
    if matrix.shape[0] == 0:
        return lambda right: right
    if not np.all(np.isfinite(matrix.data)):
        return None
    if not (is_affordable(matrix) if affordable is None else affordable):
        return _iterative(sparse.csr_array(matrix))
    columns = sparse.csc_matrix(matrix)
    factor = factors(columns, diagonal=True)
    if factor is None and (factor := factors(columns)) is None:
        return None
    sizes = abs(columns)
    pivoted: list[Solve] = []

    def solve(right: Array) -> Array:
        if not pivoted:
            solution = np.asarray(factor.solve(right))
            with np.errstate(over="ignore", invalid="ignore"):  # infinite flows are for those who call this to refuse
                left = np.abs(right - columns @ solution)
                is_right = np.all(left <= _WRONG * (np.abs(right) + sizes @ np.abs(solution)))
            if is_right:
                return solution
            pivoted.append((factors(columns) or factor).solve)
        return np.asarray(pivoted[0](right))

    return solve


def factors(columns: Any, *, diagonal: bool = False) -> Any:
    """SuperLU's factors of a matrix of symmetric pattern, pivots on the diagonal while not tiny; None if singular.

    So is one whose diagonal has a zero: some unknown has lost all its flows. SuperLU must not see it, since it reads
    memory that is not its own where columns have too few entries for a pivot each.
    """
    from scipy.sparse.linalg import MatrixRankWarning, splu

    if not np.all(columns.diagonal()):
        return None
    options: dict[str, Any] = {"diag_pivot_thresh": _PIVOT, "options": {"SymmetricMode": True}} if diagonal else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", MatrixRankWarning)
        try:
            return splu(columns, permc_spec="MMD_AT_PLUS_A", **options)
        except (RuntimeError, MatrixRankWarning):
            return None


def _envelope_operations(matrix: Any) -> float:
    """Operations of a factorization within the envelope after reverse Cuthill-McKee: an upper estimate."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    rows = sparse.csr_matrix(matrix)
    order = csgraph.reverse_cuthill_mckee(rows, symmetric_mode=True)
    place = np.empty(order.size, dtype=np.intp)
    place[order] = np.arange(order.size)
    row = np.repeat(place, np.diff(rows.indptr))
    width = np.zeros(order.size)
    np.maximum.at(width, row, row - place[rows.indices])
    return float(np.sum(width**2))


def _iterative(matrix: Any) -> Solve | None:
    diagonal = matrix.diagonal()
    if not np.all(diagonal > 0):
        return None
    from scipy.sparse.linalg import gmres

    scaled = sparse.csr_array(sparse.diags_array(1.0 / diagonal) @ matrix)

    def solve(right: Array) -> Array:
        solution, _ = gmres(scaled, right / diagonal, rtol=_TOLERANCE, restart=60, maxiter=20)
        return np.asarray(solution)

    return solve
