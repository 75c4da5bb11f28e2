"""Clusters: sets of unknowns whose inner flows exceed all that enters or leaves them.

In floating point the common shift of such a set (a strong cycle, weakly attached to the rest) is lost in the balance
equations of its members; and long before it is, those equations are far from linear in it. `cluster_basis` finds the
sets, from a maximum spanning tree of the flows, and returns a basis of the unknowns in which each has a shift of its
own; the columns of ``A Z`` for a shift hold exact zeros inside. Sets are nested or disjoint, to any depth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.linear.spanning_forest import largest_spanning_forest
from balance_graph.problem.elimination import ZERO, clean
from balance_graph.problem.log_domain import log_sum_by
from balance_graph.problem.row_ends import RowEnds

# A set earns a shift of its own when its weakest inner link carries this many times all that crosses its border.
# Newton's method needs many steps where a shift that is far off hides behind flows of about its own size: grids with
# weights 10^U(-s, s) take 200 iterations and more with 64 in the place of 1, and 20 with 1, whatever s.
EVERY = 0.0
# A bound rests on a diagonal that outweighs all else in its row, which shifts of sets within sets take away: there only
# those that rounding would lose have columns of their own. Below this ratio less than two digits are lost.
FAR_APART = float(np.log(64.0))


# Members of all sets, per unknown, up to which they are listed: thousands of leaves of a hub can be nested one by one.
_MOST_MEMBERS = 100


class Links(NamedTuple):
    """The rows of A that scales move, as links between two unknowns, or one and the ground.

    Attributes
    ----------
    one, two : (n_links,) integer arrays
        Ends; the number of unknowns stands for the ground.
    gain : (n_links,) array
        A link stays as it is where ``shift[two] = gain * shift[one]``; NaN at the ground.
    size : int
        Number of unknowns.
    """

    one: Index
    two: Index
    gain: Array
    size: int

    @classmethod
    def of(cls, matrix: Sparse) -> Links | None:
        """The links of a matrix; None where a row has more than two entries."""
        ends, size = RowEnds.of(matrix), matrix.shape[1]
        if size < 2 or ends is None:
            return None
        gain = np.full(ends.one.size, np.nan)
        both = np.flatnonzero(ends.second)
        gain[both] = ends.take(both).gain
        return cls(ends.one.astype(np.intp), ends.two.astype(np.intp), gain, size)


def cluster_basis(links_of: Links, log_slopes: Array, log_ratio: float = EVERY) -> Sparse | None:
    """Basis Z, shape (n, n), of the unknowns with one column per cluster; None where there is no cluster.

    Parameters
    ----------
    links_of : Links
    log_slopes : (n_links,) array
        Logarithms of the flows.
    log_ratio : float
        `EVERY` or `FAR_APART`: by how much inner links must exceed what crosses a border.
    """
    forest = _spanning_forest(links_of, log_slopes)
    sets = _Sets.of(forest, links_of.size, log_ratio)
    if not sets.number.size or sets.n_members > _MOST_MEMBERS * links_of.size:
        return None
    log_across = _log_flows_across(sets, links_of, log_slopes)
    kept = sets.log_weakest - log_across[links_of.size + 1 :] > log_ratio
    ratio = np.ones(links_of.size)
    if np.any(links_of.gain[~np.isnan(links_of.gain)] != 1.0):
        ratio = _ratios(forest, links_of)
        kept &= _are_free(sets, links_of, ratio)
    if not kept.any():
        return None
    return _basis(sets.only(kept), ratio, np.append(log_across[: links_of.size], log_across[links_of.size + 1 :][kept]))


class _Forest(NamedTuple):
    """Links of a maximum spanning forest, strongest first."""

    link: Index
    one: Index
    two: Index
    level: Array


def _spanning_forest(at: Links, log_slopes: Array) -> _Forest:
    link = largest_spanning_forest(at.one, at.two, at.size + 1, log_slopes)
    return _Forest(link, at.one[link], at.two[link], log_slopes[link])


class _Sets(NamedTuple):
    """Sets that a forest joins at a level above that at which they meet anything else.

    Attributes
    ----------
    number : (n_sets,) integer array
        Place in the order of joining: of two sets that share members, the later holds the earlier.
    log_weakest : (n_sets,) array
        Logarithm of the weakest link that joins each.
    parent : (n + 1 + n_sets,) integer array
        The least set, counted from n + 1 on, that holds each unknown, the ground and each set; itself where none does.
    """

    number: Index
    log_weakest: Array
    parent: Index

    @property
    def n_points(self) -> int:
        """Number of unknowns and the ground."""
        return self.parent.size - self.number.size

    @classmethod
    def of(cls, forest: _Forest, ground: int, log_ratio: float) -> _Sets:
        """All sets of a forest whose inner links exceed the strongest link to anything else by so much."""
        joined, upper = _joined(forest, ground)
        level = np.append(np.full(ground + 1, np.inf), forest.level)
        log_met = np.where(upper == np.arange(upper.size), -np.inf, level[upper])
        wanted = ~joined & (level - log_met > log_ratio)
        wanted[: ground + 1] = False
        return cls._chosen(wanted, upper, level, ground + 1)

    @classmethod
    def _chosen(cls, wanted: Mask, upper: Index, level: Array, n_points: int) -> _Sets:
        """The sets that are wanted, in a tree of all joins."""
        upper = upper.copy()
        while True:  # the next set above that is wanted, or the last one
            further = np.where(wanted[upper], upper, upper[upper])
            if np.array_equal(further, upper):
                break
            upper = further
        number = np.flatnonzero(wanted)
        place = np.full(upper.size, -1)
        place[number] = n_points + np.arange(number.size)
        of_these = np.concatenate([np.arange(n_points), number])
        above = place[upper[of_these]]
        return cls(number, level[number], np.where(above < 0, np.arange(of_these.size), above))

    @property
    def n_members(self) -> int:
        """Of all sets together: how many sets hold each unknown, added up."""
        holder = self.parent.copy()
        depth = (holder != np.arange(holder.size)).astype(np.intp)
        while depth[holder].any():  # twice as far up each time
            depth, holder = depth + depth[holder], holder[holder]
        return int(depth[: self.n_points].sum())

    def only(self, kept: Mask) -> _Sets:
        """Some of the sets."""
        wanted = np.append(np.zeros(self.n_points, dtype=bool), kept)
        return self._chosen(wanted, self.parent, np.append(np.zeros(self.n_points), self.log_weakest), self.n_points)


def _joined(forest: _Forest, ground: int) -> tuple[Mask, Index]:
    """Whether each point and each join of a forest holds the ground, and the next join that holds it (or itself)."""
    n_points = ground + 1
    root = list(range(n_points))  # of trees of points
    top = list(range(n_points))  # the last join of each root
    upper = list(range(n_points + forest.link.size))
    for join, (one, two) in enumerate(zip(forest.one.tolist(), forest.two.tolist(), strict=True), start=n_points):
        a, b = one, two
        while root[a] != a:
            root[a] = a = root[root[a]]
        while root[b] != b:
            root[b] = b = root[root[b]]
        upper[top[a]] = upper[top[b]] = join
        root[a] = b
        top[b] = join
    up = np.array(upper)
    holds = np.zeros(up.size, dtype=bool)
    at = ground
    while not holds[at]:
        holds[at] = True
        at = upper[at]
    return holds, up


def _log_flows_across(sets: _Sets, at: Links, log_slopes: Array) -> Array:
    """Logarithm of the sum of all flows between each unknown, the ground and each set, and anything else.

    Each link is followed upwards from both ends until the sets that hold them are the same.
    """
    one, two = at.one, at.two
    flow = np.flatnonzero(one != two)
    one, two = one[flow], two[flow]
    crossed, flows = [], []
    last = sets.parent.size
    parent = np.where(sets.parent == np.arange(last), last, sets.parent)
    parent = np.append(parent, last)
    while flow.size:
        # A set never holds an earlier one's end without holding that set: the lower number is the one that is left.
        lower = np.minimum(one, two)
        crossed.append(lower)
        flows.append(log_slopes[flow])
        one, two = np.where(one == lower, parent[one], one), np.where(two == lower, parent[two], two)
        still = one != two
        one, two, flow = one[still], two[still], flow[still]
    if not crossed:
        return np.full(last, -np.inf)
    return log_sum_by(np.concatenate(crossed), np.concatenate(flows), last)


def _ratios(forest: _Forest, at: Links) -> Array:
    """How unknowns that the forest joins move together, so that every link of it stays; the ground has no part."""
    neighbors: list[list[tuple[int, float]]] = [[] for _ in range(at.size)]
    for link in forest.link.tolist():
        one, two, gain = int(at.one[link]), int(at.two[link]), float(at.gain[link])
        if max(one, two) < at.size:
            neighbors[one].append((two, gain))
            neighbors[two].append((one, 1.0 / gain))
    ratio = np.zeros(at.size)
    for start in range(at.size):
        if ratio[start] != 0.0:
            continue
        ratio[start], stack = 1.0, [start]
        while stack:
            one = stack.pop()
            for two, gain in neighbors[one]:
                if ratio[two] == 0.0:
                    ratio[two] = ratio[one] * gain
                    stack.append(two)
    return ratio


def _are_free(sets: _Sets, at: Links, ratio: Array) -> Mask:
    """Whether each set can move in the ratios of its unknowns so that every link inside stays."""
    inner = np.flatnonzero(~np.isnan(at.gain))
    one, two = at.one[inner], at.two[inner]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        holds = np.abs(ratio[two] - at.gain[inner] * ratio[one]) <= ZERO * np.abs(ratio[two])
    broken = ~holds
    one, two = one[broken], two[broken]
    last = sets.parent.size
    parent = np.append(np.where(sets.parent == np.arange(last), last, sets.parent), last)
    tied = np.zeros(last + 1, dtype=bool)
    while one.size:
        lower = np.minimum(one, two)
        one, two = np.where(one == lower, parent[one], one), np.where(two == lower, parent[two], two)
        met = one == two
        tied[one[met]] = True
        one, two = one[~met], two[~met]
    for number in range(sets.n_points, last):  # whatever holds such a set is no freer
        if tied[number]:
            tied[parent[number]] = True
    return ~tied[sets.n_points : last]


def _basis(sets: _Sets, ratio: Array, log_across: Array) -> Sparse:
    """Columns: each set's shift and the single unknowns, less one child of each set.

    In each set one child (an unknown or a smaller set) gives up its own column: the set's shift together with the other
    children's spans the same. It is the one that exchanges most: its balance follows from those of the others, up to
    rounding of what they exchange.
    """
    n, n_points = ratio.size, sets.n_points
    parent = np.delete(sets.parent, n)
    parent = np.where(parent >= n_points, parent - 1, parent)
    column = np.arange(parent.size)
    children = np.flatnonzero(parent != column)
    order = children[np.lexsort((log_across[children], parent[children]))]
    last = np.append(parent[order][1:] != parent[order][:-1], True)
    kept = np.ones(parent.size, dtype=bool)
    kept[order[last]] = False
    member, holder = np.arange(n), np.arange(n)
    members, holders = [], []
    while member.size:
        members.append(member[kept[holder]])
        holders.append(holder[kept[holder]])
        above = parent[holder]
        inside = above != holder
        member, holder = member[inside], above[inside]
    rows, columns = np.concatenate(members), np.concatenate(holders)
    # Each shift in units of one of its unknowns.
    unit = np.ones(parent.size)
    unit[columns] = ratio[rows]
    values = np.where(columns < n, 1.0, ratio[rows] / unit[columns])
    place = np.cumsum(kept) - 1
    return sparse.csr_array(sparse.coo_array((values, (rows, place[columns])), shape=(n, n)))


def in_basis(matrix: Sparse, basis: Sparse) -> Sparse:
    """``A Z``, with the entries that cancel inside a cluster exactly zero."""
    return clean(matrix @ basis)
