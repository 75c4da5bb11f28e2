"""The balance problem, solved by a conic backend of cvxpy."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._arguments import check_positive
from balance_graph._choices import did_you_mean
from balance_graph._preparation import preparing
from balance_graph._progress import Report, silent
from balance_graph._time_limit import Deadline, check_time_limit
from balance_graph._types import Array, Form, Sparse
from balance_graph.errors import InvalidParameterError, SolverError
from balance_graph.linear.factorization import factorize
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.manifold import Manifold, check_form
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import FunctionRows, Rows
from balance_graph.problem.solution import History, Outcome, Status
from balance_graph.solvers.convex_problem import cost_expression, log_gain_expressions
from balance_graph.solvers.local.log_sweeps import local_sweeps
from balance_graph.solvers.newton import NewtonSolver

# cvxpy's words for how a backend ended. What is missing has no values to return.
_STATUSES = {
    "optimal": Status.CONVERGED,
    "optimal_inaccurate": Status.INACCURATE,
    "user_limit": Status.LIMIT,
}
# First-order backends stop at 1e-4 unless asked for more.
_OPTIONS: dict[str, dict[str, Any]] = {"SCS": {"eps": 1e-9, "max_iters": 20_000}}
# What backends call a limit on their time, in seconds.
_TIME_LIMITS = {"CLARABEL": "time_limit", "SCS": "time_limit_secs"}
# Conic solvers lose small exponentials of a sum that spans more than this many units of logarithm.
_SPAN = 40.0
_MAX_CENTERING = 50
# They also fail where a few exponentials dwarf the rest: this many sweeps even out most networks, in little time.
_CENTERING = 5


@dataclass(frozen=True)
class CvxpySolver:
    """Solve the convex problem with a cvxpy backend, then polish the answer with Newton's method.

    Parameters
    ----------
    backend : str
        Any conic solver that cvxpy has installed: ``"CLARABEL"``, ``"SCS"``, ...
    form : {"nodes", "cycles", "paths"}
        Description of the linear manifold; all three give the same answer.
    polish : bool
        Follow up with Newton iterations to full precision. Without it interior points leave a relative imbalance of
        1e-7 to 1e-4, and the status is ``inaccurate`` where that is above ``tol``.
    tol : float
        Relative imbalance asked of the answer, polished or not.
    options : mapping
        Passed on to ``cvxpy.Problem.solve``.
    time_limit : float, optional
        Seconds for the backend and polishing. Where the backend's limit comes first (CLARABEL and SCS have one), the
        answer is what it has by then, and the status ``limit reached``; cvxpy's own preparations are not cut short.

    Raises
    ------
    SolverError
        When solving, if the backend returns no values.

    See Also
    --------
    NewtonSolver, StochasticSolver, FlowSolver : The other ways.
    convex_problem : The problem itself, to extend.

    Notes
    -----
    The problem is centered first, because conic solvers stand only a limited range: its costs are taken at a scaling
    from which a few local sweeps have removed the worst spread, in units of their mean; where the backend fails, it
    tries twice more in smaller units. The costs are written in as numbers, which cvxpy prepares in a fraction of the
    time and memory that the parameter of `convex_problem` takes. A `LogConvex` regularizer without `expression` is
    solved as a sequence of quadratic models within a trust region.

    Examples
    --------
    >>> import balance_graph as bg
    >>> result = bg.balance(bg.networks.chain(weights=[1.0, 4.0, 16.0]), solver=bg.CvxpySolver(form="cycles"))
    >>> round(result.cost, 9)
    48.0
    """

    backend: str = "CLARABEL"
    form: Form = "nodes"
    polish: bool = True
    tol: float = 1e-12
    options: Mapping[str, Any] = field(default_factory=dict)
    time_limit: float | None = None

    name = "cvxpy"

    def __post_init__(self) -> None:
        check_form(self.form)
        check_positive(self.tol, "CvxpySolver: tol")
        check_time_limit(self.time_limit, "CvxpySolver: time_limit")
        if not isinstance(self.backend, str):
            message = f"CvxpySolver: backend must be the name of a cvxpy solver, got {self.backend!r}"
            raise InvalidParameterError(message)
        if not isinstance(self.polish, (bool, np.bool_)):
            message = f"CvxpySolver: polish must be True or False, got {self.polish!r}"
            raise InvalidParameterError(message)
        if not isinstance(self.options, Mapping):
            message = f"CvxpySolver: options must be a mapping of settings of the backend, got {self.options!r}"
            raise InvalidParameterError(message)

    def run(self, quotient: Quotient, *, report: Report = silent) -> Outcome:
        """Solve a reduced problem."""
        deadline, history = Deadline(self.time_limit), History()
        displacement, iterations = np.zeros(quotient.size), 0
        try:
            _record(quotient, displacement, history, report)
            if quotient.size == 0:
                return Outcome(quotient.center, Status.CONVERGED, 0, history)
            with preparing():
                import cvxpy  # noqa: F401 - most of the time of a first small solve
            displacement, status, iterations = self._answer_in_time(quotient, deadline)
            state = _record(quotient, displacement, history, report)
        except KeyboardInterrupt:
            notes: tuple[str, ...] = (f"backend: {self.backend}",)
            return Outcome(quotient.expand(displacement), Status.INTERRUPTED, iterations, history, notes)
        notes = (f"backend: {self.backend}, form: {self.form}, backend's answer: {status}",)
        if not self.polish:
            if history.imbalance[-1] <= max(self.tol, state.rounding):
                status = Status.CONVERGED
            elif status is Status.CONVERGED:
                status = Status.INACCURATE
            return Outcome(state.log_scales, status, iterations, history, notes)
        newton = NewtonSolver(tol=self.tol, engine="rows", time_limit=deadline.seconds_left)
        polished = newton.run(quotient, start=displacement, report=report)
        history.log_cost.extend(polished.history.log_cost[1:])
        history.imbalance.extend(polished.history.imbalance[1:])
        notes = (*notes, f"polished by {polished.iterations} Newton iterations", *polished.notes)
        return Outcome(polished.log_scales, polished.status, iterations + polished.iterations, history, notes)

    def _answer_in_time(self, quotient: Quotient, deadline: Deadline) -> tuple[Array, Status, int]:
        """The backend's answer; no displacement where time is over before there is one."""
        try:
            return self._answer(quotient, deadline)
        except SolverError:
            if not deadline.is_past:
                raise
            return np.zeros(quotient.size), Status.LIMIT, 0

    def _answer(self, quotient: Quotient, deadline: Deadline) -> tuple[Array, Status, int]:
        center = local_sweeps(quotient, _SPAN, _MAX_CENTERING, least=_CENTERING)
        if not np.isfinite(quotient.log_cost(center)):  # sweeps ended where a function of the user no longer holds
            center = np.zeros(quotient.size)
        if isinstance(quotient.rows, FunctionRows) and not quotient.rows.regularizer.is_expressible:
            return self._sequential(quotient, center, deadline)
        return self._direct(quotient, center, deadline)

    def _direct(self, quotient: Quotient, center: Array, deadline: Deadline) -> tuple[Array, Status, int]:
        """Solve in units of each kind in turn, until the backend manages one."""
        choices = _log_coefficients(quotient.rows, quotient.log_gains(center))
        for log_coefficients in choices[:-1]:
            with contextlib.suppress(SolverError):
                return self._stated(quotient, center, log_coefficients, deadline)
        return self._stated(quotient, center, choices[-1], deadline)

    def _stated(
        self, quotient: Quotient, center: Array, log_coefficients: Array, deadline: Deadline
    ) -> tuple[Array, Status, int]:
        """Solve the problem with its log coefficients written in as numbers.

        With a `cvxpy.Parameter` in their place cvxpy would keep track of how all it compiles depends on each, in
        arrays of the size of edges times unknowns and edges.
        """
        import cvxpy as cp

        if self.form == "nodes":
            step = cp.Variable(quotient.size)
            cost = cost_expression(quotient.rows, log_coefficients, sparse.csr_matrix(quotient.matrix) @ step)
            status, iterations = self._solve(cp.Problem(cp.Minimize(cost)), step, deadline)
            return center + np.asarray(step.value, dtype=float), status, iterations
        manifold, rows = _live_manifold(quotient)
        log_gains, constraints = log_gain_expressions(manifold, self.form)
        cost = cost_expression(rows, log_coefficients, log_gains[rows.edge])
        status, iterations = self._solve(cp.Problem(cp.Minimize(cost), constraints), log_gains, deadline)
        gains = np.asarray(log_gains.value, dtype=float)[rows.edge]
        return center + _least_squares(quotient.matrix, gains), status, iterations

    def _sequential(self, quotient: Quotient, center: Array, deadline: Deadline) -> tuple[Array, Status, int]:
        """Minimize quadratic models of the cost in a trust region until the steps vanish."""
        import cvxpy as cp

        step = cp.Variable(quotient.size)
        slope = cp.Parameter(quotient.rows.edge.size)
        root = cp.Parameter(quotient.rows.edge.size, nonneg=True)
        radius = cp.Parameter(nonneg=True, value=1.0)
        change = sparse.csr_matrix(quotient.matrix) @ step
        model = cp.Problem(
            cp.Minimize(slope @ change + 0.5 * cp.sum_squares(cp.multiply(root, change))),
            [cp.norm_inf(change) <= radius],
        )
        displacement, total = center, 0
        for _ in range(200):
            if deadline.is_past:
                break
            log_slopes, ratio = quotient.log_slopes(displacement)
            flows = np.exp(log_slopes - log_slopes.max())
            slope.value, root.value = flows, np.sqrt(flows * ratio)
            _, iterations = self._solve(model, change, deadline)
            total += iterations
            candidate = displacement + np.asarray(step.value)
            if quotient.log_cost(candidate) <= quotient.log_cost(displacement) + 1e-14:
                displacement, radius.value = candidate, min(2.0 * radius.value, 8.0)
            else:
                radius.value = 0.25 * radius.value
            if np.abs(change.value).max() < 1e-7 or radius.value < 1e-9:
                return displacement, Status.CONVERGED, total
        return displacement, Status.LIMIT, total

    def _solve(self, problem: Any, values: Any, deadline: Deadline) -> tuple[Status, int]:
        import cvxpy as cp

        if self.backend not in cp.installed_solvers():
            installed = cp.installed_solvers()
            hint = did_you_mean(self.backend, installed)
            message = f"cvxpy backend {self.backend!r} is not installed; installed: {', '.join(installed)}{hint}"
            raise InvalidParameterError(message)
        if deadline.is_past:
            message = f"cvxpy with {self.backend} has no time left"
            raise SolverError(message)
        options = {**_OPTIONS.get(self.backend, {}), **self.options}
        if deadline.seconds_left is not None and self.backend in _TIME_LIMITS:
            options.setdefault(_TIME_LIMITS[self.backend], deadline.seconds_left)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # inaccuracy is reported by the status and the certificate
            try:
                problem.solve(solver=self.backend, **options)
            except cp.error.SolverError as error:
                message = f"cvxpy with {self.backend} failed: {error}; use solver='newton'"
                raise SolverError(message) from error
            except (TypeError, ValueError) as error:
                if not self.options:
                    raise
                message = f"CvxpySolver: {self.backend} does not take the options {dict(self.options)!r}: {error}"
                raise InvalidParameterError(message) from error
        if problem.status not in _STATUSES or values.value is None or not np.all(np.isfinite(values.value)):
            message = f"cvxpy with {self.backend} returned {problem.status!r} and no values; use solver='newton'"
            raise SolverError(message)
        return _STATUSES[problem.status], int(problem.solver_stats.num_iters or 0)


def _record(quotient: Quotient, displacement: Array, history: History, report: Report) -> RowsPoint:
    state = RowsPoint(quotient, displacement)
    history.add(quotient.log_cost(displacement), float(np.tanh(0.5 * state.largest)))
    report(len(history) - 1, history.log_cost[-1], history.imbalance[-1])
    return state


def _log_coefficients(rows: Rows, log_gains: Array) -> list[Array]:
    """Log coefficients of the rows at log-gains, in one or more units, best first.

    Which unit suits a conic solver shows only when it is tried. In units of the mean cost the sum is the number of
    edges and no exponential is far above it: of the units tried on layered, random, heavy-tailed, scale-free and
    grid networks it alone failed on none. Smaller units suit networks where a few costs still dwarf the others.
    """
    if isinstance(rows, FunctionRows):
        return [rows.log_weight + log_gains]
    values = rows.log_costs(log_gains)
    mean, median = log_sum(values) - np.log(values.size), float(np.median(values))
    return [values - unit for unit in (mean, 0.5 * (mean + median), median)]


def _live_manifold(quotient: Quotient) -> tuple[Manifold, Rows]:
    """The manifold of the edges that cost something, and the rows renumbered to them."""
    edges, place = np.unique(quotient.rows.edge, return_inverse=True)
    manifold, kept = quotient.problem.manifold.restricted(edges)
    return manifold, quotient.rows.renumbered(np.searchsorted(kept, edges)[place])


def _least_squares(matrix: Sparse, gains: Array) -> Array:
    """The displacement whose log-gains are nearest to the given ones."""
    solve = factorize(matrix.T @ matrix)
    if solve is None:
        message = "the backend's log-gains do not determine the scales; use form='nodes', or solver='newton'"
        raise SolverError(message)
    return solve(matrix.T @ gains)
