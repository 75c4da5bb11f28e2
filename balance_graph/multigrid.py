"""Aggregation multigrid for grounded Laplacians, with K-cycles: a preconditioner that depth does not spoil.

Unknowns are matched in pairs by strongest coupling, twice a level, and the matrix is summed over the aggregates; each
coarse problem is solved by two steps of conjugate gradients preconditioned by the next cycle (Notay, *An
aggregation-based algebraic multigrid method*, ETNA 37, 2010). Plain aggregation keeps every coarse matrix a grounded
Laplacian and as sparse as the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.laplacian import Solve, factorize

# Pairs of coupling below this share of a vertex's strongest would tie together what relaxes apart.
_COUPLING = 0.25
# A level that keeps more than this share of its unknowns is not worth its cost: solve there directly.
_STALL = 0.8
# Unknowns that a direct solve handles in less time than a cycle over them, and those it handles at all.
_DIRECT, _MOST_DIRECT = 400, 2500
# An inner conjugate gradient step that leaves less than this is not followed by a second.
_ENOUGH = 0.25


class _Matrix(NamedTuple):
    start: Index
    column: Index
    value: Array
    diagonal: Array


@dataclass(frozen=True, eq=False)
class _Level:
    matrix: _Matrix
    aggregate: Index
    count: int


class Multigrid:
    """A cycle of multigrid for a symmetric positive definite matrix with non-positive off-diagonal entries.

    Parameters
    ----------
    matrix : (n, n) sparse array
        In CSR form, symmetric; a grounded Laplacian, or ``A^T D A`` with rows of at most one + and one - entry.

    Attributes
    ----------
    sizes : list of int
        Unknowns on each level.
    """

    def __init__(self, matrix: Sparse) -> None:
        from balance_graph import _multigrid_kernels as kernels

        self._kernels = kernels
        current = _split(matrix)
        self._levels: list[_Level] = []
        while current.diagonal.size > _DIRECT:
            coarse, aggregate = self._coarser(current)
            if coarse.diagonal.size > _STALL * current.diagonal.size:
                break
            self._levels.append(_Level(current, aggregate, coarse.diagonal.size))
            current = coarse
        self.sizes = [*(level.matrix.diagonal.size for level in self._levels), current.diagonal.size]
        self._coarsest = _direct(current)

    def _coarser(self, matrix: _Matrix) -> tuple[_Matrix, Index]:
        aggregate = np.arange(matrix.diagonal.size)
        for _ in range(2):
            pairs, count = self._kernels.match_pairs(matrix.start, matrix.column, matrix.value, _COUPLING)
            matrix = _Matrix(*self._kernels.coarsen(*matrix, pairs, count))
            aggregate = pairs[aggregate]
        return matrix, aggregate

    def __call__(self, right: Array) -> Array:
        """An approximate solution of ``H x = right`` (not exactly linear in `right`: use a flexible Krylov method)."""
        return self._cycle(0, right)

    def _cycle(self, depth: int, right: Array) -> Array:
        if depth == len(self._levels):
            return self._coarsest(right)
        level = self._levels[depth]
        x, product = np.empty_like(right), np.empty_like(right)
        self._kernels.smooth_forward(*level.matrix, right, x)
        self._kernels.multiply(*level.matrix, x, product)
        coarse = np.bincount(level.aggregate, right - product, minlength=level.count).astype(float)
        x += self._coarse_solve(depth + 1, coarse)[level.aggregate]
        self._kernels.smooth_backward(*level.matrix, right, x)
        return x

    def _coarse_solve(self, depth: int, right: Array) -> Array:
        """At most two steps of flexible conjugate gradients, preconditioned by the cycle from `depth` on."""
        if depth == len(self._levels):
            return self._coarsest(right)
        matrix = self._levels[depth].matrix
        one, one_product = self._cycle(depth, right), np.empty_like(right)
        self._kernels.multiply(*matrix, one, one_product)
        energy = one @ one_product
        if energy <= 0.0:  # nothing to solve
            return one
        length = (one @ right) / energy
        residual = right - length * one_product
        if np.linalg.norm(residual) <= _ENOUGH * np.linalg.norm(right):
            return length * one
        two, two_product = self._cycle(depth, residual), np.empty_like(right)
        self._kernels.multiply(*matrix, two, two_product)
        overlap = two @ one_product
        two_energy = two @ two_product - overlap**2 / energy
        if two_energy <= 0.0:
            return length * one
        two_length = (two @ residual) / two_energy
        return (length - overlap * two_length / energy) * one + two_length * two


def _split(matrix: Sparse) -> _Matrix:
    """Off-diagonal entries by rows, and the diagonal."""
    diagonal = matrix.diagonal()
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    off = row != matrix.indices
    start = np.concatenate([[0], np.cumsum(np.bincount(row[off], minlength=matrix.shape[0]))])
    return _Matrix(start, matrix.indices[off].astype(np.int32), matrix.data[off], diagonal)


def _direct(matrix: _Matrix) -> Solve:
    """Solve on the coarsest level; where coarsening has stalled (expanders), smoothing is as good, and affordable."""
    n = matrix.diagonal.size
    if n > _MOST_DIRECT:
        return lambda right: right / matrix.diagonal
    whole = sparse.csr_array((matrix.value, matrix.column, matrix.start), shape=(n, n)) + sparse.diags_array(
        matrix.diagonal
    )
    solve = factorize(whole)
    # A singular coarsest matrix (to rounding) still smooths by its diagonal.
    return (lambda right: right / matrix.diagonal) if solve is None else solve
