"""Solves with the sparse matrices of the balance equations: grounded Laplacians, row by row scaled."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import MatrixRankWarning, splu

from balance_graph._types import Array

Solve = Callable[[Array], Array]


def factorize(matrix: Any) -> Solve | None:
    """A function that solves with the matrix by sparse LU, or None where it is singular to rounding.

    The pattern is symmetric, which the minimum degree ordering uses; the values are not, so pivoting stays on.
    """
    if matrix.shape[0] == 0:
        return lambda right: right
    if not np.all(np.isfinite(matrix.data)):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", MatrixRankWarning)
        try:
            factor = splu(sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A")
        except (RuntimeError, MatrixRankWarning):
            return None
    return lambda right: np.asarray(factor.solve(right))
