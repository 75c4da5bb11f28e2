"""Compiled passes over the edges of a large network at a moving point, each touching every edge once.

Unknowns, ground and edge lists are those of `problem.network_kernels`.
"""

from __future__ import annotations

import math

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array

# Largest share for which the first term of the series that is left out, share^10 / 11, is below a rounding error.
NEAR = 0.03


@compiled
def largest_log_value(edges, by_row, by_column):  # type: ignore[no-untyped-def]
    """The largest ``value + by_row + by_column`` over the edges, whose values are logarithms."""
    start, column, log_value = edges
    largest = -math.inf
    for i in range(start.size - 1):
        for e in range(start[i], start[i + 1]):
            largest = max(largest, log_value[e] + by_row[i] + by_column[column[e]])
    return largest


@compiled
def exponentiate(edges, by_row, by_column, unit):  # type: ignore[no-untyped-def]
    """Turn logarithms into costs, ``exp(value + by_row + by_column - unit)``, in place."""
    start, column, value = edges
    for i in range(start.size - 1):
        shift = by_row[i] - unit
        for e in range(start[i], start[i + 1]):
            value[e] = math.exp(value[e] + shift + by_column[column[e]])


@compiled
def advance(edges, by_row, by_column, are_logarithms, sums):  # type: ignore[no-untyped-def]
    """Multiply the costs by factors of their ends, in place; `sums` gets the sum of each row.

    Factors may be given by their logarithms: they may then exceed the range of floats where their products do not.
    """
    start, column, value = edges
    for i in range(start.size - 1):
        own, total = by_row[i], 0.0
        for e in range(start[i], start[i + 1]):
            other = by_column[column[e]]
            scaled = value[e] * (math.exp(own + other) if are_logarithms else own * other)
            value[e] = scaled
            total += scaled
        sums[i] = total


@compiled
def largest_change(edges, by_row, by_column):  # type: ignore[no-untyped-def]
    """The largest ``|by_row + by_column|`` over the edges."""
    start, column, _ = edges
    largest = 0.0
    for i in range(start.size - 1):
        for e in range(start[i], start[i + 1]):
            largest = max(largest, abs(by_row[i] + by_column[column[e]]))
    return largest


@compiled
def gather(edges, x, result):  # type: ignore[no-untyped-def]
    """``result[i] = sum of value * x[column]`` over the edges of row i.

    A long row in four sums, which the processor adds to side by side; a short one is over before that pays.
    """
    start, column, value = edges
    four = np.uint32(4)
    for i in range(start.size - 1):
        first, last = start[i], start[i + 1]
        total = 0.0
        if last - first >= 32:
            second = third = fourth = 0.0
            rest = last - (last - first) % four
            for e in range(first, rest, four):
                total += value[e] * x[column[e]]
                second += value[e + 1] * x[column[e + 1]]
                third += value[e + 2] * x[column[e + 2]]
                fourth += value[e + 3] * x[column[e + 3]]
            total = (total + second) + (third + fourth)
            first = rest
        for e in range(first, last):
            total += value[e] * x[column[e]]
        result[i] = total


@compiled
def gather_and_scatter(edges, at_columns, at_rows, gathered, scattered, first, last):  # type: ignore[no-untyped-def]
    """Over the rows first .. last: `gather`; and ``scattered[j] = sum of value * at_rows`` over the edges to j."""
    start, column, value = edges
    two = np.uint32(2)
    scattered[:] = 0.0
    for i in range(first, last):
        begin, end = start[i], start[i + 1]
        own, total = at_rows[i], 0.0
        if end - begin >= 32:
            other = 0.0
            rest = end - (end - begin) % two
            for e in range(begin, rest, two):
                j, amount, k, more = column[e], value[e], column[e + 1], value[e + 1]
                total += amount * at_columns[j]
                other += more * at_columns[k]
                scattered[j] += amount * own
                scattered[k] += more * own
            total += other
            begin = rest
        for e in range(begin, end):
            j, amount = column[e], value[e]
            total += amount * at_columns[j]
            scattered[j] += amount * own
        gathered[i] = total


@compiled
def hessian_product(diagonal, degree, from_tails, more_from_tails, from_heads, step, out):  # type: ignore[no-untyped-def]
    """``diagonal * step - from_tails - more_from_tails - degree * from_heads``, into `out`; more may be empty."""
    if more_from_tails.size == 0:
        for i in range(step.size):
            out[i] = diagonal[i] * step[i] - from_tails[i] - degree[i] * from_heads[i]
        return
    for i in range(step.size):
        out[i] = diagonal[i] * step[i] - (from_tails[i] + more_from_tails[i]) - degree[i] * from_heads[i]


def log_ratios_of_near(over: Array, under: Array, factor: Array) -> tuple[Array, float]:
    """``log over - log (factor * under)`` by the series of ``2 artanh(share)``, without cancellation.

    Also the largest share: the series is good to the last digit for shares up to `NEAR`. The last entry, of the ground,
    does not count.
    """
    other = factor * under
    total = over + other
    with np.errstate(invalid="ignore"):  # sums that have left the range of floats are near nothing
        share = np.divide(over - other, total, out=np.ones_like(total), where=total > 0.0)
    share[-1] = 0.0
    square = share * share
    series = 1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square / 9.0))
    return 2.0 * share * (1.0 + square * series), math.sqrt(float(square.max()))


@compiled
def local_sweep(outward, inward, degree, up, down):  # type: ignore[no-untyped-def]
    """Balance every unknown once, in order: ``up = exp(p l)``, ``down = exp(-p c l)``, in place.

    Returns the largest ratio of in-cost to c times out-cost, or the reverse, that was met.
    """
    out_start, out_head, out_value = outward
    in_start, in_tail, in_value = inward
    most = least = 1.0
    for i in range(degree.size - 1):
        into = out_of = 0.0
        for e in range(in_start[i], in_start[i + 1]):
            into += in_value[e] * down[in_tail[e]]
        for e in range(out_start[i], out_start[i + 1]):
            out_of += out_value[e] * up[out_head[e]]
        c = degree[i]
        ratio = c * out_of / into
        if c == 1.0:  # the two roots side by side: neither waits for the other
            met = ratio * (down[i] * down[i])
            up[i], down[i] = math.sqrt(ratio), math.sqrt(into / out_of)
        else:
            met = ratio * up[i] ** -(1.0 + c)
            up[i] = ratio ** (1.0 / (1.0 + c))
            down[i] = up[i] ** -c
        most, least = max(most, met), min(least, met)
    return max(most, 1.0 / least)
