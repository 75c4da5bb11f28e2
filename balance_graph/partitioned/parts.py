"""Which edges can keep a weight at the minimum: those of paths between pinned nodes, and of cycles apart from these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Index, Mask
from balance_graph.partitioned.frames import Edges
from balance_graph.partitioned.passes import Partitions

# Farther than any way through a network.
_FAR = 2**30


class Parts(NamedTuple):
    """The parts of a network, each balanced by itself; edges between two of them can shrink for ever.

    Attributes
    ----------
    part : (n_nodes,) integer array
        0 for nodes on paths from pinned nodes to pinned nodes; from 1 on for those on cycles apart from these, by
        strongly connected components; -1 for others.
    held : integer array
        One node of each part from 1 on, whose scale is arbitrary.
    from_ground, to_ground : (n_nodes,) integer arrays
        Number of edges on the shortest way from a pinned node, or one that is held, and to one; -1 where there is none.
    """

    part: Index
    held: Index
    from_ground: Index
    to_ground: Index

    @classmethod
    def of(cls, partitions: Partitions, pinned: Mask) -> Parts:
        """Those of a network: at most a pass for each edge of the longest shortest path, and one more."""
        forth, back = _distances(partitions, pinned)
        is_apart = (forth == _FAR) | (back == _FAR)
        part: Index = np.where(is_apart, -1, 0).astype(np.int32)
        held: Index = np.zeros(0, dtype=np.intp)
        if is_apart.any():
            tail, head = partitions.folded(_edges_among, _one_after_another, is_apart)
            held = _find_parts(tail, head, part, (forth, back))
        return cls(part, held, *(np.where(part < 0, -1, one) for one in (forth, back)))


def _distances(partitions: Partitions, pinned: Mask) -> tuple[Index, Index]:
    """From the pinned nodes and to them."""
    forth: Index = np.where(pinned, 0, _FAR).astype(np.int32)
    back = forth
    while True:
        before = forth, back
        forth, back = partitions.folded(_shortened, _least, *before)
        if np.array_equal(forth, before[0]) and np.array_equal(back, before[1]):
            return before


def _shortened(edges: Edges, forth: Index, back: Index) -> tuple[Index, Index]:
    from balance_graph.partitioned import _kernels as kernels  # compiled loops: slow to load

    forth, back = forth.copy(), back.copy()
    kernels.shorten(edges, forth, back)
    return forth, back


def _least(one: tuple[Index, Index], other: tuple[Index, Index]) -> tuple[Index, Index]:
    return np.minimum(one[0], other[0]), np.minimum(one[1], other[1])


def _edges_among(edges: Edges, nodes: Mask) -> tuple[Index, Index]:
    """Tails and heads of the edges among some nodes, but zero weights and self-loops."""
    tail, head, weight = edges
    among = nodes[tail] & nodes[head] & (weight != 0.0) & (tail != head)
    return tail[among], head[among]


def _one_after_another(one: tuple[Index, Index], other: tuple[Index, Index]) -> tuple[Index, Index]:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])


def _find_parts(tail: Index, head: Index, part: Index, distances: tuple[Index, Index]) -> Index:
    """Number the parts that edges make, and set the distances in them; the busiest node of each, which is held."""
    from scipy.sparse import csgraph

    nodes, ends = np.unique(np.concatenate([tail, head]), return_inverse=True)
    if nodes.size == 0:
        return nodes
    one, other = np.split(ends.reshape(-1).astype(np.int32), 2)  # older versions of SciPy search no others
    shape = (nodes.size, nodes.size)
    _, label = csgraph.connected_components(
        sparse.csr_array((np.ones(one.size), (one, other)), shape=shape), connection="strong"
    )
    within = label[one] == label[other]
    one, other = one[within], other[within]
    busy = np.bincount(one, minlength=nodes.size) + np.bincount(other, minlength=nodes.size)
    labels = np.unique(label[busy > 0])
    order = np.lexsort((-np.arange(nodes.size), busy, label))
    held = order[np.searchsorted(label[order], labels, side="right") - 1]
    members = np.flatnonzero(busy > 0)
    part[nodes[members]] = 1 + np.searchsorted(labels, label[members])
    along = sparse.csr_array((np.ones(one.size), (one, other)), shape=shape)
    for values, way in zip(distances, (along, along.T), strict=True):
        steps = csgraph.dijkstra(sparse.csr_array(way), indices=held, unweighted=True, min_only=True)
        values[nodes[members]] = steps[members].astype(np.int32)
    return nodes[held]
