"""Local sweeps over edge lists, without exponentials: for networks of one power per edge, all of one exponent.

The sums of every state come from its factors, and the factors from sums alone: no rounding is carried from sweep to
sweep. The costs that the factors multiply are made from the weights as given when factors leave their range, now and
then, and before any state is called balanced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.solvers.local import _edge_kernels as kernels
from balance_graph.solvers.local._edges import Edges, GroundEdges
from balance_graph.solvers.local._heap import Heap
from balance_graph.solvers.local._sweep_state import SweepState

# Sweeps after which costs are computed afresh, which takes the time of a few sweeps.
_REFRESH = 100
_EPS = float(np.finfo(float).eps)


class _Point(NamedTuple):
    """Factors, at first 1, and sums of all unknowns; two take turns, as fresh memory costs time."""

    factors: kernels.Factors
    sums: kernels.Sums

    @classmethod
    def of(cls, size: int) -> _Point:
        return cls(kernels.Factors(np.ones(size), np.ones(size)), kernels.Sums(*(np.empty(size) for _ in range(4))))


class EdgeSweeps:
    """Sweeps over edge lists, and the state after each.

    Parameters
    ----------
    edges : Edges
    order : str
        As in `StochasticSolver`; the edges of ``"colored"`` are color by color.
    orders : iterator of integer arrays
        The unknowns of each sweep.
    tol : float
        States that are this balanced are measured again, with fresh costs.
    log_sweep : callable
        The displacement after a sweep in logarithms, from an order and a displacement: it takes over where costs or
        factors leave the range that sweeps can work with.
    log_state : callable
        The state at a displacement, in logarithms.
    """

    def __init__(
        self,
        edges: Edges,
        order: str,
        orders: Iterator[Index],
        tol: float,
        log_sweep: Callable[[Index, Array], Array],
        log_state: Callable[[Array], SweepState],
    ) -> None:
        self._edges, self._orders, self._tol = edges, orders, tol
        self._log_sweep, self._log_state = log_sweep, log_state
        self._sweep = {"cyclic": self._in_order, "colored": self._in_order, "greedy": self._greedy}.get(
            order, self._in_any_order
        )
        self._cost = np.empty(edges.entries.neighbor.size)
        self._next = _Point.of(edges.size)
        self._age, self._fits = 0, False
        self._refresh(np.zeros(edges.size))

    @property
    def displacement(self) -> Array:
        """Displacement of the unknowns of the quotient."""
        result = np.empty(self._edges.size)
        result[self._edges.order] = self._center + np.log(self._at.factors.up) / self._edges.exponent
        return result

    def advance(self) -> None:
        """Make a sweep."""
        order = next(self._orders)
        if self._age == _REFRESH:
            self._refresh(self.displacement)
        if not (self._try(order) or self._retry(order)):
            self._refresh(self._log_sweep(order, self.displacement))
        elif self.state.imbalance <= max(self._tol, self.state.rounding):
            self._refresh(self.displacement)

    def _try(self, order: Index) -> bool:
        """Whether a sweep stayed in range; if not, the state is as before."""
        if not (self._fits and self._sweep(order)):
            return False
        state = self._measured(self._next)
        self._at, self._next, self.state = self._next, self._at, state  # at once: an interrupt leaves all or nothing
        self._age += 1
        return True

    def _retry(self, order: Index) -> bool:
        """The same after a refreshment, if there is something to refresh."""
        if self._age == 0:
            return False
        self._refresh(self.displacement)
        return self._try(order)

    def _refresh(self, displacement: Array) -> None:
        """Center on a displacement: costs from the weights as given, and factors 1."""
        edges = self._edges
        self._center, self._at, self._age = displacement[edges.order], _Point.of(edges.size), 0
        up = edges.exponent * self._center
        down = -edges.degree * up
        least, largest = self._log_range(up, down)
        self._log_unit = 0.5 * (least + largest)
        self._rounding = 4.0 * _EPS * max(1.0, *(abs(end + np.log(edges.exponent)) for end in (least, largest)))
        self._fits = largest - least < 2.0 * kernels.LOG_MOST
        if not self._fits:
            self.state = self._log_state(displacement)
            return
        kernels.exponentiate(edges.entries, up, down, self._log_unit, self._cost)
        start, neighbor, _ = edges.entries
        ground = self._ground_sums(edges.from_ground, up), self._ground_sums(edges.to_ground, down)
        self._network = kernels.Network(start, neighbor, self._cost, *ground, edges.degree)
        kernels.measure(self._network, *self._at)
        self.state = self._measured(self._at)

    def _log_range(self, up: Array, down: Array) -> tuple[float, float]:
        """Logarithms of the least and the largest cost of an edge."""
        edges = self._edges
        inner = kernels.log_range(edges.entries, up, down)
        ground = np.concatenate([_log_costs(edges.from_ground, up), _log_costs(edges.to_ground, down)])
        return min(inner[0], ground.min(initial=np.inf)), max(inner[1], ground.max(initial=-np.inf))

    def _ground_sums(self, edges: GroundEdges, log_factor: Array) -> Array:
        costs = np.exp(_log_costs(edges, log_factor) - self._log_unit)
        sums: Array = np.bincount(edges.unknown, costs, minlength=self._edges.size).astype(float)
        return sums

    def _measured(self, point: _Point) -> SweepState:
        ratio, total = kernels.extremes(self._network, *point)
        log_cost = float(np.logaddexp(np.log(total) + self._log_unit, self._edges.log_constant))
        return SweepState(log_cost, (ratio - 1.0) / (ratio + 1.0), self._rounding)

    def _in_order(self, order: Index) -> bool:  # noqa: ARG002 - the entries are in this order
        return bool(kernels.sweep_in_order(self._network, self._at.sums, *self._next))

    def _in_any_order(self, order: Index) -> bool:
        self._copy_factors()
        done = kernels.sweep(order, self._network, self._next.factors)
        if done:
            kernels.measure(self._network, *self._next)
        return bool(done)

    def _greedy(self, order: Index) -> bool:  # noqa: ARG002 - the heap decides
        self._copy_factors()
        sums, network, factors = self._at.sums, self._network, self._next.factors
        whole = sums.into + sums.late_into, sums.out_of + sums.late_out_of
        running = kernels.RunningSums(*whole, *(one.copy() for one in whole))
        heap = Heap.of(kernels.keys(network, factors, running))
        done = kernels.greedy_sweep(1.0 + self._tol, network, factors, running, heap)
        if done:
            kernels.measure(network, *self._next)
        return bool(done)

    def _copy_factors(self) -> None:
        for new, old in zip(self._next.factors, self._at.factors, strict=True):
            new[:] = old


def _log_costs(edges: GroundEdges, log_factor: Array) -> Array:
    return edges.log_cost + log_factor[edges.unknown]
