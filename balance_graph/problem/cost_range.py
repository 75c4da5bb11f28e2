"""Costs in the range of floats: how far apart they may be, and the unit in which they are all in range.

Every threshold about the range of floats stands here. Normal floats reach from e^-708 to e^709; what is multiplied and
summed on the way must stay inside.
"""

from __future__ import annotations

from typing import NamedTuple

from balance_graph._types import Array, Mask

# Logarithms of factors: of two, or of three, of at most this size the product is in range, and so are sums of products.
TWO_FACTORS, THREE_FACTORS = 300.0, 200.0
# Costs themselves: sums and products with weights of moderate size are in range, and no digit is lost.
LEAST, MOST = 1e-250, 1e250
# A cost below this may have lost digits: subnormal numbers have fewer.
TINY = 1e-290
# Costs within a factor e^600 of each other: times numbers up to 2^256, they are still in range.
SPREAD = 600.0


class CostRange(NamedTuple):
    """The logarithms of the least and the largest of some costs."""

    least: float
    largest: float

    @property
    def spread(self) -> float:
        """Logarithm of the ratio of the largest to the least."""
        return self.largest - self.least

    @property
    def log_unit(self) -> float | None:
        """Logarithm of a unit in which all costs are in range: of 1 if possible; None if they are too far apart."""
        if max(-self.least, self.largest) < 0.5 * SPREAD:
            return 0.0
        return 0.5 * (self.least + self.largest) if self.spread < SPREAD else None

    @property
    def furthest(self) -> float:
        """The size of the logarithm of the cost farthest from 1."""
        return max(abs(self.least), abs(self.largest))


def are_in_range(costs: Array, counted: Mask) -> bool:
    """Whether all counted costs are far from the ends of the range of floats."""
    smallest = costs.min(initial=float("inf"))
    if smallest == 0.0:
        smallest = costs.min(initial=float("inf"), where=counted)
    return bool(smallest >= LEAST and costs.max(initial=0.0) <= MOST)
