"""Peers and balancing on one architecture, in one process: channels that are scaled, costs, bits lost, time."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from balance_graph import Certificate
from balance_graph.pytorch import balance_module
from low_precision.architectures import ARCHITECTURES
from low_precision.configuration import BALANCED, STATES, Job
from low_precision.rounding import LAYERS
from low_precision.treatment import available_arms, disturb, folded, treated

# What a scale may change: outputs of these. All have channels in the second dimension but those of _LAST.
_LAST = (nn.Linear, nn.LayerNorm)
_CHANNELED = (*LAYERS, nn.ConvTranspose2d, nn.LayerNorm)
# A channel is scaled if its outputs are multiplied by a factor that differs from 1 by more.
_SCALED = 1e-6
_SEED, _BATCHES = 0, 4


def compare(job: Job) -> list[dict[str, Any]]:
    """A row for each state of the scales and each arm, at half the usual width; batch norms are folded first."""
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    module, x = prepared(job.name, scale=4 if job.is_quick else 2)
    rows = []
    for state, spread in STATES.items():
        start = copy.deepcopy(module)
        disturb(start, x, spread, _SEED)
        rows += [{"architecture": job.name, "state": state, **row} for row in _arms(start, x)]
    return rows


def prepared(name: str, scale: int) -> tuple[nn.Module, torch.Tensor]:
    """The architecture in double precision, and inputs; statistics of batch norms are those of random images."""
    architecture = ARCHITECTURES[name]
    module = architecture.make(scale).double()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out")
        elif isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the mean over batches
    with torch.no_grad():
        for _ in range(_BATCHES):
            module.train()(torch.randn(16, *architecture.shape, dtype=torch.float64))
    return folded(module), torch.randn(4, *architecture.shape, dtype=torch.float64)


def _arms(start: nn.Module, x: torch.Tensor) -> Iterator[dict[str, Any]]:
    """The optimum of each power is the lower bound of the certificate of its balancing."""
    reference = _Measured(start, x)
    balance_module(copy.deepcopy(start), (x,))  # loads what is compiled, which comes once
    modules, seconds, bounds = dict[str, nn.Module](), dict[str, float](), dict[float, Certificate]()
    for arm in available_arms():
        module, since = copy.deepcopy(start), time.process_time()
        if arm in BALANCED:
            bounds[BALANCED[arm]] = balance_module(module, (x,), BALANCED[arm]).certificate
            modules[arm] = module
        else:
            modules[arm] = treated(module, arm, x)
        seconds[arm] = time.process_time() - since
    for arm, module in modules.items():
        found = _Measured(module, x)
        yield {
            "arm": arm,
            "scaled": reference.scaled(found),
            "channels": reference.channels,
            "change": reference.change(found),
            "seconds": seconds[arm],
            "bits_lost": bits_lost(module),
            **{f"cost_{p:g}": _cost(module, p) / bound.lower_bound for p, bound in bounds.items()},
            "gap": bounds[BALANCED[arm]].relative_gap if arm in BALANCED else None,
        }


def _cost(module: nn.Module, p: float) -> float:
    with torch.no_grad():
        return float(sum((parameter.abs() ** p).sum() for parameter in module.parameters()))


def bits_lost(module: nn.Module) -> float:
    """Mean over channels of log2(largest weight of the tensor / largest of the channel): rows, columns, all layers.

    The logarithm of what equalization for quantization maximizes: a channel that is 2^k times smaller than the tensor
    has k bits less if the tensor has one step size. Channels of zeros do not count.
    """
    found = []
    for part in module.modules():
        if isinstance(part, LAYERS):
            weight = (
                part.weight.detach().abs().flatten(2).amax(2) if part.weight.dim() > 2 else part.weight.detach().abs()
            )
            for axis in (0, 1):
                largest = weight.amax(axis)
                found.append(torch.log2(weight.max() / largest[largest > 0]).numpy())
    return float(np.concatenate(found).mean())


class _Measured:
    """Outputs of a module, and of each of its layers, on these inputs."""

    def __init__(self, module: nn.Module, x: torch.Tensor) -> None:
        self._layers: dict[str, list[torch.Tensor]] = {}
        hooks = [
            part.register_forward_hook(lambda part, _, output, name=name: self._keep(name, part, output))
            for name, part in module.named_modules()
            if isinstance(part, _CHANNELED)
        ]
        with torch.no_grad():
            self.outputs = module(x)
        for hook in hooks:
            hook.remove()

    def _keep(self, name: str, part: nn.Module, output: torch.Tensor) -> None:
        """The channels in rows; a layer that is called twice has both."""
        channels = output.movedim(-1 if isinstance(part, _LAST) else 1, 0).flatten(1)
        self._layers.setdefault(name, []).append(channels)

    @property
    def channels(self) -> int:
        return sum(calls[0].shape[0] for calls in self._layers.values())

    def scaled(self, other: _Measured) -> int:
        """Channels whose outputs are another multiple of what they were: counted from outside, for any method."""
        count = 0
        for name, calls in self._layers.items():
            before, after = (torch.cat(found, 1) for found in (calls, other._layers[name]))
            factors = (before * after).sum(1) / before.square().sum(1)
            count += int(((factors - 1).abs() > _SCALED).sum())
        return count

    def change(self, other: _Measured) -> float:
        """Of the outputs, relative to the largest."""
        return float((other.outputs - self.outputs).abs().max() / self.outputs.abs().max())
