"""Nested sets of unknowns that move as one: local balancing, and a basis, for flows of very different sizes.

Joined along a maximum spanning tree of the flows, strongest first, unknowns form sets in sets. Where flows differ by
many orders, the shift of such a set is what its own border decides, and nothing else shows it. Two things follow:

- balancing every unknown and every set in turn, each exactly as local balancing does with one unknown, comes near the
  optimum in some tens of sweeps, where local balancing of unknowns alone takes for ever: each move lowers the cost;
- in the basis of their shifts the Hessian of the cost is known to all digits, whatever the range of the flows.

Of two sets that are joined the smaller one is kept, so that all sets together have at most ``n log2 n`` members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._time_limit import Deadline
from balance_graph._types import Array, Index, Sparse
from balance_graph.points import _nested_set_loops as plain
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.row_ends import RowEnds
from balance_graph.problem.rows import PowerRows

if TYPE_CHECKING:
    from types import ModuleType

# From here on, compiled loops repay the time that it takes to load them.
_MANY = 200
# Levels of flows that are told apart when they are sorted, unless one spans more of their logarithm than this.
_LEVELS, _FINE, _LEAST = 65_535, 0.05, 1e-12
# Sweeps before which unknowns are numbered anew, so that those of a set lie together in memory.
_REARRANGED = (2, 5)
# Sweeps that sets are kept for.
_KEPT = 2


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
        self._quotient = quotient
        self._links = _Links.of(quotient, np.arange(quotient.size))
        self.are_many, self.sweeps = self.are_many_of(quotient), 0
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

    @staticmethod
    def are_many_of(quotient: Quotient) -> bool:
        """Whether a quotient has so many rows that compiled loops pay."""
        return bool(quotient.matrix.shape[0] >= _MANY)

    def balanced(self, displacement: Array, most: int, near: float, deadline: Deadline | None = None) -> Array:
        """The displacement after local sweeps, at most so many, or until no imbalance exceeds `near` any more."""
        for turn in range(most):
            if deadline is not None and deadline.is_past:
                break
            self.sweeps += 1
            # Flows are computed afresh every sweep, so rounding does not build up in them.
            log_slopes = self._quotient.log_slopes(displacement)[0]
            if turn % _KEPT == 0:
                sets = self._here(log_slopes)
            if self.are_many and self.sweeps in _REARRANGED and sets.member.size:
                # The last sets are whole, and list what lies in them set by set.
                together = sets.member[sets.member.size - displacement.size :]
                self._links = _Links.of(self._quotient, self._links.unknown[together])
                sets = self._here(log_slopes)
            log_flow, moved = log_slopes[self._links.row], displacement[self._links.unknown]
            largest = self._loops.balance_sets(sets, self._links.at, log_flow, moved)
            displacement = np.empty_like(moved)
            displacement[self._links.unknown] = moved
            if largest <= near:
                break
        return displacement

    def basis(self, log_slopes: Array) -> Sparse | None:
        """A basis of the unknowns, shape (n, n), one column per set; None where ratios leave the range of floats."""
        sets = self._here(log_slopes)
        if not sets.is_column.any():
            return None
        length, size = np.diff(sets.start), self._quotient.size
        kept = np.repeat(sets.is_column, length)
        start = np.concatenate([[0], np.cumsum(length[sets.is_column])])
        columns = (sets.ratio[kept], self._links.unknown[sets.member[kept]], start)
        return sparse.csr_array(sparse.csc_array(columns, shape=(size, size)))

    def _here(self, log_slopes: Array) -> plain.Sets:
        order = _falling(log_slopes[self._links.row])
        sets: plain.Sets = self._loops.nested_sets(
            self._links.one, self._links.two, self._links.gain, order, self._quotient.size
        )
        return sets


class _Links(NamedTuple):
    """Links of unknowns, numbered so that those that belong together lie together.

    Attributes
    ----------
    unknown, row : (size,) and (n_links,) integer arrays
        What stands at each place in the quotient.
    one, two, gain : (n_links,) arrays
        See `nested_sets`.
    at : Incidence
    """

    unknown: Index
    row: Index
    one: Index
    two: Index
    gain: Array
    at: plain.Incidence

    @classmethod
    def of(cls, quotient: Quotient, unknown: Index) -> _Links:
        """The links of a quotient, its unknowns in some order."""
        ends, size = RowEnds.of(quotient.matrix), quotient.size
        assert ends is not None
        place = np.full(size + 1, size)
        place[unknown] = np.arange(size)
        one, two = place[ends.one], place[ends.two]
        row = np.argsort(np.minimum(one, two), kind="stable")
        ends, one, two = ends.take(row), one[row], two[row]
        rate = quotient.rows.log_slopes(quotient.base)[1][row]
        gain = np.full(one.size, np.nan)
        both = np.flatnonzero(ends.second)
        gain[both] = ends.take(both).gain
        return cls(unknown, row, one, two, gain, _incidence(ends._replace(one=one, two=two), rate, size))


def _incidence(ends: RowEnds, rate: Array, size: int) -> plain.Incidence:
    both = np.flatnonzero(ends.second)
    at = np.concatenate([ends.one, ends.two[both]])
    other = np.concatenate([ends.two, ends.one[both]])
    entry = np.concatenate([ends.first, ends.second[both]])
    back = np.concatenate([ends.second, ends.first[both]])
    link = np.concatenate([np.arange(ends.one.size), both])
    order = np.argsort(at, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=size))])
    link = link[order]
    return plain.Incidence(start, at[order], other[order], link, entry[order], back[order], rate[link])


def _falling(log_slopes: Array) -> Index:
    """Links by falling flow, up to a resolution that no set depends on: 16 bits, which are sorted in no time."""
    height = log_slopes.max() - log_slopes
    step = float(height.max()) / _LEVELS
    return np.argsort(height if step > _FINE else (height / max(step, _LEAST)).astype(np.uint16), kind="stable")
