"""The certificate of dense blocks, by products with them.

The argument is that of `balance_graph.certificate.bound`, from sums alone. With costs y, a change ``x = p d`` of the
log-scales and ``w = A x``, the flow ``y (1 + w)`` lacks r of a circulation. Off-diagonal entries of ``H = A^T Y A`` are
<= 0. So if ``H s > |r|`` for some ``s >= 0``, there is an x' with ``|x'| <= s`` and ``H x' = -r``; with
``u = A (x + x')``, ``y (1 + u)`` is a circulation if no u is below -1. Since ``h(u) <= u^2 / (2 (1 - max|u|))``, the
gap is at most ``(sqrt(x H x) + sqrt(s |r|))^2 / (2 (1 - max|u|))``.
"""

from __future__ import annotations

import math

import numpy as np

from balance_graph._threads import one_blas_thread
from balance_graph._types import Array
from balance_graph.points.blocks import BlockFlows, BlockHessian
from balance_graph.problem.block_costs import LiveBlocks
from balance_graph.problem.block_problem import BlockProblem

_EPS = float(np.finfo(float).eps)
# From a far point the bound is sought along safe Newton steps; parallel steps take out what is rough first.
_MAX_STEPS, _SWEEPS = 30, 10
# The direction is solved for to this share of the imbalance, but hardly below what rounding hides: what it lacks counts
# by its square.
_SHARE, _HIDDEN = 1e-4, 1e-13
# Flows that change by less than this share of themselves keep their sign.
_WIDEST = 0.5


def log_costs_of_blocks(problem: BlockProblem, log_scales: Array) -> tuple[float, float]:
    """Logarithms of the cost at log-scales and of a lower bound on the infimum."""
    live = problem.attainment.live
    log_cost = problem.log_cost(log_scales)
    if live.any():
        with one_blas_thread():
            bound = _log_bound(problem.live, log_scales[live])
        if bound is not None:
            return log_cost, bound
    log_constant = problem.live.log_constant()
    return log_cost, log_constant - _rounding(problem.live, 0.0, log_constant)


def _log_bound(blocks: LiveBlocks, log_scales: Array) -> float | None:
    """Logarithm of a lower bound on the cost, from log-scales or from where Newton's method leads; None if nowhere."""
    flows = BlockFlows(blocks, log_scales)
    flows.sweep(_SWEEPS, math.e)
    for _ in range(_MAX_STEPS):
        if not flows.costs.is_sound:
            return None
        solver = BlockHessian(flows)
        right = (flows.degree * flows.out_of - flows.into)[:-1]
        size = float(np.abs(right / solver.weight).max())
        goal = max(_SHARE * size, min(100.0 * _SHARE * size, _HIDDEN))
        direction = _solved(solver, right.copy(), goal)
        log_bound = _bound_here(flows, direction, solver)
        if log_bound is not None:
            return log_bound
        longest = max(1.0, 2.0 * float(np.abs(direction).max()))
        flows.move(direction / (longest * flows.exponent))
    return None


def _solved(solver: BlockHessian, right: Array, goal: float) -> Array:
    solution = solver.solve(right, goal=goal, last_goal=goal, imbalance=0.0)
    assert solution is not None
    return solution


def _bound_here(flows: BlockFlows, x: Array, solver: BlockHessian) -> float | None:
    """The bound that a direction proves; None for less than half of the cost."""
    both = float(1.0 + flows.degree.max())
    most = both * float(np.abs(x).max())  # of the terms of w
    if not most < _WIDEST:
        return None
    into, out_of = flows.into[:-1], (flows.degree * flows.out_of)[:-1]
    diagonal, unsure = flows.diagonal(), _rounding(flows.blocks, float(np.abs(flows.log_scales).max()), flows.log_cost)
    image = _image(flows, diagonal, x)
    lacking = np.abs(into - out_of + image) + unsure * (1.0 + most) * (into + out_of)
    reach = _reach(flows, diagonal, lacking, unsure, solver)
    if reach is None:
        return None
    most += both * float(reach.max())
    if not most < _WIDEST:
        return None
    along = max(0.0, float(x @ image)) + 2.0 * unsure * float(diagonal @ (x * x))
    gap = (math.sqrt(along) + math.sqrt(float(reach @ lacking))) ** 2 / (2.0 * (1.0 - most))
    total = float(flows.into.sum())
    lost = 1.000001 * (gap / total + unsure)
    return flows.costs.log_unit + math.log(total) + math.log1p(-lost) if lost < 0.5 else None


def _image(flows: BlockFlows, diagonal: Array, x: Array) -> Array:
    image = np.empty_like(x)
    flows.product(diagonal, x, image)
    return image


def _reach(flows: BlockFlows, diagonal: Array, lacking: Array, unsure: float, solver: BlockHessian) -> Array | None:
    """Some s >= 0 with ``H s >= lacking``, for certain; None where that cannot be told."""
    weight = solver.weight
    # A quarter of the right-hand side may be missing: the product is then 1.5 times what it must exceed.
    reach = np.maximum(_solved(solver, weight.copy(), 0.25), 0.0) * (2.0 * float((lacking / weight).max()))
    image = _image(flows, diagonal, reach)
    # The terms of the product are positive on the diagonal alone: their absolute values sum up to 2 D s - H s.
    certain = image - unsure * (2.0 * diagonal * reach + np.abs(image))
    return reach if np.all(np.isfinite(certain)) and np.all(certain > lacking) else None


def _rounding(blocks: LiveBlocks, furthest: float, log_cost: float) -> float:
    """Bound on the error of every sum of costs, relative to the sum of the absolute values of its terms.

    Of the costs: their logarithms and those of the factors carry half a unit in the last place or two. Of the sums: one
    for each term in the longest, over columns and then over rows of one unknown, and for each block.
    """
    factors = 2.0 * blocks.exponent * float(blocks.degree.max()) * furthest
    sizes = [abs(one.extent.log_least) + 2.0 * abs(one.extent.log_largest) for one in blocks.blocks]
    logarithms = max(sizes, default=0.0) + 3.0 * factors + 2.0 * abs(log_cost if math.isfinite(log_cost) else 0.0)
    terms = (
        2.0 * max((max(one.tail.size, one.head.size) for one in blocks.blocks), default=0) + len(blocks.blocks) + 64.0
    )
    return 1.01 * _EPS * (4.0 * (16.0 + logarithms) + terms)
