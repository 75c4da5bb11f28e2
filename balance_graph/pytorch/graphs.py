"""Small modules as graphs: one node for each unit, one edge for each weight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from balance_graph.errors import UnsupportedError
from balance_graph.graph.activations import Activation, activation
from balance_graph.networks import from_layers
from balance_graph.pytorch.reading import read_module
from balance_graph.pytorch.shards import check_whole

if TYPE_CHECKING:
    import networkx as nx

_NAMES = {
    nn.ReLU: "relu",
    nn.Identity: "linear",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
# In evaluation mode they do nothing.
_IDLE = (nn.Identity, nn.Dropout, nn.AlphaDropout)


def to_graph(
    module: nn.Module, example_inputs: tuple[Any, ...], *, kwargs: dict[str, Any] | None = None
) -> nx.DiGraph[Any]:
    """The graph of a chain of linear layers: balanced, it has the weights of the balanced module.

    Parameters
    ----------
    module : torch.nn.Module
        `nn.Linear`, or `nn.Sequential`, nested or not, of `nn.Linear`, `nn.ReLU`, `nn.LeakyReLU`, `nn.Tanh`,
        `nn.Sigmoid`, `nn.Identity` and dropout, in which no layer and no weight occurs twice. It is not changed.
    example_inputs : tuple
        As for `balance_module`.
    kwargs : dict, optional
        Keyword arguments of the module.

    Returns
    -------
    networkx.DiGraph
        Inputs ``x{j}``, ``bias`` where there are biases, hidden units ``h{layer}.{unit}``, outputs ``y{j}``.

    Raises
    ------
    UnsupportedError
        If the module is made of anything else: the message names the layer.

    Examples
    --------
    >>> import balance_graph as bg, torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import balance_module, to_graph
    >>> model, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).double(), (torch.ones(1, 3).double(),)
    >>> graph = to_graph(model, x)
    >>> len(graph), abs(bg.balance(graph).cost / balance_module(model, x).cost - 1) < 1e-12
    (11, True)
    """
    check_whole(module, "to_graph")
    read_module(module, example_inputs, kwargs=kwargs)
    weights: list[Any] = []
    biases: list[Any] = []
    activations: list[str | Activation] = []
    seen: set[int] = set()
    for name, layer in _layers(module, ""):
        if isinstance(layer, nn.Linear):
            _check_new(layer, name, seen)
            if len(activations) < len(weights):
                activations.append("linear")
            weights.append(_array(layer.weight).T)
            biases.append(None if layer.bias is None else _array(layer.bias))
        elif not isinstance(layer, _IDLE):
            if len(activations) == len(weights):
                message = f"{name}: an activation must follow a linear layer, not the inputs or another activation"
                raise UnsupportedError(message)
            activations.append(_activation(layer, name))
    if not weights:
        message = f"{type(module).__name__} has no linear layer: there is no graph"
        raise UnsupportedError(message)
    last = activations[-1] if len(activations) == len(weights) else "linear"
    return from_layers(weights, biases, activations[: len(weights) - 1], last)


def _layers(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers in the order in which they are called."""
    if type(module) is nn.Sequential:
        for key, child in module._modules.items():  # noqa: SLF001
            yield from _layers(child, f"{name}.{key}" if name else key)
    else:
        yield name or type(module).__name__, module


def _check_new(layer: nn.Linear, name: str, seen: set[int]) -> None:
    own = {id(p) for p in layer.parameters()}
    if type(layer) is not nn.Linear or own & seen:
        message = f"{name}: a layer that shares weights or is no plain nn.Linear has no edges of its own"
        raise UnsupportedError(message)
    seen |= own


def _activation(layer: nn.Module, name: str) -> str | Activation:
    if type(layer) is nn.LeakyReLU:
        return activation(f"leaky_relu({layer.negative_slope!r})")
    if type(layer) not in _NAMES:
        message = (
            f"{name}: {type(layer).__name__} has no graph; to_graph takes chains of nn.Linear and activations, "
            "balance_module takes the module itself"
        )
        raise UnsupportedError(message)
    return _NAMES[type(layer)]


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().to(torch.float64).cpu().numpy()
