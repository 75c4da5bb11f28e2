"""Robust costs against arithmetic with many digits, at any size; and functions of one's own at the ends of floats.

Room: problem.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import assert_balanced, chain, network
from mpmath import mp, mpf

import balance_graph as bg
from balance_graph.problem.balance_problem import BalanceProblem

COSTS: dict[str, tuple[Any, Any]] = {
    "cauchy": (bg.Cauchy(), lambda w: mp.log1p(w**2)),
    "cauchy, scaled": (bg.Cauchy(scale=1e3), lambda w: mp.log1p((w / 1000) ** 2)),
    "log sum": (bg.LogSum(scale=0.5), lambda w: mp.log1p(2 * w)),
    "huber": (bg.Huber(delta=2.0), lambda w: w**2 / 2 if w <= 2 else 2 * (w - 1)),
    "pseudo-huber": (bg.PseudoHuber(delta=4.0), lambda w: 16 * (mp.sqrt(1 + (w / 4) ** 2) - 1)),
}
# The last are the logarithms of the least and the largest float; none is where Huber's curvature jumps.
LOG_WEIGHTS = (-744.44, -400.0, -177.3, -30.0, -2.0, 0.1, 1.0, 2.5, 9.0, 30.0, 177.3, 400.0, 709.7)


@pytest.mark.parametrize("x", LOG_WEIGHTS)
@pytest.mark.parametrize("name", COSTS)
def test_values_and_derivatives_at_any_size(name, x):
    cost, g = COSTS[name]
    at = np.array([x])
    with mp.workdps(2000), np.errstate(all="raise", under="ignore"):
        phi = [mp.diff(lambda t: g(mp.exp(t)), mpf(x), k, h=mpf(10) ** -600) for k in (0, 1, 2)]
        log_value, log_slope, ratio = cost.log_value(at)[0], cost.log_slope(at)[0], cost.ratio(at)[0]
        # Logarithms to rounding of their size.
        assert abs(mpf(log_value) - mp.log(phi[0])) <= 1e-15 * max(4.0, abs(log_value), abs(x))
        assert abs(mpf(log_slope) - mp.log(phi[1])) <= 1e-15 * max(4.0, abs(log_slope), abs(x))
        assert abs(mpf(ratio) - phi[2] / phi[1]) <= 1e-15 * max(4.0, abs(x)) * phi[2] / phi[1] + mpf(10) ** -320
        plain = (cost.value(at)[0], cost.slope(at)[0], cost.curvature(at)[0])
        for found, exact in zip(plain, phi, strict=True):
            if 1e-300 < exact < 1e300:
                assert abs(mpf(found) - exact) <= 1e-12 * exact
            else:
                assert not math.isnan(found)


@pytest.mark.parametrize("solver", ["newton", "cvxpy", "stochastic", "flow"])
@pytest.mark.parametrize("name", COSTS)
def test_every_solver_balances_them(name, solver):
    cost, _ = COSTS[name]
    G = bg.networks.layered([2, 3, 2], rng=3)
    result = bg.balance(G, cost, solver=solver)
    assert result.converged
    assert_balanced(result.graph, cost, 1e-9)
    assert result.cost == pytest.approx(bg.balance(G, cost, solver="newton").cost, rel=1e-10)
    assert result.certificate.relative_gap < 1e-8


@pytest.mark.parametrize("name", COSTS)
def test_the_expression_for_cvxpy_is_the_cost(name):
    cost, _ = COSTS[name]
    G = chain(2.0, 0.3, 1.7)
    model = bg.convex_problem(G, cost)
    model.problem.solve()
    assert model.problem.value == pytest.approx(bg.balance(G, cost, solver="newton").cost, rel=1e-6)


@pytest.mark.parametrize("name", COSTS)
def test_chains_far_apart_meet_in_the_middle(name):
    """All weights of a chain are equal at the optimum where the slope is strictly increasing there."""
    cost, _ = COSTS[name]
    result = bg.balance(chain(1e150, 1e-200, 1e44), cost, solver="newton")
    assert result.converged
    for _, _, w in result.graph.edges(data="weight"):
        assert w == pytest.approx(1e-2, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: bg.Cauchy(0), "Cauchy: scale must be positive"),
        (lambda: bg.LogSum(-1), "LogSum: scale must be positive"),
        (lambda: bg.Huber(math.nan), "Huber: delta must be finite"),
        (lambda: bg.PseudoHuber("1"), "PseudoHuber: delta must be a number"),
    ],
)
def test_settings_are_checked(make, word):
    with pytest.raises(bg.InvalidRegularizerError, match=word):
        make()


def test_they_say_what_they_are_and_are_equal_where_their_settings_are():
    assert repr(bg.Huber(2)) == "Huber(delta=2.0)"
    assert bg.Cauchy(1) == bg.Cauchy() != bg.Cauchy(2)
    assert hash(bg.LogSum(1)) == hash(bg.LogSum(1.0))
    with pytest.raises(bg.InvalidNetworkError, match="exponent of its own"):
        bg.cost(network(("x", "h", 2.0, {"exponent": 1.0}), ("h", "y", 3.0)), bg.Cauchy())


# --- functions of one's own -----------------------------------------------------------------------------------------


def fragile() -> bg.LogConvex:
    """log(1 + w^2) as one would write it: above a log-weight of 177 the curvature is -inf."""

    def curvature(x: np.ndarray) -> np.ndarray:
        square = np.exp(2 * x)
        return np.where(x < 177.0, 4 * square / (1 + square) ** 2, -np.inf)

    return bg.LogConvex(lambda x: np.logaddexp(0, 2 * x), lambda x: 2 / (1 + np.exp(-2 * x)), curvature)


def test_functions_are_looked_at_where_edges_are_and_nowhere_else():
    G = chain(math.exp(176.9), 1e-60)
    ours, exact = bg.balance(G, fragile(), solver="newton"), bg.balance(G, bg.Cauchy(), solver="newton")
    assert ours.converged
    assert ours.cost == pytest.approx(exact.cost, rel=1e-12)


def test_where_an_edge_is_the_function_and_the_place_are_named():
    words = "curvature must be finite; at log-weight 178, the weight of an edge, it is -inf.*Cauchy"
    with pytest.raises(bg.InvalidRegularizerError, match=words):
        bg.balance(chain(math.exp(178.0), 1e-60), fragile())


@pytest.mark.parametrize("solver", ["newton", "cvxpy", "stochastic", "flow"])
def test_where_balancing_takes_an_edge_they_are_named_too(solver):
    """Both weights are 1, but one costs a million times as much: balance wants e^6.9, where there is no cost."""

    def exp(x: np.ndarray) -> np.ndarray:
        return np.where(x < 4.5, np.exp(x), np.nan)

    G = network(("x", "h", 1.0), ("h", "y", 1.0, {"coefficient": 1e6}))
    solver = bg.StochasticSolver(max_sweeps=100, rng=0) if solver == "stochastic" else solver
    words = "value must be finite; at log-weight .*, (next to )?where balancing (takes|comes).*, it is nan"
    with pytest.raises(bg.InvalidRegularizerError, match=words):
        bg.balance(G, bg.LogConvex(exp, exp, exp), solver=solver)


def test_a_cost_in_blocks_is_checked_once(monkeypatch):
    calls = []
    original = bg.LogConvex.check
    monkeypatch.setattr(bg.LogConvex, "check", lambda self, *a: calls.append(a) or original(self, *a))
    regularizer = bg.LogConvex(np.exp, np.exp, np.exp)
    from scipy import sparse

    rng = np.random.default_rng(0)
    W = sparse.random_array((400, 400), density=0.25, rng=rng, format="csr")
    problem = BalanceProblem.from_sparse(W, pinned=np.arange(400) < 9, regularizer=regularizer)
    calls.clear()
    for _ in range(5):
        problem.cost(problem.unscaled)
    assert len(calls) == 1
