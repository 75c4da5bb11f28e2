"""What gradient descent does to in^2 - out^2 of each unit, against the law: two exact, cheap measurements.

The gradient flow of the error keeps ``in^2 - out^2``, bias counted with the inputs. One step of size h of gradient
descent changes it by ``h^2 (|g_in|^2 - |g_out|^2)`` exactly, so that the drift after a given time h * steps is linear
in h. With a penalty ``lambda/2`` times the sum of squares the flow has ``in^2 - out^2`` fall as ``exp(-2 lambda t)``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

STEPS = (0.008, 0.004, 0.002, 0.001)
PENALTIES = (0.03, 0.1, 0.3)
_TIME = 2.0
_FINE = 0.005
_WIDTHS = (4, 8, 6, 3)


def measured(seeds: int) -> pd.DataFrame:
    """A row for each seed, step and penalty: the drift, or the rate of decay over the predicted one."""
    rows: list[dict[str, Any]] = []
    torch.set_num_threads(1)
    for seed in range(seeds):
        rows += [{"what": "drift", "seed": seed, "step": step, "value": drift(step, seed)} for step in STEPS]
        for penalty in PENALTIES:
            rate = decay(penalty, seed) / (2 * penalty)
            rows.append({"what": "decay", "seed": seed, "penalty": penalty, "value": rate})
    return pd.DataFrame(rows, columns=["what", "seed", "step", "penalty", "value"])


def drift(step: float, seed: int) -> float:
    """The mean over units of the change of in^2 - out^2 in a fixed time of gradient descent on the error alone."""
    network, x, y = _problem(seed)
    first = _differences(network)
    _descend(network, x, y, step, round(_TIME / step), 0.0)
    return float((_differences(network) - first).abs().mean())


def decay(penalty: float, seed: int) -> float:
    """The rate at which in^2 - out^2 falls with a penalty: the slope of the logarithm of its norm over time."""
    network, x, y = _problem(seed)
    logarithms, times = [], []
    for k in range(11):
        times.append(0.1 * k * _TIME)
        logarithms.append(float(torch.linalg.vector_norm(_differences(network)).log()))
        _descend(network, x, y, _FINE, round(0.1 * _TIME / _FINE), penalty)
    return -float(np.polyfit(times, logarithms, 1)[0])


def _problem(seed: int) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """A network in double precision whose units are far from balance, and a regression to learn."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for one, two in pairwise(_WIDTHS):
        layers += [nn.Linear(one, two, dtype=torch.float64), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for layer in network[::2]:
            scale = layer.in_features**-0.5
            layer.weight.copy_(scale * torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64))
            layer.bias.copy_(0.3 * torch.randn(layer.bias.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(64, _WIDTHS[0], generator=generator, dtype=torch.float64)
    return network, x, torch.stack([x[:, 0].abs(), x[:, 1] * x[:, 2], x.sum(1).sin()], dim=1)


@torch.no_grad()
def _differences(network: nn.Sequential) -> torch.Tensor:
    """in^2 - out^2 of every hidden unit, written out: the library has no part in it."""
    layers = list(network[::2])
    return torch.cat(
        [one.weight.square().sum(1) + one.bias.square() - two.weight.square().sum(0) for one, two in pairwise(layers)]
    )


def _descend(network: nn.Sequential, x: torch.Tensor, y: torch.Tensor, step: float, steps: int, penalty: float) -> None:
    parameters = list(network.parameters())
    for _ in range(steps):
        loss = (network(x) - y).square().mean()
        loss = loss + penalty / 2 * sum(p.square().sum() for p in parameters)
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g in zip(parameters, slopes, strict=True):
                p.sub_(step * g)
