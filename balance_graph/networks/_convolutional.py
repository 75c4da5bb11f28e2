"""Convolutional networks, unrolled."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import networkx as nx
import numpy as np

from balance_graph._arguments import Rng, generator_of
from balance_graph._choices import check_choice
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.activations import Activation
from balance_graph.graph.activations import activation as parse_activation
from balance_graph.networks._arguments import checked_widths, positive_int
from balance_graph.networks._nodes import BIAS, add_units, connect, network_of_inputs
from balance_graph.networks._random_weights import he_weights, random_biases

Position = tuple[int, ...]
_Copy = tuple[str, str, float, tuple[Any, ...]]  # tail, head, weight, label of the parameter


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
    rng : int, numpy Generator, RandomState or None
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

    See Also
    --------
    layered : Without shared weights.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.convolutional(size=5, channels=(1, 2), kernel=3, rng=0)
    >>> G.edges["x0.0", "h1.0.0"]["shared"] == G.edges["x0.1", "h1.0.1"]["shared"]
    True
    >>> bg.networks.convolutional(size=5, channels=(1, 2), sharing="group", rng=0).nodes["h1.0.2"]["group"]
    ('channel', 1, 0)
    """
    check_choice(sharing, "sharing", ("shared", "group"))
    parse_activation(activation)
    depths = checked_widths(channels, "channels")
    shapes = _feature_shapes(size, len(depths) - 1, kernel, stride, padding)
    outputs = positive_int(outputs, "outputs")
    generator = generator_of(rng)
    units = [_feature_names(k, depth, shape) for k, (depth, shape) in enumerate(zip(depths, shapes, strict=True))]
    network = network_of_inputs([name for channel in units[0] for name in channel.values()], bias=bias)
    for layer, features in enumerate(units[1:], start=1):
        for channel, names in enumerate(features):
            group = {"group": ("channel", layer, channel)} if sharing == "group" else {}
            add_units(network, list(names.values()), "hidden", activation, **group)
        kernels = he_weights(generator, (depths[layer], depths[layer - 1], *_cube(kernel, shapes[0])), fan_in=None)
        edges = _convolution(units[layer - 1], features, kernels, layer, stride, padding)
        if bias:
            edges = itertools.chain(edges, _channel_biases(features, random_biases(generator, depths[layer]), layer))
        _add_copies(network, edges, sharing)
    last = [name for names in units[-1] for name in names.values()]
    targets = [f"y{j}" for j in range(outputs)]
    add_units(network, targets, "output", "linear")
    connect(network, last, targets, he_weights(generator, (len(last), outputs), len(last)), "read-out")
    if bias:
        connect(network, [BIAS], targets, random_biases(generator, outputs)[np.newaxis], "biases of the read-out")
    return network


def _feature_shapes(size: Any, layers: int, kernel: Any, stride: Any, padding: Any) -> list[Position]:
    """Shape of the input and of every convolutional layer: ``(n + 2 padding - kernel) // stride + 1`` per axis."""
    sides = size if isinstance(size, tuple | list) else (size,)
    if len(sides) not in (1, 2):
        message = f"size must be one length or (height, width), got {size!r}"
        raise InvalidParameterError(message)
    kernel, stride = positive_int(kernel, "kernel"), positive_int(stride, "stride")
    padding = positive_int(padding, "padding", least=0)
    if padding >= kernel:
        message = f"padding {padding} must be less than kernel {kernel}: some units would see nothing but padding"
        raise InvalidParameterError(message)
    shapes = [tuple(positive_int(side, "size") for side in sides)]
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
            yield BIAS, head, float(biases[channel]), ("bias", layer, channel)


def _add_copies(network: nx.DiGraph[Any], edges: Iterator[_Copy], sharing: str) -> None:
    copies = list(edges)
    counts = Counter(label for *_, label in copies)
    for tail, head, weight, label in copies:
        mark = {"shared": label} if sharing == "shared" else {"coefficient": 1.0 / counts[label]}
        network.add_edge(tail, head, weight=weight, **mark)
