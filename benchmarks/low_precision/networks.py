"""Networks that are trained here, by name and size of the image; ReLU, so that hidden units have scales."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from low_precision.configuration import CONVOLUTIONAL, NORM, PERCEPTRON, TRANSFORMER

CLASSES = 10


class Flat(nn.Module):
    """All but the first dimension in one; as a function, since Brevitas does not look past `nn.Flatten`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.flatten(x, 1)


def perceptron(size: int) -> nn.Sequential:
    widths = (size * size, *((64, 64, 32) if size == 8 else (256, 128, 64)), CLASSES)
    layers = [part for one, two in pairwise(widths) for part in (nn.Linear(one, two), nn.ReLU())]
    return nn.Sequential(Flat(), *layers[:-1])


def convolutional(size: int, norm: bool) -> nn.Sequential:
    """Four convolutions, two pools, the mean over positions, one linear layer; large images are read by stride 2."""
    narrow, wide = (8, 16) if size == 8 else (16, 32)

    def block(one: int, two: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(one, two, 3, stride, 1), *([nn.BatchNorm2d(two)] if norm else []), nn.ReLU()]

    first = [*block(1, narrow, 1 if size == 8 else 2), nn.MaxPool2d(2), *block(narrow, narrow)]
    second = [*block(narrow, wide), nn.MaxPool2d(2), *block(wide, wide)]
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(1), Flat(), nn.Linear(wide, CLASSES))


class Attention(nn.Module):
    """Fused queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    """Norms first."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """An encoder of patches of an image (a small vision transformer), with ReLU."""

    def __init__(self, size: int, patch: int, width: int, blocks: int, channels: int = 1) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(0.1 * torch.randn(1, (size // patch) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width, 4, 2 * width) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    PERCEPTRON: perceptron,
    CONVOLUTIONAL: lambda size: convolutional(size, norm=False),
    NORM: lambda size: convolutional(size, norm=True),
    TRANSFORMER: lambda size: Transformer(size, size // 4, 32, 2),
}
