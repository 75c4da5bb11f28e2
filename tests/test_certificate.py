"""The certificate is a bound: against 50-digit optima, from any point, and tight near balance.

Room: certificate.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import CASES, case_optimum
from helpers import chain, log1p2, network, regularizer_of
from mpmath import mp, mpf

import balance_graph as bg
from balance_graph.certificate import rows

NAMES = list(CASES)


def log_bound(certificate: bg.Certificate) -> mpf:
    """Logarithm of the lower bound, to the digits of the cost and the relative gap."""
    return mp.log(mpf(certificate.lower_bound))


def in_range(certificate: bg.Certificate) -> bool:
    return certificate.lower_bound > 1e-290 and certificate.cost < 1e300


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_holds_at_the_balanced_network_and_is_tight(name):
    optimum = case_optimum(name)
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver="newton")
    certificate = result.certificate
    assert certificate.relative_gap <= 1e-11
    if in_range(certificate):
        with mp.workdps(60):
            assert log_bound(certificate) <= optimum.log_cost
            assert mpf(certificate.cost) - mp.exp(optimum.log_cost) <= mpf(certificate.gap)


@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", NAMES)
def test_the_bound_holds_at_any_distance_from_balance(name, size):
    optimum = case_optimum(name)
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    basis = problem.manifold.basis
    center = bg.solve(problem).log_scales
    shift = np.random.default_rng(0).standard_normal(basis.shape[1])
    log_scales = center + size * (basis @ shift)
    certificate = bg.certify(problem, log_scales)
    assert 0 <= certificate.relative_gap <= 1
    if in_range(certificate):
        with mp.workdps(60):
            assert log_bound(certificate) <= optimum.log_cost
            assert mpf(certificate.cost) - mp.exp(optimum.log_cost) <= mpf(certificate.gap) * (1 + mpf(2) ** -50)


@pytest.mark.parametrize("name", ["layered_bias", "recurrent", "bipu_layers", "elastic", "tied", "log1p2"])
def test_near_balance_the_gap_is_near_the_true_distance(name):
    """The gap is second order in the displacement, as the distance itself is: within a factor of a few."""
    optimum = case_optimum(name)
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    basis, center = problem.manifold.basis, bg.solve(problem).log_scales
    shift = basis @ np.random.default_rng(1).standard_normal(basis.shape[1])
    for size in (1e-2, 1e-3, 1e-4):
        certificate = bg.certify(problem, center + size * shift)
        true = float(1 - mp.exp(optimum.log_cost) / mpf(certificate.cost))
        assert true > 0
        assert true <= certificate.relative_gap <= 3 * true + 1e-13


@pytest.mark.parametrize("name", ["layered_bias", "recurrent", "bipu_layers", "wide_layered", "strong_cycle_1e40"])
def test_a_network_far_from_balance_is_certified_through_newton_steps(name):
    G, optimum = CASES[name].make(), case_optimum(name)
    certificate = bg.certify(G, regularizer_of(name))
    assert certificate.cost == pytest.approx(bg.cost(G, regularizer_of(name)), rel=1e-12)
    assert 0 < certificate.lower_bound <= certificate.cost
    with mp.workdps(60):
        # Newton steps from there lead to a point that proves at least half of the optimal cost.
        assert mp.log(mpf(certificate.lower_bound)) >= optimum.log_cost - mp.log(2)


def test_the_parts_of_a_certificate_agree():
    certificate = bg.certify(chain(3.0, 0.5, 7.0))
    assert certificate.gap == certificate.cost - certificate.lower_bound
    assert certificate.relative_gap == pytest.approx(certificate.gap / certificate.cost)
    assert certificate.cost == pytest.approx(58.25)
    assert certificate.lower_bound <= 3 * (3 * 0.5 * 7) ** (2 / 3)
    assert "lower_bound" in repr(certificate)


def test_networks_without_weights_or_without_scales():
    nothing = bg.certify(network())
    assert (nothing.cost, nothing.lower_bound, nothing.gap, nothing.relative_gap) == (0, 0, 0, 0)
    constant = bg.certify(network(("x", "y", 3.0)))
    assert constant.lower_bound <= 9 <= constant.lower_bound * (1 + 1e-13)


def test_beyond_the_range_of_floats_the_relative_gap_still_says_it():
    result = bg.balance(chain(1e200, 1e220), 2, solver="newton")
    assert result.cost == math.inf
    # The optimum is a number beyond all floats, so that the largest of them bounds it.
    assert 1.79e308 < result.certificate.lower_bound < math.inf
    assert result.certificate.log_lower_bound == pytest.approx(result.certificate.log_cost, rel=1e-11)
    assert result.certificate.relative_gap < 1e-11
    assert not math.isnan(result.certificate.gap)


def test_the_bound_is_for_the_infimum_where_it_is_not_attained():
    G = network(("x", "h", 3.0), ("h", "y", 2.0), ("h", "d", 100.0), d={"role": "hidden"})
    certificate = bg.certify(G)
    assert certificate.cost == pytest.approx(10013)
    assert 11.9 < certificate.lower_bound <= 12


@pytest.mark.parametrize("log_scales", [np.zeros(3), np.zeros((1, 4)), np.full(4, np.nan), 2.0])
def test_log_scales_of_the_wrong_shape_are_refused(log_scales):
    problem = bg.compile_graph(chain(3.0, 0.5, 7.0))
    with pytest.raises(bg.InvalidParameterError, match="4 finite log-scales"):
        bg.certify(problem, log_scales)


def test_log_scales_that_break_a_constraint_are_refused():
    G = chain(3.0, 0.5, 7.0, h0={"group": 1}, h1={"group": 1})
    problem = bg.compile_graph(G)
    assert bg.certify(problem, np.array([0, 0.3, 0.3, 0])).relative_gap >= 0
    for wrong in ([0.1, 0, 0, 0], [0, 0.3, 0.2, 0]):
        with pytest.raises(bg.InvalidParameterError, match="break a constraint"):
            bg.certify(problem, np.array(wrong))


@pytest.mark.parametrize("regularizer", [1, bg.ElasticNet(l1=1, l2=1), log1p2()])
def test_a_wrong_answer_is_found_out(regularizer):
    """A point that is not optimal never gets a certificate that says it is."""
    result = bg.balance(CASES["layered"].make(), regularizer)
    for node, value in result.scales.items():
        moved = bg.scale(result.graph, {node: 1.01})
        excess = bg.cost(moved, regularizer) / result.cost - 1
        assert excess > 0
        assert bg.certify(moved, regularizer).relative_gap >= excess / (1 + excess) - 1e-13
        assert value > 0


def test_far_from_balance_no_bound_is_sought(monkeypatch):
    """Steps are made there, each of which costs less than looking for a bound that is mostly not there."""
    sought, made = [], []
    gap, step = rows._gap, rows.advance
    monkeypatch.setattr(rows, "_gap", lambda *given: sought.append(1) or gap(*given))
    monkeypatch.setattr(rows, "advance", lambda *given: made.append(1) or step(*given))
    G = bg.networks.layered([2, 4, 4, 2], rng=0)
    sizes = np.random.default_rng(0).uniform(-60, 60, G.number_of_edges())
    for data, size in zip((data for *_, data in G.edges(data=True)), sizes.tolist(), strict=True):
        data["weight"] *= 10.0**size
    certificate = bg.certify(bg.compile_graph(G))
    assert certificate.log_lower_bound > -np.inf
    assert len(made) > 3 * len(sought) > 0


def test_a_problem_without_a_point_is_certified_as_it_stands():
    weights = np.random.default_rng(0).normal(size=(3, 4)), np.random.default_rng(1).normal(size=(4, 2))
    hidden = np.arange(4)
    for problem in (
        bg.compile_graph(bg.networks.layered([3, 4, 2], rng=0)),
        bg.BlockProblem([(-1, hidden, weights[0]), (hidden, -1, weights[1])], 4),
    ):
        assert bg.certify(problem).cost == bg.certify(problem, problem.unscaled).cost
        assert bg.certify(problem).log_lower_bound == bg.certify(problem, problem.unscaled).log_lower_bound
