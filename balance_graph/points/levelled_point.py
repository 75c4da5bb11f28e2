"""A point where costs have levelled off: rows are turned about, and limits that do not cancel stay as they are."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Sparse
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.levelled import Levelled


class LevelledPoint(RowsPoint):
    """A displacement, with the balance equations of what flows lack of their limits; see `Levelled`.

    What limits leave in an equation is a further row, which nothing changes: in a basis of clusters they cancel again.

    Parameters
    ----------
    quotient : Levelled
    """

    def __init__(self, quotient: Levelled) -> None:
        self._levelled, self._log_limits = quotient, np.zeros(0)
        super().__init__(quotient)

    def _place(self, displacement: Array) -> None:
        super()._place(displacement)
        self._add_limits()

    def _add_limits(self) -> None:
        self.log_slopes = np.concatenate([self.log_slopes, self._log_limits])
        self.ratio = np.concatenate([self.ratio, np.zeros(self._log_limits.size)])

    def _basis_here(self) -> Sparse | None:
        n_rows = self.ratio.size - self._log_limits.size
        self.log_slopes, self.ratio = self.log_slopes[:n_rows], self.ratio[:n_rows]
        return super()._basis_here()

    def _in_basis(self) -> Sparse:
        limits = self._levelled.limits(self._basis)
        left = np.flatnonzero(limits)
        self._log_limits = np.log(np.abs(limits[left])) + self._levelled.log_unit
        self._add_limits()
        entries = (np.sign(limits[left]), (np.arange(left.size), left))
        return sparse.csr_array(
            sparse.vstack([super()._in_basis(), sparse.csr_array(entries, shape=(left.size, limits.size))])
        )
