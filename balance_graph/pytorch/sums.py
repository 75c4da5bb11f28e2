"""Slopes of a module's cost at the weights as they are: sums of rows and columns of each block, in few passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from scipy import sparse

from balance_graph._types import Array, Index
from balance_graph.errors import InvalidParameterError
from balance_graph.models import Block
from balance_graph.models.terms import ROLES, costed_blocks
from balance_graph.pytorch.blocks import Layout, are_loops_due, layout_of, place_of, whole_cost
from balance_graph.pytorch.reading import ModelStructure


class Slopes(NamedTuple):
    """Slopes of the cost that grow and that fall with each scale, and what they are sums of.

    `relative` are ``|P - N| / (P + N)``, 0 where one of them is zero, as in dead units; `sums` are those of rows and
    columns, `zeros` says how many elements have no cost, `costs` are those of each block by each power.
    """

    positive: Array
    negative: Array
    relative: Array
    sums: Array
    zeros: Index
    costs: Array

    @property
    def pattern(self) -> bytes:
        """Which weights are zero, as far as sums tell."""
        return np.packbits(self.sums > 0).tobytes() + self.zeros.tobytes()


def relative_imbalances(positive: Array, negative: Array) -> Array:
    """``|P - N| / (P + N)``; 0 where one of them is zero, as in dead units."""
    two = np.minimum(positive, negative) > 0
    result: Array = np.divide(np.abs(positive - negative), positive + negative, out=np.zeros(two.size), where=two)
    return result


class Terms(NamedTuple):
    """Matrices in memory, the sums of whose squares are costs: one for each block and power, as `kernels` takes them.

    Attributes
    ----------
    table : (n, 7) integer array
        Place, shape; for each dimension, where the side of the block that differs along it begins among all sides, and
        how many lines belong to one of it.
    powers : (n, 2) array
        Pairs (a, p).
    places : list of int
        Those of the weights; 0 where they have to be summed first.
    kept : list of tensors
        Roots of those sums.
    """

    table: Index
    powers: Array
    places: list[int]
    kept: list[torch.Tensor]


class BlockSums:
    """What a module's costs are summed by, found once for an architecture.

    Sums are taken in the precision of the weights, single at least: by compiled loops, or where weights are on another
    device, there.

    Parameters
    ----------
    model : ModelStructure
        Of `read_module`.
    powers : sequence of (float, float)
        Pairs (a, p): the cost of a weight is the sum of ``a |w|^p``.
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``.

    Attributes
    ----------
    blocks : list of Block
        Those that have a cost.
    starts : integer array
        Where their sides, rows and columns in turn, begin among all sides, with the end of the last.
    """

    def __init__(
        self, model: ModelStructure, powers: Sequence[tuple[float, float]], roles: Sequence[str] = ROLES
    ) -> None:
        self.model, self.powers = model, powers
        found = costed_blocks(model.structure, roles)
        self.blocks = [block for _, blocks in found for block in blocks]
        covered = [parameter.size == sum(block.size for block in blocks) for parameter, blocks in found]
        self._rest = [parameter for (parameter, _), is_covered in zip(found, covered, strict=True) if not is_covered]
        is_covering = [is_covered for (_, blocks), is_covered in zip(found, covered, strict=True) for _ in blocks]
        self._covering = np.array(is_covering, dtype=bool)
        forms = [side.reshape(-1) for block in self.blocks for side in (block.rows, block.columns)]
        self.starts = np.cumsum([0, *(side.size for side in forms)])
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *forms])
        entries = sparse.csr_array(model.structure.forms[numbers]).tocoo()
        self._lines = entries.coords[0], entries.coords[1], entries.data.astype(np.float64)
        self._runs = runs_of(*self._lines)
        # Other costs than squares are summed to matrices first.
        is_square = [exponent for _, exponent in powers] == [2.0]
        self._layouts = [layout_of(block) if is_square else None for block in self.blocks]
        self._weights = [
            (model.tensor(block.parameter), 0 if layout is None else block.size)
            for block, layout in zip(self.blocks, self._layouts, strict=True)
        ]
        self._powers = np.tile(np.array(powers, dtype=np.float64), (len(self.blocks), 1))
        self._terms: Terms | None = None
        self._calls = 0

    def _row(self, number: int, layout: Layout) -> tuple[int, ...]:
        """Of the table of terms, without the address."""
        first, second = (int(self.starts[2 * number + side]) for side in layout.sides)
        return (*layout.shape, first, layout.repeats[0], second, layout.repeats[1])

    def terms(self) -> Terms | None:
        """The weights as they are now, for compiled loops; None where these cannot read them, or are not due."""
        self._calls += 1
        if not are_loops_due(self._calls):
            return None
        places = [place_of(*pair) for pair in self._weights]
        if self._terms is not None and self._terms.places == places:
            return self._terms
        terms = self._new_terms(places)
        self._terms = None if terms is None or terms.kept else terms
        return terms

    def _new_terms(self, places: list[int]) -> Terms | None:
        table: list[tuple[int, ...]] = []
        kept: list[torch.Tensor] = []
        for k, (place, layout) in enumerate(zip(places, self._layouts, strict=True)):
            values = self._weights[k][0].detach()
            if place and layout is not None:
                table.append((place, *self._row(k, layout)))
                continue
            if not values.is_cpu:
                return None
            block = self.blocks[k]
            roots = [block.sums(_power(values, exponent)).sqrt().contiguous() for _, exponent in self.powers]
            row = self._row(k, Layout(block.shape, (0, 1), (1, 1)))
            table += [(place_of(root, root.numel()), *row) for root in roots]
            kept += roots
        return Terms(np.array(table, dtype=np.int64).reshape(-1, 7), self._powers, places, kept)

    def costs(self) -> list[LayerCosts]:
        """The costs of all blocks at the weights as they are, on their devices."""
        return [LayerCosts(self.model.tensor(block.parameter).detach(), block, self.powers) for block in self.blocks]

    def slopes(self) -> Slopes:
        """Of all scales, at the weights as they are."""
        terms = self.terms()
        if terms is None:
            return self._slopes_by_device()
        from balance_graph.pytorch import kernels  # compiled loops: slow to load

        sizes = self.starts[-1], self.model.structure.size
        *found, is_finite = kernels.slopes(terms.table, terms.powers, *self._runs, *sizes)
        slopes = Slopes(*found)
        if not is_finite:
            self._check_finite(slopes.sums)
        return slopes

    def _slopes_by_device(self) -> Slopes:
        layers = self.costs()
        found = [
            one.sums(side) if forms.any() else np.zeros(forms.size)
            for one, block in zip(layers, self.blocks, strict=True)
            for side, forms in enumerate((block.rows, block.columns))
        ]
        sums, zeros = np.concatenate([np.zeros(0), *found]), np.array([one.zeros for one in layers], dtype=np.int64)
        self._check_finite(sums)
        line, scale, coefficient = self._lines
        parts, size = coefficient * sums[line], self.model.structure.size
        positive: Array = np.bincount(scale, np.maximum(parts, 0.0), size).astype(np.float64)
        negative: Array = np.bincount(scale, np.maximum(-parts, 0.0), size).astype(np.float64)
        costs = np.concatenate([np.zeros(0), *(one.costs() for one in layers)])
        return Slopes(positive, negative, relative_imbalances(positive, negative), sums, zeros, costs)

    def total(self, slopes: Slopes) -> float:
        """The whole cost."""
        blocks = slopes.costs.reshape(-1, len(self.powers))[self._covering].sum()
        values = [self.model.tensor(parameter) for parameter in self._rest]
        return float(blocks) + sum(a * whole_cost(one, exponent) for one in values for a, exponent in self.powers)

    def _check_finite(self, sums: Array) -> None:
        if not np.isfinite(sums).all():
            side = int(np.searchsorted(self.starts, int(np.argmin(np.isfinite(sums))), side="right")) - 1
            raise_not_finite(self.blocks[side // 2].parameter.name)


def runs_of(places: Index, scales: Index, coefficients: Array) -> tuple[Index, Array]:
    """Places and scales, both one after the other, with one coefficient: first place, first scale, how many."""
    ends = np.append(True, (np.diff(places) != 1) | (np.diff(scales) != 1) | (np.diff(coefficients) != 0))
    first = np.flatnonzero(ends[: places.size])
    sizes = np.diff(np.append(first, places.size))
    return np.stack((places[first], scales[first], sizes), axis=1).astype(np.int64), coefficients[first]


def raise_not_finite(name: str) -> NoReturn:
    """Refuse weights by the name of a scale or a parameter."""
    message = f"{name}: its weights, or their powers, are not finite; balancing needs finite parameters"
    raise InvalidParameterError(message)


class LayerCosts:
    """What the elements of a block cost, with rows and columns scaled as far as a sweep has come: summed by PyTorch.

    Attributes
    ----------
    shape : (int, int)
    zeros : int
        How many elements of a matrix have no cost.
    """

    def __init__(self, values: torch.Tensor, block: Block, powers: Sequence[tuple[float, float]]) -> None:
        self.shape = block.shape
        self._powers = powers
        self._logs: list[Any] = [None, None]
        self._matrices = [block.sums(_power(values, exponent)) for _, exponent in powers]
        self.zeros = int((self._matrices[0] == 0).sum()) if min(block.shape) > 1 else 0

    def move(self, side: int, steps: Array) -> None:
        """Add to the log-scales of rows or columns."""
        own = self._logs[side]
        self._logs[side] = steps if own is None else own + steps

    def sums(self, side: int) -> Array:
        """Derivatives of the costs of rows (side 0) or columns (side 1) by their log-scales."""
        result: Array = np.zeros(self.shape[side])
        for matrix, (a, exponent) in zip(self._matrices, self._powers, strict=True):
            total = _weighted(matrix if side == 0 else matrix.T, self._factors(1 - side, exponent, matrix))
            part = a * exponent * total.cpu().numpy().astype(np.float64)
            own = self._logs[side]
            result += part if own is None else part * np.exp(exponent * own)
        return result

    def costs(self) -> list[float]:
        """The cost of the block by each power, nothing having moved."""
        pairs = zip(self._matrices, self._powers, strict=True)
        return [a * float(matrix.sum(dtype=torch.float64)) for matrix, (a, _) in pairs]

    def _factors(self, side: int, exponent: float, matrix: torch.Tensor) -> torch.Tensor | None:
        own = self._logs[side]
        return None if own is None else torch.from_numpy(np.exp(exponent * own)).to(matrix.device, matrix.dtype)


def _power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    wide = values if values.dtype.itemsize >= 4 else values.to(torch.float32)
    return wide * wide if exponent == 2 else wide.abs().pow_(exponent)


def _weighted(matrix: torch.Tensor, factors: torch.Tensor | None) -> torch.Tensor:
    """Sums of rows, the columns multiplied by factors."""
    if matrix.shape[1] == 1 and factors is None:
        return matrix[:, 0]
    return matrix @ (torch.ones_like(matrix[0]) if factors is None else factors)
