"""Compiled passes over the edges of a large network that bound its optimum: sums, with what rounding may hide in them.

Edges are taken in the problem's own order, their costs computed afresh from the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array, Index
from balance_graph.certificate.rounding import EPS
from balance_graph.problem.network_kernels import slices


class ScaledEdges(NamedTuple):
    """All edges of a network at log-scales.

    Attributes
    ----------
    tail, head : (n_edges,) integer arrays
        Nodes.
    unknown : (n_nodes,) integer array
        Unknown of each node: 0 .. size-1, `size` for the ground.
    degree : (size + 1,) array
        Of each unknown.
    part : (n_nodes,) integer array, or of size 1 where there is one part
        Part of each node: edges between parts are left out.
    log_weight : (n_edges,) array
    log_coefficient : (n_edges,) array, or of size 0 where all are 0
    exponent : float
    up, down : (n_nodes,) arrays
        ``p l`` and ``-p c l``.
    log_unit : float
        Costs are in units of its exponential.
    """

    tail: Index
    head: Index
    unknown: Index
    degree: Array
    part: Index
    log_weight: Array
    log_coefficient: Array
    exponent: float
    up: Array
    down: Array
    log_unit: float


class Change(NamedTuple):
    """A change of flows by ``A x``, and the reach s of a further one, at each unknown and the ground."""

    x: Array
    reach: Array


@compiled
def entropy(u):  # type: ignore[no-untyped-def]
    """``(1 + u) log(1 + u) - u``, by its series where the difference would cancel."""
    if abs(u) < 1e-2:
        return u * u * (0.5 + u * (-1 / 6 + u * (1 / 12 + u * (-1 / 20 + u * (1 / 30 - u / 42)))))
    return (1.0 + u) * math.log1p(u) - u


def flow_bounds(
    edges: ScaledEdges, change: Change, first: int, last: int
) -> tuple[Array, float, float, float, float, float, float]:
    """What proves a bound: of the flow ``c (1 + w)``, ``w_e = x_head - degree x_tail``, over the edges first .. last.

    Returns
    -------
    at : (size + 1, 4) array
        For each unknown: in-flow less degree times out-flow; product of ``A^T C A`` with s; what rounding of single
        terms may hide in the two; sum of the absolute values of all terms, to which rounding of the sums is relative.
    total, gap, error : float
        Sum of the costs, of the terms of the duality gap, and what rounding of costs may hide in the first.
    least, worst, widest : float
        Least cost, largest relative error of a cost; largest relative change of a flow downwards.
    """
    at = np.zeros((edges.degree.size, 4))  # side by side: one place in memory for each end of an edge
    return at, *sum_flow_bounds(edges, change, first, last, at)


@compiled
def sum_flow_bounds(edges, a_change, first, last, at):  # type: ignore[no-untyped-def]
    """What `flow_bounds` does: add to ``at``, and return the rest."""
    tail, head, unknown, degree, part, log_weight, log_coefficient, exponent, up, down, log_unit = edges
    x, s = a_change
    total = rest = gap = error = worst = widest = 0.0
    least = math.inf
    whole = part.size == 1
    for e in range(first, last):
        t, h = tail[e], head[e]
        i, j = unknown[h], unknown[t]
        if i == j or log_weight[e] == -math.inf or not (whole or part[t] == part[h]):
            continue
        log_cost = exponent * log_weight[e]
        length = abs(log_cost)
        if log_coefficient.size > 0:
            log_cost += log_coefficient[e]
            length += abs(log_coefficient[e])
        cost = math.exp(log_cost + up[h] + down[t] - log_unit)
        # Each logarithm carries half a unit in its last place or two, and so does each sum of them.
        relative = 4.0 * EPS * (4.0 + length + abs(up[h]) + abs(down[t]) + abs(log_unit))
        least, worst = min(least, cost), max(worst, relative)
        error += cost * relative
        step = cost - rest  # Kahan's sum: its rounding does not grow with the number of terms
        after = total + step
        rest = (after - total) - step
        total = after
        d = degree[j]
        change, reach = x[i] - d * x[j], s[i] - d * s[j]
        change_size, reach_size = abs(x[i]) + d * abs(x[j]), s[i] + d * s[j]
        flow = cost * (1.0 + change)
        hidden = cost * (relative * (abs(1.0 + change) + abs(reach)) + 4.0 * EPS * (change_size + reach_size + 1.0))
        volume = cost * (abs(1.0 + change) + abs(reach))
        at[i, 0] += flow
        at[j, 0] -= d * flow
        at[i, 1] += cost * reach
        at[j, 1] -= d * cost * reach
        at[i, 2] += hidden
        at[j, 2] += d * hidden
        at[i, 3] += volume
        at[j, 3] += d * volume
        width = (1.0 + 1e-6) * (reach_size + 4.0 * EPS * change_size)
        widest = max(widest, width - change)
        if width - change < 0.99:
            gap += cost * max(entropy(change + width), entropy(change - width))
    return total, gap, error, least, worst, widest


def strongest_ways(edges: ScaledEdges, position: Index, first: int, last: int) -> tuple[Array, Index]:
    """The largest cost of an edge to each unknown from one of earlier position, and that one (the ground for none)."""
    n = edges.degree.size
    strongest, source = np.zeros(n), np.full(n, n - 1)
    find_strongest_ways(edges, position, first, last, strongest, source)
    return strongest, source


@compiled
def find_strongest_ways(edges, position, first, last, strongest, source):  # type: ignore[no-untyped-def]
    """What `strongest_ways` does: raise ``strongest``, and set ``source`` with it."""
    tail, head, unknown, _, part, log_weight, log_coefficient, exponent, up, down, log_unit = edges
    whole = part.size == 1
    for e in range(first, last):
        t, h = tail[e], head[e]
        i, j = unknown[h], unknown[t]
        if position[j] >= position[i] or not (whole or part[t] == part[h]):
            continue
        log_cost = exponent * log_weight[e] + up[h] + down[t] - log_unit
        if log_coefficient.size > 0:
            log_cost += log_coefficient[e]
        cost = math.exp(log_cost)
        if cost > strongest[i]:
            strongest[i], source[i] = cost, j


class Ways(NamedTuple):
    """A tree of edges to every unknown from its source, which is visited earlier.

    Attributes
    ----------
    order : (size + 1,) integer array
        The ground and the unknowns in the order of visits.
    strongest, source : (size + 1,) arrays
        Cost of the edge, and where it comes from.
    degree : (size + 1,) array
    """

    order: Index
    strongest: Array
    source: Index
    degree: Array


def gap_along_ways(ways: Ways, off: Array, x: Array) -> tuple[float, float]:
    """Terms of the duality gap where each unknown sends what it is out of balance to its source, and all else with it.

    In reverse order of visits. A change of the flow from j counts ``degree[j]`` times there. Also the largest relative
    change of a flow downwards.
    """
    gap, widest = carry_along_ways(ways, off.copy(), x)
    return gap, widest


@compiled
def carry_along_ways(ways, carried, x):  # type: ignore[no-untyped-def]
    """What `gap_along_ways` does; ``carried`` is at first what each unknown is out of balance."""
    order, strongest, source, degree = ways
    gap = widest = 0.0
    for k in range(order.size - 1, 0, -1):
        i = order[k]
        j = source[i]
        if not strongest[i] > 0.0:
            return math.inf, math.inf
        d = degree[j]
        carried[j] += d * carried[i]
        change, change_size = x[i] - d * x[j], abs(x[i]) + d * abs(x[j])
        width = (1.0 + 1e-6) * (carried[i] / strongest[i] + 4.0 * EPS * change_size)
        widest = max(widest, width - change)
        if not width - change < 0.99:
            return math.inf, widest
        gap += strongest[i] * max(entropy(change + width), entropy(change - width))
    return gap, widest


def log_costs(edges: ScaledEdges) -> Iterator[Array]:
    """Logarithms of the costs of all edges, in the unit 1, some at a time."""
    for some in slices(edges.tail.size):
        values = edges.exponent * edges.log_weight[some] + edges.up[edges.head[some]] + edges.down[edges.tail[some]]
        yield values + edges.log_coefficient[some] if edges.log_coefficient.size else values


def log_cost_of_all(edges: ScaledEdges) -> float:
    """Logarithm of the cost of all edges."""
    units, sums = [], []
    for values in log_costs(edges):
        largest = float(values.max())
        if largest > -math.inf:
            units.append(largest)
            sums.append(float(np.exp(values - largest).sum()))
    unit = max(units)
    return unit + math.log(math.fsum(one * math.exp(own - unit) for own, one in zip(units, sums, strict=True)))
