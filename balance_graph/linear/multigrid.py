"""Aggregation multigrid for grounded Laplacians, with K-cycles: a preconditioner that depth does not spoil.

Unknowns are matched in pairs by strongest coupling, twice a level, and the matrix is summed over the aggregates; each
coarse problem is solved by two steps of conjugate gradients preconditioned by the next cycle (Notay, *An
aggregation-based algebraic multigrid method*, ETNA 37, 2010). Plain aggregation keeps every coarse matrix a grounded
Laplacian and as sparse as the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.linear import multigrid_kernels as kernels
from balance_graph.linear.factorization import Solve, factorize
from balance_graph.linear.laplacian import Laplacian

# A pair of coupling below this share of a vertex's strongest would tie together what relaxes apart.
_COUPLING = 0.25
# A level that keeps more than this share of its unknowns is not worth its cost: solve there directly.
_STALL = 0.8
# Unknowns that a direct solve handles in less time than a cycle over them, and those it handles at all: expanders fill
# in, and the factorization is made anew with each matrix.
_DIRECT, _MOST_DIRECT = 400, 1000
# An inner conjugate gradient step that leaves less than this is not followed by a second.
_ENOUGH = 0.6


class _Coarsening(NamedTuple):
    """The way from a matrix to that summed over aggregates, entry by entry."""

    aggregate: Index
    place: Index
    entries: Array  # those of the sum: off its diagonal, and behind them on it

    @classmethod
    def between(cls, fine: Laplacian, aggregate: Index, coarse: Laplacian) -> _Coarsening:
        """To a sum that has been formed already."""
        place = kernels.places(fine, aggregate, coarse)
        return cls(aggregate, place, np.append(coarse.value, coarse.diagonal))

    def sum_into(self, coarse: Laplacian, fine: Laplacian) -> Laplacian:
        """The sum of a matrix in the pattern of another's, in place."""
        kernels.sum_entries(fine, self.place, self.aggregate, self.entries, coarse.size)
        value, diagonal = np.split(self.entries, [coarse.column.size])
        return coarse._replace(value=value, diagonal=diagonal)


class Multigrid:
    """A cycle of multigrid for a symmetric positive definite matrix with non-positive off-diagonal entries.

    Parameters
    ----------
    matrix : Laplacian
        A grounded Laplacian, or ``A^T D A`` with rows of at most one + and one - entry.

    Attributes
    ----------
    matrices : list of Laplacian
        That of each level, the finest first.
    """

    def __init__(self, matrix: Laplacian) -> None:
        self.matrices, self._coarsenings = [matrix], list[_Coarsening]()
        while matrix.size > _DIRECT:
            coarse, aggregate = _coarser(matrix)
            if coarse.size > _STALL * matrix.size:
                break
            self._coarsenings.append(_Coarsening.between(matrix, aggregate, coarse))
            self.matrices.append(coarse)
            matrix = coarse
        self._prepare()

    @property
    def sizes(self) -> list[int]:
        """Unknowns on each level."""
        return [matrix.size for matrix in self.matrices]

    @property
    def aggregates(self) -> list[Index]:
        """Aggregate of each unknown, level by level."""
        return [coarsening.aggregate for coarsening in self._coarsenings]

    def update(self, matrix: Laplacian) -> None:
        """Solve with another matrix of the same pattern; the aggregates stay."""
        self.matrices[0] = matrix
        for depth, coarsening in enumerate(self._coarsenings):
            matrix = self.matrices[depth + 1] = coarsening.sum_into(self.matrices[depth + 1], matrix)
        self._prepare()

    def _prepare(self) -> None:
        # A division for each unknown would be half the time of a sweep.
        with np.errstate(divide="raise"):  # flows that are zero to rounding: an ArithmeticError, and another method
            self._inverses = [1.0 / matrix.diagonal for matrix in self.matrices[:-1]]
        self._coarsest = _coarsest(self.matrices[-1])

    def __call__(self, right: Array) -> tuple[Array, Array | None]:
        """An approximate solution of ``H x = right``, and the product with it where that falls off.

        It is not exactly linear in `right`: use a flexible Krylov method.
        """
        return self._cycle(0, right) if self._coarsenings else (self._coarsest(right), None)

    def _cycle(self, depth: int, right: Array) -> tuple[Array, Array]:
        """An approximate solution, and the product with it."""
        system = self.matrices[depth], self._inverses[depth], right, self._coarsenings[depth].aggregate
        x, product, left = np.empty_like(right), np.empty_like(right), np.empty(self.matrices[depth + 1].size)
        kernels.descend(*system, x, left)
        kernels.ascend(*system, self._coarse_solution(depth + 1, left), x, product)
        return x, product

    def _coarse_solution(self, depth: int, right: Array) -> Array:
        """At most two steps of flexible conjugate gradients, preconditioned by the cycle from `depth` on."""
        if depth == len(self._coarsenings):
            return self._coarsest(right)
        one, one_product = self._cycle(depth, right)
        energy = one @ one_product
        if energy <= 0.0:  # nothing to solve
            return one
        length = (one @ right) / energy
        residual = right - length * one_product
        if residual @ residual <= _ENOUGH**2 * (right @ right):
            return length * one
        two, two_product = self._cycle(depth, residual)
        overlap = two @ one_product
        two_energy = two @ two_product - overlap**2 / energy
        if two_energy <= 0.0:
            return length * one
        two_length = (two @ residual) / two_energy
        return (length - overlap * two_length / energy) * one + two_length * two


def _coarser(matrix: Laplacian) -> tuple[Laplacian, Index]:
    """The matrix summed over pairs of pairs, and the aggregate of each unknown."""
    aggregate: Index = np.arange(matrix.size, dtype=np.int32)
    for _ in range(2):
        pairs, count = kernels.match_pairs(matrix, _COUPLING)
        matrix = kernels.coarsen(matrix.off_diagonal, matrix.diagonal, pairs, count)
        aggregate = pairs[aggregate]
    return matrix, aggregate


def _coarsest(matrix: Laplacian) -> Solve:
    """Solve on the coarsest level; where coarsening has stalled (expanders), smoothing is as good, and affordable."""
    solve = factorize(matrix.tosparse()) if matrix.size <= _MOST_DIRECT else None
    # A coarsest matrix that is singular to rounding still smooths by its diagonal.
    if solve is not None:
        return solve
    with np.errstate(divide="raise"):
        inverse = 1.0 / matrix.diagonal
    return lambda right: inverse * right
