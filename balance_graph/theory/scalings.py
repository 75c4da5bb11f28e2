"""Scaling and balancing as operations: what they keep, and whether they commute."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse

import balance_graph as bg
from balance_graph.errors import NotAttainedError, UnsupportedError
from balance_graph.theory.statement import Trial, statement
from balance_graph.theory.subject import Subject, difference, output_change, sample

_ROUNDINGS = "three products per weight, each rounded once; a dozen units in the last place at most"


@statement(
    2,
    "scaling leaves the function of the network unchanged: feedforward, and recurrent at every step",
    "Baldi et al., abstract (scaling) and Figures 2 to 5; degrees c by f(s z) = s^c f(z)",
)
def scaling_keeps_the_function(trial: Trial) -> None:
    """Compare the outputs before and after random scalings of all free nodes at once."""
    change = trial.tally(
        "change of an output, relative",
        1e-9,
        "rounding, 1e-16, times the cancellation in sums of a few dozen terms, and far below any change by a scale",
    )
    for subject in trial.networks(_without_function):
        for _ in range(3):
            x = subject.inputs(trial.rng)
            scaled = subject.scaled(subject.log_scales(trial.rng))
            change.add(output_change(bg.evaluate(subject.graph, x), bg.evaluate(scaled.graph, x)), subject.name)
    _break_scaling(trial)


def _without_function(subject: Subject) -> str:
    if not subject.free_nodes:
        return "no free units"
    return subject.extreme_outputs if subject.count("output") else "no outputs, so it has no function to keep"


def _break_scaling(trial: Trial) -> None:
    network = bg.networks.from_layers([[[1.0]], [[1.0]]], biases=[[0.5], None])
    x = np.array([[1.0], [2.0]])
    scaled = bg.scale(network, {"h1.0": 2.0})
    scaled.edges["bias", "h1.0"]["weight"] = 0.5
    trial.counterexample(
        "the bias not scaled along with the other weights of its unit",
        output_change(bg.evaluate(network, x), bg.evaluate(scaled, x)),
        1e-2,
    )
    network = bg.networks.from_layers([[[1.0]], [[1.0]]], activation="tanh")
    scaled = bg.networks.from_layers([[[2.0]], [[0.5]]], activation="tanh")
    trial.counterexample(
        "a tanh unit, which is not homogeneous, scaled by 2",
        output_change(bg.evaluate(network, x), bg.evaluate(scaled, x)),
        1e-2,
    )


@statement(
    3,
    "scalings commute and compose; balancings of units that are not adjacent commute, of adjacent units in general not",
    "Baldi et al., abstract: scaling is commutative, balancing is not",
)
def scalings_commute_and_balancings_do_not(trial: Trial) -> None:
    """Apply two scalings, and two balancings of non-adjacent units, in both orders."""
    commute = trial.tally("log-weights, two scalings in both orders", 1e-13, _ROUNDINGS)
    compose = trial.tally("log-weights, two scalings against their product", 1e-13, _ROUNDINGS)
    apart = trial.tally(
        "log-weights, two units that are not adjacent balanced in both orders",
        1e-10,
        "each balancing stops at a relative imbalance of 1e-12",
    )
    for subject in trial.networks(lambda subject: "" if subject.free_nodes else "no free units"):
        one, two = subject.log_scales(trial.rng), subject.log_scales(trial.rng)
        first_one, first_two = subject.scaled(one).scaled(two), subject.scaled(two).scaled(one)
        commute.add(difference(first_one.graph, first_two.graph), subject.name)
        compose.add(difference(first_one.graph, subject.scaled(one + two).graph), subject.name)
        for a, b in sample(list(_apart(subject)), trial.rng, 3):
            measured = _order_matters(subject.graph, a, b, subject.regularizer)
            if measured is None:
                trial.skip(subject, "some units cannot be balanced alone, for the balancings of statement 3")
            else:
                apart.add(measured, subject.at((a, b)))
    measured = _order_matters(bg.networks.chain(weights=[1.0, 1.0, 8.0]), "h1.0", "h2.0", bg.Lp(2))
    trial.counterexample("two adjacent units balanced in both orders", measured or 0.0, 0.1)


def _apart(subject: Subject) -> Iterator[tuple[Hashable, Hashable]]:
    """Pairs of free nodes that move no common edge, and that a balancing of the other leaves as they are."""
    manifold = subject.problem.manifold
    moved = sparse.csr_array(manifold.reduced_incidence != 0).astype(float)
    meet = (moved.T @ moved).toarray() > 0
    unknowns = (manifold.basis != 0).toarray()
    for k, one in enumerate(manifold.free_nodes.tolist()):
        for two in manifold.free_nodes[k + 1 :].tolist():
            if not meet[np.ix_(unknowns[one], unknowns[two])].any():
                yield manifold.nodes[one], manifold.nodes[two]


def _order_matters(network: nx.DiGraph[Any], a: Hashable, b: Hashable, cost: bg.Regularizer) -> float | None:
    """Difference of the networks that balancing a then b, and b then a, leads to; None where one cannot be balanced."""
    try:
        one = bg.balance_node(bg.balance_node(network, a, cost)[0], b, cost)[0]
        two = bg.balance_node(bg.balance_node(network, b, cost)[0], a, cost)[0]
    except (UnsupportedError, NotAttainedError):
        return None
    return difference(one, two)
