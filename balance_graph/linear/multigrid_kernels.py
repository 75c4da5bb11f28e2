"""Compiled loops of the multigrid preconditioner, on symmetric matrices with the diagonal kept apart.

``start, middle, column, value`` hold the off-diagonal entries (<= 0) by rows: those of row i left of the diagonal are
``start[i] : middle[i]``, those right of it ``middle[i] : start[i + 1]``.
"""

from __future__ import annotations

import numpy as np

from balance_graph._compiled import compiled


@compiled
def symmetric_pattern(out_start, out_head, in_start, in_tail):  # type: ignore[no-untyped-def]
    """Off-diagonal entries of ``Y c + (Y c)^T`` for flows Y between the unknowns; the ground, last, is left out."""
    n = out_start.size - 2
    start, middle = np.zeros(n + 1, out_start.dtype), np.zeros(n, out_start.dtype)
    column = np.empty(out_start[n] + in_start[n], np.uint32)
    seen = np.full(n, -1, np.int64)
    end = 0
    for i in range(n):
        begin = end
        for e in range(in_start[i], in_start[i + 1]):
            end = enter_column(in_tail[e], begin, end, seen, column)
        for e in range(out_start[i], out_start[i + 1]):
            end = enter_column(out_head[e], begin, end, seen, column)
        middle[i] = columns_left_first(i, begin, end, column)
        start[i + 1] = end
    return start, middle, column[:end].copy()


@compiled
def enter_column(j, begin, end, seen, column):  # type: ignore[no-untyped-def]
    """Add a column to the row that began at `begin`, unless it is there or is the ground; the row's new end."""
    if j >= seen.size or seen[j] >= begin:
        return end
    seen[j] = end
    column[end] = j
    return end + 1


@compiled
def columns_left_first(row, begin, end, column):  # type: ignore[no-untyped-def]
    """Bring the columns left of the diagonal before the others, in place; where the others begin."""
    middle = begin
    for e in range(begin, end):
        if column[e] < row:
            column[e], column[middle] = column[middle], column[e]
            middle += 1
    return middle


@compiled
def symmetric_values(  # type: ignore[no-untyped-def]
    start, column, out_start, out_head, out_value, in_start, in_tail, in_value, degree, value
):
    """The entries of ``-(Y c + (Y c)^T)`` in the places of `symmetric_pattern`."""
    n = start.size - 1
    place = np.empty(n, np.int64)
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            place[column[e]] = e
            value[e] = 0.0
        for e in range(in_start[i], in_start[i + 1]):
            if in_tail[e] < n:
                value[place[in_tail[e]]] -= degree[in_tail[e]] * in_value[e]
        for e in range(out_start[i], out_start[i + 1]):
            if out_head[e] < n:
                value[place[out_head[e]]] -= degree[i] * out_value[e]


@compiled
def enter(j, amount, begin, end, seen, column, value):  # type: ignore[no-untyped-def]
    """Add an entry to the row that began at `begin`; the row's new end."""
    if seen[j] >= begin:
        value[seen[j]] += amount
        return end
    seen[j] = end
    column[end] = j
    value[end] = amount
    return end + 1


@compiled
def match_pairs(start, column, value, threshold):  # type: ignore[no-untyped-def]
    """Aggregates: each vertex with its most strongly coupled neighbor that is not matched yet.

    It joins a neighbor that is, if the coupling to all others is below `threshold` times that one's.
    """
    n = start.size - 1
    aggregate = np.full(n, -1, np.int32)
    count = 0
    for i in range(n):
        if aggregate[i] >= 0:
            continue
        free, taken = -1, -1
        free_coupling = taken_coupling = 0.0
        for e in range(start[i], start[i + 1]):
            coupling = -value[e]
            if aggregate[column[e]] < 0:
                if coupling > free_coupling:
                    free, free_coupling = column[e], coupling
            elif coupling > taken_coupling:
                taken, taken_coupling = column[e], coupling
        if taken >= 0 and free_coupling < threshold * taken_coupling:
            aggregate[i] = aggregate[taken]
        else:
            aggregate[i] = count
            if free >= 0:
                aggregate[free] = count
            count += 1
    return aggregate, count


@compiled
def members(aggregate, count):  # type: ignore[no-untyped-def]
    """The members of each aggregate: those of c are ``member[first[c] : first[c + 1]]``."""
    first = np.zeros(count + 1, np.int64)
    for i in range(aggregate.size):
        first[aggregate[i] + 1] += 1
    for c in range(count):
        first[c + 1] += first[c]
    member = np.empty(aggregate.size, np.int64)
    place = first[:-1].copy()
    for i in range(aggregate.size):
        member[place[aggregate[i]]] = i
        place[aggregate[i]] += 1
    return first, member


@compiled
def coarsen(start, column, value, diagonal, aggregate, count):  # type: ignore[no-untyped-def]
    """The matrix summed over aggregates, ``P^T H P`` with P the aggregates' indicators: again of the same kind."""
    first, member = members(aggregate, count)
    seen = np.full(count, -1, np.int64)
    new_start, new_middle = np.zeros(count + 1, start.dtype), np.zeros(count, start.dtype)
    new_column = np.empty(column.size, np.uint32)
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
                else:
                    end = enter(d, value[e], begin, end, seen, new_column, new_value)
        new_middle[c] = left_first(c, begin, end, new_column, new_value)
        new_start[c + 1] = end
    return new_start, new_middle, new_column[:end].copy(), new_value[:end].copy(), new_diagonal


@compiled
def places(start, column, aggregate, coarse_start, coarse_column):  # type: ignore[no-untyped-def]
    """Where the matrix summed over aggregates has each off-diagonal entry: off its diagonal, or behind that, on it."""
    count = coarse_start.size - 1
    first, member = members(aggregate, count)
    place, at = np.empty(column.size, start.dtype), np.empty(count, start.dtype)
    for c in range(count):
        for k in range(coarse_start[c], coarse_start[c + 1]):
            at[coarse_column[k]] = k
        at[c] = coarse_column.size + c
        for m in range(first[c], first[c + 1]):
            i = member[m]
            for e in range(start[i], start[i + 1]):
                place[e] = at[aggregate[column[e]]]
    return place


@compiled
def sum_entries(value, diagonal, place, aggregate, count, entries):  # type: ignore[no-untyped-def]
    """The entries of the matrix summed over aggregates, which are so many, in the places of `places`."""
    entries[:] = 0.0
    for e in range(value.size):
        entries[place[e]] += value[e]
    n_off_diagonal = entries.size - count
    for i in range(diagonal.size):
        entries[n_off_diagonal + aggregate[i]] += diagonal[i]


@compiled
def left_first(row, begin, end, column, value):  # type: ignore[no-untyped-def]
    """Bring the entries left of the diagonal before the others, in place; where the others begin."""
    middle = begin
    for e in range(begin, end):
        if column[e] < row:
            column[e], column[middle] = column[middle], column[e]
            value[e], value[middle] = value[middle], value[e]
            middle += 1
    return middle


@compiled
def descend(start, middle, column, value, inverse, right, x, aggregate, coarse):  # type: ignore[no-untyped-def]
    """Gauss-Seidel from x = 0, first to last; the residual, summed over aggregates, into `coarse`.

    `inverse` is that of the diagonal. What is left is the upper triangle times x: the lower one by columns, each row of
    which has just been read.
    """
    coarse[:] = 0.0
    for i in range(inverse.size):
        total = right[i]
        for e in range(start[i], middle[i]):
            total -= value[e] * x[column[e]]
        own = total * inverse[i]
        x[i] = own
        for e in range(start[i], middle[i]):
            coarse[aggregate[column[e]]] -= value[e] * own


@compiled
def ascend(start, middle, column, value, inverse, right, x, aggregate, correction):  # type: ignore[no-untyped-def]
    """Add a correction by aggregates to x, in place; Gauss-Seidel, last to first; the product with the result.

    That is the right-hand side and the lower triangle, which met x before it changed, times the change: by columns.
    """
    n = inverse.size
    product = np.empty(n)
    for i in range(n):
        x[i] += correction[aggregate[i]]
    for i in range(n - 1, -1, -1):
        total = right[i]
        for e in range(start[i], start[i + 1]):
            total -= value[e] * x[column[e]]
        new = total * inverse[i]
        change = new - x[i]
        x[i], product[i] = new, right[i]
        for e in range(middle[i], start[i + 1]):
            product[column[e]] += value[e] * change
    return product


@compiled
def band_width(start, column, place, most):  # type: ignore[no-untyped-def]
    """Largest distance of a row and a column in their places; those without a place (the ground) do not count.

    Some distance above `most` where there is one.
    """
    width, n = 0, place.size
    for i in range(n):
        own = place[i]
        furthest = 0
        for e in range(start[i], start[i + 1]):
            there = place[column[e]] if column[e] < n else own
            furthest = max(furthest, abs(there - own))
        width = max(width, furthest)
        if width > most:
            break
    return width


@compiled
def fill_band(out_start, out_head, out_value, degree, place, rows):  # type: ignore[no-untyped-def]
    """The lower triangle of the matrix of `symmetric_values`, summed over places, in band form: ``rows[i - j, j]``.

    Edge by edge, ``y (s_head - c s_tail)^2``: what happens within a place does not take part, so nothing cancels.
    """
    n = place.size
    for i in range(n + 1):
        c, one = degree[i], place[i] if i < n else -1
        two, flow, own = -1, 0.0, 0.0
        for e in range(out_start[i], out_start[i + 1]):
            j = out_head[e]
            there = place[j] if j < n else -1
            if there != two:  # heads of one place mostly come one after another: their flows are added up first
                own += enter_flow(one, two, flow, c, rows)
                two, flow = there, 0.0
            flow += out_value[e]
        own += enter_flow(one, two, flow, c, rows)
        if one >= 0:
            rows[0, one] += own


@compiled
def enter_flow(one, two, flow, c, rows):  # type: ignore[no-untyped-def]
    """Add the terms of ``flow (s_two - c s_one)^2``, without that of s_one^2, which is returned; -1 is the ground."""
    if one == two:
        return (1.0 - c) ** 2 * flow
    if two >= 0:
        rows[0, two] += flow
        if one >= 0:
            rows[abs(one - two), min(one, two)] -= c * flow
    return c * c * flow


@compiled
def summed(values, place, size):  # type: ignore[no-untyped-def]
    """Sums of the values in each place."""
    result = np.zeros(size)
    for i in range(values.size):
        result[place[i]] += values[i]
    return result


@compiled
def spread(values, divisor, of_places, place):  # type: ignore[no-untyped-def]
    """``values / divisor``, and what is due to each one's place."""
    result = np.empty(values.size)
    for i in range(values.size):
        result[i] = values[i] / divisor[i] + of_places[place[i]]
    return result
