"""The linear manifold of log-gains that scalings can reach: ``M = {B l}``.

Scaling node i by ``exp(l_i)`` changes the weight of edge j -> i by the factor ``exp(L)`` with the log-gain
``L = l_i - c_j l_j``. Pinned nodes have l = 0; tied nodes share one l; a fixed edge asks ``L = 0``; edges of one shared
parameter have equal L. Ties and fixed edges are solved at the door: every node's log-scale is a *ratio* times the
log-scale of its *coordinate* (a group of nodes that move together). Shared weights then cut a subspace out of the
coordinates, found by sparse elimination. Together: ``l = T u``, ``L = B T u``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._choices import check_choice
from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.errors import InvalidNetworkError
from balance_graph.linear.links import links
from balance_graph.problem._paths import cycle_equations, path_equations
from balance_graph.problem.elimination import clean, consistent_ratios, independent_numbers, null_space
from balance_graph.problem.linear_manifold import LinearManifold
from balance_graph.problem.log_domain import log_sum_by

FORMS = ("nodes", "cycles", "paths")


class Declared(NamedTuple):
    """Constraints on edges, whatever their weights: which are fixed, and the label of the parameter that each is."""

    fixed: Mask
    shared: Index


@dataclass(frozen=True, eq=False, repr=False)
class Manifold(LinearManifold):
    """The linear manifold of the log-gains of one architecture.

    Attributes
    ----------
    tail, head : (n_edges,) integer arrays
        The ends of each edge.
    degree : (n_nodes,) array
        Degree of homogeneity of each node (not used where pinned).
    pinned : (n_nodes,) boolean array
    group : (n_nodes,) integer array or None
        Nodes with equal label are tied; negative means untied.
    fixed : (n_edges,) boolean array or None
    shared : (n_edges,) integer array or None
        Edges with equal label are one parameter; negative means its own.
    declared : Declared or None
        Fixed edges and shared weights, those of weight zero included, which are inert.
    nodes, edges : sequence
        The user's names, in array order; plain indices where there are none.

    See Also
    --------
    manifold : That of a network.
    """

    tail: Index
    head: Index
    degree: Array
    pinned: Mask
    group: Index | None = None
    fixed: Mask | None = None
    shared: Index | None = None
    names: Sequence[Hashable] | None = field(default=None, repr=False)
    declared: Declared | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Manifold({self.n_nodes} nodes, {self.n_nodes - int(self.pinned.sum())} free, {self.n_edges} edges)"

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.pinned.size

    @property
    def n_edges(self) -> int:
        """Number of edges: the length of a vector of log-gains."""
        return self.tail.size

    @property
    def nodes(self) -> Sequence[Hashable]:
        """The nodes, in array order."""
        return range(self.n_nodes) if self.names is None else self.names

    @cached_property
    def edges(self) -> list[tuple[Hashable, Hashable]]:
        """The edges (tail, head), in the row order of every array and matrix."""
        return self.names_of(np.arange(self.n_edges))

    @cached_property
    def free_nodes(self) -> Index:
        """The free nodes: columns of `incidence`, in this order."""
        return np.flatnonzero(~self.pinned)

    def names_of(self, edges: Index) -> list[Any]:
        """The given edges (tail, head), without the names of all."""
        nodes = self.nodes
        return [(nodes[j], nodes[i]) for j, i in zip(self.tail[edges].tolist(), self.head[edges].tolist(), strict=True)]

    def log_gains(self, log_scales: Array, part: slice = slice(None)) -> Array:
        """Log-gain of each edge, ``l_head - c l_tail``, for the log-scales of all nodes."""
        tail, head = self.tail[part], self.head[part]
        return log_scales[head] - self.degree[tail] * log_scales[tail]

    def log_gain_sizes(self, log_scales: Array) -> Array:
        """``|l_head| + c |l_tail|`` of each edge: what the rounding of its log-gain is relative to."""
        size = np.abs(log_scales)
        return size[self.head] + self.degree[self.tail] * size[self.tail]

    def net(self, flows: Array) -> Array:
        """In-flow less degree times out-flow of each node."""
        into = np.bincount(self.head, flows, self.n_nodes)
        return into - self.degree * np.bincount(self.tail, flows, self.n_nodes)

    def log_in_out(self, log_flows: Array) -> tuple[Array, Array]:
        """Logarithms of each node's in-flow and of its degree times its out-flow (a self-loop is in both)."""
        into = log_sum_by(self.head, log_flows, self.n_nodes)
        out_of = log_sum_by(self.tail, log_flows, self.n_nodes) + np.log(self.degree)
        return into, out_of

    def log_sides(self, log_flows: Array) -> tuple[Array, Array]:
        """Logarithms of in-flow and degree times out-flow of each unknown: a free node, or nodes that move together."""
        into, out_of = self.log_in_out(log_flows)
        basis = self.basis.tocoo()
        node, unknown, width = basis.row, basis.col, self.basis.shape[1]
        with np.errstate(divide="ignore"):
            size = np.log(np.abs(basis.data))
        positive = basis.data > 0
        plus = log_sum_by(unknown, size + np.where(positive, into[node], out_of[node]), width)
        minus = log_sum_by(unknown, size + np.where(positive, out_of[node], into[node]), width)
        return plus, minus

    def touched(self, terms: Mask) -> Mask:
        """Nodes at an end of one of the edges."""
        touched = np.zeros(self.n_nodes, dtype=bool)
        touched[self.tail[terms]] = touched[self.head[terms]] = True
        return touched

    @cached_property
    def incidence(self) -> Sparse:
        """The matrix B, shape (n_edges, n_free): +1 at the head, -c at the tail, the sum at a self-loop."""
        return _edge_matrix(self, numbered(~self.pinned), np.ones(self.n_nodes), self.free_nodes.size)

    @cached_property
    def _ties(self) -> tuple[Index, Array, int]:
        return _solve_ties(self)

    @property
    def coordinate(self) -> Index:
        """Coordinate of each node, -1 where its log-scale is zero: pinned, or forced by fixed edges."""
        return self._ties[0]

    @property
    def ratio(self) -> Array:
        """Log-scale of each node in units of its coordinate's; 1 unless fixed edges leave nodes of degree c != 1."""
        return self._ties[1]

    @property
    def n_coordinates(self) -> int:
        """Number of groups of nodes that move together."""
        return self._ties[2]

    @cached_property
    def tied_incidence(self) -> Sparse:
        """B restricted to log-scales that obey ties and fixed edges: (n_edges, n_coordinates)."""
        return _edge_matrix(self, self.coordinate, self.ratio, self.n_coordinates)

    @cached_property
    def subspace(self) -> Sparse | None:
        """Basis of the coordinates that obey shared weights, or None where that is all of them."""
        if self.shared is None or not np.any(self.shared >= 0):
            return None
        basis = null_space(_shared_rows(self) @ self.tied_incidence)
        return None if basis.shape[0] == basis.shape[1] else basis

    @cached_property
    def basis(self) -> Sparse:
        """The matrix T with ``l = T u``, shape (n_nodes, n_unknowns)."""
        rows = np.flatnonzero(self.coordinate >= 0)
        ties = sparse.csr_array(
            (self.ratio[rows], (rows, self.coordinate[rows])), shape=(self.n_nodes, self.n_coordinates)
        )
        return ties if self.subspace is None else sparse.csr_array(ties @ self.subspace)

    @cached_property
    def reduced_incidence(self) -> Sparse:
        """The matrix ``A = B T`` with ``L = A u``, shape (n_edges, n_unknowns)."""
        return self.tied_incidence if self.subspace is None else clean(self.tied_incidence @ self.subspace)

    def restricted(self, edges: Index) -> tuple[Manifold, Index]:
        """The manifold of some edges, and of all others that constrain their log-gains; and the numbers of these."""
        live = np.zeros(self.n_edges, dtype=bool)
        live[edges] = True
        if self.shared is not None:  # every copy of a shared parameter constrains
            live |= (self.shared >= 0) & np.isin(self.shared, self.shared[edges])
        if self.fixed is not None:
            live |= self.fixed
        kept = np.flatnonzero(live)
        manifold = replace(
            self,
            tail=self.tail[kept],
            head=self.head[kept],
            fixed=None if self.fixed is None else self.fixed[kept],
            shared=None if self.shared is None else self.shared[kept],
            declared=None,
        )
        return manifold, kept

    @property
    def is_tied(self) -> bool:
        """Whether the constraints reduce to groups of nodes that move together, one unknown to a group."""
        return bool(np.all(np.diff(self.basis.indptr) <= 1))

    def equations(self, form: str = "cycles", *, max_paths: int = 10_000) -> Sparse:
        """Matrix C, one column per edge, with ``C L = 0`` exactly for the log-gains on the manifold.

        Parameters
        ----------
        form : {"nodes", "cycles", "paths"}
            ``"nodes"``: the log-scales eliminated from ``L = A u``. ``"cycles"``: one equation per non-tree edge of a
            spanning forest, all pinned nodes merged into one ground node. ``"paths"``: along every directed path
            between pinned nodes and every directed cycle, each log-gain weighted by the product of the degrees
            after it (the paper's form); where directed paths and cycles do not suffice (an edge on none of them), the
            missing equations of undirected cycles are appended.
        max_paths : int
            The paths form is refused beyond this number of paths and cycles: they grow exponentially.

        Raises
        ------
        TooManyPathsError
            For more than `max_paths` paths.
        """
        check_form(form)
        if form == "nodes":
            return sparse.csr_array(null_space(sparse.csr_array(self.reduced_incidence.T)).T)
        quotient, extra = self._quotient()
        if form == "cycles":
            return sparse.csr_array(sparse.vstack([cycle_equations(*quotient, self.n_edges), *extra]))
        equations = sparse.vstack([path_equations(*quotient, self.n_edges, max_paths), *extra])
        cycles = sparse.vstack([cycle_equations(*quotient, self.n_edges), *extra])
        return _completed(sparse.csr_array(equations), sparse.csr_array(cycles))

    def _quotient(self) -> tuple[tuple[Index, Index, Array], list[Sparse]]:
        """Tail, head and tail degree with pinned nodes merged to -1 and tied nodes merged; further equations."""
        vertex = np.arange(self.n_nodes)
        if self.group is not None:
            grouped = self.group >= 0
            labels, first = np.unique(self.group[grouped], return_index=True)
            vertex[grouped] = np.flatnonzero(grouped)[first][np.searchsorted(labels, self.group[grouped])]
        vertex[self.pinned] = -1
        extra = []
        if self.fixed is not None and self.fixed.any():
            rows = np.flatnonzero(self.fixed)
            extra.append(
                sparse.csr_array((np.ones(rows.size), (np.arange(rows.size), rows)), shape=(rows.size, self.n_edges))
            )
        if self.shared is not None and np.any(self.shared >= 0):
            extra.append(_shared_rows(self))
        return (vertex[self.tail], vertex[self.head], self.degree[self.tail]), extra

    def obeys(self, log_scales: Array, *, tol: float = 1e-9) -> bool:
        """Whether log-scales of all nodes are zero where pinned and keep ties, fixed edges and shared weights."""
        slack = tol * max(1.0, float(np.abs(log_scales).max(initial=0.0)))
        free = self.coordinate >= 0
        if np.any(np.abs(log_scales[~free]) > slack):
            return False
        coordinates = np.zeros(self.n_coordinates)
        coordinates[self.coordinate[free]] = log_scales[free] / self.ratio[free]
        if np.any(np.abs(log_scales[free] - self.ratio[free] * coordinates[self.coordinate[free]]) > slack):
            return False
        if self.shared is None:
            return True
        return bool(np.all(np.abs(_shared_rows(self) @ (self.tied_incidence @ coordinates)) <= 4 * slack))


def check_form(form: str) -> None:
    """Refuse an unknown form of the manifold."""
    check_choice(form, "form", FORMS)


def _edge_matrix(manifold: Manifold, column: Index, ratio: Array, width: int) -> Sparse:
    """Rows ``ratio[head]`` at the head's column, ``-c ratio[tail]`` at the tail's; columns < 0 are left out."""
    m = manifold.n_edges
    edge = np.arange(m)
    at_head, at_tail = column[manifold.head], column[manifold.tail]
    rows = np.concatenate([edge[at_head >= 0], edge[at_tail >= 0]])
    columns = np.concatenate([at_head[at_head >= 0], at_tail[at_tail >= 0]])
    tail_values = -manifold.degree[manifold.tail] * ratio[manifold.tail]
    values = np.concatenate([ratio[manifold.head][at_head >= 0], tail_values[at_tail >= 0]])
    # Entries that meet (self-loops, edges within a group) are summed, and vanish exactly where they cancel.
    return clean(sparse.csr_array((values, (rows, columns)), shape=(m, width)))


def _shared_rows(manifold: Manifold) -> Sparse:
    """Equations ``L_e - L_first = 0`` over the edges: every shared edge against the first of its label."""
    assert manifold.shared is not None
    first = first_of_label(manifold.shared)
    later = np.flatnonzero((manifold.shared >= 0) & (first != np.arange(manifold.n_edges)))
    row = np.arange(later.size)
    return sparse.csr_array(
        (
            np.concatenate([np.ones(later.size), -np.ones(later.size)]),
            (np.concatenate([row, row]), np.concatenate([later, first[later]])),
        ),
        shape=(later.size, manifold.n_edges),
    )


def first_of_label(labels: Index) -> Index:
    """For each position the first position with the same label; negative labels stand for themselves."""
    first = np.arange(labels.size)
    labeled = np.flatnonzero(labels >= 0)
    _, start, inverse = np.unique(labels[labeled], return_index=True, return_inverse=True)
    first[labeled] = labeled[start][inverse]
    return first


def _solve_ties(manifold: Manifold) -> tuple[Index, Array, int]:
    """Coordinate and ratio of each node under ties and fixed edges, and the number of coordinates.

    Ties (gain 1) and fixed edges (``l_head = c l_tail``) link nodes in components. A component that holds a pinned
    node, or whose gains multiply to something other than 1 around a cycle, has all its log-scales zero.
    """
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    n, pinned = manifold.n_nodes, manifold.pinned
    one, two, gain, tied = _links(manifold)
    if one.size == 0:
        return numbered(~pinned), np.broadcast_to(1.0, n), int((~pinned).sum())
    count, component = csgraph.connected_components(links(one, two, n), directed=False)
    still = np.zeros(count, dtype=bool)
    still[component[pinned]] = True
    ratio, contradictory = consistent_ratios(component, one, two, gain, ~still)
    conflicts = np.flatnonzero(tied & contradictory[component[one]])
    if conflicts.size:
        _raise_tie_conflict(manifold, one[conflicts], two[conflicts])
    free = ~(still | contradictory)[component]
    labels, coordinate = np.unique(component[free], return_inverse=True)
    result = np.full(n, -1)
    result[free] = coordinate
    return result, ratio, labels.size


def numbered(chosen: Mask) -> Index:
    """Numbers from 0 for the chosen nodes in order, -1 for all others; in 32 bits where they fit."""
    number: Index = np.cumsum(chosen, dtype=np.int32 if chosen.size < 2**31 else np.int64)
    number -= number.dtype.type(1)
    number[~chosen] = -1
    return number


def _links(manifold: Manifold) -> tuple[Index, Index, Array, Mask]:
    """Pairs of nodes whose log-scales determine each other: ``l_two = gain * l_one``; and which pairs are ties."""
    one: list[Index] = []
    two: list[Index] = []
    gain: list[Array] = []
    if manifold.group is not None and np.any(manifold.group >= 0):
        first = first_of_label(manifold.group)
        members = np.flatnonzero(first != np.arange(manifold.n_nodes))
        one.append(first[members])
        two.append(members)
        gain.append(np.ones(members.size))
    n_ties = sum(part.size for part in one)
    if manifold.fixed is not None and manifold.fixed.any():
        edges = np.flatnonzero(manifold.fixed)
        one.append(manifold.tail[edges])
        two.append(manifold.head[edges])
        # A pinned tail gives l_head = 0 through its component; its gain says nothing.
        gain.append(np.where(manifold.pinned[one[-1]], 1.0, manifold.degree[one[-1]]))
    if not one:
        empty = np.empty(0, dtype=np.intp)
        return empty, empty, np.empty(0), np.empty(0, dtype=bool)
    ones = np.concatenate(one)
    return ones, np.concatenate(two), np.concatenate(gain), np.arange(ones.size) < n_ties


def _raise_tie_conflict(manifold: Manifold, one: Index, two: Index) -> None:
    a, b = manifold.nodes[one[0]], manifold.nodes[two[0]]
    message = (
        f"nodes {a!r} and {b!r} are tied, but fixed edges between nodes of degree other than 1 force their "
        "common scale to 1; untie them, or give the edges up as fixed"
    )
    raise InvalidNetworkError(message)


def _completed(equations: Sparse, candidates: Sparse) -> Sparse:
    """The equations, and those candidates that do not follow from what stands before them."""
    count = equations.shape[0]
    both = sparse.csr_array(sparse.vstack([equations, candidates]))
    missing = [number for number in independent_numbers(both) if number >= count]
    return sparse.csr_array(both[[*range(count), *missing]])
