"""The conductor: attainment, reduction, solver, solution."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from balance_graph._choices import check_choice, did_you_mean
from balance_graph._floating_point import own_rules
from balance_graph._foreign import described
from balance_graph._preparation import Stopwatch, preparing
from balance_graph._progress import Report, reporter
from balance_graph._types import Array, Index, OnUnattained, SolverName
from balance_graph.errors import InvalidParameterError, SolverError
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.log_weight_cost import LogWeightCost
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import Outcome, Solution, State, Status
from balance_graph.solvers.convex import CvxpySolver
from balance_graph.solvers.gradient_flow import FlowSolver
from balance_graph.solvers.local.stochastic import StochasticSolver
from balance_graph.solvers.newton import NewtonSolver

# Silent unless the program that uses the library sets up logging.
_LOGGER = logging.getLogger("balance_graph")
_LOGGER.addHandler(logging.NullHandler())

# cvxpy answers in well under a second up to here, and is the reference; above, Newton alone is as exact and faster.
_AUTO_CVXPY_EDGES = 2000


@runtime_checkable
class Solver(Protocol):
    """Anything with a name and a `run` that turns a `Quotient` into an `Outcome`."""

    name: str

    def run(self, quotient: Quotient, *, report: Report) -> Outcome:
        """Solve the problem of the quotient."""


def as_solver(solver: SolverName | Solver, n_edges: int) -> Solver:
    """The solver that a name means; a solver object is returned as it is."""
    if isinstance(solver, str) and solver == "auto":
        solver = "cvxpy" if n_edges <= _AUTO_CVXPY_EDGES else "newton"
    if isinstance(solver, str):
        known: dict[str, Callable[[], Solver]] = {
            "cvxpy": CvxpySolver,
            "newton": NewtonSolver,
            "stochastic": StochasticSolver,
            "flow": FlowSolver,
        }
        if solver not in known:
            hint = did_you_mean(solver, ["auto", *known])
            message = f"solver must be 'auto', {', '.join(map(repr, known))} or a solver object; got {solver!r}{hint}"
            raise InvalidParameterError(message)
        return known[solver]()
    if isinstance(solver, type) or not isinstance(solver, Solver):
        message = f"solver must be a name or a solver object such as NewtonSolver(); got {solver!r}"
        raise InvalidParameterError(message)
    return solver


def check_problem(problem: Any, function: str) -> None:
    """Refuse anything but a problem, naming the function that takes it."""
    if not isinstance(problem, BalanceProblem):
        message = f"{function} takes a BalanceProblem, got {described(problem)}"
        raise InvalidParameterError(message)


def check_on_unattained(on_unattained: OnUnattained) -> None:
    """Refuse an unknown policy."""
    check_choice(on_unattained, "on_unattained", ("raise", "prune"))


@own_rules
def solve(
    problem: BalanceProblem | BlockProblem,
    solver: SolverName | Solver = "newton",
    *,
    on_unattained: OnUnattained = "raise",
    start: Array | None = None,
    progress: bool | Report = False,
) -> Solution:
    """Balance a problem given as arrays.

    Parameters
    ----------
    problem : BalanceProblem or BlockProblem
        From `BalanceProblem.from_sparse` or `compile_graph`; or dense blocks, which Newton's method alone solves.
    solver : str or solver object
        ``"newton"``, ``"cvxpy"``, ``"stochastic"``, ``"flow"``; ``"auto"``: cvxpy, polished, up to 2000 edges, Newton
        above and where the backend of cvxpy fails; or an object with settings, e.g. ``NewtonSolver(tol=1e-10)``. The
        ``run`` of an object of your own, also of a subclass that overrides it, is called whatever the size.
    on_unattained : {"raise", "prune"}
        When the minimum is not attained: raise, or set the dead weights to zero and balance the rest.
    start : (n_nodes,) array, optional
        Log-scales to start from; they must obey the ties. Default: zero, the weights as given.
    progress : bool or callable
        True shows a bar (needs tqdm); a callable gets iteration, log cost and relative imbalance.

    Returns
    -------
    Solution

    Raises
    ------
    NotAttainedError
        If the minimum is not attained and `on_unattained` is ``"raise"``.
    UnsupportedError
        If the solver cannot solve the problem.

    See Also
    --------
    balance : The same for a networkx graph.
    certify : A bound on what is left.

    Examples
    --------
    >>> import balance_graph as bg
    >>> problem = bg.compile_graph(bg.networks.layered([3, 4, 2], rng=0))
    >>> bg.solve(problem).converged
    True
    """
    time = Stopwatch()
    check_on_unattained(on_unattained)
    if isinstance(problem, BlockProblem):
        from balance_graph.solvers.dense_blocks import solve_blocks  # compiled loops: slow to load

        chosen = NewtonSolver() if solver == "auto" else as_solver(solver, problem.n_weights)
        given = None if start is None else problem.checked_log_scales(start, "start")
        with reporter(progress) as report:
            return solve_blocks(problem, chosen, prunes=on_unattained == "prune", start=given, report=report)
    check_problem(problem, "solve")
    chosen = as_solver(solver, problem.n_edges)
    center = problem.unscaled if start is None else problem.checked_log_scales(start, "start")
    with preparing():
        import scipy.sparse.linalg  # noqa: F401 - whatever comes next needs it, and it takes its time to load
    quotient = Quotient(problem, center, prunes=on_unattained == "prune", is_given_start=start is not None)
    _LOGGER.debug("%s starts: %d nodes, %d edges", chosen.name, problem.n_nodes, problem.n_edges)
    with reporter(progress) as report:
        try:
            outcome = _with_strong_gauges(chosen, quotient, chosen.run(quotient, report=report), report)
        except SolverError as error:
            if solver != "auto" or isinstance(chosen, NewtonSolver):
                raise
            _LOGGER.info("%s failed, Newton takes over: %s", chosen.name, error)
            chosen = NewtonSolver()
            outcome = _with_strong_gauges(chosen, quotient, chosen.run(quotient, report=report), report)
            outcome = dataclasses.replace(outcome, notes=(*outcome.notes, f"Newton took over: {error}"))
    if isinstance(problem.regularizer, LogWeightCost):
        _check_rows(quotient.problem, outcome.log_scales, outcome.status)
    state = _state(quotient, outcome)
    status = outcome.status
    if status is Status.CONVERGED and quotient.has_nothing_to_scale:
        status = Status.NOTHING_TO_SCALE
    _LOGGER.info("%s: %s after %d iterations and %.3g s", chosen.name, status, outcome.iterations, time.seconds)
    return Solution(
        log_scales=outcome.log_scales,
        log_cost=state.log_cost,
        initial_cost=_initial_cost(problem, center, outcome),
        relative_imbalance=state.relative_imbalance,
        status=status,
        iterations=outcome.iterations,
        seconds=time.seconds,
        setup_seconds=time.setup_seconds,
        history=outcome.history,
        solver=chosen.name,
        regularizer=problem.regularizer,
        pruned_edges=_edge_names(problem, state.dead),
        pruned_rows=state.dead,
        gauge_nodes=tuple(problem.nodes[k] for k in state.gauges.tolist()),
        notes=outcome.notes,
    )


def _state(quotient: Quotient, outcome: Outcome) -> State:
    """The state that was measured on the way, if it was: flows there may have left the range of floats."""
    state = outcome.state
    if state is None or not (math.isfinite(state.log_cost) and math.isfinite(state.relative_imbalance)):
        return quotient.state(outcome.log_scales)
    return state


def _check_rows(problem: BalanceProblem, log_scales: Array, status: Status) -> None:
    """Refuse a cost that does not hold at the solution; where there is none, within a factor e of where it ended."""
    rows = problem.rows
    log_gains = problem.log_gains(log_scales)[rows.edge]
    rows.check(log_gains, "where balancing takes the weight of an edge")
    if status is not Status.CONVERGED:
        for step in (-1.0, 1.0):
            rows.check(log_gains + step, "next to where balancing comes to an end")


def _initial_cost(problem: BalanceProblem, center: Array, outcome: Outcome) -> float:
    """The cost at the center; from the weights themselves, which is exact, where those are not scaled."""
    if outcome.log_cost_at_start is None or not center.any():
        return problem.cost(center)
    return exp_or_inf(outcome.log_cost_at_start)


def _with_strong_gauges(solver: Solver, quotient: Quotient, outcome: Outcome, report: Report) -> Outcome:
    """Solve on with the gauges held where the flows are largest, if where they were held is out of balance.

    The balance of a held unknown follows from that of all others, but with their absolute errors: where its own flows
    are small beside theirs, little of its relative balance is left.
    """
    if outcome.state is not None or quotient.gauges.size == 0 or outcome.status is not Status.CONVERGED:
        return outcome
    problem, log_scales = quotient.problem, outcome.log_scales
    reached = outcome.history.imbalance[-1] if len(outcome.history) else 0.0
    # Twice what the others reached is no worse than they are; 1e-15 is the rounding of a relative imbalance.
    if problem.relative_imbalance(log_scales) <= max(2.0 * reached, 1e-15):
        return outcome
    again = solver.run(quotient.centered(log_scales, problem.log_sides(log_scales)[0]), report=report)
    return dataclasses.replace(
        again,
        iterations=outcome.iterations + again.iterations,
        history=outcome.history.followed_by(again.history),
        notes=tuple(dict.fromkeys((*outcome.notes, *again.notes))),
    )


def _edge_names(problem: BalanceProblem, edges: Index) -> tuple[Any, ...]:
    return tuple(problem.manifold.names_of(edges))
