"""Activations at the ends of the floats, and networks whose values go there.

Room: graph.
"""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from helpers import network

import balance_graph as bg
from balance_graph.graph import activations

LARGEST = float(np.finfo(float).max)
INF = math.inf
# Values at -inf, the most negative float, the largest float, inf: limits, by hand.
LIMITS = {
    "linear": (-INF, -LARGEST, LARGEST, INF),
    "relu": (0.0, 0.0, LARGEST, INF),
    "leaky_relu(0.5)": (-INF, -0.5 * LARGEST, LARGEST, INF),
    "abs": (INF, LARGEST, LARGEST, INF),
    "bilu(-0.5,0)": (INF, 0.5 * LARGEST, 0.0, 0.0),
    "bilu(0,0)": (0.0, 0.0, 0.0, 0.0),
    "bilu(2,3)": (-INF, -INF, INF, INF),
    "relu2": (0.0, 0.0, INF, INF),
    "bipu(0.5)": (0.0, 0.0, math.sqrt(LARGEST), INF),
    "bipu(3,0,-1)": (-INF, -INF, 0.0, 0.0),
    "tanh": (-1.0, -1.0, 1.0, 1.0),
    "sigmoid": (0.0, 0.0, 1.0, 1.0),
    "logistic": (0.0, 0.0, 1.0, 1.0),
    "gelu": (0.0, 0.0, LARGEST, INF),
    "softplus": (0.0, 0.0, LARGEST, INF),
    "silu": (0.0, 0.0, LARGEST, INF),
    "swish": (0.0, 0.0, LARGEST, INF),
    "mish": (0.0, 0.0, LARGEST, INF),
    "elu": (-1.0, -1.0, LARGEST, INF),
    "selu": (-1.0507009873554805 * 1.6732632423543772,) * 2 + (INF, INF),
    "relu6": (0.0, 0.0, 6.0, 6.0),
    "hardtanh": (-1.0, -1.0, 1.0, 1.0),
    "softsign": (-1.0, -1.0, 1.0, 1.0),
    "exp": (0.0, 0.0, INF, INF),
}
# Values at zero, of those that do not pass through it.
AT_ZERO = {"sigmoid": 0.5, "logistic": 0.5, "softplus": math.log(2.0), "exp": 1.0, "cos": 1.0}


def test_every_activation_that_ships_has_its_limits_here():
    names = {text.partition("(")[0] for text in LIMITS}
    assert names | {"sin", "cos"} == {*activations._FAMILIES, *activations._REGISTERED}


@pytest.mark.parametrize("text", LIMITS)
@pytest.mark.parametrize("state", ["warn", "raise"])
def test_the_ends_of_the_floats(text, state):
    with np.errstate(all=state):
        values = bg.activation(text)(np.array([-INF, -LARGEST, LARGEST, INF]))
    np.testing.assert_allclose(values, LIMITS[text], rtol=1e-15)


@pytest.mark.parametrize("text", [*LIMITS, "sin", "cos"])
def test_both_zeros_and_what_is_no_number(text):
    with np.errstate(all="raise"):
        values = bg.activation(text)(np.array([-0.0, 0.0, math.nan]))
    assert values[0] == values[1] == pytest.approx(AT_ZERO.get(text, 0.0), abs=1e-16)
    assert math.isnan(values[2])


def test_tails_that_vanish_keep_their_digits():
    # 50-digit values of z Phi(z), z / (1 + exp(-z)) and z tanh(log(1 + exp(z))).
    for text, z, expected in (
        ("gelu", -10.0, -7.6198530241605260660e-23),
        ("silu", -40.0, -1.6993417021166354e-16),
        ("mish", -40.0, -1.6993417021166355e-16),
    ):
        assert bg.activation(text)(np.array([z]))[0] == pytest.approx(expected, rel=1e-12)


def unstable() -> nx.DiGraph:
    """Two units that feed each other 1e30 times what they get, and an output that takes one from the other."""
    return network(("x", "a", 1.0), ("a", "b", 1e30), ("b", "a", 1e30), ("a", "y", 1.0), ("b", "y", -0.5))


@pytest.mark.parametrize("text", ["relu", "leaky_relu(0.1)", "relu2", "gelu", "silu", "mish", "softsign", "tanh"])
@pytest.mark.parametrize("state", ["warn", "raise"])
def test_diverging_dynamics_are_quiet(text, state):
    G = network(("x", "a", 1.0), ("a", "b", 1e30), ("b", "a", 1e30), ("b", "y", -0.5))
    G.nodes["a"]["activation"] = G.nodes["b"]["activation"] = text
    with np.errstate(all=state):
        outputs = bg.evaluate(G, [1.0], steps=40)
    assert not np.isnan(outputs).any()
    assert outputs[-1, 0] == (pytest.approx(outputs[-2, 0]) if text in {"softsign", "tanh"} else 0.0)


def test_an_output_that_diverges_is_infinite():
    G = network(("x", "a", 1.0), ("a", "a", 2.0**100), ("a", "y", 1.0), y={"activation": "linear"})
    outputs = bg.evaluate(G, [1.0], steps=12)[:, 0]
    assert outputs[10] == 2.0**1000
    assert outputs[-1] == INF


def test_an_output_that_is_no_number_is_refused_with_its_step():
    with pytest.raises(
        bg.InvalidParameterError, match=r"output 'y' is no number at step (\d+): .*at most \d+ steps"
    ) as caught:
        bg.evaluate(unstable(), [1.0], steps=40)
    steps = int(str(caught.value).split("at most ")[1].split()[0])
    assert f"at step {steps + 1}:" in str(caught.value)
    assert not np.isnan(bg.evaluate(unstable(), [1.0], steps=steps)).any()


def test_a_feedforward_output_that_is_no_number_is_refused():
    G = network(("x", "a", 1e300), ("x", "b", 1e300), ("a", "y", 1e300), ("b", "y", -1e300))
    with pytest.raises(bg.InvalidParameterError, match=r"output 'y' is no number: .*smaller inputs or weights"):
        bg.evaluate(G, [1.0])


def test_functions_of_ones_own_are_quiet_as_well():
    cube = bg.Activation("cube", lambda z: z**3, degree=3)
    with np.errstate(all="raise"):
        assert cube(np.array([1e200, -1e200])).tolist() == [INF, -INF]
