"""What a choice of scales makes of tensors that go with parameters: the parameters, their gradients, moments of those.

In new coordinates a parameter is s w and its gradient g / s; what is a homogeneous function of gradients scales by a
power of s. Factors of rows and columns are computed once, in double precision, and serve all tensors of a parameter.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import torch

from balance_graph._types import Array, Index
from balance_graph.models import Block
from balance_graph.pytorch.reading import ModelStructure


class Companion(NamedTuple):
    """A tensor that moves with a parameter: ``offset + (tensor - offset) * s**degree``."""

    key: Hashable
    tensor: torch.Tensor
    degree: float
    offset: float = 0.0


def move(model: ModelStructure, log_scales: Array, companions: Iterable[Companion]) -> None:
    """Multiply tensors in place."""
    values = model.structure.values(log_scales)
    factors: dict[Hashable, list[_Factors]] = {}
    for block in model.structure.blocks:
        factors.setdefault(block.parameter.key, []).append(_Factors(block, values))
    with torch.no_grad():
        for key, tensor, degree, offset in companions:
            if key in factors and degree:
                _shift(tensor, -offset)
                for one in factors[key]:
                    one.multiply(tensor.detach(), degree)
                _shift(tensor, offset)


def _shift(tensor: torch.Tensor, offset: float) -> None:
    if offset:
        tensor.add_(offset)


class _Factors:
    """Those of one block."""

    def __init__(self, block: Block, values: Array) -> None:
        self.block = block
        self.sides = [side for side in (values[block.rows], values[block.columns]) if side.any()]

    def multiply(self, tensor: torch.Tensor, degree: float) -> None:
        if not self.sides:
            return
        index = tuple(_as_torch(i, tensor.device) for i in self.block.index())
        part = tensor[index]
        self._multiply(part.view(self.block.split), degree)
        if not all(isinstance(i, slice) for i in index):  # a copy
            tensor[index] = part

    def _multiply(self, part: torch.Tensor, degree: float) -> None:
        narrow = part.dtype.itemsize < 4
        dtype = torch.float32 if narrow else part.dtype
        factors = [torch.from_numpy(np.exp(degree * side)).to(part.device, dtype) for side in self.sides]
        if narrow and len(factors) == 2:  # so that the product is rounded once
            factors = [factors[0] * factors[1]]
        for factor in factors:
            part.mul_(factor)


def _as_torch(index: slice | Index, device: torch.device) -> slice | torch.Tensor:
    return index if isinstance(index, slice) else torch.from_numpy(np.ascontiguousarray(index)).to(device)
