"""The conductor: attainment, reduction, solver, solution."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from balance_graph._floating_point import own_rules
from balance_graph._preparation import Stopwatch, preparing
from balance_graph._progress import Report, reporter
from balance_graph._types import Array, Index, Mask
from balance_graph.errors import InvalidParameterError
from balance_graph.problem.attainment import Attainment, find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.reduction import Reduction, reduce_problem
from balance_graph.problem.solution import Outcome, Solution, Status
from balance_graph.solvers.convex import CvxpySolver
from balance_graph.solvers.gradient_flow import FlowSolver
from balance_graph.solvers.local.stochastic import StochasticSolver
from balance_graph.solvers.newton import NewtonSolver

if TYPE_CHECKING:
    from balance_graph.solvers.large import LargeOutcome

# cvxpy answers in well under a second up to here, and is the reference; above, Newton alone is as exact and faster.
_AUTO_CVXPY_EDGES = 2000
# From here on, passes over edge lists beat factorizations, and soon the time it takes to load compiled loops.
_LARGE = 4_000
# Iterations after which factorizations (15 are the rule) are not on their way to an answer soon.
_PATIENCE = 100


@runtime_checkable
class Solver(Protocol):
    """Anything with a name and a `run` that turns a `Reduction` into an `Outcome`."""

    name: str

    def run(self, reduction: Reduction, *, report: Report) -> Outcome:
        """Solve the reduced problem."""


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


def without_edges(problem: BalanceProblem, dead: Mask) -> BalanceProblem:
    """The problem with the weights of some edges set to zero; like all zero weights they then constrain nothing."""
    if not dead.any():
        return problem
    at = problem.manifold
    if at.shared is not None:
        at = dataclasses.replace(at, shared=np.where(dead, -1, at.shared))
    return dataclasses.replace(problem, manifold=at, weight=np.where(dead, 0.0, problem.weight))


def prune(problem: BalanceProblem, attainment: Attainment) -> BalanceProblem:
    """The problem without its dead edges.

    Where the copies of a shared parameter die, scales that they held in place come free, and more can be dead.
    """
    while not attainment.attained:
        problem = without_edges(problem, problem.active & ~attainment.live)
        if problem.manifold.shared is None:
            break
        attainment = find_attainment(problem)
    return problem


@own_rules
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
    time = Stopwatch()
    check_on_unattained(on_unattained)
    chosen = as_solver(solver, problem.n_edges)
    center = problem.unscaled if start is None else problem.checked_log_scales(start, "start")
    with preparing():
        import scipy.sparse.linalg  # noqa: F401 - whatever comes next needs it, and it takes its time to load
    with reporter(progress) as report:
        task = _Task(problem, center, on_unattained, report, time)
        if not isinstance(chosen, NewtonSolver):
            return _solve_reduced(task, chosen, center)
        if problem.n_edges >= _LARGE:
            return _solve_large_first(task, chosen, is_given=start is not None)
        return _solve_exactly_first(task, chosen)


class _Task(NamedTuple):
    """What stays the same throughout a solve."""

    problem: BalanceProblem
    center: Array
    on_unattained: str
    report: Report
    time: Stopwatch


def _solve_large_first(task: _Task, chosen: NewtonSolver, *, is_given: bool) -> Solution:
    """By passes over edge lists; where they stall, by factorizations, first from where the cost is lower."""
    large = _attempt_large(task, chosen, task.center if is_given else None)
    if large is None:
        return _solve_reduced(task, chosen, task.center)
    if large.is_final or large.outcome.status is Status.INTERRUPTED:
        return _solution_of_large(task, chosen, large)
    starts = [large.outcome.displacement, task.center]
    if not large.log_cost < task.problem.log_cost(task.center):
        starts.reverse()
    patient = dataclasses.replace(chosen, max_iterations=min(chosen.max_iterations, _PATIENCE))
    tries = []
    for start in starts:
        tries.append(_solve_reduced(task, patient, start))
        if tries[-1].status in (Status.CONVERGED, Status.INTERRUPTED):
            break
    best = tries[-1] if tries[-1].converged else min(tries, key=lambda solution: solution.relative_imbalance)
    left = chosen.max_iterations - patient.max_iterations
    if best.status is Status.LIMIT and left > 0:
        rest = dataclasses.replace(chosen, max_iterations=left)
        best = _after(_solve_reduced(task, rest, best.log_scales), best.notes, best)
    return _after(best, (*large.outcome.notes, "inexact Newton stalled; exact Newton took over"))


def _solve_exactly_first(task: _Task, chosen: NewtonSolver) -> Solution:
    """By factorizations; where they make no headway, by passes over edge lists, which start elsewhere."""
    patient = dataclasses.replace(chosen, max_iterations=min(chosen.max_iterations, _PATIENCE))
    solution = _solve_reduced(task, patient, task.center)
    left = chosen.max_iterations - solution.iterations
    if solution.status not in (Status.LIMIT, Status.STALLED) or left == 0:
        return solution
    rest = dataclasses.replace(chosen, max_iterations=left)
    large, reached = _attempt_large(task, rest, None), solution.log_scales
    notes = (*solution.notes, "exact Newton made no headway; inexact Newton took over")
    if large is not None and (large.has_converged or large.outcome.status is Status.INTERRUPTED):
        return _after(_solution_of_large(task, chosen, large), notes, solution)
    if large is not None and large.log_cost < solution.log_cost:
        reached, notes = large.outcome.displacement, (*notes, *large.outcome.notes, "exact Newton went on from there")
    elif solution.status is Status.STALLED:
        return solution
    else:
        notes = solution.notes
    return _after(_solve_reduced(task, rest, reached), notes, solution)


def _attempt_large(task: _Task, chosen: NewtonSolver, start: Array | None) -> LargeOutcome | None:
    with preparing():
        from balance_graph.solvers.large import solve_large  # compiled loops: slow to load, and needed here only

    return solve_large(
        task.problem,
        tol=chosen.tol,
        max_iterations=chosen.max_iterations,
        start=start,
        prune=task.on_unattained == "prune",
        report=task.report,
    )


def _after(solution: Solution, notes: tuple[str, ...], earlier: Solution | None = None) -> Solution:
    """The solution with what came before it."""
    solution = dataclasses.replace(solution, notes=tuple(dict.fromkeys((*notes, *solution.notes))))
    if earlier is None:
        return solution
    history = earlier.history.followed_by(solution.history)
    return dataclasses.replace(solution, iterations=earlier.iterations + solution.iterations, history=history)


def _solution_of_large(task: _Task, solver: Solver, large: LargeOutcome) -> Solution:
    problem, outcome = task.problem, large.outcome
    return Solution(
        log_scales=outcome.displacement,
        log_cost=large.log_cost,
        initial_cost=problem.cost(task.center),
        relative_imbalance=large.relative_imbalance,
        status=outcome.status,
        iterations=outcome.iterations,
        seconds=task.time.seconds,
        setup_seconds=task.time.setup_seconds,
        history=outcome.history,
        solver=solver.name,
        pruned_edges=_edge_names(problem, large.dead),
        gauge_nodes=tuple(problem.nodes[k] for k in large.gauges.tolist()),
        notes=outcome.notes,
    )


def _solve_reduced(task: _Task, chosen: Solver, center: Array) -> Solution:
    problem, report = task.problem, task.report
    attainment = find_attainment(problem)
    if task.on_unattained == "raise":
        attainment.raise_if_not_attained()
    pruned = prune(problem, attainment)
    reduction = reduce_problem(pruned, pruned.active, center)
    log_scales, outcome = _run(chosen, reduction, report)
    if reduction.gauges.size and outcome.status is Status.CONVERGED:
        log_scales, outcome = _with_strong_gauges(chosen, reduction, log_scales, outcome, report)
    return Solution(
        log_scales=log_scales,
        log_cost=pruned.log_cost(log_scales),
        initial_cost=problem.cost(task.center),
        relative_imbalance=pruned.relative_imbalance(log_scales),
        status=outcome.status,
        iterations=outcome.iterations,
        seconds=task.time.seconds,
        setup_seconds=task.time.setup_seconds,
        history=outcome.history,
        solver=chosen.name,
        pruned_edges=_edge_names(problem, np.flatnonzero(problem.active & ~pruned.active)),
        gauge_nodes=_gauge_nodes(reduction),
        notes=outcome.notes,
    )


def _run(solver: Solver, reduction: Reduction, report: Report) -> tuple[Array, Outcome]:
    """Log-scales of all nodes that a solver reaches, and its outcome with the history in log-scales too."""
    outcome = solver.run(reduction, report=report)
    outcome.history.log_scales = [reduction.expand(displacement) for displacement in outcome.history.log_scales]
    return reduction.expand(outcome.displacement), outcome


def _with_strong_gauges(
    solver: Solver, reduction: Reduction, log_scales: Array, outcome: Outcome, report: Report
) -> tuple[Array, Outcome]:
    """Solve on with the gauges held where the flows are largest, if where they were held is out of balance.

    The balance of a held unknown follows from that of all others, but with their absolute errors: where its own flows
    are small beside theirs, little of its relative balance is left.
    """
    problem = reduction.problem
    reached = outcome.history.imbalance[-1] if len(outcome.history) else 0.0
    # Twice what the others reached is no worse than they are; 1e-15 is the rounding of a relative imbalance.
    if problem.relative_imbalance(log_scales) <= max(2.0 * reached, 1e-15):
        return log_scales, outcome
    stronger = reduce_problem(problem, problem.active, log_scales, problem.log_sides(log_scales)[0])
    log_scales, again = _run(solver, stronger, report)
    return log_scales, dataclasses.replace(
        again,
        iterations=outcome.iterations + again.iterations,
        history=outcome.history.followed_by(again.history),
        notes=tuple(dict.fromkeys((*outcome.notes, *again.notes))),
    )


def _edge_names(problem: BalanceProblem, edges: Index) -> tuple[Any, ...]:
    names, at = problem.nodes, problem.manifold
    return tuple((names[u], names[v]) for u, v in zip(at.tail[edges].tolist(), at.head[edges].tolist(), strict=True))


def _gauge_nodes(reduction: Reduction) -> tuple[Any, ...]:
    """One node of each group that has live edges, none of which depends on a common scale of the group."""
    manifold = reduction.problem.manifold
    touched = np.zeros(manifold.n_nodes, dtype=bool)
    active = reduction.problem.active
    touched[manifold.tail[active]] = touched[manifold.head[active]] = True
    columns = manifold.basis.tocsc()
    first = columns.indices[columns.indptr[reduction.gauges]]
    return tuple(manifold.nodes[k] for k in first.tolist() if touched[k])
