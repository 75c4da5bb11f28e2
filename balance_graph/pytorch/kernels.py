"""Compiled passes over matrices where they lie in memory, in their own precision, each touching every element once.

Matrices are told by addresses, so that one call goes over all of them: between two steps of training, calling costs as
much as the passes do. Whoever calls keeps the memory alive, and has checked its size (see `blocks.address`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from balance_graph._compiled import compiled, compiled_in_any_order


@intrinsic
def _pointer(_context: Any, address: Any) -> Any:  # noqa: ARG001 - numba tells arguments apart by name
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), code


@compiled
def _single(address, n, m):  # type: ignore[no-untyped-def]
    return carray(_pointer(address), (n, m), np.float32)


@compiled
def _double(address, n, m):  # type: ignore[no-untyped-def]
    return carray(_pointer(address), (n, m), np.float64)


@compiled
def scale(tensors, layouts, forms, singles, doubles):  # type: ignore[no-untyped-def]
    """Multiply rows and columns of matrices, in place.

    `tensors` has address, is it double?, number of the degree, number of the layout; `layouts` has numbers of rows and
    of columns, and where each begin in `forms`; `singles` and `doubles` have the factors of the forms, by degree.
    """
    for k in range(tensors.shape[0]):
        address, is_double, degree, layout = tensors[k]
        n, m, first, second = layouts[layout]
        rows, columns = forms[first : first + n], forms[second : second + m]
        if is_double:
            _scale(_double(address, n, m), rows, columns, doubles[degree])
        else:
            _scale(_single(address, n, m), rows, columns, singles[degree])


@compiled
def _scale(matrix, rows, columns, factors):  # type: ignore[no-untyped-def]
    across = factors[columns]
    for i in range(matrix.shape[0]):
        row, factor = matrix[i], factors[rows[i]]
        for j in range(matrix.shape[1]):
            row[j] *= factor * across[j]


@compiled
def slopes(terms, powers, forms, sums, totals, zeros, positive, negative):  # type: ignore[no-untyped-def]
    """Sum all terms by rows and columns, and those by scales; also their costs, and how many elements are zero.

    `forms` has, for each line of a side, where its scales begin, then these, and their coefficients.
    """
    for t in range(terms.shape[0]):
        n, m = terms[t, 2], terms[t, 3]
        if terms[t, 1]:
            zeros[t] = _both(_double(terms[t, 0], n, m), terms[t], powers[t], sums, totals[t : t + 1])
        else:
            zeros[t] = _both(_single(terms[t, 0], n, m), terms[t], powers[t], sums, totals[t : t + 1])
    starts, scales, coefficients = forms
    for k in range(sums.size):
        for place in range(starts[k], starts[k + 1]):
            part = coefficients[place] * sums[k]
            if part > 0.0:
                positive[scales[place]] += part
            else:
                negative[scales[place]] -= part


@compiled
def _both(matrix, term, power, sums, total):  # type: ignore[no-untyped-def]
    by_row = np.empty(matrix.shape[0], dtype=matrix.dtype)
    by_column = np.zeros(matrix.shape[1], dtype=matrix.dtype)
    zeros = _squares(matrix, by_row, by_column)
    for value in by_row:
        total[0] += power[0] * value
    for dim, by in ((0, by_row), (1, by_column)):
        _add(by, power[0] * power[1], sums[term[4 + 2 * dim] :], term[5 + 2 * dim])
    return zeros


@compiled
def _add(values, factor, sums, repeat):  # type: ignore[no-untyped-def]
    if repeat == 1:
        for k in range(values.size):
            sums[k] += factor * values[k]
    else:
        for k in range(values.size):
            sums[k // repeat] += factor * values[k]


@compiled_in_any_order
def _squares(matrix, by_row, by_column):  # type: ignore[no-untyped-def]
    n, m = matrix.shape
    whole, zeros = n - n % 4, 0
    zero, one = matrix.dtype.type(0), matrix.dtype.type(1)
    for i in range(0, whole, 4):  # four rows together: fewer additions to memory
        first, second, third, fourth = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        a, b, c, d, none = zero, zero, zero, zero, zero
        for j in range(m):
            p, q, r, s = first[j] * first[j], second[j] * second[j], third[j] * third[j], fourth[j] * fourth[j]
            a += p
            b += q
            c += r
            d += s
            by_column[j] += (p + q) + (r + s)
            none += (one if first[j] == 0 else zero) + (one if second[j] == 0 else zero)
            none += (one if third[j] == 0 else zero) + (one if fourth[j] == 0 else zero)
        by_row[i], by_row[i + 1], by_row[i + 2], by_row[i + 3] = a, b, c, d
        zeros += int(none)
    for i in range(whole, n):
        row, a, none = matrix[i], zero, zero
        for j in range(m):
            p = row[j] * row[j]
            a += p
            by_column[j] += p
            none += one if row[j] == 0 else zero
        by_row[i] = a
        zeros += int(none)
    return zeros


@compiled
def sweep(terms, powers, groups, entries, elements, coefficients, slopes, bound, logs, moves):  # type: ignore[no-untyped-def]
    """Move the scales of each group to the minimum, one group after the other; False where sums are not finite.

    `groups` has where scales and entries begin, `entries` where terms and elements begin and end, and where the side of
    the block begins in `logs`; `elements` has places in that side and numbers of scales within the group.
    """
    for g in range(groups.shape[0] - 1):
        first, size = groups[g, 0], groups[g + 1, 0] - groups[g, 0]
        positive, negative = np.zeros(size), np.zeros(size)
        for e in range(groups[g, 1], groups[g + 1, 1]):
            start, some = entries[e, 2], slice(entries[e, 3], entries[e, 4])
            for t in range(entries[e, 0], entries[e, 1]):
                sums = _side(terms[t], powers[t], logs, start)
                _collect(sums, elements[some], coefficients[some], positive, negative)
        if not math.isfinite(positive.sum() + negative.sum()):
            return False
        for u in range(size):
            if positive[u] > 0.0 and negative[u] > 0.0:
                move = math.log(negative[u] / positive[u]) / slopes[first + u]
                moves[first + u] = min(max(move, -bound), bound)
        for e in range(groups[g, 1], groups[g + 1, 1]):
            for k in range(entries[e, 3], entries[e, 4]):
                logs[entries[e, 2] + elements[k, 0]] += coefficients[k] * moves[first + elements[k, 1]]
    return True


@compiled
def _collect(sums, elements, coefficients, positive, negative):  # type: ignore[no-untyped-def]
    for k in range(coefficients.size):
        part = coefficients[k] * sums[elements[k, 0]]
        if part > 0.0:
            positive[elements[k, 1]] += part
        else:
            negative[elements[k, 1]] -= part


@compiled
def _side(term, power, logs, start):  # type: ignore[no-untyped-def]
    """Slopes of a term by the log-scales of rows or columns, at those of both."""
    n, m = term[2], term[3]
    dim = 0 if term[4] == start else 1
    if term[1]:
        matrix = _double(term[0], n, m)
        factors = np.empty(m if dim == 0 else n, dtype=np.float64)
        _fill(factors, power[1], logs[term[6 - 2 * dim] :], term[7 - 2 * dim])
        sums = _by_row(matrix, factors) if dim == 0 else _by_column(matrix, factors)
        return _folded(sums, power, logs[start:], term[5 + 2 * dim])
    narrow = _single(term[0], n, m)
    multipliers = np.empty(m if dim == 0 else n, dtype=np.float32)
    _fill(multipliers, power[1], logs[term[6 - 2 * dim] :], term[7 - 2 * dim])
    found = _by_row(narrow, multipliers) if dim == 0 else _by_column(narrow, multipliers)
    return _folded(found, power, logs[start:], term[5 + 2 * dim])


@compiled
def _fill(factors, exponent, logs, repeat):  # type: ignore[no-untyped-def]
    for k in range(factors.size // repeat):
        factor = math.exp(exponent * logs[k]) if logs[k] else 1.0
        for j in range(k * repeat, (k + 1) * repeat):
            factors[j] = factor


@compiled
def _folded(values, power, logs, repeat):  # type: ignore[no-untyped-def]
    sums = np.zeros(values.size // repeat)
    _add(values, power[0] * power[1], sums, repeat)
    for k in range(sums.size):
        if logs[k]:
            sums[k] *= math.exp(power[1] * logs[k])
    return sums


@compiled_in_any_order
def _by_row(matrix, columns):  # type: ignore[no-untyped-def]
    n, m = matrix.shape
    found, zero = np.empty(n, dtype=matrix.dtype), matrix.dtype.type(0)
    for i in range(0, n - n % 4, 4):  # four rows together: fewer readings of factors
        one, two, three, four = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        a, b, c, d = zero, zero, zero, zero
        for j in range(m):
            a += one[j] * one[j] * columns[j]
            b += two[j] * two[j] * columns[j]
            c += three[j] * three[j] * columns[j]
            d += four[j] * four[j] * columns[j]
        found[i], found[i + 1], found[i + 2], found[i + 3] = a, b, c, d
    for i in range(n - n % 4, n):
        row, total = matrix[i], zero
        for j in range(m):
            total += row[j] * row[j] * columns[j]
        found[i] = total
    return found


@compiled_in_any_order
def _by_column(matrix, rows):  # type: ignore[no-untyped-def]
    n, m = matrix.shape
    found = np.zeros(m, dtype=matrix.dtype)
    for i in range(0, n - n % 4, 4):  # four rows together: fewer additions to memory
        one, two, three, four = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        for j in range(m):
            first = a * one[j] * one[j] + b * two[j] * two[j]
            found[j] += first + (c * three[j] * three[j] + d * four[j] * four[j])
    for i in range(n - n % 4, n):
        row, a = matrix[i], rows[i]
        for j in range(m):
            found[j] += a * row[j] * row[j]
    return found
