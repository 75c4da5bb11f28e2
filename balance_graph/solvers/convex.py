"""The balance problem in cvxpy: built to be read and extended, or solved as it is."""

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
from balance_graph._types import Array, Form, Sparse
from balance_graph.errors import InvalidParameterError, InvalidRegularizerError, SolverError, UnsupportedError
from balance_graph.linear.factorization import factorize
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.elimination import independent_rows
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.manifold import Manifold, check_form
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import FunctionRows, PowerRows, Rows
from balance_graph.problem.solution import History, Outcome, Status
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
# Conic solvers lose small exponentials of a sum that spans more than this many units of logarithm.
_SPAN = 40.0
_MAX_CENTERING = 50
# They also fail where a few exponentials dwarf the rest: this many sweeps even out most networks, in little time.
_CENTERING = 5


@dataclass(frozen=True, eq=False, repr=False)
class ConvexProblem:
    """A balance problem as a cvxpy problem.

    Attributes
    ----------
    problem : cvxpy.Problem
        Minimize the cost over the linear manifold.
    log_gains : cvxpy expression of shape (n_edges,)
        One log-gain per edge, in the order of `edges`: use it in constraints and terms of your own.
    edges : list of (node, node)
    log_coefficients : cvxpy.Parameter
        Logarithm of the cost of each row at ``log_gains = 0`` (for a `LogConvex` regularizer the log-weights): the
        problem is compiled once and solved again for new weights, see `set_weights`. What cvxpy compiles for that
        grows with edges times nodes (1.5 GB at 10 000 edges): solve large problems with ``.solve(ignore_dpp=True)``,
        which takes the parameter's present value as a number.
    manifold : Manifold
    rows : Rows
        The cost as it was compiled.

    See Also
    --------
    convex_problem : Returns it.

    Examples
    --------
    No weight of a chain may grow by more than a factor of 1.2:

    >>> import balance_graph as bg, cvxpy as cp, numpy as np
    >>> model = bg.convex_problem(bg.networks.chain(weights=[1.0, 4.0, 16.0]), 2.0)
    >>> limited = cp.Problem(model.problem.objective, [*model.problem.constraints, model.log_gains <= np.log(1.2)])
    >>> _ = limited.solve()
    >>> bool(model.log_gains.value.max() <= np.log(1.2) + 1e-6)
    True
    """

    problem: Any
    log_gains: Any
    edges: list[tuple[Any, Any]]
    log_coefficients: Any
    manifold: Manifold
    rows: Rows = field(repr=False)

    def __repr__(self) -> str:
        constraints = len(self.problem.constraints)
        return f"ConvexProblem({self.manifold!r}, {constraints} constraint{'s' * (constraints != 1)})"

    def set_weights(self, problem: BalanceProblem) -> None:
        """Take over the weights of a problem of the same architecture (and pattern of zeros), without recompiling.

        Raises
        ------
        InvalidParameterError
            If edges, zeros, regularizer or exponents (for `LogConvex` coefficients) are others.
        """
        rows = problem.rows
        if problem.manifold.edges != self.edges or set(rows.edge.tolist()) != set(self.rows.edge.tolist()):
            message = "set_weights needs the same edges in the same order and the same zeros; build anew instead"
            raise InvalidParameterError(message)
        if not _cost_alike(rows, self.rows):
            costs = f"{problem.regularizer!r} or the exponents (for LogConvex coefficients) of edges"
            message = f"set_weights changes weights, not what they cost: {costs} are others; build anew instead"
            raise InvalidParameterError(message)
        self.log_coefficients.value = _parameter_values(rows)

    def log_scales(self) -> dict[Any, float]:
        """Log-scale of every free node after `problem` has been solved."""
        if self.log_gains.value is None:
            message = "the problem has no values yet: call .problem.solve() first"
            raise SolverError(message)
        log_scales = self.manifold.log_scales_of(np.asarray(self.log_gains.value))
        return {self.manifold.nodes[k]: float(log_scales[k]) for k in self.manifold.free_nodes.tolist()}


def build_convex_problem(
    manifold: Manifold, rows: Rows, *, form: Form = "nodes", max_paths: int = 10_000
) -> ConvexProblem:
    """Minimize the cost of the rows over the manifold, in one of its three forms."""
    import cvxpy as cp

    check_form(form)
    parameter = _parameter(rows.edge.size)
    parameter.value = _parameter_values(rows)
    log_gains, constraints = _log_gains(manifold, form, max_paths)
    cost = _cost(rows, parameter, log_gains[rows.edge]) if rows.edge.size else cp.Constant(0.0)
    return ConvexProblem(
        cp.Problem(cp.Minimize(cost), constraints), log_gains, manifold.edges, parameter, manifold, rows
    )


def _parameter(size: int) -> Any:
    """One log coefficient per row."""
    import cvxpy as cp

    try:
        return cp.Parameter(size, name="log_coefficients")
    except ValueError as error:
        if size:
            raise
        message = (
            "this network has no nonzero weight, and expressions without entries need cvxpy 1.9 or newer; "
            f"this is {cp.__version__}"
        )
        raise UnsupportedError(message) from error


def _log_gains(manifold: Manifold, form: Form, max_paths: int = 10_000) -> tuple[Any, list[Any]]:
    """The log-gain of every edge as a cvxpy expression, and the constraints that keep it on the manifold."""
    import cvxpy as cp

    if form == "nodes":
        matrix = manifold.reduced_incidence
        if matrix.shape[1] == 0:  # nothing can be scaled; not every cvxpy has variables without entries
            return cp.Constant(np.zeros(manifold.n_edges)), []
        unknowns = cp.Variable(matrix.shape[1], name="log_scales")
        constraints = [unknowns[manifold.gauges] == 0] if manifold.gauges.size else []
        return sparse.csr_matrix(matrix) @ unknowns, constraints
    # Paths repeat one another, and conic solvers stumble on dependent equations.
    equations = independent_rows(manifold.equations(form, max_paths=max_paths))
    if manifold.n_edges == 0:
        return cp.Constant(np.zeros(0)), []
    log_gains = cp.Variable(manifold.n_edges, name="log_gains")
    return log_gains, [sparse.csr_matrix(equations) @ log_gains == 0] if equations.shape[0] else []


def _parameter_values(rows: Rows) -> Array:
    return rows.log_weight if isinstance(rows, FunctionRows) else rows.log_costs(np.zeros(rows.edge.size))


def _cost_alike(one: Rows, two: Rows) -> bool:
    """Whether rows of the same edges cost the same but for what the parameter of a `ConvexProblem` can change."""
    if isinstance(one, PowerRows):
        return isinstance(two, PowerRows) and np.array_equal(one.exponent, two.exponent)
    if isinstance(two, PowerRows) or one.regularizer != two.regularizer:
        return False
    return np.array_equal(one.log_coefficient, two.log_coefficient)


def _cost(rows: Rows, log_coefficients: Any, log_gains: Any) -> Any:
    """The cost of rows from their log coefficients (a parameter, or numbers) and the log-gain of each."""
    import cvxpy as cp

    if isinstance(rows, PowerRows):
        return cp.sum(cp.exp(log_coefficients + cp.multiply(rows.exponent, log_gains)))
    assert isinstance(rows, FunctionRows)
    if not rows.regularizer.is_expressible:
        message = (
            "this LogConvex regularizer has no cvxpy expression; give LogConvex(..., expression=lambda x: ...) as a "
            "convex function of a cvxpy expression x, e.g. lambda x: cp.logistic(2 * x) for log(1 + w^2)"
        )
        raise InvalidRegularizerError(message)
    values = rows.regularizer.convex(cp, log_coefficients + log_gains)
    if not (isinstance(values, cp.Expression) and values.is_convex() and values.shape == log_coefficients.shape):
        message = f"LogConvex: expression must return a convex cvxpy expression of the shape of x, got {values!r}"
        raise InvalidRegularizerError(message)
    return cp.sum(cp.multiply(np.exp(rows.log_coefficient), values))


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

    name = "cvxpy"

    def __post_init__(self) -> None:
        check_form(self.form)
        check_positive(self.tol, "CvxpySolver: tol")
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
        history = History()
        displacement, iterations = np.zeros(quotient.size), 0
        try:
            _record(quotient, displacement, history, report)
            if quotient.size == 0:
                return Outcome(quotient.center, Status.CONVERGED, 0, history)
            with preparing():
                import cvxpy  # noqa: F401 - most of the time of a first small solve
            displacement, status, iterations = self._answer(quotient)
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
        polished = NewtonSolver(tol=self.tol, engine="rows").run(quotient, start=displacement, report=report)
        history.log_cost.extend(polished.history.log_cost[1:])
        history.imbalance.extend(polished.history.imbalance[1:])
        notes = (*notes, f"polished by {polished.iterations} Newton iterations", *polished.notes)
        return Outcome(polished.log_scales, polished.status, iterations + polished.iterations, history, notes)

    def _answer(self, quotient: Quotient) -> tuple[Array, Status, int]:
        center = local_sweeps(quotient, _SPAN, _MAX_CENTERING, least=_CENTERING)
        if not np.isfinite(quotient.log_cost(center)):  # sweeps ended where a function of the user no longer holds
            center = np.zeros(quotient.size)
        if isinstance(quotient.rows, FunctionRows) and not quotient.rows.regularizer.is_expressible:
            return self._sequential(quotient, center)
        return self._direct(quotient, center)

    def _direct(self, quotient: Quotient, center: Array) -> tuple[Array, Status, int]:
        """Solve in units of each kind in turn, until the backend manages one."""
        choices = _log_coefficients(quotient.rows, quotient.log_gains(center))
        for log_coefficients in choices[:-1]:
            with contextlib.suppress(SolverError):
                return self._stated(quotient, center, log_coefficients)
        return self._stated(quotient, center, choices[-1])

    def _stated(self, quotient: Quotient, center: Array, log_coefficients: Array) -> tuple[Array, Status, int]:
        """Solve the problem with its log coefficients written in as numbers.

        With a `cvxpy.Parameter` in their place cvxpy would keep track of how all it compiles depends on each, in
        arrays of the size of edges times unknowns and edges.
        """
        import cvxpy as cp

        if self.form == "nodes":
            step = cp.Variable(quotient.size)
            cost = _cost(quotient.rows, log_coefficients, sparse.csr_matrix(quotient.matrix) @ step)
            status, iterations = self._solve(cp.Problem(cp.Minimize(cost)), step)
            return center + np.asarray(step.value, dtype=float), status, iterations
        manifold, rows = _live_manifold(quotient)
        log_gains, constraints = _log_gains(manifold, self.form)
        cost = _cost(rows, log_coefficients, log_gains[rows.edge])
        status, iterations = self._solve(cp.Problem(cp.Minimize(cost), constraints), log_gains)
        gains = np.asarray(log_gains.value, dtype=float)[rows.edge]
        return center + _least_squares(quotient.matrix, gains), status, iterations

    def _sequential(self, quotient: Quotient, center: Array) -> tuple[Array, Status, int]:
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
            log_slopes, ratio = quotient.log_slopes(displacement)
            flows = np.exp(log_slopes - log_slopes.max())
            slope.value, root.value = flows, np.sqrt(flows * ratio)
            _, iterations = self._solve(model, change)
            total += iterations
            candidate = displacement + np.asarray(step.value)
            if quotient.log_cost(candidate) <= quotient.log_cost(displacement) + 1e-14:
                displacement, radius.value = candidate, min(2.0 * radius.value, 8.0)
            else:
                radius.value = 0.25 * radius.value
            if np.abs(change.value).max() < 1e-7 or radius.value < 1e-9:
                return displacement, Status.CONVERGED, total
        return displacement, Status.LIMIT, total

    def _solve(self, problem: Any, values: Any) -> tuple[Status, int]:
        import cvxpy as cp

        if self.backend not in cp.installed_solvers():
            installed = cp.installed_solvers()
            hint = did_you_mean(self.backend, installed)
            message = f"cvxpy backend {self.backend!r} is not installed; installed: {', '.join(installed)}{hint}"
            raise InvalidParameterError(message)
        options = {**_OPTIONS.get(self.backend, {}), **self.options}
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
