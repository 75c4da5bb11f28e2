"""The minimum of the cost over all scalings: convexity, existence, uniqueness, and what it extends to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.errors import NotAttainedError, SolverError
from balance_graph.graph.compilation import node_activation
from balance_graph.problem.log_domain import exp_or_inf, log_sum, times_exp
from balance_graph.problem.regularizers import LogWeightCost
from balance_graph.theory.statement import Tally, Trial, statement
from balance_graph.theory.subject import Subject, difference, output_change, weights_of

_ORDERS = ("random", "shuffled", "cyclic", "greedy", "colored")
# Solvers that are slow are asked up to here; Newton alone beyond.
_MOST_EDGES = 2000
_SWEEPS = 5000


@statement(
    13,
    "the cost R is strictly convex on the manifold",
    "Baldi et al., abstract: an underlying strictly convex optimization problem",
)
def the_cost_is_strictly_convex(trial: Trial) -> None:
    """Compare the cost at midpoints of random segments on the manifold with the mean of those at their ends."""
    tally = trial.tally(
        "shortfall of the mean of the ends over the middle, below a share of 1e-6 of what moves",
        0.0,
        "segments are as long as a factor of e in the scales, which changes the cost by far more",
    )
    for subject in trial.networks(_without_motion):
        for _ in range(8):
            one, two = subject.log_scales(trial.rng), subject.log_scales(trial.rng)
            ends = [_moving_cost(subject, one), _moving_cost(subject, two)]
            bend = (sum(ends) - 2.0 * _moving_cost(subject, 0.5 * (one + two))) / sum(ends)
            tally.add(max(0.0, 1e-6 - bend), subject.name)
    network = bg.networks.chain(weights=[1.0, 1.0])
    costs = [bg.cost(bg.scale(network, {"h1.0": s}), 0.5) for s in (4.0, 6.0, 8.0)]
    trial.counterexample(
        "convex in the log-scale, not in the scale: p = 0.5, the middle of a segment above the mean of its ends",
        2.0 * costs[1] - costs[0] - costs[2],
        1e-2,
    )


def _moving_cost(subject: Subject, log_scales: Array) -> float:
    """Cost of the weights that some scaling changes."""
    problem = subject.problem
    moves = np.diff(problem.manifold.reduced_incidence.indptr) > 0
    rows = problem.rows.take(moves[problem.rows.edge])
    return exp_or_inf(log_sum(rows.log_costs(problem.log_gains(log_scales)[rows.edge])))


def _without_motion(subject: Subject) -> str:
    """Why no scaling changes the cost, or nothing."""
    active = np.flatnonzero(subject.problem.active)
    moved = subject.problem.manifold.reduced_incidence[active]
    return "" if moved.nnz else "no scaling changes a weight: nothing to be convex in"


def _without_optimum(subject: Subject) -> str:
    """Why there is no balanced state to compare, or nothing."""
    if not subject.free_nodes:
        return "no free units"
    found = subject.attainment
    if not found.attained:
        return f"the minimum is not attained: {found.dead_nodes[:3]!r} can be scaled for ever"
    return ""


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
        "log-weights of cvxpy, not polished",
        1e-2,
        "interior points stop at a cost within 1e-8 of the least; weights are known to the root of that, about 1e-4",
    )
    for subject in trial.networks(_without_optimum):
        reference = bg.balance(subject.graph, subject.regularizer, solver="newton").graph
        slowness = subject.slowness
        for solver, start in _schedules(subject, trial.rng):
            result = bg.balance(start.graph, start.regularizer, solver=solver)
            if result.converged:
                weights.add(difference(reference, result.graph) / slowness, f"{subject.name}, {_name_of(solver)}")
            else:
                trial.skip(subject, f"{_name_of(solver)} was stopped before it had converged")
        if subject.graph.number_of_edges() <= _MOST_EDGES:
            try:
                result = bg.balance(subject.graph, subject.regularizer, solver=bg.CvxpySolver(polish=False))
            except SolverError as error:
                trial.skip(subject, f"no answer from cvxpy: {error}")
                continue
            convex.add(difference(reference, result.graph) / slowness, f"{subject.name}, cvxpy")
    trial.counterexample(
        "w g'(w) constant instead of increasing, g = 20 + log|w|: two balanced states this far apart",
        _two_optima(),
        0.5,
    )


def _schedules(subject: Subject, rng: np.random.Generator) -> Iterator[tuple[Any, Subject]]:
    """Solvers, and scalings of the network to start them from."""
    yield bg.NewtonSolver(), subject.scaled(subject.log_scales(rng, 2.0))
    if subject.graph.number_of_edges() > _MOST_EDGES:
        return
    yield bg.FlowSolver(max_steps=2000), subject
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


# ---- extensions ----------------------------------------------------------------------------------------------------


@statement(
    16,
    "all this holds as well for tied, fixed and shared weights, recurrent and convolutional networks, mixed "
    "activations, degrees and exponents",
    "Baldi et al., abstract: recurrent, convolutional and mixed architectures, general regularizers",
)
def the_theory_extends(trial: Trial) -> None:
    """Balance networks with such features, and compare with a plain minimization of the cost over the scalings."""
    cost = trial.tally(
        "cost against a plain minimization of its definition, relative", 1e-8, "BFGS stops at slopes of 1e-5 or better"
    )
    function = trial.tally("change of an output, relative", 1e-8, "rounding, magnified by cancellation in the outputs")
    constraint = trial.tally(
        "log-ratio within ties, on fixed edges and among copies, after balancing", 1e-12, "equal scales, rounded"
    )
    twins = trial.tally(
        "log-weights of a convolution with shared weights and with tied units", 1e-8, "each stops at 1e-12"
    )
    for subject in trial.networks(lambda one: _without_optimum(one) or _without_features(one)):
        result = bg.balance(subject.graph, subject.regularizer, solver="newton")
        if subject.is_wide:
            trial.skip(subject, "weights over more than eight decades: BFGS does not get there, for the cost")
        else:
            least = _plain_minimum(subject)
            cost.add((result.cost - least) / least, subject.name)
        if subject.count("output"):
            x = subject.inputs(trial.rng)
            function.add(output_change(bg.evaluate(subject.graph, x), bg.evaluate(result.graph, x)), subject.name)
        _add_constraints(subject, result.graph, constraint)
    _add_convolutions(trial, twins)
    trial.counterexample(
        "a convolution balanced without its ties: log-ratio of the copies of one kernel entry",
        _untied_convolution(),
        1e-2,
    )


def _without_features(subject: Subject) -> str:
    at = subject.problem.manifold
    features = (
        at.group is not None
        or at.fixed is not None
        or at.shared is not None
        or subject.problem.exponent is not None
        or subject.is_recurrent
        or len(set(at.degree[at.free_nodes].tolist())) > 1
        or not isinstance(subject.regularizer, bg.Lp)
    )
    if subject.graph.number_of_edges() > _MOST_EDGES:
        return f"plain minimization is feasible up to {_MOST_EDGES} edges"
    return "" if features else "a plain network: no ties, fixed or shared weights, cycles, mixed degrees or exponents"


def _plain_minimum(subject: Subject) -> float:
    """Least cost by BFGS over the scales that the constraints leave, from the definition of the cost alone.

    Slopes are five-point differences: nothing of the compiled cost or of the balance equations is used.
    """
    from scipy import optimize

    cost, basis = _Definition(subject), subject.problem.manifold.basis
    step = 1e-4

    def log_cost(unknowns: Array) -> float:
        return float(np.log(cost(basis @ unknowns)))

    def slope(unknowns: Array, unit: Array) -> float:
        near = log_cost(unknowns + step * unit) - log_cost(unknowns - step * unit)
        far = log_cost(unknowns + 2 * step * unit) - log_cost(unknowns - 2 * step * unit)
        return (8.0 * near - far) / (12.0 * step)

    def slopes(unknowns: Array) -> Array:
        return np.array([slope(unknowns, unit) for unit in np.eye(unknowns.size)])

    found = optimize.minimize(log_cost, np.zeros(basis.shape[1]), jac=slopes, method="BFGS", options={"gtol": 1e-9})
    return float(np.exp(found.fun))


class _Definition:
    """The cost of a scaled network as the theory defines it: the sum of ``a g(|w| exp(L))``, a shared weight once."""

    def __init__(self, subject: Subject) -> None:
        graph, regularizer = subject.graph, subject.regularizer
        index = {node: k for k, node in enumerate(graph)}
        seen: dict[Any, Any] = {}
        for u, v, data in graph.edges(data=True):
            if data["weight"] != 0:
                label = data.get("shared")
                seen.setdefault((u, v, "own") if label is None else ("shared", label), (index[u], index[v], data))
        parameters = list(seen.values())
        self.tail, self.head = (np.array([one[k] for one in parameters], dtype=np.intp) for k in (0, 1))
        self.size = np.array([abs(data["weight"]) for *_, data in parameters])
        self.coefficient = np.array([data.get("coefficient", 1.0) for *_, data in parameters])
        self.exponent = [data.get("exponent") for *_, data in parameters]
        activations = [node_activation(data, node) for node, data in graph.nodes(data=True)]
        self.degree = np.array([one.degree or 1.0 for one in activations])
        self.regularizer = regularizer

    def __call__(self, log_scales: Array) -> float:
        """The cost at log-scales of all nodes, zero where pinned."""
        weights = times_exp(self.size, log_scales[self.head] - self.degree[self.tail] * log_scales[self.tail])
        return float(self.coefficient @ self._costs(weights))

    def _costs(self, weights: Array) -> Array:
        one = self.regularizer
        if isinstance(one, LogWeightCost):
            return np.exp(one.log_value(np.log(weights)))
        if isinstance(one, bg.Lp):
            powers = np.array([one.p if own is None else own for own in self.exponent])
            return np.asarray(weights**powers)
        if isinstance(one, bg.ElasticNet):
            return np.asarray(one.l1 * weights + one.l2 * weights**2)
        assert isinstance(one, bg.Posynomial)
        return np.asarray(sum(a * weights**p for a, p in one.terms))


def _add_constraints(subject: Subject, balanced: nx.DiGraph[Any], tally: Tally) -> None:
    """Read off the weights whether ties, fixed edges and copies are kept."""
    at, log_gains = subject.problem.manifold, _gains(subject, balanced)
    if at.fixed is not None:
        tally.add(float(np.abs(log_gains[at.fixed]).max()), f"{subject.name}, fixed edges")
    if at.shared is not None:
        for label in np.unique(at.shared[at.shared >= 0]):
            tally.add(float(np.ptp(log_gains[at.shared == label])), f"{subject.name}, shared weights")
    if at.group is not None:
        log_scales = at.log_scales_of(log_gains)
        for label in np.unique(at.group[at.group >= 0]):
            tally.add(float(np.ptp(log_scales[at.group == label])), f"{subject.name}, tied nodes")


def _gains(subject: Subject, balanced: nx.DiGraph[Any]) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(subject.weights == 0.0, 0.0, np.log(np.abs(weights_of(balanced) / subject.weights)))


def _add_convolutions(trial: Trial, tally: Tally) -> None:
    """The same convolution said in two ways, where both are among the networks, has the same balanced weights."""
    pairs: dict[tuple[Any, ...], Subject] = {}
    for subject in trial.subjects:
        key = (tuple(subject.graph.edges), tuple(subject.weights), repr(subject.regularizer))
        other = pairs.setdefault(key, subject)
        if other is not subject:
            one, two = (bg.balance(each.graph, each.regularizer, solver="newton").graph for each in (other, subject))
            tally.add(difference(one, two), f"{other.name} against {subject.name}")


def _untied_convolution() -> float:
    network = bg.networks.convolutional(size=5, channels=(1, 2), sharing="shared", rng=0)
    loose = network.copy()
    for _, _, data in loose.edges(data=True):
        data.pop("shared", None)
    balanced = bg.balance(loose, 2, solver="newton").graph
    ratios: dict[Any, list[float]] = {}
    for u, v, data in network.edges(data=True):
        if "shared" in data:
            ratios.setdefault(data["shared"], []).append(float(np.log(balanced[u][v]["weight"] / data["weight"])))
    return max(max(values) - min(values) for values in ratios.values())
