"""A certified lower bound on the optimal cost, for any log-scales of any solver.

The dual of the balance problem maximizes over circulations ``y >= 0, A^T y = 0``. Near balance Newton's direction d
of the convex cost turns the flows y into a circulation, ``y (1 + u)`` with ``u = kappa A d``, and for a power of
exponent p the duality gap is, without cancellation,

    R - R* <= sum of (y / p) h(u),     h(u) = (1 + u) log(1 + u) - u.

Rounding is accounted for. What floating point leaves in ``A^T y^`` is repaired by an exact correction that is not known
but bounded: where H = A^T D A is a Stieltjes matrix (positive definite, off-diagonal entries <= 0), ``H s >= r`` with
``s >= 0`` proves ``|H^-1 r'| <= s`` for every ``|r'| <= r``, and the inequality is checked with its own rounding; rows
that are no edges make other matrices, of which the same is shown by way of the comparison matrix. The bound on u widens
by ``kappa |A| s``, and h is taken at the worse end. The rounding of the cost itself is subtracted.

Large networks with one exponent are certified in passes over their edges, see `balance_graph.certificate.large`;
dense blocks by products with them, see `balance_graph.certificate.blocks`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balance_graph._showing import html_table
from balance_graph._types import Array, Sparse
from balance_graph.certificate.circulation import Circulation, circulation_near
from balance_graph.linear.factorization import Solve, factorize
from balance_graph.points.clusters import EVERY, FAR_APART
from balance_graph.points.point import advance
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.attainment import find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.row_ends import RowEnds
from balance_graph.problem.rows import Rows

_EPS = float(np.finfo(float).eps)
# A bound that gives away no more than this is as good as another.
_TIGHT = 1e-9
# From a far point the bound is sought along safe Newton steps; the trivial bound stands after this many.
_MAX_STEPS = 100
# Largest system whose inverse is formed to bound a correction where the comparison matrix of H does not.
_MAX_DENSE = 1500
# From here on, passes over edge lists beat factorizations, and soon the time it takes to load compiled loops.
_LARGE = 4_000


@dataclass(frozen=True)
class Certificate:
    """A proof of how far a cost is from the optimum (the infimum, where the minimum is not attained).

    Attributes
    ----------
    cost : float
        The cost of the point in question: of all weights, dead ones included.
    lower_bound : float
        No scaling of the network costs less; valid in floating point. Where the minimum is not attained, it bounds the
        infimum: dead weights can shrink for ever, and count nothing in it. So the gap of a network with dead weights
        holds all that they cost at the point, however well the rest is balanced; set them to zero to certify the rest.
    gap : float
        ``cost - lower_bound``.
    relative_gap : float
        The gap relative to the cost; 0 for a network without weights. Its floor is the rounding of the cost itself.
    regularizer : Regularizer
        What the cost is: a network that is balanced for another has a gap.
    log_cost, log_lower_bound : float
        Logarithms of the cost and the bound, which hold also where those leave the range of floats: there the cost is
        inf, and the bound the largest float.

    See Also
    --------
    certify : Computes it.
    """

    cost: float
    lower_bound: float
    gap: float
    relative_gap: float
    regularizer: Regularizer
    log_cost: float = -math.inf
    log_lower_bound: float = -math.inf

    def _repr_html_(self) -> str:
        return html_table(
            "Certificate",
            {
                "cost": f"{self.cost:.12g}",
                "lower bound": f"{self.lower_bound:.12g}",
                "gap": f"{self.gap:.3g}, relatively {self.relative_gap:.2g}",
            },
        )

    def __repr__(self) -> str:
        return (
            f"Certificate(cost={self.cost:.12g}, lower_bound={self.lower_bound:.12g}, "
            f"relative_gap={self.relative_gap:.2g}, regularizer={self.regularizer!r})"
        )


def certify_problem(problem: BalanceProblem | BlockProblem, log_scales: Array) -> Certificate:
    """Bound the optimal cost of a problem from one point.

    Parameters
    ----------
    problem : BalanceProblem or BlockProblem
    log_scales : (n_nodes,) array
        Log-scales that obey the ties, zero where pinned.

    Returns
    -------
    Certificate
        Tight near balance. From a point far off, Newton steps lead to one from which a bound follows; if they do not
        get there, the bound is the cost of the edges that nothing can scale.
    """
    log_cost, log_bound = _log_costs(problem, log_scales)
    if log_cost == -math.inf:
        return Certificate(0.0, 0.0, 0.0, 0.0, problem.regularizer)
    log_bound = min(log_bound, log_cost)
    relative_gap = -math.expm1(log_bound - log_cost)
    cost, lower_bound = exp_or_inf(log_cost), rounded_down(log_bound)
    gap = cost - lower_bound if math.isfinite(cost) else exp_or_inf(log_cost + math.log(relative_gap or 5e-324))
    return Certificate(cost, lower_bound, gap, relative_gap, problem.regularizer, log_cost, log_bound)


def rounded_down(log_bound: float) -> float:
    """The largest number that the exponential, computed to two units in the last place, is surely not below."""
    value = min(exp_or_inf(log_bound), sys.float_info.max)
    for _ in range(2):
        value = math.nextafter(value, 0.0)
    return value


def _log_costs(problem: BalanceProblem | BlockProblem, log_scales: Array) -> tuple[float, float]:
    """Logarithms of the cost and of a lower bound on the infimum."""
    if isinstance(problem, BlockProblem):
        from balance_graph.certificate.blocks import log_costs_of_blocks  # compiled loops: slow to load

        return log_costs_of_blocks(problem, log_scales)
    if problem.n_edges >= _LARGE:
        from balance_graph.certificate.large import log_costs_of_large  # compiled loops: slow to load

        found = log_costs_of_large(problem, log_scales)
        if found is not None:
            return found
    quotient = Quotient(problem, log_scales, live=find_attainment(problem).live)
    return problem.log_cost(log_scales), _log_lower_bound(quotient)


def _log_lower_bound(quotient: Quotient) -> float:
    """Logarithm of a lower bound on the optimum of a reduced problem.

    Both bases of clusters are good for a bound, and either can be the better one: the second is tried where the first
    gives away much.
    """
    best, ends = quotient.log_constant - _constant_error(quotient), RowEnds.of(quotient.matrix)
    for log_ratio in (FAR_APART, EVERY):
        log_bound, share = _bound_from(RowsPoint(quotient, log_ratio=log_ratio), ends)
        best = max(best, log_bound)
        if share <= _TIGHT:
            break
    return best


def _bound_from(point: RowsPoint, ends: RowEnds | None) -> tuple[float, float]:
    """Logarithm of a bound that is found on the way from a point to balance, and the share of the cost given away."""
    for _ in range(_MAX_STEPS):
        log_cost, error = point.log_cost, _flow_errors(point)
        # A slope that has underflowed to zero leaves its row's flow unknown: no bound from here.
        if np.all(np.isfinite(error)):
            with np.errstate(over="ignore", invalid="ignore"):  # exponents near the end of the range of floats
                share = _relative_gap(point, ends, log_cost, error) + _cost_error(point, log_cost, error)
            if share < 0.5:
                return log_cost + math.log1p(-share), share
        if not advance(point, _EPS):
            break
    return -math.inf, 1.0


def _flow_errors(point: RowsPoint) -> Array:
    """Bound on the relative rounding error of each row's cost and flow: that of the logarithms they come from."""
    quotient = point.quotient
    rows = quotient.rows
    # Log-gains are those at the center and what the displacement adds: the two may cancel.
    size = quotient.problem.manifold.log_gain_sizes(quotient.center)[rows.edge]
    size = size + abs(quotient.matrix) @ np.abs(point.displacement)
    amplitude = _amplitude_sizes(quotient.problem, rows, point.ratio)
    return 4.0 * _EPS * (4.0 + amplitude + np.abs(point.log_slopes) + (1.0 + point.ratio) * size)


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
    n = rows.edge.size
    return 4.0 * _EPS * (4.0 + worst + abs(quotient.log_constant)) + _EPS * (min(n, 32) + math.log2(max(n, 1)))


def _cost_error(point: RowsPoint, log_cost: float, error: Array) -> float:
    """Bound on the relative rounding error of the cost and of the bound's own logarithm."""
    n = max(error.size, 1)
    weight = np.exp(point.quotient.rows.log_costs(point.quotient.log_gains(point.displacement)) - log_cost)
    summation = _EPS * (min(n, 32) + math.log2(n))
    return float(weight @ error) + summation + _constant_error(point.quotient) + 4.0 * _EPS * (2.0 + abs(log_cost))


def _relative_gap(point: RowsPoint, ends: RowEnds | None, log_cost: float, error: Array) -> float:
    """Bound on the duality gap relative to the cost, or inf where no circulation is found near the flows.

    Rows with two ends need no inverse: flows of a tree make up for what is lacking, also where Newton's direction is of
    no use.
    """
    if point.quotient.size == 0:
        return 0.0
    newton = _NewtonFlows.of(point)
    gap = math.inf if newton is None else _gap_of(point, newton.circulation(error, ends is None), log_cost, error)
    if ends is None or gap <= _TIGHT:
        return gap
    unchanged = np.zeros(point.ratio.size)
    for change in (unchanged,) if newton is None else (newton.change, unchanged):
        near = circulation_near(ends, point.quotient.size, point.log_slopes, change)
        gap = min(gap, _gap_of(point, near, log_cost, error))
    return gap


def _gap_of(point: RowsPoint, circulation: Circulation | None, log_cost: float, error: Array) -> float:
    """Bound on the duality gap of a circulation relative to the cost; inf where there is none, or one with no signs."""
    if circulation is None:
        return math.inf
    change, width = circulation.change, circulation.width + error * (1.0 + np.abs(circulation.change))
    if not np.all(width < 0.5 * (1.0 + change)):
        return math.inf
    rows, log_gains = point.quotient.rows, point.quotient.log_gains(point.displacement)
    up = rows.dual_gaps(log_gains, change + width, log_cost)
    down = rows.dual_gaps(log_gains, change - width, log_cost)
    return float(np.maximum(up, down).sum()) * (1.0 + 1e-6)


class _NewtonFlows(NamedTuple):
    """The flows ``y (1 + change)`` that Newton's direction of the cost leads to, and what they lack of a circulation."""

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
        for _ in range(2):  # the second solve repairs what rounding left of the first
            change = change - ratio * (equations.matrix @ solve(residual))
            residual = shares @ (1.0 + change)
        if not (np.all(np.isfinite(change)) and change.min() > -0.99):
            return None
        return cls(point, hessian, shares, solve, change, residual)

    def circulation(self, error: Array, may_invert: bool) -> Circulation | None:
        """With the correction that makes up for what is lacking; None where that cannot be bounded."""
        sizes, flows = abs(self.shares), np.abs(1.0 + self.change)
        slack = sizes @ (flows * error) + _EPS * (np.diff(self.shares.indptr) + 4) * (sizes @ flows)
        lacking = np.abs(self.residual) + slack
        reach = _correction_bound(self.hessian, self.solve, lacking, float(error.max()), may_invert)
        if reach is None:
            return None
        return Circulation(self.change, self.point.ratio * (abs(self.point.equations.matrix) @ reach))


def _correction_bound(hessian: Sparse, solve: Solve, residual: Array, error: float, may_invert: bool) -> Array | None:
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
    relative = 4.0 * error + 64.0 * _EPS
    with np.errstate(over="ignore", invalid="ignore"):
        margin = relative * (abs(hessian) @ reach)
        if np.all(comparison @ reach - margin >= residual):
            return reach
    return _bound_by_inverse(hessian.toarray(), residual, relative) if may_invert and row.size else None


def _bound_by_inverse(hessian: NDArray[np.float64], residual: Array, relative: float) -> Array | None:
    """The same from an approximate inverse B: with ``s = |B| r`` and ``|I - B H| s <= s / 2``, ``|H^-1 r| <= 2 s``."""
    if hessian.shape[0] > _MAX_DENSE:
        return None
    try:
        inverse = np.linalg.inv(hessian)
    except np.linalg.LinAlgError:
        return None
    sizes = np.abs(inverse)
    half: Array = sizes @ residual
    off = np.abs(np.eye(half.size) - inverse @ hessian) @ half
    hidden = (relative + 4.0 * half.size * _EPS) * (sizes @ (np.abs(hessian) @ half) + half)
    return 2.0 * half if np.all(off + hidden <= 0.5 * half) else None
