"""The certificate of a large network with one exponent, in passes over its edges.

The argument is that of `balance_graph.certificate.bound`. Conjugate gradients propose the direction d of the
circulation; what it does is then checked edge by edge, from the weights, with the rounding of every term. With costs c,
``x = p d`` and ``w = A x``, what the flow ``c (1 + w)`` lacks of a circulation is sent to the inputs along a tree of
strong edges. Where one of them is too weak for what it would have to carry, or that is much, a further change ``A x'``
makes up for it instead: conjugate gradients propose its reach s, ``|x'| <= s``, and ``A^T C A s`` must exceed what is
lacking, strictly. The off-diagonal entries of the matrix are <= 0, so ``s >= 0`` with a positive product also proves
that it is not singular.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from balance_graph._threads import one_blas_thread
from balance_graph._types import Array, Index
from balance_graph.certificate import _kernels as kernels
from balance_graph.points.edges import EdgeFlows
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.preconditioner import Preconditioner
from balance_graph.problem import network_kernels
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.cost_range import TINY
from balance_graph.problem.live_network import LiveNetwork
from balance_graph.problem.numbering import Numbering
from balance_graph.problem.unsuited import UnsuitedError

_EPS = float(np.finfo(float).eps)
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
        return _log_cost(network.numbering, log_scales), _log_sum_of_bounds(log_moving, network)


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
    def of(cls, flows: EdgeFlows, first: _Sums, sums: _Sums, further_gap: float) -> _Proof | None:
        """From the sums of the direction alone, those with a correction, and what else the gap is; None above half."""
        lost = 1.000001 * (sums.gap + further_gap + sums.error) / sums.total + 8.0 * _EPS
        if not lost < 0.5:
            return None
        log_total = math.log(sums.total)
        rounding = 4.0 * _EPS * (4.0 + abs(log_total) + abs(flows.log_unit))
        log_bound = log_total + flows.log_unit + math.log1p(-lost) - rounding
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
    proofs = [_Proof.of(flows, first, first, further_gap)]
    if further_gap > max(_NEGLIGIBLE * first.total, 0.01 * first.gap):
        proofs.append(_proof_by_reach(network, flows, direction, solver, first, lacking, pool))
    return max((proof for proof in proofs if proof is not None), key=lambda proof: proof.log_bound, default=None)


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
    return _Proof.of(flows, first, sums, 0.0)


def _is_sound(sums: _Sums) -> bool:
    """Whether all costs are known to many digits, and no flow changes sign."""
    return sums.least > TINY and sums.worst < 1e-8 and sums.widest < _WIDEST


def _off(network: LiveNetwork, sums: _Sums) -> Array:
    """Bound on what each unknown is out of balance, with all that rounding may hide in it and in the margin."""
    n_terms = np.diff(network.outward.start) + np.diff(network.inward.start)
    net, _, unsure, size = sums.at.T
    off: Array = np.abs(net) + 1.01 * (unsure + _EPS * (n_terms + 8) * size)
    return off[:-1]


def _sums(network: LiveNetwork, flows: EdgeFlows, direction: Array, reach: Array, pool: Executor) -> _Sums:
    """The sums at the present log-scales."""
    ends = np.append(direction, 0.0), np.append(reach, 0.0)
    return _Sums.joined(*(_Sums(*sums) for sums in _by_halves(kernels.flow_bounds, network, flows, ends, pool)))


def _gap_along_tree(network: LiveNetwork, flows: EdgeFlows, direction: Array, off: Array, pool: Executor) -> float:
    """What it adds to the duality gap to send all that is off balance to the ground; inf where an edge is too weak."""
    order, _ = network_kernels.visits(network.outward, network.inward)
    position = np.empty_like(order)
    position[order] = np.arange(order.size, dtype=order.dtype)
    one, other = _by_halves(kernels.strongest_ways, network, flows, (position,), pool)
    strongest = np.maximum(one[0], other[0])
    source = np.where(one[0] >= other[0], one[1], other[1])
    ends = np.append(off, 0.0), np.append(direction, 0.0)
    gap, widest = kernels.gap_along_ways(order, strongest, source, network.degree, *ends)
    return float(gap) if widest < _WIDEST else math.inf


def _by_halves(
    kernel: Callable[..., Any], network: LiveNetwork, flows: EdgeFlows, more: tuple[Array | Index, ...], pool: Executor
) -> tuple[Any, Any]:
    """What a kernel finds at the present log-scales, half of the edges at a time on each core."""
    numbering = network.numbering
    factors = _log_factors(numbering, numbering.expand(flows.log_scales))
    numbers = (*numbering.ends, numbering.unknown, network.degree)
    edges = (*numbers, numbering.edges.part, *_log_costs(numbering), *factors, flows.log_unit, *more)
    half, n_edges = numbering.problem.n_edges // 2, numbering.problem.n_edges
    later = pool.submit(kernel, *edges, half, n_edges)
    return kernel(*edges, 0, half), later.result()


def _log_costs(numbering: Numbering) -> tuple[Array, Array, float]:
    """Log-weights, log coefficients (empty where all are 0) and exponent."""
    return numbering.problem.log_weight, numbering.edges.log_coefficient, numbering.exponent


def _log_factors(numbering: Numbering, log_scales: Array) -> tuple[Array, Array]:
    """``p l`` and ``-p c l`` of every node."""
    up = numbering.exponent * log_scales
    return up, -numbering.problem.manifold.degree * up


def _log_cost(numbering: Numbering, log_scales: Array) -> float:
    """Logarithm of the cost of all edges, dead ones included."""
    return kernels.log_cost_of_all(*numbering.ends, *_log_costs(numbering), *_log_factors(numbering, log_scales))


def _log_sum_of_bounds(log_moving: float, network: LiveNetwork) -> float:
    """Logarithm of a lower bound on the cost of all live edges, those included that no scale moves."""
    log_constant = network.log_constant
    if log_constant == -math.inf:
        return log_moving
    # Terms far below the sum carry larger errors, but together no more than log n times what the largest do.
    log_constant -= 4.0 * _EPS * (16.0 + abs(log_constant) + math.log(network.numbering.problem.n_edges))
    log_both = float(np.logaddexp(log_moving, log_constant))
    return log_both - 4.0 * _EPS * (2.0 + abs(log_both))
