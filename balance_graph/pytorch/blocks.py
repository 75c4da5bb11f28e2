"""Blocks of weights that are PyTorch tensors: read where they are, never copied."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from balance_graph._types import Array, Index, Mask
from balance_graph.models.blocks import ArrayBlock, WeightBlock
from balance_graph.models.structure import Block
from balance_graph.problem.blocks import Extent, factors_of_unit

# Elements that are raised to a power together: 4 MB in double precision on the CPU, 128 MB on an accelerator.
_ON_CPU, _ON_DEVICE = 2**19, 2**24


def weight_block(block: Block, tensor: torch.Tensor) -> WeightBlock:
    """The weights of a block with one element for each row and column."""
    matrix = matrix_of(block, tensor)[..., 0]
    return matrix_block(block.rows.reshape(-1), block.columns.reshape(-1), matrix)


def matrix_block(tail: Index, head: Index, matrix: torch.Tensor) -> WeightBlock:
    """A matrix of weights where it is."""
    if matrix.device.type != "cpu" or matrix.dtype not in (*_NUMPY, torch.bfloat16):
        return DeviceBlock(tail, head, matrix)
    if matrix.dtype == torch.bfloat16:
        return BFloat16Block(tail, head, matrix.view(torch.uint16).numpy())
    return ArrayBlock(tail, head, matrix.numpy())


_NUMPY = (torch.float32, torch.float64, torch.float16)


def matrix_of(block: Block, tensor: torch.Tensor) -> torch.Tensor:
    """The block's elements as rows, columns and what is summed for each: a view where the tensor's layout allows."""
    part = block.select(tensor.detach())
    first = [dim for dim, size in enumerate(block.rows.shape) if size > 1]
    second = [dim for dim, size in enumerate(block.columns.shape) if size > 1]
    rest = [dim for dim in range(len(block.split)) if dim not in {*first, *second}]
    return part.permute([*first, *second, *rest]).reshape(*block.shape, -1)


class Layout(NamedTuple):
    """A block that is a whole parameter, as a matrix in memory.

    Attributes
    ----------
    shape : (int, int)
        Of the matrix.
    sides : (int, int)
        Which side of the block, rows (0) or columns (1), differs along each dimension of the matrix.
    repeats : (int, int)
        How many lines of the matrix, one after the other, belong to one of that side.
    """

    shape: tuple[int, int]
    sides: tuple[int, int]
    repeats: tuple[int, int]


_NEITHER = 2


def layout_of(block: Block) -> Layout | None:
    """Of a contiguous parameter; None where the block is a part of it, or interleaves rows and columns."""
    if block.flat or not all(_is_whole(*pair) for pair in zip(block.selection, block.parameter.shape, strict=True)):
        return None
    dims = [dim for dim, size in enumerate(block.split) if size > 1]
    differing = [0 if block.rows.shape[k] > 1 else 1 if block.columns.shape[k] > 1 else _NEITHER for k in dims]
    for first in (1, 0) if differing == [0] else (0, 1):  # a vector is one row
        second = 1 - first
        cut = differing.index(second) if second in differing else differing.count(first)
        parts = (differing[:cut], first), (differing[cut:], second)
        if all(part == sorted(part) and set(part) <= {side, _NEITHER} for part, side in parts):
            sizes = [block.split[dim] for dim in dims]
            shape = math.prod(sizes[:cut]), math.prod(sizes[cut:])
            return Layout(shape, (first, second), (shape[0] // block.shape[first], shape[1] // block.shape[second]))
    return None


def _is_whole(selection: Any, size: int) -> bool:
    return isinstance(selection, slice) and selection == slice(0, size)


def place_of(tensor: torch.Tensor, size: int) -> int:
    """Where compiled loops can read and write so many elements, one after the other; 0 where they cannot.

    It is the address, whose last bit, which elements leave free, says that they are in double precision.
    """
    if tensor.is_cpu and tensor.dtype in COMPILED and tensor.numel() == size and tensor.is_contiguous():
        address: int = tensor.data_ptr()
        return 0 if address % tensor.dtype.itemsize else address | (tensor.dtype == torch.float64)
    return 0


_IS_COMPILING = find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
COMPILED = (torch.float32, torch.float64) if _IS_COMPILING else ()
# Calls of one kind before loops that are not loaded yet are loaded, or compiled, which takes some seconds.
_FEW = 3


def are_loops_due(calls: int) -> bool:
    """Whether compiled loops repay the time to get them: in training, not where a module is looked at once."""
    return bool(COMPILED) and (calls > _FEW or "balance_graph.pytorch.kernels" in sys.modules)


def has_positions(block: Block) -> bool:
    """Whether several elements have the same row and column, as those of a kernel."""
    return block.size > block.shape[0] * block.shape[1]


def summed_costs(block: Block, tensor: torch.Tensor, exponent: float) -> Array:
    """The costs of a block, summed to one for each row and column: no copy of the weights is made."""
    parts = matrix_of(block, tensor)
    result, ones = np.empty(block.shape), parts.new_ones(parts.shape[-1], dtype=torch.float64)
    for some in _slices(parts):
        result[some] = (power(parts[some], exponent) @ ones).cpu().numpy()
    return result


def whole_cost(tensor: torch.Tensor, exponent: float) -> float:
    """The cost of all elements."""
    flat = tensor.detach().reshape(-1)
    return sum(float(power(flat[some], exponent).sum()) for some in _slices(flat))


def power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    """``|values| ** exponent`` in double precision."""
    wide = values.to(torch.float64, copy=True)
    return wide.mul_(wide) if exponent == 2.0 else wide.abs_().pow_(exponent)


def _slices(matrix: torch.Tensor) -> Iterator[slice]:
    most = _ON_CPU if matrix.device.type == "cpu" else _ON_DEVICE
    step = max(1, most // max(matrix[:1].numel(), 1))
    return (slice(first, first + step) for first in range(0, matrix.shape[0], step))


class BFloat16Block(ArrayBlock):
    """A block of weights in bfloat16, seen as 16 bits each."""

    def count(self) -> int:
        """How many weights are not zero."""
        return sum(int(np.count_nonzero(line << np.uint16(1))) for line in self.weights)

    def nonzero(self, some: slice) -> Mask:
        """Which weights of some rows are not zero."""
        return np.asarray(self.weights[some] << np.uint16(1) != 0)

    def _sizes(self, some: slice) -> Array:
        sizes: Array = np.abs(self._read(self.weights[some]).astype(np.float64))
        return sizes

    def _read(self, part: NDArray[Any]) -> NDArray[Any]:
        """The same bits, as the first of a number in single precision."""
        bits = np.ascontiguousarray(part).astype(np.uint32)
        bits <<= np.uint32(16)
        return bits.view(np.float32)


class DeviceBlock:
    """A block of weights on an accelerator: powers and sums are taken there, some rows at a time.

    Parameters
    ----------
    tail, head : integer arrays
    weights : (n_rows, n_columns) tensor
    is_cost : bool
        Whether the entries are costs: no power is taken.
    """

    def __init__(self, tail: Index, head: Index, weights: torch.Tensor, *, is_cost: bool = False) -> None:
        self.tail, self.head, self._weights, self._is_cost = tail, head, weights, is_cost

    def _power(self, exponent: float) -> float:
        return 1.0 if self._is_cost else exponent

    def extent(self, exponent: float) -> Extent:
        """The range of the costs, and which rows and columns have any."""
        rows, columns = np.zeros(self.tail.size, dtype=bool), torch.zeros(self.head.size, dtype=torch.bool)
        least, largest = math.inf, 0.0
        for some in _slices(self._weights):
            sizes = self._weights[some].to(torch.float64).abs()
            there = sizes != 0
            rows[some] = there.any(1).cpu().numpy()
            columns |= there.any(0).cpu()
            high = float(sizes.max())
            if not high < math.inf:
                return Extent(least, high, rows, columns.numpy())
            largest = max(largest, high)
            least = min(least, float(torch.where(there, sizes, math.inf).min()))
        with np.errstate(divide="ignore"):
            low, high = (self._power(exponent) * float(np.log(size)) for size in (least, largest))
        return Extent(low, high, rows, columns.numpy())

    def count(self) -> int:
        """How many weights are not zero."""
        return int(torch.count_nonzero(self._weights))

    def nonzero(self, some: slice) -> Mask:
        """Which weights of some rows are not zero."""
        return np.asarray((self._weights[some] != 0).cpu().numpy())

    def log_costs(self, exponent: float, some: slice) -> Array:
        """Logarithms of the costs of some rows."""
        sizes = self._weights[some].to(torch.float64).abs()
        return np.asarray((self._power(exponent) * sizes.log()).cpu().numpy())

    def products(self, exponent: float, log_unit: float, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of ``exp(log_unit)``."""
        exponent, device = self._power(exponent), self._weights.device
        scale, lift, rest = factors_of_unit(exponent, log_unit)
        down, across = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in (rows, columns))
        by_row, by_column = torch.empty_like(down), torch.zeros_like(across)
        for some in _slices(self._weights):
            costs = power(self._weights[some].to(torch.float64) * lift * scale, exponent)
            by_row[some] = costs @ across
            by_column += down[some] @ costs
        return by_row.cpu().numpy() * rest, by_column.cpu().numpy() * rest
