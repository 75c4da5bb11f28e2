"""Back from networks to what they were made of: arrays by layers, and models of scikit-learn."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._types import Array
from balance_graph.errors import InvalidNetworkError, InvalidParameterError
from balance_graph.graph.activations import Activation, activation
from balance_graph.graph.compilation import compile_graph, node_activation, roles_of
from balance_graph.networks._layers import check_sklearn

Layers = list[list[Hashable]]


def to_layers(G: nx.DiGraph[Any], *, weight: str = "weight") -> tuple[list[Array], list[Array | None]]:  # noqa: N803
    """The weights and biases of a layered network: the inverse of `from_layers`.

    Parameters
    ----------
    G : networkx.DiGraph
        Inputs, then layers of hidden units, then outputs, with edges from each layer to the next; bias nodes besides.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    weights : list of array
        ``weights[k]`` has shape (fan_in, fan_out); row j holds the weights out of unit j. Where there is no edge it is
        0. Units are in the order of the nodes of `G`.
    biases : list of array or None
        ``biases[k]`` has shape (fan_out,), 0 for units without bias; None where no unit of the layer has one.

    Raises
    ------
    InvalidNetworkError
        If the network is not layered: the message names an edge within a layer, over a layer or back, a second bias of
        a unit, or a node that is in no layer.

    See Also
    --------
    from_layers : The inverse. Names of nodes, activations, roles and constraints are not part of what is returned.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.from_layers([[[1.0, -2.0]], [[3.0], [4.0]]], biases=[[0.5, 0.0], None])
    >>> bg.networks.to_layers(G)
    ([array([[ 1., -2.]]), array([[3.],
           [4.]])], [array([0.5, 0. ]), None])
    """
    problem = compile_graph(G, weight=weight)
    roles = roles_of(G)
    layers = _layers(G, roles)
    place = {node: (k, j) for k, layer in enumerate(layers) for j, node in enumerate(layer)}
    weights = [np.zeros((len(tails), len(heads))) for tails, heads in itertools.pairwise(layers)]
    biases: list[Array | None] = [None] * len(weights)
    biased: dict[Hashable, Hashable] = {}
    for (tail, head), value in zip(problem.manifold.edges, problem.weight.tolist(), strict=True):
        layer, unit = place[head]
        if roles[tail] == "bias":
            if head in biased:
                message = f"edge {(tail, head)!r}: the unit has a bias from {biased[head]!r} already; add the two up"
                raise InvalidNetworkError(message)
            biased[head] = tail
            vector = biases[layer - 1]
            if vector is None:
                vector = biases[layer - 1] = np.zeros(len(layers[layer]))
            vector[unit] = value
        else:
            weights[layer - 1][place[tail][1], unit] = value
    return weights, biases


def _layers(G: nx.DiGraph[Any], roles: dict[Hashable, str]) -> Layers:  # noqa: N803
    """The nodes of each layer, inputs first; every edge that is not a bias leads from one layer to the next."""
    units = G.subgraph([node for node, role in roles.items() if role != "bias"])
    for role in ("input", "output"):
        if role not in roles.values():
            message = f"a layered network has {role}s, and this one has no node of that role"
            raise InvalidNetworkError(message)
    levels = _levels(units, roles)
    last = max(levels[node] for node in units if roles[node] == "output")
    for tail, head in units.edges:
        if levels[head] != levels[tail] + 1:
            message = (
                f"edge {(tail, head)!r} leads from layer {levels[tail]} to layer {levels[head]}: the network is not "
                "layered, where every edge leads to the next layer (skips are not part of weights by layers)"
            )
            raise InvalidNetworkError(message)
    for node in units:
        if (roles[node] == "output") != (levels[node] == last):
            raise InvalidNetworkError(_misplaced(units, node, roles[node], levels[node], last))
    layers: Layers = [[] for _ in range(last + 1)]
    for node in units:
        layers[levels[node]].append(node)
    return layers


def _levels(units: nx.DiGraph[Any], roles: dict[Hashable, str]) -> dict[Hashable, int]:
    """The layer of each node: the longest way from an input; without one, what its successors or its role tell."""
    try:
        cycle = nx.find_cycle(units)
    except nx.NetworkXNoCycle:
        cycle = []
    if cycle:
        message = f"edge {tuple(cycle[-1][:2])!r} closes a cycle: a recurrent network is not layered"
        raise InvalidNetworkError(message)
    order = list(nx.topological_sort(units))
    levels = {node: 0 for node in units if roles[node] == "input"}
    for node in order:
        before = [levels[one] for one in units.predecessors(node) if one in levels]
        if before:
            levels[node] = max(before) + 1
    last = max((levels[node] for node in levels if roles[node] == "output"), default=1)
    for node in reversed(order):
        if node not in levels:
            after = [levels[one] for one in units.successors(node) if one in levels]
            if not after and roles[node] != "output":
                message = f"node {node!r}: no edge tells which layer it is in; connect it, or remove it"
                raise InvalidNetworkError(message)
            levels[node] = min(after) - 1 if after else last
    return levels


def _misplaced(units: nx.DiGraph[Any], node: Hashable, role: str, level: int, last: int) -> str:
    """What is wrong with an output before the last layer, or another node in it or after it."""
    edge = next(iter([*units.in_edges(node), *units.out_edges(node)]), None)
    where = f"edge {edge!r}: " if edge is not None else ""
    if role == "output":
        return f"{where}output {node!r} is in layer {level}, and the last layer is {last}; outputs are the last layer"
    return (
        f"{where}{role} node {node!r} is in layer {level}, and the outputs are in layer {last}: a node that does not "
        "lead to outputs has no place there; remove it, or make it an output"
    )


def to_sklearn(G: nx.DiGraph[Any], mlp: Any, *, weight: str = "weight") -> Any:  # noqa: N803
    """A copy of a fitted scikit-learn model with the weights and biases of the network: the inverse of `from_sklearn`.

    The model given is not changed. Predictions of the copy are those of the network: after balancing, up to rounding,
    those of the model before. What else was fitted (classes, loss curve, state of the optimizer) is copied as it is.

    Parameters
    ----------
    G : networkx.DiGraph
        A layered network of the widths and activations of the model, such as ``balance(from_sklearn(mlp)).graph``.
    mlp : MLPClassifier or MLPRegressor
        A fitted model.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    MLPClassifier or MLPRegressor
        Weights in the precision of those of the model.

    Raises
    ------
    InvalidParameterError
        If the model is not a fitted multilayer perceptron, or has other widths than the network.
    InvalidNetworkError
        If the network is not layered (see `to_layers`), a unit has another activation than the model, or a weight
        leaves the range of the model's precision.

    See Also
    --------
    from_sklearn : The way in.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from types import SimpleNamespace
    >>> mlp = SimpleNamespace(coefs_=[[[8.0]], [[2.0]]], intercepts_=[[0.0], [0.0]], activation="relu")
    >>> balanced = bg.balance(bg.networks.from_sklearn(mlp)).graph
    >>> bg.networks.to_sklearn(balanced, mlp).coefs_[0].round(6), mlp.coefs_[0]
    (array([[4.]]), [[8.0]])
    """
    hidden = check_sklearn(mlp)
    weights, biases = to_layers(G, weight=weight)
    shapes = [np.shape(values) for values in mlp.coefs_]
    if [matrix.shape for matrix in weights] != shapes:
        message = f"the network has layers of shapes {[one.shape for one in weights]}, the model {shapes}"
        raise InvalidParameterError(message)
    _check_activations(G, activation(hidden))
    result = copy.deepcopy(mlp)
    vectors = [np.zeros(one.shape[1]) if bias is None else bias for one, bias in zip(weights, biases, strict=True)]
    result.coefs_ = [_like(new, old) for new, old in zip(weights, mlp.coefs_, strict=True)]
    result.intercepts_ = [_like(new, old) for new, old in zip(vectors, mlp.intercepts_, strict=True)]
    return result


def _check_activations(G: nx.DiGraph[Any], hidden: Activation) -> None:  # noqa: N803
    """Refuse units that compute something else than those of the model."""
    expected = {"hidden": hidden, "output": activation("linear")}
    samples = np.linspace(-4.0, 4.0, 25)
    for node, role in roles_of(G).items():
        if role in expected:
            own = node_activation(G.nodes[node], node)
            if own.name != expected[role].name and not np.array_equal(own(samples), expected[role](samples)):
                hint = "; outputs are what comes before the out_activation_ of the model" if role == "output" else ""
                message = f"node {node!r}: activation is {own}, but {expected[role]} in the model{hint}"
                raise InvalidNetworkError(message)


def _like(new: Array, old: Any) -> Any:
    """The new array in the precision of the old one."""
    kind = np.asarray(old).dtype
    with np.errstate(over="ignore", under="ignore"):
        values = new.astype(kind if kind.kind == "f" else np.float64)
    lost = ~np.isfinite(values) | ((values == 0.0) & (new != 0.0))
    if lost.any():
        message = f"weight {new[lost][0]!r} leaves the range of {kind}, the precision of the model"
        raise InvalidNetworkError(message)
    return values
