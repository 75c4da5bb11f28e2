"""Weights on a grid of integers times a step size, symmetric about zero; the largest weight is on the grid."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from low_precision.configuration import Rounding

# Their weights are rounded; biases, norms, positions and statistics stay as they are.
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def rounded(weight: Any, rounding: Rounding, axis: int = 0) -> Any:
    """The weight rounded to the nearest number of the grid; `axis` is that of the output channels.

    A tensor or channel of zeros stays as it is.
    """
    values = np.asarray(weight)
    others = tuple(k for k in range(values.ndim) if k != axis) if rounding.scope == "channel" else None
    largest = np.abs(values).max(axis=others, keepdims=True)
    step = largest / (2 ** (rounding.bits - 1) - 1)
    return np.where(step > 0, np.round(values / np.where(step > 0, step, 1)) * step, values).astype(values.dtype)


def rounded_module(module: nn.Module, rounding: Rounding) -> nn.Module:
    """A copy with rounded weights; a weight that layers share is rounded once."""
    module = copy.deepcopy(module)
    weights = {id(part.weight): part.weight for part in module.modules() if isinstance(part, LAYERS)}
    with torch.no_grad():
        for weight in weights.values():
            weight.copy_(torch.from_numpy(rounded(weight.numpy(), rounding)))
    return module
