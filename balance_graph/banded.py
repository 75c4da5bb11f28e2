"""Cholesky factorization in a band: for narrow networks of any depth, in time linear in the depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from balance_graph import _multigrid_kernels as kernels
from balance_graph._types import Array, Index
from balance_graph.multigrid import Laplacian


@dataclass(frozen=True, eq=False)
class Band:
    """An order of the rows of a matrix that keeps its entries near the diagonal.

    Attributes
    ----------
    place : (n,) integer array
        New position of each row.
    width : int
        Largest distance of an entry from the diagonal, in the new positions.
    """

    place: Index
    width: int

    @classmethod
    def of(cls, matrix: Laplacian, most_operations: float) -> Band | None:
        """The order as given, or else that of Cuthill and McKee; None if neither factorizes in `most_operations`."""
        given = np.arange(matrix.size, dtype=np.int32)
        for order in (lambda: given, lambda: _cuthill_mckee(matrix)):
            band = cls(place := order(), int(kernels.band_width(matrix.start, matrix.column, place)))
            if matrix.size * float(band.width) ** 2 <= most_operations:
                return band
        return None

    def factorized(self, matrix: Laplacian) -> Callable[[Array], Array] | None:
        """The solution by Cholesky factorization; None where the matrix is singular to rounding."""
        from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded

        rows = np.zeros((self.width + 1, matrix.size), order="F")
        kernels.fill_band(matrix.start, matrix.column, matrix.value, matrix.diagonal, self.place, rows)
        try:
            factor = cholesky_banded(rows, overwrite_ab=True, lower=True, check_finite=False)
        except LinAlgError:
            return None

        def solve(right: Array) -> Array:
            placed = np.empty_like(right)
            placed[self.place] = right
            solution: Array = cho_solve_banded((factor, True), placed, overwrite_b=True, check_finite=False)
            return solution[self.place]

        return solve


def _cuthill_mckee(matrix: Laplacian) -> Index:
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    shape = (matrix.size, matrix.size)
    pattern = sparse.csr_array((matrix.value, matrix.column, matrix.start.astype(np.int32)), shape=shape)
    place = np.empty(matrix.size, dtype=np.int32)
    place[csgraph.reverse_cuthill_mckee(pattern, symmetric_mode=True)] = np.arange(matrix.size, dtype=np.int32)
    return place
