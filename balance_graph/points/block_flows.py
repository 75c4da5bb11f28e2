"""Flows of blocks and terms at moving log-scales, by products with them; the weights may live anywhere."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array
from balance_graph.problem.block_costs import BlockCosts
from balance_graph.problem.placed_costs import PlacedCosts


class BlockFlows:
    """Slopes of a cost and their derivatives; see `balance_graph.points.flows`.

    Flows are slopes, so exponents may differ.

    Parameters
    ----------
    costs : BlockCosts
    log_scales : (size,) array

    Attributes
    ----------
    costs : BlockCosts
    placed : PlacedCosts
        The costs at the present log-scales.
    passes : int
        Over the weights, so far.
    """

    exponent = 1.0

    def __init__(self, costs: BlockCosts, log_scales: Array) -> None:
        self.costs, self.size, self.ends = costs, costs.size, costs.ends()
        self.degree = np.ones(self.size + 1)
        self.passes = 0
        self._go_to(log_scales)

    def _go_to(self, log_scales: Array) -> None:
        self.passes += 1
        self.back_to(PlacedCosts(self.costs, log_scales, self.ends))

    def back_to(self, placed: PlacedCosts) -> None:
        """Go where costs are known: no pass."""
        self.placed, self.log_scales = placed, placed.log_scales
        self.into, self.out_of = (np.append(side, 0.0) for side in (placed.into, placed.out_of))

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost."""
        return self.placed.log_cost

    def longest(self, step: Array) -> float:  # noqa: ARG002 - costs are computed afresh, each block in its unit
        """All of it."""
        return 1.0

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self._go_to(self.log_scales + step)

    def sweep(self, most: int, enough: float) -> None:
        """Move all scales at once, by as much of what would balance each alone as surely lowers the cost.

        That is one over the number of scales of a weight: it sees the mean of their moves, and costs are convex.
        """
        for _ in range(most):
            imbalance = self.imbalance()
            if not np.log(enough) < np.abs(imbalance).max(initial=0.0) < np.inf:
                break
            self._go_to(self.log_scales - imbalance / (self._steepest * self.ends.most_scales))

    @cached_property
    def _steepest(self) -> Array:
        """By how much the imbalance of a scale can change with it: exponents times coefficients, both ways."""
        exponents = sparse.diags_array(self.ends.exponents)
        largest = [(side @ exponents).max(axis=1).toarray() for side in (self.ends.into, self.ends.out_of)]
        return np.asarray(sum(largest)).reshape(-1)

    def imbalance(self) -> Array:
        """``log in - log out`` of each scale; inf where flows drown in others."""
        if not self.placed.is_sound:
            return np.full(self.size, np.inf)
        imbalance: Array = np.log(self.placed.into / self.placed.out_of)
        return imbalance

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost, but for weights whose row and column share a scale."""
        diagonal: Array = self.ends.squares @ self.placed.curvatures
        return diagonal

    def product(self, diagonal: Array, step: Array, out: Array) -> None:  # noqa: ARG002
        """Product with the Hessian of the cost, into `out`."""
        along = self.ends.matrix @ step
        out[:] = self.ends.transposed @ (self.placed.curvatures * along + self.between(along))

    def between(self, along: Array) -> Array:
        """`PlacedCosts.between`, which is a pass."""
        self.passes += 1
        return self.placed.between(along)
