"""Layers between which channels may be scaled, for PyTorch's function, which must be told.

This finder is ours; PyTorch has none. It follows what one layer makes through what is homogeneous, module or function,
to the next layer, and takes both for a pair if nothing else reads it on the way and each is called once.
"""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional as F

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)  # those that PyTorch's function takes
_MODULES = (
    *(nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
)
_FUNCTIONS = (
    *(F.relu, F.relu_, torch.relu, torch.relu_, F.leaky_relu, F.dropout, F.dropout2d, torch.flatten),
    *(F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
)
_METHODS = ("relu", "relu_", "flatten", "contiguous")


def pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of neighboring layers, in the order of execution."""
    traced = fx.symbolic_trace(module)
    named = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    layers = {node: named[node.target] for node in calls if isinstance(named[node.target], LAYERS)}
    once = [node for node in layers if sum(other.target == node.target for other in calls) == 1]
    found = ((node, _next(node, named)) for node in once)
    return [
        (node.target, reader.target) for node, reader in found if reader in once and _fit(layers[node], layers[reader])
    ]


def _next(node: fx.Node, named: dict[str, nn.Module]) -> fx.Node | None:
    """The only reader of what the node makes, past all that is homogeneous of degree 1 and keeps channels apart."""
    while len(node.users) == 1:
        node = next(iter(node.users))
        is_module = node.op == "call_module" and isinstance(named[node.target], _MODULES)
        is_function = node.op == "call_function" and node.target in _FUNCTIONS
        if not (is_module or is_function or (node.op == "call_method" and node.target in _METHODS)):
            return node
    return None


def _fit(one: nn.Module, two: nn.Module) -> bool:
    """As many channels made as read; so a flattened image of more than one pixel and a depthwise reader do not fit."""
    return one.weight.shape[0] == two.weight.shape[1] and getattr(two, "groups", 1) == 1
