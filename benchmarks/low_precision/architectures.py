"""Architectures that people use, with random weights: peers are compared on them, nothing is rounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from low_precision.networks import CLASSES, Flat, Transformer


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*convolution(inputs, outputs, 3, stride), nn.ReLU(), *convolution(outputs, outputs))
        changes = stride != 1 or inputs != outputs
        self.skip = nn.Sequential(*convolution(inputs, outputs, 1, stride)) if changes else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.skip(x))


def resnet18(scale: int = 1) -> nn.Sequential:
    widths = [width // scale for width in (64, 64, 128, 256, 512)]
    blocks = [
        Residual(widths[k] if first else widths[k + 1], widths[k + 1], 2 if k and first else 1)
        for k in range(4)
        for first in (True, False)
    ]
    stem = [*convolution(3, widths[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), Flat(), nn.Linear(widths[-1], CLASSES))


class Inverted(nn.Module):
    """Wide in the middle, depthwise, and no activation at its end."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int, activation: type[nn.Module]) -> None:
        super().__init__()
        middle = factor * inputs
        widen = [*convolution(inputs, middle, 1), activation()] if factor > 1 else []
        depthwise = [*convolution(middle, middle, 3, stride, middle), activation()]
        self.body = nn.Sequential(*widen, *depthwise, *convolution(middle, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.adds else self.body(x)


# Factor of the middle, channels, how often, stride.
MOBILE_STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2)),
    (6, 320, 1, 1),
)


def mobilenet_v2(activation: type[nn.Module], scale: int = 1) -> nn.Sequential:
    inputs = 32 // scale
    layers = [*convolution(3, inputs, 3, 2), activation()]
    for factor, width, count, stride in MOBILE_STAGES:
        for k in range(count):
            layers.append(Inverted(inputs, width // scale, stride if k == 0 else 1, factor, activation))
            inputs = width // scale
    layers += [*convolution(inputs, 1280 // scale, 1), activation(), nn.AdaptiveAvgPool2d(1), Flat()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280 // scale, CLASSES))


def vgg11(scale: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(inputs, width // scale, 3, padding=1), nn.ReLU()]
            inputs = width // scale
        else:
            layers.append(nn.MaxPool2d(2))
    hidden = 512 // scale
    head = [Flat(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, CLASSES)]
    return nn.Sequential(*layers, *head)


class UNet(nn.Module):
    """Down and up again; functional pools, transposed convolutions, what passes by is concatenated."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        inputs = [3, *widths[:-1]]
        self.down = nn.ModuleList(self.twice(one, two) for one, two in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * one, one, 2, 2) for one in widths[-2::-1])
        self.join = nn.ModuleList(self.twice(2 * one, one) for one in widths[-2::-1])
        self.out = nn.Conv2d(width, 2, 1)

    @staticmethod
    def twice(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(*convolution(inputs, outputs), nn.ReLU(), *convolution(outputs, outputs), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down[0](x)
        passing = []
        for part in self.down[1:]:
            passing.append(x)
            x = part(F.max_pool2d(x, 2))
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([passing.pop(), up(x)], 1))
        return self.out(x)


class CalledTwice(nn.Module):
    """One layer used twice: what scales its outputs scales its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, CLASSES)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        for _ in range(2):
            x = self.relu(self.again(x))
        return self.last(x)


class Squared(nn.Module):
    """Units of degree 2: x * x."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(x * x)


class Architecture(NamedTuple):
    make: Callable[[int], nn.Module]  # of the factor by which it is narrower than usual
    shape: tuple[int, ...]  # of one input


_IMAGE = (3, 32, 32)
ARCHITECTURES = {
    "ResNet-18": Architecture(resnet18, _IMAGE),
    "VGG-11": Architecture(vgg11, _IMAGE),
    "MobileNetV2, ReLU6": Architecture(lambda scale: mobilenet_v2(nn.ReLU6, scale), _IMAGE),
    "MobileNetV2, ReLU": Architecture(lambda scale: mobilenet_v2(nn.ReLU, scale), _IMAGE),
    "U-Net": Architecture(lambda scale: UNet(32 // scale), _IMAGE),
    "ViT": Architecture(lambda scale: Transformer(32, 4, 128 // scale, 4, channels=3), _IMAGE),
    "a layer called twice": Architecture(lambda _: CalledTwice(), (16,)),
    "squared units": Architecture(lambda _: Squared(), (16,)),
}
