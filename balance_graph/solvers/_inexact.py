"""Inexact Newton for large networks: Krylov inner solves over the flows, preconditioned by multigrid when it pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from balance_graph._types import Array
from balance_graph.flows import Flows
from balance_graph.krylov import Operator, flexible_gmres
from balance_graph.multigrid import Multigrid
from balance_graph.progress import Report
from balance_graph.solution import History, Status

# Local sweeps at the start: they remove what is rough, so that the first Newton steps see a nearly balanced network.
_SWEEPS = 2
# Krylov steps allowed without and with multigrid.
_PLAIN_STEPS, _MULTIGRID_STEPS = 30, 40
# Multigrid costs about as much as this many plain steps, so it is set up when more seem to be missing.
_PATIENCE = 12
_SUFFICIENT = 1e-4
_SHORTEST = 1.0 / 64.0


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
    _multigrid: Multigrid | None = None
    _weight: Array | None = None

    def run(self, report: Report) -> Status:
        """Move the flows to balance; whatever the status, they are left at a valid point."""
        # Threads of the BLAS fight with one another over vectors this short.
        with threadpool_limits(1, "blas"):
            try:
                for _ in range(_SWEEPS):
                    self.flows.sweep()
                return self._iterate(report)
            except KeyboardInterrupt:
                return Status.INTERRUPTED

    def _iterate(self, report: Report) -> Status:
        while True:
            into, out_of, log_cost = self.flows.in_out()
            imbalance = self._imbalance(into, out_of)
            largest = float(np.abs(imbalance).max(initial=0.0))
            if not np.isfinite(largest):
                return Status.STALLED
            self.history.add(np.logaddexp(log_cost, self.log_constant), float(np.tanh(0.5 * largest)))
            report(self.iterations, self.history.log_cost[-1], self.history.imbalance[-1])
            if self.history.imbalance[-1] <= self.tol:
                return Status.CONVERGED
            if self.iterations == self.max_iterations:
                return Status.LIMIT
            direction = self._direction(into, out_of, imbalance, largest)
            if not self._step(direction, largest):
                return Status.STALLED
            self.iterations += 1

    def _imbalance(self, into: Array, out_of: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            difference: Array = np.log(into) - np.log(self.flows.degree[:-1] * out_of)
        return difference

    def _direction(self, into: Array, out_of: Array, imbalance: Array, largest: float) -> Array:
        """Newton's direction to the accuracy that this iteration can use."""
        # Quadratic convergence squares the imbalance: solving to less than that, or than the tolerance, is wasted.
        forcing = max(min(0.1, 0.3 * largest), 0.2 * self.tol / largest, 1e-6)
        operator = self.flows.jacobian(into, out_of)
        direction, missing = self._solve(operator, imbalance, forcing)
        if self._multigrid is None and missing > _PATIENCE:
            self._multigrid, self._weight = Multigrid(self.flows.laplacian(into, out_of)), into
            correction, _ = self._solve(operator, imbalance + operator(direction), forcing)
            direction = direction + correction
        return direction

    def _solve(self, operator: Operator, imbalance: Array, forcing: float) -> tuple[Array, float]:
        """A direction, and how many more steps it seemed to need."""
        limit = _PLAIN_STEPS if self._multigrid is None else _MULTIGRID_STEPS
        direction, steps, residual = flexible_gmres(
            operator, -imbalance, self._preconditioner(), tol=forcing, max_steps=limit, patience=self._is_slow
        )
        self.krylov_steps += steps
        rate = np.log(residual) / max(steps, 1) if 0.0 < residual < 1.0 else -1e-3
        return direction, 0.0 if residual <= forcing else float(np.log(forcing / residual) / rate)

    def _is_slow(self, steps: int, residual: float, tol: float) -> bool:
        """Whether the steps so far predict too many more without multigrid."""
        if self._multigrid is not None or steps < 8 or residual <= tol:
            return False
        rate = np.log(min(residual, 0.999)) / steps
        return bool(np.log(tol / residual) / rate > 2 * _PATIENCE)

    def _preconditioner(self) -> Callable[[Array], Array]:
        diagonal = self.flows.exponent * (1.0 + self.flows.degree[:-1])
        multigrid, weight = self._multigrid, self._weight
        if multigrid is None or weight is None:
            return lambda residual: residual / diagonal
        # Each row of the Jacobian is a row of the symmetric matrix divided by the in-cost.
        return lambda residual: multigrid(weight * residual) / self.flows.exponent

    def _step(self, direction: Array, largest: float) -> bool:
        """Move along the direction, halved until it lowers ``max|F|``; a local sweep in the end. False if stuck."""
        length = 1.0
        while length >= _SHORTEST:
            self.flows.move(length * direction)
            if self._largest() <= (1.0 - _SUFFICIENT * length) * largest:
                return True
            self.flows.move(-length * direction)
            length *= 0.5
        self.flows.sweep()  # lowers the cost for certain, though perhaps not the largest imbalance at once
        return self._largest() < 0.999 * largest

    def _largest(self) -> float:
        into, out_of, _ = self.flows.in_out()
        largest = float(np.abs(self._imbalance(into, out_of)).max(initial=0.0))
        return largest if np.isfinite(largest) else np.inf

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen on the way."""
        if self._multigrid is None:
            return (f"inexact Newton: {self.krylov_steps} Krylov steps, diagonal preconditioner",)
        levels = " > ".join(map(str, self._multigrid.sizes))
        return (f"inexact Newton: {self.krylov_steps} Krylov steps, multigrid over {levels} unknowns",)
