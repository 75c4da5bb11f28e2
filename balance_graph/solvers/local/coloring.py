"""Colors of unknowns: those of one color share no row, and can be balanced at once."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Index, Sparse


def color_classes(matrix: Sparse) -> list[Index]:
    """Classes of mutually non-adjacent unknowns of the rows with matrix A, in the order in which they are balanced."""
    if matrix.shape[1] == 0:
        return []
    pattern = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    adjacency = sparse.csr_array(pattern.T @ pattern)
    adjacency.setdiag(0.0)
    adjacency.eliminate_zeros()
    color = first_fit_colors(adjacency.indptr, adjacency.indices)
    return [np.flatnonzero(color == c) for c in range(int(color.max()) + 1)]


def first_fit_colors(start: Index, neighbor: Index) -> Index:
    """Color of each vertex of a graph in CSR form, in turn the least that no neighbor has; see also `_edge_kernels`."""
    n = start.size - 1
    color: Index = np.full(n, -1, np.int64)
    taken = np.full(n + 1, -1, np.int64)
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            if color[neighbor[e]] >= 0:
                taken[color[neighbor[e]]] = i
        c = 0
        while taken[c] == i:
            c += 1
        color[i] = c
    return color
