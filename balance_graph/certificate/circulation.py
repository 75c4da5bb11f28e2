"""A circulation near given flows: those of a tree of the strongest rows are set so that all is balanced, exactly.

Rows of at most two entries are the links of a graph, whose root is the ground. In a maximum spanning tree every row is
the strongest that crosses the cut between what lies below it and the rest. So what it has to carry to balance that cut
is a sum of flows none of which is larger than its own, and its rounding is small beside it, however strong the flows
are that cancel below. Nothing is subtracted on the way: what enters and what leaves each cut are summed apart, over the
paths along the tree between the ends of all other rows, which are cut into stretches of 1, 2, 4, ... rows.

Where nodes have degrees, each equation of the part below counts with a factor, such that the rows of the tree inside
cancel; factors are powers of two, which no rounding touches. A row whose ends do not cancel then adds to all cuts up to
the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.certificate import rounding
from balance_graph.linear.spanning_forest import largest_spanning_forest
from balance_graph.problem.row_ends import RowEnds

# What underflows is less than this beside the least flow of a path, however many there are.
LOST = 1e-280


class Circulation(NamedTuple):
    """Flows ``y (1 + change)`` of rows that lie within ``y * width`` of a circulation.

    Attributes
    ----------
    change, width : (n_rows,) arrays
    """

    change: Array
    width: Array


def circulation_near(
    ends: RowEnds, size: int, log_flows: Array, change: Array, log_ratio: Array | float = 0.0
) -> Circulation | None:
    """The circulation that has the flows ``y (1 + change)`` on all rows but those of a tree.

    Parameters
    ----------
    ends : RowEnds
        Of the rows, which are no self-loops; `size` is the ground.
    size : int
        Number of unknowns.
    log_flows : (n_rows,) array
        Logarithms of y, exact as they stand.
    change : (n_rows,) array
        Above -1.
    log_ratio : (n_rows,) array or 0
        Logarithm of the ratio of curvature to slope: flows that hardly change with the log-gain are left alone.

    Returns
    -------
    Circulation or None
        None where some unknown is not joined to the ground, or ratios of degrees along the tree are not powers of two.
        Flows of the tree may come out negative.
    """
    tree = _Tree.of(ends, size, log_flows + log_ratio)
    if tree is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # factors of degrees can make sums leave the range of floats
        return _on_tree(tree, ends, log_flows, change)


def _on_tree(tree: _Tree, ends: RowEnds, log_flows: Array, change: Array) -> Circulation:
    log_values = log_flows + np.log1p(change)
    sums = _Sums.over_cuts(tree, ends, log_values)
    node, row = tree.node, tree.row
    signed = -np.sign(tree.entry) * tree.sign[node] * (sums.positive - sums.negative)[node]
    all_of_it = (sums.positive + sums.negative)[node] + LOST
    changes, widths = change.copy(), np.zeros(change.size)
    changes[row] = (1.0 + change[row]) * signed - 1.0
    of_changes = 4.0 * rounding.EPS * (1.0 + np.abs(changes[row]))
    widths[row] = (1.0 + change[row]) * (sums.rounding * all_of_it + LOST) + of_changes
    return Circulation(changes, widths)


@dataclass(frozen=True)
class _Tree:
    """A spanning tree with the ground as root.

    Attributes
    ----------
    node, row, entry : (size,) arrays
        All unknowns; the row of the tree between each and its parent; what it has at the unknown.
    above : list of (size + 1,) integer arrays
        The node 1, 2, 4, ... rows above each, the root at most.
    depth : (size + 1,) integer array
    twos, sign : (size + 1,) arrays
        Exponent of two, and sign, of the factor of each equation.
    """

    node: Index
    row: Index
    entry: Array
    above: list[Index]
    depth: Index
    twos: Array
    sign: Array

    @classmethod
    def of(cls, ends: RowEnds, size: int, log_strength: Array) -> _Tree | None:
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        from balance_graph.linear.links import links

        row = largest_spanning_forest(ends.one, ends.two, size + 1, log_strength)
        if row.size < size:
            return None
        graph = links(ends.one[row].astype(np.intp), ends.two[row].astype(np.intp), size + 1)
        _, parent = csgraph.breadth_first_order(graph, size, directed=False)
        parent = parent.astype(np.intp)
        parent[size] = size
        is_one = parent[ends.one[row]] == ends.two[row]
        is_one &= ends.one[row] != size
        node = np.where(is_one, ends.one[row], ends.two[row]).astype(np.intp)
        here = np.where(is_one, ends.first[row], ends.second[row])
        there = np.where(is_one, ends.second[row], ends.first[row])
        ratio = np.ones(size + 1)
        inner = parent[node] != size
        ratio[node[inner]] = -there[inner] / here[inner]
        mantissa, twos = np.frexp(np.abs(ratio))
        if np.any(mantissa != 0.5):
            return None
        return cls(node, row, here, *_paths(parent, twos - 1.0, ratio < 0.0))


def _paths(parent: Index, twos: Array, is_negative: Mask) -> tuple[list[Index], Index, Array, Array]:
    """What lies above each node, its depth, and sums of exponents and products of signs on the way to the root."""
    root = parent.size - 1
    above, depth = [parent], (parent != np.arange(parent.size)).astype(np.intp)
    negatives = is_negative.astype(np.intp)
    while not np.all(above[-1] == root):
        up = above[-1]
        depth, twos, negatives = depth + depth[up], twos + twos[up], negatives + negatives[up]
        above.append(up[up])
    return above, depth, twos, np.where(negatives % 2 == 1, -1.0, 1.0)


class _Sums(NamedTuple):
    """Of each unknown, beside the flow of the row above it: all that crosses the cut, by sign; and its relative error.

    Of the equations below the cut, with their factors, rows inside have cancelled.
    """

    positive: Array
    negative: Array
    rounding: float

    @classmethod
    def over_cuts(cls, tree: _Tree, ends: RowEnds, log_values: Array) -> _Sums:
        stretches = _Stretches.of(tree, ends, log_values)
        of_tree = np.zeros(tree.depth.size)
        of_tree[tree.node] = log_values[tree.row] + np.log(np.abs(tree.entry)) + tree.twos[tree.node] * np.log(2.0)
        of_tree[-1] = np.inf
        weakest = [of_tree]
        for up in tree.above[:-1]:
            weakest.append(np.minimum(weakest[-1], weakest[-1][up]))
        sums = np.zeros((2, of_tree.size))
        for level in range(len(tree.above) - 1, -1, -1):
            stretches.add(level, tree.above[level], weakest[level], sums)
            if level > 0:
                sums = _halved(sums, tree.above[level - 1], weakest[level], weakest[level - 1])
        largest = max(float(np.abs(of_tree[:-1]).max(initial=0.0)), stretches.largest)
        one = rounding.of_exponential(4.0 + 3.0 * largest)
        levels = len(tree.above)
        return cls(sums[0], sums[1], (levels + 2) * one + rounding.EPS * (stretches.node.size + 4 * levels + 8))


def _halved(sums: Array, up: Index, weakest: Array, weakest_of_half: Array) -> Array:
    """What crosses stretches as sums over their halves, in units of the weakest row of each."""
    parts = np.zeros_like(sums)
    there = np.flatnonzero(sums.any(axis=0))
    for half in (there, up[there]):
        share = np.exp(weakest[there] - weakest_of_half[half])
        for sign in (0, 1):
            parts[sign] += np.bincount(half, sums[sign, there] * share, minlength=up.size)
    return parts


class _Stretches:
    """Parts of paths upwards that are not added yet: where each begins, how many rows it has, what crosses them."""

    def __init__(self, node: Index, length: Index, log_size: Array, is_negative: Mask) -> None:
        self.node, self.length, self.log_size, self.is_negative = node, length, log_size, is_negative
        self.largest = float(np.abs(log_size).max(initial=0.0))

    @classmethod
    def of(cls, tree: _Tree, ends: RowEnds, log_values: Array) -> _Stretches:
        """The paths from both ends of every row that is not in the tree, and to the root where they do not cancel."""
        other = np.ones(log_values.size, dtype=bool)
        other[tree.row] = False
        rows = np.flatnonzero(other)
        one, two = ends.one[rows].astype(np.intp), ends.two[rows].astype(np.intp)
        top = _lowest_common(tree, one, two)
        root = tree.depth.size - 1
        at_one = np.where(one == root, 0.0, ends.first[rows] * tree.sign[one])
        at_two = np.where(two == root, 0.0, ends.second[rows] * tree.sign[two])
        log_one, log_two = tree.twos[one] * np.log(2.0), tree.twos[two] * np.log(2.0)
        with np.errstate(over="ignore", invalid="ignore"):
            both = at_one + at_two * np.exp2(tree.twos[two] - tree.twos[one])
        both = np.where(one == root, 0.0, np.where(two == root, 0.0, both))
        parts = [
            (one, tree.depth[one] - tree.depth[top], at_one, log_one),
            (two, tree.depth[two] - tree.depth[top], at_two, log_two),
            (top, tree.depth[top], both, log_one),
        ]
        with np.errstate(divide="ignore"):
            found = [(node, length, log + np.log(np.abs(a)) + log_values[rows], a) for node, length, a, log in parts]
        node, length, log_size, amount = (np.concatenate(column) for column in zip(*found, strict=True))
        kept = (length > 0) & (amount != 0.0)
        return cls(node[kept], length[kept], log_size[kept], amount[kept] < 0.0)

    def add(self, level: int, up: Index, weakest: Array, sums: Array) -> None:
        """Add to the sums over stretches of 2**level rows those that paths begin with, and shorten the paths."""
        now = np.flatnonzero(self.length >= 2**level)
        node = self.node[now]
        with np.errstate(over="ignore"):
            share = np.exp(self.log_size[now] - weakest[node])
        is_negative = self.is_negative[now]
        for sign, chosen in enumerate((~is_negative, is_negative)):
            sums[sign] += np.bincount(node[chosen], share[chosen], minlength=up.size)
        self.node[now], self.length[now] = up[node], self.length[now] - 2**level


def _lowest_common(tree: _Tree, one: Index, two: Index) -> Index:
    """The lowest node that is above both, or one of them."""
    lower = np.where(tree.depth[one] >= tree.depth[two], one, two)
    upper = one + two - lower
    for level in range(len(tree.above) - 1, -1, -1):
        far = tree.depth[lower] - tree.depth[upper] >= 2**level
        lower = np.where(far, tree.above[level][lower], lower)
    for up in reversed(tree.above):
        apart = up[lower] != up[upper]
        lower, upper = np.where(apart, up[lower], lower), np.where(apart, up[upper], upper)
    return np.where(lower == upper, lower, tree.above[0][lower])
