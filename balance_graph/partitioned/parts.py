"""Which edges can keep a weight at the minimum: those of paths between pinned nodes, and of cycles apart from these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Index, Mask, Sparse
from balance_graph.partitioned._loops import compiled_loops
from balance_graph.partitioned.frames import Edges
from balance_graph.partitioned.passes import Partitions


class Parts(NamedTuple):
    """The parts of a network, each balanced by itself; edges between two of them can shrink for ever.

    Attributes
    ----------
    part : (n_nodes,) integer array
        0 for nodes on paths from pinned nodes to pinned nodes; from 1 on for those on cycles apart from these, by
        strongly connected components; -1 for others.
    held : integer array
        One node of each part from 1 on, whose scale is arbitrary.
    apart : Edges
        The edges within parts from 1 on.
    """

    part: Index
    held: Index
    apart: Edges

    @classmethod
    def of(cls, partitions: Partitions, pinned: Mask) -> Parts:
        """Those of a network: at most a pass for each edge of the longest shortest path, and two more."""
        is_apart = ~_on_paths(partitions, pinned)
        part: Index = np.where(is_apart, -1, 0).astype(np.int32)
        edges = partitions.folded(_edges_among, _one_after_another, is_apart)
        held = _number_components(edges, part)
        return cls(part, held, _edges_within(edges, part))


def _on_paths(partitions: Partitions, pinned: Mask) -> Mask:
    """The nodes that some path from a pinned node reaches, and that some path leads on to a pinned node."""
    reached = np.stack([pinned, pinned])
    while True:
        before = reached
        reached = partitions.folded(_reached, np.logical_or, before)
        if np.array_equal(reached, before):
            on_paths: Mask = reached[0] & reached[1]
            return on_paths


def _reached(edges: Edges, before: Mask) -> Mask:
    """What is reached forward and backward, and by the edges of a partition from there."""
    reached = before.copy()
    compiled_loops().mark_reached(edges, *reached)
    return reached


def _edges_among(edges: Edges, nodes: Mask) -> Edges:
    """The edges among some nodes, but zero weights and self-loops."""
    tail, head, weight = edges
    among = nodes[tail] & nodes[head] & (weight != 0.0) & (tail != head)
    return Edges(*(values[among] for values in edges))


def _edges_within(edges: Edges, part: Index) -> Edges:
    within = part[edges.tail] == part[edges.head]
    within &= part[edges.tail] > 0
    return Edges(*(values[within] for values in edges))


def _one_after_another(one: Edges, other: Edges) -> Edges:
    return Edges(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def _number_components(edges: Edges, part: Index) -> Index:
    """Number the strongly connected components of edges in `part`, from 1 on; the busiest node of each."""
    from scipy.sparse import csgraph

    nodes, ends = np.unique(np.concatenate([edges.tail, edges.head]), return_inverse=True)
    if nodes.size == 0:
        return nodes
    one, other = np.split(ends.reshape(-1).astype(np.int32), 2)  # older versions of SciPy search no others
    matrix = sparse.csr_array((np.ones(one.size), (one, other)), shape=(nodes.size, nodes.size))
    _, label = csgraph.connected_components(matrix, connection="strong")
    within = np.concatenate([side[label[one] == label[other]] for side in (one, other)])
    busy = np.bincount(within, minlength=nodes.size)
    members = np.flatnonzero(busy)
    labels = np.unique(label[members])
    part[nodes[members]] = 1 + np.searchsorted(labels, label[members])
    order = np.lexsort((busy, label))
    busiest: Index = nodes[order[np.searchsorted(label[order], labels, side="right") - 1]]
    return busiest


def matrix_of(edges: Edges, nodes: Index, exponent: float) -> Sparse:
    """Edges among some nodes, in order, as a matrix; those that come twice as one of the same cost."""
    tail, head = (np.searchsorted(nodes, ends) for ends in edges[:2])
    order = np.lexsort((head, tail))
    tail, head, size = tail[order], head[order], np.abs(edges.weight[order])
    first = np.flatnonzero(np.append(True, (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])))
    largest = np.maximum.reduceat(size, first)
    shares = size / np.repeat(largest, np.diff(np.append(first, size.size)))
    together = largest * np.add.reduceat(shares**exponent, first) ** (1.0 / exponent)
    return sparse.csr_array((together, (tail[first], head[first])), shape=(nodes.size, nodes.size))
