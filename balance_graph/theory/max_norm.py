"""Where order does matter: the max-norm on a recurrent graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Order
from balance_graph.theory.statement import Trial, statement
from balance_graph.theory.subject import difference


@statement(
    17,
    "order independence fails for the max-norm on recurrent graphs: many scalings of one network are balanced, and the "
    "order decides which is reached",
    "an example of this library, beside the L_p theory of Baldi et al.",
    own_networks=True,
)
def the_max_norm_depends_on_order(trial: Trial) -> None:
    """Two units that feed each other with weight 10: balanced for any strength of the way in; order decides."""
    balanced = trial.tally(
        "imbalance of maxima, relative", 1e-15, "maxima of given numbers; nothing is rounded but one product"
    )
    scalings = trial.tally("networks that are not scalings of each other", 0.0, "yes or no")
    apart = trial.tally(
        "shortfall of their distance in log-weights below log 2", 0.0, "they differ by factors of 2 or more"
    )
    orders = trial.tally(
        "shortfall of the distance that two orders of max-balancing lead to, below log 2", 0.0, "it is log 10 by hand"
    )
    networks = {t: _two_cycle(t, 10.0, 10.0, 0.01 / t) for t in (0.5, 1.0, 3.0)}
    for t, network in networks.items():
        trial.tried[f"two-cycle, t = {t:g}"] = None
        for node in ("h1", "h2"):
            into, out_of = _maxima(network, node)
            balanced.add(abs(into - out_of) / (into + out_of), f"t = {t:g}, {node!r}")
    for t in (0.5, 3.0):
        scalings.add(float(not bg.equivalent(networks[1.0], networks[t])), f"t = {t:g} against 1")
        apart.add(max(0.0, np.log(2.0) - difference(networks[1.0], networks[t])), f"t = {t:g} against 1")
    start = _two_cycle(1.0, 100.0, 1.0, 0.01)
    one, two = (_max_balanced(start, order) for order in (("h1", "h2"), ("h2", "h1")))
    orders.add(max(0.0, np.log(2.0) - difference(one, two)), "h1 first against h2 first")
    trial.counterexample(
        "the cost |w|^0.5 on the same network instead: agreement of both orders, digits of the weights",
        -np.log10(max(difference(*(_balanced_in(start, order) for order in ("cyclic", "greedy"))), 1e-16)),
        8.0,
    )


def _two_cycle(entry: float, there: float, back: float, way_out: float) -> nx.DiGraph[Any]:
    network: nx.DiGraph[Any] = nx.DiGraph()
    network.add_weighted_edges_from([("x", "h1", entry), ("h1", "h2", there), ("h2", "h1", back), ("h2", "y", way_out)])
    return network


def _maxima(network: nx.DiGraph[Any], node: str) -> tuple[float, float]:
    """Largest size of an in-weight, and of an out-weight."""
    into = max(abs(data["weight"]) for _, _, data in network.in_edges(node, data=True))
    return into, max(abs(data["weight"]) for _, _, data in network.out_edges(node, data=True))


def _max_balanced(network: nx.DiGraph[Any], order: Sequence[str]) -> nx.DiGraph[Any]:
    """Scale one unit after the other so that its largest in-weight and out-weight agree, until nothing changes."""
    for _ in range(50):
        for node in order:
            into, out_of = _maxima(network, node)
            network = bg.scale(network, {node: float(np.sqrt(out_of / into))})
    return network


def _balanced_in(network: nx.DiGraph[Any], order: Order) -> nx.DiGraph[Any]:
    # A small exponent keeps the strong cycle from slowing the local steps down.
    return bg.balance(network, 0.5, solver=bg.StochasticSolver(order=order)).graph
