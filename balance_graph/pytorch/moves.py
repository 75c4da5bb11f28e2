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
from balance_graph.pytorch.blocks import address, layout_of
from balance_graph.pytorch.reading import ModelStructure


class Companion(NamedTuple):
    """A tensor that moves with a parameter: ``offset + (tensor - offset) * s**degree``."""

    key: Hashable
    tensor: torch.Tensor
    degree: float
    offset: float = 0.0


class _Part(NamedTuple):
    """Elements of a block in a tensor of the parameter's shape, and the forms by which they are multiplied."""

    place: tuple[Any, ...] | None
    split: tuple[int, ...] | None
    forms: tuple[Index, ...]


class Mover:
    """Multiplies tensors by what a choice of scales makes of them; prepared once for a module."""

    def __init__(self, model: ModelStructure) -> None:
        self._structure = model.structure
        self._parts: dict[Hashable, list[_Part]] = {}
        self._numbers: dict[Hashable, tuple[int, int]] = {}
        layouts, forms, end = [], [np.zeros(0, dtype=np.int64)], 0
        for block in model.structure.blocks:
            key, layout = block.parameter.key, layout_of(block)
            self._parts.setdefault(key, []).append(_part(block, model.tensor(block.parameter).device))
            if layout is not None:
                self._numbers[key] = len(layouts), block.size
                layouts.append((*layout.shape, end, end + layout.shape[0]))
                sides = zip(layout.sides, layout.repeats, strict=True)
                forms += [np.repeat((block.rows, block.columns)[side].reshape(-1), repeat) for side, repeat in sides]
                end += sum(layout.shape)
        self._layouts = np.array(layouts, dtype=np.int64).reshape(-1, 4)
        self._forms = np.concatenate(forms)

    def move(self, log_scales: Array, companions: Iterable[Companion]) -> None:
        """Multiply in place."""
        values = self._structure.values(log_scales)
        factors, in_memory = _Factors(values), []
        degrees: dict[float, int] = {}
        with torch.no_grad():
            for key, tensor, degree, offset in companions:
                if key not in self._parts or not degree:
                    continue
                number, size = self._numbers.get(key, (0, 0))
                place = address(tensor, size) if size and not offset else 0
                if place:
                    is_double = tensor.dtype == torch.float64
                    in_memory.append((place, is_double, degrees.setdefault(degree, len(degrees)), number))
                else:
                    self._shift_and_multiply(tensor, key, degree, offset, factors)
        if in_memory:
            self._scale(np.array(in_memory, dtype=np.int64), np.exp(np.multiply.outer([*degrees], values)))

    def _scale(self, tensors: Index, factors: Array) -> None:
        """All that lies in memory, by one call."""
        from balance_graph.pytorch import kernels  # compiled loops: slow to load

        kernels.scale(tensors, self._layouts, self._forms, factors.astype(np.float32), factors)

    def _shift_and_multiply(
        self, tensor: torch.Tensor, key: Hashable, degree: float, offset: float, factors: _Factors
    ) -> None:
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
    return _Part(None if is_whole else index, None if is_plain else block.split, forms)


def _is_sliced(index: tuple[Any, ...]) -> bool:
    return all(isinstance(i, slice) for i in index)


def _as_torch(index: Any, device: torch.device) -> Any:
    return index if isinstance(index, slice) else torch.from_numpy(np.ascontiguousarray(index)).to(device)
