"""Inexact Newton for large networks: conjugate gradients over the flows, preconditioned by multigrid when it pays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from threadpoolctl import threadpool_limits

from balance_graph._types import Array, Index
from balance_graph.banded import Band
from balance_graph.flows import Flows
from balance_graph.krylov import Operator, conjugate_gradients
from balance_graph.multigrid import Multigrid
from balance_graph.progress import Report
from balance_graph.solution import History, Status

# Local sweeps at the start remove what is rough: until in- and out-costs are within a factor e, as far as that goes.
_SWEEPS, _NEAR = 10, np.e
# What is not balanced after so many iterations (3 to 15 are the rule) is not on its way to be.
_MOST_ITERATIONS = 40
# Conjugate gradient steps allowed in one direction.
_MOST_STEPS = 100
# Plain steps after which their number is predicted, where a factorization in a band or multigrid could take over; and
# the number from which those cost less.
_BAND_TRIAL, _BAND_PAYS = 8, 25
_MULTIGRID_TRIAL, _MULTIGRID_PAYS = 40, 200
# Multiplications per edge up to which a factorization in a band is cheap.
_NARROW = 1000.0
# A preconditioner set up at an imbalance this many times the present one, and over 0.1, is renewed once it needs more
# steps than this.
_STALE, _STALE_STEPS = 3.0, 12
# Local sweeps on each level of aggregates, and on the coarsest.
_LEVEL_SWEEPS, _COARSEST_SWEEPS = 2, 30
_SUFFICIENT = 1e-4
_SHORTEST = 1.0 / 64.0
# Below this imbalance, the cost is too flat to tell progress by.
_FLAT = 0.3


@dataclass
class InexactNewton:
    """The state of a run: flows, preconditioner, counts."""

    flows: Flows
    tol: float
    max_iterations: int
    log_constant: float
    history: History = field(default_factory=History)
    iterations: int = 0
    krylov_steps: int = 0
    _better: Operator | None = None
    _set_up_at: float = np.inf
    _last_steps: int = 0
    _name: str = "diagonal preconditioner"

    def run(self, report: Report) -> Status:
        """Move the flows to balance; whatever the status, they are left at a valid point."""
        # Threads of the BLAS fight with one another over vectors this short.
        with threadpool_limits(1, "blas"):
            try:
                self.flows.sweep(_SWEEPS, _NEAR)
                return self._iterate(report)
            except KeyboardInterrupt:
                return Status.INTERRUPTED
            except ZeroDivisionError:  # a cost has left the range of floats
                return Status.STALLED

    def _iterate(self, report: Report) -> Status:
        while True:
            imbalance = self.flows.imbalance()
            largest = float(np.abs(imbalance).max(initial=0.0))
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
            direction = self._direction(imbalance, largest)
            if direction is not None and not self._step(direction, largest):
                return Status.STALLED
            self.iterations += 1

    def _direction(self, imbalance: Array, largest: float) -> Array | None:
        """Newton's direction to the accuracy that this iteration can use; None if the flows were moved instead.

        The Jacobian of the log equations, its rows multiplied by the mean of in- and out-cost, differs from the
        symmetric Hessian of the cost by terms of the size of the imbalance. So Newton's quadratic convergence is kept
        if the Hessian takes its place, and conjugate gradients need no more than two passes over the edges a step.
        """
        flows = self.flows
        weight = 0.5 * (flows.into + flows.degree * flows.out_of)[:-1]
        right = -weight * imbalance
        # Newton squares the imbalance: solving to less than that, or than the tolerance, is wasted.
        goal = max(min(0.1, largest) * largest, 0.5 * self.tol)
        if self._is_stale(largest) and self._set_up(largest):
            return None
        direction, left = self._solve(right, weight, goal)
        if left > goal and self._better is None:
            if self._set_up(largest):
                return None
            rest = right - flows.product(flows.diagonal(), direction)
            correction, _ = self._solve(rest, weight, goal)
            direction = direction + correction
        return direction / flows.exponent

    def _is_stale(self, largest: float) -> bool:
        far = self._set_up_at > 0.1 and self._set_up_at > _STALE * largest
        return self._better is not None and far and self._last_steps > _STALE_STEPS

    def _solve(self, right: Array, weight: Array, goal: float) -> tuple[Array, float]:
        """A solution with the Hessian, and the residual left."""
        diagonal = self.flows.diagonal()
        first = float(np.abs(right / weight).max())
        is_narrow = self._is_cheap(self._band)
        trial, pays = (_BAND_TRIAL, _BAND_PAYS) if is_narrow else (_MULTIGRID_TRIAL, _MULTIGRID_PAYS)
        reductions = [1.0]

        def is_slow(steps: int, reduction: float) -> bool:
            reductions.append(reduction)
            if self._better is not None or steps < trial:
                return False
            # The first steps settle what few modes are slow; the rate is that of the later half.
            rate = np.log(min(reduction / reductions[steps // 2], 0.999)) / (steps - steps // 2)
            return bool(np.log(0.5 * self.tol / first) / rate > pays)

        solution, self._last_steps, left = conjugate_gradients(
            lambda step: self.flows.product(diagonal, step),
            right,
            self._better or (lambda residual: residual / diagonal),
            weight=weight,
            tol=goal,
            max_steps=_MOST_STEPS,
            patience=is_slow,
        )
        self.krylov_steps += self._last_steps
        return solution, left

    @cached_property
    def _band(self) -> Band:
        return Band.as_given(self.flows.outward)

    def _is_cheap(self, band: Band) -> bool:
        return band.operations <= _NARROW * self.flows.n_edges

    def _set_up(self, largest: float) -> bool:
        """Set up the preconditioner that suits the network; whether the flows were moved meanwhile."""
        self._set_up_at, flows = largest, self.flows
        if not self._is_cheap(self._band):
            self._band = Band.by_levels(flows.outward)
        if self._is_cheap(self._band):
            solve = self._band.factorized(flows.outward, flows.degree, flows.diagonal())
            if solve is not None:
                self._better, self._name = solve, f"Cholesky factorization in a band of {self._band.width}"
                return False
        multigrid = Multigrid(flows.laplacian())
        moved = largest > _FLAT and bool(np.all(flows.degree == 1.0))
        if moved:
            _balance_aggregates(flows, multigrid.aggregates)
            multigrid, self._set_up_at = Multigrid(flows.laplacian()), self._largest()
        levels = " > ".join(map(str, multigrid.sizes))
        self._better, self._name = multigrid, f"multigrid over {levels} unknowns"
        return moved

    def _step(self, direction: Array, largest: float) -> bool:
        """Move along the direction, halved until it makes progress; local sweeps in the end. False if stuck."""
        log_cost = self.flows.log_cost
        length = self.flows.longest(direction)
        shortest = length * _SHORTEST
        while length >= shortest:
            self.flows.move(length * direction)
            if self._progress(log_cost, largest, length):
                return True
            self.flows.move(-length * direction)
            length *= 0.5
        self.flows.sweep(_SWEEPS, _NEAR)
        return self._largest() < 0.999 * largest

    def _progress(self, log_cost: float, largest: float, length: float) -> bool:
        """Whether the largest imbalance has fallen; or, far from balance, where that says little, the cost."""
        now = self._largest()
        return now <= (1.0 - _SUFFICIENT * length) * largest or (
            largest > _FLAT and now < np.inf and self.flows.log_cost < log_cost
        )

    def _largest(self) -> float:
        largest = float(np.abs(self.flows.imbalance()).max(initial=0.0))
        return largest if np.isfinite(largest) else np.inf

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen on the way."""
        return (f"inexact Newton: {self.krylov_steps} Krylov steps, {self._name}",)


def _balance_aggregates(flows: Flows, aggregates: list[Index]) -> None:
    """Local sweeps over aggregates of unknowns, from the coarsest level to the finest: each step lowers the cost.

    A cluster that is weakly attached must move by far more than the imbalances of its unknowns show, which Newton's
    method on the unknowns finds out only by and by. As one unknown of the network of aggregates it moves at once.
    """
    if not aggregates:
        flows.sweep(_COARSEST_SWEEPS, 1.01)
        return
    flows.sweep(_LEVEL_SWEEPS, 1.01)
    coarse = flows.aggregated(aggregates[0], int(aggregates[0].max()) + 1)
    _balance_aggregates(coarse, aggregates[1:])
    flows.move(coarse.log_scales[aggregates[0]])
    flows.sweep(_LEVEL_SWEEPS, 1.01)
