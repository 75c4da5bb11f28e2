"""The flows of a live network at a moving point: passes over the edges that need no exponential.

All edge costs ``y_e`` are kept twice, by tail and by head, and are multiplied by one factor per end when log-scales
move. In-costs, out-costs, and products with the Hessian of the cost are then one pass over each list; the two passes
run side by side, on two cores.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.linear import multigrid_kernels
from balance_graph.linear.edge_lists import EdgeList
from balance_graph.linear.laplacian import Laplacian
from balance_graph.points import _edge_kernels as kernels
from balance_graph.points.start import scale_free_start
from balance_graph.problem.cost_range import TWO_FACTORS
from balance_graph.problem.live_network import LiveNetwork

# With fewer edges, handing a pass to another thread costs more than the pass; a product of a local network is but one.
_SIDE_BY_SIDE, _HALF_BY_HALF = 100_000, 400_000

# Where the ends of an edge are this close in memory on average, to add at both costs less than to read a second list.
_LOCAL, _SAMPLE = 15_000, 1000

One = TypeVar("One")
Other = TypeVar("Other")


class EdgeFlows:
    """In-costs, out-costs and derivatives of a live network, without the factor p.

    Parameters
    ----------
    outward, inward : EdgeList
        The same edges by tail and by head, with their costs in units of ``exp(log_unit)``; changed in place.
    degree : (size + 1,) array
        Degree of each unknown, 1 for the ground.
    exponent : float
    pool : Executor
        Runs one of two passes.

    Attributes
    ----------
    size : int
        Number of unknowns.
    outward : EdgeList
        The edges by tail, with their costs at the present point.
    log_scales : (size,) array
        Of the unknowns, at the present point.
    longest_move : float
        Largest change of a log-scale in one move so far: log-scales are rounded at that size.
    into, out_of : (size + 1,) arrays
        In-cost and out-cost of each unknown and the ground, in units of ``exp(log_unit)``.
    """

    def __init__(self, outward: EdgeList, inward: EdgeList, degree: Array, exponent: float, pool: Executor) -> None:
        self.outward, self._in, self._pool = outward, inward, pool
        self.size, self.degree, self.exponent = degree.size - 1, degree, exponent
        self._is_linear = bool(np.all(degree == 1.0))
        self.log_scales, self.log_unit, self.longest_move = np.zeros(self.size), 0.0, 0.0
        self.into, self.out_of = np.empty(self.size + 1), np.empty(self.size + 1)
        self._from_tails, self._from_heads = np.empty(self.size + 1), np.empty(self.size + 1)
        self._padded = np.zeros(self.size + 1)
        self._is_local = outward.column.size >= _SIDE_BY_SIDE and _reach(outward) < _LOCAL
        in_halves = self._is_local and self.n_edges >= _HALF_BY_HALF
        self._more_from_tails = np.empty(self.size + 1 if in_halves else 0)

    @classmethod
    def of(cls, network: LiveNetwork, start: Array | None, pool: Executor) -> EdgeFlows:
        """The flows of a live network, whose edge lists are taken over.

        Parameters
        ----------
        network : LiveNetwork
        start : (size,) array or None
            Log-scales to start from; None for a start that does not depend on the scales that the weights come with.
        pool : Executor
            Runs one of two passes.
        """
        flows = cls(network.outward, network.inward, network.degree, network.exponent, pool)
        flows.log_scales = scale_free_start(network, pool) if start is None else start
        flows.log_unit = flows._enter(network.log_unit)
        return flows

    def aggregated(self, aggregate: Index, n_aggregates: int) -> EdgeFlows:
        """The flows between aggregates of unknowns of degree 1 that move together: again those of a network."""
        to = np.append(aggregate, n_aggregates).astype(np.int32)
        still = np.zeros(self.size + 1)

        def coarse(edges: EdgeList) -> EdgeList:
            start, _, column, value, _ = multigrid_kernels.coarsen(edges, still, to, n_aggregates + 1)
            return EdgeList(start, column, value)

        outward, inward = self._both(lambda: coarse(self.outward), lambda: coarse(self._in))
        flows = EdgeFlows(outward, inward, np.ones(n_aggregates + 1), self.exponent, self._pool)
        flows.log_unit = self.log_unit
        flows.move(flows.log_scales)
        return flows

    def _enter(self, log_unit: float | None) -> float:
        """Bring the costs to the log-scales; the logarithm of their unit."""
        up = self.exponent * np.append(self.log_scales, 0.0)
        down = -self.degree * up
        if log_unit is not None and self._is_near(up, down):
            self._advance(np.exp(up, out=up), np.exp(down, out=down))
            return log_unit
        if log_unit is not None:
            for edges in (self._in, self.outward):
                np.log(edges.value, out=edges.value)
        unit = float(kernels.largest_log_value(self._in, up, down))
        self._both(
            lambda: kernels.exponentiate(self._in, up, down, unit),
            lambda: kernels.exponentiate(self.outward, down, up, unit),
        )
        self._advance(np.ones(self.size + 1), np.ones(self.size + 1))
        return unit + (log_unit or 0.0)

    def _both(self, one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
        if self._in.column.size < _SIDE_BY_SIDE:
            return one(), other()
        waiting = self._pool.submit(other)
        return one(), waiting.result()

    @property
    def n_edges(self) -> int:
        """Number of live edges that scales move."""
        return self._in.column.size

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost of all live edges that scales move."""
        return float(np.log(self.into.sum())) + self.log_unit

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        up = self.exponent * np.append(step, 0.0)
        down = -self.degree * up
        if self._is_near(up, down):
            self._advance(np.exp(up, out=up), np.exp(down, out=down))
        else:
            self._advance(up, down, are_logarithms=True)
        self.log_scales += step
        self.longest_move = max(self.longest_move, float(np.abs(step).max(initial=0.0)))

    def _advance(self, up: Array, down: Array, *, are_logarithms: bool = False) -> None:
        self._both(
            lambda: kernels.advance(self._in, up, down, are_logarithms, self.into),
            lambda: kernels.advance(self.outward, down, up, are_logarithms, self.out_of),
        )

    @staticmethod
    def _is_near(up: Array, down: Array) -> bool:
        """Whether the exponentials are in the range of floats, and their products too."""
        return bool(max(up.max(), -up.min(), down.max(), -down.min()) < TWO_FACTORS)

    def longest(self, step: Array) -> float:
        """The longest multiple of a step, up to 1, that keeps the change of every edge in range."""
        up = self.exponent * np.append(step, 0.0)
        down = -self.degree * up
        if self._is_near(up, down):
            return 1.0
        change = kernels.largest_change(self._in, up, down)
        return min(1.0, TWO_FACTORS / change) if change > 0.0 else 1.0

    def sweep(self, most: int, enough: float) -> None:
        """Balance every unknown once, in order; again until no ratio met exceeds `enough`, at most `most` times."""
        up, down = np.ones(self.size + 1), np.ones(self.size + 1)
        for _ in range(most):
            worst = kernels.local_sweep(self.outward, self._in, self.degree, up, down)
            if worst <= enough:
                break
        self._advance(up, down)
        self.log_scales += np.log(up[:-1]) / self.exponent

    def imbalance(self) -> Array:
        """``log in - log (c out)`` of each unknown."""
        difference, largest = kernels.log_ratios_of_near(self.into, self.out_of, self.degree)
        if not largest < kernels.NEAR:
            with np.errstate(divide="ignore", invalid="ignore"):
                difference = np.log(self.into) - np.log(self.degree * self.out_of)
        imbalance: Array = difference[:-1]
        return imbalance

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost over p^2: ``in + c^2 out``."""
        return self.into[:-1] + self.degree[:-1] ** 2 * self.out_of[:-1]

    def product(self, diagonal: Array, step: Array, out: Array) -> None:
        """Product with the Hessian of the cost over p^2, ``diag(in + c^2 out) - Y c - (Y c)^T``, into `out`."""
        heads = self._padded
        heads[:-1] = step
        tails = heads if self._is_linear else self.degree * heads
        if self._is_local:
            self._pass_over_one_list(tails, heads)
        else:
            self._both(
                lambda: kernels.gather(self._in, tails, self._from_tails),
                lambda: kernels.gather(self.outward, heads, self._from_heads),
            )
        kernels.hessian_product(
            diagonal, self.degree, self._from_tails, self._more_from_tails, self._from_heads, step, out
        )

    def _pass_over_one_list(self, tails: Array, heads: Array) -> None:
        """What tails and heads contribute to a product, each edge read once; where it pays, half on each core."""
        rows = self.outward, heads, tails, self._from_heads
        if self._more_from_tails.size == 0:
            kernels.gather_and_scatter(*rows, self._from_tails, 0, self.size + 1)
            return
        half = int(np.searchsorted(self.outward.start, self.n_edges // 2))
        self._both(
            lambda: kernels.gather_and_scatter(*rows, self._from_tails, 0, half),
            lambda: kernels.gather_and_scatter(*rows, self._more_from_tails, half, self.size + 1),
        )

    def laplacian(self, earlier: Laplacian | None = None) -> Laplacian:
        """The Hessian of the cost over p^2 as a matrix; in the place of an earlier one, which has the same pattern."""
        if earlier is None:
            earlier = multigrid_kernels.symmetric_pattern(self.outward, self._in)
        multigrid_kernels.symmetric_values(self.outward, self._in, self.degree, earlier)
        return earlier._replace(diagonal=self.diagonal())


def _reach(edges: EdgeList) -> float:
    """Mean distance of the two ends of an edge, by a sample of edges; those of the ground do not count."""
    sample = np.linspace(0, edges.column.size - 1, _SAMPLE).astype(np.int64)
    row = np.searchsorted(edges.start, sample, side="right") - 1
    column, ground = edges.column[sample].astype(np.int64), edges.start.size - 2
    inner = (row != ground) & (column != ground)
    return float(np.abs(row - column)[inner].mean()) if inner.any() else 0.0
