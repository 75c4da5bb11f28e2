"""The minimum of the cost over all scalings: convexity, uniqueness, existence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array, Order
from balance_graph.errors import NotAttainedError, SolverError
from balance_graph.problem.log_domain import exp_or_inf, log_sum
from balance_graph.theory.statement import Trial, statement
from balance_graph.theory.subject import Subject, difference, output_change, why_no_optimum

_ORDERS: tuple[Order, ...] = ("random", "shuffled", "cyclic", "greedy", "colored")
# Solvers that are slow are asked up to here; Newton alone beyond.
_MOST_EDGES = 2000
_SWEEPS = 5000
# Of imbalances to errors of log-weights, beyond 1e4 times: up to here differences of a tenth of a percent are seen.
_SLOWEST = 1e4


@statement(
    13,
    "the cost R is strictly convex on the manifold",
    "Baldi et al., abstract: an underlying strictly convex optimization problem",
)
def the_cost_is_strictly_convex(trial: Trial) -> None:
    """Compare the cost at midpoints of random segments on the manifold with the mean of those at their ends."""
    tally = trial.tally(
        "shortfall of the mean of the ends over the middle, below a share of 1e-6 of the costs times squared moves",
        0.0,
        "for a power p the mean is above by p^2 / 8 of them or more; other costs are asked for their curvature first",
    )
    for subject in trial.networks(_without_motion):
        for _ in range(8):
            one, two = subject.log_scales(trial.rng), subject.log_scales(trial.rng)
            middle = 0.5 * (one + two)
            moved, curvature = _squared_moves(subject, middle, two - one)
            if curvature <= 1e-4 * moved:
                trial.skip(subject, "its cost is all but linear in the log-weights there: no curvature above rounding")
                continue
            # A sum of moves that rounding hides can bend by no number.
            if moved > 1e-9 * _moving_cost(subject, middle):
                mean = 0.5 * (_moving_cost(subject, one) + _moving_cost(subject, two))
                tally.add(max(0.0, 1e-6 - (mean - _moving_cost(subject, middle)) / moved), subject.name)
    network = bg.networks.chain(weights=[1.0, 1.0])
    costs = [bg.cost(bg.scale(network, {"h1.0": s}), 0.5) for s in (4.0, 6.0, 8.0)]
    trial.counterexample(
        "convex in the log-scale, not in the scale: p = 0.5, the middle of a segment above the mean of its ends",
        2.0 * costs[1] - costs[0] - costs[2],
        1e-2,
    )


def _moving_cost(subject: Subject, log_scales: Array) -> float:
    """Cost of the weights that some scaling changes."""
    rows = _moving_rows(subject)
    return exp_or_inf(log_sum(rows.log_costs(subject.problem.log_gains(log_scales)[rows.edge])))


def _moving_rows(subject: Subject) -> Any:
    problem = subject.problem
    moves = np.diff(problem.manifold.reduced_incidence.indptr) > 0
    return problem.rows.take(moves[problem.rows.edge])


def _squared_moves(subject: Subject, middle: Array, change: Array) -> tuple[float, float]:
    """Sums of costs, and of their curvatures, at log-scales, times squared changes of the log-gains (up to 1)."""
    rows = _moving_rows(subject)
    log_gains, moves = (subject.problem.log_gains(at)[rows.edge] for at in (middle, change))
    squares = np.minimum(1.0, moves**2)
    log_slopes, ratio = rows.log_slopes(log_gains)
    return float(np.exp(rows.log_costs(log_gains)) @ squares), float(np.exp(log_slopes) * ratio @ squares)


def _without_motion(subject: Subject) -> str:
    """Why no scaling changes the cost, or nothing."""
    active = np.flatnonzero(subject.problem.active)
    moved = subject.problem.manifold.reduced_incidence[active]
    return "" if moved.nnz else "no scaling changes a weight: nothing to be convex in"


@statement(
    14,
    "the optimum is unique: any order, schedule, seed and starting scaling end in the same weights, those of the "
    "convex problem",
    "Baldi et al., abstract: convergence to the same unique set of balanced weights",
)
def the_optimum_is_unique(trial: Trial) -> None:
    """Balance locally in every order and from random scalings, by the flow, by Newton and by cvxpy; compare weights."""
    weights = trial.tally(
        "log-weights of two solvers, orders, seeds or starts",
        1e-7,
        "runs stop at a relative imbalance of 1e-12; slow modes magnify that, which is divided out beyond 1e4 times",
    )
    convex = trial.tally(
        "cost of cvxpy's answer, not polished, over that of the optimum, of what moves, relative",
        1e-6,
        "interior points stop at a cost within 1e-8 of the least, somewhat above where they say so",
    )
    for subject in trial.networks(why_no_optimum):
        reference = bg.balance(subject.graph, subject.regularizer, solver="newton").graph
        for solver, start in _schedules(subject, trial.rng):
            try:
                result = bg.balance(start.graph, start.regularizer, solver=solver)
            except SolverError as error:
                trial.skip(subject, f"no answer from {_name_of(solver)}: {error}")
                continue
            where = f"{subject.name}, {_name_of(solver)}"
            # Newton's last step, and so cvxpy's polish, leaves rounding; others stop at an imbalance, which slow modes
            # magnify.
            slowness = 1.0 if isinstance(solver, bg.NewtonSolver | bg.CvxpySolver) else subject.slowness
            if isinstance(solver, bg.CvxpySolver) and not solver.polish:
                convex.add(_excess(subject, result.graph, reference), where)
            elif not result.converged:
                trial.skip(subject, f"{_name_of(solver)} was stopped before it had converged")
            elif slowness > _SLOWEST:
                trial.skip(subject, f"an imbalance of 1e-12 leaves the weights open, for {_name_of(solver)}")
            else:
                weights.add(difference(reference, result.graph) / slowness, where)
    trial.counterexample(
        "w g'(w) constant instead of increasing, g = 20 + log|w|: two balanced states this far apart",
        _two_optima(),
        0.5,
    )


def _excess(subject: Subject, network: nx.DiGraph[Any], reference: nx.DiGraph[Any]) -> float:
    """Cost of a scaled network over that of another, of the weights that some scaling changes, relative."""
    costs = [
        _moving_cost(Subject("", one, subject.regularizer), subject.problem.unscaled) for one in (network, reference)
    ]
    return costs[0] / costs[1] - 1.0 if costs[1] > 0.0 else costs[0]


def _schedules(subject: Subject, rng: np.random.Generator) -> Iterator[tuple[Any, Subject]]:
    """Solvers, and scalings of the network to start them from."""
    yield bg.NewtonSolver(), subject.scaled(subject.log_scales(rng, 2.0))
    if subject.graph.number_of_edges() > _MOST_EDGES:
        return
    yield bg.FlowSolver(max_steps=2000), subject
    yield bg.CvxpySolver(), subject
    yield bg.CvxpySolver(polish=False), subject
    if subject.problem.manifold.is_tied:
        for order in _ORDERS:
            seed = int(rng.integers(2**31))
            yield (
                bg.StochasticSolver(order=order, rng=seed, max_sweeps=_SWEEPS),
                subject.scaled(subject.log_scales(rng)),
            )


def _name_of(solver: Any) -> str:
    return f"{solver.name} ({solver.order})" if isinstance(solver, bg.StochasticSolver) else str(solver.name)


def _two_optima() -> float:
    """Distance of two states that balance steps leave alone, under a cost that is linear in the log-weight."""
    flat = bg.LogConvex(lambda x: 20.0 + x, np.ones_like, np.zeros_like)
    network = bg.networks.chain(weights=[1.0, 1.0, 1.0])
    other = bg.scale(network, {"h1.0": 2.0})
    balanced = all(bg.is_balanced(one, flat) for one in (network, other))
    return difference(network, other) * balanced


# ---- existence -----------------------------------------------------------------------------------------------------


@statement(
    15,
    "the minimum is attained if and only if a strictly positive circulation exists; otherwise dead weights shrink for "
    "ever along a recession direction, and nothing else grows",
    "Stiemke 1915; for graphs, Eaves, Hoffman, Rothblum, Schneider 1985",
)
def existence_is_a_positive_circulation(trial: Trial) -> None:
    """Decide by a linear program, and compare; on the networks as they are, and with weights set to zero at random."""
    verdict = trial.tally("verdicts that differ from the linear program's", 0.0, "they are yes or no")
    circulation = trial.tally(
        "net flow of the balanced slopes at a unit, where attained, relative", 1e-9, "the balance stops at 1e-12"
    )
    growth = trial.tally(
        "log-gain along the recession direction that is positive, where not attained, relative", 1e-9, "rounding"
    )
    for subject in trial.networks(_without_program):
        for one in (subject, *(_with_zeros(subject, share, trial.rng) for share in (0.1, 0.3, 0.6))):
            found = one.attainment
            verdict.add(float(found.attained != _has_positive_circulation(one)), one.name)
            if found.attained:
                circulation.add(_net_flow(one), one.name)
            else:
                growth.add(_growth(one), one.name)
    _break_existence(trial)


def _without_program(subject: Subject) -> str:
    return (
        ""
        if subject.graph.number_of_edges() <= _MOST_EDGES
        else f"linear programs are solved up to {_MOST_EDGES} edges"
    )


def _with_zeros(subject: Subject, share: float, rng: np.random.Generator) -> Subject:
    """The network with some weights set to zero, copies of a shared parameter together."""
    labels = [data.get("shared", edge) for *edge, data in ((u, v, d) for u, v, d in subject.graph.edges(data=True))]
    keys = [label if not isinstance(label, list) else tuple(label) for label in labels]
    chosen = {key: rng.random() < share for key in dict.fromkeys(keys)}
    weights = np.where([chosen[key] for key in keys], 0.0, subject.weights)
    one = subject.with_weights(weights)
    return Subject(f"{subject.name}, {np.count_nonzero(weights == 0.0)} weights zero", one.graph, one.regularizer)


def _has_positive_circulation(subject: Subject) -> bool:
    """Whether ``A^T y = 0`` has a solution with all y >= 1, on the edges of nonzero weight that cost something."""
    from scipy import optimize

    matrix = subject.problem.manifold.reduced_incidence[np.flatnonzero(subject.problem.active)]
    if matrix.shape[0] == 0 or matrix.shape[1] == 0:
        return True
    found = optimize.linprog(
        np.zeros(matrix.shape[0]), A_eq=matrix.T, b_eq=np.zeros(matrix.shape[1]), bounds=(1.0, None), method="highs"
    )
    return bool(found.status == 0)


def _net_flow(subject: Subject) -> float:
    """Largest ``|A^T y| / |A|^T y`` of the balanced network's flows."""
    solution = bg.solve(subject.problem)
    flows = subject.problem.log_flows(solution.log_scales)
    flows = np.exp(flows - flows.max(initial=-np.inf)) if np.any(np.isfinite(flows)) else np.zeros(flows.size)
    matrix = subject.problem.manifold.reduced_incidence
    sizes = abs(matrix).T @ flows
    return float(np.max(np.abs(matrix.T @ flows) / np.where(sizes > 0.0, sizes, 1.0), initial=0.0))


def _growth(subject: Subject) -> float:
    """Largest log-gain of a weight along the recession direction, relative to the largest fall; inf if none falls."""
    direction = subject.attainment.recession_direction
    assert direction is not None
    log_scales = np.array([direction.get(node, 0.0) for node in subject.problem.nodes])
    log_gains = subject.problem.log_gains(log_scales)[subject.problem.active]
    fall = float(-log_gains.min(initial=0.0))
    return float(log_gains.max(initial=0.0)) / fall if fall > 0.0 else np.inf


def _break_existence(trial: Trial) -> None:
    network = bg.networks.chain(weights=[1.0, 1.0])
    network.add_edge("x0", "dead end", weight=1.0)
    network.nodes["dead end"]["role"] = "hidden"
    costs = [bg.cost(bg.scale(network, {"dead end": s}), 2) for s in (1.0, 0.1, 0.01)]
    x = np.ones((1, 1))
    kept = output_change(bg.evaluate(network, x), bg.evaluate(bg.scale(network, {"dead end": 0.01}), x)) == 0.0
    try:
        bg.balance(network)
        refused = False
    except NotAttainedError:
        refused = True
    trial.counterexample(
        "a unit that reaches nothing: the cost falls for ever, balancing is refused, the function stays (fall a step)",
        min(costs[0] - costs[1], costs[1] - costs[2]) * (kept and refused),
        5e-3,
    )
