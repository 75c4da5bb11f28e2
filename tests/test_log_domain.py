"""A weight times the exponential of a log-gain: exact to rounding where that is a float, and zero where it was zero.

Room: problem.
"""

from __future__ import annotations

import math
import sys

import networkx as nx
import numpy as np
import pytest
from helpers import network, weights_of
from hostile import survey
from mpmath import mp, mpf

import balance_graph as bg
from balance_graph.problem.log_domain import exp_or_inf, times_exp

WEIGHTS = (5e-324, -2.2e-308, 1e-300, 1e-5, -1.0, 7.0, 1e300, sys.float_info.max)
LOG_FACTORS = (-1490.0, -1400.0, -800.0, -735.0, -700.5, -1.0, 0.0, 1e-300, 3.0, 700.5, 800.0, 1380.0, 1453.0)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("log_factor", LOG_FACTORS)
def test_the_product_is_right_to_rounding_whatever_the_factor(weight, log_factor):
    with np.errstate(all="raise"):
        found = float(times_exp(np.array([weight]), np.array([log_factor]))[0])
    with mp.workdps(60):
        exact = mpf(weight) * mp.exp(mpf(log_factor))
        if abs(exact) > sys.float_info.max:
            assert found == math.copysign(math.inf, weight)
        else:
            assert abs(mpf(found) - exact) <= 1e-15 * abs(exact) + mpf(5e-324)


@pytest.mark.parametrize("log_factor", [-math.inf, -1e308, -5000.0, 0.0, 800.0, 5000.0, 1e308, math.inf])
def test_zero_stays_zero_with_its_sign(log_factor):
    with np.errstate(all="raise"):
        found = times_exp(np.array([0.0, -0.0]), np.full(2, log_factor))
    assert found.tolist() == [0.0, 0.0]
    assert np.signbit(found).tolist() == [False, True]


def test_complex_numbers_part_by_part():
    with np.errstate(all="raise"):
        found = times_exp(np.array([1e-300 + 0j, 1e300 - 1e-300j]), np.array([1000.0, 1000.0]))
    assert found[0].real == pytest.approx(math.exp(1000.0 - 690.0) / 1e300 * math.exp(690.0), rel=1e-10)
    assert found[0].imag == 0.0
    assert (found[1].real, found[1].imag < 0.0) == (math.inf, True)


def test_exponentials_up_to_the_largest_float():
    assert exp_or_inf(709.75) == pytest.approx(math.exp(709.75))
    assert exp_or_inf(709.79) == exp_or_inf(math.inf) == math.inf
    assert exp_or_inf(-math.inf) == 0.0


def test_a_zero_weight_between_far_scales_stays_zero():
    """The factor of e -> b is beyond the range of floats: it once made 0 a NaN."""
    G = network(
        ("x", "a", 1e-300), ("a", "b", 1e-300), ("b", "c", 1e300), ("c", "y", 1e300),
        ("x", "d", 1e300), ("d", "e", 1e300), ("e", "f", 1e-300), ("f", "y", 1e-300), ("e", "b", 0.0),
    )  # fmt: skip
    result = bg.balance(G)
    assert weights_of(result.graph)["e", "b"] == 0.0
    assert all(w == pytest.approx(1.0) for edge, w in weights_of(result.graph).items() if edge != ("e", "b"))
    assert weights_of(bg.scale(G, {"b": 1e300, "e": 1e-300, "d": 1e-10, "c": 1e300, "a": 1.0}))["e", "b"] == 0.0


def test_an_imbalance_below_the_largest_float_is_a_number():
    """In-costs beyond floats by themselves, of which a share is not."""
    G = nx.DiGraph([("x", "h", {"weight": 1.2e308}), ("z", "h", {"weight": 1.2e308}), ("h", "y", {"weight": 1.7e308})])
    G.add_edge("h", "v", weight=0.7e308 * (1 - 1e-3))
    assert bg.imbalance(G, 1.0)["h"] == pytest.approx(0.7e305, rel=1e-9)


def test_no_question_is_answered_by_a_nan():
    assert [found for _, found in survey(25, 7) if found] == []
