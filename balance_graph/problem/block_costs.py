"""The costs of blocks at log-scales, known by their sums and products alone: never as edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.problem.blocks import Block, Extent
from balance_graph.problem.log_domain import log_sum

# Sums smaller than this, in their unit, may have lost terms to the end of the range of floats.
_TINY = 1e-290


class NumberedBlock(NamedTuple):
    """A block with costs, and the numbers of its unknowns: `size` for the ground, `size` + 1 for what is left out."""

    block: Block
    extent: Extent
    tail: Index
    head: Index


@dataclass(frozen=True, eq=False)
class LiveBlocks:
    """Blocks between some of the unknowns of a problem; all weights of the others are left out.

    Attributes
    ----------
    blocks : tuple of NumberedBlock
    degree : (size + 1,) array
        Degree of each unknown, 1 for the ground.
    exponent : float
    """

    blocks: tuple[NumberedBlock, ...]
    degree: Array
    exponent: float

    @classmethod
    def of(
        cls, blocks: tuple[Block, ...], extents: tuple[Extent, ...], live: Mask, degree: Array, exponent: float
    ) -> LiveBlocks:
        """The blocks between live unknowns, which are numbered in order."""
        size = int(live.sum())
        number = np.append(np.where(live, np.cumsum(live) - 1, size + 1), size)  # -1 stands for the last: the ground
        pairs = zip(blocks, extents, strict=True)
        kept = tuple(NumberedBlock(one, at, number[one.tail], number[one.head]) for one, at in pairs if at.rows.any())
        return cls(kept, np.append(degree[live], 1.0), exponent)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.degree.size - 1

    def log_factors(self, log_scales: Array) -> tuple[Array, Array]:
        """``-p c l`` and ``p l``: of unknowns, ground and what is left out."""
        up = self.exponent * np.append(log_scales, 0.0)
        return np.append(-self.degree * up, -np.inf), np.append(up, -np.inf)

    def at(self, log_scales: Array) -> BlockCosts:
        """The costs at log-scales of the unknowns: one pass."""
        return BlockCosts(self, *self.log_factors(log_scales))

    def log_constant(self) -> float:
        """Logarithm of the costs between ground and ground, which no scale moves."""
        ground = np.full(self.size + 2, -np.inf)
        ground[self.size] = 0.0
        return BlockCosts(self, ground, ground).log_cost


class _Part(NamedTuple):
    """A block at log-scales: factors of its rows and columns, and of all; its out-costs and in-costs."""

    at: NumberedBlock
    rows: Array
    columns: Array
    factor: float
    out_of: Array
    into: Array


class BlockCosts:
    """In-costs, out-costs and products of live blocks, in units of ``exp(log_unit)``.

    Each block gets a unit of its own, so that log-scales may differ by more than the range of floats between blocks.

    Parameters
    ----------
    live : LiveBlocks
    down, up : (size + 2,) arrays
        Logarithms of the factors of tails and of heads.

    Attributes
    ----------
    into, out_of : (size + 1,) arrays
        In-cost and out-cost of each unknown and the ground.
    log_unit, log_cost : float
    parts : list
        The blocks, in their order.
    """

    def __init__(self, live: LiveBlocks, down: Array, up: Array) -> None:
        self._live = live
        self.parts: list[_Part] = []
        logs, totals = [], []
        for one in live.blocks:
            at_rows, at_columns = down[one.tail], up[one.head]
            row, column = float(at_rows.max()), float(at_columns.max())
            if min(row, column) == -np.inf:
                continue
            rows, columns = np.exp(at_rows - row), np.exp(at_columns - column)
            by_row, by_column = one.block.products(live.exponent, one.extent.log_largest, rows, columns)
            self.parts.append(_Part(one, rows, columns, 1.0, rows * by_row, columns * by_column))
            logs.append(row + column + one.extent.log_largest)
            totals.append(float(self.parts[-1].into.sum()))
        with np.errstate(divide="ignore"):
            log_totals = np.log(totals) + np.array(logs)
        self.log_cost = log_sum(log_totals)
        self.log_unit = float(log_totals.max(initial=-np.inf))
        if self.log_unit == -np.inf:
            self.log_unit = 0.0
        self.parts = [
            self._in_unit(part, np.exp(log - self.log_unit)) for part, log in zip(self.parts, logs, strict=True)
        ]
        self.into = self._summed((part.at.head, part.into) for part in self.parts)
        self.out_of = self._summed((part.at.tail, part.out_of) for part in self.parts)

    @staticmethod
    def _in_unit(part: _Part, factor: float) -> _Part:
        return part._replace(factor=factor, out_of=factor * part.out_of, into=factor * part.into)

    def _summed(self, pairs: Iterable[tuple[Index, Array]]) -> Array:
        """Sums by unknown of values by row or column."""
        size = self._live.size
        total = np.zeros(size + 2)
        for label, values in pairs:
            total += np.bincount(label, values, minlength=size + 2)
        return total[:-1]

    @property
    def is_sound(self) -> bool:
        """Whether no in-cost and no out-cost of an unknown drowns in others."""
        return bool(min(self.into[:-1].min(initial=1.0), self.out_of[:-1].min(initial=1.0)) > _TINY)

    def products(self, tails: Array, heads: Array) -> tuple[Array, Array]:
        """``sum over in-edges of y * tails[tail]`` and ``sum over out-edges of y * heads[head]``: one pass.

        Parameters
        ----------
        tails, heads : (size + 1,) arrays
        """
        tails, heads = np.append(tails, 0.0), np.append(heads, 0.0)
        results = []
        for part in self.parts:
            rows, columns = part.rows * tails[part.at.tail], part.columns * heads[part.at.head]
            at, exponent = part.at, self._live.exponent
            by_row, by_column = at.block.products(exponent, at.extent.log_largest, rows, columns)
            results.append((part.factor * part.columns * by_column, part.factor * part.rows * by_row))
        labels = [part.at for part in self.parts]
        return (
            self._summed((at.head, one) for at, (one, _) in zip(labels, results, strict=True)),
            self._summed((at.tail, other) for at, (_, other) in zip(labels, results, strict=True)),
        )
