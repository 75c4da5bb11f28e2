"""Edges as a matrix that `scipy.sparse.csgraph` can search: before SciPy 1.17.1 not all of it takes 64-bit indices."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse


def links(tail: Index, head: Index, size: int, length: Array | None = None) -> Sparse:
    """The graph of some edges between so many vertices, in CSR form; all lengths are 1 where none are given."""
    values = np.ones(tail.size) if length is None else length
    graph = sparse.csr_array(sparse.coo_array((values, (tail, head)), shape=(size, size)))
    if graph.nnz < 2**31:
        graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    return graph
