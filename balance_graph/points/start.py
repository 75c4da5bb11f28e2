"""Where to start on a large network: log-scales that do not depend on the scales that the weights come with.

From the ground on, log-scales can make every in-cost the same; against the edges, every c times out-cost. Either takes
one pass over the edges, and lets all that remains pile up at the far end.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from balance_graph._types import Array
from balance_graph.linear.edge_lists import EdgeList
from balance_graph.problem import network_kernels as kernels
from balance_graph.problem.live_network import LiveNetwork

# Costs that differ by more than e^this come from scales, not from the weights that a network would have by itself.
_FAR = 100.0


def scale_free_start(network: LiveNetwork, pool: Executor) -> Array:
    """Log-scales of the unknowns, without drift along the depth.

    With degrees 1, each unknown takes the mean of the two, weighted by its distances to the ends: exact on a chain of
    equal layers. Other degrees multiply errors along the depth one way, and divide them the other; so where the scales
    as they are will not do, since costs are too far apart, there is one pass in the way that divides.
    """
    if np.all(network.degree == 1.0):
        from_ground, to_ground = network.pattern.from_ground, network.pattern.to_ground
        forward, backward = network.accumulated(pool)
        share = from_ground / np.maximum(from_ground + to_ground, 1)
        mean: Array = (share * backward - (1.0 - share) * forward)[:-1]
        return mean / network.exponent
    if network.spread < _FAR:
        return np.zeros(network.size)
    grows = float(np.log(network.degree).sum()) > 0.0
    return _against(network) if grows else _along(network)


def _along(network: LiveNetwork) -> Array:
    """Equal in-costs e^t: ``u_i = t - log sum of exp(log y - c_j u_j)``, with u = p l."""
    ones = np.ones(network.size + 1)
    return _one_sided(network, network.outward, network.inward, -network.degree, -ones, 0.0 * ones)


def _against(network: LiveNetwork) -> Array:
    """Equal c times out-costs, e^t: ``c_j u_j = log c_j - t + log sum of exp(log y + u_i)``, with u = p l."""
    ones, degree = np.ones(network.size + 1), network.degree
    return _one_sided(network, network.inward, network.outward, ones, 1.0 / degree, np.log(degree) / degree)


def _one_sided(
    network: LiveNetwork, along: EdgeList, against: EdgeList, gain: Array, answer: Array, offset: Array
) -> Array:
    """One pass, with the t for which what is left over for the ground is as large as the cost of any unknown."""
    order, distance = kernels.visits(along, against)
    logs = against if network.log_unit is None else against._replace(value=np.log(against.value))
    equations = (order, logs, gain, answer, offset)
    _, left_over, by_target = kernels.one_sided_log_scales(*equations, 0.0)
    last = int(np.count_nonzero(distance == 1))
    target = (left_over - np.log(last)) / (1.0 - by_target)
    u, _, _ = kernels.one_sided_log_scales(*equations, target)
    scales: Array = u[:-1] / network.exponent
    return scales
