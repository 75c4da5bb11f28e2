"""Compiled loops of the multigrid preconditioner, on grounded Laplacians."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array, Index
from balance_graph.linear.edge_lists import EdgeList
from balance_graph.linear.laplacian import Laplacian


def symmetric_pattern(outward: EdgeList, inward: EdgeList) -> Laplacian:
    """Room for ``Y c + (Y c)^T`` with flows Y between the unknowns; the ground, last, is left out."""
    n = outward.start.size - 2
    start, middle = np.zeros(n + 1, outward.start.dtype), np.zeros(n, outward.start.dtype)
    column = np.empty(outward.start[n] + inward.start[n], np.uint32)
    end = enter_pattern(outward, inward, np.full(n, -1, np.int64), start, middle, column)
    return Laplacian(start, middle, column[:end].copy(), np.empty(end), np.empty(n))


@compiled
def enter_pattern(outward, inward, seen, start, middle, column):  # type: ignore[no-untyped-def]
    """What `symmetric_pattern` does; ``seen`` is -1 at first. Returns the number of entries."""
    out_start, head, _ = outward
    in_start, tail, _ = inward
    end = 0
    for i in range(seen.size):
        begin = end
        for e in range(in_start[i], in_start[i + 1]):
            end = enter_column(tail[e], begin, end, seen, column)
        for e in range(out_start[i], out_start[i + 1]):
            end = enter_column(head[e], begin, end, seen, column)
        middle[i] = columns_left_first(i, begin, end, column)
        start[i + 1] = end
    return end


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


def symmetric_values(outward: EdgeList, inward: EdgeList, degree: Array, matrix: Laplacian) -> None:
    """The entries of ``-(Y c + (Y c)^T)`` off the diagonal, into a matrix of the pattern of `symmetric_pattern`."""
    enter_values(outward, inward, degree, matrix, np.empty(matrix.size, np.int64))


@compiled
def enter_values(outward, inward, degree, matrix, place):  # type: ignore[no-untyped-def]
    """What `symmetric_values` does; ``place`` is as long as the matrix."""
    start, _, column, value, _ = matrix
    out_start, head, out_value = outward
    in_start, tail, in_value = inward
    n = place.size
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            place[column[e]] = e
            value[e] = 0.0
        for e in range(in_start[i], in_start[i + 1]):
            if tail[e] < n:
                value[place[tail[e]]] -= degree[tail[e]] * in_value[e]
        for e in range(out_start[i], out_start[i + 1]):
            if head[e] < n:
                value[place[head[e]]] -= degree[i] * out_value[e]


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


def match_pairs(matrix: Laplacian, threshold: float) -> tuple[Index, int]:
    """Aggregates: each vertex with its most strongly coupled neighbor that is not matched yet.

    It joins a neighbor that is, if the coupling to all others is below `threshold` times that one's.
    """
    aggregate = np.full(matrix.size, -1, np.int32)
    return aggregate, match(matrix, threshold, aggregate)


@compiled
def match(matrix, threshold, aggregate):  # type: ignore[no-untyped-def]
    """What `match_pairs` does: fill ``aggregate``, -1 at first, and return the number of aggregates."""
    start, _, column, value, _ = matrix
    n = aggregate.size
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
    return count


class Groups(NamedTuple):
    """Unknowns by the aggregate that they belong to: those of c are ``member[first[c] : first[c + 1]]``."""

    aggregate: Index
    first: Index
    member: Index

    @classmethod
    def of(cls, aggregate: Index, count: int) -> Groups:
        """From the aggregate of each unknown, and their number."""
        first, member = np.zeros(count + 1, np.int64), np.empty(aggregate.size, np.int64)
        np.cumsum(np.bincount(aggregate, minlength=count), out=first[1:])
        list_members(aggregate, first[:-1].copy(), member)
        return cls(aggregate, first, member)


@compiled
def list_members(aggregate, place, member):  # type: ignore[no-untyped-def]
    """Enter the members of each aggregate from its place on."""
    for i in range(aggregate.size):
        member[place[aggregate[i]]] = i
        place[aggregate[i]] += 1


def coarsen(edges: EdgeList, diagonal: Array, aggregate: Index, count: int) -> Laplacian:
    """The matrix summed over aggregates, ``P^T H P`` with P the aggregates' indicators: again of the same kind."""
    n_entries = edges.column.size
    new = Laplacian(
        np.zeros(count + 1, edges.start.dtype),
        np.zeros(count, edges.start.dtype),
        np.empty(n_entries, np.uint32),
        np.empty(n_entries),
        np.zeros(count),
    )
    end = sum_over_aggregates(edges, diagonal, Groups.of(aggregate, count), np.full(count, -1, np.int64), new)
    return new._replace(column=new.column[:end].copy(), value=new.value[:end].copy())


@compiled
def sum_over_aggregates(edges, diagonal, groups, seen, new):  # type: ignore[no-untyped-def]
    """What `coarsen` does; ``seen`` is -1 at first. Returns the number of entries off the diagonal."""
    start, column, value = edges
    aggregate, first, member = groups
    new_start, new_middle, new_column, new_value, new_diagonal = new
    end = 0
    for c in range(seen.size):
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
    return end


def places(fine: Laplacian, aggregate: Index, coarse: Laplacian) -> Index:
    """Where the matrix summed over aggregates has each off-diagonal entry: off its diagonal, or behind that, on it."""
    place, at = np.empty(fine.column.size, fine.start.dtype), np.empty(coarse.size, fine.start.dtype)
    find_places(fine, Groups.of(aggregate, coarse.size), coarse, at, place)
    return place


@compiled
def find_places(fine, groups, coarse, at, place):  # type: ignore[no-untyped-def]
    """What `places` does, into ``place``; ``at`` is as long as the sum."""
    start, _, column, _, _ = fine
    coarse_start, _, coarse_column, _, _ = coarse
    aggregate, first, member = groups
    for c in range(at.size):
        for k in range(coarse_start[c], coarse_start[c + 1]):
            at[coarse_column[k]] = k
        at[c] = coarse_column.size + c
        for m in range(first[c], first[c + 1]):
            i = member[m]
            for e in range(start[i], start[i + 1]):
                place[e] = at[aggregate[column[e]]]


@compiled
def sum_entries(fine, place, aggregate, entries, count):  # type: ignore[no-untyped-def]
    """The entries of the matrix summed over so many aggregates, in the places of `places`."""
    _, _, _, value, diagonal = fine
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
def descend(matrix, inverse, right, aggregate, x, coarse):  # type: ignore[no-untyped-def]
    """Gauss-Seidel from x = 0, first to last; the residual, summed over aggregates, into `coarse`.

    `inverse` is that of the diagonal. What is left is the upper triangle times x: the lower one by columns, each row of
    which has just been read.
    """
    start, middle, column, value, _ = matrix
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
def ascend(matrix, inverse, right, aggregate, correction, x, product):  # type: ignore[no-untyped-def]
    """Add a correction by aggregates to x, in place; Gauss-Seidel, last to first; the product with the result.

    That is the right-hand side and the lower triangle, which met x before it changed, times the change: by columns.
    """
    start, middle, column, value, _ = matrix
    n = inverse.size
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


@compiled
def band_width(edges, place, most):  # type: ignore[no-untyped-def]
    """Largest distance of a row and a column in their places; those without a place (the ground) do not count.

    Some distance above `most` where there is one.
    """
    start, column, _ = edges
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
def fill_band(edges, degree, place, rows):  # type: ignore[no-untyped-def]
    """The lower triangle of the matrix of `symmetric_values`, summed over places, in band form: ``rows[i - j, j]``.

    ``place`` ends with -1, that of the ground. Edge by edge, ``y (s_head - c s_tail)^2``: what happens within a place
    does not take part, so nothing cancels.
    """
    start, head, value = edges
    next_one = np.uint32(1)
    for i in range(place.size):
        c, one, own = degree[i], place[i], 0.0
        e, last = start[i], start[i + 1]
        while e < last:
            two, flow = place[head[e]], 0.0
            while e < last and place[head[e]] == two:
                flow += value[e]  # edges into one aggregate mostly follow each other: they are entered as one
                e += next_one
            if one == two:
                own += (1.0 - c) ** 2 * flow
                continue
            own += c * c * flow
            if two >= 0:
                rows[0, two] += flow
                if one >= 0:
                    rows[abs(one - two), min(one, two)] -= c * flow
        if one >= 0:
            rows[0, one] += own


def summed(values: Array, place: Index, size: int) -> Array:
    """Sums of the values in each place."""
    result = np.zeros(size)
    add_up(values, place, result)
    return result


@compiled
def add_up(values, place, result):  # type: ignore[no-untyped-def]
    """What `summed` does, into the result."""
    for i in range(values.size):
        result[place[i]] += values[i]


def spread(values: Array, divisor: Array, of_places: Array, place: Index) -> Array:
    """``values / divisor``, and what is due to each one's place."""
    result = np.empty(values.size)
    divide_and_add(values, divisor, of_places, place, result)
    return result


@compiled
def divide_and_add(values, divisor, of_places, place, result):  # type: ignore[no-untyped-def]
    """What `spread` does, into the result."""
    for i in range(values.size):
        result[i] = values[i] / divisor[i] + of_places[place[i]]
