"""Costs that level off: where all flows are equal to every digit, what they lack of their limits is balanced.

Room: solvers.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from fuzz import faults, fuzzed
from hypothesis import given
from hypothesis import strategies as st

import balance_graph as bg
from balance_graph.problem.levelled import Levelled
from balance_graph.problem.quotient import Quotient
from balance_graph.solvers import newton_run

SIZES = st.lists(st.floats(-40.0, 40.0), min_size=2, max_size=5)


@given(SIZES, st.sampled_from([bg.Cauchy(), bg.Cauchy(1e5), bg.LogSum(), bg.LogSum(scale=1e-9)]))
def test_along_a_chain_all_weights_become_their_geometric_mean(decades, regularizer):
    chain = bg.networks.chain(weights=[10.0**one for one in decades])
    balanced = bg.balance(chain, regularizer)
    assert balanced.converged
    weights = np.array([one for _, _, one in balanced.graph.edges(data="weight")])
    assert np.log(weights) == pytest.approx(np.full(weights.size, np.log(10.0) * np.mean(decades)), abs=1e-7)
    assert balanced.certificate.relative_gap < 1e-8


@given(SIZES)
def test_around_a_ring_all_weights_become_their_geometric_mean(decades):
    G = nx.DiGraph()
    for k, one in enumerate(decades):
        G.add_edge(k, (k + 1) % len(decades), weight=10.0**one)
    balanced = bg.balance(G, bg.Cauchy())
    weights = np.array([one for _, _, one in balanced.graph.edges(data="weight")])
    assert balanced.converged
    assert np.log(weights) == pytest.approx(np.full(weights.size, np.log(10.0) * np.mean(decades)), abs=1e-7)


def levelled_chain():
    """Limits go in and out of the unknown; of the third edge a coefficient makes up for its small weight."""
    G = nx.DiGraph()
    G.add_edge("i", "a", weight=1e-5)
    G.add_edge("a", "b", weight=3e4, coefficient=2e23)
    G.add_edge("b", "o", weight=1e14)
    return G


def test_deficits_flow_the_other_way_and_limits_cancel_in_clusters():
    problem = bg.compile_graph(levelled_chain(), bg.Cauchy())
    balanced = bg.solve(problem)
    levelled = Levelled.of(Quotient(problem, problem.unscaled), balanced.log_scales)
    assert levelled.is_turned.tolist() == [True, False, True]
    assert np.sort(levelled.limits()).tolist() == [-2.0, 2.0]
    assert levelled.limits(np.ones((2, 1))).tolist() == [0.0]
    deficits = np.exp(levelled.log_slopes(np.zeros(2))[0])[[0, 2]]
    assert deficits[0] == pytest.approx(deficits[1], rel=1e-9)
    assert deficits[0] < 1e-20


def test_a_small_limit_counts_beside_large_ones_that_cancel():
    G = nx.DiGraph()
    G.add_nodes_from("ija")  # so that the small one is added between the others
    G.add_edge("i", "a", weight=1e15)
    G.add_edge("j", "a", weight=1e15, coefficient=1e-24)
    G.add_edge("a", "o", weight=1e15)
    problem = bg.compile_graph(G, bg.Cauchy())
    levelled = Levelled.of(Quotient(problem, problem.unscaled), problem.unscaled)
    assert levelled.limits() == pytest.approx([2e-24], rel=1e-12, abs=0.0)


@pytest.mark.parametrize("coefficient", [1e-320, 1.7e308])
def test_limits_may_leave_the_range_of_floats(coefficient):
    G = nx.DiGraph()
    G.add_edge("i", "a", weight=1e12, coefficient=coefficient)
    G.add_edge("a", "o", weight=1e20, coefficient=coefficient)
    balanced = bg.balance(G, bg.Cauchy())
    assert balanced.converged
    assert [one for _, _, one in balanced.graph.edges(data="weight")] == pytest.approx([1e16, 1e16], rel=1e-9)


def test_where_nothing_has_levelled_off_nothing_is_turned():
    problem = bg.compile_graph(bg.networks.chain(weights=[1.0, 4.0]), bg.Cauchy())
    assert Levelled.of(Quotient(problem, problem.unscaled), problem.unscaled) is None
    powers = bg.compile_graph(bg.networks.chain(weights=[1e30, 4e40]), 2)
    assert Levelled.of(Quotient(powers, powers.unscaled), powers.unscaled) is None


def test_without_deficits_a_chain_stays_where_it_is(monkeypatch):
    """So the cases above need them: flows that have levelled off are balanced wherever they are."""
    monkeypatch.setattr(newton_run.Levelled, "of", classmethod(lambda *_: None))
    solution = bg.solve(bg.compile_graph(levelled_chain(), bg.Cauchy()))
    assert not solution.converged


FOUND = [(11, 57), (11, 130), (11, 855), (11, 1440), (12, 148), (12, 583), (12, 653), (21, 357), (21, 978), (21, 2571)]
FOUND += [(31, 185), (32, 3494)]


@pytest.mark.parametrize(("seed", "number"), FOUND)
def test_networks_that_were_answered_wrong(seed, number):
    """Found by the fuzzer: converged with wrong weights, not converged, no bound, or rows turned about for ever."""
    assert faults(*fuzzed(seed, number)) == []
