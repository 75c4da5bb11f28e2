"""Inexact Newton for large networks: conjugate gradients over the flows, preconditioned when it pays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from balance_graph._progress import Report
from balance_graph._types import Array
from balance_graph.points.dense import DenseFlows
from balance_graph.points.edges import Flows
from balance_graph.points.hessian import HessianSolver
from balance_graph.problem.solution import History, Status

# Local sweeps at the start remove what is rough: until in- and out-costs are within a factor e, as far as that goes.
_SWEEPS, _NEAR = 10, np.e
# What is not balanced after so many iterations (3 to 15 are the rule) is not on its way to be.
_MOST_ITERATIONS = 40
# Far from balance, this share of the imbalance may be left: more digits would not bring Newton closer.
_SHARE = 0.2
# Near balance, exact directions leave about this times the square of the imbalance.
_SQUARED = 0.3
_SUFFICIENT = 1e-4
_SHORTEST = 1.0 / 64.0
# Below this imbalance, the cost is too flat to tell progress by.
_FLAT = 0.3


@dataclass
class InexactNewton:
    """The state of a run: flows, solver for directions, counts."""

    flows: Flows | DenseFlows
    hessian: HessianSolver
    tol: float
    max_iterations: int
    log_constant: float = -np.inf
    history: History = field(default_factory=History)
    iterations: int = 0
    _imbalance: Array = field(default_factory=lambda: np.empty(0), init=False)

    def run(self, report: Report) -> Status:
        """Move the flows to balance; whatever the status, they are left at a valid point."""
        try:
            self.flows.sweep(_SWEEPS, _NEAR)
            return self._iterate(report)
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        except ArithmeticError:  # a cost has left the range of floats, or flows drown in others
            return Status.STALLED

    def _iterate(self, report: Report) -> Status:
        largest = self._measure()
        while True:
            if not np.isfinite(largest):
                return Status.STALLED
            self.history.add(np.logaddexp(self.flows.log_cost, self.log_constant), float(np.tanh(0.5 * largest)))
            report(self.iterations, self.history.log_cost[-1], self.history.imbalance[-1])
            if self.history.imbalance[-1] <= self.tol:
                return Status.CONVERGED
            if self.iterations == self.max_iterations:
                return Status.LIMIT
            if self.iterations == _MOST_ITERATIONS:
                return Status.STALLED
            largest = self._advance(largest)
            self.iterations += 1

    def _advance(self, largest: float) -> float:
        """One iteration, from the largest imbalance to the next; inf if stuck."""
        direction = self._direction(largest)
        return self._measure() if direction is None else self._step(direction, largest)

    def _measure(self) -> float:
        """The largest imbalance at the present point, all of them kept; inf where some are not finite."""
        self._imbalance = self.flows.imbalance()
        largest = float(np.abs(self._imbalance).max(initial=0.0))
        return largest if np.isfinite(largest) else np.inf

    def _direction(self, largest: float) -> Array | None:
        """Newton's direction to the accuracy that this iteration can use; None if the flows were moved instead.

        The Jacobian of the log equations, its rows multiplied by the mean of in- and out-cost, differs from the
        symmetric Hessian of the cost by terms of the size of the imbalance. So Newton's quadratic convergence is kept
        if the Hessian takes its place, and conjugate gradients need no more than two passes over the edges a step.
        """
        # Newton all but squares the imbalance: solving to much less than that, or than the tolerance, is wasted.
        right, self._imbalance = self._imbalance, np.empty(0)
        right *= -self.hessian.weight
        direction = self.hessian.solve(
            right,
            goal=max(min(_SHARE, _SQUARED * largest) * largest, 0.5 * self.tol),
            last_goal=0.5 * self.tol,
            imbalance=largest,
        )
        if direction is not None:
            direction /= self.flows.exponent
        return direction

    def _step(self, direction: Array, largest: float) -> float:
        """Move along the direction, halved until it makes progress; local sweeps in the end.

        The largest imbalance there; inf if stuck.
        """
        log_cost = self.flows.log_cost
        length = self.flows.longest(direction)
        shortest = length * _SHORTEST
        while length >= shortest:
            self.flows.move(length * direction)
            now = self._measure()
            if self._is_progress(now, log_cost, largest, length):
                return now
            self.flows.move(-length * direction)
            length *= 0.5
        self.flows.sweep(_SWEEPS, _NEAR)
        now = self._measure()
        return now if now < 0.999 * largest else np.inf

    def _is_progress(self, now: float, log_cost: float, largest: float, length: float) -> bool:
        """Whether the largest imbalance has fallen; or, far from balance, where that says little, the cost."""
        return now <= (1.0 - _SUFFICIENT * length) * largest or (
            largest > _FLAT and now < np.inf and self.flows.log_cost < log_cost
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen on the way."""
        return (f"inexact Newton: {self.hessian.steps} Krylov steps, {self.hessian.name}",)
