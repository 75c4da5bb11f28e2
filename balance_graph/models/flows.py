"""Flows of a model's cost at moving log-scales, by products with its blocks and terms; weights may live anywhere."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._floating_point import own_rules
from balance_graph._types import Array, Mask
from balance_graph.models.cost import CostBlock, ModelCost
from balance_graph.problem.log_domain import exp_or_inf, log_ratio, log_sum

# Sums smaller than this, in their unit, may have lost terms to the end of the range of floats.
_TINY = 1e-290


class _Placed(NamedTuple):
    """A block at log-scales: factors of its rows and columns, and of all, in the unit of the flows."""

    of: CostBlock
    rows: Array
    columns: Array
    factor: float


class Ends:
    """The rows and columns of all blocks, and the terms, as one matrix: values of an end are its row times the scales.

    Attributes
    ----------
    matrix : (n_ends, size) sparse array
    at : list of (slice, slice)
        Of each block: its rows and its columns.
    terms : slice
    exponents : (n_ends,) array
    """

    def __init__(self, cost: ModelCost) -> None:
        forms, found, self.at, first = cost.forms, [], [], 0
        for one in cost.blocks:
            tail, head = one.block.tail, one.block.head
            found += [forms[tail], forms[head]]
            middle = first + tail.size
            self.at.append((slice(first, middle), slice(middle, middle + head.size)))
            first = middle + head.size
        self.terms = slice(first, first + cost.terms.A.shape[0])
        self.matrix = sparse.csr_array(sparse.vstack([*found, cost.terms.A], format="csr"), dtype=np.float64)
        sizes = [one.block.tail.size + one.block.head.size for one in cost.blocks]
        powers = np.array([one.exponent for one in cost.blocks])
        self.exponents = np.concatenate([np.repeat(powers, sizes), cost.terms.exponent])
        positive = self.matrix.maximum(0.0)
        self.transposed = sparse.csr_array(self.matrix.T)
        self.into, self.out_of = sparse.csr_array(positive.T), sparse.csr_array((positive - self.matrix).T)
        self.squares = sparse.csr_array(self.transposed.multiply(self.transposed))
        # A block in which only one side moves has no products that depend on the step.
        self.is_moved = np.append(np.diff(self.matrix.indptr) > 0, False)

    def moves_both(self, k: int) -> bool:
        """Whether rows and columns of a block depend on scales."""
        return all(bool(self.is_moved[side].any()) for side in self.at[k])

    @cached_property
    def most(self) -> int:
        """The largest number of scales that a weight depends on."""
        lengths = np.diff(self.matrix.indptr)
        blocks = [sum(int(lengths[side].max(initial=0)) for side in sides) for sides in self.at]
        return max([1, *blocks, int(lengths[self.terms].max(initial=0))])


class ModelFlows:
    """Slopes of a model's cost and their derivatives; see `balance_graph.points.flows`.

    Flows are slopes, so exponents may differ. In no block do a row and a column depend on the same scale: such weights
    are terms. Each block has a unit of its own, so log-scales may differ by more than the range of floats.

    Parameters
    ----------
    cost : ModelCost
    log_scales : (size,) array
    """

    exponent = 1.0

    def __init__(self, cost: ModelCost, log_scales: Array) -> None:
        self.cost, self.size = cost, cost.size
        self.degree = np.ones(self.size + 1)
        self.ends = Ends(cost)
        self.passes = 0
        self._place(log_scales)

    def _place(self, log_scales: Array) -> None:
        self.log_scales, ends, terms = log_scales, self.ends, self.cost.terms
        self.passes += 1
        values = ends.matrix @ log_scales
        slopes, logs, placed = np.zeros(values.size), [], []
        for one, (rows, columns) in zip(self.cost.blocks, ends.at, strict=True):
            at_rows = _moved(one, self.cost.offset[one.block.tail] + values[rows], one.extent.rows)
            at_columns = _moved(one, self.cost.offset[one.block.head] + values[columns], one.extent.columns)
            logs.append(at_rows[1] + at_columns[1] + one.log_largest)
            placed.append(_Placed(one, at_rows[0], at_columns[0], 1.0))
            by_row, by_column = _products(placed[-1], at_rows[0], at_columns[0])
            slopes[rows], slopes[columns] = at_rows[0] * by_row, at_columns[0] * by_column
        totals = np.array([log + np.log(slopes[rows].sum()) for log, (rows, _) in zip(logs, ends.at, strict=True)])
        of_terms = terms.log_coefficient + terms.exponent * values[ends.terms]
        self.log_cost = log_sum(np.append(totals, of_terms))
        self.log_unit = max(float(totals.max(initial=-np.inf)), float(of_terms.max(initial=-np.inf)))
        self.log_unit = self.log_unit if np.isfinite(self.log_unit) else 0.0
        self.placed: list[_Placed] = []
        for before, log, sides in zip(placed, logs, ends.at, strict=True):
            factor = float(np.exp(log - self.log_unit))
            self.placed.append(before._replace(factor=factor))
            for side in sides:
                slopes[side] *= before.of.exponent * factor
        slopes[ends.terms] = terms.exponent * np.exp(of_terms - self.log_unit)
        self.curvatures = self.ends.exponents * slopes
        self.into = np.append(ends.into @ slopes, 0.0)
        self.out_of = np.append(ends.out_of @ slopes, 0.0)

    @property
    def total(self) -> float:
        """The cost, in the unit of the flows."""
        return float(np.exp(self.log_cost - self.log_unit))

    @property
    def is_sound(self) -> bool:
        """Whether no sum of slopes drowns in others."""
        return bool(min(self.into[:-1].min(initial=1.0), self.out_of[:-1].min(initial=1.0)) > _TINY)

    def longest(self, step: Array) -> float:  # noqa: ARG002 - costs are computed afresh, each block in its unit
        """All of it."""
        return 1.0

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self._place(self.log_scales + step)

    def sweep(self, most: int, enough: float) -> None:
        """Move all scales at once, by as much of what would balance each alone as surely lowers the cost.

        That is one over the number of scales of a weight: it sees the mean of their moves, and costs are convex.
        """
        for _ in range(most):
            imbalance = self.imbalance()
            if not np.log(enough) < np.abs(imbalance).max(initial=0.0) < np.inf:
                break
            self._place(self.log_scales - imbalance / (self._steepest * self.ends.most))

    @cached_property
    def _steepest(self) -> Array:
        """By how much the imbalance of a scale can change with it: exponents times coefficients, both ways."""
        exponents = sparse.diags_array(self.ends.exponents)
        largest = [(exponents @ ends.T).max(axis=0).toarray() for ends in (self.ends.into, self.ends.out_of)]
        return np.asarray(sum(largest)).reshape(-1)

    def imbalance(self) -> Array:
        """``log in - log out`` of each scale; inf where flows drown in others."""
        if not self.is_sound:
            return np.full(self.size, np.inf)
        imbalance: Array = np.log(self.into[:-1] / self.out_of[:-1])
        return imbalance

    def log_sides(self) -> tuple[Array, Array]:
        """Logarithms of the slopes that grow and that fall with each scale."""
        with np.errstate(divide="ignore"):
            return np.log(self.into[:-1]) + self.log_unit, np.log(self.out_of[:-1]) + self.log_unit

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost."""
        diagonal: Array = self.ends.squares @ self.curvatures
        return diagonal

    def product(self, diagonal: Array, step: Array, out: Array) -> None:  # noqa: ARG002
        """Product with the Hessian of the cost, into `out`."""
        along = self.ends.matrix @ step
        out[:] = self.ends.transposed @ (self.curvatures * along + self.between(along))

    def between(self, along: Array) -> Array:
        """What the rows of blocks have of their columns in such a product, and columns of rows, end by end."""
        result = np.zeros_like(along)
        self.passes += 1
        for k, (at, (rows, columns)) in enumerate(zip(self.placed, self.ends.at, strict=True)):
            if self.ends.moves_both(k):
                by_row, by_column = _products(at, at.rows * along[rows], at.columns * along[columns])
                scale = at.factor * at.of.exponent**2
                result[rows], result[columns] = scale * at.rows * by_row, scale * at.columns * by_column
        return result


def _moved(one: CostBlock, values: Array, there: Mask) -> tuple[Array, float]:
    """Factors of rows or columns, the largest of those that have weights being one; its logarithm."""
    logs = one.exponent * values
    largest = float(logs[there].max())
    return np.exp(np.minimum(logs - largest, 0.0)), largest


def _products(one: _Placed, rows: Array, columns: Array) -> tuple[Array, Array]:
    return one.of.block.products(one.of.exponent, one.of.extent.log_largest, rows, columns)


class CostState(NamedTuple):
    """A cost at some log-scales.

    Attributes
    ----------
    log_cost : float
    sides : (array, array)
        Logarithms of the slopes that grow, and that fall, with each scale.
    """

    log_cost: float
    sides: tuple[Array, Array]

    @property
    def cost(self) -> float:
        """The cost; inf where it exceeds the range of floats."""
        return exp_or_inf(self.log_cost)

    @property
    def relative_imbalances(self) -> Array:
        """``|in - out| / (in + out)`` of each scale."""
        return np.tanh(0.5 * np.abs(log_ratio(*self.sides)))


@own_rules
def state_of(cost: ModelCost, log_scales: Array) -> CostState:
    """The cost and its slopes at log-scales: one pass over the weights."""
    if not cost.blocks:
        return CostState(cost.problem.log_cost(log_scales), cost.problem.log_in_out(log_scales))
    flows = ModelFlows(cost, log_scales)
    return CostState(flows.log_cost, flows.log_sides())
