"""What a model costs at some log-scales, and how far from balance it is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from balance_graph._floating_point import own_rules
from balance_graph._types import Array
from balance_graph.models.cost import ModelCost
from balance_graph.problem.log_domain import exp_or_inf, log_ratio
from balance_graph.problem.placed_costs import PlacedCosts


class CostState(NamedTuple):
    """A cost at some log-scales.

    Attributes
    ----------
    log_cost : float
    sides : (array, array)
        Logarithms of the slopes that grow, and that fall, with each scale.
    """

    log_cost: float
    sides: tuple[Array, Array]

    @property
    def cost(self) -> float:
        """The cost; inf where it exceeds the range of floats."""
        return exp_or_inf(self.log_cost)

    @property
    def relative_imbalances(self) -> Array:
        """``|in - out| / (in + out)`` of each scale."""
        return np.tanh(0.5 * np.abs(log_ratio(*self.sides)))


@own_rules
def state_of(cost: ModelCost, log_scales: Array) -> CostState:
    """The cost and its slopes at log-scales: one pass over the weights."""
    if not cost.blocks:
        return CostState(cost.problem.log_cost(log_scales), cost.problem.log_in_out(log_scales))
    placed = PlacedCosts(cost, log_scales)
    return CostState(placed.log_cost, placed.log_sides())
