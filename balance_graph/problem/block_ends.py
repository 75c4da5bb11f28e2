"""How the rows and columns of blocks, and terms, depend on log-scales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse


class Ends:
    """The rows and columns of all blocks, and the terms, as one matrix: values of an end are its row times the scales.

    Parameters
    ----------
    forms : (n_forms, size) sparse array
    sides : sequence of (integer array, integer array)
        Of each block: the forms of its rows and of its columns.
    powers : sequence of float
        The exponent of each block.
    terms : (n_terms, size) sparse array
    exponents_of_terms : (n_terms,) array

    Attributes
    ----------
    matrix : (n_ends, size) sparse array
    at : list of (slice, slice)
        Of each block: its rows and its columns.
    terms : slice
    exponents : (n_ends,) array
    """

    def __init__(
        self,
        forms: Sparse,
        sides: Sequence[tuple[Index, Index]],
        powers: Sequence[float],
        terms: Sparse,
        exponents_of_terms: Array,
    ) -> None:
        self.at, first = list[tuple[slice, slice]](), 0
        for tail, head in sides:
            middle, last = first + tail.size, first + tail.size + head.size
            self.at.append((slice(first, middle), slice(middle, last)))
            first = last
        self.terms = slice(first, first + exponents_of_terms.size)
        numbers = np.concatenate([np.zeros(0, dtype=np.intp), *(side for pair in sides for side in pair)])
        self.matrix = sparse.csr_array(sparse.vstack([forms[numbers], terms], format="csr"), dtype=np.float64)
        of_blocks = np.repeat(np.asarray(powers, dtype=np.float64), [tail.size + head.size for tail, head in sides])
        self.exponents = np.concatenate([of_blocks, exponents_of_terms])
        self._n_scales = np.diff(self.matrix.indptr)
        # A block in which only one side moves has no products that depend on the step.
        self.move_both = [all(bool(self._n_scales[side].any()) for side in pair) for pair in self.at]

    @cached_property
    def transposed(self) -> Sparse:
        """The matrix by scales."""
        return sparse.csr_array(self.matrix.T)

    @cached_property
    def into(self) -> Sparse:
        """The positive part of the matrix, by scales: what grows with each."""
        return self.transposed.maximum(0.0)

    @cached_property
    def out_of(self) -> Sparse:
        """The negative part, without its sign: what falls with each."""
        return sparse.csr_array(self.into - self.transposed)

    @cached_property
    def squares(self) -> Sparse:
        """The squares of the matrix, by scales."""
        at = self.transposed  # the places of its entries are shared
        return sparse.csr_array((at.data**2, at.indices, at.indptr), shape=at.shape)

    @cached_property
    def most_scales(self) -> int:
        """The largest number of scales that a weight depends on."""
        blocks = [sum(int(self._n_scales[side].max(initial=0)) for side in pair) for pair in self.at]
        return max([1, *blocks, int(self._n_scales[self.terms].max(initial=0))])

    @property
    def most_at_an_end(self) -> int:
        """The largest number of scales that one end depends on."""
        return int(self._n_scales.max(initial=0))
