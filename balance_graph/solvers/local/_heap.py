"""A max-heap of the unknowns by their keys, in which each knows its place: one whose key changes moves from there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array, Index


class Heap(NamedTuple):
    """Unknowns in heap order: none has a larger key than the one above it, ``order[(at - 1) // 2]``.

    Attributes
    ----------
    key : (n,) array
        Of each unknown.
    order : (n,) integer array
        The unknown in each place of the heap; the first has the largest key.
    place : (n,) integer array
        The place of each unknown.
    """

    key: Array
    order: Index
    place: Index

    @classmethod
    def of(cls, key: Array) -> Heap:
        """The heap of some keys; of equal ones the first comes first."""
        order = np.argsort(-key, kind="stable")
        return cls(key, order, np.argsort(order))


@compiled
def reorder(heap, k, new):  # type: ignore[no-untyped-def]
    """Give unknown k a new key, and the place that is due to it."""
    old = heap.key[k]
    heap.key[k] = new
    if new > old:
        sift_up(heap, k)
    elif new < old:
        sift_down(heap, k)


@compiled
def sift_up(heap, item):  # type: ignore[no-untyped-def]
    """Move an unknown up to where it belongs."""
    key, order, place = heap
    at = place[item]
    while at > 0:
        above = (at - 1) // 2
        if key[order[above]] >= key[item]:
            break
        order[at] = order[above]
        place[order[at]] = at
        at = above
    order[at] = item
    place[item] = at


@compiled
def sift_down(heap, item):  # type: ignore[no-untyped-def]
    """Move an unknown down to where it belongs."""
    key, order, place = heap
    at = place[item]
    while True:
        below = 2 * at + 1
        if below >= order.size:
            break
        if below + 1 < order.size and key[order[below + 1]] > key[order[below]]:
            below += 1
        if key[order[below]] <= key[item]:
            break
        order[at] = order[below]
        place[order[at]] = at
        at = below
    order[at] = item
    place[item] = at
