"""Blocks of weights whose rows and columns have forms for log-gains: what a model's large parameters are kept as."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.problem.blocks import DenseBlock, Extent


class WeightBlock(Protocol):
    """A matrix of weights with costs ``|W|**p``; entry [i, j] has the log-gain ``forms[tail[i]] + forms[head[j]]``.

    The weights stay where they are, in whatever library; sums come back as NumPy arrays in double precision, with the
    accuracy that `balance_graph.Block` asks for.

    Attributes
    ----------
    tail, head : integer arrays
        Numbers of rows of `balance_graph.models.Structure.forms`, one for each row and column of the weights.
    """

    @property
    def tail(self) -> Index: ...

    @property
    def head(self) -> Index: ...

    def extent(self, exponent: float) -> Extent:
        """The range of the costs, and which rows and columns have any."""

    def products(self, exponent: float, log_unit: float, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of ``exp(log_unit)``."""

    def count(self) -> int:
        """How many weights are not zero."""

    def nonzero(self, some: slice) -> Mask:
        """Which weights of some rows are not zero."""

    def log_costs(self, exponent: float, some: slice) -> Array:
        """Logarithms of the costs of some rows; -inf for weights that are zero."""


class ArrayBlock(DenseBlock):
    """A block of weights in a NumPy array; see `WeightBlock`."""

    def count(self) -> int:
        """How many weights are not zero."""
        return int(np.count_nonzero(self.weights))

    def nonzero(self, some: slice) -> Mask:
        """Which weights of some rows are not zero."""
        return np.asarray(self.weights[some] != 0)

    def log_costs(self, exponent: float, some: slice) -> Array:
        """Logarithms of the costs of some rows; -inf for weights that are zero."""
        with np.errstate(divide="ignore"):
            log_costs: Array = self._power(exponent) * np.log(self._sizes(some)) + self._log_coefficient
        return log_costs

    def _sizes(self, some: slice) -> Array:
        sizes: Array = np.abs(self.weights[some].astype(np.float64))
        return sizes
