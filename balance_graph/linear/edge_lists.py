"""Edges by row, in flat arrays: what passes over a large network read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse


class EdgeList(NamedTuple):
    """Edges by row: those of row i are ``start[i] : start[i + 1]``."""

    start: Index
    column: Index
    value: Array

    def tosparse(self) -> Sparse:
        """The list as a scipy sparse array, whose indices must be signed."""
        return sparse_rows(self.start, self.column, self.value)


def sparse_rows(start: Index, column: Index, value: Array) -> Sparse:
    """A square scipy sparse array in CSR form from unsigned indices, which it shares where they are of one size."""
    shape = (start.size - 1, start.size - 1)
    signed = np.dtype(f"i{start.itemsize}")
    return sparse.csr_array(
        (value, column.astype(start.dtype, copy=False).view(signed), start.view(signed)), shape=shape
    )
