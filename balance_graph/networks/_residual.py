"""Residual networks."""

from __future__ import annotations

from typing import Any

import networkx as nx

from balance_graph._arguments import Rng
from balance_graph.graph.activations import Activation
from balance_graph.networks._arguments import positive_int
from balance_graph.networks._layers import layered


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
    rng : int, numpy Generator, RandomState or None
        Source of the weights.

    Returns
    -------
    networkx.DiGraph
        Layer 1 follows the inputs; block b (from 1) has layers 2b and 2b + 1, with skips from layer 2b - 1 to 2b + 1.

    Raises
    ------
    InvalidParameterError
        If a count is not a positive int, or the activation is unknown.

    See Also
    --------
    layered : Without skip connections.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.residual(blocks=1, rng=0)
    >>> G.edges["h1.0", "h3.0"]
    {'weight': 1.0, 'fixed': True}
    """
    blocks, width = positive_int(blocks, "blocks"), positive_int(width, "width")
    ends = positive_int(inputs, "inputs"), positive_int(outputs, "outputs")
    network = layered([ends[0], *[width] * (2 * blocks + 1), ends[1]], activation, bias, rng=rng)
    for layer in range(1, 2 * blocks, 2):
        for unit in range(width):
            network.add_edge(f"h{layer}.{unit}", f"h{layer + 2}.{unit}", weight=1.0, fixed=True)
    return network
