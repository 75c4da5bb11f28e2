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
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.models import Block, Structure
from balance_graph.models.terms import ROLES, cost_terms
from balance_graph.problem.recession import find_recession
from balance_graph.pytorch.reading import ModelStructure
from balance_graph.pytorch.sums import BlockSums, LayerCosts, Terms, raise_not_finite, runs_of


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
        self._sums = BlockSums(model, powers, roles)
        self._held = _held(model.structure, roles)
        self.groups = _groups(model.structure, self._sums.blocks, self._held)
        self._largest = max(exponent for _, exponent in powers)
        self._tables = _tables(self.groups, self._sums.starts, len(powers), self._largest)

    def log_scales(self) -> Array:
        """The log-scales that one sweep chooses for the weights as they are now."""
        terms = self._sums.terms()
        moves = None if terms is None else self._moves_in_memory(terms)
        if moves is None:
            moves = self._moves_by_device()
        result = np.zeros(self.model.structure.size)
        result[self._tables.scales] = moves
        return result

    def _moves_in_memory(self, terms: Terms) -> Array | None:
        """None where sums are not finite."""
        from balance_graph.pytorch import kernels  # compiled loops: slow to load

        _, *tables = self._tables
        moves, is_finite = kernels.sweep(terms.table, terms.powers, self._sums.starts[-1], *tables, self.bound)
        return moves if is_finite else None

    def _moves_by_device(self) -> Array:
        costs = self._sums.costs()
        result = [np.zeros(0)]
        for group in self.groups:
            positive, negative = self._sides(group, costs)
            moves = _balancing(positive, negative) / (self._largest * group.slope)
            result.append(np.clip(moves, -self.bound, self.bound))
            for entry in group.entries:
                costs[entry.block].move(entry.side, _steps(entry, result[-1], costs[entry.block].shape))
        return np.concatenate(result)

    def imbalances(self) -> Array:
        """``|P - N| / (P + N)`` of every free scale; 0 where one of them is zero, as in dead units, or it is held."""
        found = self._sums.slopes().relative
        found[self._held] = 0.0
        return found

    def _sides(self, group: _Group, costs: list[LayerCosts]) -> tuple[Array, Array]:
        """P and N of the scales of a group."""
        size = group.scales.size
        positive, negative = np.zeros(size), np.zeros(size)
        for entry in group.entries:
            parts = entry.coefficient * costs[entry.block].sums(entry.side)[entry.place]
            positive += np.bincount(entry.local, np.maximum(parts, 0.0), minlength=size)
            negative += np.bincount(entry.local, np.maximum(-parts, 0.0), minlength=size)
        finite = np.isfinite(positive + negative)
        if not finite.all():
            raise_not_finite(self.model.structure.scales[int(group.scales[int(np.argmin(finite))])])
        return positive, negative


def _balancing(positive: Array, negative: Array) -> Array:
    """``log(N / P)``; zero where one of them is."""
    two = (positive > 0.0) & (negative > 0.0)
    if two.all():
        return np.log(negative / positive)
    result = np.zeros(positive.size)
    result[two] = np.log(negative[two] / positive[two])
    return result


def _steps(entry: _Entries, moves: Array, shape: tuple[int, int]) -> Array:
    """What the moves of a group's scales add to the log-scales of rows or columns."""
    steps = entry.coefficient * moves[entry.local]
    return np.asarray(np.bincount(entry.place, steps, minlength=shape[entry.side]), dtype=np.float64)


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
        _group(np.sort(np.array(scales)), [sides[k] for k in numbers]) for numbers, scales in sorted(members.items())
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


class _Tables(NamedTuple):
    """All groups as `kernels.sweep` takes them, and the scales of all moves."""

    scales: Index
    groups: Index
    entries: Index
    runs: Index
    coefficients: Array
    slopes: Array


def _tables(groups: list[_Group], starts: Index, n_powers: int, largest: float) -> _Tables:
    entries = [entry for group in groups for entry in group.entries]
    runs = [runs_of(entry.place, entry.local, entry.coefficient) for entry in entries]
    ends = np.cumsum([0, *(coefficients.size for _, coefficients in runs)])
    rows = [
        (one.block * n_powers, (one.block + 1) * n_powers, starts[2 * one.block + one.side], first, end)
        for one, (first, end) in zip(entries, pairwise(ends), strict=True)
    ]
    return _Tables(
        np.concatenate([np.zeros(0, dtype=np.int64), *(group.scales for group in groups)]),
        np.cumsum([(0, 0), *((group.scales.size, len(group.entries)) for group in groups)], axis=0),
        np.array(rows, dtype=np.int64).reshape(-1, 5),
        np.concatenate([np.zeros((0, 3), dtype=np.int64), *(table for table, _ in runs)]),
        np.concatenate([np.zeros(0), *(coefficients for _, coefficients in runs)]),
        largest * np.concatenate([np.zeros(0), *(group.slope for group in groups)]),
    )
