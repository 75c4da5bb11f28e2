"""Layered networks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

from balance_graph._arguments import Rng, generator_of
from balance_graph._foreign import advice_for
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.activations import Activation
from balance_graph.graph.activations import activation as parse_activation
from balance_graph.networks._arguments import (
    checked_activations,
    checked_array,
    checked_matrices,
    checked_vectors,
    checked_widths,
    positive_int,
)
from balance_graph.networks._nodes import BIAS, add_units, connect, network_of_inputs
from balance_graph.networks._random_weights import he_weights, random_biases

_SKLEARN_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


def from_layers(
    weights: Sequence[ArrayLike] | Array,
    biases: Sequence[ArrayLike | None] | None = None,
    activation: str | Activation | Sequence[str | Activation] = "relu",
    output_activation: str | Activation = "linear",
) -> nx.DiGraph[Any]:
    """The layered network with given weights: layer k is ``z = h @ weights[k] + biases[k]``.

    Parameters
    ----------
    weights : sequence of array_like
        ``weights[k]`` has shape (fan_in, fan_out), as in scikit-learn: row j holds the weights out of unit j.
        (PyTorch stores the transpose: pass ``layer.weight.T``.)
    biases : sequence of array_like or None, optional
        ``biases[k]`` has shape (fan_out,); None for a layer without biases. None (default): no biases at all.
    activation : str, Activation, or a sequence with one of them per hidden layer
        Activation of the hidden units.
    output_activation : str or Activation
        Activation of the outputs; outputs are pinned whatever it is.

    Returns
    -------
    networkx.DiGraph
        Inputs ``x{j}``, ``bias`` when there are biases, hidden units ``h{layer}.{unit}``, outputs ``y{j}``. Zero
        weights and biases are edges like others.

    Raises
    ------
    InvalidParameterError
        If the shapes do not fit together (the message names the layer), or an activation is unknown.
    InvalidNetworkError
        If a weight or bias is not finite (the message names the edge).

    See Also
    --------
    to_layers : The way back.
    layered : With random weights.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.from_layers([[[1.0, -2.0]], [[3.0], [4.0]]], biases=[[0.5, 0.0], None])
    >>> list(G)
    ['x0', 'bias', 'h1.0', 'h1.1', 'y0']
    >>> G.edges["x0", "h1.1"]["weight"], G.edges["bias", "h1.0"]["weight"]
    (-2.0, 0.5)
    """
    matrices = checked_matrices(weights)
    vectors = checked_vectors(biases, matrices)
    widths = [matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices)]
    hidden = checked_activations(activation, len(matrices) - 1)
    parse_activation(output_activation)
    layers = _layer_names(widths)
    network = network_of_inputs(layers[0], bias=any(vector is not None for vector in vectors))
    for names, function in zip(layers[1:-1], hidden, strict=True):
        add_units(network, names, "hidden", function)
    add_units(network, layers[-1], "output", output_activation)
    for k, (matrix, vector) in enumerate(zip(matrices, vectors, strict=True)):
        connect(network, layers[k], layers[k + 1], matrix, f"weights[{k}]")
        if vector is not None:
            connect(network, [BIAS], layers[k + 1], vector[np.newaxis], f"biases[{k}]")
    return network


def layered(
    widths: Sequence[int],
    activation: str | Activation | Sequence[str | Activation] = "relu",
    bias: bool = True,
    *,
    rng: Rng = None,
) -> nx.DiGraph[Any]:
    """A fully connected layered network with random weights.

    Parameters
    ----------
    widths : sequence of int
        Units per layer, inputs first, outputs last: ``[3, 5, 2]`` has one hidden layer of 5.
    activation : str, Activation, or a sequence with one of them per hidden layer
        Activation of the hidden units; the outputs are linear.
    bias : bool
        Whether hidden units and outputs have biases.
    rng : int, numpy Generator, RandomState or None
        Source of the weights; the same int gives the same network.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    InvalidParameterError
        If `widths` is not at least two positive ints, or an activation is unknown.

    See Also
    --------
    from_layers : From weights of your own.
    chain : One unit in a layer.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> G.number_of_nodes(), G.number_of_edges()
    (7, 13)
    >>> G.nodes["h1.2"]
    {'role': 'hidden', 'activation': 'relu'}
    """
    sizes = checked_widths(widths)
    generator = generator_of(rng)
    pairs = list(itertools.pairwise(sizes))
    weights = [he_weights(generator, (fan_in, fan_out), fan_in) for fan_in, fan_out in pairs]
    biases = [random_biases(generator, fan_out) for _, fan_out in pairs] if bias else None
    return from_layers(weights, biases, activation)


def chain(
    length: int | None = None,
    weights: Sequence[float] | None = None,
    activation: str | Activation | Sequence[str | Activation] = "relu",
    bias: bool = False,
    *,
    rng: Rng = None,
) -> nx.DiGraph[Any]:
    """A chain of single units, ``x0 -> h1.0 -> ... -> y0``: the smallest deep network.

    Parameters
    ----------
    length : int, optional
        Number of hidden units; 3 when `weights` is not given either.
    weights : sequence of float, optional
        The ``length + 1`` weights from input to output; random when not given.
    activation : str, Activation, or a sequence with one of them per hidden unit
        Activation of the hidden units; the output is linear.
    bias : bool
        Whether hidden units and the output have (random) biases.
    rng : int, numpy Generator, RandomState or None
        Source of the random numbers.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    InvalidParameterError
        If `length` is not a positive int or does not fit `weights`, or an activation is unknown.

    See Also
    --------
    layered : More units in a layer.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[1.0, 100.0, 0.01])
    >>> [(tail, head, w) for tail, head, w in G.edges(data="weight")]
    [('x0', 'h1.0', 1.0), ('h1.0', 'h2.0', 100.0), ('h2.0', 'y0', 0.01)]
    """
    generator = generator_of(rng)
    if weights is None:
        values = he_weights(generator, (positive_int(3 if length is None else length, "length") + 1,), 1)
    else:
        values = _chain_weights(length, weights)
    biases = [random_biases(generator, 1) for _ in values] if bias else None
    return from_layers(values.reshape(-1, 1, 1), biases, activation)


def from_sklearn(mlp: Any) -> nx.DiGraph[Any]:
    """The network of a fitted `sklearn.neural_network.MLPClassifier` or `MLPRegressor`.

    The outputs carry activation ``"linear"``: they are the pre-activations of scikit-learn's last layer, before its
    ``out_activation_``. That is the prediction of a regressor of squared error, and the logits of a classifier (before
    softmax, or before the logistic function when there are two classes or several labels). Scaling leaves them
    unchanged, hence also what scikit-learn computes from them.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        A fitted model: anything with ``coefs_``, ``intercepts_`` and ``activation``. Activation ``"logistic"`` becomes
        ``"sigmoid"`` and ``"identity"`` becomes ``"linear"``; sigmoid and tanh units are pinned.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    InvalidParameterError
        If the model is not fitted or not a multilayer perceptron.

    See Also
    --------
    to_sklearn : The way back.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from types import SimpleNamespace
    >>> mlp = SimpleNamespace(coefs_=[[[2.0]], [[-1.0]]], intercepts_=[[0.1], [0.2]], activation="logistic")
    >>> bg.networks.from_sklearn(mlp).nodes["h1.0"]["activation"]
    'sigmoid'
    """
    activation = check_sklearn(mlp)
    return from_layers(mlp.coefs_, mlp.intercepts_, activation)


def check_sklearn(mlp: Any) -> str:
    """The activation of the hidden units of a fitted multilayer perceptron; anything else is refused."""
    kind = type(mlp).__name__
    missing = [name for name in ("coefs_", "intercepts_", "activation") if not hasattr(mlp, name)]
    if missing:
        advice = advice_for(mlp)
        message = f"{kind} has no {missing[0]}: pass an MLPClassifier or MLPRegressor, after fit()" + (
            f"; {advice}" if advice and not hasattr(mlp, "fit") else ""
        )
        raise InvalidParameterError(message)
    if mlp.activation not in _SKLEARN_ACTIVATIONS:
        known = ", ".join(_SKLEARN_ACTIVATIONS)
        message = f"{kind} has activation {mlp.activation!r}, expected one of {known}; build it with from_layers"
        raise InvalidParameterError(message)
    return _SKLEARN_ACTIVATIONS[mlp.activation]


def _layer_names(widths: Sequence[int]) -> list[list[str]]:
    hidden = [[f"h{layer}.{unit}" for unit in range(width)] for layer, width in enumerate(widths[1:-1], start=1)]
    return [[f"x{j}" for j in range(widths[0])], *hidden, [f"y{j}" for j in range(widths[-1])]]


def _chain_weights(length: Any, weights: Any) -> Array:
    values = checked_array(weights, "weights")
    if values.ndim != 1 or len(values) < 2:
        message = f"the weights of a chain are a list of at least 2 numbers (one hidden unit), got {weights!r}"
        raise InvalidParameterError(message)
    if length is not None and positive_int(length, "length") != len(values) - 1:
        message = f"a chain of length {length} has {length + 1} weights, got {len(values)}; leave length out"
        raise InvalidParameterError(message)
    return values
