"""The gallery: networks to balance, each a plain `networkx.DiGraph`, and one with really trained weights.

Every function sets the attributes of the contract explicitly: ``role`` on every node, ``activation`` on hidden and
output nodes, ``weight`` on every edge. Nodes are named ``"x0"`` (inputs), ``"h1.3"`` (hidden layer 1, unit 3), ``"y2"``
(outputs) and ``"bias"``: one node, constant 1, whose edges carry all biases. Nodes are in the order inputs, bias,
hidden, outputs, and numbers are not padded, so the order is the graph's own, not the alphabet's. A parameter that is
zero stays in the network, as an edge of weight 0.

Random weights are He-scaled: normal with variance 2 / fan-in (He, Zhang, Ren, Sun 2015, equation 10); biases are
normal with standard deviation 0.1 rather than 0, since a zero bias would take no part in balancing.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, Literal

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from balance_graph.activations import Activation
from balance_graph.activations import activation as _parse_activation
from balance_graph.errors import InvalidNetworkError, InvalidParameterError

__all__ = [
    "chain",
    "convolutional",
    "digits",
    "digits_images",
    "from_layers",
    "from_sklearn",
    "layered",
    "random_dag",
    "random_recurrent",
    "residual",
]

Array = NDArray[np.float64]
Rng = int | np.random.Generator | None

_BIAS = "bias"
_BIAS_DEVIATION = 0.1
_SKLEARN_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


# ---- layers --------------------------------------------------------------------------------------------------------


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

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.from_layers([[[1.0, -2.0]], [[3.0], [4.0]]], biases=[[0.5, 0.0], None])
    >>> list(G)
    ['x0', 'bias', 'h1.0', 'h1.1', 'y0']
    >>> G.edges["x0", "h1.1"]["weight"], G.edges["bias", "h1.0"]["weight"]
    (-2.0, 0.5)
    """
    matrices = _matrices(weights)
    vectors = _vectors(biases, matrices)
    widths = [matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices)]
    hidden = _layer_activations(activation, len(matrices) - 1)
    _parse_activation(output_activation)
    layers = _layer_names(widths)
    network = _inputs(layers[0], bias=any(vector is not None for vector in vectors))
    for names, function in zip(layers[1:-1], hidden, strict=True):
        _add_units(network, names, "hidden", function)
    _add_units(network, layers[-1], "output", output_activation)
    for k, (matrix, vector) in enumerate(zip(matrices, vectors, strict=True)):
        _connect(network, layers[k], layers[k + 1], matrix, f"weights[{k}]")
        if vector is not None:
            _connect(network, [_BIAS], layers[k + 1], vector[np.newaxis], f"biases[{k}]")
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
    rng : int, numpy.random.Generator or None
        Source of the weights; the same int gives the same network.

    Raises
    ------
    InvalidParameterError
        If `widths` is not at least two positive ints, or an activation is unknown.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> G.number_of_nodes(), G.number_of_edges()
    (7, 13)
    >>> G.nodes["h1.2"]
    {'role': 'hidden', 'activation': 'relu'}
    """
    sizes = _widths(widths)
    generator = _generator(rng)
    pairs = list(itertools.pairwise(sizes))
    weights = [_he(generator, (fan_in, fan_out), fan_in) for fan_in, fan_out in pairs]
    biases = [_biases(generator, fan_out) for _, fan_out in pairs] if bias else None
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
    rng : int, numpy.random.Generator or None
        Source of the random numbers.

    Raises
    ------
    InvalidParameterError
        If `length` is not a positive int or does not fit `weights`, or an activation is unknown.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[1.0, 100.0, 0.01])
    >>> [(tail, head, w) for tail, head, w in G.edges(data="weight")]
    [('x0', 'h1.0', 1.0), ('h1.0', 'h2.0', 100.0), ('h2.0', 'y0', 0.01)]
    """
    generator = _generator(rng)
    if weights is None:
        values = _he(generator, (_positive(3 if length is None else length, "length") + 1,), 1)
    else:
        values = _chain_weights(length, weights)
    biases = [_biases(generator, 1) for _ in values] if bias else None
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

    Raises
    ------
    InvalidParameterError
        If the model is not fitted or not a multilayer perceptron.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from types import SimpleNamespace
    >>> mlp = SimpleNamespace(coefs_=[[[2.0]], [[-1.0]]], intercepts_=[[0.1], [0.2]], activation="logistic")
    >>> bg.networks.from_sklearn(mlp).nodes["h1.0"]["activation"]
    'sigmoid'
    """
    kind = type(mlp).__name__
    missing = [name for name in ("coefs_", "intercepts_", "activation") if not hasattr(mlp, name)]
    if missing:
        message = f"{kind} has no {missing[0]}: pass an MLPClassifier or MLPRegressor, after fit()"
        raise InvalidParameterError(message)
    if mlp.activation not in _SKLEARN_ACTIVATIONS:
        known = ", ".join(_SKLEARN_ACTIVATIONS)
        message = f"{kind} has activation {mlp.activation!r}, expected one of {known}; build it with from_layers"
        raise InvalidParameterError(message)
    return from_layers(mlp.coefs_, mlp.intercepts_, _SKLEARN_ACTIVATIONS[mlp.activation])


# ---- random graphs -------------------------------------------------------------------------------------------------


def random_dag(
    inputs: int = 3,
    hidden: int = 8,
    outputs: int = 2,
    probability: float = 0.3,
    activation: str | Activation = "relu",
    bias: bool = True,
    *,
    rng: Rng = None,
) -> nx.DiGraph[Any]:
    """A random directed acyclic network: edges run forward in the order inputs, hidden, outputs.

    Each forward edge is there with the given probability; then every node that nothing reaches, or that reaches
    nothing, gets one more edge, so that every node lies on a path from an input to an output and the cost attains its
    minimum. Edges from inputs straight to outputs occur.

    Parameters
    ----------
    inputs, hidden, outputs : int
        Number of nodes of each role: ``x{j}``, ``h{j}``, ``y{j}``. There may be no hidden nodes.
    probability : float
        Probability of each edge, from 0 to 1.
    activation : str or Activation
        Activation of the hidden units; the outputs are linear.
    bias : bool
        Whether hidden units and outputs have biases.
    rng : int, numpy.random.Generator or None
        Source of the edges and weights.

    Raises
    ------
    InvalidParameterError
        If a count or the probability is out of range, or the activation is unknown.

    Examples
    --------
    >>> import balance_graph as bg
    >>> import networkx as nx
    >>> nx.is_directed_acyclic_graph(bg.networks.random_dag(rng=0))
    True
    """
    sizes = _counts(inputs, hidden, outputs)
    generator = _generator(rng)
    present = _forward_edges(sizes, _probability(probability), generator)
    return _from_mask(present, sizes, activation, bias, generator)


def random_recurrent(
    inputs: int = 2,
    hidden: int = 6,
    outputs: int = 2,
    probability: float = 0.3,
    activation: str | Activation = "relu",
    bias: bool = True,
    self_loops: bool = False,
    *,
    rng: Rng = None,
) -> nx.DiGraph[Any]:
    """A random recurrent network: `random_dag` with edges among hidden nodes in both directions.

    Parameters
    ----------
    inputs, hidden, outputs : int
        Number of nodes of each role: ``x{j}``, ``h{j}``, ``y{j}``; at least one of each.
    probability : float
        Probability of each edge, from 0 to 1.
    activation : str or Activation
        Activation of the hidden units; the outputs are linear.
    bias : bool
        Whether hidden units and outputs have biases.
    self_loops : bool
        Whether hidden nodes may have edges to themselves.
    rng : int, numpy.random.Generator or None
        Source of the edges and weights.

    Raises
    ------
    InvalidParameterError
        If a count or the probability is out of range, or the activation is unknown.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.random_recurrent(hidden=3, probability=1.0, rng=0)
    >>> G.has_edge("h0", "h2") and G.has_edge("h2", "h0")
    True
    """
    sizes = _counts(inputs, hidden, outputs)
    if hidden < 1:
        message = f"hidden must be at least 1 in a recurrent network, got {hidden!r}"
        raise InvalidParameterError(message)
    generator = _generator(rng)
    chance = _probability(probability)
    present = _forward_edges(sizes, chance, generator)
    middle = slice(sizes[0], sizes[0] + sizes[1])
    backward = np.tri(sizes[1], k=0 if self_loops else -1, dtype=bool)
    present[middle, middle] |= backward & (generator.random(backward.shape) < chance)
    return _from_mask(present, sizes, activation, bias, generator)


def _forward_edges(sizes: tuple[int, int, int], probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """``present[u, v]``: nodes in the order inputs, hidden, outputs; none within inputs or within outputs."""
    inputs, hidden, outputs = sizes
    total = inputs + hidden + outputs
    allowed = np.triu(np.ones((total, total), dtype=bool), k=1)
    allowed[:inputs, :inputs] = allowed[inputs + hidden :, inputs + hidden :] = False
    present: NDArray[np.bool_] = allowed & (rng.random(allowed.shape) < probability)
    for node in range(inputs, total):
        if not present[:, node].any():
            present[rng.choice(np.flatnonzero(allowed[:, node])), node] = True
    for node in range(inputs + hidden):
        if not present[node].any():
            present[node, rng.choice(np.flatnonzero(allowed[node]))] = True
    return present


def _from_mask(
    present: NDArray[np.bool_],
    sizes: tuple[int, int, int],
    activation: str | Activation,
    bias: bool,
    rng: np.random.Generator,
) -> nx.DiGraph[Any]:
    _parse_activation(activation)
    groups = [[f"{letter}{j}" for j in range(size)] for letter, size in zip("xhy", sizes, strict=True)]
    network = _inputs(groups[0], bias=bias)
    _add_units(network, groups[1], "hidden", activation)
    _add_units(network, groups[2], "output", "linear")
    names = [name for group in groups for name in group]
    tails, heads = np.nonzero(present)
    weights = _he(rng, tails.shape, present.sum(axis=0)[heads])
    for tail, head, weight in zip(tails.tolist(), heads.tolist(), weights.tolist(), strict=True):
        network.add_edge(names[tail], names[head], weight=weight)
    if bias:
        _connect(network, [_BIAS], groups[1] + groups[2], _biases(rng, sizes[1] + sizes[2])[np.newaxis], "biases")
    return network


# ---- skip connections and convolutions -----------------------------------------------------------------------------


def residual(
    blocks: int = 2,
    inputs: int = 3,
    width: int = 4,
    outputs: int = 2,
    activation: str | Activation = "relu",
    bias: bool = True,
    *,
    rng: Rng = None,
) -> nx.DiGraph[Any]:
    """A residual network: ``h <- f(h + W2 f(W1 h + b1) + b2)`` per block (He, Zhang, Ren, Sun 2016, figure 2).

    The identity of a skip connection is an edge of weight 1 with ``fixed=True``: it may not change, so the two units
    it joins have the same scale (for degree 1).

    Parameters
    ----------
    blocks : int
        Number of residual blocks, each of two layers.
    inputs, width, outputs : int
        Number of inputs, units per hidden layer, outputs.
    activation : str or Activation
        Activation of the hidden units; the outputs are linear.
    bias : bool
        Whether hidden units and outputs have biases.
    rng : int, numpy.random.Generator or None
        Source of the weights.

    Returns
    -------
    networkx.DiGraph
        Layer 1 follows the inputs; block b (from 1) has layers 2b and 2b + 1, with skips from layer 2b - 1 to 2b + 1.

    Raises
    ------
    InvalidParameterError
        If a count is not a positive int, or the activation is unknown.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.residual(blocks=1, rng=0)
    >>> G.edges["h1.0", "h3.0"]
    {'weight': 1.0, 'fixed': True}
    """
    blocks = _positive(blocks, "blocks")
    inputs, width, outputs = _positive(inputs, "inputs"), _positive(width, "width"), _positive(outputs, "outputs")
    network = layered([inputs, *[width] * (2 * blocks + 1), outputs], activation, bias, rng=rng)
    for layer in range(1, 2 * blocks, 2):
        for unit in range(width):
            network.add_edge(f"h{layer}.{unit}", f"h{layer + 2}.{unit}", weight=1.0, fixed=True)
    return network


def convolutional(
    size: int | tuple[int, int] = 8,
    channels: Sequence[int] = (1, 2, 3),
    kernel: int = 3,
    outputs: int = 2,
    activation: str | Activation = "relu",
    bias: bool = True,
    sharing: Literal["shared", "group"] = "shared",
    stride: int = 1,
    padding: int = 0,
    *,
    rng: Rng = None,
) -> nx.DiGraph[Any]:
    """A small convolutional network in one or two dimensions, unrolled: one node per channel and position.

    A dense layer reads out the last channels. That all positions use one kernel can be said in two ways, which have
    the same balanced weights:

    - ``sharing="shared"``: the copies of a kernel entry (and of a channel's bias) are edges with equal ``shared``: one
      parameter, its cost counted once. Units that have such an edge in common then have equal scales.
    - ``sharing="group"``: the units of a channel have equal ``group``, hence one scale, and every unit has its own copy
      of the edges; each copy has ``coefficient`` 1 / copies, so that the kernel costs the same as above. Delete the
      coefficients to count every copy in full.

    Parameters
    ----------
    size : int or (int, int)
        Length of the signal, or height and width of the image.
    channels : sequence of int
        Channels of the input and of each convolutional layer: ``(1, 2, 3)`` has two such layers.
    kernel : int
        Side of the kernel.
    outputs : int
        Number of outputs.
    activation : str or Activation
        Activation of the hidden units; the outputs are linear.
    bias : bool
        Whether channels and outputs have biases.
    sharing : {"shared", "group"}
        How the copies are marked, see above.
    stride, padding : int
        Step of the kernel, and zeros added at each end. Zeros have no nodes: units at the rim have fewer edges.
    rng : int, numpy.random.Generator or None
        Source of the weights.

    Returns
    -------
    networkx.DiGraph
        Inputs ``x{channel}.{position}``, hidden units ``h{layer}.{channel}.{position}``, outputs ``y{j}``; a position
        in an image is ``{row}.{column}``. Groups and shared labels are tuples such as ``("channel", 1, 0)`` and
        ``("kernel", 1, 0, 0, (2,))``: layer, channel out, channel in, offset.

    Raises
    ------
    InvalidParameterError
        If a number is out of range or the kernel does not fit a layer (the message names it).

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.convolutional(size=5, channels=(1, 2), kernel=3, rng=0)
    >>> G.edges["x0.0", "h1.0.0"]["shared"] == G.edges["x0.1", "h1.0.1"]["shared"]
    True
    >>> bg.networks.convolutional(size=5, channels=(1, 2), sharing="group", rng=0).nodes["h1.0.2"]["group"]
    ('channel', 1, 0)
    """
    if sharing not in ("shared", "group"):
        message = f'sharing must be "shared" or "group", got {sharing!r}'
        raise InvalidParameterError(message)
    _parse_activation(activation)
    depths = _widths(channels, "channels")
    shapes = _feature_shapes(size, len(depths) - 1, kernel, stride, padding)
    outputs = _positive(outputs, "outputs")
    generator = _generator(rng)
    units = [_feature_names(k, depth, shape) for k, (depth, shape) in enumerate(zip(depths, shapes, strict=True))]
    network = _inputs([name for channel in units[0] for name in channel.values()], bias=bias)
    for layer, features in enumerate(units[1:], start=1):
        for channel, names in enumerate(features):
            group = {"group": ("channel", layer, channel)} if sharing == "group" else {}
            _add_units(network, list(names.values()), "hidden", activation, **group)
        kernels = _he(generator, (depths[layer], depths[layer - 1], *_cube(kernel, shapes[0])), fan_in=None)
        edges = _convolution(units[layer - 1], features, kernels, layer, stride, padding)
        if bias:
            edges = itertools.chain(edges, _channel_biases(features, _biases(generator, depths[layer]), layer))
        _add_copies(network, edges, sharing)
    last = [name for names in units[-1] for name in names.values()]
    targets = [f"y{j}" for j in range(outputs)]
    _add_units(network, targets, "output", "linear")
    _connect(network, last, targets, _he(generator, (len(last), outputs), len(last)), "read-out")
    if bias:
        _connect(network, [_BIAS], targets, _biases(generator, outputs)[np.newaxis], "biases of the read-out")
    return network


Position = tuple[int, ...]
_Copy = tuple[str, str, float, tuple[Any, ...]]  # tail, head, weight, label of the parameter


def _feature_shapes(size: Any, layers: int, kernel: Any, stride: Any, padding: Any) -> list[Position]:
    """Shape of the input and of every convolutional layer: ``(n + 2 padding - kernel) // stride + 1`` per axis."""
    sides = size if isinstance(size, tuple | list) else (size,)
    if len(sides) not in (1, 2):
        message = f"size must be one length or (height, width), got {size!r}"
        raise InvalidParameterError(message)
    kernel, stride = _positive(kernel, "kernel"), _positive(stride, "stride")
    padding = _positive(padding, "padding", least=0)
    if padding >= kernel:
        message = f"padding {padding} must be less than kernel {kernel}: some units would see nothing but padding"
        raise InvalidParameterError(message)
    shapes = [tuple(_positive(side, "size") for side in sides)]
    for layer in range(1, layers + 1):
        if min(shapes[-1]) + 2 * padding < kernel:
            message = (
                f"convolutional layer {layer}: kernel {kernel} does not fit its input of size {shapes[-1]} with "
                f"padding {padding}; use a larger size or padding, a smaller kernel or stride, or fewer channels"
            )
            raise InvalidParameterError(message)
        shapes.append(tuple((side + 2 * padding - kernel) // stride + 1 for side in shapes[-1]))
    return shapes


def _positions(shape: Position) -> Iterator[Position]:
    return itertools.product(*map(range, shape))


def _cube(kernel: int, shape: Position) -> Position:
    return (kernel,) * len(shape)


def _feature_names(layer: int, depth: int, shape: Position) -> list[dict[Position, str]]:
    """Per channel, the name of the unit at each position."""
    start = "x" if layer == 0 else f"h{layer}."
    return [
        {position: f"{start}{channel}." + ".".join(map(str, position)) for position in _positions(shape)}
        for channel in range(depth)
    ]


def _convolution(
    tails: list[dict[Position, str]],
    heads: list[dict[Position, str]],
    kernels: Array,
    layer: int,
    stride: int,
    padding: int,
) -> Iterator[_Copy]:
    """One edge per kernel entry and position of the output at which the entry meets a unit (not the padding)."""
    for (target, source, *offset), weight in np.ndenumerate(kernels):
        label = ("kernel", layer, target, source, tuple(offset))
        for position, head in heads[target].items():
            place = tuple(p * stride + o - padding for p, o in zip(position, offset, strict=True))
            if place in tails[source]:
                yield tails[source][place], head, float(weight), label


def _channel_biases(heads: list[dict[Position, str]], biases: Array, layer: int) -> Iterator[_Copy]:
    for channel, names in enumerate(heads):
        for head in names.values():
            yield _BIAS, head, float(biases[channel]), ("bias", layer, channel)


def _add_copies(network: nx.DiGraph[Any], edges: Iterator[_Copy], sharing: str) -> None:
    copies = list(edges)
    counts = Counter(label for *_, label in copies)
    for tail, head, weight, label in copies:
        mark = {"shared": label} if sharing == "shared" else {"coefficient": 1.0 / counts[label]}
        network.add_edge(tail, head, weight=weight, **mark)


# ---- the bundled network -------------------------------------------------------------------------------------------


def digits() -> nx.DiGraph[Any]:
    """A trained 64-32-16-10 ReLU classifier of handwritten digits, bundled with the package.

    Trained by scikit-learn's `MLPClassifier` on its 8 x 8 digits (UCI, Alpaydin and Kaynak 1998); its test accuracy is
    97 %. Input ``x{j}`` is pixel j, row by row, divided by 16; output ``y{k}`` is the logit of digit k. Made by
    ``benchmarks/make_digits.py``; scikit-learn is not needed to use it.

    See Also
    --------
    digits_images : one hundred test images with their labels.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.digits()
    >>> G.number_of_nodes(), G.number_of_edges()
    (123, 2778)
    """
    data = _digits_data()
    layers = range(sum(name.startswith("weights") for name in data))
    return from_layers([data[f"weights{k}"] for k in layers], [data[f"biases{k}"] for k in layers], "relu")


def digits_images() -> tuple[Array, NDArray[np.int64]]:
    """One hundred test images for `digits`, and their labels.

    Returns
    -------
    images : ndarray of float, shape (100, 64)
        Pixels row by row, scaled as in training: from 0 to 1.
    labels : ndarray of int, shape (100,)
        The digits shown, 0 to 9.

    Examples
    --------
    >>> import balance_graph as bg
    >>> images, labels = bg.networks.digits_images()
    >>> images.shape, labels.shape
    ((100, 64), (100,))
    """
    data = _digits_data()
    return data["images"], data["labels"]


def _digits_data() -> dict[str, NDArray[Any]]:
    with resources.files("balance_graph").joinpath("data", "digits.npz").open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        return {name: archive[name] for name in archive.files}


# ---- nodes and edges -----------------------------------------------------------------------------------------------


def _layer_names(widths: Sequence[int]) -> list[list[str]]:
    hidden = [[f"h{layer}.{unit}" for unit in range(width)] for layer, width in enumerate(widths[1:-1], start=1)]
    return [[f"x{j}" for j in range(widths[0])], *hidden, [f"y{j}" for j in range(widths[-1])]]


def _inputs(names: Sequence[str], *, bias: bool) -> nx.DiGraph[Any]:
    network: nx.DiGraph[Any] = nx.DiGraph()
    network.add_nodes_from(names, role="input")
    if bias:
        network.add_node(_BIAS, role="bias")
    return network


def _add_units(
    network: nx.DiGraph[Any], names: Sequence[str], role: str, activation: str | Activation, **attributes: Any
) -> None:
    network.add_nodes_from(names, role=role, activation=activation, **attributes)


def _connect(network: nx.DiGraph[Any], tails: Sequence[str], heads: Sequence[str], matrix: Array, origin: str) -> None:
    """Add the edges of ``matrix[tail, head]``, zeros included; `origin` names the matrix in messages."""
    if not np.isfinite(matrix).all():
        row, column = (int(k) for k in np.argwhere(~np.isfinite(matrix))[0])
        edge, value = f"{tails[row]} -> {heads[column]}", float(matrix[row, column])
        message = f"{origin} holds {value} on edge {edge}; every weight and bias must be a finite number"
        raise InvalidNetworkError(message)
    for tail, row_weights in zip(tails, matrix.tolist(), strict=True):
        network.add_weighted_edges_from(zip(itertools.repeat(tail), heads, row_weights))


# ---- random numbers ------------------------------------------------------------------------------------------------


def _generator(rng: Rng) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        message = f"rng must be a non-negative int, a numpy.random.Generator or None, got {rng!r}"
        raise InvalidParameterError(message) from error


def _he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: ArrayLike | None) -> Array:
    """Normal weights of variance 2 / fan-in; for kernels (None) the fan-in is all axes after the first."""
    fan = math.prod(shape[1:]) if fan_in is None else fan_in
    return rng.standard_normal(shape) * np.sqrt(2.0 / np.asarray(fan, dtype=float))


def _biases(rng: np.random.Generator, count: int) -> Array:
    return _BIAS_DEVIATION * rng.standard_normal(count)


# ---- checks of the arguments ---------------------------------------------------------------------------------------


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence | np.ndarray) and not isinstance(values, str | bytes)


def _positive(value: Any, name: str, *, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        message = f"{name} must be an int of at least {least}, got {value!r}"
        raise InvalidParameterError(message)
    return int(value)


def _widths(widths: Any, name: str = "widths") -> list[int]:
    if not _is_list(widths) or len(widths) < 2:
        message = f"{name} must list at least 2 positive ints, that of the input first, got {widths!r}"
        raise InvalidParameterError(message)
    return [_positive(width, f"{name}[{k}]") for k, width in enumerate(widths)]


def _counts(inputs: Any, hidden: Any, outputs: Any) -> tuple[int, int, int]:
    return _positive(inputs, "inputs"), _positive(hidden, "hidden", least=0), _positive(outputs, "outputs")


def _probability(value: Any) -> float:
    if isinstance(value, int | float | np.number) and 0 <= value <= 1:
        return float(value)
    message = f"probability must be a number from 0 to 1, got {value!r}"
    raise InvalidParameterError(message)


def _chain_weights(length: Any, weights: Any) -> Array:
    values = _array(weights, "weights")
    if values.ndim != 1 or len(values) < 2:
        message = f"the weights of a chain are a list of at least 2 numbers (one hidden unit), got {weights!r}"
        raise InvalidParameterError(message)
    if length is not None and _positive(length, "length") != len(values) - 1:
        message = f"a chain of length {length} has {length + 1} weights, got {len(values)}; leave length out"
        raise InvalidParameterError(message)
    return values


def _layer_activations(activation: Any, hidden: int) -> list[str | Activation]:
    if not _is_list(activation):
        _parse_activation(activation)
        return [activation] * hidden
    for one in activation:
        _parse_activation(one)
    if len(activation) != hidden:
        message = (
            f"{len(activation)} activations for {hidden} hidden layers; give one per hidden layer, or a single one"
        )
        raise InvalidParameterError(message)
    return list(activation)


def _array(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a torch tensor that requires grad
        message = f"{name} is not an array of numbers: {error}"
        raise InvalidParameterError(message) from error
    if array.dtype.kind not in "iuf":
        message = f"{name} must hold real numbers, got an array of dtype {array.dtype}"
        raise InvalidParameterError(message)
    return array.astype(float)


def _matrices(weights: Any) -> list[Array]:
    if not _is_list(weights) or len(weights) == 0:
        message = f"weights must list one array of shape (fan_in, fan_out) per layer, got {weights!r}"
        raise InvalidParameterError(message)
    matrices = [_array(values, f"weights[{k}]") for k, values in enumerate(weights)]
    for k, matrix in enumerate(matrices):
        if matrix.ndim != 2 or 0 in matrix.shape:
            message = f"weights[{k}] must have shape (fan_in, fan_out) with both positive, got shape {matrix.shape}"
            raise InvalidParameterError(message)
        if k and matrix.shape[0] != matrices[k - 1].shape[1]:
            message = (
                f"weights[{k}] of shape {matrix.shape} does not follow weights[{k - 1}] of shape "
                f"{matrices[k - 1].shape}: fan_in {matrix.shape[0]} is not the {matrices[k - 1].shape[1]} units of "
                f"layer {k}; shapes are (fan_in, fan_out), transpose the array if it is the other way round"
            )
            raise InvalidParameterError(message)
    return matrices


def _vectors(biases: Any, matrices: list[Array]) -> list[Array | None]:
    if biases is None:
        return [None] * len(matrices)
    if not _is_list(biases) or len(biases) != len(matrices):
        count = len(biases) if _is_list(biases) else repr(biases)
        message = f"{count} biases for {len(matrices)} layers; give a list with one array or None per layer"
        raise InvalidParameterError(message)
    vectors = [None if values is None else _array(values, f"biases[{k}]") for k, values in enumerate(biases)]
    for k, (vector, matrix) in enumerate(zip(vectors, matrices, strict=True)):
        if vector is not None and vector.shape != matrix.shape[1:]:
            message = f"biases[{k}] must have shape {matrix.shape[1:]}, the fan_out of weights[{k}]; got {vector.shape}"
            raise InvalidParameterError(message)
    return vectors
