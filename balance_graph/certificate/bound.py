"""A certified lower bound on the optimal cost, for any log-scales of any solver.

The dual of the balance problem maximizes over circulations ``y >= 0, A^T y = 0``. Near balance Newton's direction d
of the convex cost turns the flows y into a circulation, ``y (1 + u)`` with ``u = kappa A d``, and for a power of
exponent p the duality gap is, without cancellation,

    R - R* <= sum of (y / p) h(u),     h(u) = (1 + u) log(1 + u) - u.

Rounding is accounted for, outward (`balance_graph.certificate.rounding`). What floating point leaves in ``A^T y^`` is
repaired exactly, by a correction that is not known but bounded. How depends on the problem: on its rows
(`balance_graph.certificate.rows`), in passes over edges where there are many (`balance_graph.certificate.large`), or by
products with dense blocks (`balance_graph.certificate.blocks`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from balance_graph._showing import html_table
from balance_graph._types import Array
from balance_graph.certificate import rounding
from balance_graph.certificate.rows import log_lower_bound
from balance_graph.problem.attainment import find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.regularizers import Regularizer

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
    return certificate_of(*_log_costs(problem, log_scales), problem.regularizer)


def certificate_of(log_cost: float, log_bound: float, regularizer: Regularizer) -> Certificate:
    """The certificate that follows from logarithms of a cost and of a lower bound."""
    if log_cost == -math.inf:
        return Certificate(0.0, 0.0, 0.0, 0.0, regularizer)
    log_bound = min(log_bound, log_cost)
    relative_gap = -math.expm1(log_bound - log_cost)
    cost, lower_bound = exp_or_inf(log_cost), rounding.rounded_down(log_bound)
    gap = cost - lower_bound if math.isfinite(cost) else exp_or_inf(log_cost + math.log(relative_gap or 5e-324))
    return Certificate(cost, lower_bound, gap, relative_gap, regularizer, log_cost, log_bound)


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
    return problem.log_cost(log_scales), log_lower_bound(quotient)
