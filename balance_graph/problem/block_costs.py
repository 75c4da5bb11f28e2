"""What blocks of weights and terms cost together, as a function of log-scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
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
    """Terms ``exp(log_coefficient + exponent * (A @ log_scales))``; coefficients may be off by a share, `unsure`."""

    A: Sparse
    log_coefficient: Array
    exponent: Array
    unsure: Array

    @classmethod
    def of(cls, A: Sparse, log_coefficient: Array, exponent: float, unsure: Array | float = 0.0) -> Terms:  # noqa: N803
        """Terms of one exponent."""
        n = log_coefficient.size
        return cls(sparse.csr_array(A), log_coefficient, np.full(n, float(exponent)), np.broadcast_to(unsure, n))

    @classmethod
    def none(cls, size: int) -> Terms:
        """No term of so many log-scales."""
        return cls.of(sparse.csr_array((0, size)), np.zeros(0), 1.0)

    def take(self, chosen: Index | Mask) -> Terms:
        """Some of them."""
        return Terms(self.A[chosen], *(values[chosen] for values in self[1:]))

    def restricted(self, scales: Index) -> Terms:
        """The same terms of some of the log-scales."""
        return self._replace(A=sparse.csr_array(self.A[:, scales]))

    def certain(self) -> Terms:
        """Terms that those of the true coefficients are surely not below."""
        known = self.take(self.unsure < 1.0)
        return known._replace(
            log_coefficient=known.log_coefficient + np.log1p(-known.unsure), unsure=0.0 * known.unsure
        )


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
