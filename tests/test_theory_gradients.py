"""Exact gradients of any network against differences of its evaluation.

Room: theory.
"""

from __future__ import annotations

import numpy as np
import pytest

import balance_graph as bg
from balance_graph.theory.gradients import NetworkError, Parameters, derivative, least_squares, log_cosh
from balance_graph.theory.subject import weights_of

gallery = bg.networks
NETWORKS = {
    "relu, biases": gallery.layered([3, 4, 2], rng=1),
    "leaky": gallery.layered([3, 4, 4, 2], "leaky_relu(0.3)", rng=1),
    "powers": gallery.layered([3, 4, 4, 2], ["relu2", "bipu(3,1,-0.5)"], rng=2),
    "odd power": gallery.layered([3, 4, 2], "bipu(1.5,1,0.3)", rng=2),
    "abs, any graph": gallery.random_dag(activation="abs", rng=3),
    "recurrent": gallery.random_recurrent(self_loops=True, activation="leaky_relu(0.2)", rng=4),
    "recurrent power": gallery.random_recurrent(hidden=3, activation="bipu(2,0.1,-0.2)", self_loops=True, rng=4),
    "tanh between": gallery.layered([2, 3, 3, 1], ["tanh", "relu"], rng=0),
    "recurrent gelu": gallery.random_recurrent(activation="gelu", rng=1),
    "shared": gallery.convolutional(size=6, channels=(1, 2), rng=0),
    "fixed": gallery.residual(rng=0),
}


def error_of(name, function, steps=4):
    network, rng = NETWORKS[name], np.random.default_rng(7)
    n = sum(1 for _, data in network.nodes(data=True) if data["role"] == "input")
    x = rng.standard_normal((steps, 5, n) if "recurrent" in name else (5, n))
    outputs = bg.evaluate(network, x)
    return NetworkError(network, x, outputs + rng.standard_normal(outputs.shape), function)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_evaluate(name):
    error = error_of(name, least_squares)
    expected = bg.evaluate(error.graph, error.inputs)
    assert np.allclose(error.outputs(weights_of(error.graph)), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("function", [least_squares, log_cosh])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_slope_against_central_differences(name, function):
    error, weights = error_of(name, function), weights_of(NETWORKS[name])
    value, slopes = error.gradient(weights)
    assert value == error.value(weights)
    step = 1e-6
    for k in range(weights.size):
        unit = step * (np.arange(weights.size) == k)
        difference = (error.value(weights + unit) - error.value(weights - unit)) / (2 * step)
        assert slopes[k] == pytest.approx(difference, rel=1e-6, abs=1e-6 * np.abs(slopes).max())


def test_slopes_by_a_complex_step():
    """A chain of powers written out by hand, differentiated to the last digit."""
    network = gallery.from_layers([[[0.7]], [[-1.3]], [[0.4]]], activation=["bipu(3,1,-1)", "linear"])
    error = NetworkError(network, np.array([[1.1]]), np.array([[0.2]]))
    weights = np.array([0.7, -1.3, 0.4])

    def value(w):
        return 0.5 * (w[2] * w[1] * (w[0] * 1.1) ** 3 - 0.2) ** 2

    step = 1e-30
    exact = [value(weights + 1j * step * np.eye(3)[k]).imag / step for k in range(3)]
    assert error.gradient(weights)[1] == pytest.approx(exact, rel=1e-14)


def test_a_large_network_takes_the_sparse_way_to_the_same_slopes(monkeypatch):
    for name in ("relu, biases", "recurrent"):
        weights = weights_of(NETWORKS[name])
        dense = error_of(name, least_squares).gradient(weights)
        monkeypatch.setattr("balance_graph.theory.gradients._DENSE", 0)
        sparse = error_of(name, least_squares).gradient(weights)
        monkeypatch.undo()
        assert sparse[1] == pytest.approx(dense[1], rel=1e-12, abs=1e-12)


def test_derivatives_of_all_activations():
    z = np.array([-1.7, -0.3, 0.4, 2.1])
    for name in ("relu", "abs", "relu2", "bipu(0.5,2,1)", "tanh", "sigmoid", "gelu", "softplus", "silu", "mish", "exp"):
        function = bg.activation(name)
        step = 1e-5
        difference = (function(z + step) - function(z - step)) / (2 * step)
        assert derivative(function, z, function(z)) == pytest.approx(difference, rel=1e-8, abs=1e-9)
    relu = bg.activation("relu")
    assert derivative(relu, np.zeros(1), np.zeros(1)) == 0.0


def test_parameters_count_shared_weights_once_and_fixed_ones_not_at_all():
    network = gallery.convolutional(size=5, channels=(1, 1), kernel=2, outputs=1, bias=False, rng=0)
    network.add_edge("x0.0", "y0", weight=1.0, fixed=True)
    parameters = Parameters(network)
    weights = weights_of(network)
    assert parameters.size == 2 + 4
    assert np.array_equal(parameters.weights(parameters.of_weights(weights), weights), weights)
    slopes = np.arange(1.0, weights.size + 1)
    assert parameters.slopes(slopes).sum() == slopes.sum() - slopes[parameters.of_edge < 0].sum()


def test_a_weight_of_zero_is_no_edge():
    network = gallery.layered([2, 2, 1], bias=False, rng=0)
    network.edges["x0", "h1.0"]["weight"] = 0.0
    error = NetworkError(network, np.ones((1, 2)), np.zeros((1, 1)))
    assert error.gradient(weights_of(network))[1][0] == 0.0
