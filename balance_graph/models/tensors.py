"""What is known of a tensor while a model is read: labels, or a view of a parameter, or a constant."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from balance_graph._types import Index
from balance_graph.models.labels import PINNED, compact, constant, spread


@dataclass(eq=False)
class Parameter:
    """A parameter or a buffer, known by `key` (its identity in the framework) and under all its names.

    `role` is ``"weight"``, ``"bias"``, ``"norm"`` or ``"buffer"``: what the first operation that uses it makes of it.
    """

    key: Hashable
    names: tuple[str, ...]
    shape: tuple[int, ...]
    is_buffer: bool = False
    role: str = ""

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor whose every element has a label; `value` is what it holds, if that depends on no input."""

    labels: Index
    value: Any = None
    state: View | None = None
    """For a buffer: itself, as something that can be scaled (running means)."""
    changeable: bool = False
    """The value comes from a buffer: its zeros are not zeros of the architecture."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.labels.shape


@dataclass(frozen=True, eq=False)
class View:
    """A view of a parameter: for each axis of the parameter the index that an element of the view has there.

    The first `hidden` dimensions of the arrays are not those of the view: an element may be any of those along them
    (an embedding looked up at indices that are not known).
    """

    parameter: Parameter
    index: tuple[Index, ...]
    shape: tuple[int, ...]
    hidden: tuple[int, ...] = ()

    @classmethod
    def whole(cls, parameter: Parameter) -> View:
        """The parameter itself."""
        ndim = len(parameter.shape)
        index = []
        for axis, size in enumerate(parameter.shape):
            along = np.arange(size, dtype=np.int64).reshape([size if dim == axis else 1 for dim in range(ndim)])
            index.append(np.broadcast_to(along, parameter.shape))
        return cls(parameter, tuple(index), parameter.shape)

    def moved(self, function: Callable[[Index], Index]) -> View:
        """The view after an operation that moves elements."""
        if self.hidden:
            return self._moved_hidden(function)
        probe = function(constant(0, self.shape))
        return View(self.parameter, tuple(spread(function(i), probe.shape) for i in self.index), probe.shape)

    def _moved_hidden(self, function: Callable[[Index], Index]) -> View:
        probe = function(constant(1, self.shape))
        shape, count, only_moves = probe.shape, len(self.hidden), bool((compact(probe) == 1).all())
        index = []
        for full in self.index:
            small = _stride_zero(full, count)
            if only_moves and not any(small.strides[count:]):  # the same everywhere, as rows of a table are: no copies
                ends = compact(small)
                ends = ends.reshape(*ends.shape[:count], *(1 for _ in shape))
                index.append(np.broadcast_to(ends, (*self.hidden, *shape)))
                continue
            slices = small.reshape(-1, *small.shape[count:])
            moved = np.stack([function(np.broadcast_to(one, self.shape)) for one in slices])
            index.append(np.broadcast_to(moved.reshape(*small.shape[:count], *shape), (*self.hidden, *shape)))
        return View(self.parameter, tuple(index), shape, self.hidden)

    def hide(self, dims: tuple[int, ...]) -> View:
        """Any element along these dimensions may be meant: they become hidden, and have size 1 in the view."""
        count = len(self.hidden)
        shape = tuple(1 if dim in dims else size for dim, size in enumerate(self.shape))
        hidden = (*(self.shape[dim] for dim in dims), *self.hidden)
        index = []
        for full in self.index:
            front = np.moveaxis(full, [count + dim for dim in dims], range(len(dims)))
            index.append(np.expand_dims(front, tuple(len(dims) + count + dim for dim in sorted(dims))))
        return View(self.parameter, tuple(index), shape, hidden)


def _stride_zero(array: Index, count: int) -> Index:
    """Size 1 along the first `count` dimensions in which the array does not vary."""
    small = compact(array)
    target = (*small.shape[:count], *array.shape[count:])
    return np.broadcast_to(small, target)


Operand: TypeAlias = Tensor | View


@dataclass(frozen=True)
class Gain:
    """A parameter's log-gain where a view shows it: the sum of multiples of labels, over hidden dimensions too."""

    view: View
    terms: tuple[tuple[Any, Index], ...] = field(default=())


def pinned(shape: tuple[int, ...], value: Any = None) -> Tensor:
    """A tensor that must not change."""
    return Tensor(constant(PINNED, shape), value)
