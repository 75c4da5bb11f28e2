"""`verify` in any units: weights far from 1, weights of every size, networks that are balanced already.

Room: theory.
"""

from __future__ import annotations

import inspect
import json
import sys

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from helpers import chain, log1p2, network, regularizer_of
from wide_networks import wide_network

import balance_graph as bg
from balance_graph import plots
from balance_graph.cli import main
from balance_graph.theory import STATEMENTS
from balance_graph.theory.statement import subjects_of
from balance_graph.theory.subject import Subject
from balance_graph.theory.training import out_of_balance, trainable, why_cost_not_smooth

# Training, runs in every order, rates: most of the time.
LONG = {7, 8, 9, 14, 17, 18}
QUICK = [one for one in STATEMENTS if one.number not in LONG]
GALLERY = {
    "layered": bg.networks.layered([3, 4, 3, 2], rng=0),
    "chain": bg.networks.chain(5, rng=0),
    "random DAG": bg.networks.random_dag(rng=0),
    "recurrent": bg.networks.random_recurrent(self_loops=True, rng=0),
    "residual": bg.networks.residual(rng=0),
    "convolution, shared": bg.networks.convolutional(5, (1, 2), rng=0),
    "convolution, tied": bg.networks.convolutional(5, (1, 2), sharing="group", rng=0),
}


def assert_nothing_fails(findings):
    for finding in findings:
        assert finding.holds is not False, finding.summary()
        assert finding.applies or finding.reason


# --- weights of any size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [2, 7, 14, 18, 28])
def test_quick_statements_on_weights_of_any_size(seed):
    _, G, p = wide_network(seed)
    assert_nothing_fails([one(G, p, rng=seed) for one in QUICK])


@pytest.mark.parametrize("seed", [4, 14])
def test_all_statements_on_weights_of_any_size(seed):
    _, G, p = wide_network(seed)
    assert_nothing_fails(bg.verify(G, p, rng=seed).findings)


def test_the_networks_are_what_they_say():
    found = [wide_network(seed) for seed in range(48)]
    sizes = [np.abs([w for *_, w in G.edges(data="weight") if w]) for _, G, _ in found]
    assert {p for *_, p in found} == {0.5, 1.0, 1.5, 2.0, 3.0}
    assert min(map(np.min, sizes)) < 1e-7
    assert max(map(np.max, sizes)) > 1e7
    assert {bg.attainment(G, p).attained for _, G, p in found} == {True, False}


def test_a_chain_of_weights_near_a_million_on_the_command_line(tmp_path, capsys):
    path = tmp_path / "million.json"
    bg.write_network(chain(1.1e6, -2e6, 0.9e6, 1e6, 1.3e6, 0.8e6), path)
    assert main(["verify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True


def test_what_is_trained_does_not_depend_on_units():
    G = bg.networks.layered([3, 4, 2], rng=0)
    in_other_units = G.copy()
    for *_, data in in_other_units.edges(data=True):
        data["weight"] *= 1e-7
    one, two = (trainable(Subject("", graph, bg.Lp(2))).weights for graph in (G, in_other_units))
    np.testing.assert_allclose(one, two, rtol=1e-12)
    for number in (6, 7, 9):
        first, second = (STATEMENTS[number - 1](graph, rng=3) for graph in (G, in_other_units))
        assert first.holds
        assert second.holds
        assert [check.count for check in first.checks] == [check.count for check in second.checks]


def test_what_is_trained_keeps_signs_order_zeros_and_copies():
    G = bg.networks.convolutional(4, (1, 2), rng=0)
    for k, (*_, data) in enumerate(G.edges(data=True)):
        if "shared" not in data:
            data["weight"] *= 10.0 ** (k % 30 - 15)
    subject = Subject("", G, bg.Lp(2))
    before, after = subject.weights, trainable(subject).weights
    assert np.array_equal(np.sign(before), np.sign(after))
    some = before != 0.0
    assert np.array_equal(
        np.argsort(np.abs(before[some]), kind="stable"), np.argsort(np.abs(after[some]), kind="stable")
    )
    assert np.ptp(np.log(np.abs(after[some]))) <= np.log(100.0) * (1.0 + 1e-12)
    bg.compile_graph(trainable(subject).graph)  # copies are still equal


def test_outputs_beyond_measure_hinder_only_what_is_said_about_outputs():
    G = chain(*[1e7] * 9)
    for one in QUICK:
        finding = one(G, rng=0)
        assert finding.applies == (one.number not in {2, 6, 16}), finding.summary()
    assert "grow beyond 1e50" in STATEMENTS[1](G).reason


def test_a_cost_without_curvature_to_measure_does_not_apply():
    finding = STATEMENTS[12](chain(1e9, 1e9, 1e9), log1p2())
    assert finding.holds is None
    assert "all but linear" in finding.reason


def test_weights_that_an_imbalance_leaves_open_are_not_compared():
    name = "strong_cycle_1e8"
    finding = STATEMENTS[13](CASES[name].make(), regularizer_of(name))
    assert finding.holds
    assert any("leaves the weights open" in reason for reason in finding.skipped.values())


# --- balance, then verify -------------------------------------------------------------------------------------------


def test_two_weights_of_one():
    assert bg.verify(network(("x", "h", 1.0), ("h", "y", 1.0))).holds


@pytest.mark.parametrize("name", GALLERY)
def test_descent_from_a_balanced_network(name):
    p = 1.5 if "convolution" in name else 2.0
    balanced = bg.balance(GALLERY[name], p, solver="newton").graph
    assert_nothing_fails([STATEMENTS[8](balanced, p)])


@pytest.mark.parametrize(
    "name", ["bipu_self_loops", "exponents", "log1p2_bipu", "fixed_c2", "shared_not_ties", "isolated_cycle"]
)
def test_quick_statements_on_balanced_networks(name):
    cost = regularizer_of(name)
    balanced = bg.balance(CASES[name].make(), cost, solver="newton").graph
    assert_nothing_fails([one(balanced, cost) for one in QUICK])


def test_descent_starts_out_of_balance():
    subject = Subject("", bg.balance(GALLERY["layered"], solver="newton").graph, bg.Lp(2))
    start = out_of_balance(trainable(subject), np.random.default_rng(0))
    assert bg.relative_imbalance(start.graph) > 0.3
    assert bg.equivalent(trainable(subject).graph, start.graph)


# --- words, and where arguments stand -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "kink"),
    [
        (0.5, True),
        (1, True),
        (1.5, False),
        (2, False),
        (bg.ElasticNet(l1=1e-3, l2=1.0), True),
        (bg.ElasticNet(l1=0.0, l2=1.0), False),
        (bg.Posynomial([(1.0, 1.2), (2.0, 4.0)]), False),
        (bg.Posynomial([(1.0, 0.8), (2.0, 4.0)]), True),
        (bg.LogConvex(np.exp, np.exp, np.exp), True),
        (
            bg.LogConvex(lambda x: np.exp(1.1 * x), lambda x: 1.1 * np.exp(1.1 * x), lambda x: 1.21 * np.exp(1.1 * x)),
            False,
        ),
        (log1p2(), False),
    ],
)
def test_costs_with_a_kink_at_zero(cost, kink):
    (subject,) = subjects_of(chain(1.0, 2.0), cost)
    assert ("kink at zero" in why_cost_not_smooth(subject)) == kink


def test_an_exponent_of_an_edge_makes_a_kink():
    G = network(("x", "h", 1.0, {"exponent": 1.0}), ("h", "y", 2.0))
    assert "kink" in why_cost_not_smooth(Subject("", G, bg.Lp(2)))
    G.edges["x", "h"]["exponent"] = 1.01
    assert not why_cost_not_smooth(Subject("", G, bg.Lp(2)))


def test_powers_between_one_and_two_are_trained_though_newton_finds_no_critical_point():
    G = bg.networks.layered([2, 3, 1], rng=1)
    assert "infinite curvature at zero" in STATEMENTS[6](G, 1.5).reason
    assert STATEMENTS[8](G, 1.5).holds


def test_local_runs_and_bounds_may_hold_other_nodes_of_a_gauge():
    # A hidden part that nothing reaches, two of its units far more strongly joined than the others.
    G = network(
        ("a", "b", 0.01), ("b", "c", 0.01), ("c", "a", 0.02), ("c", "d", 0.01), ("d", "e", 1e6), ("e", "d", 2e6)
    )
    G.add_edge("e", "c", weight=0.03)
    for seed in range(3):
        finding = STATEMENTS[9](G, 1.5, rng=seed)
        assert finding.holds, finding.summary()


def test_slopes_over_too_many_decades_for_rates():
    _, G, p = wide_network(124)
    assert "more than 12 decades" in STATEMENTS[17](G, p).reason


def test_the_regularizer_follows_the_networks_everywhere(monkeypatch):
    monkeypatch.setattr(sys.modules["balance_graph.theory.verification"], "STATEMENTS", STATEMENTS[3:5])
    G = chain(1.0, 2.0)
    one, two = bg.verify(G, 1.5, rng=1), bg.verify(G, regularizer=1.5, rng=1)
    assert [finding.checks for finding in one.findings] == [finding.checks for finding in two.findings]
    # Statement 4 tries 0.5, 1, 2, 3 and the exponent given.
    assert sum(check.count for check in one[4].checks) > sum(check.count for check in bg.verify(G, rng=1)[4].checks)
    before = {"G", "H", "network", "node", "first", "second", "before", "after", "result"}
    for module in (bg, plots):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function) and "regularizer" in (
                names := list(inspect.signature(function).parameters)
            ):
                place = names.index("regularizer")
                assert set(names[:place]) <= before, name
                kind = inspect.signature(function).parameters["regularizer"].kind
                assert kind is inspect.Parameter.POSITIONAL_OR_KEYWORD, name


@pytest.mark.parametrize("seed", range(10))
def test_self_loops_are_there_when_asked_for(seed):
    for hidden in (1, 6):
        G = bg.networks.random_recurrent(hidden=hidden, probability=0.0, self_loops=True, rng=seed)
        assert nx.number_of_selfloops(G) == 1
        assert nx.number_of_selfloops(bg.networks.random_recurrent(hidden=hidden, probability=1.0, rng=seed)) == 0
