"""A lower bound on the cost of blocks and terms, by products with them.

The argument is that of `balance_graph.certificate.bound`, from sums alone. With costs c, slopes ``y = p c`` and a
change d of the log-scales, let ``u = p A d``. The flow ``y (1 + u)`` lacks r of a circulation; H is the Hessian
``A^T (p^2 c) A``. Its comparison matrix M has the same diagonal, and minus the sizes of other entries. If
``M s > |r|`` for some ``s >= 0``, there is a d' with ``|d'| <= s`` and ``H d' = -r`` (Ostrowski 1937), and with d + d'
in the place of d the flow is a circulation if no u is below -1. Since ``h(u) <= u^2 / (2 (1 - max|u|))``, the gap is at
most ``(sqrt(d H d) + sqrt(s |r|))^2 / (2 (1 - max|u|))``.

All of it is rounded outward here: sums of costs by `_rounding`, and what the end of the range of floats may have taken
of them by `PlacedCosts.is_complete`.
"""

from __future__ import annotations

import math
from functools import singledispatch

import numpy as np
from scipy import sparse

from balance_graph._threads import one_blas_thread
from balance_graph._types import Array
from balance_graph.certificate import rounding
from balance_graph.linear.conjugate_gradients import Precondition, conjugate_gradients
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.block_hessian import BlockHessian
from balance_graph.problem.block_costs import BlockCosts
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.placed_costs import PlacedCosts

# From a far point the bound is sought along safe Newton steps; parallel steps take out what is rough first.
_MAX_STEPS, _SWEEPS = 30, 10
# Bounds from further off give away more than a millionth: steps go on, and the best of all bounds stands.
_NEAR = 1e-3
# The direction is solved for to this share of the imbalance, but hardly below what rounding hides: what it lacks counts
# by its square. Imbalances this small need no direction: without one the bound is as good.
_SHARE, _HIDDEN, _SMALL = 1e-4, 1e-13, 1e-7
# Flows that change by less than this share of themselves keep their sign.
_WIDEST = 0.5
# Rounding of products of a few numbers, and of sums of positive ones, however many.
_ROUNDED_UP = 1.000001


@singledispatch
def log_costs_of_blocks(problem: BlockProblem, log_scales: Array) -> tuple[float, float]:
    """Logarithms of the cost at log-scales and of a lower bound on the infimum; other problems register their own."""
    live = problem.attainment.live
    bound = log_cost_and_bound(problem.live.costs, log_scales[live])[1] if live.any() else None
    return problem.log_cost(log_scales), log_cost_unmoved(problem.live.constant)[1] if bound is None else bound


def log_cost_unmoved(costs: BlockCosts) -> tuple[float, float]:
    """Logarithms of a cost that no scale moves, and of a lower bound on it."""
    placed = PlacedCosts(costs, np.zeros(costs.size))
    if placed.log_cost == -math.inf:
        return -math.inf, -math.inf
    return placed.log_cost, placed.log_cost + math.log1p(-_rounding(placed))


def log_cost_and_bound(costs: BlockCosts, log_scales: Array) -> tuple[float, float | None]:
    """Logarithms of the cost at log-scales and of a lower bound on the least cost.

    The bound is found there or where Newton's method leads. It is no further from the cost than the square of the
    imbalance and rounding allow; None where none is found.

    Parameters
    ----------
    costs : BlockCosts
        The minimum must be attained.
    log_scales : (size,) array
    """
    with one_blas_thread():
        flows = BlockFlows(costs, log_scales)
        log_cost = flows.log_cost
        return log_cost, _log_bound(flows)


def _log_bound(flows: BlockFlows) -> float | None:
    """Of all bounds on the way the best."""
    flows.sweep(_SWEEPS, math.e)
    log_bound: float | None = None
    for _ in range(_MAX_STEPS):
        if not flows.placed.is_sound:
            return log_bound
        hessian = BlockHessian(flows)
        right = (flows.out_of - flows.into)[:-1]
        size = float(np.abs(right / hessian.weight).max())
        direction = _direction(hessian, right, size) if size > _SMALL else np.zeros_like(right)
        here = _bound_here(flows, direction, hessian)
        log_bound = max((one for one in (log_bound, here) if one is not None), default=None)
        if (log_bound is not None and size < _NEAR) or not direction.any():
            return log_bound
        flows.move(direction / max(1.0, 2.0 * float(np.abs(direction).max())))
    return log_bound


def _direction(hessian: BlockHessian, right: Array, size: float) -> Array:
    goal = max(_SHARE * size, min(100.0 * _SHARE * size, _HIDDEN))
    solution = hessian.solve(right, goal=goal, last_goal=goal, imbalance=0.0)
    assert solution is not None
    return solution


def _bound_here(flows: BlockFlows, direction: Array, hessian: BlockHessian) -> float | None:
    """The bound that a direction proves; None for less than half of the cost."""
    most = _most(flows, np.abs(direction))
    if not (most < _WIDEST and flows.placed.is_complete):
        return None
    into, out_of, diagonal = flows.into[:-1], flows.out_of[:-1], flows.diagonal()
    unsure, image = _rounding(flows.placed), np.zeros_like(direction)
    if direction.any():
        flows.product(diagonal, direction, image)
    lacking = np.abs(into - out_of + image) + unsure * (1.0 + most) * (into + out_of)
    reach = _reach(flows, diagonal, lacking, unsure, hessian)
    if reach is None:
        return None
    most = _most(flows, np.abs(direction) + reach)
    if not most < _WIDEST:
        return None
    # A weight that depends on k scales adds at most k times the squares of its terms.
    terms_along = flows.ends.most_scales * float(diagonal @ (direction * direction))
    along = max(0.0, float(np.sum(direction * image))) + unsure * terms_along
    gap = (math.sqrt(along) + math.sqrt(float(reach @ lacking))) ** 2 / (2.0 * (1.0 - most))
    lost = _ROUNDED_UP * (gap / flows.placed.total + unsure)
    return flows.log_cost + math.log1p(-lost) if lost < 0.5 else None


def _most(flows: BlockFlows, sizes: Array) -> float:
    """Bound on ``|p A d|`` for all ``|d| <= sizes``."""
    along, ends = abs(flows.ends.matrix) @ sizes, flows.ends
    of_blocks = [
        one.exponent * sum(float(along[side].max(initial=0.0)) for side in sides)
        for one, sides in zip(flows.costs.blocks, ends.at, strict=True)
    ]
    of_terms = float((flows.costs.terms.exponent * along[ends.terms]).max(initial=0.0))
    return _ROUNDED_UP * max([of_terms, *of_blocks])


def _reach(flows: BlockFlows, diagonal: Array, lacking: Array, unsure: float, hessian: BlockHessian) -> Array | None:
    """Some s >= 0 with ``M s >= lacking``, for certain; None where that cannot be told."""
    compared, weight = _Comparison(flows, diagonal), hessian.weight
    # A quarter of the right-hand side may be missing: the product is then 1.5 times what it must exceed.
    solution, _, left = conjugate_gradients(
        compared.product, weight.copy(), compared.approximate_inverse(hessian), weight=weight, tol=0.25, max_steps=100
    )
    if not left <= 0.25:
        return None
    reach = np.maximum(solution, 0.0) * (2.0 * float((lacking / weight).max()))
    image = np.empty_like(reach)
    compared.product(reach, image)
    # The terms of the product are positive on the diagonal alone: their absolute values sum up to 2 D s - M s.
    certain = image - unsure * (2.0 * diagonal * reach + np.abs(image))
    return reach if np.all(np.isfinite(certain)) and np.all(certain > lacking) else None


class _Comparison:
    """The comparison matrix of the Hessian, or what bounds it from below: no entry off the diagonal is positive."""

    def __init__(self, flows: BlockFlows, diagonal: Array) -> None:
        self._flows, self._diagonal = flows, diagonal
        self._sizes, self._transposed = abs(flows.ends.matrix), abs(flows.ends.transposed)

    def product(self, step: Array, out: Array) -> None:
        """``M s``."""
        along = self._sizes @ step
        own = self._flows.placed.curvatures * along
        out[:] = 2.0 * self._diagonal * step - self._transposed @ (own + self._flows.between(along))

    def approximate_inverse(self, hessian: BlockHessian) -> Precondition:
        """That of the Hessian where the two differ by signs of scales alone, else the diagonal."""
        signs = _signs(self._flows)
        if signs is None:
            return lambda residual: (residual / self._diagonal, None)
        solve = hessian.here()
        return lambda residual: (signs * solve(signs * residual)[0], None)


def _signs(flows: BlockFlows) -> Array | None:
    """Signs of scales with which no entry of the Hessian off the diagonal is positive; None where there are none.

    The scales that one block's rows depend on, times their coefficients, have one sign then, and those of its columns
    the other; two scales that one end depends on have opposite signs, times their coefficients.
    """
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    ends, size = flows.ends, flows.size
    pairs = []
    for k in (k for k, moves_both in enumerate(ends.move_both) if moves_both):
        for side, its_sign in zip(ends.at[k], (1.0, -1.0), strict=True):
            part = ends.matrix[side]
            pairs.append((part.indices, np.full(part.nnz, size + k), its_sign * np.sign(part.data)))
    if ends.most_at_an_end > 2:
        return None
    two = ends.matrix[np.flatnonzero(np.diff(ends.matrix.indptr) == 2)]
    pairs.append((two.indices[::2], two.indices[1::2], -np.sign(two.data[::2] * two.data[1::2])))
    one, other, sign = (np.concatenate(side) for side in zip(*pairs, strict=True))
    # Every vertex twice, once for each sign: if both copies are connected, the signs contradict each other.
    count = size + len(ends.at)
    flips = np.where(sign > 0, 0, count)
    heads = np.concatenate([other + flips, other + count - flips])
    entries = np.ones(heads.size, dtype=np.int8), (np.concatenate([one, one + count]), heads)
    links = sparse.coo_array(entries, shape=(2 * count, 2 * count))
    _, label = csgraph.connected_components(links, directed=False)
    if np.any(label[:count] == label[count:]):
        return None
    result: Array = np.where(label[:size] < label[count : count + size], 1.0, -1.0)
    return result


def _rounding(placed: PlacedCosts) -> float:
    """Bound on the error of every sum of costs, relative to the sum of the absolute values of its terms.

    Of the costs: their logarithms and those of the factors carry half a unit in the last place or two. Of the sums: one
    for each term in the longest, over columns and then over rows, and for each end that depends on a scale.
    """
    costs, ends = placed.costs, placed.ends
    values, offset = abs(ends.matrix) @ np.abs(placed.log_scales), costs.offset[np.isfinite(costs.offset)]
    furthest = float(values.max(initial=0.0)) + float(np.abs(offset).max(initial=0.0))
    factors = 2.0 * float(ends.exponents.max(initial=0.0)) * furthest
    sizes = [abs(at.extent.log_least) + 2.0 * abs(at.log_largest) + abs(at.log_coefficient) for at in costs.blocks]
    logs = costs.terms.log_coefficient
    logarithms = max([0.0, *sizes, float(np.abs(logs).max(initial=0.0))]) + 3.0 * factors + 2.0 * abs(placed.log_cost)
    longest = max([0, *(max(one.tail.size, one.head.size) for one in costs.blocks)])
    uses = int(np.diff(ends.transposed.indptr).max(initial=0))
    terms = 2.0 * longest + uses + len(costs.blocks) + min(logs.size, 64) + math.log2(logs.size + 1) + 64.0
    return 1.01 * (rounding.of_exponential(12.0 + logarithms) + rounding.EPS * terms)
