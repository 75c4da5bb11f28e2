"""Approximate solutions with the Hessian of the cost at the present flows of a large network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from balance_graph._types import Array
from balance_graph.linear.conjugate_gradients import Precondition, conjugate_gradients
from balance_graph.points.preconditioner import Preconditioner

if TYPE_CHECKING:
    from balance_graph.points.flows import Flows

# Conjugate gradient steps allowed with one preconditioner, where others or other methods can take over.
_MOST_STEPS = 100


class HessianSolver:
    """Conjugate gradients, with a better preconditioner once the diagonal turns out slow.

    Parameters
    ----------
    flows : Flows
        They may move between solutions. The Hessian is that over p^2.
    preconditioner : Preconditioner or None
        None: the diagonal throughout.
    most_steps : int
        Of conjugate gradients for one solution.

    Attributes
    ----------
    steps : int
        Conjugate gradient steps so far.
    """

    def __init__(self, flows: Flows, preconditioner: Preconditioner | None, most_steps: int = _MOST_STEPS) -> None:
        self._flows, self._preconditioner, self._most_steps = flows, preconditioner, most_steps
        self.steps = self._last_steps = 0

    @property
    def name(self) -> str:
        """The preconditioner in use, in words."""
        return "diagonal preconditioner" if self._preconditioner is None else self._preconditioner.name

    @property
    def weight(self) -> Array:
        """Mean of in-cost and degree times out-cost of each unknown: what residuals are relative to."""
        flows = self._flows
        weight: Array = 0.5 * (flows.into + flows.degree * flows.out_of)[:-1]
        return weight

    def solve(self, right: Array, *, goal: float, last_goal: float, imbalance: float) -> Array | None:
        """A solution to a goal in the maximum norm relative to `weight`, if it can be reached.

        Parameters
        ----------
        right : (size,) array
            Overwritten with what is left of it.
        goal, last_goal : float
            The residual to reach now, and the one that all solutions together are to reach: what pays is judged by it.
        imbalance : float
            Largest imbalance at the present point. Where it is large, and multigrid was set up just now, its
            aggregates are to be balanced before a direction is worth anything: then None is returned.
        """
        better = self._preconditioner
        if better is not None and better.is_due(imbalance, self._last_steps):
            better.set_up(imbalance)
            if better.has_rough_aggregates:
                return None
        solution, left = self._iterate(right, goal, last_goal, imbalance)
        if left > goal and better is not None and better.is_plain:
            better.set_up(imbalance)
            if better.has_rough_aggregates:
                return None
            solution += self._iterate(right, goal, last_goal, imbalance)[0]
        return solution

    def _approximate_inverse(self, diagonal: Array, imbalance: float) -> Precondition:
        """What conjugate gradients are preconditioned by at the present flows, whose Hessian has the given diagonal."""
        if self._preconditioner is None:
            return lambda residual: (residual / diagonal, None)
        return self._preconditioner.here(diagonal, imbalance)

    def balance_aggregates(self) -> bool:
        """Balance the aggregates of a preconditioner that was just set up far from balance; whether there were any."""
        return self._preconditioner is not None and self._preconditioner.balance_aggregates()

    def _iterate(self, right: Array, goal: float, last_goal: float, imbalance: float) -> tuple[Array, float]:
        """A solution and the residual that it leaves."""
        diagonal, weight, better = self._flows.diagonal(), self.weight, self._preconditioner
        first = float(np.abs(right / weight).max(initial=0.0))
        reductions = [1.0]

        def is_slow(reduction: float) -> bool:
            reductions.append(reduction)
            return better is not None and better.is_slow(reductions, last_goal / first)

        solution, self._last_steps, left = conjugate_gradients(
            lambda step, out: self._flows.product(diagonal, step, out),
            right,
            self._approximate_inverse(diagonal, imbalance),
            weight=weight,
            tol=goal,
            max_steps=self._most_steps,
            patience=is_slow,
        )
        self.steps += self._last_steps
        return solution, left
