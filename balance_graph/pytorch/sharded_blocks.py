"""Blocks of sharded parameters: each process reads and scales its own part, and sums are shared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from balance_graph._types import Array, Index, Mask
from balance_graph.errors import InvalidNetworkError
from balance_graph.models.blocks import WeightBlock
from balance_graph.models.structure import Block
from balance_graph.problem.blocks import Extent
from balance_graph.pytorch.blocks import matrix_block, power
from balance_graph.pytorch.shards import Shard, largest_over, shard_of, summed_over

# Elements that are looked at together.
_TOGETHER = 2**19


class LocalPart(NamedTuple):
    """A process's elements of a block.

    Attributes
    ----------
    elements : torch.Tensor
        What they are selected from, in the memory of the parameter.
    places : tuple of array
        Which indices along each axis.
    rows, columns : tuple of array
        What each index adds to the number of an element's row, and of its column, in the block.
    """

    elements: torch.Tensor
    places: tuple[Index, ...]
    rows: tuple[Index, ...]
    columns: tuple[Index, ...]

    @classmethod
    def of(cls, block: Block, shard: Shard) -> LocalPart:
        """The block's elements in a shard."""
        if block.flat:
            return cls._flat(block, shard)
        index, sides = [], ([], [])  # type: ignore[var-annotated]
        numbers = [_numbers(forms, block) for forms in (block.rows, block.columns)]
        for axis, (size, first) in enumerate(zip(shard.local.shape, shard.offset, strict=True)):
            chosen = np.arange(block.parameter.shape[axis])[block.selection[axis]] - first
            here = np.flatnonzero((chosen >= 0) & (chosen < size))
            index.append(chosen[here])
            for side, found in zip(sides, numbers, strict=True):
                side.append(found[axis][here])
        return cls(shard.local, tuple(index), tuple(sides[0]), tuple(sides[1]))

    @classmethod
    def _flat(cls, block: Block, shard: Shard) -> LocalPart:
        grid = np.ix_(*(first + np.arange(size) for size, first in zip(shard.local.shape, shard.offset, strict=True)))
        places = np.ravel_multi_index(grid, block.parameter.shape).reshape(-1)
        number = np.full(block.parameter.size, -1)
        number[block.selection[0]] = np.arange(block.size)
        here = np.flatnonzero(number[places] >= 0)
        rows, columns = (
            np.broadcast_to(np.arange(forms.size).reshape(forms.shape), block.split).reshape(-1)[number[places[here]]]
            for forms in (block.rows, block.columns)
        )
        return cls(shard.local.view(-1), (here,), (rows,), (columns,))

    def chunks(self) -> list[tuple[Index, ...]]:
        """Places in the axes of the part, so many that few elements are looked at together."""
        sizes = [axis.size for axis in self.places]
        if not all(sizes):
            return []
        step = max(1, _TOGETHER // max(1, math.prod(sizes[1:])))
        whole = tuple(np.arange(size) for size in sizes)
        return [(whole[0][k : k + step], *whole[1:]) for k in range(0, sizes[0], step)] if sizes else [()]

    def place(self, some: tuple[Index, ...]) -> Any:
        """The index of some elements in `elements`."""
        chosen = [axis[part] for axis, part in zip(self.places, some, strict=True)]
        return tuple(torch.from_numpy(axis).to(self.elements.device) for axis in np.ix_(*chosen)) if chosen else ...


def _numbers(forms: Index, block: Block) -> list[Index]:
    """For each axis of the parameter, what an index along it adds to the number of a row or column."""
    number = np.arange(forms.size).reshape(forms.shape)
    result: list[Index] = []
    dims = iter(range(len(block.split)))
    for axis, size in enumerate(block.parameter.shape):
        count, own = np.arange(size)[block.selection[axis]].size, list[int]()
        while math.prod(block.split[dim] for dim in own) < count:
            own.append(next(dims))
        along = number[tuple(slice(None) if dim in own else 0 for dim in range(number.ndim))]
        result.append(np.broadcast_to(along, [block.split[dim] for dim in own]).reshape(-1))
    return result


def _total(parts: Sequence[Index], some: tuple[Index, ...]) -> Index:
    """Sums of what indices add, with size 1 along axes that add nothing."""
    ndim, total = len(parts), np.zeros((1,) * len(parts), dtype=np.int64)
    for axis, (part, chosen) in enumerate(zip(parts, some, strict=True)):
        if part.any():
            total = total + part[chosen].reshape([-1 if dim == axis else 1 for dim in range(ndim)])
    return total


def sharded_sums(block: Block, tensor: torch.Tensor, exponent: float) -> Array:
    """The costs of a block, summed to one for each row and column, over all processes."""
    shard = shard_of(tensor, block.parameter.name)
    sums = np.zeros(block.shape[0] * block.shape[1])
    part = LocalPart.of(block, shard)
    for some in part.chunks() if shard.is_counted else []:
        costs = power(part.elements[part.place(some)], exponent).cpu().numpy()
        numbers = _total(part.rows, some) * block.shape[1] + _total(part.columns, some)
        found, where = np.unique(np.broadcast_to(numbers, costs.shape), return_inverse=True)
        sums[found] += np.bincount(where.reshape(-1), weights=costs.reshape(-1))
    return summed_over(shard.mesh, sums).reshape(block.shape)


def sharded_cost(tensor: torch.Tensor, name: str, exponent: float) -> float:
    """The cost of all elements, over all processes."""
    shard = shard_of(tensor, name)
    flat, total = shard.local.reshape(-1), 0.0
    if shard.is_counted:
        total = sum(float(power(flat[k : k + _TOGETHER], exponent).sum()) for k in range(0, flat.numel(), _TOGETHER))
    return float(summed_over(shard.mesh, np.array([total]))[0])


def scale_shard(tensor: torch.Tensor, block: Block, values: Array) -> None:
    """Multiply this process's elements of a block, in place; `values` are those of the forms."""
    part = LocalPart.of(block, shard_of(tensor, block.parameter.name))
    rows, columns = (values[forms.reshape(-1)] for forms in (block.rows, block.columns))
    for some in part.chunks():
        gains = rows[_total(part.rows, some)] + columns[_total(part.columns, some)]
        place = part.place(some)
        chosen = part.elements[place]
        factors = torch.from_numpy(np.asarray(gains)).to(chosen.device).exp()
        part.elements[place] = (chosen.to(torch.float64) * factors).to(chosen.dtype)


class ShardedBlock:
    """A block with one weight for each row and column, of which each process has some rows and columns.

    Passes over the weights are local, and one `all_reduce` follows each; so all processes must ask the same of it. They
    do, since they see the same sums.
    """

    def __init__(self, block: Block, shard: Shard, part: LocalPart, axes: tuple[list[int], list[int]]) -> None:
        self.tail, self.head = block.rows.reshape(-1), block.columns.reshape(-1)
        self._mesh = shard.mesh
        everything = tuple(np.arange(axis.size) for axis in part.places)
        self._rows, self._columns = (
            _total(parts, everything).reshape(-1) if own else np.zeros(1, dtype=np.int64)
            for parts, own in zip((part.rows, part.columns), axes, strict=True)
        )
        self._own: WeightBlock | None = None
        if shard.is_counted and all(axis.size for axis in part.places):
            chosen = part.elements[tuple(_as_slice(axis) for axis in part.places)]
            matrix = chosen.permute([*axes[0], *axes[1], *_others(axes, chosen.dim())])
            self._own = matrix_block(
                np.arange(self._rows.size), np.arange(self._columns.size), matrix.reshape(self._rows.size, -1)
            )

    def extent(self, exponent: float) -> Extent:
        """The range of the costs, and which rows and columns have any."""
        found = np.full(2 + self.tail.size + self.head.size, 0.0)
        found[:2] = -math.inf
        rows, columns = found[2 : 2 + self.tail.size], found[2 + self.tail.size :]
        if self._own is not None:
            try:
                own = Extent(*self._own.extent(exponent))
            except InvalidNetworkError:  # a weight that is not finite: all processes must hear of it
                found[1] = math.inf
            else:
                found[:2] = -own.log_least, own.log_largest
                rows[self._rows], columns[self._columns] = own.rows, own.columns
        found = largest_over(self._mesh, found)
        there = found[2:] > 0
        return Extent(-float(found[0]), float(found[1]), there[: self.tail.size], there[self.tail.size :])

    def count(self) -> int:
        """How many weights are not zero."""
        own = 0 if self._own is None else self._own.count()
        return round(float(summed_over(self._mesh, np.array([float(own)]))[0]))

    def nonzero(self, some: slice) -> Mask:
        """Which weights of some rows are not zero."""
        return np.asarray(self.log_costs(1.0, some) > -np.inf)

    def log_costs(self, exponent: float, some: slice) -> Array:
        """Logarithms of the costs of some rows; -inf for weights that are zero."""
        first, stop, _ = some.indices(self.tail.size)
        result = np.full((stop - first, self.head.size), -np.inf)
        if self._own is not None:
            for k in np.flatnonzero((self._rows >= first) & (self._rows < stop)).tolist():
                result[self._rows[k] - first, self._columns] = self._own.log_costs(exponent, slice(k, k + 1))[0]
        return largest_over(self._mesh, result)

    def products(self, exponent: float, log_unit: float, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of ``exp(log_unit)``."""
        both = np.zeros(rows.size + columns.size)
        if self._own is not None:
            own = self._own.products(exponent, log_unit, rows[self._rows], columns[self._columns])
            both[self._rows], both[rows.size + self._columns] = own
        both = summed_over(self._mesh, both)
        return both[: rows.size], both[rows.size :]


def sharded_block(block: Block, tensor: torch.Tensor) -> ShardedBlock | None:
    """The block as a matrix that stays where it is; None where a process has no rectangle of it."""
    shard = shard_of(tensor, block.parameter.name)
    numbers = [_numbers(forms, block) for forms in (block.rows, block.columns)] if not block.flat else None
    if numbers is None:
        return None
    axes = tuple([axis for axis, found in enumerate(side) if found.any()] for side in numbers)
    if set(axes[0]) & set(axes[1]):
        return None
    return ShardedBlock(block, shard, LocalPart.of(block, shard), (axes[0], axes[1]))


def _others(axes: tuple[list[int], list[int]], ndim: int) -> list[int]:
    return [axis for axis in range(ndim) if axis not in {*axes[0], *axes[1]}]


def _as_slice(index: Index) -> Any:
    consecutive = bool((np.diff(index) == 1).all())
    return slice(int(index[0]), int(index[-1]) + 1) if consecutive else torch.from_numpy(index)
