"""The live part of a large network as edge lists: by tail and by head, with logarithms of the edge costs.

Unknowns are the free nodes, or groups of tied ones, 0 .. n-1. The *ground* n stands for all that is held: pinned nodes,
and one unknown of every part that holds no pinned node. What is dead has no edges here.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.linear.edge_lists import EdgeList
from balance_graph.problem import network_kernels as kernels
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.manifold import numbered
from balance_graph.problem.numbering import Numbering
from balance_graph.problem.regularizers import Lp
from balance_graph.problem.term_manifold import TermManifold
from balance_graph.problem.unsuited import Unsuited, UnsuitedError


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
    def n_edges(self) -> int:
        """Number of live edges that scales move."""
        return self.outward.column.size

    @classmethod
    def of(cls, problem: BalanceProblem, pool: Executor) -> LiveNetwork:
        """The live network.

        Raises
        ------
        UnsuitedError
            Where the problem does not have this form, or no scale moves anything; and for degrees other than 1 where a
            cycle is cut off from the pinned nodes: whether it can be balanced is then more than a search.
        """
        _check_costs(problem)
        numbering = Numbering.of(problem)
        is_linear = bool(np.all(numbering.degree == 1.0))
        if not np.any(numbering.unknown == numbering.size):
            if not is_linear:
                raise UnsuitedError(Unsuited.CUT_OFF)
            numbering = numbering.holding(_busiest(problem), np.zeros(numbering.size, dtype=bool), None)
        network = cls._compiled(numbering, pool)
        cut_off = (network.from_ground < 0) | (network.to_ground < 0)
        if cut_off.any():
            numbering = _in_parts(network, cut_off[:-1])
            if numbering.held.size and not is_linear:
                raise UnsuitedError(Unsuited.CUT_OFF)
            same_held = numbering.held.size == network.numbering.held.size
            network = network.without(cut_off, numbering) if same_held else cls._compiled(numbering, pool)
        if network.n_edges == 0:
            raise UnsuitedError(Unsuited.NOTHING)
        return network

    def without(self, drop: Mask, numbering: Numbering) -> LiveNetwork:
        """The network without some unknowns that no path to or from the ground goes through, its lists taken over."""
        keep = ~drop
        number = numbered(keep)
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
    def _compiled(cls, numbering: Numbering, pool: Executor) -> LiveNetwork:
        costs_range = numbering.cost_range
        log_unit = costs_range.log_unit
        ends, sides = numbering.ends, (numbering.unknown, numbering.parts)
        costs = *numbering.costs, log_unit or 0.0, log_unit is None
        # A matrix has two entries for each edge: those must be counted as well.
        starts = np.zeros((2, numbering.size + 2), dtype=np.uint32 if ends[0].size < 2**31 else np.uint64)
        back = pool.submit(kernels.edge_list, starts[1], *ends[::-1], *sides, *costs)
        one = EdgeList(starts[0], *kernels.edge_list(starts[0], *ends, *sides, *costs))
        other = EdgeList(starts[1], *back.result())
        degree = numbering.degree
        backwards = pool.submit(_accumulate, other, one, log_unit, bool(np.all(degree == 1.0)))
        forward, from_ground = _accumulate(one, other, log_unit, bool(np.all(degree == 1.0)))
        backward, to_ground = backwards.result()
        return cls(
            numbering,
            degree,
            numbering.exponent,
            costs_range.spread,
            log_unit,
            one,
            other,
            from_ground,
            to_ground,
            forward,
            backward,
        )


def _check_costs(problem: BalanceProblem) -> None:
    """Refuse costs that are not one power each, all of one exponent."""
    shared = problem.manifold.shared
    if isinstance(problem.manifold, TermManifold):
        raise UnsuitedError(Unsuited.TERMS)
    if not isinstance(problem.regularizer, Lp):
        raise UnsuitedError(Unsuited.REGULARIZER)
    if problem.exponent is not None:
        raise UnsuitedError(Unsuited.EXPONENTS)
    if shared is not None and np.any(shared >= 0):
        raise UnsuitedError(Unsuited.SHARED)


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
    first_node[network.numbering.unknown[::-1]] = np.arange(network.numbering.unknown.size)[::-1]
    drop = np.zeros(network.size, dtype=bool)
    drop[members[lone]] = True
    held = np.concatenate([network.numbering.held, first_node[members[chosen]]])
    return network.numbering.holding(held, drop, part[network.numbering.unknown])


def _busiest(problem: BalanceProblem) -> Index:
    """The node with most edges."""
    at = problem.manifold
    ends = np.bincount(at.tail, minlength=at.n_nodes) + np.bincount(at.head, minlength=at.n_nodes)
    return np.array([np.argmax(ends)])


def _accumulate(along: EdgeList, against: EdgeList, log_unit: float | None, costs: bool) -> tuple[Array, Index]:
    """Accumulated log costs from the ground along a list (with `costs`), and distances."""
    order, distance = kernels.visits(along.start, along.column, against.start)
    if not costs:
        return np.zeros(along.start.size - 1), distance
    accumulate = kernels.accumulated_log_costs if log_unit is None else kernels.accumulated_costs
    total = accumulate(order, *against)
    return total, distance
