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
from balance_graph.problem.live_pattern import LivePattern, Places
from balance_graph.problem.manifold import numbered
from balance_graph.problem.numbering import NOTHING_LEFT_OUT, Numbering
from balance_graph.problem.regularizers import Lp
from balance_graph.problem.term_manifold import TermManifold
from balance_graph.problem.unsuited import Unsuited, UnsuitedError


@dataclass(frozen=True, eq=False)
class LiveNetwork:
    """The live edges of a problem with one power per edge, all of one exponent.

    Attributes
    ----------
    pattern : LivePattern
        All but the costs.
    numbering : Numbering
    spread : float
        Logarithm of the ratio of the largest cost to the least.
    log_unit : float or None
        Costs in the lists are in units of its exponential; None where they are too far apart, and kept as logarithms.
    outward, inward : EdgeList
        Edges by tail and by head, with their costs at log-scales zero.
    """

    pattern: LivePattern
    numbering: Numbering
    spread: float
    log_unit: float | None
    outward: EdgeList
    inward: EdgeList

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.numbering.size

    @property
    def n_edges(self) -> int:
        """Number of live edges that scales move."""
        return self.outward.column.size

    @property
    def degree(self) -> Array:
        """Degree of each unknown, 1 for the ground."""
        return self.pattern.degree

    @property
    def exponent(self) -> float:
        """Exponent of the cost of every edge."""
        return self.numbering.exponent

    @property
    def log_constant(self) -> float:
        """Logarithm of the cost of the live edges that no scale moves."""
        return self.numbering.log_cost_of(self.pattern.left_out.still)

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
        pattern = LivePattern.kept_with(problem)
        if pattern is not None:
            return cls._filled(pattern, pattern.numbering_of(problem), pool)
        network = cls._found(problem, pool)
        if network.n_edges == 0:
            raise UnsuitedError(Unsuited.NOTHING)
        active = problem.active
        left_out = network.numbering.left_out(network.n_edges)
        pattern = replace(network.pattern, active=None if active.all() else active, left_out=left_out)
        pattern.keep_with(problem)
        return replace(network, pattern=pattern)

    @classmethod
    def _found(cls, problem: BalanceProblem, pool: Executor) -> LiveNetwork:
        numbering = Numbering.of(problem)
        is_linear = bool(np.all(numbering.degree == 1.0))
        if not np.any(numbering.unknown == numbering.size):
            if not is_linear:
                raise UnsuitedError(Unsuited.CUT_OFF)
            numbering = numbering.holding(_busiest(problem), np.zeros(numbering.size, dtype=bool), None)
        network = cls._compiled(numbering, pool)
        cut_off = (network.pattern.from_ground < 0) | (network.pattern.to_ground < 0)
        if not cut_off.any():
            return network
        numbering = _in_parts(network, cut_off[:-1])
        if numbering.held.size and not is_linear:
            raise UnsuitedError(Unsuited.CUT_OFF)
        same_held = numbering.held.size == network.numbering.held.size
        return network.without(cut_off, numbering) if same_held else cls._compiled(numbering, pool)

    def without(self, drop: Mask, numbering: Numbering) -> LiveNetwork:
        """The network without some unknowns that no path to or from the ground goes through, its lists taken over."""
        number = numbered(~drop)
        outward = EdgeList(*kernels.without(self.outward, number, numbering.size))
        inward = EdgeList(*kernels.without(self.inward, number, numbering.size))
        pattern = self.pattern.without(drop, numbering, Places(*outward[:2]), Places(*inward[:2]))
        return replace(self, pattern=pattern, numbering=numbering, outward=outward, inward=inward)

    @classmethod
    def _compiled(cls, numbering: Numbering, pool: Executor) -> LiveNetwork:
        """The network of a numbering, found edge by edge; the distances tell what is cut off."""
        edges, costs, size = numbering.edges, _costs(numbering), numbering.size
        back = pool.submit(kernels.edge_list, edges.backward, costs, size)
        one, other = kernels.edge_list(edges, costs, size), back.result()
        backwards = pool.submit(kernels.visits, other, one)
        order_along, from_ground = kernels.visits(one, other)
        order_against, to_ground = backwards.result()
        pattern = LivePattern(
            active=None,
            unknown=numbering.unknown,
            size=numbering.size,
            part=numbering.part,
            held=numbering.held,
            degree=numbering.degree,
            outward=Places(*one[:2]),
            inward=Places(*other[:2]),
            from_ground=from_ground,
            to_ground=to_ground,
            order_along=order_along,
            order_against=order_against,
            left_out=NOTHING_LEFT_OUT,
        )
        range_of_costs = numbering.cost_range
        return cls(pattern, numbering, range_of_costs.spread, range_of_costs.log_unit, one, other)

    @classmethod
    def _filled(cls, pattern: LivePattern, numbering: Numbering, pool: Executor) -> LiveNetwork:
        """The network of a pattern that is known: only its costs are computed."""
        edges, costs = numbering.edges, _costs(numbering)
        back = pool.submit(kernels.edge_values, edges.backward, costs, pattern.inward.start)
        one = EdgeList(*pattern.outward, kernels.edge_values(edges, costs, pattern.outward.start))
        other = EdgeList(*pattern.inward, back.result())
        range_of_costs = numbering.cost_range
        return cls(pattern, numbering, range_of_costs.spread, range_of_costs.log_unit, one, other)

    def accumulated(self, pool: Executor) -> tuple[Array, Array]:
        """Accumulated log costs from the ground along and against the edges, see `accumulated_costs`."""
        accumulate = kernels.accumulated_log_costs if self.log_unit is None else kernels.accumulated_costs
        backward = pool.submit(accumulate, self.pattern.order_against, self.outward)
        return accumulate(self.pattern.order_along, self.inward), backward.result()


def _costs(numbering: Numbering) -> kernels.Costs:
    """Costs in a unit, or as logarithms where they are too far apart."""
    log_unit = numbering.cost_range.log_unit
    return kernels.Costs(log_unit or 0.0, log_unit is None)


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
    manifold = problem.manifold
    ends = np.bincount(manifold.tail, minlength=manifold.n_nodes) + np.bincount(
        manifold.head, minlength=manifold.n_nodes
    )
    return np.array([np.argmax(ends)])
