"""Blocks between some of the unknowns of a problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.problem.block_costs import BlockCosts, CostBlock, Terms
from balance_graph.problem.blocks import Block, Extent
from balance_graph.problem.placed_costs import PlacedCosts


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
        Each has rows and columns with weights that are not left out.
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
        kept = []
        for block, extent in zip(blocks, extents, strict=True):
            tail, head = number[block.tail], number[block.head]
            rows, columns = extent.rows & (tail <= size), extent.columns & (head <= size)
            if rows.any() and columns.any():
                kept.append(NumberedBlock(block, extent._replace(rows=rows, columns=columns), tail, head))
        return cls(tuple(kept), np.append(degree[live], 1.0), exponent)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.degree.size - 1

    @cached_property
    def costs(self) -> BlockCosts:
        """What they cost. Forms are ``l`` of unknowns, ground and what is left out, then ``-c l``."""
        n = self.size + 2
        gains = sparse.eye_array(n, self.size, format="csr")
        forms = sparse.csr_array(sparse.vstack([gains, sparse.diags_array(-np.append(self.degree, 0.0)) @ gains]))
        offset = np.zeros(2 * n)
        offset[[n - 1, 2 * n - 1]] = -np.inf
        return self._costs(forms, offset, self.blocks)

    @cached_property
    def constant(self) -> BlockCosts:
        """The costs between ground and ground, which no scale moves."""
        offset, kept = np.full(2 * (self.size + 2), -np.inf), []
        offset[[self.size, 2 * self.size + 2]] = 0.0
        for one in self.blocks:
            rows, columns = one.extent.rows & (one.tail == self.size), one.extent.columns & (one.head == self.size)
            if rows.any() and columns.any():
                kept.append(one._replace(extent=one.extent._replace(rows=rows, columns=columns)))
        return self._costs(sparse.csr_array((offset.size, 0)), offset, kept)

    def log_constant(self) -> float:
        """Logarithm of the costs that no scale moves."""
        return PlacedCosts(self.constant, np.zeros(0)).log_cost

    def _costs(self, forms: Sparse, offset: Array, blocks: Sequence[NumberedBlock]) -> BlockCosts:
        n = self.size + 2
        found = tuple(CostBlock(b, tail + n, head, self.exponent, 0.0, at) for b, at, tail, head in blocks)
        return BlockCosts(forms, offset, found, Terms.none(forms.shape[1]))
