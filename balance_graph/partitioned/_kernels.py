"""Compiled passes over the edges of one partition, each reading every edge once.

Edges that no scale moves take no part: zero weights, and self-loops, whose nodes are of degree 1.
"""

from __future__ import annotations

import math

from balance_graph._compiled import compiled


@compiled
def moves(t, h, weight, part):  # type: ignore[no-untyped-def]
    """Whether an edge from t to h takes part: within one part of the network, not from or to what is in none."""
    return weight != 0.0 and t != h and part[t] == part[h] and part[t] >= 0


@compiled
def find_extent(edges, part, rows, columns):  # type: ignore[no-untyped-def]
    """How many edges take part, the least and the largest size of their weights; mark the nodes at their ends."""
    tail, head, weight = edges
    count, least, largest = 0, math.inf, 0.0
    for e in range(tail.size):
        if moves(tail[e], head[e], weight[e], part):
            size = abs(weight[e])
            rows[tail[e]] = columns[head[e]] = True
            count, least, largest = count + 1, min(least, size), max(largest, size)
    return count, least, largest


@compiled
def add_products(edges, part, exponent, factors, rows, columns, by_row, by_column):  # type: ignore[no-untyped-def]
    """Add to ``C @ columns`` and to ``rows @ C``, for the costs ``C = |weight * factors|**exponent``."""
    tail, head, weight = edges
    one, other = factors
    for e in range(tail.size):
        t, h = tail[e], head[e]
        if moves(t, h, weight[e], part):
            cost = abs(weight[e] * one * other)
            if exponent == 2.0:
                cost *= cost
            elif exponent != 1.0:
                cost = cost**exponent
            by_row[t] += cost * columns[h]
            by_column[h] += cost * rows[t]


@compiled
def mark_reached(edges, forward, backward):  # type: ignore[no-untyped-def]
    """Mark what edges lead to from what is marked, and what they lead on from; in their order, and in reverse."""
    tail, head, weight = edges
    for e in range(tail.size):
        if weight[e] != 0.0:
            forward[head[e]] |= forward[tail[e]]
            backward[tail[e]] |= backward[head[e]]
    for e in range(tail.size - 1, -1, -1):
        if weight[e] != 0.0:
            forward[head[e]] |= forward[tail[e]]
            backward[tail[e]] |= backward[head[e]]
