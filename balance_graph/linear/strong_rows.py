"""A preconditioner from the few rows of a matrix that matter most, factorized."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Index, Sparse
from balance_graph.linear.factorization import Solve, factors

# A row is strong where it makes up this share of a diagonal entry, or more.
_STRONG = 0.1
# Share of what weak rows bring to the diagonal that is kept; all of it would stiffen what only long sums move.
_KEPT, _LEAST = 0.03, 1e-9


def strong_rows(root: Sparse) -> Index:
    """The rows of W that make up much of some diagonal entry of ``W^T W``, which are all 1."""
    largest, row = np.zeros(root.shape[0]), np.repeat(np.arange(root.shape[0]), np.diff(root.indptr))
    np.maximum.at(largest, row, root.data**2)
    return np.flatnonzero(largest >= _STRONG)


def factorize_rows(root: Sparse, rows: Index) -> Solve | None:
    """Approximate solves with ``W^T W`` of unit diagonal: sparse LU of what some rows make of it; None if singular."""
    chosen = root[rows]
    matrix = chosen.T @ chosen
    diagonal = _LEAST + _KEPT * np.maximum(1.0 - matrix.diagonal(), 0.0)
    found = factors(sparse.csc_matrix(matrix + sparse.diags_array(diagonal)), diagonal=True)
    return None if found is None else found.solve
