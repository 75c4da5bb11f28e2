"""The certificate of a model's cost: a lower bound for each of its components, by products or by factorizations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from balance_graph._floating_point import own_rules
from balance_graph.certificate import rounding
from balance_graph.certificate.blocks import log_cost_and_bound, log_cost_unmoved
from balance_graph.certificate.bound import Certificate, certificate_of, certify_problem
from balance_graph.models.components import separated
from balance_graph.models.cost import ModelCost
from balance_graph.problem.block_costs import Terms
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.regularizers import Regularizer

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
    costs, bounds = [], []
    for scales, part in separated(cost) if cost.blocks else [(np.arange(cost.size), cost)]:
        certain = replace(part, terms=part.terms.certain())
        log_cost, log_bound = _log_costs(certain) if scales.size else log_cost_unmoved(certain)
        costs.append(float(np.logaddexp(log_cost, _log_uncertain(part.terms))))
        bounds.append(log_bound + math.log1p(-max((one.unsure for one in part.blocks), default=0.0)))
    return sum_of_certificates(costs, bounds, regularizer)


def _log_uncertain(terms: Terms) -> float:
    """Logarithm of what `Terms.certain` leaves out of the cost."""
    with np.errstate(divide="ignore"):
        return log_sum(terms.log_coefficient + np.log(np.minimum(terms.unsure, 1.0)))


def sum_of_certificates(
    log_costs: Sequence[float], log_bounds: Sequence[float], regularizer: Regularizer
) -> Certificate:
    """The certificate of a sum, from the logarithms of its parts' costs and of lower bounds on them."""
    log_cost, log_bound = log_sum(np.array(log_costs)), log_sum(np.array(log_bounds))
    log_bound -= 4.0 * rounding.EPS * (len(log_costs) + 2.0 + abs(log_cost)) if math.isfinite(log_cost) else 0.0
    return certificate_of(log_cost, log_bound, regularizer)


def _log_costs(part: ModelCost) -> tuple[float, float]:
    """Logarithms of the cost and of a lower bound."""
    if part.blocks:
        log_cost, log_bound = log_cost_and_bound(part, np.zeros(part.size))
        if log_bound is not None:
            return log_cost, log_bound
        if part.n_terms > _FEW:
            return log_cost, -math.inf
    certificate = certify_problem(part.problem, np.zeros(part.size))
    return certificate.log_cost, certificate.log_lower_bound
