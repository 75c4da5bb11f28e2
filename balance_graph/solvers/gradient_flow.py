"""The balancing flow: all units move at once, in continuous time, each down the slope of its own imbalance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from balance_graph._arguments import check_count, check_positive
from balance_graph._choices import check_choice
from balance_graph._preparation import preparing
from balance_graph._progress import Report, silent
from balance_graph._time_limit import Deadline, check_time_limit
from balance_graph._types import Array, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.linear.factorization import Solve, factorize
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.rows import rounding_of
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import History, Outcome, Status

METHODS = ("BDF", "Radau")
# The unit of time is chosen anew when the sum of flows has fallen by this factor (as a logarithm): far less than the
# range of floats (709), so that no flow that matters underflows, and far more than a run from an ordinary start needs.
_RENEW = 230.0
# By this time, in its unit, a flow of one part in 1e150 of the largest would have come to rest.
_END_OF_TIME = 1e200


@dataclass(frozen=True)
class FlowSolver:
    """The balancing flow ``dl/dt = -A^T y``: gradient flow of the cost in the log-scales, by a stiff integrator.

    Parameters
    ----------
    method : {"BDF", "Radau"}
        The integrator of `scipy.integrate`, both implicit and with the exact sparse Jacobian ``-A^T D A``.
    accuracy : float
        Error allowed in a step, absolute and relative to the log-scales: how closely the path is followed. The
        end of the path does not depend on it.
    tol : float
        Stop when the largest relative imbalance is at most this, or what rounding allows.
    max_steps : int
        Limit on the steps of the integrator.
    record : bool
        Keep the log-scales after every step in ``history.log_scales``, the times in ``history.times`` and the
        largest deviation of a conserved path product in ``history.path_deviation``.
    time_limit : float, optional
        Seconds after which the run ends with the state reached, as ``limit reached``; a factorization at work is
        waited for.

    See Also
    --------
    CvxpySolver, NewtonSolver, StochasticSolver : The other ways.

    Notes
    -----
    The flow of Stock, Harvey, Ocko and Ganguli 2022, on every problem of this package: any degrees, several exponents,
    tied nodes. Its limit is the unique optimum. Along the way the products of weights along paths between pinned
    nodes are conserved, each weight to the power that the equations of the linear manifold give it.

    Time is counted in units of one over the sum of all flows at the start, and in a new unit whenever that sum has
    fallen by a factor 1e100. That changes how fast the path is run through, not the path, and keeps far starts
    within the range of floats. The path is that of the unknowns that are left when gauges are fixed.

    Where flows of very different size meet, the slowest units move slowly beyond all measure; steps grow with the time
    that has passed, so this costs few of them, but what rounding leaves of the large flows can hide the small ones,
    as it does for local balancing.

    Examples
    --------
    >>> import balance_graph as bg
    >>> result = bg.balance(bg.networks.layered([3, 4, 2], rng=0), solver=bg.FlowSolver())
    >>> result.converged, result.relative_imbalance < 1e-12
    (True, True)
    """

    method: Literal["BDF", "Radau"] = "BDF"
    accuracy: float = 1e-4
    tol: float = 1e-12
    max_steps: int = 10_000
    record: bool = False
    time_limit: float | None = None

    name = "flow"

    def __post_init__(self) -> None:
        check_choice(self.method, "FlowSolver: method", METHODS)
        if not 1e-12 <= check_positive(self.accuracy, "FlowSolver: accuracy") <= 0.1:
            message = f"FlowSolver: accuracy must lie between 1e-12 and 0.1, got {self.accuracy!r}"
            raise InvalidParameterError(message)
        check_positive(self.tol, "FlowSolver: tol")
        check_count(self.max_steps, "FlowSolver: max_steps")
        check_time_limit(self.time_limit, "FlowSolver: time_limit")

    def run(self, quotient: Quotient, *, report: Report = silent) -> Outcome:
        """Follow the flow of a reduced problem from its center."""
        deadline, history = Deadline(self.time_limit), History()
        monitor = _Monitor(quotient, history, record=self.record)
        displacement = np.zeros(quotient.size)
        steps, status = 0, Status.STALLED
        converged = monitor.add(0.0, displacement, self.tol)
        try:
            report(0, history.log_cost[-1], history.imbalance[-1])
            path = _path(quotient, self.method, self.accuracy, deadline)
            while not (converged or steps == self.max_steps or deadline.is_past):
                point = next(path, None)
                if point is None:
                    break
                time, displacement = point
                steps += 1
                converged = monitor.add(time, displacement, self.tol)
                report(steps, history.log_cost[-1], history.imbalance[-1])
            else:
                status = Status.CONVERGED if converged else Status.LIMIT
        except _LateError:
            status = Status.LIMIT
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        notes = (f"integrator: {self.method}", *monitor.notes)
        return Outcome(quotient.expand(displacement), status, steps, history, notes)


class _LateError(Exception):
    """The time is over in the middle of a step."""


class _Monitor:
    """Cost, imbalance and conserved products along the path, each computed afresh from the displacement."""

    def __init__(self, quotient: Quotient, history: History, *, record: bool) -> None:
        self.quotient, self.history, self.record = quotient, history, record
        self.equations = BalanceEquations(quotient.matrix)
        self.paths: Sparse = quotient.problem.manifold.equations("cycles") if record else None

    def add(self, time: float, displacement: Array, tol: float) -> bool:
        """Record a state; whether it is balanced to the tolerance or to rounding."""
        log_slopes, _ = self.quotient.log_slopes(displacement)
        largest = float(np.abs(self.equations.imbalance(log_slopes)).max(initial=0.0))
        imbalance = float(np.tanh(0.5 * largest))
        self.history.add(self.quotient.log_cost(displacement), imbalance)
        if self.record:
            self.history.log_scales.append(self.quotient.expand(displacement))
            self.history.times.append(time)
            self.history.path_deviation.append(self._path_deviation(displacement))
        return imbalance <= max(tol, rounding_of(log_slopes))

    def _path_deviation(self, displacement: Array) -> float:
        """Largest logarithm of a path product over its initial value, relative to the log-gains that enter it."""
        log_gains = self.quotient.problem.log_gains(self.quotient.expand(displacement))
        deviation = np.abs(self.paths @ log_gains) / np.maximum(1.0, np.abs(self.paths) @ np.abs(log_gains))
        return float(deviation.max(initial=0.0))

    @property
    def notes(self) -> tuple[str, ...]:
        """The worst deviation of a conserved product, where it was recorded."""
        if not self.record:
            return ()
        return (f"path products conserved to {max(self.history.path_deviation):.2g}, relatively",)


def _path(quotient: Quotient, method: str, accuracy: float, deadline: Deadline) -> Iterator[tuple[float, Array]]:
    """Time (in the first unit, inf beyond floats) and displacement after each step; ends where nothing moves on."""
    equations = BalanceEquations(quotient.matrix)
    displacement, elapsed, best = np.zeros(quotient.size), 0.0, np.inf
    first = _log_total(quotient, displacement)
    while True:
        unit = _log_total(quotient, displacement)
        integrator = _integrator(quotient, displacement, unit, method, accuracy, deadline)
        passed = 0.0
        while integrator.t < _END_OF_TIME and _log_total(quotient, displacement) > unit - _RENEW:
            with np.errstate(all="ignore"):  # trial points of an implicit step may lie anywhere; they are rejected
                try:
                    integrator.step()
                except RuntimeError:  # a Jacobian there that cannot be factorized
                    return
                passed = elapsed + float(integrator.t * np.exp(first - unit))
            if integrator.status == "failed" or not np.all(np.isfinite(integrator.y)):
                return
            displacement = integrator.y.copy()
            yield passed, displacement
        elapsed = passed
        largest = float(np.abs(equations.imbalance(quotient.log_slopes(displacement)[0])).max(initial=0.0))
        # At the end of time a fresh Jacobian may still help; where it does not, rounding holds the rest in place.
        if integrator.t >= _END_OF_TIME and largest > 0.5 * best:
            return
        best = min(best, largest)


def _log_total(quotient: Quotient, displacement: Array) -> float:
    """Logarithm of the sum of all flows."""
    return log_sum(quotient.log_slopes(displacement)[0])


def _integrator(quotient: Quotient, start: Array, unit: float, method: str, accuracy: float, deadline: Deadline) -> Any:
    """The integrator of the flow, with flows in units of ``exp(unit)``."""
    with preparing():
        from scipy import integrate

    matrix = quotient.matrix
    transposed = sparse.csr_array(matrix.T)

    def velocity(_: float, displacement: Array) -> Array:
        if deadline.is_past:
            raise _LateError
        log_slopes, _ratio = quotient.log_slopes(displacement)
        return np.asarray(-(transposed @ np.exp(log_slopes - unit)))

    def jacobian(_: float, displacement: Array) -> Any:
        log_slopes, ratio = quotient.log_slopes(displacement)
        curvature = sparse.diags_array(ratio * np.exp(log_slopes - unit))
        return sparse.csc_matrix(-(transposed @ curvature @ matrix))

    settings: dict[str, Any] = {"jac": jacobian, "rtol": accuracy, "atol": accuracy}
    integrator = getattr(integrate, method)(velocity, 0.0, start, np.inf, **settings)
    if method == "BDF" and start.size:  # SciPy's own factorization does not look whether it can be afforded
        integrator.lu, integrator.solve_lu = _factorized, lambda solve, right: solve(right)
    return integrator


def _factorized(matrix: Any) -> Solve:
    solve = factorize(matrix)
    if solve is None:
        message = "the matrix is singular"
        raise RuntimeError(message)
    return solve
