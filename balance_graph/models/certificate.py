"""The certificate of a model's cost: a lower bound for each of its components, by products with blocks and terms.

The argument is that of `balance_graph.certificate.blocks`, for any forms and exponents. With costs c, slopes
``y = p c`` and a change d of the log-scales, let ``u = p A d``. The flow ``y (1 + u)`` lacks r of a circulation; H is
the Hessian ``A^T (p^2 c) A``. Its comparison matrix M has the same diagonal, and minus the sizes of other entries. If
``M s > |r|`` for some ``s >= 0``, there is a d' with ``|d'| <= s`` and ``H d' = -r`` (Ostrowski 1937), and with d + d'
in the place of d the flow is a circulation if no u is below -1. Since ``h(u) <= u^2 / (2 (1 - max|u|))``, the gap is at
most ``(sqrt(d H d) + sqrt(s |r|))^2 / (2 (1 - max|u|))``.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from balance_graph._floating_point import own_rules
from balance_graph._threads import one_blas_thread
from balance_graph._types import Array
from balance_graph.certificate.bound import Certificate, certify_problem
from balance_graph.linear.conjugate_gradients import Precondition, conjugate_gradients
from balance_graph.models.cost import ModelCost, log_constant
from balance_graph.models.flows import ModelFlows
from balance_graph.models.point import ModelHessian
from balance_graph.problem.log_domain import exp_or_inf, log_sum
from balance_graph.problem.regularizers import Regularizer

_EPS = float(np.finfo(float).eps)
# From a far point the bound is sought along safe Newton steps; parallel steps take out what is rough first.
_MAX_STEPS, _SWEEPS = 30, 10
# Bounds from further off give away more than a millionth: steps go on, and the best of all bounds stands.
_NEAR = 1e-3
# The direction is solved for to this share of the imbalance, but hardly below what rounding hides: what it lacks counts
# by its square. Imbalances this small need no direction: without one the bound is as good.
_SHARE, _HIDDEN, _SMALL = 1e-4, 1e-13, 1e-7
# Flows that change by less than this share of themselves keep their sign.
_WIDEST = 0.5
# With no more terms than this, a component for which products find no bound is certified by factorizations.
_FEW = 50_000


@own_rules
def certify_cost(cost: ModelCost, regularizer: Regularizer) -> Certificate:
    """Bound the least cost over all log-scales, from where they are zero.

    Parameters
    ----------
    cost : ModelCost
    regularizer : Regularizer
        What the cost is, for the record.

    Returns
    -------
    Certificate
        The bounds of all components, added. One that is found by products is no further from the cost than the square
        of the imbalance and rounding allow; where none is, the component counts nothing.
    """
    if not cost.blocks:
        certificate = certify_problem(cost.problem, np.zeros(cost.size))
        return Certificate(
            certificate.cost, certificate.lower_bound, certificate.gap, certificate.relative_gap, regularizer
        )
    costs, bounds = [], []
    for scales, part in cost.separated():
        log_cost, log_bound = _log_costs(part) if scales.size else _constant(part)
        costs.append(log_cost)
        bounds.append(min(log_bound, log_cost))
    log_cost, log_bound = log_sum(np.array(costs)), log_sum(np.array(bounds))
    if log_cost == -math.inf:
        return Certificate(0.0, 0.0, 0.0, 0.0, regularizer)
    log_bound -= 4.0 * _EPS * (len(costs) + 2.0 + abs(log_cost))
    whole, lower_bound, gap = exp_or_inf(log_cost), exp_or_inf(log_bound), -math.expm1(log_bound - log_cost)
    absolute = whole - lower_bound if math.isfinite(whole) else exp_or_inf(log_cost + math.log(gap))
    return Certificate(whole, lower_bound, absolute, gap, regularizer)


def _constant(part: ModelCost) -> tuple[float, float]:
    log_cost = log_constant(part)
    if log_cost == -math.inf:
        return log_cost, log_cost
    return log_cost, log_cost - _rounding(ModelFlows(part, np.zeros(0)))


def _log_costs(part: ModelCost) -> tuple[float, float]:
    """Logarithms of the cost and of a lower bound."""
    if part.blocks:
        with one_blas_thread():
            flows = ModelFlows(part, np.zeros(part.size))
            log_cost = flows.log_cost
            found = _log_bound(flows)
        if found is not None:
            return log_cost, found
        if part.n_terms > _FEW:
            return log_cost, -math.inf
    certificate = certify_problem(part.problem, np.zeros(part.size))
    with np.errstate(divide="ignore"):
        return float(np.log(certificate.cost)), float(np.log(certificate.lower_bound))


def _log_bound(flows: ModelFlows) -> float | None:
    """Logarithm of a lower bound on the cost, from log-scales or from where Newton's method leads; None if nowhere."""
    flows.sweep(_SWEEPS, math.e)
    log_bound: float | None = None
    for _ in range(_MAX_STEPS):
        if not flows.is_sound:
            return log_bound
        hessian = ModelHessian(flows)
        right = (flows.out_of - flows.into)[:-1]
        size = float(np.abs(right / hessian.weight).max())
        direction = np.zeros_like(right)
        if size > _SMALL:
            goal = max(_SHARE * size, min(100.0 * _SHARE * size, _HIDDEN))
            solved = hessian.solve(right.copy(), goal=goal, last_goal=goal, imbalance=0.0)
            if solved is None:
                return log_bound
            direction = solved
        here = _bound_here(flows, direction, hessian)
        log_bound = max((one for one in (log_bound, here) if one is not None), default=None)
        if (log_bound is not None and size < _NEAR) or not direction.any():
            return log_bound
        flows.move(direction / max(1.0, 2.0 * float(np.abs(direction).max())))
    return log_bound


def _bound_here(flows: ModelFlows, direction: Array, hessian: ModelHessian) -> float | None:
    """The bound that a direction proves; None for less than half of the cost."""
    most = _most(flows, np.abs(direction))
    if not most < _WIDEST:
        return None
    into, out_of, diagonal = flows.into[:-1], flows.out_of[:-1], flows.diagonal()
    unsure, image = _rounding(flows), np.zeros_like(direction)
    if direction.any():
        flows.product(diagonal, direction, image)
    lacking = np.abs(into - out_of + image) + unsure * (1.0 + most) * (into + out_of)
    reach = _reach(flows, diagonal, lacking, unsure, hessian)
    if reach is None:
        return None
    most = _most(flows, np.abs(direction) + reach)
    if not most < _WIDEST:
        return None
    along = max(0.0, float(direction @ image)) + 2.0 * unsure * float(diagonal @ (direction * direction))
    gap = (math.sqrt(along) + math.sqrt(float(reach @ lacking))) ** 2 / (2.0 * (1.0 - most))
    lost = 1.000001 * (gap / flows.total + unsure)
    return flows.log_cost + math.log1p(-lost) if lost < 0.5 else None


def _most(flows: ModelFlows, sizes: Array) -> float:
    """Bound on ``|p A d|`` for all ``|d| <= sizes``."""
    along, ends = abs(flows.ends.matrix) @ sizes, flows.ends
    of_blocks = [
        one.exponent * sum(float(along[side].max(initial=0.0)) for side in sides)
        for one, sides in zip(flows.cost.blocks, ends.at, strict=True)
    ]
    of_terms = float((flows.cost.terms.exponent * along[ends.terms]).max(initial=0.0))
    return 1.000001 * max([of_terms, *of_blocks])


def _reach(flows: ModelFlows, diagonal: Array, lacking: Array, unsure: float, hessian: ModelHessian) -> Array | None:
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

    def __init__(self, flows: ModelFlows, diagonal: Array) -> None:
        self._flows, self._diagonal = flows, diagonal
        self._sizes = abs(flows.ends.matrix)
        self._transposed = abs(flows.ends.transposed)

    def product(self, step: Array, out: Array) -> None:
        """``M s``."""
        along = self._sizes @ step
        own = self._flows.curvatures * along
        out[:] = 2.0 * self._diagonal * step - self._transposed @ (own + self._flows.between(along))

    def approximate_inverse(self, hessian: ModelHessian) -> Precondition:
        """That of the Hessian where the two differ by signs of scales alone, else the diagonal."""
        signs = _signs(self._flows)
        if signs is None:
            return lambda residual: (residual / self._diagonal, None)
        solve = hessian.here()
        return lambda residual: (signs * solve(signs * residual)[0], None)


def _signs(flows: ModelFlows) -> Array | None:
    """Signs of scales with which no entry of the Hessian off the diagonal is positive; None where there are none.

    The scales that one block's rows depend on, times their coefficients, have one sign then, and those of its columns
    the other; two scales that one end depends on have opposite signs, times their coefficients.
    """
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    ends, size = flows.ends, flows.size
    pairs = []
    for k in (k for k in range(len(ends.at)) if ends.moves_both(k)):
        for side, its_sign in zip(ends.at[k], (1.0, -1.0), strict=True):
            part = ends.matrix[side]
            pairs.append((part.indices, np.full(part.nnz, size + k), its_sign * np.sign(part.data)))
    lengths = np.diff(ends.matrix.indptr)
    if lengths.max(initial=0) > 2:
        return None
    two = ends.matrix[np.flatnonzero(lengths == 2)]
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


def _rounding(flows: ModelFlows) -> float:
    """Bound on the error of every sum of costs, relative to the sum of the absolute values of its terms.

    Of the costs: their logarithms and those of the factors carry half a unit in the last place or two. Of the sums: one
    for each term in the longest, over columns and then over rows, and for each end that depends on a scale.
    """
    cost, ends = flows.cost, flows.ends
    values = abs(ends.matrix) @ np.abs(flows.log_scales)
    exponents = [one.exponent for one in cost.blocks] + [float(cost.terms.exponent.max(initial=0.0))]
    furthest = 2.0 * max(exponents) * (float(values.max(initial=0.0)) + float(np.abs(cost.offset).max(initial=0.0)))
    sizes = [abs(at.extent.log_least) + 2.0 * abs(at.log_largest) + abs(at.log_coefficient) for at in cost.blocks]
    logs = cost.terms.log_coefficient
    logarithms = max([0.0, *sizes, float(np.abs(logs).max(initial=0.0))]) + 3.0 * furthest + 2.0 * abs(flows.log_cost)
    longest = max([0, *(max(one.block.tail.size, one.block.head.size) for one in cost.blocks)])
    uses = int(np.diff(ends.transposed.indptr).max(initial=0))
    terms = 2.0 * longest + uses + len(cost.blocks) + min(logs.size, 64) + math.log2(logs.size + 1) + 64.0
    return 1.01 * _EPS * (4.0 * (16.0 + logarithms) + terms)
