"""Regularizers: their values, their derivatives, and what they refuse.

Room: problem.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers import chain, log1p2, network
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

import balance_graph as bg
from balance_graph.problem.rows import entropy

ONE_EDGE = np.zeros(1)
REGULARIZERS = {
    "lp": (bg.Lp(1.5), lambda w: w**1.5),
    "elastic": (bg.ElasticNet(l1=0.3, l2=2.0), lambda w: 0.3 * w + 2 * w**2),
    "l1 only": (bg.ElasticNet(l1=0.3, l2=0), lambda w: 0.3 * w),
    "posynomial": (bg.Posynomial([(0.5, 0.5), (2.0, 3.0)]), lambda w: 0.5 * math.sqrt(w) + 2 * w**3),
    "log convex": (log1p2(), lambda w: math.log1p(w**2)),
}


@pytest.mark.parametrize("name", REGULARIZERS)
@given(w=st.floats(1e-3, 1e2))
def test_the_cost_of_a_weight(name, w):
    regularizer, g = REGULARIZERS[name]
    G = network(("x", "y", -w, {"coefficient": 3.0}), ("x", "z", 0.0))
    assert bg.cost(G, regularizer) == pytest.approx(3 * g(w), rel=1e-12)


@pytest.mark.parametrize("name", REGULARIZERS)
@given(log_w=st.floats(-6, 4))
def test_slope_and_curvature_are_derivatives_by_the_log_weight(name, log_w):
    regularizer, g = REGULARIZERS[name]
    rows = regularizer.rows(np.array([log_w]), ONE_EDGE)
    gains = np.zeros(rows.edge.size)
    log_slopes, ratio = rows.log_slopes(gains)
    slope, curvature = np.exp(log_slopes).sum(), (np.exp(log_slopes) * ratio).sum()
    h = 1e-4
    ahead, here, behind = (g(math.exp(log_w + step)) for step in (h, 0, -h))
    assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-6)
    assert curvature == pytest.approx((ahead - 2 * here + behind) / h**2, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_in_cost_and_out_cost_are_slopes(name):
    regularizer, g = REGULARIZERS[name]
    h = 1e-6

    def slope(w: float) -> float:
        return (g(w * math.exp(h)) - g(w * math.exp(-h))) / (2 * h)

    assert bg.imbalance(chain(3.0, -0.5), regularizer)["h0"] == pytest.approx(slope(3.0) - slope(0.5), rel=1e-7)


def test_a_number_means_lp():
    G = chain(3.0, -0.5)
    for p in (2, 2.0, np.float64(2), np.int64(2), Fraction(2), np.float32(2)):
        assert bg.cost(G, p) == bg.cost(G, bg.Lp(2)) == pytest.approx(9.25, rel=1e-15)
    assert bg.Lp(Fraction(3, 2)) == bg.Lp(1.5)
    assert hash(bg.Lp(2)) == hash(bg.Lp(2.0))


@pytest.mark.parametrize(
    "regularizer",
    [True, np.bool_(True), "2", 0, -1, math.nan, math.inf, 10**400, 1j, Decimal(2), bg.Lp, [2], np.array(2.0)],
)
def test_what_is_no_regularizer_is_refused_by_every_question(regularizer):
    G = chain(3.0, -0.5)
    for ask in (bg.balance, bg.cost, bg.imbalance, bg.certify, bg.is_balanced, bg.attainment, bg.convex_problem):
        with pytest.raises(bg.InvalidRegularizerError):
            ask(G, regularizer)


def test_no_regularizer_is_none_for_balance():
    """Questions take None for what a result was balanced for, or 2."""
    with pytest.raises(bg.InvalidRegularizerError):
        bg.balance(chain(3.0, -0.5), None)
    assert bg.cost(chain(3.0, -0.5), None) == bg.cost(chain(3.0, -0.5), 2)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: bg.Lp(0), "positive, got 0"),
        (lambda: bg.Lp(-0.5), "positive"),
        (lambda: bg.Lp("2"), "number, got '2'"),
        (lambda: bg.Lp(True), "number, got True"),
        (lambda: bg.Lp(math.nan), "finite"),
        (lambda: bg.ElasticNet(l1=0, l2=0), "both zero"),
        (lambda: bg.ElasticNet(l1=-1, l2=1), "l1 must not be negative"),
        (lambda: bg.ElasticNet(l1=1, l2=math.inf), "l2 must be finite"),
        (lambda: bg.ElasticNet(l1=None, l2=1), "l1 must be a number"),
        (lambda: bg.Posynomial([]), "at least one pair"),
        (lambda: bg.Posynomial([(1, 0)]), "exponent of term 0"),
        (lambda: bg.Posynomial([(1, 1), (-1, 2)]), "coefficient of term 1"),
        (lambda: bg.Posynomial([1, 2]), "pairs"),
        (lambda: bg.Posynomial(3), "pairs"),
        (lambda: bg.Posynomial([(1, 2, 3)]), "pairs"),
        (lambda: bg.Posynomial("ab"), "pairs"),
    ],
)
def test_settings_are_checked_when_made(make, word):
    with pytest.raises(bg.InvalidRegularizerError, match=word):
        make()


def test_settings_are_frozen():
    for regularizer, name in ((bg.Lp(2), "p"), (bg.ElasticNet(l1=1, l2=1), "l1"), (bg.Posynomial([(1, 2)]), "terms")):
        with pytest.raises(AttributeError):
            setattr(regularizer, name, 3)


# --- log-convex functions -------------------------------------------------------------------------------------------


def power(p: float) -> bg.LogConvex:
    return bg.LogConvex(lambda x: np.exp(p * x), lambda x: p * np.exp(p * x), lambda x: p * p * np.exp(p * x))


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
def test_a_power_as_a_log_convex_function_is_the_power(p):
    G = bg.networks.random_recurrent(rng=0)
    one, two = bg.balance(G, p), bg.balance(G, power(p))
    assert two.cost == pytest.approx(one.cost, rel=1e-12)
    assert two.certificate.relative_gap < 1e-9
    for edge in G.edges:
        assert two.graph.edges[edge]["weight"] == pytest.approx(one.graph.edges[edge]["weight"], rel=1e-9)


def huber(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, 0.5 * np.exp(2 * x), np.exp(x) - 0.5)


def huber_regularizer() -> bg.LogConvex:
    return bg.LogConvex(
        huber,
        lambda x: np.where(x < 0, np.exp(2 * x), np.exp(x)),
        lambda x: np.where(x < 0, 2, 1) * np.exp(x + np.minimum(x, 0)),
    )


@pytest.mark.parametrize("solver", ["newton", "cvxpy", "stochastic"])
def test_huber_whose_curvature_jumps(solver):
    G = chain(5.0, 0.1, 2.0, 0.3)
    result = bg.balance(G, huber_regularizer(), solver=solver)
    assert result.converged
    product = 5.0 * 0.1 * 2.0 * 0.3
    for _, _, w in result.graph.edges(data="weight"):
        assert w == pytest.approx(product ** (1 / 4), rel=1e-8)
    assert result.certificate.relative_gap < 1e-8


GOOD = {
    "value": lambda x: np.logaddexp(0, 2 * x),
    "slope": lambda x: 2 * expit(2 * x),
    "curvature": lambda x: 4 * expit(2 * x) * expit(-2 * x),
}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"slope": lambda x: 2.1 * expit(2 * x)}, "slope is not the derivative of value"),
        ({"curvature": lambda x: 0 * x}, "curvature is not the derivative of slope"),
        ({"value": lambda x: np.logaddexp(0, 2 * x) - 1}, "value must not be negative"),
        ({"value": lambda x: np.nan * x}, "value must be finite"),
        ({"value": lambda x: 1.0}, "must return shape"),
        ({"slope": lambda x: x[:3]}, "must return shape"),
        ({"value": 3}, "value must be a function"),
        ({"curvature": None}, "curvature must be a function"),
        ({"value": np.sin, "slope": np.cos, "curvature": lambda x: -np.sin(x)}, "must not be negative"),
        # Concave in the log-weight: sqrt(log(1 + w)) and its like have no unique balanced state.
        (
            {"value": lambda x: 9 + x, "slope": lambda x: 1 + 0 * x, "curvature": lambda x: 0 * x - 1.0},
            "curvature must not be negative",
        ),
        (
            {"value": lambda x: 1 + 0 * x, "slope": lambda x: 0 * x, "curvature": lambda x: 0 * x},
            "slope must be positive",
        ),
    ],
)
def test_a_function_that_is_not_convex_and_increasing_is_refused(change, word):
    with pytest.raises(bg.InvalidRegularizerError, match=word):
        bg.LogConvex(**{**GOOD, **change})


def test_a_function_is_checked_again_over_the_weights_of_each_network():
    def curvature(x: np.ndarray) -> np.ndarray:
        return np.where(x > 10, -1.0, GOOD["curvature"](x))

    regularizer = bg.LogConvex(GOOD["value"], GOOD["slope"], curvature)
    assert bg.balance(chain(1.0, 4.0), regularizer).converged
    with pytest.raises(bg.InvalidRegularizerError, match="at log-weight"):
        bg.balance(chain(1.0, 1e6), regularizer)


def test_a_cost_too_small_for_floats_is_refused_not_divided_by():
    with pytest.raises(bg.InvalidRegularizerError, match="slope must be positive; at log-weight"):
        bg.balance(chain(1.0, 1e-250), log1p2())


@pytest.mark.parametrize("expression", [lambda x: -(x**2), lambda x: 2.0, lambda x: x[0]])
def test_an_expression_must_be_convex_and_of_the_shape_of_x(expression):
    with pytest.raises(bg.InvalidRegularizerError, match="expression must return a convex"):
        bg.balance(chain(1.0, 4.0), log1p2(expression), solver="cvxpy")


def test_a_convex_problem_needs_the_expression():
    with pytest.raises(bg.InvalidRegularizerError, match=r"cp\.logistic"):
        bg.convex_problem(chain(1.0, 4.0), log1p2())


def test_own_exponents_go_with_lp_only():
    G = network(("x", "h", 2.0, {"exponent": 1.0}), ("h", "y", 3.0))
    assert bg.cost(G, 2) == pytest.approx(2.0 + 9.0, rel=1e-15)
    for regularizer in (bg.ElasticNet(l1=1, l2=1), bg.Posynomial([(1, 2)]), log1p2()):
        with pytest.raises(bg.InvalidNetworkError, match=r"\('x', 'h'\).*exponent of its own, which only Lp allows"):
            bg.cost(G, regularizer)


@given(st.floats(-0.999, 1e6))
def test_the_entropy_of_the_dual_gap_has_no_cancellation(u):
    from mpmath import mp, mpf

    with mp.workdps(700):
        exact = (1 + mpf(u)) * mp.log(1 + mpf(u)) - mpf(u)
        assert abs(mpf(float(entropy(np.array(u)))) - exact) <= 1e-11 * exact + mpf(10) ** -320
