"""Local balancing of a module: one sweep over its units, block by block, without solving anything.

Scales that occur in the same rows and columns of the same blocks are a group (the units of a layer): all of them move
at once, the groups one after the other. Scale u enters elements as ``exp(a p u)`` with coefficients a of both signs;
let P and N be the sums of ``|a| p`` times cost over the positive and the negative ones. With a unit's inputs and
outputs alone the minimum is where ``u = log(N / P) / (2 p)``, in closed form. In general, if an element sees at most
m scales of the group, a scale seen twice counting twice, convexity gives

    exp(sum of m y_i / m) <= sum of exp(m y_i) / m,

so that the minimum of the right hand side, unit by unit, lowers the cost, whatever is tied to what; that minimum is
``log(N / P) / (p m (a+ + a-))`` where the coefficients have one absolute value for each sign, and at least that far
otherwise. Where P or N is zero, the scale could move for ever at no cost: it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.models import Block, Structure
from balance_graph.models.terms import ROLES, cost_terms
from balance_graph.problem.recession import find_recession
from balance_graph.pytorch import kernels
from balance_graph.pytorch.reading import ModelStructure


class _Entries(NamedTuple):
    """Where scales of a group enter one side of a block: at which rows or columns, with which coefficients.

    `single` is the one coefficient of all scales, in order, each at the place of its number; 0.0 if it is not so plain.
    """

    block: int
    side: int
    place: Index
    local: Index
    coefficient: Array
    single: float = 0.0


class _Group(NamedTuple):
    """Scales that move at once; their moves are ``log(N / P) / (p * slope)``."""

    scales: Index
    entries: tuple[_Entries, ...]
    slope: Array


class Sweep:
    """What a sweep over the units of a module needs, found once for an architecture.

    Parameters
    ----------
    model : ModelStructure
        Of `read_module`.
    powers : sequence of (float, float)
        Pairs (a, p): the cost of a weight is the sum of ``a |w|^p``.
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``.
    bound : float
        No scale moves farther than this in one sweep.
    """

    def __init__(
        self,
        model: ModelStructure,
        powers: Sequence[tuple[float, float]],
        roles: Sequence[str] = ROLES,
        bound: float = np.inf,
    ) -> None:
        self.model = model
        self.powers = powers
        self.bound = bound
        structure = model.structure
        self.blocks = [
            block
            for block in structure.blocks
            if not block.parameter.is_buffer and (block.parameter.role or "weight") in roles
        ]
        self._first = [_first_dimension(block) for block in self.blocks]
        held = _held(structure, roles)
        self.groups = _groups(structure, self.blocks, held)
        self._moved = [
            (k, side)
            for k, block in enumerate(self.blocks)
            for side, forms in enumerate((block.rows, block.columns))
            if forms.any()
        ]
        self._into, self._out_of = self._coefficients(held)

    def log_scales(self) -> Array:
        """The log-scales that one sweep chooses for the weights as they are now."""
        costs = self._costs()
        result = np.zeros(self.model.structure.size)
        largest = max(exponent for _, exponent in self.powers)
        for group in self.groups:
            positive, negative = self._sides(group, costs)
            moves = np.zeros(group.scales.size)
            two = (positive > 0) & (negative > 0)
            moves[two] = np.log(negative[two] / positive[two]) / (largest * group.slope[two])
            moves = np.clip(moves, -self.bound, self.bound)
            result[group.scales] = moves
            for entry in group.entries:
                costs[entry.block].move(entry, moves)
        return result

    def imbalances(self) -> Array:
        """``|P - N| / (P + N)`` of every free scale; 0 where one of them is zero, as in dead units."""
        costs = self._costs()
        sums = np.concatenate([np.zeros(0), *(costs[k].sums(side) for k, side in self._moved)])
        positive, negative = self._into @ sums, self._out_of @ sums
        both = positive + negative
        self._check_finite(both, np.arange(both.size))
        two = (positive > 0) & (negative > 0)
        result: Array = np.divide(np.abs(positive - negative), both, out=np.zeros_like(both), where=two)
        return result

    def _coefficients(self, held: Mask) -> tuple[Sparse, Sparse]:
        """Those of the sums of all rows and columns that move, in P and in N of each scale that is not held."""
        forms = self.model.structure.forms
        sides = [(self.blocks[k].rows, self.blocks[k].columns)[side].reshape(-1) for k, side in self._moved]
        whole = sparse.csr_array(forms[np.concatenate([np.zeros(0, dtype=np.int64), *sides])])
        whole = sparse.csr_array(whole @ sparse.diags_array((~held).astype(np.float64)))
        positive = whole.maximum(0.0)
        return sparse.csr_array(positive.T), sparse.csr_array((positive - whole).T)

    def _costs(self) -> list[_Costs]:
        a, exponent = self.powers[0]
        squares_only = len(self.powers) == 1 and exponent == 2.0
        result: list[_Costs] = []
        for block, first in zip(self.blocks, self._first, strict=True):
            values, matrix = self.model.tensor(block.parameter).detach(), None
            if squares_only and first is not None:
                matrix = kernels.as_matrix(values if values.dim() == 2 else values.reshape(-1, 1))
            if first is None or matrix is None:
                result.append(_Powers(values, block, self.powers))
            else:
                result.append(_Squares(matrix, block.shape, first, a))
        return result

    def _sides(self, group: _Group, costs: list[_Costs]) -> tuple[Array, Array]:
        """P and N of the scales of a group."""
        size = group.scales.size
        positive, negative = np.zeros(size), np.zeros(size)
        for entry in group.entries:
            sums = costs[entry.block].sums(entry.side)
            if entry.single > 0.0:
                positive += entry.single * sums
            elif entry.single < 0.0:
                negative -= entry.single * sums
            else:
                parts = entry.coefficient * sums[entry.place]
                positive += np.bincount(entry.local, np.maximum(parts, 0.0), minlength=size)
                negative += np.bincount(entry.local, np.maximum(-parts, 0.0), minlength=size)
        self._check_finite(positive + negative, group.scales)
        return positive, negative

    def _check_finite(self, sums: Array, scales: Index) -> None:
        if np.isfinite(sums).all():
            return
        name = self.model.structure.scales[int(scales[~np.isfinite(sums)][0])]
        message = f"{name}: its weights, or their powers, are not finite; balancing needs finite parameters"
        raise InvalidParameterError(message)


class _Costs(Protocol):
    """What the elements of a block cost, scaled as far as a sweep has come."""

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""

    def move(self, entry: _Entries, moves: Array) -> None:
        """Log-scales of rows or columns change with the scales of a group."""


class _Moved:
    """Log-scales of the rows and columns of a block; None where none has moved."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self.logs: list[Any] = [None, None]

    def move(self, entry: _Entries, moves: Array) -> None:
        """Log-scales of rows or columns change with the scales of a group."""
        if entry.single:
            steps = entry.single * moves
        else:
            steps = np.bincount(entry.place, entry.coefficient * moves[entry.local], minlength=self._shape[entry.side])
        own = self.logs[entry.side]
        self.logs[entry.side] = steps if own is None else own + steps


class _Squares(_Moved):
    """The costs ``a w^2`` of a matrix of weights, summed where they are.

    `first` is the dimension of the weights in which rows of the block differ; a side of size one is all of the other.
    """

    def __init__(self, weights: NDArray[Any], shape: tuple[int, int], first: int, a: float) -> None:
        super().__init__(shape)
        self._weights, self._first, self._a = weights, first, a

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        weights, own = self._weights, self.logs[side]
        along = side ^ self._first
        factors = np.ones(weights.shape[1 - along], dtype=weights.dtype)
        if self.logs[1 - side] is not None:
            factors *= np.exp(2.0 * self.logs[1 - side])
        found = np.empty(weights.shape[along], dtype=weights.dtype)
        (kernels.squares_by_column if along else kernels.squares_by_row)(weights, factors, found)
        wide = found.astype(np.float64) if found.size == self._shape[side] else found.sum(dtype=np.float64, keepdims=True)
        wide *= 2.0 * self._a
        return wide if own is None else wide * np.exp(2.0 * own)


class _Powers(_Moved):
    """The costs of a block of any form, at any powers, as matrices."""

    def __init__(self, values: torch.Tensor, block: Block, powers: Sequence[tuple[float, float]]) -> None:
        super().__init__(block.shape)
        self._powers = powers
        self._matrices = [block.sums(_power(values, exponent)) for _, exponent in powers]

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        result: Array = np.zeros(self._shape[side])
        for matrix, (a, exponent) in zip(self._matrices, self._powers, strict=True):
            total = _weighted(matrix if side == 0 else matrix.T, self._factors(1 - side, exponent, matrix))
            part = a * exponent * total.cpu().numpy().astype(np.float64)
            own = self.logs[side]
            result += part if own is None else part * np.exp(exponent * own)
        return result

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


def _held(structure: Structure, roles: Sequence[str]) -> Mask:
    """The scales that could move for ever at no cost, whatever the weights."""
    matrix = cost_terms(structure, lambda _, block: 0.0 if block is None else np.ones(block.shape), 1.0, roles).A
    return find_recession(matrix).moving


def _groups(structure: Structure, blocks: list[Block], held: Mask) -> list[_Group]:
    """The groups, in the order in which the parameters first have them."""
    sides = [
        _entries_of(structure, number, side, forms.reshape(-1), held)
        for number, block in enumerate(blocks)
        for side, forms in enumerate((block.rows, block.columns))
    ]
    seen: dict[int, list[int]] = {}
    for number, entries in enumerate(sides):
        for scale in np.unique(entries.local).tolist():
            seen.setdefault(scale, []).append(number)
    members: dict[tuple[int, ...], list[int]] = {}
    for scale, numbers in seen.items():
        members.setdefault(tuple(numbers), []).append(scale)
    return [
        _group(np.sort(np.array(scales)), [(sides[k], blocks[k // 2].shape[k % 2]) for k in numbers])
        for numbers, scales in sorted(members.items())
    ]


def _entries_of(structure: Structure, number: int, side: int, forms: Index, held: Mask) -> _Entries:
    found = structure.forms[forms].tocoo()
    place, scale = found.coords
    free = ~held[scale]
    return _Entries(number, side, place[free], scale[free], found.data[free].astype(np.float64))


def _group(scales: Index, sides: list[tuple[_Entries, int]]) -> _Group:
    entries = tuple(_restricted(side, scales, size) for side, size in sides)
    together: dict[int, int] = {}
    slopes = np.zeros((2, scales.size))
    for entry in entries:
        together[entry.block] = together.get(entry.block, 0) + int(np.bincount(entry.place).max())
        for row, sign in enumerate((1, -1)):
            np.maximum.at(slopes[row], entry.local, sign * entry.coefficient)
    return _Group(scales, entries, max(together.values()) * slopes.sum(axis=0))


def _restricted(side: _Entries, scales: Index, size: int) -> _Entries:
    chosen = np.isin(side.local, scales)
    local = np.searchsorted(scales, side.local[chosen])
    place, coefficient, number = side.place[chosen], side.coefficient[chosen], np.arange(scales.size)
    is_single = np.array_equal(place, number) and np.array_equal(local, number) and np.ptp(coefficient) == 0.0
    single = float(coefficient[0]) if is_single and scales.size == size else 0.0
    return _Entries(side.block, side.side, place, local, coefficient, single)
