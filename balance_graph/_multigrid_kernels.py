"""Compiled loops of the multigrid preconditioner, on symmetric matrices with the diagonal kept apart.

``start, column, value`` hold the off-diagonal entries (<= 0) by rows, ``diagonal`` the positive diagonal.
"""

from __future__ import annotations

import numpy as np

from balance_graph._compiled import compiled


@compiled
def match_pairs(start, column, value, threshold):  # type: ignore[no-untyped-def]
    """Aggregates of at most two: each vertex with the unmatched neighbor of strongest coupling.

    A neighbor counts if its coupling reaches `threshold` times the vertex's strongest.
    """
    n = start.size - 1
    aggregate = np.full(n, -1, np.int32)
    count = 0
    for i in range(n):
        if aggregate[i] >= 0:
            continue
        partner, best, strongest = -1, 0.0, 0.0
        for e in range(start[i], start[i + 1]):
            coupling = -value[e]
            strongest = max(strongest, coupling)
            if coupling > best and aggregate[column[e]] < 0:
                partner, best = column[e], coupling
        aggregate[i] = count
        if partner >= 0 and best >= threshold * strongest:
            aggregate[partner] = count
        count += 1
    return aggregate, count


@compiled
def coarsen(start, column, value, diagonal, aggregate, count):  # type: ignore[no-untyped-def]
    """The matrix summed over aggregates, ``P^T H P`` with P the aggregates' indicators: again of the same kind."""
    n = start.size - 1
    first = np.zeros(count + 1, np.int64)
    for i in range(n):
        first[aggregate[i] + 1] += 1
    for c in range(count):
        first[c + 1] += first[c]
    member = np.empty(n, np.int64)
    place = first[:-1].copy()
    for i in range(n):
        member[place[aggregate[i]]] = i
        place[aggregate[i]] += 1
    seen = np.full(count, -1, np.int64)
    new_start = np.zeros(count + 1, np.int64)
    new_column = np.empty(column.size, np.int32)
    new_value = np.empty(column.size, np.float64)
    new_diagonal = np.zeros(count)
    end = 0
    for c in range(count):
        begin = end
        for m in range(first[c], first[c + 1]):
            i = member[m]
            new_diagonal[c] += diagonal[i]
            for e in range(start[i], start[i + 1]):
                d = aggregate[column[e]]
                if d == c:
                    new_diagonal[c] += value[e]
                elif seen[d] >= begin:
                    new_value[seen[d]] += value[e]
                else:
                    seen[d] = end
                    new_column[end] = d
                    new_value[end] = value[e]
                    end += 1
        new_start[c + 1] = end
    return new_start, new_column[:end].copy(), new_value[:end].copy(), new_diagonal


@compiled
def smooth_forward(start, column, value, diagonal, right, x):  # type: ignore[no-untyped-def]
    """Gauss-Seidel from x = 0, first to last."""
    for i in range(diagonal.size):
        total = right[i]
        for e in range(start[i], start[i + 1]):
            if column[e] < i:
                total -= value[e] * x[column[e]]
        x[i] = total / diagonal[i]


@compiled
def smooth_backward(start, column, value, diagonal, right, x):  # type: ignore[no-untyped-def]
    """Gauss-Seidel, last to first."""
    for i in range(diagonal.size - 1, -1, -1):
        total = right[i]
        for e in range(start[i], start[i + 1]):
            total -= value[e] * x[column[e]]
        x[i] = total / diagonal[i]


@compiled
def multiply(start, column, value, diagonal, x, result):  # type: ignore[no-untyped-def]
    """``result = H x``."""
    for i in range(diagonal.size):
        total = diagonal[i] * x[i]
        for e in range(start[i], start[i + 1]):
            total += value[e] * x[column[e]]
        result[i] = total
