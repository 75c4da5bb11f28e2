"""Local balancing: the minimum of the cost along the scale of one unit."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.theory.statement import Tally, Trial, statement
from balance_graph.theory.subject import Subject, difference, sample

_EXPONENTS = (0.5, 1.0, 2.0, 3.0)
_NODES = 3


@statement(
    4,
    "for the cost |w|^p, p > 0, and a unit of degree c > 0 the local balance exists and is unique: "
    "s^(p (1 + c)) = c out / in; for c = 1 it lowers the cost by exactly (sqrt(in) - sqrt(out))^2 / p",
    "Baldi et al., abstract (all L_p regularizers); the closed form by calculus",
)
def local_balance_has_a_closed_form(trial: Trial) -> None:
    """Compare `balance_node` with the closed form, its decrease of the cost, and the cost along the scale."""
    scale = trial.tally("log s against the closed form", 1e-11, "the balancing stops at a relative imbalance of 1e-12")
    rounding = "rounding of a sum of costs, 1e-16 per term, relative to the largest of them"
    along = trial.tally("cost along the scale against (in s^p + out s^(-c p)) / p, relative", 1e-12, rounding)
    decrease = trial.tally("decrease of the cost, relative to the cost of the unit", 1e-12, rounding)
    for subject in trial.networks(_without_closed_form):
        for p in sorted({*_EXPONENTS, _exponent(subject)}):
            for node in sample(_plain_nodes(subject), trial.rng, _NODES):
                _closed_form(replace(subject, regularizer=bg.Lp(p)), node, p, trial.rng, (scale, along, decrease))
    network = nx.DiGraph([("x", "h", {"weight": 1.0})])
    network.nodes["h"]["role"] = "hidden"
    costs = [bg.cost(bg.scale(network, {"h": s}), 2) for s in (1.0, 1e-3, 1e-6)]
    falls = costs[1] < 1e-3 * costs[0] and costs[2] < 1e-3 * costs[1]
    trial.counterexample(
        "a unit with in-weights only: the cost falls for ever along its scale (share that is lost by s = 1e-6)",
        (1.0 - costs[2] / costs[0]) * falls,
        0.999,
    )


def _without_closed_form(subject: Subject) -> str:
    if not isinstance(subject.regularizer, bg.Lp) or subject.problem.exponent is not None:
        return "the closed form is for one power |w|^p"
    return "" if _plain_nodes(subject) else "no free unit that moves alone and has in-edges, out-edges and no self-loop"


def _exponent(subject: Subject) -> float:
    assert isinstance(subject.regularizer, bg.Lp)
    return subject.regularizer.p


def _plain_nodes(subject: Subject) -> list[Hashable]:
    """Free nodes that move alone, without self-loops, with weights on both sides."""
    manifold = subject.problem.manifold
    if manifold.shared is not None:
        return []
    alone = np.bincount(manifold.coordinate[manifold.coordinate >= 0], minlength=manifold.n_coordinates) == 1
    found = []
    for k in manifold.free_nodes.tolist():
        node = manifold.nodes[k]
        sides = [edges(node, data=True) for edges in (subject.graph.in_edges, subject.graph.out_edges)]
        plain = manifold.coordinate[k] >= 0 and alone[manifold.coordinate[k]] and not subject.graph.has_edge(node, node)
        if plain and all(any(data["weight"] != 0 for *_, data in side) for side in sides):
            found.append(node)
    return found


def _closed_form(
    subject: Subject, node: Hashable, p: float, rng: np.random.Generator, tallies: tuple[Tally, Tally, Tally]
) -> None:
    scale, along, decrease = tallies
    graph, c = subject.graph, _degree(subject, node)
    into, out_of = (_slope_of_powers(edges(node, data=True), p) for edges in (graph.in_edges, graph.out_edges))
    balanced, s = bg.balance_node(graph, node, subject.regularizer)
    where = f"{subject.at(node)}, p = {p:g}, c = {c:g}"
    scale.add(np.log(s) - np.log(c * out_of / into) / (p * (1.0 + c)), where)

    def local(one: nx.DiGraph[Any]) -> float:
        edges = [*one.in_edges(node, data=True), *one.out_edges(node, data=True)]
        return bg.cost(nx.DiGraph(edges), subject.regularizer)

    for factor in np.exp(rng.normal(size=3)).tolist():
        expected = (into * factor**p + out_of * factor ** (-c * p)) / p
        along.add(local(bg.scale(graph, {node: factor})) / expected - 1.0, where)
    if c == 1.0:
        size = (into + out_of) / p
        lost = local(graph) - local(balanced)
        decrease.add((lost - (np.sqrt(into) - np.sqrt(out_of)) ** 2 / p) / size, where)


def _degree(subject: Subject, node: Hashable) -> float:
    return float(subject.problem.manifold.degree[list(subject.graph).index(node)])


def _slope_of_powers(edges: Any, p: float) -> float:
    """Sum of ``p a |w|**p``: the definition of in-cost and out-cost."""
    return float(sum(p * data.get("coefficient", 1.0) * abs(data["weight"]) ** p for _, _, data in edges))


@statement(
    5,
    "for a general regularizer g the local balance is where the sum of w g'(w) over in-edges is c times that over "
    "out-edges; it is unique if w g'(w) strictly increases, and only then",
    "Baldi et al., abstract (more general regularizers); the slope condition by calculus",
)
def local_balance_of_general_costs(trial: Trial) -> None:
    """Balance single units, and measure the slopes by differences of the cost; start again from other scales."""
    slopes = trial.tally(
        "in-slope less c times out-slope, relative",
        1e-8,
        "five-point differences of the cost, known to about 1e-10, of a balance known to 1e-12",
    )
    unique = trial.tally(
        "log-weights balanced from other scales of the unit",
        1e-9,
        "each balancing stops at a relative imbalance of 1e-12",
    )
    for subject in trial.networks(_without_local_balance):
        for node in sample(_single_nodes(subject), trial.rng, _NODES):
            balanced, _ = bg.balance_node(subject.graph, node, subject.regularizer)
            slopes.add(_slope_imbalance(replace(subject, graph=balanced), node), subject.at(node))
            for s in np.exp(2.0 * trial.rng.normal(size=2)).tolist():
                again, _ = bg.balance_node(bg.scale(subject.graph, {node: s}), node, subject.regularizer)
                unique.add(difference(balanced, again), subject.at(node))
    trial.counterexample(
        "g = 20 + log|w| has constant w g'(w): two scalings of a unit are balanced, and this far apart",
        _two_balances(),
        0.5,
    )


def _without_local_balance(subject: Subject) -> str:
    return "" if _single_nodes(subject) else "no free unit that moves alone and has in-edges and out-edges"


def _single_nodes(subject: Subject) -> list[Hashable]:
    """Free nodes that move alone, with weights on both sides; those with self-loops included."""
    without = subject.graph.copy()
    loops = [(u, v) for u, v in without.edges if u == v]
    without.remove_edges_from(loops)
    return _plain_nodes(replace(subject, graph=without))


def _slope_imbalance(subject: Subject, node: Hashable) -> float:
    """``|in - c out| / (in + c out)`` with slopes by differences of the cost alone."""
    c = _degree(subject, node)
    into = _slope(subject.graph.in_edges(node, data=True), subject.regularizer)
    out_of = c * _slope(subject.graph.out_edges(node, data=True), subject.regularizer)
    return abs(into - out_of) / (into + out_of)


def _slope(edges: Any, regularizer: bg.Regularizer) -> float:
    """Derivative of the cost of some edges when all their weights grow by a common factor: sum of ``w g'(w)``."""
    step = 1e-3

    def cost(log_factor: float) -> float:
        factor = float(np.exp(log_factor))
        grown = [(u, v, {**data, "weight": factor * data["weight"]}) for u, v, data in edges]
        return bg.cost(nx.DiGraph(grown), regularizer)

    near, far = cost(step) - cost(-step), cost(2 * step) - cost(-2 * step)
    return (8.0 * near - far) / (12.0 * step)


def _two_balances() -> float:
    """Distance of two balanced states of one unit under a cost that is linear in the log-weight; 0 if one is not."""

    def constant(value: float) -> Any:
        return lambda x: np.full_like(x, value)

    def linear(x: Array) -> Array:
        return 20.0 + x

    cost = bg.LogConvex(linear, constant(1.0), constant(0.0))
    network = bg.networks.chain(weights=[1.0, 1.0])
    scaled = bg.scale(network, {"h1.0": 2.0})
    balanced = all(bg.is_balanced(one, cost) for one in (network, scaled))
    return difference(network, scaled) * balanced
