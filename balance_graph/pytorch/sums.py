"""Slopes of a module's cost at the weights as they are: sums of rows and columns of each block, in few passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.models import Block
from balance_graph.models.terms import ROLES, costed_blocks
from balance_graph.pytorch import kernels
from balance_graph.pytorch.blocks import whole_cost
from balance_graph.pytorch.reading import ModelStructure


class Slopes(NamedTuple):
    """Slopes of the cost that grow and that fall with each scale; and which weights are zero, as far as sums tell."""

    positive: Array
    negative: Array
    zeros: bytes

    @property
    def relative_imbalances(self) -> Array:
        """``|P - N| / (P + N)``; 0 where one of them is zero, as in dead units."""
        two = (self.positive > 0) & (self.negative > 0)
        difference, both = np.abs(self.positive - self.negative), self.positive + self.negative
        result: Array = np.divide(difference, both, out=np.zeros_like(both), where=two)
        return result


class BlockSums:
    """What a module's costs are summed by, found once for an architecture.

    Sums are taken in the precision of the weights, single at least.

    Parameters
    ----------
    model : ModelStructure
        Of `read_module`.
    powers : sequence of (float, float)
        Pairs (a, p): the cost of a weight is the sum of ``a |w|^p``.
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``.
    """

    def __init__(
        self, model: ModelStructure, powers: Sequence[tuple[float, float]], roles: Sequence[str] = ROLES
    ) -> None:
        self.model, self.powers = model, powers
        found = costed_blocks(model.structure, roles)
        self.blocks = [block for _, blocks in found for block in blocks]
        covered = [parameter.size == sum(block.size for block in blocks) for parameter, blocks in found]
        self._rest = [parameter for (parameter, _), is_covered in zip(found, covered, strict=True) if not is_covered]
        self._covering = [is_covered for (_, blocks), is_covered in zip(found, covered, strict=True) for _ in blocks]
        self._first = [_first_dimension(block) for block in self.blocks]
        self._moved = [
            (k, side)
            for k, block in enumerate(self.blocks)
            for side, forms in enumerate((block.rows, block.columns))
            if forms.any()
        ]
        forms = [(self.blocks[k].rows, self.blocks[k].columns)[side].reshape(-1) for k, side in self._moved]
        matrix = sparse.csr_array(model.structure.forms[np.concatenate([np.zeros(0, dtype=np.int64), *forms])])
        positive = sparse.csr_array(matrix.maximum(0).astype(np.float64))
        self._into: Sparse = sparse.csr_array(positive.T)
        self._out_of: Sparse = sparse.csr_array((positive - matrix).T)

    def costs(self) -> list[LayerCosts]:
        """The costs of all blocks at the weights as they are."""
        a, exponent = self.powers[0]
        squares_only = len(self.powers) == 1 and exponent == 2.0
        result: list[LayerCosts] = []
        for block, first in zip(self.blocks, self._first, strict=True):
            values, matrix = self.model.tensor(block.parameter).detach(), None
            if squares_only and first is not None:
                matrix = kernels.as_matrix(values if values.dim() == 2 else values.reshape(-1, 1))
            if first is None or matrix is None:
                result.append(_Powers(values, block, self.powers))
            else:
                result.append(_Squares(matrix, block.shape, first, a))
        return result

    def slopes(self, costs: list[LayerCosts]) -> Slopes:
        """Of all scales, at costs that nothing has moved."""
        sums = np.concatenate([np.zeros(0), *(costs[k].sums(side) for k, side in self._moved)])
        self.check_finite(sums, None)
        inner = np.array([one.zeros for one in costs], dtype=np.int64)
        zeros = np.packbits(sums > 0).tobytes() + inner.tobytes()
        return Slopes(self._into @ sums, self._out_of @ sums, zeros)

    def total(self, costs: list[LayerCosts]) -> float:
        """The whole cost, after `slopes`."""
        blocks = sum(one.total() for one, is_covering in zip(costs, self._covering, strict=True) if is_covering)
        values = [self.model.tensor(parameter) for parameter in self._rest]
        return blocks + sum(a * whole_cost(one, exponent) for one in values for a, exponent in self.powers)

    def check_finite(self, sums: Array, scales: Index | None) -> None:
        """Refuse sums that are not finite, naming a scale or, for sums of all blocks, a parameter."""
        if np.isfinite(sums.sum()) or np.isfinite(sums).all():
            return
        place = int(np.argmin(np.isfinite(sums)))
        if scales is None:
            ends = np.cumsum([self.blocks[k].shape[side] for k, side in self._moved])
            name = self.blocks[self._moved[int(np.searchsorted(ends, place, side="right"))][0]].parameter.name
        else:
            name = self.model.structure.scales[int(scales[place])]
        message = f"{name}: its weights, or their powers, are not finite; balancing needs finite parameters"
        raise InvalidParameterError(message)


class LayerCosts:
    """What the elements of a block cost, with rows and columns scaled as far as a sweep has come.

    Attributes
    ----------
    shape : (int, int)
    logs : list
        Log-scales of rows and of columns; None where none has moved.
    zeros : int
        How many elements are zero, where both rows and columns have been summed.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.logs: list[Any] = [None, None]
        self.zeros = 0

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        raise NotImplementedError

    def total(self) -> float:
        """The cost of the block, nothing having moved."""
        raise NotImplementedError

    def move(self, side: int, steps: Array) -> None:
        """Add to the log-scales of rows or columns."""
        own = self.logs[side]
        self.logs[side] = steps if own is None else own + steps


class _Squares(LayerCosts):
    """The costs ``a w^2`` of a matrix of weights, summed where they are.

    `first` is the dimension of the weights in which rows of the block differ; a side of size one is all of the other.
    """

    def __init__(self, weights: NDArray[Any], shape: tuple[int, int], first: int, a: float) -> None:
        super().__init__(shape)
        self._weights, self._first, self._a = weights, first, a
        self._last = np.zeros(0)

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        weights, own = self._weights, self.logs[side]
        along = side ^ self._first
        factors = np.ones(weights.shape[1 - along], dtype=weights.dtype)
        if self.logs[1 - side] is not None:
            factors *= np.exp(2.0 * self.logs[1 - side])
        found = np.empty(weights.shape[along], dtype=weights.dtype)
        zeros = (kernels.squares_by_column if along else kernels.squares_by_row)(weights, factors, found)
        if along == 0 and self.shape == weights.shape:
            self.zeros = int(zeros)
        wide = found.astype(np.float64)
        if wide.size > self.shape[side]:
            wide = wide.sum(keepdims=True)
        self._last = wide
        slopes: Array = 2.0 * self._a * wide
        return slopes if own is None else slopes * np.exp(2.0 * own)

    def total(self) -> float:
        """The cost of the block, nothing having moved."""
        return self._a * float(self._last.sum())


class _Powers(LayerCosts):
    """The costs of a block of any form, at any powers, as matrices."""

    def __init__(self, values: torch.Tensor, block: Block, powers: Sequence[tuple[float, float]]) -> None:
        super().__init__(block.shape)
        self._powers = powers
        self._matrices = [block.sums(_power(values, exponent)) for _, exponent in powers]
        self.zeros = int((self._matrices[0] == 0).sum()) if min(block.shape) > 1 else 0

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        result: Array = np.zeros(self.shape[side])
        for matrix, (a, exponent) in zip(self._matrices, self._powers, strict=True):
            total = _weighted(matrix if side == 0 else matrix.T, self._factors(1 - side, exponent, matrix))
            part = a * exponent * total.cpu().numpy().astype(np.float64)
            own = self.logs[side]
            result += part if own is None else part * np.exp(exponent * own)
        return result

    def total(self) -> float:
        """The cost of the block, nothing having moved."""
        pairs = zip(self._matrices, self._powers, strict=True)
        return sum(a * float(matrix.sum(dtype=torch.float64)) for matrix, (a, _) in pairs)

    def _factors(self, side: int, exponent: float, matrix: torch.Tensor) -> torch.Tensor | None:
        own = self.logs[side]
        return None if own is None else torch.from_numpy(np.exp(exponent * own)).to(matrix.device, matrix.dtype)


def _first_dimension(block: Block) -> int | None:
    """The dimension of a matrix, or of a vector as one column, in which the block's rows differ; None for others."""
    if block.parameter.shape != block.split or len(block.split) > 2:
        return None
    shapes = [(*forms.shape, 1)[:2] for forms in (block.rows, block.columns)]
    whole = (*block.split, 1)[:2]
    for first in (0, 1):
        rows, columns = shapes if first == 0 else [shape[::-1] for shape in shapes]
        size = whole if first == 0 else whole[::-1]
        if rows == (size[0], 1) and columns in ((1, size[1]), (1, 1)):
            return first
    return None


def _power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    wide = values if values.dtype.itemsize >= 4 else values.to(torch.float32)
    return wide * wide if exponent == 2 else wide.abs().pow_(exponent)


def _weighted(matrix: torch.Tensor, factors: torch.Tensor | None) -> torch.Tensor:
    """Sums of rows, the columns multiplied by factors."""
    if matrix.shape[1] == 1 and factors is None:
        return matrix[:, 0]
    return matrix @ (torch.ones_like(matrix[0]) if factors is None else factors)
