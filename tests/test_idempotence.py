"""What is called balanced is balanced, and stays as it is when balanced again.

Room: graph.
"""

from __future__ import annotations

import warnings

import networkx as nx
import numpy as np
import pytest
from fuzz import CLOSE, fuzzed, regularizer_of

import balance_graph as bg

OTHERS = ("auto", bg.StochasticSolver(rng=0, max_sweeps=100), bg.FlowSolver(max_steps=100))


def balanced(G, regularizer, solver):
    """The result where a solver says that it has converged, else None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = bg.balance(G, regularizer, solver=solver, on_unattained="prune")
    except bg.BalanceGraphError:  # refused, or a balanced weight beyond floats
        return None
    return result if result.converged else None


def assert_same_weights(one, other):
    for edge, weight in nx.get_edge_attributes(one, "weight").items():
        again = other.edges[edge]["weight"]
        assert weight == again or np.log(weight / again) == pytest.approx(0.0, abs=CLOSE)


@pytest.mark.parametrize("tens", range(6))
def test_small_networks_of_every_kind(tens):
    tried = 0
    for number in range(10 * tens, 10 * tens + 10):
        G, kind = fuzzed(500, number)
        regularizer = regularizer_of(kind)
        for solver in ("newton", *(OTHERS if number % 10 == 3 else ())):
            result = balanced(G, regularizer, solver)
            if result is None:
                continue
            assert bg.is_balanced(result.graph, regularizer)
            if solver == "newton":
                again = balanced(result.graph, regularizer, solver)
                assert again is not None
                assert_same_weights(result.graph, again.graph)
            tried += 1
    assert tried >= 6


@pytest.mark.parametrize(
    "G",
    [
        bg.networks.layered([20, 40, 40, 20], rng=0),
        bg.networks.random_recurrent(400, 4, 4, rng=1),
        bg.networks.random_dag(500, rng=2),
    ],
)
def test_large_networks(G):
    rng = np.random.default_rng(0)
    for _, _, data in G.edges(data=True):
        data["weight"] *= 10.0 ** rng.uniform(-5, 5)
    result = balanced(G, 2.0, "newton")
    assert result is not None
    assert bg.is_balanced(result.graph)
    assert_same_weights(result.graph, bg.canonical_form(result.graph))
