"""The cost of a model as a function of its log-scales: blocks of weights read where they lie, terms for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.models.blocks import WeightBlock
from balance_graph.models.terms import CostTerms
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.blocks import Extent
from balance_graph.problem.log_domain import log_sum

# Elements that are looked at together: few megabytes.
_TOGETHER = 1 << 20


class CostBlock(NamedTuple):
    """A block with a cost ``a |W|**p``, the range of its costs, and how many of its weights are not zero."""

    block: WeightBlock
    exponent: float
    log_coefficient: float
    extent: Extent
    n_nonzero: int

    @classmethod
    def of(cls, block: WeightBlock, exponent: float, coefficient: float = 1.0) -> CostBlock:
        """With what two passes over its weights tell."""
        return cls(block, exponent, math.log(coefficient), Extent(*block.extent(exponent)), block.count())

    @property
    def is_full(self) -> bool:
        """Whether no weight is zero, but those of whole rows and columns."""
        return self.n_nonzero == int(self.extent.rows.sum()) * int(self.extent.columns.sum())

    @property
    def log_largest(self) -> float:
        """Logarithm of the largest cost at log-scales zero."""
        return self.log_coefficient + self.extent.log_largest


def slices_of(block: WeightBlock) -> Iterator[slice]:
    """The rows of a block, a few megabytes at a time."""
    step = max(1, _TOGETHER // max(block.head.size, 1))
    return (slice(first, first + step) for first in range(0, block.tail.size, step))


class Terms(NamedTuple):
    """Terms ``exp(log_coefficient + exponent * (A @ log_scales))``."""

    A: Sparse
    log_coefficient: Array
    exponent: Array

    @classmethod
    def of(cls, parts: Sequence[tuple[float, CostTerms]]) -> Terms:
        """Of a sum of powers."""
        return cls(
            sparse.csr_array(sparse.vstack([sparse.csr_array(terms.A) for _, terms in parts], format="csr")),
            np.concatenate([math.log(a) + terms.log_coefficient for a, terms in parts]),
            np.concatenate([np.full(terms.log_coefficient.size, terms.exponent) for _, terms in parts]),
        )

    def take(self, chosen: Index) -> Terms:
        """Some of them."""
        return Terms(self.A[chosen], self.log_coefficient[chosen], self.exponent[chosen])


@dataclass(frozen=True, eq=False)
class ModelCost:
    """The sum of the costs of blocks and terms, at log-scales that count from those of the model as it stands.

    Attributes
    ----------
    forms : (n_forms, size) sparse array
        What the log-gains of rows and columns of blocks are sums of.
    offset : (n_forms,) array
        What is added to the forms: what scales that are held contribute.
    blocks : tuple of CostBlock
    terms : Terms
    """

    forms: Sparse
    offset: Array
    blocks: tuple[CostBlock, ...]
    terms: Terms

    @classmethod
    def of(cls, forms: Sparse, blocks: Sequence[CostBlock], parts: Sequence[tuple[float, CostTerms]]) -> ModelCost:
        """Of a structure's forms, its large blocks, and a sum of powers of all the rest."""
        return cls(sparse.csr_array(forms), np.zeros(forms.shape[0]), tuple(blocks), Terms.of(parts))

    @classmethod
    def of_terms(cls, parts: Sequence[tuple[float, CostTerms]]) -> ModelCost:
        """Of terms alone."""
        return cls.of(sparse.csr_array((1, parts[0][1].A.shape[1])), (), parts)

    @property
    def size(self) -> int:
        """Number of log-scales."""
        return int(self.terms.A.shape[1])

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
            terms=Terms(sparse.csr_array(terms.A[:, free]), shifted, terms.exponent),
        )

    def separated(self) -> list[tuple[Index, ModelCost]]:
        """The cost as a sum of costs of different scales, with the numbers of those; what has none comes last."""
        return _Components(self).parts

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
                tail, head = one.block.tail[one.extent.rows], one.block.head[one.extent.columns]
                found.append(full_block_pattern(self.forms, tail, head))
            else:
                found.append(_gaps(self.forms, one, exact=exact))
        return stacked_patterns(found, self.size)


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


def _elements(forms: Sparse, offset: Array, one: CostBlock) -> tuple[Sparse, Array]:
    """Every weight that is not zero as a term: its row of A, and the logarithm of its cost."""
    tail, head, logs = [], [], []
    for some in slices_of(one.block):
        costs = one.block.costs(one.exponent, some)
        i, j = np.nonzero(costs)
        tail.append(one.block.tail[some][i])
        head.append(one.block.head[j])
        logs.append(np.log(costs[i, j]))
    rows, columns = np.concatenate(tail), np.concatenate(head)
    moved = one.exponent * (offset[rows] + offset[columns])
    return sparse.csr_array(forms[rows] + forms[columns]), one.log_coefficient + np.concatenate(logs) + moved


# Of a block with gaps, rows and columns with so many of the most weights are looked at first.
_FULLEST = 4


def _gaps(forms: Sparse, one: CostBlock, *, exact: bool) -> Sparse:
    """The rows of A of the weights of a block with gaps, or of its fullest rows and columns."""
    block, keys = one.block, []
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


def _zeros(one: CostBlock) -> tuple[Index, Index]:
    """How many weights of each row and of each column are zero."""
    by_row, by_column = np.zeros(one.block.tail.size, np.int64), np.zeros(one.block.head.size, np.int64)
    for some in slices_of(one.block):
        i, j = np.nonzero(~one.block.nonzero(some))
        by_row[some] = np.bincount(i, minlength=by_row[some].size)
        by_column += np.bincount(j, minlength=by_column.size)
    return by_row, by_column


def _fullest(zeros: Index, there: Mask) -> Index:
    return np.argsort(np.where(there, zeros, zeros.max() + 1), kind="stable")[:_FULLEST]


class _Components:
    """Scales that share a term, or a block, belong together."""

    def __init__(self, cost: ModelCost) -> None:
        self._cost, self._terms = cost, cost.terms
        self._members = [self._members_of(one) for one in cost.blocks]
        label = self._labels()
        of_terms = self._first(label, self._terms.A)
        of_blocks = [int(label[members[0]]) if members.size else -1 for members in self._members]
        self.parts: list[tuple[Index, ModelCost]] = [
            (np.flatnonzero(label == k), self._part(np.flatnonzero(of_terms == k), of_blocks, k, label))
            for k in range(int(label.max(initial=-1)) + 1)
        ]
        constant = self._part(np.flatnonzero(of_terms == -1), of_blocks, -1, label)
        self.parts.append((np.zeros(0, dtype=np.int64), constant))

    def _members_of(self, one: CostBlock) -> Index:
        numbers = np.concatenate([one.block.tail[one.extent.rows], one.block.head[one.extent.columns]])
        return np.unique(self._cost.forms[np.unique(numbers)].indices)

    def _labels(self) -> Index:
        """The component of each scale, in the order of size: those that only terms hold together go into one."""
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        size, matrix = self._cost.size, self._terms.A
        if not size:
            return np.zeros(0, dtype=np.int64)
        lengths = np.diff(matrix.indptr)
        first = matrix.indices[matrix.indptr[:-1][lengths > 0]]
        pairs = [(np.repeat(first, lengths[lengths > 0]), matrix.indices)]
        pairs += [(np.full(members.size, members[0]), members) for members in self._members if members.size]
        one, two = (np.concatenate(side) for side in zip(*pairs, strict=True))
        links = sparse.coo_array((np.ones(one.size, dtype=np.int8), (one, two)), shape=(size, size))
        _, label = csgraph.connected_components(links, directed=False)
        return self._gathered(np.asarray(label, dtype=np.int64))

    def _gathered(self, label: Index) -> Index:
        """Components without blocks, so far together that there are few: each costs a call of the solver."""
        count = int(label.max()) + 1
        has_block = np.zeros(count, dtype=bool)
        has_block[[label[members[0]] for members in self._members if members.size]] = True
        rows = np.bincount(self._first(label, self._terms.A) + 1, minlength=count + 1)[1:]
        batch = np.cumsum(np.where(has_block, 0, rows)) // _BATCH
        number = np.where(has_block, np.arange(count) + count + 1, batch)
        return np.unique(number, return_inverse=True)[1].reshape(-1)[label]

    @staticmethod
    def _first(label: Index, matrix: Sparse) -> Index:
        """The component of each row, -1 for rows of zeros."""
        lengths = np.diff(matrix.indptr)
        result = np.full(matrix.shape[0], -1)
        result[lengths > 0] = label[matrix.indices[matrix.indptr[:-1][lengths > 0]]]
        return result

    def _part(self, rows: Index, of_blocks: list[int], k: int, label: Index) -> ModelCost:
        chosen, terms = np.flatnonzero(label == k), self._terms.take(rows)
        return ModelCost(
            sparse.csr_array(self._cost.forms[:, chosen]),
            self._cost.offset,
            tuple(one for one, of in zip(self._cost.blocks, of_blocks, strict=True) if of == k),
            Terms(sparse.csr_array(terms.A[:, chosen]), terms.log_coefficient, terms.exponent),
        )


# Terms solved for together, whatever components they are of: by factorizations, which find those by themselves.
_BATCH = 20_000


def log_constant(cost: ModelCost) -> float:
    """Logarithm of a cost that no scale moves."""
    logs = [log_sum(cost.terms.log_coefficient)]
    for one in cost.blocks:
        rows, columns = (one.exponent * cost.offset[numbers] for numbers in (one.block.tail, one.block.head))
        row, column = float(rows.max()), float(columns.max())
        sums, _ = one.block.products(one.exponent, one.extent.log_largest, np.exp(rows - row), np.exp(columns - column))
        total = float(np.exp(rows - row) @ sums)
        logs.append(math.log(total) + row + column + one.log_largest if total else -math.inf)
    return log_sum(np.array(logs))
