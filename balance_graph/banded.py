"""Cholesky factorization in a band: for narrow networks of any depth, in time linear in the depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balance_graph import _multigrid_kernels as kernels
from balance_graph._types import Array, Index
from balance_graph.laplacian import Solve
from balance_graph.live_network import EdgeList


@dataclass(frozen=True, eq=False)
class Band:
    """An order of the unknowns of a network that keeps neighbors near each other.

    Attributes
    ----------
    place : (n,) integer array
        New position of each unknown.
    width : int
        Largest distance of two neighbors in their new positions.
    """

    place: Index
    width: int

    @property
    def operations(self) -> float:
        """Multiplications of a factorization."""
        return self.place.size * float(self.width) ** 2

    @classmethod
    def as_given(cls, edges: EdgeList) -> Band:
        """The order as given; the last row of the list is the ground, and has no place."""
        return cls._of(edges, np.arange(edges.start.size - 2, dtype=np.int32))

    @classmethod
    def by_levels(cls, edges: EdgeList) -> Band:
        """The order of Cuthill and McKee: level by level from an end of the network."""
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        n = edges.start.size - 2
        pattern = edges.tosparse()[:n, :n]
        place = np.empty(n, dtype=np.int32)
        place[csgraph.reverse_cuthill_mckee(pattern, symmetric_mode=False)] = np.arange(n, dtype=np.int32)
        return cls._of(edges, place)

    @classmethod
    def _of(cls, edges: EdgeList, place: Index) -> Band:
        return cls(place, int(kernels.band_width(edges.start, edges.column, place)))

    def factorized(self, edges: EdgeList, degree: Array, diagonal: Array) -> Solve | None:
        """The solution with the matrix of `Flows.laplacian`; None where it is singular to rounding."""
        from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded

        rows = np.zeros((self.width + 1, diagonal.size), order="F")
        kernels.fill_band(*edges, degree, diagonal, self.place, rows)
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
