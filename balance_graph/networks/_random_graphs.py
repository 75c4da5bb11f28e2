"""Random graphs, without and with cycles."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from balance_graph._arguments import Rng, generator_of
from balance_graph._types import Mask
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.activations import Activation
from balance_graph.graph.activations import activation as parse_activation
from balance_graph.networks._arguments import checked_counts, checked_probability
from balance_graph.networks._nodes import BIAS, add_units, connect, network_of_inputs
from balance_graph.networks._random_weights import he_weights, random_biases


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
    rng : int, numpy Generator, RandomState or None
        Source of the edges and weights.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    InvalidParameterError
        If a count or the probability is out of range, or the activation is unknown.

    See Also
    --------
    random_recurrent : With cycles.

    Examples
    --------
    >>> import balance_graph as bg
    >>> import networkx as nx
    >>> nx.is_directed_acyclic_graph(bg.networks.random_dag(rng=0))
    True
    """
    sizes = checked_counts(inputs, hidden, outputs)
    generator = generator_of(rng)
    present = _forward_edges(sizes, checked_probability(probability), generator)
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
        Whether hidden nodes have edges to themselves, each with the given probability, at least one of them.
    rng : int, numpy Generator, RandomState or None
        Source of the edges and weights.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    InvalidParameterError
        If a count or the probability is out of range, or the activation is unknown.

    See Also
    --------
    random_dag : Without cycles.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.random_recurrent(hidden=3, probability=1.0, rng=0)
    >>> G.has_edge("h0", "h2") and G.has_edge("h2", "h0")
    True
    """
    sizes = checked_counts(inputs, hidden, outputs)
    if hidden < 1:
        message = f"hidden must be at least 1 in a recurrent network, got {hidden!r}"
        raise InvalidParameterError(message)
    generator = generator_of(rng)
    chance = checked_probability(probability)
    present = _forward_edges(sizes, chance, generator)
    middle = slice(sizes[0], sizes[0] + sizes[1])
    backward = np.tri(sizes[1], k=0 if self_loops else -1, dtype=bool)
    present[middle, middle] |= backward & (generator.random(backward.shape) < chance)
    if self_loops and not present.diagonal().any():
        present[np.diag_indices(sizes[0] + hidden)] = np.arange(sizes[0] + hidden) == sizes[0] + generator.integers(
            hidden
        )
    return _from_mask(present, sizes, activation, bias, generator)


def _forward_edges(sizes: tuple[int, int, int], probability: float, rng: np.random.Generator) -> Mask:
    """``present[u, v]``: nodes in the order inputs, hidden, outputs; none within inputs or within outputs."""
    inputs, hidden, outputs = sizes
    total = inputs + hidden + outputs
    allowed = np.triu(np.ones((total, total), dtype=bool), k=1)
    allowed[:inputs, :inputs] = allowed[inputs + hidden :, inputs + hidden :] = False
    present: Mask = allowed & (rng.random(allowed.shape) < probability)
    for node in range(inputs, total):
        if not present[:, node].any():
            present[rng.choice(np.flatnonzero(allowed[:, node])), node] = True
    for node in range(inputs + hidden):
        if not present[node].any():
            present[node, rng.choice(np.flatnonzero(allowed[node]))] = True
    return present


def _from_mask(
    present: Mask,
    sizes: tuple[int, int, int],
    activation: str | Activation,
    bias: bool,
    rng: np.random.Generator,
) -> nx.DiGraph[Any]:
    parse_activation(activation)
    groups = [[f"{letter}{j}" for j in range(size)] for letter, size in zip("xhy", sizes, strict=True)]
    network = network_of_inputs(groups[0], bias=bias)
    add_units(network, groups[1], "hidden", activation)
    add_units(network, groups[2], "output", "linear")
    names = [name for group in groups for name in group]
    tails, heads = np.nonzero(present)
    weights = he_weights(rng, tails.shape, present.sum(axis=0)[heads])
    for tail, head, weight in zip(tails.tolist(), heads.tolist(), weights.tolist(), strict=True):
        network.add_edge(names[tail], names[head], weight=weight)
    if bias:
        connect(network, [BIAS], groups[1] + groups[2], random_biases(rng, sizes[1] + sizes[2])[np.newaxis], "biases")
    return network
