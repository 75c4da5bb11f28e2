"""A point of the inexact method: flows at a moving place, directions by conjugate gradients over them.

What stores the flows (edge lists, a dense matrix, blocks of weights) is known here by its sums and products alone.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from balance_graph._types import Array
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.point import SUFFICIENT, Mark

# Local sweeps at the start remove what is rough: until in- and out-costs are within a factor e, as far as that goes.
_SWEEPS, _NEAR = 10, np.e
# Nearer than this (a warm start), Newton's method needs no sweep; further off, one mostly saves an iteration.
_SMOOTH = 0.1
# Far from balance, this share of the imbalance may be left: more digits would not bring Newton closer.
_SHARE = 0.2
# Near balance, exact directions leave about this times the square of the imbalance.
_SQUARED = 0.3
# Below this imbalance, the cost is too flat to tell progress by.
_FLAT = 0.3
# Sweeps that leave more than this share of the imbalance lead nowhere.
_HEADWAY = 0.999


class Flows(Protocol):
    """In-costs, out-costs and derivatives of a network at a moving place, for one exponent, without the factor p.

    Attributes
    ----------
    size : int
        Number of unknowns; the ground is one more node, the last.
    degree : (size + 1,) array
        Degree of each unknown, 1 for the ground.
    exponent : float
    into, out_of : (size + 1,) arrays
        In-cost and out-cost of each unknown and the ground, in one unit.
    log_scales : (size,) array
    log_cost : float
        Logarithm of the cost of all that scales move.
    """

    size: int
    degree: Array
    exponent: float
    into: Array
    out_of: Array
    log_scales: Array

    @property
    def log_cost(self) -> float: ...

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""

    def longest(self, step: Array) -> float:
        """The longest multiple of a step, up to 1, that keeps all costs in range."""

    def sweep(self, most: int, enough: float) -> None:
        """Local steps of all unknowns, until no ratio met exceeds `enough`, at most `most` times."""

    def imbalance(self) -> Array:
        """``log in - log (c out)`` of each unknown, a new array."""

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost over p^2."""

    def product(self, diagonal: Array, step: Array, out: Array) -> None:
        """Product with the Hessian of the cost over p^2, into `out`."""


class FlowsPoint:
    """Flows on the way to balance.

    Parameters
    ----------
    flows : Flows
    hessian : HessianSolver
        Of the same flows.
    log_constant : float
        Logarithm of the live cost that no scale moves.
    holds : bool
        Whether an unknown is held that is not pinned: its balance follows from that of all others, with their errors
        added up.
    """

    shortest = 1.0 / 64.0
    # Costs that can be told apart are in the range of floats: what rounding leaves is far below any tolerance.
    rounding = 0.0

    def __init__(
        self, flows: Flows, hessian: HessianSolver, log_constant: float = -np.inf, *, holds: bool = False
    ) -> None:
        self.flows, self.hessian = flows, hessian
        self._log_constant, self._holds = log_constant, holds
        self._imbalance: Array | None = None
        self._step = np.empty(0)

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost of all that is live."""
        return float(np.logaddexp(self.flows.log_cost, self._log_constant))

    @property
    def largest(self) -> float:
        """Largest ``|F|``; inf where some are not finite."""
        if self._imbalance is None:
            self._imbalance = self.flows.imbalance()
        largest = float(np.abs(self._imbalance).max(initial=0.0))
        return largest if np.isfinite(largest) else np.inf

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen on the way."""
        return (f"inexact Newton: {self.hessian.steps} Krylov steps, {self.hessian.name}",)

    def prepare(self) -> None:
        """Local sweeps, unless the start is nearer to balance than they would bring it."""
        if not self.largest <= _SMOOTH:
            self.flows.sweep(_SWEEPS, _NEAR)
            self._imbalance = None

    @property
    def log_spread(self) -> float:
        """Logarithm of the ratio of the largest flow through an unknown to the least."""
        through = self.flows.into[:-1] + self.flows.out_of[:-1]
        least, largest = float(through.min(initial=np.inf)), float(through.max(initial=0.0))
        return float(np.log(largest) - np.log(least)) if least > 0.0 else np.inf

    def goal(self, tol: float) -> float:
        """A tenth of the tolerance where the errors of all others gather at an unknown that is held."""
        return 0.1 * tol if self._holds else tol

    def direction(self, tol: float) -> Array | None:
        """Newton's direction to the accuracy that this iteration can use; None before aggregates are balanced.

        The Jacobian of the log equations, its rows multiplied by the mean of in- and out-cost, differs from the
        symmetric Hessian of the cost by terms of the size of the imbalance. So Newton's quadratic convergence is kept
        if the Hessian takes its place, and conjugate gradients need no more than two passes over the edges a step.
        """
        largest, goal = self.largest, self.goal(tol)
        if self._imbalance is None or not np.isfinite(largest):
            return None
        # The array is used up: a second one would be the peak of memory.
        right, self._imbalance = self._imbalance, None
        right *= -self.hessian.weight
        # Newton all but squares the imbalance: solving to much less than that, or than the tolerance, is wasted.
        direction = self.hessian.solve(
            right,
            goal=max(min(_SHARE, _SQUARED * largest) * largest, 0.5 * goal),
            last_goal=0.5 * goal,
            imbalance=largest,
        )
        if direction is not None:
            direction /= self.flows.exponent
        return direction

    def longest(self, direction: Array) -> float:
        """The longest multiple of a direction, up to 1, that keeps all costs in range."""
        return self.flows.longest(direction)

    def move(self, step: Array) -> None:
        """Go a step, on trial."""
        self.flows.move(step)
        self._step, self._imbalance = step, None

    def retreat(self) -> None:
        """Go back to before the last move."""
        self.flows.move(-self._step)
        self._imbalance = None

    def settle(self) -> None:
        """The step is not needed any more."""
        self._step = np.empty(0)

    def accepts(self, before: Mark, length: float) -> bool:
        """Whether the largest imbalance has fallen; or, far from balance, where that says little, the cost."""
        now = self.largest
        return now <= (1.0 - SUFFICIENT * length) * before.largest or (
            before.largest > _FLAT and now < np.inf and self.log_cost < before.log_cost
        )

    def own_step(self, before: Mark) -> bool:
        """Balance the aggregates of a new preconditioner, or make local sweeps; whether that led anywhere."""
        aggregates_moved = self.hessian.balance_aggregates()
        if not aggregates_moved:
            self.flows.sweep(_SWEEPS, _NEAR)
        self._imbalance = None
        return self.largest < (np.inf if aggregates_moved else _HEADWAY * before.largest)

    def finish(self, tol: float) -> None:
        """Nothing: a further direction would cost passes over the edges."""
