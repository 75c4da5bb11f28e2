"""Compiled local balancing on edges: costs as numbers and one factor per node and side, nothing exponentiated.

Unknowns are 0 .. n-1. Each has a row of *entries*, one for each of its edges to other unknowns: the other end is
``neighbor[e]``. An edge between unknowns so has two entries, one at each end. The row of i falls into four segments,
``start[4 i + s] : start[4 i + s + 1]``: edges to unknowns before i, to unknowns after i, from unknowns before i, and
from unknowns after i. One row is one stretch of memory, which is what counts where rows are taken in random order.

Edge j -> i costs ``cost * up[i] * down[j]``, with ``up = exp(p d)`` and ``down = exp(-p c d)`` for the displacement d.
A node's *sums* leave out its own factor: its in-cost is ``up`` times its in-sum, its out-cost ``down`` times its
out-sum.

Sums are kept in halves: one of what comes from unknowns before i and from the ground, one of what comes from unknowns
after i. In a sweep in order, the first is made of factors of this sweep when i is reached, and the second of factors of
the last; once the sweep has ended both belong to its end. So the sums that the steps need and those at the end come
from the same pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array, Index
from balance_graph.solvers.local import coloring
from balance_graph.solvers.local._heap import reorder

# With factors and costs within e^±100, sums stay within e^±200 and imbalances within e^±600, times the number of edges.
LOG_MOST = 100.0
LEAST, MOST = math.exp(-LOG_MOST), math.exp(LOG_MOST)

# The same loop as for small networks, compiled.
first_fit_colors = compiled(coloring.first_fit_colors)


class Network(NamedTuple):
    """Entries with their costs, what the ground adds to the sums, and the degree of each unknown."""

    start: Index
    neighbor: Index
    cost: Array
    from_ground: Array
    to_ground: Array
    degree: Array


class Factors(NamedTuple):
    """The factors of each unknown."""

    up: Array
    down: Array


class Sums(NamedTuple):
    """The sums of each unknown in halves, what comes from unknowns after it apart."""

    into: Array
    late_into: Array
    out_of: Array
    late_out_of: Array


class RunningSums(NamedTuple):
    """Whole sums, and the largest that each has been since it was made afresh."""

    into: Array
    out_of: Array
    peak_into: Array
    peak_out_of: Array


@compiled
def ends(start, column, coefficient, size):  # type: ignore[no-untyped-def]
    """Tail and head of each row of a matrix, `size` for the ground, and the degree of each column.

    The row of edge j -> i has 1 at i and -c_j at j. The last result is whether all rows are such, with one c_j for each
    j, and each column has entries of both signs.
    """
    tail, head = np.full(start.size - 1, size, np.int32), np.full(start.size - 1, size, np.int32)
    degree, is_head = np.zeros(size), np.zeros(size, np.bool_)
    for row in range(start.size - 1):
        for e in range(start[row], start[row + 1]):
            k, c = column[e], -coefficient[e]
            if c == -1.0 and head[row] == size:
                head[row], is_head[k] = k, True
            elif c > 0.0 and tail[row] == size and (degree[k] == 0.0 or degree[k] == c):
                tail[row], degree[k] = k, c
            else:
                return tail, head, degree, False
    return tail, head, degree, is_head.all() and (degree > 0.0).all()


@compiled
def entries(tail, head, log_cost, size):  # type: ignore[no-untyped-def]
    """Start, neighbor and logarithm of the cost of all entries, by a counting sort; `size` is the ground."""
    start = np.zeros(4 * size + 1, np.int64)
    for e in range(tail.size):
        if tail[e] < size and head[e] < size:
            before = head[e] < tail[e]
            start[4 * tail[e] + (1 if before else 2)] += 1
            start[4 * head[e] + (4 if before else 3)] += 1
    for s in range(4 * size):
        start[s + 1] += start[s]
    place = start[:-1].copy()
    # Without a sign: indices with one cost a test for negative ones each.
    neighbor = np.empty(start[-1], np.uint32)
    log_value = np.empty(start[-1])
    for e in range(tail.size):
        if tail[e] < size and head[e] < size:
            before = head[e] < tail[e]
            one = 4 * tail[e] + (0 if before else 1)
            other = 4 * head[e] + (3 if before else 2)
            neighbor[place[one]], neighbor[place[other]] = head[e], tail[e]
            log_value[place[one]] = log_value[place[other]] = log_cost[e]
            place[one] += 1
            place[other] += 1
    return start, neighbor, log_value


@compiled
def log_range(entries, up, down):  # type: ignore[no-untyped-def]
    """Least and largest logarithm of the cost of an edge between unknowns, the factors given as logarithms."""
    start, neighbor, log_value = entries
    least, largest = math.inf, -math.inf
    for i in range(up.size):
        for e in range(start[4 * i], start[4 * i + 2]):
            value = log_value[e] + down[i] + up[neighbor[e]]
            least, largest = min(least, value), max(largest, value)
    return least, largest


@compiled
def exponentiate(entries, up, down, unit, cost):  # type: ignore[no-untyped-def]
    """Costs in units of ``exp(unit)``, the factors given as logarithms."""
    start, neighbor, log_value = entries
    for i in range(up.size):
        shift = down[i] - unit
        for e in range(start[4 * i], start[4 * i + 2]):
            cost[e] = math.exp(log_value[e] + shift + up[neighbor[e]])
        shift = up[i] - unit
        for e in range(start[4 * i + 2], start[4 * i + 4]):
            cost[e] = math.exp(log_value[e] + shift + down[neighbor[e]])


@compiled
def measure(network, factors, sums):  # type: ignore[no-untyped-def]
    """In- and out-sums, each edge counted from its tail."""
    start, neighbor, cost, _, _, _ = network
    up, down = factors
    into, late_into, out_of, late_out_of = sums
    clear(network, sums)
    for i in range(up.size):
        factor = down[i]
        total = 0.0
        for e in range(start[4 * i], start[4 * i + 1]):
            late_into[neighbor[e]] += cost[e] * factor
            total += cost[e] * up[neighbor[e]]
        out_of[i] += total
        total = 0.0
        for e in range(start[4 * i + 1], start[4 * i + 2]):
            into[neighbor[e]] += cost[e] * factor
            total += cost[e] * up[neighbor[e]]
        late_out_of[i] = total


@compiled
def clear(network, sums):  # type: ignore[no-untyped-def]
    """What the sums have before any edge between unknowns is counted."""
    sums.into[:] = network.from_ground
    sums.out_of[:] = network.to_ground
    sums.late_into[:] = 0.0
    sums.late_out_of[:] = 0.0


@compiled
def extremes(network, factors, sums):  # type: ignore[no-untyped-def]
    """Largest ratio of in-cost and c times out-cost, or the reverse, and the cost of all edges."""
    _, _, _, _, to_ground, degree = network
    up, down = factors
    into, late_into, out_of, late_out_of = sums
    least, largest, total = 1.0, 1.0, 0.0
    for i in range(up.size):
        arriving = up[i] * (into[i] + late_into[i])
        ratio = arriving / (degree[i] * down[i] * (out_of[i] + late_out_of[i]))
        least, largest = min(least, ratio), max(largest, ratio)
        total += arriving + down[i] * to_ground[i]
    return max(largest, 1.0 / least), total


@compiled
def balancing_factors(c, into, out_of):  # type: ignore[no-untyped-def]
    """Factors of a node of degree c that balance it: ``up * into = c * down * out_of``."""
    ratio = c * out_of / into
    if c == 1.0:
        up = math.sqrt(ratio)
        return up, 1.0 / up
    up = ratio ** (1.0 / (1.0 + c))
    return up, up**-c


@compiled
def in_range(up, down):  # type: ignore[no-untyped-def]
    """Whether factors are such that all they enter stays in range."""
    return LEAST < up < MOST and LEAST < down < MOST


@compiled
def sweep_in_order(network, last_sums, factors, sums):  # type: ignore[no-untyped-def]
    """Balance every unknown once, in order, from the sums at the end of the last sweep; factors and sums at the end.

    False as soon as a factor leaves its range; the results are then of no use.
    """
    start, neighbor, cost, _, _, degree = network
    _, last_late_into, _, last_late_out_of = last_sums
    up, down = factors
    into, late_into, out_of, late_out_of = sums
    clear(network, sums)
    for i in range(degree.size):
        high, low = balancing_factors(degree[i], into[i] + last_late_into[i], out_of[i] + last_late_out_of[i])
        if not in_range(high, low):
            return False
        up[i], down[i] = high, low
        for e in range(start[4 * i], start[4 * i + 1]):
            late_into[neighbor[e]] += cost[e] * low
        for e in range(start[4 * i + 1], start[4 * i + 2]):
            into[neighbor[e]] += cost[e] * low
        for e in range(start[4 * i + 2], start[4 * i + 3]):
            late_out_of[neighbor[e]] += cost[e] * high
        for e in range(start[4 * i + 3], start[4 * i + 4]):
            out_of[neighbor[e]] += cost[e] * high
    return True


@compiled
def whole_sum(first, last, neighbor, cost, factor):  # type: ignore[no-untyped-def]
    """Sum of cost times factor of the neighbor over some entries."""
    one = two = three = four = 0.0  # four sums at once: no addition waits for the last one
    for e in range(first, last - 3, 4):
        one += cost[e] * factor[neighbor[e]]
        two += cost[e + 1] * factor[neighbor[e + 1]]
        three += cost[e + 2] * factor[neighbor[e + 2]]
        four += cost[e + 3] * factor[neighbor[e + 3]]
    for e in range(last - (last - first) % 4, last):
        one += cost[e] * factor[neighbor[e]]
    return (one + two) + (three + four)


@compiled
def sweep(order, network, factors):  # type: ignore[no-untyped-def]
    """Balance the unknowns in the given order, factors in place; False as soon as a factor leaves its range."""
    start, neighbor, cost, from_ground, to_ground, degree = network
    up, down = factors
    for i in order:
        first, middle, last = start[4 * i], start[4 * i + 2], start[4 * i + 4]
        out_of = to_ground[i] + whole_sum(first, middle, neighbor, cost, up)
        into = from_ground[i] + whole_sum(middle, last, neighbor, cost, down)
        high, low = balancing_factors(degree[i], into, out_of)
        if not in_range(high, low):
            return False
        up[i], down[i] = high, low
    return True


@compiled
def greedy_sweep(enough, network, factors, running, heap):  # type: ignore[no-untyped-def]
    """Balance the unknown of largest key, n times or until no key exceeds `enough`, in place; False out of range.

    Here sums are whole, and running: one that has fallen to a quarter of its peak is summed afresh, before
    cancellation could cost accuracy.
    """
    start, neighbor, cost, from_ground, to_ground, degree = network
    up, down = factors
    into, out_of, peak_into, peak_out_of = running
    for _ in range(degree.size):
        i = heap.order[0]
        if heap.key[i] <= enough:
            break
        first, middle, last = start[4 * i], start[4 * i + 2], start[4 * i + 4]
        out_of[i] = peak_out_of[i] = to_ground[i] + whole_sum(first, middle, neighbor, cost, up)
        into[i] = peak_into[i] = from_ground[i] + whole_sum(middle, last, neighbor, cost, down)
        high, low = balancing_factors(degree[i], into[i], out_of[i])
        if not in_range(high, low):
            return False
        rise, drop = high - up[i], low - down[i]
        up[i], down[i] = high, low
        # All changes first: where edges are parallel, a sum made afresh between them would count the later ones twice.
        change(first, middle, neighbor, cost, drop, into, peak_into)
        change(middle, last, neighbor, cost, rise, out_of, peak_out_of)
        for e in range(first, middle):
            k = neighbor[e]
            if into[k] <= 0.25 * peak_into[k]:
                rest = whole_sum(start[4 * k + 2], start[4 * k + 4], neighbor, cost, down)
                into[k] = peak_into[k] = from_ground[k] + rest
        for e in range(middle, last):
            k = neighbor[e]
            if out_of[k] <= 0.25 * peak_out_of[k]:
                rest = whole_sum(start[4 * k], start[4 * k + 2], neighbor, cost, up)
                out_of[k] = peak_out_of[k] = to_ground[k] + rest
        for e in range(first, last):
            k = neighbor[e]
            reorder(heap, k, excess(degree[k], up[k], down[k], into[k], out_of[k]))
        reorder(heap, i, excess(degree[i], high, low, into[i], out_of[i]))
    return True


@compiled
def change(first, last, neighbor, cost, difference, sums, peak):  # type: ignore[no-untyped-def]
    """Add the difference of a factor to the running sums of neighbors."""
    for e in range(first, last):
        k = neighbor[e]
        sums[k] += cost[e] * difference
        peak[k] = max(peak[k], sums[k])


@compiled
def excess(c, up, down, into, out_of):  # type: ignore[no-untyped-def]
    """Larger of in-cost and c times out-cost over the smaller: the key of the greedy order."""
    ratio = up * into / (c * down * out_of)
    return ratio if ratio > 1.0 else 1.0 / ratio


@compiled
def keys(network, factors, running):  # type: ignore[no-untyped-def]
    """The keys of all unknowns."""
    key = np.empty(network.degree.size)
    for i in range(key.size):
        key[i] = excess(network.degree[i], factors.up[i], factors.down[i], running.into[i], running.out_of[i])
    return key
