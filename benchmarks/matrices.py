"""Matrices to balance, dense and sparse, and what LAPACK's ``gebal`` and `bg.balance_matrix` leave undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from scipy import sparse

import balance_graph as bg

_SPREAD = 5.0  # standard deviation of the logarithms of the scales that the balanced matrix hides behind
_PER_ROW = 10
# Above this a dense copy is no sensible way to balance a sparse matrix.
MOST_DENSE = 3000


def dense(n: int, seed: int = 0) -> np.ndarray:
    """Normal entries behind random scales; no diagonal, since gebal's norms include it and the problem does not."""
    rng = np.random.default_rng(seed)
    scales = np.exp(_SPREAD * rng.standard_normal(n))
    A = scales[:, None] * rng.standard_normal((n, n)) / scales
    np.fill_diagonal(A, 0.0)
    return A


def sparse_random(n: int, seed: int = 0) -> Any:
    """Ten entries a row behind random scales, and a ring that makes the matrix irreducible."""
    rng = np.random.default_rng(seed)
    row = np.concatenate([np.repeat(np.arange(n), _PER_ROW - 1), np.arange(n)])
    jump = np.concatenate([rng.integers(1, n, n * (_PER_ROW - 1)), np.ones(n, dtype=np.int64)])
    log_scale = _SPREAD * rng.standard_normal(n)
    column = (row + jump) % n
    data = rng.standard_normal(row.size) * np.exp(log_scale[row] - log_scale[column])
    A = sparse.csr_array((data, (row, column)), shape=(n, n))
    A.sum_duplicates()
    return A


def gebal(A: Any) -> np.ndarray:
    """What LAPACK makes of it, a sparse one as a dense copy; no permutation, so that the order stays."""
    return scipy.linalg.matrix_balance(A.toarray() if sparse.issparse(A) else A, permute=False, separate=True)[0]


def exact(A: Any) -> Any:
    return bg.balance_matrix(A)[0]


def imbalance(B: Any) -> float:
    """Largest difference of a row's and a column's sum of squares, relative to their sum."""
    powers = abs(B) ** 2 if sparse.issparse(B) else np.abs(B) ** 2
    rows, columns = np.asarray(powers.sum(axis=1)).ravel(), np.asarray(powers.sum(axis=0)).ravel()
    return float(np.max(np.abs(rows - columns) / (rows + columns)))
