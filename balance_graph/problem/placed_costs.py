"""Costs of blocks and terms at some log-scales: sums and products, in a unit in which they are in range."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Mask
from balance_graph.problem.block_costs import BlockCosts, CostBlock
from balance_graph.problem.block_ends import Ends
from balance_graph.problem.cost_range import TINY
from balance_graph.problem.log_domain import log_sum

# Factors of blocks stay in the range of floats: one of this size is that of a block whose costs are all but zero.
_MOST = 700.0


class PlacedBlock(NamedTuple):
    """A block at log-scales: factors of its rows and columns, and of all, in the common unit."""

    of: CostBlock
    rows: Array
    columns: Array
    factor: float


class PlacedCosts:
    """What blocks and terms cost at log-scales, in units of ``exp(log_unit)``: one pass over the weights.

    Each block has a unit of its own as well, so log-scales may differ by more than the range of floats.

    Parameters
    ----------
    costs : BlockCosts
    log_scales : (size,) array
    ends : Ends, optional
        Those of the costs, where they are known.

    Attributes
    ----------
    log_cost, log_unit : float
    slopes : (n_ends,) array
        Sums over each row and column of a block, and terms, of ``p c`` for the costs c.
    blocks : list of PlacedBlock
    """

    def __init__(self, costs: BlockCosts, log_scales: Array, ends: Ends | None = None) -> None:
        ends, terms = costs.ends() if ends is None else ends, costs.terms
        self.costs, self.log_scales, self.ends = costs, log_scales, ends
        values = ends.matrix @ log_scales
        slopes, logs, totals, placed = np.zeros(values.size), [], [], []
        for one, (rows, columns) in zip(costs.blocks, ends.at, strict=True):
            of_rows, log_row = _factors(one, costs.offset[one.tail] + values[rows], one.extent.rows)
            of_columns, log_column = _factors(one, costs.offset[one.head] + values[columns], one.extent.columns)
            by_row, by_column = one.products(of_rows, of_columns)
            slopes[rows], slopes[columns] = of_rows * by_row, of_columns * by_column
            placed.append((one, of_rows, of_columns))
            logs.append(log_row + log_column + one.log_largest)
            totals.append(float(slopes[rows].sum()))
        with np.errstate(divide="ignore"):
            log_totals = np.log(np.array(totals)) + np.array(logs)
        of_terms = terms.log_coefficient + terms.exponent * values[ends.terms]
        self.log_cost = log_sum(np.append(log_totals, of_terms))
        largest = max(float(log_totals.max(initial=-np.inf)), float(of_terms.max(initial=-np.inf)))
        self.log_unit = largest if math.isfinite(largest) else 0.0
        factors = np.exp(np.minimum(np.array(logs) - self.log_unit, _MOST))
        self.blocks = [PlacedBlock(*one, float(factor)) for one, factor in zip(placed, factors, strict=True)]
        for at, sides in zip(self.blocks, ends.at, strict=True):
            for side in sides:
                slopes[side] *= at.of.exponent * at.factor
        slopes[ends.terms] = terms.exponent * np.exp(of_terms - self.log_unit)
        self.slopes = slopes

    @property
    def total(self) -> float:
        """The cost, in the unit."""
        return math.exp(self.log_cost - self.log_unit)

    @property
    def curvatures(self) -> Array:
        """Sums of ``p^2 c``, end by end."""
        curvatures: Array = self.ends.exponents * self.slopes
        return curvatures

    @cached_property
    def into(self) -> Array:
        """The slopes that grow with each scale."""
        return np.asarray(self.ends.into @ self.slopes)

    @cached_property
    def out_of(self) -> Array:
        """The slopes that fall with each scale."""
        return np.asarray(self.ends.out_of @ self.slopes)

    def log_sides(self) -> tuple[Array, Array]:
        """Logarithms of the slopes that grow and that fall with each scale."""
        with np.errstate(divide="ignore"):
            return np.log(self.into) + self.log_unit, np.log(self.out_of) + self.log_unit

    @property
    def is_sound(self) -> bool:
        """Whether no scale's slopes drown in others."""
        return bool(min(self.into.min(initial=1.0), self.out_of.min(initial=1.0)) > TINY)

    @property
    def is_complete(self) -> bool:
        """Whether what the end of the range of floats may have taken of a slope is far below its rounding.

        In a block's own unit that is less than the least float, for each weight; its factor may be large.
        """
        factors = np.ones(self.slopes.size)
        for at, sides in zip(self.blocks, self.ends.at, strict=True):
            for side in sides:
                factors[side] = max(1.0, at.factor)
        factors *= TINY * np.maximum(1.0, self.ends.exponents)
        ends = self.ends
        return bool(np.all(self.into > ends.into @ factors) and np.all(self.out_of > ends.out_of @ factors))

    def between(self, along: Array) -> Array:
        """What the rows of blocks have of their columns in the Hessian's product, and columns of rows: one pass.

        Parameters
        ----------
        along : (n_ends,) array
            The step, end by end.
        """
        result, ends = np.zeros_like(along), self.ends
        for at, (rows, columns), moves_both in zip(self.blocks, ends.at, ends.move_both, strict=True):
            if moves_both:
                by_row, by_column = at.of.products(at.rows * along[rows], at.columns * along[columns])
                scale = at.factor * at.of.exponent**2
                result[rows], result[columns] = scale * at.rows * by_row, scale * at.columns * by_column
        return result


def _factors(one: CostBlock, values: Array, there: Mask) -> tuple[Array, float]:
    """Factors of rows or columns, the largest of those that have weights being one; its logarithm."""
    logs = one.exponent * values
    largest = float(logs[there].max())
    return np.exp(np.minimum(logs - largest, 0.0)), largest
