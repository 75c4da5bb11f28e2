"""Whether the minimum of a problem of blocks is attained: a search of blocks, by products where they are not full."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from balance_graph._showing import some_of
from balance_graph._types import Array, Index, Mask
from balance_graph.errors import NotAttainedError, UnsupportedError
from balance_graph.problem.live_blocks import NumberedBlock


class BlockAttainment(NamedTuple):
    """Which unknowns have a finite place at the minimum.

    Attributes
    ----------
    live : (n,) boolean array
        Unknowns with a way from what is pinned, and a way back; all weights between them are live.
    dead : tuple
        What the user calls the others that have weights: all of these can shrink to zero for ever.
    gauges : tuple
        Unknowns that are held though not pinned, since no weight depends on their scales.
    reason : str
        Why the minimum is not attained; empty where it is.
    from_ground, to_ground : (n,) integer arrays
        Number of weights on the way, -1 where there is none; without entries where that was not asked.
    """

    live: Mask
    dead: tuple[Hashable, ...] = ()
    gauges: tuple[Hashable, ...] = ()
    reason: str = ""
    from_ground: Index = np.zeros(0, dtype=np.intp)
    to_ground: Index = np.zeros(0, dtype=np.intp)

    def raise_if_not_attained(self) -> None:
        """Raise `NotAttainedError` where weights can shrink for ever."""
        if self.reason:
            raise NotAttainedError(self.reason, nodes=self.dead)


def find_block_attainment(blocks: tuple[NumberedBlock, ...], n: int, exponent: float) -> BlockAttainment:
    """Search blocks, whose ground has the number n.

    Raises
    ------
    UnsupportedError
        If unknowns lie on cycles that no way joins to what is pinned, and back.
    """
    search = _Search(blocks, n, exponent)
    from_ground, to_ground = search.distances(along=True)[:n], search.distances(along=False)[:n]
    live = (from_ground >= 0) & (to_ground >= 0)
    if not live.all():
        search.refuse_cycles(~live)
    dead = tuple(np.flatnonzero(~live & search.touched).tolist())
    reason = _why_not(dead) if dead else ""
    return BlockAttainment(live, dead, reason=reason, from_ground=from_ground, to_ground=to_ground)


def _why_not(dead: tuple[int, ...]) -> str:
    return (
        f"the minimum is not attained: all weights of {len(dead)} unknowns ({some_of(dead)}) can shrink to zero for "
        "ever without changing the function, since no pinned row leads to them, or they lead to no pinned column. "
        "Remedies: on_unattained='prune' leaves them out; or give their weights a value, or pin them (-1)"
    )


class _Search:
    def __init__(self, blocks: tuple[NumberedBlock, ...], n: int, exponent: float) -> None:
        self._blocks, self._n, self._exponent = blocks, n, exponent

    @property
    def touched(self) -> Mask:
        """Unknowns that have a weight."""
        touched = np.zeros(self._n + 1, dtype=bool)
        for one in self._blocks:
            touched[one.tail[one.extent.rows]] = touched[one.head[one.extent.columns]] = True
        return touched[:-1]

    def distances(self, *, along: bool) -> Index:
        """Number of weights on the shortest way from the ground, or to it."""
        distance = np.full(self._n + 1, -1)
        distance[self._n] = steps = 0
        while True:
            here, steps = distance == steps, steps + 1
            for one in self._blocks:
                other = one.head if along else one.tail
                found = other[self._reached(one, here, distance < 0, along)]
                distance[found[distance[found] < 0]] = steps
            if not np.any(distance == steps):
                return distance

    def _reached(self, one: NumberedBlock, here: Mask, wanted: Mask, along: bool) -> Mask:
        """Columns (rows, against the weights) with a weight from (to) an unknown that is here, as far as wanted."""
        near, far = (one.tail, one.head) if along else (one.head, one.tail)
        any_near, any_far = (one.extent.rows, one.extent.columns) if along else (one.extent.columns, one.extent.rows)
        starts, targets = here[near] & any_near, wanted[far] & any_far
        if not (starts.any() and targets.any()):
            return np.zeros(far.size, dtype=bool)
        if np.array_equal(starts, any_near):
            return targets
        return targets & (self._sums(one, starts, along) > 0.0)

    def _sums(self, one: NumberedBlock, starts: Mask, along: bool) -> Array:
        rows, columns = np.zeros(one.tail.size), np.zeros(one.head.size)
        (rows if along else columns)[starts] = 1.0
        by_row, by_column = one.block.products(self._exponent, one.extent.log_largest, rows, columns)
        return by_column if along else by_row

    def refuse_cycles(self, cut_off: Mask) -> None:
        """Take away unknowns that others among them do not lead to, or that lead to none; refuse what remains."""
        left = np.append(cut_off, False)
        while left.any():
            into, out_of = np.zeros_like(left), np.zeros_like(left)
            for one in self._blocks:
                into[one.head[self._reached(one, left, left, along=True)]] = True
                out_of[one.tail[self._reached(one, left, left, along=False)]] = True
            kept = left & into & out_of
            if np.array_equal(kept, left):
                nodes = tuple(np.flatnonzero(left).tolist())
                message = (
                    f"unknowns {some_of(nodes)} lie on cycles, or between cycles, that no way joins to what is pinned "
                    "and back: whether those can be balanced is a problem of its own; give it by itself, with one of "
                    "its unknowns pinned (-1), whose scale is arbitrary"
                )
                raise UnsupportedError(message)
            left = kept
