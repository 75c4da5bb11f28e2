"""Vectorized local steps: a block of mutually non-adjacent unknowns balanced at once, for any regularizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balance_graph._types import Array, Index, Sparse
from balance_graph.problem.log_domain import log_ratio, log_sum_by
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import Rows

_EPS = float(np.finfo(float).eps)

# Beyond the logarithms of all floats: along a nearly flat slope Newton's step could be any number.
_FAR = 2000.0


@dataclass(frozen=True, eq=False)
class Block:
    """Unknowns that share no row, and the entries of their columns.

    Attributes
    ----------
    unknowns : integer array
    rows : Rows
        The row of each entry.
    row : integer array
        Its number.
    owner : integer array
        Position in `unknowns` of the entry's unknown.
    value : array
        Its coefficient in A.
    """

    unknowns: Index
    rows: Rows
    row: Index
    owner: Index
    value: Array

    @classmethod
    def of(cls, quotient: Quotient, columns: Sparse, unknowns: Index) -> Block:
        """The block of the given unknowns; `columns` is A by columns."""
        part = columns[:, unknowns].tocoo()
        return cls(unknowns, quotient.rows.take(part.row), part.row, part.col, part.data)

    def _difference(self, log_gains: Array, shift: Array) -> tuple[Array, Array, Array]:
        """``log in - log out`` of each unknown after the shifts, its derivative, and what rounding leaves in it."""
        log_slopes, ratio = self.rows.log_slopes(log_gains[self.row] + self.value * shift[self.owner])
        count = self.unknowns.size
        side = np.where(self.value > 0, self.owner, self.owner + count)
        weighted = np.log(np.abs(self.value)) + log_slopes
        sums = log_sum_by(side, weighted, 2 * count)
        with np.errstate(invalid="ignore"):
            share = np.exp(weighted - sums[side])
        weights = np.where(share > 0, share * ratio * np.abs(self.value), 0.0)
        slope: Array = np.bincount(self.owner, weights, minlength=count).astype(float)
        finite = np.where(np.isfinite(sums), np.abs(sums), 1.0)
        rounding = 4.0 * _EPS * np.maximum(1.0, np.maximum(finite[:count], finite[count:]))
        return log_ratio(sums[:count], sums[count:]), slope, rounding

    def log_imbalance(self, log_gains: Array) -> float:
        """Largest ``|log in - log out|`` of the block."""
        return float(np.abs(self._difference(log_gains, np.zeros(self.unknowns.size))[0]).max(initial=0.0))

    def shifts(self, log_gains: Array) -> Array:
        """The shift that balances each unknown: Newton on an increasing function, kept in a bracket."""
        shift = np.zeros(self.unknowns.size)
        low, high = np.full_like(shift, -np.inf), np.full_like(shift, np.inf)
        for _ in range(200):
            value, slope, rounding = self._difference(log_gains, shift)
            high = np.where(value > 0, shift, high)
            low = np.where(value < 0, shift, low)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                step = np.where(value == 0, 0.0, -value / slope)
                middle = 0.5 * (low + high)
            step = np.where(np.isfinite(step), np.clip(step, -_FAR, _FAR), step)
            small = (np.abs(value) <= rounding) | (np.abs(step) <= 1e-15 * np.maximum(1.0, np.abs(shift)))
            inside = (shift + step > low) & (shift + step < high)
            step = np.where(np.isfinite(step), step, 0.0)  # flat and balanced to rounding: it stays
            # Out of the bracket (or along a flat slope): its middle, or a bounded step that will close it.
            safe = np.where(np.isfinite(middle), middle - shift, -2.0 * np.sign(value))
            shift = shift + np.where(small | inside, step, safe)
            if small.all():
                break
        return shift
