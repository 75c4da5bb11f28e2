"""What a choice of scales makes of tensors that go with parameters: the parameters, their gradients, moments of those.

In new coordinates a parameter is s w and its gradient g / s; what is a homogeneous function of gradients scales by a
power of s.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from balance_graph._types import Array, Index
from balance_graph.models import Block
from balance_graph.pytorch import kernels
from balance_graph.pytorch.reading import ModelStructure


class Companion(NamedTuple):
    """A tensor that moves with a parameter: ``offset + (tensor - offset) * s**degree``."""

    key: Hashable
    tensor: torch.Tensor
    degree: float
    offset: float = 0.0


class _Part(NamedTuple):
    """Elements of a block in a tensor of the parameter's shape, and the forms by which they are multiplied.

    `is_matrix`: the block is the whole parameter, and rows and columns of it are multiplied each by a number.
    """

    place: tuple[Any, ...] | None
    split: tuple[int, ...] | None
    forms: tuple[Index, ...]
    is_matrix: bool


class Mover:
    """Multiplies tensors by what a choice of scales makes of them; prepared once for a module."""

    def __init__(self, model: ModelStructure) -> None:
        self._structure = model.structure
        self._parts: dict[Hashable, list[_Part]] = {}
        for block in model.structure.blocks:
            device = model.tensor(block.parameter).device
            self._parts.setdefault(block.parameter.key, []).append(_part(block, device))

    def move(self, log_scales: Array, companions: Iterable[Companion]) -> None:
        """Multiply in place."""
        factors = _Factors(self._structure.values(log_scales))
        with torch.no_grad():
            for key, tensor, degree, offset in companions:
                if key in self._parts and degree:
                    _shift(tensor, -offset)
                    for part in self._parts[key]:
                        _multiply(tensor.detach(), part, factors, degree)
                    _shift(tensor, offset)


class _Factors:
    """Powers of the scales of all forms."""

    def __init__(self, values: Array) -> None:
        self._values = values
        self._known: dict[tuple[float, torch.dtype], NDArray[Any]] = {}

    def of(self, degree: float, dtype: torch.dtype) -> NDArray[Any]:
        """Computed in double precision, rounded once."""
        key = degree, dtype
        if key not in self._known:
            powers = np.exp(degree * self._values)
            self._known[key] = powers if dtype == torch.float64 else powers.astype(np.float32)
        return self._known[key]


def _shift(tensor: torch.Tensor, offset: float) -> None:
    if offset:
        tensor.add_(offset)


def _multiply(tensor: torch.Tensor, part: _Part, factors: _Factors, degree: float) -> None:
    table = factors.of(degree, tensor.dtype)
    both = [table[forms] for forms in part.forms]
    matrix = kernels.as_matrix(tensor) if part.is_matrix else None
    if matrix is not None:
        kernels.scale(matrix, both[0].reshape(-1), both[1].reshape(-1))
        return
    elements = tensor if part.place is None else tensor[part.place]
    seen = elements if part.split is None else elements.view(part.split)
    if tensor.dtype.itemsize < 4 and len(both) == 2:  # so that the product is rounded once
        both = [both[0] * both[1]]
    for factor in both:
        seen.mul_(torch.from_numpy(factor).to(tensor.device))
    if part.place is not None and not _is_sliced(part.place):  # a copy
        tensor[part.place] = elements


def _part(block: Block, device: torch.device) -> _Part:
    shape = block.parameter.shape
    index = tuple(_as_torch(i, device) for i in block.index())
    is_whole = index == tuple(slice(0, size) for size in shape) if _is_sliced(index) else False
    forms = tuple(forms for forms in (block.rows, block.columns) if forms.any())
    is_plain = is_whole and block.split == shape
    is_matrix = (
        is_plain and len(forms) == 2 and (block.rows.shape, block.columns.shape) == ((shape[0], 1), (1, shape[-1]))
    )
    return _Part(None if is_whole else index, None if is_plain else block.split, forms, is_matrix)


def _is_sliced(index: tuple[Any, ...]) -> bool:
    return all(isinstance(i, slice) for i in index)


def _as_torch(index: Any, device: torch.device) -> Any:
    return index if isinstance(index, slice) else torch.from_numpy(np.ascontiguousarray(index)).to(device)
