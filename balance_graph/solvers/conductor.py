"""The conductor: attainment, reduction, solver, solution."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from balance_graph._progress import Report, reporter
from balance_graph._types import Array, Index
from balance_graph.errors import InvalidParameterError
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import Outcome, Solution, Status
from balance_graph.solvers.convex import CvxpySolver
from balance_graph.solvers.gradient_flow import FlowSolver
from balance_graph.solvers.local.stochastic import StochasticSolver
from balance_graph.solvers.newton import NewtonSolver

# cvxpy answers in well under a second up to here, and is the reference; above, Newton alone is as exact and faster.
_AUTO_CVXPY_EDGES = 2000


@runtime_checkable
class Solver(Protocol):
    """Anything with a name and a `run` that turns a `Quotient` into an `Outcome`."""

    name: str

    def run(self, quotient: Quotient, *, report: Report) -> Outcome:
        """Solve the problem of the quotient."""


def as_solver(solver: str | Solver, n_edges: int) -> Solver:
    """The solver that a name means; a solver object is returned as it is."""
    if solver == "auto":
        solver = "cvxpy" if n_edges <= _AUTO_CVXPY_EDGES else "newton"
    if isinstance(solver, str):
        known: dict[str, Callable[[], Solver]] = {
            "cvxpy": CvxpySolver,
            "newton": NewtonSolver,
            "stochastic": StochasticSolver,
            "flow": FlowSolver,
        }
        if solver not in known:
            message = f"solver must be 'auto', {', '.join(map(repr, known))} or a solver object; got {solver!r}"
            raise InvalidParameterError(message)
        return known[solver]()
    if isinstance(solver, type) or not isinstance(solver, Solver):
        message = f"solver must be a name or a solver object such as NewtonSolver(); got {solver!r}"
        raise InvalidParameterError(message)
    return solver


def check_on_unattained(on_unattained: str) -> None:
    """Refuse an unknown policy."""
    if on_unattained not in ("raise", "prune"):
        message = f"on_unattained must be 'raise' or 'prune', got {on_unattained!r}"
        raise InvalidParameterError(message)


def solve(
    problem: BalanceProblem,
    solver: str | Solver = "newton",
    *,
    on_unattained: str = "raise",
    start: Array | None = None,
    progress: bool | Report = False,
) -> Solution:
    """Balance a problem given as arrays.

    Parameters
    ----------
    problem : BalanceProblem
        From `BalanceProblem.from_sparse` or `compile_graph`.
    solver : str or solver object
        ``"newton"``, ``"cvxpy"``, ``"stochastic"``, ``"flow"``, ``"auto"``, or e.g. ``NewtonSolver(tol=1e-10)``.
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

    Examples
    --------
    >>> import balance_graph as bg
    >>> problem = bg.compile_graph(bg.networks.layered([3, 4, 2], rng=0))
    >>> bg.solve(problem).converged
    True
    """
    check_on_unattained(on_unattained)
    chosen = as_solver(solver, problem.n_edges)
    center = problem.unscaled if start is None else problem.checked_log_scales(start, "start")
    started = time.perf_counter()
    quotient = Quotient(problem, center, prunes=on_unattained == "prune", is_given_start=start is not None)
    with reporter(progress) as report:
        outcome = _with_strong_gauges(chosen, quotient, chosen.run(quotient, report=report), report)
    state = quotient.state(outcome.log_scales) if outcome.state is None else outcome.state
    return Solution(
        log_scales=outcome.log_scales,
        log_cost=state.log_cost,
        initial_cost=_initial_cost(problem, center, outcome),
        relative_imbalance=state.relative_imbalance,
        status=outcome.status,
        iterations=outcome.iterations,
        seconds=time.perf_counter() - started,
        history=outcome.history,
        solver=chosen.name,
        pruned_edges=_edge_names(problem, state.dead),
        gauge_nodes=tuple(problem.nodes[k] for k in state.gauges.tolist()),
        notes=outcome.notes,
    )


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
