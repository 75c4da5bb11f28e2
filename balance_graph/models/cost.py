"""The cost of a model as a function of its log-scales: blocks of weights read where they lie, terms for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.models.blocks import WeightBlock
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_costs import BlockCosts, CostBlock, Terms
from balance_graph.problem.blocks import Extent

# Elements that are looked at together: few megabytes.
_TOGETHER = 1 << 20


@dataclass(frozen=True, eq=False)
class CountedBlock(CostBlock):
    """A block with its cost, and how many of its weights are not zero; costs may be off by a share of themselves."""

    block: WeightBlock
    n_nonzero: int
    unsure: float

    @classmethod
    def of(cls, block: WeightBlock, exponent: float, coefficient: float = 1.0, *, unsure: float = 0.0) -> CountedBlock:
        """With what two passes over its weights tell."""
        extent, log_coefficient = Extent(*block.extent(exponent)), math.log(coefficient)
        return cls(block, block.tail, block.head, exponent, log_coefficient, extent, block.count(), unsure)

    @property
    def is_full(self) -> bool:
        """Whether no weight is zero, but those of whole rows and columns."""
        return self.n_nonzero == int(self.extent.rows.sum()) * int(self.extent.columns.sum())


def slices_of(block: WeightBlock) -> Iterator[slice]:
    """The rows of a block, a few megabytes at a time."""
    step = max(1, _TOGETHER // max(block.head.size, 1))
    return (slice(first, first + step) for first in range(0, block.tail.size, step))


@dataclass(frozen=True, eq=False)
class ModelCost(BlockCosts):
    """The cost of a model: in no block do a row and a column depend on the same scale, such weights are terms."""

    blocks: tuple[CountedBlock, ...]

    @classmethod
    def of(cls, forms: Sparse, blocks: Sequence[CountedBlock], parts: Sequence[tuple[float, Terms]]) -> ModelCost:
        """Of a structure's forms, its large blocks, and a sum of powers of all the rest."""
        return cls(sparse.csr_array(forms), np.zeros(forms.shape[0]), tuple(blocks), _joined(parts))

    @property
    def n_terms(self) -> int:
        """Number of terms, if every weight that is not zero is one."""
        return int(self.terms.A.shape[0]) + sum(one.n_nonzero for one in self.blocks)

    def restricted(self, held: Array) -> ModelCost:
        """The cost of the scales that are not held, in order; `held` has log-scales, nan where they are free."""
        free, fixed = np.flatnonzero(np.isnan(held)), np.where(np.isnan(held), 0.0, held)
        terms = self.terms
        shifted = terms.log_coefficient + terms.exponent * (terms.A @ fixed) if fixed.any() else terms.log_coefficient
        return replace(
            self,
            forms=sparse.csr_array(self.forms[:, free]),
            offset=self.offset + self.forms @ fixed,
            terms=terms.restricted(free)._replace(log_coefficient=shifted),
        )

    @cached_property
    def problem(self) -> BalanceProblem:
        """The same cost with every weight of a block as a term: for blocks that are small, or have gaps."""
        rows, logs, exponents = [self.terms.A], [self.terms.log_coefficient], [self.terms.exponent]
        for one in self.blocks:
            matrix, costs = _elements(self.forms, self.offset, one)
            rows.append(matrix)
            logs.append(costs)
            exponents.append(np.full(costs.size, one.exponent))
        matrix = sparse.csr_array(sparse.vstack(rows, format="csr"))
        return BalanceProblem.from_terms(matrix, np.concatenate(logs), np.concatenate(exponents))

    def pattern(self, *, exact: bool) -> Sparse:
        """Rows R with ``R (u, t) <= 0`` for some t exactly where no term grows along u; columns of t come last.

        All weights of a full block, ``u_i + u_j`` for rows i and columns j, do not grow if and only if some t has
        ``u_i <= t`` and ``u_j <= -t``. Of a block with gaps each weight is a row; not `exact`: those in a few rows
        and columns are, so that more directions seem to be free than are.
        """
        found = [self.terms.A]
        for one in self.blocks:
            if one.is_full:
                tail, head = one.tail[one.extent.rows], one.head[one.extent.columns]
                found.append(full_block_pattern(self.forms, tail, head))
            else:
                found.append(_gaps(self.forms, one, exact=exact))
        return stacked_patterns(found, self.size)


def _joined(parts: Sequence[tuple[float, Terms]]) -> Terms:
    """The terms of a sum of powers."""
    columns = zip(*((math.log(a) + terms.log_coefficient, *terms[2:]) for a, terms in parts), strict=True)
    matrix = sparse.csr_array(sparse.vstack([terms.A for _, terms in parts], format="csr"))
    return Terms(matrix, *(np.concatenate(values) for values in columns))


def full_block_pattern(forms: Sparse, tail: Index, head: Index) -> Sparse:
    """``u_i - t`` for the rows of a full block and ``u_j + t`` for its columns; the last column is that of t."""
    parts = []
    for numbers, sign in ((tail, -1.0), (head, 1.0)):
        ends = forms[np.unique(numbers)]
        parts.append(sparse.hstack([ends, sparse.csr_array(np.full((ends.shape[0], 1), sign))], format="csr"))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def stacked_patterns(patterns: Sequence[Sparse], size: int) -> Sparse:
    """Patterns one over the other, the first `size` columns being common, those after them each pattern's own."""
    own = [pattern.shape[1] - size for pattern in patterns]
    first = np.cumsum([size, *own])
    rows, columns, values, above = [], [], [], 0
    for pattern, start in zip(patterns, first[:-1].tolist(), strict=True):
        at = pattern.tocoo()
        rows.append(at.row + above)
        columns.append(np.where(at.col < size, at.col, at.col - size + start))
        values.append(at.data)
        above += pattern.shape[0]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    result = sparse.csr_array(sparse.coo_array(entries, shape=(above, int(first[-1]))).astype(np.float64))
    result.eliminate_zeros()
    return result


def _elements(forms: Sparse, offset: Array, one: CountedBlock) -> tuple[Sparse, Array]:
    """Every weight that is not zero as a term: its row of A, and the logarithm of its cost."""
    tail, head, logs = [], [], []
    for some in slices_of(one.block):
        log_costs = one.block.log_costs(one.exponent, some)
        i, j = np.nonzero(log_costs > -np.inf)
        tail.append(one.tail[some][i])
        head.append(one.head[j])
        logs.append(log_costs[i, j])
    rows, columns = np.concatenate(tail), np.concatenate(head)
    moved = one.exponent * (offset[rows] + offset[columns])
    return sparse.csr_array(forms[rows] + forms[columns]), one.log_coefficient + np.concatenate(logs) + moved


# How many rows, and columns, of a block with gaps are looked at first: the fullest.
_FULLEST = 4


def _gaps(forms: Sparse, one: CountedBlock, *, exact: bool) -> Sparse:
    """The rows of A of the weights of a block with gaps, or of its fullest rows and columns."""
    block, keys = one.block, list[Index]()
    rows, columns = (
        _fullest(zeros, there) for zeros, there in zip(_zeros(one), (one.extent.rows, one.extent.columns), strict=True)
    )
    for some in slices_of(block):
        there, tail = block.nonzero(some), block.tail[some]
        if exact:
            i, j = np.nonzero(there)
        else:
            own = rows[(rows >= some.start) & (rows < some.stop)] - some.start
            pairs = np.nonzero(there[own]), np.nonzero(there[:, columns])
            i = np.concatenate([own[pairs[0][0]], pairs[1][0]])
            j = np.concatenate([pairs[0][1], columns[pairs[1][1]]])
        keys.append(np.unique(tail[i] * np.int64(forms.shape[0]) + block.head[j]))
    tail, head = np.divmod(np.unique(np.concatenate(keys)), forms.shape[0])
    return sparse.csr_array(forms[tail] + forms[head])


def _zeros(one: CountedBlock) -> tuple[Index, Index]:
    """How many weights of each row and of each column are zero."""
    by_row, by_column = np.zeros(one.tail.size, np.int64), np.zeros(one.head.size, np.int64)
    for some in slices_of(one.block):
        i, j = np.nonzero(~one.block.nonzero(some))
        by_row[some] = np.bincount(i, minlength=by_row[some].size)
        by_column += np.bincount(j, minlength=by_column.size)
    return by_row, by_column


def _fullest(zeros: Index, there: Mask) -> Index:
    return np.argsort(np.where(there, zeros, zeros.max() + 1), kind="stable")[:_FULLEST]
