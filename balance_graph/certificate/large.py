"""The certificate of a large network with one exponent, in passes over its edges.

The argument is that of `balance_graph.certificate.bound`. Conjugate gradients propose the direction d of the
circulation; what it does is then checked edge by edge, from the weights, with the rounding of every term. With costs c,
``x = p d`` and ``w = A x``, what the flow ``c (1 + w)`` lacks of a circulation is sent to the inputs along a tree of
strong edges. Where one of them is too weak for what it would have to carry, or that is much, a further change ``A x'``
makes up for it instead: conjugate gradients propose its reach s, ``|x'| <= s``, and ``A^T C A s`` must exceed what is
lacking, strictly. The off-diagonal entries of the matrix are <= 0, so ``s >= 0`` with a positive product also proves
that it is not singular. Where costs are so far apart that all this gives away much, a circulation is built on a tree of
the strongest edges, see `balance_graph.certificate.circulation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from balance_graph._threads import one_blas_thread
from balance_graph._types import Array
from balance_graph.certificate import _kernels as kernels
from balance_graph.certificate import rounding
from balance_graph.certificate.circulation import circulation_near
from balance_graph.points.edges import EdgeFlows
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.preconditioner import Preconditioner
from balance_graph.problem import network_kernels
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.cost_range import TINY
from balance_graph.problem.live_network import LiveNetwork
from balance_graph.problem.row_ends import RowEnds
from balance_graph.problem.rows import entropy
from balance_graph.problem.unsuited import UnsuitedError

# From a far point the bound is sought along safe Newton steps; local sweeps take out what is rough first.
_MAX_STEPS, _SWEEPS, _FAR = 20, 10, 1.0
# The direction is solved for to this share of the imbalance: what is left of it counts by its square.
_SHARE = 1e-4
# But hardly below what rounding of costs hides of the balance in any case: up to there, to a hundred times that share.
_HIDDEN = 1e-13
# A bound that gives away more than this, and several times what the direction alone would, loses to clusters (see
# `points.clusters`) whose common shift the products cannot resolve: the generic path has a basis for them.
_LOOSE = 1e-9
# What hardly adds to the rounding of the cost.
_NEGLIGIBLE = 1e-13
# A flow that changes by less than this share of itself keeps its sign.
_WIDEST = 0.99
# Costs with larger relative errors prove nothing.
_WORST = 1e-8


class _Sums(NamedTuple):
    """What `flow_bounds` returns."""

    at: Array
    total: float
    gap: float
    error: float
    least: float
    worst: float
    widest: float

    @classmethod
    def joined(cls, one: _Sums, other: _Sums) -> _Sums:
        """The sums over two sets of edges."""
        return cls(
            at=one.at + other.at,
            total=one.total + other.total,
            gap=one.gap + other.gap,
            error=one.error + other.error,
            least=min(one.least, other.least),
            worst=max(one.worst, other.worst),
            widest=max(one.widest, other.widest),
        )


def log_costs_of_large(problem: BalanceProblem, log_scales: Array) -> tuple[float, float] | None:
    """Logarithms of the cost at log-scales and of a lower bound on the infimum.

    None where the problem does not have the form that `LiveNetwork` needs, and where no bound is found this way.
    """
    with ThreadPoolExecutor(1) as pool, one_blas_thread(), np.errstate(all="ignore"):
        try:
            network = LiveNetwork.of(problem, pool)
        except UnsuitedError:
            return None
        if not _holds_gauges_only(network):
            return None
        flows = EdgeFlows.of(network, network.numbering.restrict(log_scales), pool)
        try:
            log_moving = _log_bound(network, flows, pool)
        except ArithmeticError:  # a cost has left the range of floats, or flows drown in others
            return None
        if log_moving is None:
            return None
        log_cost = kernels.log_cost_of_all(_scaled_edges(network, log_scales, 0.0))
        return log_cost, _log_sum_of_bounds(log_moving, network)


def _holds_gauges_only(network: LiveNetwork) -> bool:
    """Whether holding an unknown that is not pinned changes nothing: surely so with degrees 1."""
    return network.numbering.held.size == 0 or bool(np.all(network.degree == 1.0))


def _log_bound(network: LiveNetwork, flows: EdgeFlows, pool: Executor) -> float | None:
    """Logarithm of a lower bound on the cost of the edges that scales move, or None."""
    if np.abs(flows.imbalance()).max() > _FAR:
        flows.sweep(_SWEEPS, np.e)
    solver = HessianSolver(flows, Preconditioner(flows, network.pattern))
    for _ in range(_MAX_STEPS):
        if not np.all(np.isfinite(flows.imbalance())):
            return None
        direction = -_solved_to_share(solver, (flows.into - flows.degree * flows.out_of)[:-1])
        proof = _proof_here(network, flows, direction, solver, pool)
        if proof is not None and proof.is_loose:  # a second solve repairs what the first has left
            direction = direction - _solved_to_share(solver, proof.left)
            proof = _proof_here(network, flows, direction, solver, pool)
        if proof is None or proof.is_loose:
            proof = _better(proof, _proof_by_circulation(network, flows, direction, pool))
        if proof is not None:
            return None if proof.is_loose else proof.log_bound
        longest = max(1.0, 2.0 * float(np.abs(direction).max()))
        flows.move(direction / (longest * flows.exponent))
        solver = HessianSolver(flows, Preconditioner(flows, network.pattern))
    return None


def _solved_to_share(solver: HessianSolver, right: Array) -> Array:
    """A solution that leaves a small share of the right-hand side, which it overwrites."""
    size = float(np.abs(right / solver.weight).max(initial=0.0))
    return _solved(solver, right, max(_SHARE * size, min(100.0 * _SHARE * size, _HIDDEN)))


def _solved(solver: HessianSolver, right: Array, goal: float) -> Array:
    # Told of no imbalance, the solver leaves the flows where they are.
    solution = solver.solve(right, goal=goal, last_goal=goal, imbalance=0.0)
    assert solution is not None
    return solution


class _Proof(NamedTuple):
    """A bound, whether most of what it gives away is due to the correction that it allows for, and what is left."""

    log_bound: float
    is_loose: bool
    left: Array

    @classmethod
    def of(cls, flows: EdgeFlows, first: _Sums, sums: _Sums, gap: float) -> _Proof | None:
        """From the sums of the direction alone, those with a correction, and the whole gap; None above half."""
        lost = 1.000001 * (gap + sums.error) / sums.total + 8.0 * rounding.EPS
        if not lost < 0.5:
            return None
        log_total = math.log(sums.total)
        own = rounding.of_exponential(abs(log_total) + abs(flows.log_unit))
        log_bound = log_total + flows.log_unit + math.log1p(-lost) - own
        return cls(log_bound, lost > _LOOSE + 4.0 * first.gap / first.total, first.at[:-1, 0].copy())


def _proof_here(
    network: LiveNetwork, flows: EdgeFlows, direction: Array, solver: HessianSolver, pool: Executor
) -> _Proof | None:
    """The bound that a direction proves at the present log-scales; None for less than half of the cost."""
    first = _sums(network, flows, direction, np.zeros(flows.size), pool)
    if not _is_sound(first):
        return None
    lacking = _off(network, first)
    further_gap = _gap_along_tree(network, flows, direction, lacking, pool)
    proof = _Proof.of(flows, first, first, first.gap + further_gap)
    if further_gap > max(_NEGLIGIBLE * first.total, 0.01 * first.gap):
        return _better(proof, _proof_by_reach(network, flows, direction, solver, first, lacking, pool))
    return proof


def _better(*proofs: _Proof | None) -> _Proof | None:
    return max((proof for proof in proofs if proof is not None), key=lambda proof: proof.log_bound, default=None)


def _proof_by_circulation(network: LiveNetwork, flows: EdgeFlows, direction: Array, pool: Executor) -> _Proof | None:
    """The bound where flows of a tree of the strongest edges make up for what the direction lacks."""
    sums = _sums(network, flows, direction, np.zeros(flows.size), pool)
    if not (sums.least > TINY and sums.worst < _WORST):
        return None
    edges = _scaled_edges(network, network.numbering.expand(flows.log_scales), flows.log_unit)
    found = _Circulating.of(edges, flows.size)
    gap = found.gap(np.append(direction, 0.0))
    return _Proof.of(flows, sums, sums, gap)


class _Circulating(NamedTuple):
    """The edges that scales move, as rows: what a circulation near their flows is found from.

    Attributes
    ----------
    ends : RowEnds
    log_costs, error : arrays
        Logarithm of each cost, and its rounding.
    size : int
        Number of unknowns.
    """

    ends: RowEnds
    log_costs: Array
    error: Array
    size: int

    @classmethod
    def of(cls, edges: kernels.ScaledEdges, size: int) -> _Circulating:
        one, two = edges.unknown[edges.head].astype(np.intp), edges.unknown[edges.tail].astype(np.intp)
        moved = (one != two) & (edges.log_weight > -np.inf)
        if edges.part.size > 1:
            moved &= edges.part[edges.head] == edges.part[edges.tail]
        rows = np.flatnonzero(moved)
        one, two, up, down = one[rows], two[rows], edges.up[edges.head[rows]], edges.down[edges.tail[rows]]
        logs = edges.exponent * edges.log_weight[rows]
        sizes = np.abs(logs) + np.abs(up) + np.abs(down) + abs(edges.log_unit)
        if edges.log_coefficient.size:
            logs = logs + edges.log_coefficient[rows]
            sizes += np.abs(edges.log_coefficient[rows])
        ends = RowEnds(one, two, np.ones(rows.size), -edges.degree[two])
        return cls(ends, logs + up + down - edges.log_unit, rounding.of_exponential(sizes), size)

    def gap(self, x: Array) -> float:
        """The duality gap of the circulation near the flows ``c (1 + A x)``; inf where there is none of positive flows.

        Also from the flows as they are, where that is better.
        """
        along = x[self.ends.one] + self.ends.second * x[self.ends.two]
        starts = [along, np.zeros_like(along)] if along.min(initial=0.0) > -_WIDEST else [np.zeros_like(along)]
        return min(self._gap_from(change) for change in starts)

    def _gap_from(self, change: Array) -> float:
        near = circulation_near(self.ends, self.size, self.log_costs, change)
        if near is None:
            return math.inf
        width = near.width + self.error * (1.0 + np.abs(near.change))
        if not np.all(width < 0.5 * (1.0 + near.change)):
            return math.inf
        up, down = entropy(near.change + width), entropy(near.change - width)
        return float(np.exp(self.log_costs) @ np.maximum(up, down))


def _proof_by_reach(
    network: LiveNetwork,
    flows: EdgeFlows,
    direction: Array,
    solver: HessianSolver,
    first: _Sums,
    lacking: Array,
    pool: Executor,
) -> _Proof | None:
    """The bound where a further change makes up for what the direction lacks."""
    weight = solver.weight
    off = float((lacking / weight).max())
    # A quarter of the right-hand side may be missing: its product is then 1.5 times what it must exceed.
    reach = 2.0 * off * np.maximum(_solved(solver, weight.copy(), 0.25), 0.0)
    if not np.all(np.isfinite(reach)):
        return None
    sums = _sums(network, flows, direction, reach, pool)
    if not _is_sound(sums) or not np.all(sums.at[:-1, 1] > _off(network, sums)):
        return None
    return _Proof.of(flows, first, sums, sums.gap)


def _is_sound(sums: _Sums) -> bool:
    """Whether all costs are known to many digits, and no flow changes sign."""
    return sums.least > TINY and sums.worst < _WORST and sums.widest < _WIDEST


def _off(network: LiveNetwork, sums: _Sums) -> Array:
    """Bound on what each unknown is out of balance, with all that rounding may hide in it and in the margin."""
    n_terms = np.diff(network.outward.start) + np.diff(network.inward.start)
    net, _, unsure, size = sums.at.T
    off: Array = np.abs(net) + 1.01 * (unsure + rounding.EPS * (n_terms + 8) * size)
    return off[:-1]


def _sums(network: LiveNetwork, flows: EdgeFlows, direction: Array, reach: Array, pool: Executor) -> _Sums:
    """The sums at the present log-scales."""
    change = kernels.Change(np.append(direction, 0.0), np.append(reach, 0.0))
    return _Sums.joined(*(_Sums(*sums) for sums in _by_halves(kernels.flow_bounds, network, flows, change, pool)))


def _gap_along_tree(network: LiveNetwork, flows: EdgeFlows, direction: Array, off: Array, pool: Executor) -> float:
    """What it adds to the duality gap to send all that is off balance to the ground; inf where an edge is too weak."""
    order, _ = network_kernels.visits(network.outward, network.inward)
    position = np.empty_like(order)
    position[order] = np.arange(order.size, dtype=order.dtype)
    one, other = _by_halves(kernels.strongest_ways, network, flows, position, pool)
    strongest = np.maximum(one[0], other[0])
    source = np.where(one[0] >= other[0], one[1], other[1])
    ways = kernels.Ways(order, strongest, source, network.degree)
    gap, widest = kernels.gap_along_ways(ways, np.append(off, 0.0), np.append(direction, 0.0))
    return float(gap) if widest < _WIDEST else math.inf


def _by_halves(
    kernel: Callable[..., Any], network: LiveNetwork, flows: EdgeFlows, more: Any, pool: Executor
) -> tuple[Any, Any]:
    """What a kernel finds at the present log-scales, half of the edges at a time on each core."""
    edges = _scaled_edges(network, network.numbering.expand(flows.log_scales), flows.log_unit)
    half, n_edges = edges.tail.size // 2, edges.tail.size
    later = pool.submit(kernel, edges, more, half, n_edges)
    return kernel(edges, more, 0, half), later.result()


def _scaled_edges(network: LiveNetwork, log_scales: Array, log_unit: float) -> kernels.ScaledEdges:
    """All edges at log-scales of the nodes."""
    numbering = network.numbering
    up = numbering.exponent * log_scales
    return kernels.ScaledEdges(
        *numbering.ends,
        unknown=numbering.unknown,
        degree=network.degree,
        part=numbering.edges.part,
        log_weight=numbering.problem.log_weight,
        log_coefficient=numbering.edges.log_coefficient,
        exponent=numbering.exponent,
        up=up,
        down=-numbering.problem.manifold.degree * up,
        log_unit=log_unit,
    )


def _log_sum_of_bounds(log_moving: float, network: LiveNetwork) -> float:
    """Logarithm of a lower bound on the cost of all live edges, those included that no scale moves."""
    log_constant = network.log_constant
    if log_constant == -math.inf:
        return log_moving
    still, problem = network.pattern.left_out.still, network.numbering.problem
    sizes = network.exponent * np.abs(problem.log_weight[still]) + np.abs(problem.log_coefficient[still])
    log_constant -= rounding.of_log_sum(float(sizes.max()), log_constant, still.size)
    log_both = float(np.logaddexp(log_moving, log_constant))
    return log_both - rounding.of_exponential(abs(log_both))
