"""Forward evaluation of a network: what it computes, and so what scaling must not change."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

from balance_graph._floating_point import own_rules
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import roles_of
from balance_graph.graph.propagation import Propagation


@own_rules
def evaluate(
    G: nx.DiGraph[Any],  # noqa: N803
    x: ArrayLike,
    steps: int | None = None,
    *,
    weight: str = "weight",
) -> Array:
    """Outputs of a network.

    Parameters
    ----------
    G : networkx.DiGraph
        A feedforward or recurrent network. Hidden and output nodes apply their activation (ReLU by default) to the
        weighted sum of their inputs; bias nodes are 1.
    x : array
        Inputs, in the order of the input nodes of `G`. Feedforward: (n_inputs,) or (batch, n_inputs). Recurrent:
        (steps, n_inputs) or (steps, batch, n_inputs).
    steps : int, optional
        Hold a constant input, (n_inputs,) or (batch, n_inputs), for this many steps; the result gains a leading axis.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    array
        Outputs in the order of the output nodes of `G`: the shape of `x` with n_outputs in place of n_inputs, and for
        a recurrent network the outputs at every step. The initial state is zero.

    Raises
    ------
    InvalidParameterError
        If the shape of `x` does not fit, or it is not finite; if the values have grown so far beyond the range of
        floats that an output is no number (a difference of infinities).

    See Also
    --------
    scale : Changes weights, not outputs.

    Notes
    -----
    Edges within a strongly connected component (of the edges of nonzero weight) are delayed by one step, all others
    act at once. Dynamics that diverge end in infinite outputs, quietly; an infinity below zero leaves a ReLU at zero.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 2.0}), ("h", "y", {"weight": 0.5})])
    >>> bg.evaluate(G, [3.0])
    array([3.])
    """
    network = Propagation.of(G, weight)
    try:
        values = np.asarray(x, dtype=float)
    except (TypeError, ValueError) as error:
        message = f"x must be an array of numbers, got {x!r}"
        raise InvalidParameterError(message) from error
    if not np.all(np.isfinite(values)):
        message = "x must be finite"
        raise InvalidParameterError(message)
    sequence, shape = _sequence(network, values, steps)
    weights = np.array([data[weight] for _, _, data in G.edges(data=True)], dtype=float)
    states = network.run(network.matrices(weights), sequence)
    outputs = np.empty((*sequence.shape[:2], network.outputs.size))
    for step, (state, _) in enumerate(states):
        outputs[step] = state[network.outputs].T
    _check_numbers(outputs, [node for node, role in roles_of(G).items() if role == "output"])
    return outputs.reshape(*shape, network.outputs.size)


def _check_numbers(outputs: Array, nodes: list[Any]) -> None:
    """Refuse outputs (steps, batch, n_outputs) that are no numbers, with the first of them."""
    unknown = np.argwhere(np.isnan(outputs))
    if unknown.size:
        step, _, output = unknown[0].tolist()
        where = f" at step {step + 1}" if len(outputs) > 1 else ""
        remedy = f"take at most {step} steps, or smaller" if step else "take smaller"
        message = (
            f"output {nodes[output]!r} is no number{where}: the values on the way to it are beyond the range of floats "
            f"(infinities of both signs are added, or an activation has no limit there); {remedy} inputs or weights"
        )
        raise InvalidParameterError(message)


def _sequence(network: Propagation, x: Array, steps: int | None) -> tuple[Array, tuple[int, ...]]:
    """Inputs as (steps, batch, n_inputs), and the leading shape of the outputs."""
    n = network.inputs.size
    kind = "recurrent" if network.is_recurrent else "feedforward"
    timed = network.is_recurrent and steps is None
    allowed = (2, 3) if timed else (1, 2)
    if x.ndim not in allowed or x.shape[-1] != n:
        wanted = f"(steps, {n}) or (steps, batch, {n})" if timed else f"({n},) or (batch, {n})"
        hint = "; or give steps= and a constant input" if timed else ""
        message = f"x must have shape {wanted} for this {kind} network with {n} inputs, got {x.shape}{hint}"
        raise InvalidParameterError(message)
    if timed:
        return x.reshape(x.shape[0], -1 if x.size else int(np.prod(x.shape[1:-1])), n), x.shape[:-1]
    batch = x.reshape(-1, n) if n else np.zeros((x.shape[0] if x.ndim == 2 else 1, 0))
    if steps is None:
        return batch[None], x.shape[:-1]
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        message = f"steps must be a non-negative integer, got {steps!r}"
        raise InvalidParameterError(message)
    return np.broadcast_to(batch, (int(steps), *batch.shape)), (int(steps), *x.shape[:-1])
