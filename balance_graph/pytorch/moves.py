"""What a choice of scales makes of tensors that go with parameters: the parameters, their gradients, moments of those.

In new coordinates a parameter is s w and its gradient g / s; what is a homogeneous function of gradients scales by a
power of s.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from balance_graph._types import Array, Index
from balance_graph.models import Block
from balance_graph.pytorch.blocks import are_loops_due, layout_of, place_of
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


class _Table(NamedTuple):
    """Companions at places in memory as `kernels.scale` takes them, and the others."""

    companions: Sequence[Companion]
    places: list[int]
    tensors: Index
    degrees: Array
    others: list[Companion]


class Mover:
    """Multiplies tensors by what a choice of scales makes of them; prepared once for a module."""

    def __init__(self, model: ModelStructure) -> None:
        self._structure = model.structure
        self._parts: dict[Hashable, list[_Part]] = {}
        self._numbers: dict[Hashable, int] = {}
        self._sizes: dict[Hashable, int] = {}
        self._table: _Table | None = None
        self._calls = 0
        layouts: list[tuple[int, ...]] = []
        lines, end = [np.zeros(0, dtype=np.int64)], 0
        for block in model.structure.blocks:
            key, layout = block.parameter.key, layout_of(block)
            self._parts.setdefault(key, []).append(_part(block, model.tensor(block.parameter).device))
            if layout is not None:
                self._numbers[key], self._sizes[key] = len(layouts), block.size
                layouts.append((*layout.shape, end, end + layout.shape[0]))
                sides = zip(layout.sides, layout.repeats, strict=True)
                lines += [np.repeat((block.rows, block.columns)[side].reshape(-1), repeat) for side, repeat in sides]
                end += sum(layout.shape)
        self._layouts = np.array(layouts, dtype=np.int64).reshape(-1, 4)
        self._lines = np.concatenate(lines)
        forms = model.structure.forms
        self._forms = forms.indptr, forms.indices, forms.data

    def move(self, log_scales: Array, companions: Sequence[Companion]) -> None:
        """Multiply in place; a tuple of companions is known again when it comes again."""
        self._calls += 1
        is_due = are_loops_due(self._calls)
        places = [place_of(one.tensor, self._sizes.get(one.key, 0)) if is_due else 0 for one in companions]
        table = self._table
        if table is None or table.companions is not companions or table.places != places:
            table = self._tabled(companions, places)
            self._table = table if isinstance(companions, tuple) else None  # others would be kept alive
        if table.tensors.size:
            from balance_graph.pytorch import kernels  # compiled loops: slow to load

            if not kernels.scale(table.tensors, self._layouts, self._lines, self._forms, log_scales, table.degrees):
                self._structure.values(log_scales)  # which says why not
        if table.others:
            factors = _Factors(self._structure.values(log_scales))
            with torch.no_grad():
                for one in table.others:
                    self._shift_and_multiply(one, factors)

    def _tabled(self, companions: Sequence[Companion], places: list[int]) -> _Table:
        degrees: dict[float, int] = {}
        tensors, others = [], []
        for one, place in zip(companions, places, strict=True):
            if one.key not in self._parts or not one.degree:
                continue
            if place and not one.offset:
                degree = degrees.setdefault(one.degree, len(degrees))
                tensors.append((place, degree, self._numbers[one.key]))
            else:
                others.append(one)
        table = np.array(tensors, dtype=np.int64).reshape(-1, 3)
        return _Table(companions, places, table, np.array([*degrees], dtype=np.float64), others)

    def _shift_and_multiply(self, one: Companion, factors: _Factors) -> None:
        _shift(one.tensor, -one.offset)
        for part in self._parts[one.key]:
            _multiply(one.tensor.detach(), part, factors, one.degree)
        _shift(one.tensor, one.offset)


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
