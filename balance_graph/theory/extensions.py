"""What the theory extends to: ties, fixed and shared weights, recurrence, mixed activations and exponents."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.graph.compilation import node_activation
from balance_graph.problem.log_domain import times_exp
from balance_graph.problem.log_weight_cost import LogWeightCost
from balance_graph.theory.statement import Tally, Trial, statement
from balance_graph.theory.subject import Subject, difference, output_change, weights_of, why_no_optimum

# Plain minimization is slow: it is asked up to here.
_MOST_EDGES = 2000


@statement(
    16,
    "all this holds as well for tied, fixed and shared weights, recurrent and convolutional networks, mixed "
    "activations, degrees and exponents",
    "Baldi et al., abstract: recurrent, convolutional and mixed architectures, general regularizers",
)
def the_theory_extends(trial: Trial) -> None:
    """Balance networks with such features, and compare with a plain minimization of the cost over the scalings."""
    cost = trial.tally("cost against its definition, relative", 1e-10, "rounding of log-scales times exponents")
    least = trial.tally(
        "cost above the least that plain minimization of the definition finds, relative",
        1e-8,
        "the balance stops at 1e-12; minimization that ends early can only find more",
    )
    function = trial.tally("change of an output, relative", 1e-8, "rounding, magnified by cancellation in the outputs")
    constraint = trial.tally(
        "log-ratio within ties, on fixed edges and among copies, after balancing", 1e-12, "equal scales, rounded"
    )
    twins = trial.tally(
        "log-weights of a convolution with shared weights and with tied units", 1e-8, "each stops at 1e-12"
    )
    for subject in trial.networks(lambda one: why_no_optimum(one) or _without_features(one)):
        result = bg.balance(subject.graph, subject.regularizer, solver="newton")
        definition, unknowns = _Definition(subject), _unknowns(subject, result)
        defined = definition(subject.problem.manifold.basis @ unknowns)
        cost.add(result.cost / defined - 1.0, subject.name)
        found = _plain_minimum(subject, unknowns + 0.5 * trial.rng.standard_normal(unknowns.size))
        least.add(max(0.0, defined / found - 1.0), subject.name)
        if subject.count("output") and not subject.extreme_outputs:
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
    manifold = subject.problem.manifold
    features = (
        manifold.group is not None
        or manifold.fixed is not None
        or manifold.shared is not None
        or subject.problem.exponent is not None
        or subject.is_recurrent
        or len(set(manifold.degree[manifold.free_nodes].tolist())) > 1
        or not isinstance(subject.regularizer, bg.Lp)
    )
    if subject.graph.number_of_edges() > _MOST_EDGES:
        return f"plain minimization is feasible up to {_MOST_EDGES} edges"
    return "" if features else "a plain network: no ties, fixed or shared weights, cycles, mixed degrees or exponents"


def _unknowns(subject: Subject, result: bg.BalanceResult) -> Array:
    """The scales that the constraints leave, of a balanced network."""
    log_scales = np.array([result.log_scales.get(node, 0.0) for node in subject.graph])
    return np.asarray(np.linalg.lstsq(subject.problem.manifold.basis.toarray(), log_scales, rcond=None)[0])


def _plain_minimum(subject: Subject, start: Array) -> float:
    """Least cost by BFGS over the scales that the constraints leave, from the definition of the cost alone.

    The start is far enough from the optimum for a wrong one to show, and near enough for weights of any spread.

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

    found = optimize.minimize(log_cost, start, jac=slopes, method="BFGS", options={"gtol": 1e-9})
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
    manifold, log_gains = subject.problem.manifold, _gains(subject, balanced)
    if manifold.fixed is not None:
        tally.add(float(np.abs(log_gains[manifold.fixed]).max()), f"{subject.name}, fixed edges")
    if manifold.shared is not None:
        for label in np.unique(manifold.shared[manifold.shared >= 0]):
            tally.add(float(np.ptp(log_gains[manifold.shared == label])), f"{subject.name}, shared weights")
    if manifold.group is not None:
        log_scales = manifold.log_scales_of(log_gains)
        for label in np.unique(manifold.group[manifold.group >= 0]):
            tally.add(float(np.ptp(log_scales[manifold.group == label])), f"{subject.name}, tied nodes")


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
