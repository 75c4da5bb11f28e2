"""A grounded Laplacian by rows."""

from __future__ import annotations

from typing import NamedTuple

from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.linear.edge_lists import EdgeList, sparse_rows


class Laplacian(NamedTuple):
    """A symmetric matrix whose entries off the diagonal are <= 0, its diagonal apart.

    Entries of row i left of the diagonal are ``start[i] : middle[i]``, those right of it ``middle[i] : start[i + 1]``.
    """

    start: Index
    middle: Index
    column: Index
    value: Array
    diagonal: Array

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.diagonal.size

    @property
    def off_diagonal(self) -> EdgeList:
        """All entries off the diagonal."""
        return EdgeList(self.start, self.column, self.value)

    def tosparse(self) -> Sparse:
        """The matrix as a scipy sparse array in CSR form."""
        off_diagonal = sparse_rows(self.start, self.column, self.value)
        return sparse.csr_array(off_diagonal + sparse.diags_array(self.diagonal))
