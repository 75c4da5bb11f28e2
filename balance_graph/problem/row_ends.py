"""Rows of at most two entries as edges of a graph, whose vertices are the columns and, last, the ground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Sparse


class RowEnds(NamedTuple):
    """The ends of each row of a matrix with n columns.

    Attributes
    ----------
    one, two : (n_rows,) integer arrays
        Column of the first and of the second entry; n, the ground, where there is none.
    first, second : (n_rows,) arrays
        What stands there; 0 where there is no entry.
    """

    one: Index
    two: Index
    first: Array
    second: Array

    @classmethod
    def of(cls, matrix: Sparse) -> RowEnds | None:
        """The ends of the rows of a matrix in CSR form; None where some have more than two entries."""
        lengths, start = np.diff(matrix.indptr), matrix.indptr[:-1]
        if np.any(lengths > 2):
            return None
        (one, first), (two, second) = (_entries(matrix, start, lengths, which) for which in (0, 1))
        return cls(one, two, first, second)

    @property
    def gain(self) -> Array:
        """``x_two / x_one`` for which a row of two entries stays zero."""
        return -self.first / self.second

    def take(self, rows: Index) -> RowEnds:
        """The ends of some rows."""
        return RowEnds(self.one[rows], self.two[rows], self.first[rows], self.second[rows])


def _entries(matrix: Sparse, start: Index, lengths: Index, which: int) -> tuple[Index, Array]:
    """Column and value of the first (0) or second (1) entry of each row."""
    if np.all(lengths > which):
        return matrix.indices[start + which], matrix.data[start + which]
    there = np.flatnonzero(lengths > which)
    place = start[there] + which
    column: Index = np.full(lengths.size, matrix.shape[1], matrix.indices.dtype)
    value = np.zeros(lengths.size)
    column[there], value[there] = matrix.indices[place], matrix.data[place]
    return column, value
