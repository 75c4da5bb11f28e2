"""Aggregation multigrid for grounded Laplacians, with K-cycles: a preconditioner that depth does not spoil.

Unknowns are matched in pairs by strongest coupling, twice a level, and the matrix is summed over the aggregates; each
coarse problem is solved by two steps of conjugate gradients preconditioned by the next cycle (Notay, *An
aggregation-based algebraic multigrid method*, ETNA 37, 2010). Plain aggregation keeps every coarse matrix a grounded
Laplacian and as sparse as the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph import _multigrid_kernels as kernels
from balance_graph._types import Array, Index, Sparse
from balance_graph.laplacian import Solve, factorize
from balance_graph.live_network import sparse_rows

# A pair of coupling below this share of a vertex's strongest would tie together what relaxes apart.
_COUPLING = 0.25
# A level that keeps more than this share of its unknowns is not worth its cost: solve there directly.
_STALL = 0.8
# Unknowns that a direct solve handles in less time than a cycle over them, and those it handles at all.
_DIRECT, _MOST_DIRECT = 400, 2500
# An inner conjugate gradient step that leaves less than this is not followed by a second.
_ENOUGH = 0.6


class Laplacian(NamedTuple):
    """A grounded Laplacian by rows: entries left of the diagonal, right of it, and the diagonal apart."""

    start: Index
    middle: Index
    column: Index
    value: Array
    diagonal: Array

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.diagonal.size

    def tosparse(self) -> Sparse:
        """The matrix as a scipy sparse array in CSR form."""
        off_diagonal = sparse_rows(self.start, self.column, self.value)
        return sparse.csr_array(off_diagonal + sparse.diags_array(self.diagonal))


class _Level(NamedTuple):
    matrix: Laplacian
    inverse: Array  # of the diagonal: a division for each unknown would be half the time of a sweep
    aggregate: Index
    n_aggregates: int

    @classmethod
    def of(cls, matrix: Laplacian, aggregate: Index, n_aggregates: int) -> _Level:
        return cls(matrix, 1.0 / matrix.diagonal, aggregate, n_aggregates)


class Multigrid:
    """A cycle of multigrid for a symmetric positive definite matrix with non-positive off-diagonal entries.

    Parameters
    ----------
    matrix : Laplacian
        A grounded Laplacian, or ``A^T D A`` with rows of at most one + and one - entry.

    Attributes
    ----------
    sizes : list of int
        Unknowns on each level.
    """

    def __init__(self, matrix: Laplacian) -> None:
        self._levels: list[_Level] = []
        while matrix.size > _DIRECT:
            coarse, aggregate = _coarser(matrix)
            if coarse.size > _STALL * matrix.size:
                break
            self._levels.append(_Level.of(matrix, aggregate, coarse.size))
            matrix = coarse
        self.sizes = [*(level.matrix.size for level in self._levels), matrix.size]
        self._coarsest = _coarsest(matrix)

    @property
    def aggregates(self) -> list[Index]:
        """Aggregate of each unknown, level by level."""
        return [level.aggregate for level in self._levels]

    def update(self, matrix: Laplacian) -> None:
        """Solve with another matrix of the same pattern, that differs little: the coarse matrices stay."""
        if self._levels:
            self._levels[0] = _Level.of(matrix, self._levels[0].aggregate, self._levels[0].n_aggregates)

    def __call__(self, right: Array) -> tuple[Array, Array | None]:
        """An approximate solution of ``H x = right``, and the product with it where that falls off.

        It is not exactly linear in `right`: use a flexible Krylov method.
        """
        return self._cycle(0, right) if self._levels else (self._coarsest(right), None)

    def _cycle(self, depth: int, right: Array) -> tuple[Array, Array]:
        """An approximate solution, and the product with it."""
        (start, middle, column, value, _), inverse, aggregate, n_aggregates = self._levels[depth]
        rows = start, middle, column, value, inverse
        x, coarse = np.empty_like(right), np.empty(n_aggregates)
        kernels.descend(*rows, right, x, aggregate, coarse)
        product = kernels.ascend(*rows, right, x, aggregate, self._coarse_solution(depth + 1, coarse))
        return x, product

    def _coarse_solution(self, depth: int, right: Array) -> Array:
        """At most two steps of flexible conjugate gradients, preconditioned by the cycle from `depth` on."""
        if depth == len(self._levels):
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
    aggregate = np.arange(matrix.size, dtype=np.int32)
    for _ in range(2):
        pairs, count = kernels.match_pairs(matrix.start, matrix.column, matrix.value, _COUPLING)
        start, _, column, value, diagonal = matrix
        matrix = Laplacian(*kernels.coarsen(start, column, value, diagonal, pairs, count))
        aggregate = pairs[aggregate]
    return matrix, aggregate


def _coarsest(matrix: Laplacian) -> Solve:
    """Solve on the coarsest level; where coarsening has stalled (expanders), smoothing is as good, and affordable."""
    solve = factorize(matrix.tosparse()) if matrix.size <= _MOST_DIRECT else None
    # A coarsest matrix that is singular to rounding still smooths by its diagonal.
    return (lambda right: right / matrix.diagonal) if solve is None else solve
