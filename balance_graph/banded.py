"""Cholesky factorization in a band: for narrow networks of any depth, in time linear in the depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balance_graph import _multigrid_kernels as kernels
from balance_graph._types import Array, Index
from balance_graph.laplacian import Solve
from balance_graph.live_network import EdgeList

# A pivot below this share of its diagonal entry is nothing but rounding.
_SINGULAR = 1e-13


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

    def factorized(self, edges: EdgeList, degree: Array, diagonal: Array) -> Solve:
        """The solution with the matrix of `Flows.laplacian`.

        Raises
        ------
        ArithmeticError
            Where the matrix is singular to rounding: the flows into and out of some part drown in those within it.
        """
        from scipy.linalg.lapack import dpbtrf, dpbtrs

        rows = np.zeros((self.width + 1, diagonal.size), order="F")
        kernels.fill_band(*edges, degree, diagonal, self.place, rows)
        factor, failure = dpbtrf(rows, lower=1, overwrite_ab=1)
        pivots = factor[0, self.place] ** 2
        if failure or np.any(pivots < _SINGULAR * diagonal):
            message = "flows between parts drown in those within"
            raise ArithmeticError(message)
        as_given = bool(np.all(self.place[1:] > self.place[:-1]))

        def solve(right: Array) -> Array:
            placed = right.copy()
            if not as_given:
                placed[self.place] = right
            solution: Array = dpbtrs(factor, placed, lower=1, overwrite_b=1)[0].reshape(-1)
            return solution if as_given else solution[self.place]

        return solve
