"""The live part of a large network as edge lists: by tail and by head, with logarithms of the edge costs.

Unknowns are the free nodes, or groups of tied ones, 0 .. n-1. The *ground* n stands for all that is held: pinned nodes,
and one unknown of every part that holds no pinned node. What is dead has no edges here.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph import _network_kernels as kernels
from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.log_domain import log_sum
from balance_graph.problem import BalanceProblem
from balance_graph.regularizers import Lp

# Costs within a factor e^600 of each other: times numbers up to 2^256, they are still in the range of floats.
_SPREAD = 600.0


class EdgeList(NamedTuple):
    """Edges by row: those of row i are ``start[i] : start[i + 1]``."""

    start: Index
    column: Index
    value: Array

    def tosparse(self) -> Sparse:
        """The list as a scipy sparse array, whose indices must be signed."""
        return sparse_rows(self.start, self.column, self.value)


def sparse_rows(start: Index, column: Index, value: Array) -> Sparse:
    """A square scipy sparse array in CSR form from unsigned indices."""
    signed = np.int32 if column.size < 2**31 else np.int64
    shape = (start.size - 1, start.size - 1)
    return sparse.csr_array((value, column.astype(signed), start.astype(signed)), shape=shape)


@dataclass(frozen=True, eq=False)
class Numbering:
    """Which unknown each node belongs to, and which part of the network.

    Attributes
    ----------
    unknown : (n_nodes,) integer array
        `size` for the ground.
    size : int
        Number of unknowns.
    part : (n_nodes,) integer array, or None where all nodes are in one part
        Edges between parts are dead.
    held : integer array
        One node of every unknown that is held though it is not pinned.
    """

    unknown: Index
    size: int
    part: Index | None
    held: Index

    @classmethod
    def of(cls, problem: BalanceProblem) -> Numbering | None:
        """All unknowns, or None where log-scales of nodes that move together are not equal."""
        at = problem.manifold
        if at.subspace is not None or np.any(at.ratio != 1.0):
            return None
        unknown = np.where(at.coordinate < 0, at.n_coordinates, at.coordinate).astype(np.uint32)
        return cls(unknown, at.n_coordinates, None, np.empty(0, dtype=np.intp))

    def holding(self, held: Index, drop: Mask, part: Index | None) -> Numbering:
        """The unknowns of some nodes held, others dropped: all of these become ground."""
        still = np.append(drop, False)
        still[self.unknown[held]] = True  # those held before are ground already
        still = still[:-1]
        number = np.where(still, 0, np.cumsum(~still) - 1)
        size = int((~still).sum())
        number = np.where(still, size, number).astype(np.uint32)
        return Numbering(np.append(number, np.uint32(size))[self.unknown], size, part, held)


@dataclass(frozen=True, eq=False)
class LiveNetwork:
    """The live edges of a problem with one power per edge, all of one exponent.

    Attributes
    ----------
    problem : BalanceProblem
    numbering : Numbering
    degree : (size + 1,) array
        Degree of each unknown, 1 for the ground.
    exponent : float
    spread : float
        Logarithm of the ratio of the largest cost to the least.
    log_unit : float or None
        Costs in the lists are in units of its exponential; None where they are too far apart, and kept as logarithms.
    outward, inward : EdgeList
        Edges by tail and by head, with their costs at log-scales zero.
    from_ground, to_ground : (size + 1,) integer arrays
        Distances along and against the edges, -1 where there is no way.
    forward, backward : (size + 1,) arrays
        Accumulated log costs along and against the edges, see `accumulated_costs`; with degrees 1 only.
    """

    problem: BalanceProblem
    numbering: Numbering
    degree: Array
    exponent: float
    spread: float
    log_unit: float | None
    outward: EdgeList
    inward: EdgeList
    from_ground: Index
    to_ground: Index
    forward: Array
    backward: Array

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.numbering.size

    @property
    def costs(self) -> tuple[Index, Array, Array, float]:
        """What the compiled loops read the cost of an edge from: parts, log-weights, log coefficients, exponent."""
        return _costs(self.problem, self.numbering)

    @property
    def log_constant(self) -> float:
        """Logarithm of the cost of the live edges that no scale moves."""
        if self.outward.column.size == self.problem.n_edges:
            return -np.inf
        problem, edges = self.problem, np.flatnonzero(self._kinds[0] == 1)
        return log_sum(self.exponent * problem.log_weight[edges] + problem.log_coefficient[edges])

    @cached_property
    def _kinds(self) -> tuple[Array, Mask]:
        """Whether each edge is moved, still, dead or zero (0 to 3), and whether each node has live edges."""
        part = self.costs[0]
        kinds: tuple[Array, Mask] = kernels.kinds_of_edges(
            *end_nodes(self.problem), self.numbering.unknown, part, self.problem.log_weight
        )
        return kinds

    @property
    def dead(self) -> Index:
        """The edges of nonzero weight that are dead."""
        return np.flatnonzero(self._kinds[0] == 2) if self.numbering.part is not None else np.empty(0, dtype=np.intp)

    @property
    def gauges(self) -> Index:
        """One node of every group that is held, or left out, though not pinned, and has live edges (a self-loop, say).

        Their common scales are arbitrary: no weight depends on them.
        """
        coordinate = self.problem.manifold.coordinate
        loose = (self.numbering.unknown == self.size) & (coordinate >= 0)
        if not loose.any():
            return np.empty(0, dtype=np.intp)
        nodes = np.flatnonzero(loose & self._kinds[1])
        return nodes[np.unique(coordinate[nodes], return_index=True)[1]]

    def expand(self, values: Array) -> Array:
        """Log-scales of all nodes from those of the unknowns."""
        return np.append(values, 0.0)[self.numbering.unknown]

    def restrict(self, log_scales: Array) -> Array:
        """Log-scales of the unknowns from those of all nodes."""
        values = np.zeros(self.size + 1)
        values[self.numbering.unknown] = log_scales
        return values[:-1]

    @classmethod
    def of(cls, problem: BalanceProblem, pool: Executor) -> LiveNetwork | None:
        """The live network, or None where the problem does not have this form.

        None also for degrees other than 1 where a cycle is cut off from the pinned nodes: whether it can be balanced
        is then more than a search; and for shared weights, which count once.
        """
        shared = problem.manifold.shared
        if not isinstance(problem.regularizer, Lp) or problem.exponent is not None:
            return None
        if shared is not None and np.any(shared >= 0):
            return None
        numbering = Numbering.of(problem)
        degree = None if numbering is None else _degrees(problem, numbering)
        if numbering is None or degree is None:
            return None
        is_linear = bool(np.all(degree == 1.0))
        if not np.any(numbering.unknown == numbering.size):
            if not is_linear:
                return None
            numbering = numbering.holding(_busiest(problem), np.zeros(numbering.size, dtype=bool), None)
        network = cls._compiled(problem, numbering, pool)
        cut_off = (network.from_ground < 0) | (network.to_ground < 0)
        if not cut_off.any():
            return network
        numbering = _in_parts(network, cut_off[:-1])
        if numbering.held.size and not is_linear:
            return None
        if numbering.held.size == network.numbering.held.size:
            return network.without(cut_off, numbering)
        return cls._compiled(problem, numbering, pool)

    def without(self, drop: Mask, numbering: Numbering) -> LiveNetwork:
        """The network without some unknowns that no path to or from the ground goes through, its lists taken over."""
        number = np.where(drop, -1, np.cumsum(~drop) - 1).astype(np.int32)
        keep = ~drop
        return replace(
            self,
            numbering=numbering,
            degree=self.degree[keep],
            outward=EdgeList(*kernels.without(*self.outward, number, numbering.size)),
            inward=EdgeList(*kernels.without(*self.inward, number, numbering.size)),
            from_ground=self.from_ground[keep],
            to_ground=self.to_ground[keep],
            forward=self.forward[keep],
            backward=self.backward[keep],
        )

    @classmethod
    def _compiled(cls, problem: BalanceProblem, numbering: Numbering, pool: Executor) -> LiveNetwork:
        ends, costs = end_nodes(problem), _costs(problem, numbering)
        # A matrix has two entries for each edge: those must be counted as well.
        starts = np.zeros((2, numbering.size + 2), dtype=np.uint32 if problem.n_edges < 2**31 else np.uint64)
        back = pool.submit(kernels.edge_list, starts[1], *ends[::-1], numbering.unknown, *costs)
        *outward, least, largest = kernels.edge_list(starts[0], *ends, numbering.unknown, *costs)
        one, other = EdgeList(starts[0], *outward), EdgeList(starts[1], *back.result()[:2])
        log_unit = _unit(least, largest)
        degree = _degrees(problem, numbering)
        assert degree is not None
        backwards = pool.submit(_accumulate, other, one, log_unit, bool(np.all(degree == 1.0)))
        forward, from_ground = _accumulate(one, other, log_unit, bool(np.all(degree == 1.0)))
        backward, to_ground = backwards.result()
        return cls(
            problem,
            numbering,
            degree,
            costs[-1],
            largest - least,
            log_unit,
            one,
            other,
            from_ground,
            to_ground,
            forward,
            backward,
        )


def _in_parts(network: LiveNetwork, cut_off: Mask) -> Numbering:
    """The numbering with one unknown held in every live part that the ground does not reach; the rest dropped."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    members = np.flatnonzero(cut_off)
    inner = network.outward.tosparse()[members][:, members]
    count, label = csgraph.connected_components(inner, directed=True, connection="strong")
    busy = (np.diff(network.outward.start) + np.diff(network.inward.start))[members]
    lone = np.bincount(label, minlength=count)[label] == 1
    order = np.lexsort((busy, label))
    last = np.append(label[order][1:] != label[order][:-1], True)
    chosen = order[last & ~lone[order]]
    part = np.zeros(network.size + 1, dtype=np.int32)
    part[members] = label + 1
    first_node = np.full(network.size + 1, -1)
    first_node[network.numbering.unknown[::-1]] = np.arange(network.problem.n_nodes)[::-1]
    drop = np.zeros(network.size, dtype=bool)
    drop[members[lone]] = True
    held = np.concatenate([network.numbering.held, first_node[members[chosen]]])
    return network.numbering.holding(held, drop, part[network.numbering.unknown])


def _degrees(problem: BalanceProblem, numbering: Numbering) -> Array | None:
    """Degree of each unknown, 1 for the ground; None where nodes of one unknown differ or have self-loops that pay."""
    at, unknown = problem.manifold, numbering.unknown
    degree = np.ones(numbering.size + 1)
    if np.all(at.degree[unknown < numbering.size] == 1.0):
        return degree
    degree[unknown] = at.degree
    degree[-1] = 1.0
    if np.any((degree[unknown] != at.degree) & (unknown < numbering.size)):
        return None
    within = (unknown[at.tail] == unknown[at.head]) & (unknown[at.tail] < numbering.size)
    return None if np.any(at.degree[at.tail[within]] != 1.0) else degree


def end_nodes(problem: BalanceProblem) -> tuple[Index, Index]:
    """Tails and heads as unsigned numbers."""
    tail, head = problem.manifold.tail, problem.manifold.head
    return tail.view(f"u{tail.itemsize}"), head.view(f"u{head.itemsize}")


def _costs(problem: BalanceProblem, numbering: Numbering) -> tuple[Index, Array, Array, float]:
    part = np.zeros(1, dtype=np.int32) if numbering.part is None else numbering.part
    coefficient = problem.log_coefficient if problem.log_coefficient.any() else np.empty(0)
    return part, problem.log_weight, coefficient, float(problem.regularizer.p)  # type: ignore[attr-defined]


def _busiest(problem: BalanceProblem) -> Index:
    """The node with most edges."""
    at = problem.manifold
    ends = np.bincount(at.tail, minlength=at.n_nodes) + np.bincount(at.head, minlength=at.n_nodes)
    return np.array([np.argmax(ends)])


def _accumulate(along: EdgeList, against: EdgeList, log_unit: float | None, costs: bool) -> tuple[Array, Index]:
    """Accumulated log costs from the ground along a list (with `costs`), and distances.

    With a unit the logarithms of `against` become costs on the way: each call takes a list of its own.
    """
    order, distance = kernels.visits(along.start, along.column, against.start)
    if log_unit is not None:
        np.subtract(against.value, log_unit, out=against.value)
        np.exp(against.value, out=against.value)
    if not costs:
        return np.zeros(along.start.size - 1), distance
    accumulate = kernels.accumulated_log_costs if log_unit is None else kernels.accumulated_costs
    total = accumulate(order, *against)
    return total, distance


def _unit(least: float, largest: float) -> float | None:
    """Logarithm of a unit in which all costs are in range: 1 if possible; None if they are too far apart."""
    if max(-least, largest) < 0.5 * _SPREAD:
        return 0.0
    return 0.5 * (least + largest) if largest - least < _SPREAD else None
