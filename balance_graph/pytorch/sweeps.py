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
from typing import Any, NamedTuple

import numpy as np
import torch

from balance_graph._types import Array, Index, Mask
from balance_graph.errors import InvalidParameterError
from balance_graph.models import Block, Structure
from balance_graph.models.terms import ROLES, cost_terms
from balance_graph.problem.recession import find_recession
from balance_graph.pytorch.reading import ModelStructure


class _Entries(NamedTuple):
    """Where scales of a group enter one side of a block: at which rows or columns, with which coefficients."""

    block: int
    side: int
    place: Index
    local: Index
    coefficient: Array


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
        self.groups = _groups(structure, self.blocks, _held(structure, roles))

    def log_scales(self) -> Array:
        """The log-scales that one sweep chooses for the weights as they are now."""
        costs = [_Costs(self.model, block, self.powers) for block in self.blocks]
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
        costs = [_Costs(self.model, block, self.powers) for block in self.blocks]
        result = np.zeros(self.model.structure.size)
        for group in self.groups:
            positive, negative = self._sides(group, costs)
            two = (positive > 0) & (negative > 0)
            result[group.scales[two]] = np.tanh(0.5 * np.abs(np.log(positive[two] / negative[two])))
        return result

    def _sides(self, group: _Group, costs: list[_Costs]) -> tuple[Array, Array]:
        """P and N of the scales of a group."""
        size = group.scales.size
        positive, negative = np.zeros(size), np.zeros(size)
        for entry in group.entries:
            parts = entry.coefficient * costs[entry.block].sums(entry.side)[entry.place]
            positive += np.bincount(entry.local, np.maximum(parts, 0.0), minlength=size)
            negative += np.bincount(entry.local, np.maximum(-parts, 0.0), minlength=size)
        if not np.isfinite(positive + negative).all():
            name = self.model.structure.scales[int(group.scales[~np.isfinite(positive + negative)][0])]
            message = f"{name}: its weights, or their powers, are not finite; balancing needs finite parameters"
            raise InvalidParameterError(message)
        return positive, negative


class _Costs:
    """What the elements of a block cost, scaled as far as a sweep has come."""

    def __init__(self, model: ModelStructure, block: Block, powers: Sequence[tuple[float, float]]) -> None:
        values = model.tensor(block.parameter).detach()
        self.powers = powers
        self.matrices = [block.sums(_power(values, exponent)) for _, exponent in powers]
        self.logs: list[Any] = [None, None]

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        result: Array = np.zeros(self.matrices[0].shape[side])
        for matrix, (a, exponent) in zip(self.matrices, self.powers, strict=True):
            total = _weighted(matrix if side == 0 else matrix.T, self._factors(1 - side, exponent, matrix))
            part = a * exponent * total.cpu().numpy().astype(np.float64)
            own = self.logs[side]
            result += part if own is None else part * np.exp(exponent * own)
        return result

    def move(self, entry: _Entries, moves: Array) -> None:
        """Log-scales of rows or columns change with the scales of a group."""
        size = self.matrices[0].shape[entry.side]
        steps = np.bincount(entry.place, entry.coefficient * moves[entry.local], minlength=size)
        own = self.logs[entry.side]
        self.logs[entry.side] = steps if own is None else own + steps

    def _factors(self, side: int, exponent: float, matrix: torch.Tensor) -> torch.Tensor | None:
        own = self.logs[side]
        return None if own is None else torch.from_numpy(np.exp(exponent * own)).to(matrix.device, matrix.dtype)


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
        _group(np.sort(np.array(scales)), [sides[number] for number in numbers])
        for numbers, scales in sorted(members.items())
    ]


def _entries_of(structure: Structure, number: int, side: int, forms: Index, held: Mask) -> _Entries:
    found = structure.forms[forms].tocoo()
    place, scale = found.coords
    free = ~held[scale]
    return _Entries(number, side, place[free], scale[free], found.data[free].astype(np.float64))


def _group(scales: Index, sides: list[_Entries]) -> _Group:
    entries = tuple(_restricted(side, scales) for side in sides)
    together: dict[int, int] = {}
    slopes = np.zeros((2, scales.size))
    for entry in entries:
        together[entry.block] = together.get(entry.block, 0) + int(np.bincount(entry.place).max())
        for row, sign in enumerate((1, -1)):
            np.maximum.at(slopes[row], entry.local, sign * entry.coefficient)
    return _Group(scales, entries, max(together.values()) * slopes.sum(axis=0))


def _restricted(side: _Entries, scales: Index) -> _Entries:
    chosen = np.isin(side.local, scales)
    local = np.searchsorted(scales, side.local[chosen])
    return _Entries(side.block, side.side, side.place[chosen], local, side.coefficient[chosen])
