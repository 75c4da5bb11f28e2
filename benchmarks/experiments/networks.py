"""Networks by name. One module of each is kept in a process: it is read once, and its parameters are drawn anew."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn


class Network(NamedTuple):
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]  # of one input
    layers: tuple[tuple[str, ...], ...] = ()  # chains of names of linear layers, for rules that go layer by layer


class Recurrent(nn.Module):
    """Reads an image row by row; ReLU units."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.rows = nn.RNN(inputs, hidden, nonlinearity="relu", batch_first=True)
        self.output = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.rows(x)[0][:, -1])


class Encoder(nn.Module):
    """One layer of a transformer's encoder on the rows of an image, ReLU, norms first."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(rows, width)
        self.positions = nn.Parameter(torch.randn(1, rows, width) * 0.1)
        options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.layer = nn.TransformerEncoderLayer(width, 2, 2 * width, **options)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.norm(self.layer(self.embedding(x) + self.positions)).mean(1))


def dense(widths: tuple[int, ...], activation: type[nn.Module] = nn.ReLU) -> Network:
    layers = [part for one, two in pairwise(widths) for part in (nn.Linear(one, two), activation())][:-1]
    names = tuple(str(2 * k) for k in range(len(widths) - 1))
    chains = (names,) if activation is nn.ReLU else ()
    return Network(lambda: nn.Sequential(*layers), widths[:1], chains)


def convolutional(size: int, channels: int, norm: bool) -> Network:
    def block(one: int, two: int) -> list[nn.Module]:
        return [nn.Conv2d(one, two, 3, padding=1), *([nn.BatchNorm2d(two)] if norm else []), nn.ReLU()]

    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 10)]
    return Network(
        lambda: nn.Sequential(*block(1, channels), nn.MaxPool2d(2), *block(channels, channels), *head), (1, size, size)
    )


NETWORKS = {
    "2-4-5-2": lambda: dense((2, 4, 5, 2)),
    "64-32-16-10": lambda: dense((64, 32, 16, 10)),
    "64-32-16-10 tanh": lambda: dense((64, 32, 16, 10), nn.Tanh),
    "784-256-10": lambda: dense((784, 256, 10)),
    "784-256-128-10": lambda: dense((784, 256, 128, 10)),
    "784-512-256-128-64-10": lambda: dense((784, 512, 256, 128, 64, 10)),
    "784-256-10 tanh": lambda: dense((784, 256, 10), nn.Tanh),
    "recurrent 8-24-10": lambda: Network(lambda: Recurrent(8, 24), (8, 8)),
    "recurrent 28-64-10": lambda: Network(lambda: Recurrent(28, 64), (28, 28)),
    "convolutional 8": lambda: convolutional(8, 8, norm=False),
    "convolutional 8, batch norm": lambda: convolutional(8, 8, norm=True),
    "convolutional 28": lambda: convolutional(28, 16, norm=False),
    "convolutional 28, batch norm": lambda: convolutional(28, 16, norm=True),
    "encoder 8": lambda: Network(lambda: Encoder(8, 16), (8, 8)),
    "encoder 28": lambda: Network(lambda: Encoder(28, 32), (28, 28)),
}


@functools.cache
def _kept(name: str) -> tuple[Network, nn.Module]:
    network = NETWORKS[name]()
    return network, network.make()


def drawn(name: str, seed: int) -> tuple[Network, nn.Module]:
    """The network, with PyTorch's own random first weights of this seed."""
    network, module = _kept(name)
    torch.manual_seed(seed)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
        elif isinstance(part, nn.MultiheadAttention):
            part._reset_parameters()  # noqa: SLF001 - it has no other name
    if isinstance(module, Encoder):
        with torch.no_grad():
            module.positions.normal_(0.0, 0.1)
    for parameter in module.parameters():
        parameter.grad = None
    return network, module.train()
