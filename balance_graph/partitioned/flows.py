"""Flows along edges in partitions, at moving log-scales: see `balance_graph.points.flows`."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array, Mask
from balance_graph.linear.conjugate_gradients import Precondition
from balance_graph.points.flows import FlowsPoint
from balance_graph.points.hessian import HessianSolver
from balance_graph.problem.blocks import Block
from balance_graph.problem.cost_range import TINY, TWO_FACTORS

# Conjugate gradient steps for one direction: nothing else can take over on long paths, so there may be many.
_MOST_STEPS = 2000


class PartitionedFlows:
    """In- and out-costs of all nodes and their derivatives, without the factor p: a pass for each move and product.

    Costs are computed afresh from the weights in each. What is not free has flows of 1, so that it is in balance.

    Parameters
    ----------
    edges : Block
        With a row and a column for each node.
    log_largest : float
        Logarithm of the largest cost at log-scales zero.
    exponent : float
    degree : (n_nodes,) array
    is_free : (n_nodes,) boolean array
    log_scales : (n_nodes,) array
    """

    def __init__(
        self, edges: Block, log_largest: float, exponent: float, degree: Array, is_free: Mask, log_scales: Array
    ) -> None:
        self._edges, self._log_largest, self._held = edges, log_largest, ~is_free
        self.size, self.exponent, self.degree = degree.size, exponent, np.append(degree, 1.0)
        self.into, self.out_of = np.ones(self.size + 1), np.ones(self.size + 1)
        self.passes = 0
        self._place(log_scales)

    def _place(self, log_scales: Array) -> None:
        self.log_scales = log_scales
        up = self.exponent * log_scales
        down = -self.degree[:-1] * up
        furthest = float(up.max()), float(down.max())
        self._up = np.exp(np.subtract(up, furthest[0], out=up), out=up)
        self._down = np.exp(np.subtract(down, furthest[1], out=down), out=down)
        by_tail, by_head = self._sums(self._down, self._up)
        total = float(by_head.sum())
        with np.errstate(divide="ignore"):
            self.log_cost = self._log_largest + sum(furthest) + float(np.log(total))
        self._factor = 1.0 / total if total > TINY else 1.0
        self._log_unit = self._log_largest + sum(furthest) - float(np.log(self._factor))
        self.into[:-1], self.out_of[:-1] = self._factor * by_head, self._factor * by_tail
        self.into[:-1][self._held] = self.out_of[:-1][self._held] = 1.0

    def log_sides(self) -> tuple[Array, Array]:
        """Logarithms of in-cost and degree times out-cost of each node; -inf for those that are not free."""
        with np.errstate(divide="ignore"):
            sides = (np.log(self.into[:-1]), np.log(self.degree[:-1] * self.out_of[:-1]))
        into, out_of = (np.where(self._held, -np.inf, side + self._log_unit) for side in sides)
        return into, out_of

    def _sums(self, of_tails: Array, of_heads: Array) -> tuple[Array, Array]:
        """Sums of the costs times what their heads have, by tail, and times what their tails have, by head."""
        self.passes += 1
        by_tail, by_head = self._edges.products(self.exponent, self._log_largest, of_tails, of_heads)
        by_tail *= self._down
        by_head *= self._up
        return by_tail, by_head

    @property
    def together(self) -> Array:
        """The step that moves all free nodes alike."""
        return np.where(self._held, 0.0, 1.0)

    def longest(self, step: Array) -> float:
        """As long as no factor of a cost leaves the range of floats."""
        change = self.exponent * float((np.maximum(1.0, self.degree[:-1]) * np.abs(step)).max(initial=0.0))
        return 1.0 if change <= TWO_FACTORS else TWO_FACTORS / change

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self._place(self.log_scales + step)

    def sweep(self, most: int, enough: float) -> None:
        """Move all unknowns at once, by half of what would balance each alone: a cost sees the mean of its ends."""
        rate = 0.5 / (self.exponent * (1.0 + self.degree[:-1]))
        for _ in range(most):
            imbalance = self.imbalance()
            if not np.log(enough) < np.abs(imbalance).max(initial=0.0) < np.inf:  # balanced, or flows that drown
                break
            imbalance *= -rate
            self.move(imbalance)

    def imbalance(self) -> Array:
        """``log in - log (c out)`` of each node; inf where flows drown in others."""
        if not min(self.into.min(), self.out_of.min()) > TINY:
            return np.full(self.size, np.inf)
        imbalance: Array = np.log(self.into / (self.degree * self.out_of))[:-1]
        imbalance[self._held] = 0.0
        return imbalance

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost over p^2."""
        return self.into[:-1] + self.degree[:-1] ** 2 * self.out_of[:-1]

    def product(self, diagonal: Array, step: Array, out: Array) -> None:
        """Product with the Hessian of the cost over p^2, into `out`."""
        degree = self.degree[:-1]
        from_heads, from_tails = self._sums(self._down * degree * step, self._up * step)
        from_heads *= degree
        from_heads += from_tails
        from_heads *= -self._factor
        from_heads[self._held] = 0.0
        np.multiply(diagonal, step, out=out)
        out += from_heads


class PartitionedHessian(HessianSolver):
    """Conjugate gradients preconditioned by the diagonal, and by what moves all nodes together.

    Few pinned nodes hardly hold the common scale of all others, which single nodes find out last.

    Parameters
    ----------
    flows : PartitionedFlows
    """

    def __init__(self, flows: PartitionedFlows) -> None:
        super().__init__(flows, None, _MOST_STEPS)
        self._partitioned_flows = flows

    @property
    def name(self) -> str:
        """What it is preconditioned by."""
        return "diagonal preconditioner and the move of all nodes"

    def _approximate_inverse(self, diagonal: Array, imbalance: float) -> Precondition:
        together, image = self._partitioned_flows.together, np.empty_like(diagonal)
        self._partitioned_flows.product(diagonal, together, image)
        energy = float(together @ image)
        if not energy > 0.0:
            return super()._approximate_inverse(diagonal, imbalance)
        return lambda residual: (residual / diagonal + together * (float(together @ residual) / energy), None)


class PartitionedPoint(FlowsPoint):
    """Log-scales of all nodes on the way to balance.

    Parameters
    ----------
    flows : PartitionedFlows
    log_constant : float
        Logarithm of the cost that no scale moves.
    """

    def __init__(self, flows: PartitionedFlows, log_constant: float) -> None:
        self._partitioned_flows = flows
        super().__init__(flows, PartitionedHessian(flows), log_constant)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done on the way."""
        return (f"inexact Newton: {self._partitioned_flows.passes} passes over the edges, {self.hessian.name}",)
