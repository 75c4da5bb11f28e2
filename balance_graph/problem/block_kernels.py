"""Compiled passes over a dense matrix of weights, each reading every weight once; powers are taken on the way.

Sums are in double precision. Their order is left to the compiler, which adds several terms side by side.
"""

from __future__ import annotations

import math

import numpy as np

from balance_graph._compiled import compiled, compiled_in_any_order

# Columns taken at a time: the powers of four rows, and what they are added to, stay in the nearest memories.
_COLUMNS = 2048
# Powers up to this, and halves between, are products; others take ten times as long.
_PRODUCTS = 8.0


@compiled_in_any_order
def powers(weights, exponent, scale, out):  # type: ignore[no-untyped-def]
    """``|scale * weights| ** exponent`` into `out`."""
    if exponent == 2.0:
        for j in range(weights.size):
            x = np.float64(weights[j]) * scale
            out[j] = x * x
    elif exponent <= _PRODUCTS and 2.0 * exponent == math.floor(2.0 * exponent):
        whole = math.floor(exponent)
        is_whole = exponent == whole
        for j in range(weights.size):
            out[j] = 1.0 if is_whole else math.sqrt(abs(np.float64(weights[j]) * scale))
        for _ in range(whole):
            for j in range(weights.size):
                out[j] *= abs(np.float64(weights[j]) * scale)
    else:
        for j in range(weights.size):
            out[j] = abs(np.float64(weights[j]) * scale) ** exponent


@compiled_in_any_order
def products(weights, exponent, scale, rows, columns, by_row, by_column):  # type: ignore[no-untyped-def]
    """``by_row = C @ columns`` and ``by_column += rows @ C`` for the powers C of the weights, from one reading."""
    n, m = weights.shape
    costs = np.empty((4, min(m, _COLUMNS)))
    by_row[:] = 0.0
    for first in range(0, m, _COLUMNS):
        last = min(first + _COLUMNS, m)
        x, total = columns[first:last], by_column[first:last]
        one, two, three, four = (costs[0, : x.size], costs[1, : x.size], costs[2, : x.size], costs[3, : x.size])
        for i in range(0, n - n % 4, 4):  # four rows together: fewer additions to memory
            powers(weights[i, first:last], exponent, scale, one)
            powers(weights[i + 1, first:last], exponent, scale, two)
            powers(weights[i + 2, first:last], exponent, scale, three)
            powers(weights[i + 3, first:last], exponent, scale, four)
            a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
            s = t = u = v = 0.0
            for j in range(x.size):
                s += one[j] * x[j]
                t += two[j] * x[j]
                u += three[j] * x[j]
                v += four[j] * x[j]
                total[j] += (a * one[j] + b * two[j]) + (c * three[j] + d * four[j])
            by_row[i] += s
            by_row[i + 1] += t
            by_row[i + 2] += u
            by_row[i + 3] += v
        for i in range(n - n % 4, n):
            powers(weights[i, first:last], exponent, scale, one)
            a, s = rows[i], 0.0
            for j in range(x.size):
                s += one[j] * x[j]
                total[j] += a * one[j]
            by_row[i] += s


@compiled
def extent(weights, rows, columns):  # type: ignore[no-untyped-def]
    """The least and the largest size of the weights that are not zero; marks the rows and columns that have any.

    NaN for the largest where one is not a number.
    """
    least, largest = math.inf, 0.0
    for i in range(weights.shape[0]):
        row = weights[i]
        for j in range(row.size):
            size = abs(np.float64(row[j]))
            if size != 0.0:
                rows[i] = columns[j] = True
                least = min(least, size)
                if math.isnan(size):
                    return least, size
                largest = max(largest, size)
    return least, largest
