"""Cholesky factorization in a band: for narrow networks of any depth, in time linear in the depth.

Also for the levels of a network in place of its unknowns: a correction to preconditioners that look one edge far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.linear import multigrid_kernels as kernels
from balance_graph.linear.edge_lists import EdgeList
from balance_graph.linear.factorization import Solve

# A solution from a right-hand side and a diagonal.
SolveBeside = Callable[[Array, Array], Array]
# A pivot below this share of its diagonal entry is nothing but rounding.
_SINGULAR = 1e-13


@dataclass(frozen=True, eq=False)
class Band:
    """An order of the unknowns of a network, or of groups of them, that keeps neighbors near each other.

    Attributes
    ----------
    place : (n,) integer array
        Position of each unknown: of its own, or that of its group.
    size : int
        Number of positions.
    width : int
        Largest distance of two neighbors in their positions.
    """

    place: Index
    size: int
    width: int

    @property
    def operations(self) -> float:
        """Multiplications of a factorization."""
        return self.size * float(self.width) ** 2

    @classmethod
    def as_given(cls, edges: EdgeList, most: float) -> Band | None:
        """The order as given, or None where a factorization takes more than `most` multiplications."""
        return cls._of(edges, np.arange(edges.start.size - 2, dtype=np.int32), most)

    @classmethod
    def reordered(cls, edges: EdgeList, most: float) -> Band | None:
        """The order of Cuthill and McKee, level by level from an end of the network; None as in `as_given`."""
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        n = edges.start.size - 2
        pattern = edges.tosparse()[:n, :n]
        place = np.empty(n, dtype=np.int32)
        place[csgraph.reverse_cuthill_mckee(pattern, symmetric_mode=False)] = np.arange(n, dtype=np.int32)
        return cls._of(edges, place, most)

    @classmethod
    def of_levels(cls, edges: EdgeList, level: Index) -> Band:
        """One position for all unknowns of a level, or of several, so that a factorization costs less than a pass.

        Where edges reach from one end to the other, levels say nothing: then there is one position for all.

        Parameters
        ----------
        edges : EdgeList
            The last row is the ground, and has no place.
        level : (n,) integer array
            Distance of each unknown from the ground, from 1.
        """
        place = level - np.int32(1)
        size = int(place.max()) + 1
        reach = int(kernels.band_width(edges, place, size // 2))
        if 2 * reach >= size:
            return cls(np.zeros_like(place), 1, 0)
        together = 1
        while (shared := cls._sharing(place, size, reach, together)).operations > edges.column.size:
            together *= 2
        return shared

    @classmethod
    def _of(cls, edges: EdgeList, place: Index, most: float) -> Band | None:
        widest = int((most / place.size) ** 0.5)
        width = int(kernels.band_width(edges, place, widest))
        return None if width > widest else cls(place, place.size, width)

    @classmethod
    def _sharing(cls, place: Index, size: int, width: int, together: int) -> Band:
        """Some neighboring positions made one."""
        return cls(place // np.int32(together), (size - 1) // together + 1, -(-width // together))

    def factorized(self, edges: EdgeList, degree: Array) -> Solve:
        """The solution with the matrix of `Flows.laplacian`; the best that is equal where unknowns share a position.

        Raises
        ------
        ArithmeticError
            Where the matrix is singular to rounding: the flows into and out of some part drown in those within it.
        """
        solve_places, place = self._factorized(edges, degree), self.place
        if self.size == place.size and np.all(place[1:] > place[:-1]):  # the order as given
            return solve_places
        return lambda right: solve_places(kernels.summed(right, place, self.size))[place]

    def beside_diagonal(self, edges: EdgeList, degree: Array) -> SolveBeside:
        """The solution of `factorized` plus that with a diagonal, given later, for what differs within positions."""
        solve_places, place = self._factorized(edges, degree), self.place

        def solve(right: Array, diagonal: Array) -> Array:
            of_places = solve_places(kernels.summed(right, place, self.size))
            result: Array = kernels.spread(right, diagonal, of_places, place)
            return result

        return solve

    def _factorized(self, edges: EdgeList, degree: Array) -> Solve:
        """The solution by places."""
        from scipy.linalg import lapack

        rows = np.zeros((self.width + 1, self.size), order="F")
        kernels.fill_band(edges, degree, np.append(self.place, np.int32(-1)), rows)
        diagonal = rows[0].copy()
        if self.width == 1:  # layers: much faster than as a band
            pivots, below, failure = lapack.dpttrf(rows[0], rows[1, :-1])
        else:
            factor, failure = lapack.dpbtrf(rows, lower=1, overwrite_ab=1)
            pivots = factor[0] ** 2
        if failure or np.any(pivots < _SINGULAR * diagonal):
            message = "flows between parts drown in those within"
            raise ArithmeticError(message)
        if self.width == 1:
            return lambda right: lapack.dpttrs(pivots, below, right)[0]
        return lambda right: lapack.dpbtrs(factor, right, lower=1)[0].reshape(-1)
