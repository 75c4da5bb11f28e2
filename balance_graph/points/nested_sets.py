"""Nested sets of unknowns that move as one: local balancing, and a basis, for flows of very different sizes.

Joined along a maximum spanning tree of the flows, strongest first, unknowns form sets in sets. Where flows differ by
many orders, the shift of such a set is what its own border decides, and nothing else shows it. Two things follow:

- balancing every unknown and every set in turn, each exactly as local balancing does with one unknown, comes near the
  optimum in some tens of sweeps, where local balancing of unknowns alone takes for ever: each move lowers the cost;
- in the basis of their shifts the Hessian of the cost is known to all digits, whatever the range of the flows.

Of two sets that are joined the smaller one is kept, so that all sets together have at most ``n log2 n`` members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Sparse
from balance_graph.points import _nested_set_loops as plain
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.row_ends import RowEnds
from balance_graph.problem.rows import PowerRows

if TYPE_CHECKING:
    from types import ModuleType

# From here on, compiled loops repay the time that it takes to load them.
_MANY = 200


class NestedSets:
    """The sets of a quotient, whose rows are powers with at most two entries each; see the module's text.

    Parameters
    ----------
    quotient : Quotient
        One that `suits`.

    Attributes
    ----------
    are_many : bool
        Whether there are so many that compiled loops pay.
    sweeps : int
        So far.
    """

    name = "nested sets"

    def __init__(self, quotient: Quotient) -> None:
        ends = RowEnds.of(quotient.matrix)
        assert ends is not None
        self._quotient, self._size = quotient, quotient.size
        self._gain = np.full(ends.one.size, np.nan)
        both = np.flatnonzero(ends.second)
        self._gain[both] = ends.take(both).gain
        by_unknown = sparse.csc_array(quotient.matrix)
        self._at = plain.Incidence(
            by_unknown.indptr.astype(np.int64),
            by_unknown.indices.astype(np.int64),
            ends.one.astype(np.int64),
            ends.two.astype(np.int64),
            ends.first,
            ends.second,
            quotient.rows.log_slopes(quotient.base)[1],
        )
        self.are_many, self.sweeps = ends.one.size >= _MANY, 0
        self._loops: ModuleType = plain
        if self.are_many:
            from balance_graph.points import _nested_set_kernels  # compiled loops: slow to load

            self._loops = _nested_set_kernels

    @staticmethod
    def suits(quotient: Quotient) -> bool:
        """Whether sets are known: rows are powers, and have at most two entries."""
        return (
            quotient.size > 0
            and isinstance(quotient.rows, PowerRows)
            and bool(np.diff(quotient.matrix.indptr).max() <= 2)
        )

    def _here(self, log_slopes: Array) -> plain.Sets:
        order = np.argsort(-log_slopes, kind="stable")
        sets: plain.Sets = self._loops.nested_sets(self._at.one, self._at.two, self._gain, order, self._size)
        return sets

    def balanced(self, displacement: Array, most: int, near: float) -> Array:
        """The displacement after local sweeps, at most so many, or until no imbalance exceeds `near` any more."""
        displacement = displacement.copy()
        for _ in range(most):
            self.sweeps += 1
            # Flows are computed afresh every sweep, so rounding does not build up in them.
            log_slopes = self._quotient.log_slopes(displacement)[0]
            sets = self._here(log_slopes)
            if self._loops.balance_sets(sets, self._at, log_slopes, displacement) <= near:
                break
        return displacement

    def basis(self, log_slopes: Array) -> Sparse | None:
        """A basis of the unknowns, shape (n, n), one column per set; None where ratios leave the range of floats."""
        sets = self._here(log_slopes)
        if not sets.is_column.any():
            return None
        length = np.diff(sets.start)
        kept = np.repeat(sets.is_column, length)
        start = np.concatenate([[0], np.cumsum(length[sets.is_column])])
        columns = (sets.ratio[kept], sets.member[kept], start)
        return sparse.csr_array(sparse.csc_array(columns, shape=(self._size, self._size)))
