"""What blocks of weights and terms cost together, as a function of log-scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from balance_graph._types import Array, Index, Sparse
from balance_graph.problem.block_ends import Ends
from balance_graph.problem.blocks import Block, Extent


@dataclass(frozen=True, eq=False)
class CostBlock:
    """A block of weights W with costs ``a |W|**p``; the log-gain of entry [i, j] is a sum of two forms.

    Attributes
    ----------
    block : Block
    tail, head : integer arrays
        The number of the form of each row and of each column.
    exponent : float
    log_coefficient : float
        Logarithm of a.
    extent : Extent
        Of ``|W|**p``; rows and columns that do not count are said to have none.
    """

    block: Block
    tail: Index
    head: Index
    exponent: float
    log_coefficient: float
    extent: Extent

    @property
    def log_largest(self) -> float:
        """Logarithm of the largest cost at log-scales zero."""
        return self.log_coefficient + self.extent.log_largest

    def products(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of the largest: one pass."""
        return self.block.products(self.exponent, self.extent.log_largest, rows, columns)


class Terms(NamedTuple):
    """Terms ``exp(log_coefficient + exponent * (A @ log_scales))``."""

    A: Sparse
    log_coefficient: Array
    exponent: Array

    def take(self, chosen: Index) -> Terms:
        """Some of them."""
        return Terms(self.A[chosen], self.log_coefficient[chosen], self.exponent[chosen])


@dataclass(frozen=True, eq=False)
class BlockCosts:
    """The sum of the costs of blocks and terms, at log-scales that count from those of the weights as they stand.

    Attributes
    ----------
    forms : (n_forms, size) sparse array
        What the log-gains of rows and columns of blocks are sums of.
    offset : (n_forms,) array
        What is added to the forms: what scales that are held contribute; -inf for what is left out.
    blocks : tuple of CostBlock
        Each with a weight in a row and column that are not left out.
    terms : Terms
    """

    forms: Sparse
    offset: Array
    blocks: tuple[CostBlock, ...]
    terms: Terms

    @property
    def size(self) -> int:
        """Number of log-scales."""
        return int(self.forms.shape[1])

    def ends(self) -> Ends:
        """The rows and columns of all blocks, and the terms, as one matrix."""
        sides = [(one.tail, one.head) for one in self.blocks]
        return Ends(self.forms, sides, [one.exponent for one in self.blocks], self.terms.A, self.terms.exponent)
