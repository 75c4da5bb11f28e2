"""The certificate of a quotient, on rows kept as logarithms: any rows, at any range of costs.

Two corrections make up for what the flows lack of a circulation. Rows of two ends are links of a graph, and a tree of
the strongest ones can carry it (`balance_graph.certificate.circulation`); of any rows a basis of the strongest can
(`balance_graph.certificate.circulation_of_rows`). Or, without either: where H = A^T D A is a
Stieltjes matrix (positive definite, off-diagonal entries <= 0), ``H s >= r`` with ``s >= 0`` proves ``|H^-1 r'| <= s``
for every ``|r'| <= r``, and the inequality is checked with its own rounding; rows that are no edges make other
matrices, of which the same is shown by way of the comparison matrix, or of an approximate inverse. The bound on u
widens by ``kappa |A| s``, and h is taken at the worse end. The rounding of the cost itself is subtracted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array, Sparse
from balance_graph.certificate import rounding
from balance_graph.certificate.circulation import Circulation, circulation_near
from balance_graph.certificate.circulation_of_rows import circulation_of_rows
from balance_graph.linear.factorization import Solve, factorize
from balance_graph.points.clusters import EVERY, FAR_APART
from balance_graph.points.point import advance
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.levelled import LEVEL
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.row_ends import RowEnds
from balance_graph.problem.rows import Rows

# A bound that gives away no more than this is as good as another.
_TIGHT = 1e-9
# What hardly adds to the rounding of the cost.
_NEGLIGIBLE = 1e-13
# By how much flows are taken smaller where some have levelled off, in units of their largest rounding.
_SMALLER = 8.0
# From a far point the bound is sought along safe Newton steps; the trivial bound stands after this many.
_MAX_STEPS = 100
# Largest logarithm of in over out from where a bound is sought: farther off it costs more than a step that makes it
# better, and mostly there is none.
_FAR = 1.0
# Largest system whose inverse is formed to bound a correction where the comparison matrix of H does not.
_MAX_DENSE = 1500


def log_lower_bound(quotient: Quotient) -> float:
    """Logarithm of a lower bound on the optimum of a quotient.

    Where the center is balanced, a tree of rows mostly proves all that there is to prove. Otherwise both bases of
    clusters are good for a bound, and either can be the better: the second is tried where the first gives away much.
    """
    best, ends = quotient.log_constant - _constant_error(quotient), RowEnds.of(quotient.matrix)
    if quotient.size > 0:
        flows = _Flows.at_center(quotient)
        gap = flows.gap_near(ends, np.zeros(flows.ratio.size))
        best = max(best, flows.bound(gap)[0])
        if gap <= _NEGLIGIBLE:
            return best
    for log_ratio in (FAR_APART, EVERY):
        log_bound, share = _bound_from(RowsPoint(quotient, log_ratio=log_ratio), ends)
        best = max(best, log_bound)
        if share <= _TIGHT:
            break
    return best


def _bound_from(point: RowsPoint, ends: RowEnds | None) -> tuple[float, float]:
    """Logarithm of a bound that is found on the way from a point to balance, and the share of the cost given away."""
    for _ in range(_MAX_STEPS):
        if point.largest > _FAR and advance(point, rounding.EPS):
            continue
        flows = _Flows(point.quotient, point.displacement, point.log_slopes, point.ratio, point.log_cost)
        log_bound, share = flows.bound(_gap(point, flows, ends))
        if share < 0.5:
            return log_bound, share
        if not advance(point, rounding.EPS):
            break
    return -math.inf, 1.0


def _gap(point: RowsPoint, flows: _Flows, ends: RowEnds | None) -> float:
    """Bound on the duality gap at a point relative to the cost, or inf where no circulation is found near the flows.

    Rows of two ends need no inverse: flows of a tree make up for what is lacking, also where Newton's direction is of
    no use; and so do those of a basis of any rows, where unknowns are few.
    """
    if point.quotient.size == 0:
        return 0.0
    if not np.all(np.isfinite(flows.error)):
        return math.inf
    newton = _NewtonFlows.of(point)
    gap = math.inf if newton is None else flows.gap_of(newton.circulation(flows.error, may_invert=ends is None))
    if gap <= _TIGHT:
        return gap
    unchanged = np.zeros(flows.ratio.size)
    changes = [unchanged] if newton is None else [newton.change, unchanged]
    return min(gap, *(flows.gap_near(ends, change) for change in changes))


@dataclass(frozen=True, eq=False)
class _Flows:
    """The flows at a displacement, with what rounding may hide in them."""

    quotient: Quotient
    displacement: Array
    log_slopes: Array
    ratio: Array
    log_cost: float

    @classmethod
    def at_center(cls, quotient: Quotient) -> _Flows:
        zero = np.zeros(quotient.size)
        return cls(quotient, zero, *quotient.log_slopes(zero), quotient.log_cost(zero))

    @cached_property
    def log_gains(self) -> Array:
        """Log-gain of each row."""
        return self.quotient.log_gains(self.displacement)

    @cached_property
    def error(self) -> Array:
        """Bound on the relative error of each row's cost and flow: that of the logarithms they come from."""
        quotient, rows = self.quotient, self.quotient.rows
        # Log-gains are those at the center and what the displacement adds: the two may cancel.
        size = quotient.problem.manifold.log_gain_sizes(quotient.center)[rows.edge]
        size = size + np.asarray(abs(quotient.matrix) @ np.abs(self.displacement))
        amplitude = _amplitude_sizes(quotient.problem, rows, self.ratio)
        sizes: Array = amplitude + np.abs(self.log_slopes) + (1.0 + self.ratio) * size
        return rounding.of_exponential(sizes)

    def bound(self, gap: float) -> tuple[float, float]:
        """Logarithm of the bound that a gap proves, and the share of the cost that it gives away; none above half."""
        # A slope that has underflowed to zero leaves its row's flow unknown: no bound from here.
        share = gap + self._error_of_cost() if math.isfinite(gap) else math.inf
        return (self.log_cost + math.log1p(-share), share) if share < 0.5 else (-math.inf, 1.0)

    def _error_of_cost(self) -> float:
        """Bound on the relative error of the cost, and on that of the bound's own logarithm."""
        weight = np.exp(self.quotient.rows.log_costs(self.log_gains) - self.log_cost)
        own = rounding.of_log_sum(0.0, self.log_cost, self.error.size)
        return float(weight @ self.error) + _constant_error(self.quotient) + own

    def gap_near(self, ends: RowEnds | None, change: Array) -> float:
        """The gap of the circulation with the flows ``y (1 + change)`` off a tree, or a basis, of strongest rows."""
        if not np.all(np.isfinite(self.error)):
            return math.inf
        if not np.any(self.ratio < LEVEL):
            return self._gap_on_strongest(ends, change, np.log(self.ratio))
        # A flow that has levelled off cannot grow: all flows together are taken a little smaller, by a little more than
        # what rounding makes of sums. Where those of the tree are among these, they make up for little; where they are
        # not, they may be too small to make up for all.
        smaller = _SMALLER * float(self.error.max())
        if smaller >= 0.5:
            return math.inf
        change = change - smaller * (1.0 + change)
        with np.errstate(divide="ignore"):
            orders = np.zeros_like(self.ratio), np.log(self.ratio)
        return min(self._gap_on_strongest(ends, change, one) for one in orders)

    def _gap_on_strongest(self, ends: RowEnds | None, change: Array, log_ratio: Array) -> float:
        if ends is not None:
            gap = self.gap_of(circulation_near(ends, self.quotient.size, self.log_slopes, change, log_ratio))
            if math.isfinite(gap):
                return gap
        return self.gap_of(circulation_of_rows(self.quotient.matrix, self.log_slopes, change, log_ratio))

    def gap_of(self, circulation: Circulation | None) -> float:
        """Bound on the duality gap of a circulation relative to the cost; inf for none, or one that changes signs."""
        if circulation is None:
            return math.inf
        change, width = circulation.change, circulation.width + self.error * (1.0 + np.abs(circulation.change))
        if not np.all(width < 0.5 * (1.0 + change)):
            return math.inf
        with np.errstate(over="ignore", invalid="ignore"):  # exponents near the end of the range of floats
            up = self.quotient.rows.dual_gaps(self.log_gains, change + width, self.log_cost)
            down = self.quotient.rows.dual_gaps(self.log_gains, change - width, self.log_cost)
        gap = float(np.maximum(up, down).sum()) * (1.0 + 1e-6)
        return gap if math.isfinite(gap) else math.inf


def _amplitude_sizes(problem: BalanceProblem, rows: Rows, ratio: Array) -> Array:
    """Size of all that each row's amplitude is added up from: it may cancel."""
    amplitude = np.abs(rows.log_costs(np.zeros(rows.edge.size)))
    added = np.abs(problem.log_coefficient[rows.edge]) + ratio * np.abs(problem.log_weight[rows.edge])
    return np.where(np.isfinite(amplitude), amplitude, 0.0) + added


def _constant_error(quotient: Quotient) -> float:
    """Bound on the rounding error of the logarithm of the cost of the rows that nothing moves."""
    if quotient.log_constant == -math.inf:
        return 0.0
    problem, rows = quotient.problem, quotient.problem.rows
    gains = problem.log_gains(quotient.center)[rows.edge]
    sizes = problem.manifold.log_gain_sizes(quotient.center)[rows.edge]
    ratio = rows.log_slopes(gains)[1]
    worst = float((_amplitude_sizes(problem, rows, ratio) + (1.0 + ratio) * sizes).max(initial=0.0))
    return rounding.of_log_sum(worst, quotient.log_constant, rows.edge.size)


class _NewtonFlows(NamedTuple):
    """The flows ``y (1 + change)`` that Newton's direction leads to, and what they lack of a circulation."""

    point: RowsPoint
    hessian: Sparse
    shares: Sparse
    solve: Solve
    change: Array
    residual: Array

    @classmethod
    def of(cls, point: RowsPoint) -> _NewtonFlows | None:
        """None where there is no direction, or one along which flows would change sign."""
        equations, ratio = point.equations, point.ratio
        hessian, shares = equations.hessian(point.log_slopes, ratio)
        solve = factorize(hessian)
        if solve is None:
            return None
        change = np.zeros(ratio.size)
        residual = shares @ (1.0 + change)
        with np.errstate(over="ignore", invalid="ignore"):  # a direction beyond floats is none
            for _ in range(2):  # the second solve repairs what rounding left of the first
                change = change - ratio * (equations.matrix @ solve(residual))
                residual = shares @ (1.0 + change)
        if not (np.all(np.isfinite(change)) and change.min() > -0.99):
            return None
        return cls(point, hessian, shares, solve, change, residual)

    def circulation(self, error: Array, *, may_invert: bool) -> Circulation | None:
        """With the correction that makes up for what is lacking; None where that cannot be bounded."""
        sizes, flows = abs(self.shares), np.abs(1.0 + self.change)
        slack = sizes @ (flows * error) + rounding.EPS * (np.diff(self.shares.indptr) + 4) * (sizes @ flows)
        lacking = np.abs(self.residual) + slack
        reach = _correction_bound(self.hessian, self.solve, lacking, float(error.max()), may_invert=may_invert)
        if reach is None:
            return None
        return Circulation(self.change, self.point.ratio * (abs(self.point.equations.matrix) @ reach))


def _correction_bound(
    hessian: Sparse, solve: Solve, residual: Array, error: float, *, may_invert: bool
) -> Array | None:
    """A vector s with ``|H^-1 r| <= s`` for every ``|r| <= residual``, or None.

    With H's *comparison matrix* C (its diagonal, less the sizes of all other entries), ``C s >= r`` and ``s >= 0``
    prove that ``|H^-1| <= C^-1`` (Ostrowski 1937); a Stieltjes matrix is its own.
    """
    row = np.repeat(np.arange(hessian.shape[0]), np.diff(hessian.indptr))
    off_diagonal = row != hessian.indices
    comparison, solve_comparison = hessian, solve
    if np.any(hessian.data[off_diagonal] > 0.0):
        comparison = hessian.copy()
        comparison.data[off_diagonal] = -np.abs(hessian.data[off_diagonal])
        solve_comparison = factorize(comparison) or solve
    reach: Array = np.abs(solve_comparison(2.0 * residual))
    # The entries of H and the products each carry a relative error; none may decide the inequality.
    relative = 4.0 * error + 64.0 * rounding.EPS
    with np.errstate(over="ignore", invalid="ignore"):
        margin = relative * (abs(hessian) @ reach)
        if np.all(comparison @ reach - margin >= residual):
            return reach
    return _bound_by_inverse(hessian.toarray(), residual, relative) if may_invert else None


def _bound_by_inverse(hessian: NDArray[np.float64], residual: Array, relative: float) -> Array | None:
    """The same from an approximate inverse B: with ``s = |B| r`` and ``|I - B H| s <= s / 2``, ``|H^-1 r| <= 2 s``."""
    if hessian.shape[0] > _MAX_DENSE:
        return None
    try:
        inverse = np.linalg.inv(hessian)
    except np.linalg.LinAlgError:
        return None
    sizes = np.abs(inverse)
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range of floats bounds nothing
        half: Array = sizes @ residual
        off = np.abs(np.eye(half.size) - inverse @ hessian) @ half
        hidden = (relative + 4.0 * half.size * rounding.EPS) * (sizes @ (np.abs(hessian) @ half) + half)
    return 2.0 * half if np.all(off + hidden <= 0.5 * half) else None
