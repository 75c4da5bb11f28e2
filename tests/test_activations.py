"""The grammar of activations, their degrees, and the check of homogeneity.

Room: graph.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import balance_graph as bg
from balance_graph.graph import activations

SAMPLES = np.array([-3.0, -1.0, -0.25, 0.0, 0.5, 2.0])


@pytest.mark.parametrize(
    ("text", "degree", "expected"),
    [
        ("linear", 1, SAMPLES),
        ("relu", 1, np.maximum(SAMPLES, 0)),
        ("leaky_relu", 1, np.where(SAMPLES < 0, 0.01 * SAMPLES, SAMPLES)),
        ("leaky_relu(0.2)", 1, np.where(SAMPLES < 0, 0.2 * SAMPLES, SAMPLES)),
        ("abs", 1, np.abs(SAMPLES)),
        ("bilu(-0.5,2)", 1, np.where(SAMPLES < 0, -0.5 * SAMPLES, 2 * SAMPLES)),
        (" bilu ( -0.5 , 2 ) ", 1, np.where(SAMPLES < 0, -0.5 * SAMPLES, 2 * SAMPLES)),
        ("relu2", 2, np.maximum(SAMPLES, 0) ** 2),
        ("bipu(3)", 3, np.maximum(SAMPLES, 0) ** 3),
        ("bipu(0.5,2,-3)", 0.5, np.where(SAMPLES < 0, -3, 2) * np.abs(SAMPLES) ** 0.5),
        ("tanh", None, np.tanh(SAMPLES)),
        ("sigmoid", None, 1 / (1 + np.exp(-SAMPLES))),
        ("softplus", None, np.log1p(np.exp(SAMPLES))),
        ("silu", None, SAMPLES / (1 + np.exp(-SAMPLES))),
        ("relu6", None, np.clip(SAMPLES, 0, 6)),
        ("elu", None, np.where(SAMPLES < 0, np.exp(SAMPLES) - 1, SAMPLES)),
    ],
)
def test_text_names_a_function_and_its_degree(text, degree, expected):
    function = bg.activation(text)
    assert function.degree == degree
    assert function.is_homogeneous == (degree is not None)
    assert np.allclose(function(SAMPLES), expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("text", [*activations._FAMILIES, *activations._REGISTERED, "bipu(2.5,1,-1)", "bilu(-1,0.5)"])
def test_a_name_names_itself(text):
    text = {"bilu": "bilu(1,2)", "bipu": "bipu(2)"}.get(text, text)
    function = bg.activation(text)
    assert bg.activation(function) is function
    again = bg.activation(str(function))
    assert again.degree == function.degree
    assert np.array_equal(again(SAMPLES), function(SAMPLES))


@pytest.mark.parametrize("text", [*activations._REGISTERED, "relu", "abs", "bipu(0.5,1,-1)"])
def test_a_function_keeps_shape_and_takes_large_numbers_quietly(text):
    function = bg.activation(text)
    for shape in ((), (3,), (2, 3), (0,)):
        assert function(np.zeros(shape)).shape == shape
    if text != "exp":
        assert np.all(np.isfinite(function(np.array([-1e3, 1e3]))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rellu", ["'rellu'", "known:", "leaky_relu", "register_activation"]),
        ("ReLUX", ["'ReLUX'", "known:"]),
        ("", ["''", "known:"]),
        ("relu()x", ["known:"]),
        ("relu(1", ["known:"]),
        ("relu(1)", ["'relu(1)'", "wrong number of arguments"]),
        ("bilu(1)", ["wrong number of arguments"]),
        ("bipu", ["wrong number of arguments"]),
        ("bipu(1,2,3,4)", ["wrong number of arguments"]),
        ("tanh(2)", ["takes no numbers"]),
        ("leaky_relu(a)", ["must be numbers"]),
        ("leaky_relu(0.1,)", ["must be numbers"]),
        ("bilu(nan,1)", ["must be finite"]),
        ("bilu(inf,1)", ["must be finite"]),
        ("bipu(0)", ["degree must be a positive number", "0.0"]),
        ("bipu(-2)", ["degree must be a positive number", "-2.0"]),
        (3, ["3", "int"]),
        (None, ["None"]),
        (np.tanh, ["ufunc"]),
    ],
)
def test_unknown_text_is_refused_with_what_is_known(text, words):
    with pytest.raises(bg.InvalidParameterError) as caught:
        bg.activation(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("degree", [1e-10, 0.01, 0.5, 1.0, 7.0, 50.0, 1e3, 1e6, 1e10])
def test_any_degree_can_be_made(degree):
    assert bg.activation(f"bipu({degree!r},2,-1)").degree == degree


@given(st.floats(0.01, 50), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.1, 10))
def test_powers_are_homogeneous_of_their_degree(c, above, below, scale):
    function = bg.bipu(c, above, below)
    assert function.degree == c
    assert np.allclose(function(scale * SAMPLES), scale**c * function(SAMPLES), rtol=1e-11, atol=0)


@pytest.mark.parametrize(
    ("function", "degree"),
    [
        (np.tanh, 1.0),
        (lambda z: z + 1, 1.0),
        (lambda z: z**2, 1.0),
        (lambda z: z**3, 3.001),
        (lambda z: np.maximum(z, 0) ** 40, 41),
        (lambda z: np.where(np.abs(z) > 2, z, 0), 1.0),
        (lambda z: z[:-1], 1.0),
        (lambda z: float(z.sum()), 1.0),
    ],
)
def test_a_claimed_degree_is_checked(function, degree):
    with pytest.raises(bg.InvalidParameterError, match="not positively homogeneous of degree"):
        bg.Activation("claimed", function, degree=degree)
    assert bg.Activation("unclaimed", function).degree is None


@pytest.mark.parametrize("degree", [0, -1, np.inf, np.nan])
def test_a_degree_is_positive_and_finite(degree):
    with pytest.raises(bg.InvalidParameterError, match="degree must be a positive number"):
        bg.Activation("f", np.abs, degree=degree)


def test_an_object_may_stand_for_its_name():
    G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})])
    H = G.copy()
    G.nodes["h"]["activation"] = bg.Activation("cube", lambda z: z**3, degree=3)
    H.nodes["h"]["activation"] = "bipu(3,1,-1)"
    assert bg.balance(G).scales == bg.balance(H).scales
    assert np.array_equal(bg.evaluate(G, [0.3]), bg.evaluate(H, [0.3]))


def test_a_registered_activation_is_known_by_name(monkeypatch):
    monkeypatch.setattr(activations, "_REGISTERED", dict(activations._REGISTERED))
    with pytest.raises(bg.InvalidParameterError, match="unknown activation 'square'"):
        bg.activation("square")
    bg.register_activation(bg.Activation("square", np.square, degree=2))
    assert bg.activation("square").degree == 2
    bg.register_activation(bg.Activation("square", np.square))
    assert bg.activation("square").degree is None
    activations._PARSED.clear()


@pytest.mark.parametrize(("name", "word"), [("tanh", "ships"), ("relu", "ships"), ("my act", "identifier")])
def test_names_that_cannot_be_registered(name, word):
    with pytest.raises(bg.InvalidParameterError, match=word):
        bg.register_activation(bg.Activation(name, np.square))
