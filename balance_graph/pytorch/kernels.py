"""Compiled passes over matrices where they lie in memory, in their own precision, each touching every element once.

Memory that a step of training has left cold is read row by row, in one stream: four rows at a time, for fewer
additions, take half as long again.

Matrices are told by addresses, so that one call goes over all of them: between two steps of training, calling costs as
much as the passes do. Whoever calls keeps the memory alive, and has checked its size (see `blocks.place_of`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from balance_graph._compiled import compiled, compiled_in_any_order


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(_context: Any, address: Any) -> Any:  # noqa: ARG001 - numba tells arguments apart by name
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), code


@compiled
def _single(place, n, m):  # type: ignore[no-untyped-def]
    return carray(_pointer(place), (n, m), np.float32)


@compiled
def _double(place, n, m):  # type: ignore[no-untyped-def]
    return carray(_pointer(place - 1), (n, m), np.float64)


@compiled
def scale(tensors, layouts, lines, forms, log_scales, degrees):  # type: ignore[no-untyped-def]
    """Multiply rows and columns of matrices, in place, by powers of what forms say of the scales.

    `tensors` has place, number of the degree, number of the layout; `layouts` has numbers of rows and of columns, and
    where each begin in `lines`, which are numbers of forms; `forms` has where the scales of each begin, then these,
    and their coefficients. Powers are computed in double precision, and rounded once. False, and nothing done, where
    scales are not finite.
    """
    if not math.isfinite(log_scales.sum()):
        return False
    starts, scales, coefficients = forms
    doubles = np.empty((degrees.size, starts.size - 1))
    for k in range(doubles.shape[1]):
        value = 0.0
        for entry in range(starts[k], starts[k + 1]):
            value += coefficients[entry] * log_scales[scales[entry]]
        factor = math.exp(value)
        for d in range(degrees.size):
            doubles[d, k] = _power(factor, value, degrees[d])
    singles = doubles.astype(np.float32)
    for k in range(tensors.shape[0]):
        place, degree, layout = tensors[k]
        n, m, first, second = layouts[layout]
        rows, columns = lines[first : first + n], lines[second : second + m]
        if place % 2:
            _scale(_double(place, n, m), rows, columns, doubles[degree])
        else:
            _scale(_single(place, n, m), rows, columns, singles[degree])
    return True


@compiled
def _power(factor, log_factor, degree):  # type: ignore[no-untyped-def]
    """Those that parameters and their moments have cost no exponential."""
    if degree == 1.0:
        return factor
    if degree == -1.0:
        return 1.0 / factor
    if degree == -2.0:
        return 1.0 / (factor * factor)
    return math.exp(degree * log_factor)


@compiled
def _scale(matrix, rows, columns, factors):  # type: ignore[no-untyped-def]
    across = factors[columns]
    for i in range(matrix.shape[0]):
        row, factor = matrix[i], factors[rows[i]]
        for j in range(matrix.shape[1]):
            row[j] *= factor * across[j]


@compiled
def slopes(terms, powers, runs, coefficients, n_lines, n_scales):  # type: ignore[no-untyped-def]
    """Sum all terms by rows and columns, and those by scales.

    `runs` has rows or columns one after the other, scales one after the other that these have, with one coefficient
    each, and how many. Returned are slopes that grow and that fall with each scale, relative imbalances, sums of rows
    and columns, how many elements are zero, costs, and whether sums are finite.
    """
    sums, zeros, costs = np.zeros(n_lines), np.empty(terms.shape[0], dtype=np.int64), np.zeros(terms.shape[0])
    for t in range(terms.shape[0]):
        place, n, m = terms[t, :3]
        if place % 2:
            zeros[t] = _both(_double(place, n, m), terms[t], powers[t], sums, costs[t : t + 1])
        else:
            zeros[t] = _both(_single(place, n, m), terms[t], powers[t], sums, costs[t : t + 1])
    positive, negative, relative = np.zeros(n_scales), np.zeros(n_scales), np.zeros(n_scales)
    _collect(sums, runs, coefficients, positive, negative)
    for k in range(n_scales):
        if positive[k] > 0.0 and negative[k] > 0.0:
            relative[k] = abs(positive[k] - negative[k]) / (positive[k] + negative[k])
    return positive, negative, relative, sums, zeros, costs, math.isfinite(sums.sum())


@compiled
def _collect(sums, runs, coefficients, positive, negative):  # type: ignore[no-untyped-def]
    for r in range(coefficients.size):
        place, scale, size = runs[r]
        factor, side = abs(coefficients[r]), positive if coefficients[r] > 0.0 else negative
        for k in range(size):
            side[scale + k] += factor * sums[place + k]


@compiled
def _both(matrix, term, power, sums, total):  # type: ignore[no-untyped-def]
    by_row = np.empty(matrix.shape[0], dtype=matrix.dtype)
    by_column = np.zeros(matrix.shape[1], dtype=matrix.dtype)
    zeros = _squares(matrix, by_row, by_column)
    for value in by_row:
        total[0] += power[0] * value
    for dim, by in ((0, by_row), (1, by_column)):
        _add(by, power[0] * power[1], sums[term[3 + 2 * dim] :], term[4 + 2 * dim])
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
    zeros, zero, one = 0, matrix.dtype.type(0), matrix.dtype.type(1)
    for i in range(n):
        row, total, none = matrix[i], zero, zero
        for j in range(m):
            square = row[j] * row[j]
            total += square
            by_column[j] += square
            none += one if row[j] == 0 else zero
        by_row[i] = total
        zeros += int(none)
    return zeros


@compiled
def sweep(terms, powers, n_lines, groups, entries, runs, coefficients, slopes, bound):  # type: ignore[no-untyped-def]
    """Moves of the scales of each group to the minimum, one group after the other; and whether all sums are finite.

    `groups` has where scales and entries begin, `entries` where terms and runs begin and end, and where the side of the
    block begins among all rows and columns; `runs` are those of `slopes`, within that side and within the group.
    """
    logs, moves = np.zeros(n_lines), np.zeros(slopes.size)
    for g in range(groups.shape[0] - 1):
        first, size = groups[g, 0], groups[g + 1, 0] - groups[g, 0]
        positive, negative = np.zeros(size), np.zeros(size)
        for e in range(groups[g, 1], groups[g + 1, 1]):
            start, some = entries[e, 2], slice(entries[e, 3], entries[e, 4])
            for t in range(entries[e, 0], entries[e, 1]):
                sums = _side(terms[t], powers[t], logs, start)
                _collect(sums, runs[some], coefficients[some], positive, negative)
        if not math.isfinite(positive.sum() + negative.sum()):
            return moves, False
        for u in range(size):
            if positive[u] > 0.0 and negative[u] > 0.0:
                move = math.log(negative[u] / positive[u]) / slopes[first + u]
                moves[first + u] = min(max(move, -bound), bound)
        for e in range(groups[g, 1], groups[g + 1, 1]):
            for r in range(entries[e, 3], entries[e, 4]):
                for k in range(runs[r, 2]):
                    logs[entries[e, 2] + runs[r, 0] + k] += coefficients[r] * moves[first + runs[r, 1] + k]
    return moves, True


@compiled
def _side(term, power, logs, start):  # type: ignore[no-untyped-def]
    """Slopes of a term by the log-scales of rows or columns, at those of both."""
    place, n, m = term[:3]
    dim = 0 if term[3] == start else 1
    others, repeat = logs[term[5 - 2 * dim] :], term[6 - 2 * dim]
    if place % 2:
        matrix, factors = _double(place, n, m), np.empty(m if dim == 0 else n, dtype=np.float64)
        _fill(factors, power[1], others, repeat)
        sums = _by_row(matrix, factors) if dim == 0 else _by_column(matrix, factors)
        return _folded(sums, power, logs[start:], term[4 + 2 * dim])
    narrow, multipliers = _single(place, n, m), np.empty(m if dim == 0 else n, dtype=np.float32)
    _fill(multipliers, power[1], others, repeat)
    found = _by_row(narrow, multipliers) if dim == 0 else _by_column(narrow, multipliers)
    return _folded(found, power, logs[start:], term[4 + 2 * dim])


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
    found = np.empty(matrix.shape[0], dtype=matrix.dtype)
    for i in range(matrix.shape[0]):
        row, total = matrix[i], matrix.dtype.type(0)
        for j in range(matrix.shape[1]):
            total += row[j] * row[j] * columns[j]
        found[i] = total
    return found


@compiled_in_any_order
def _by_column(matrix, rows):  # type: ignore[no-untyped-def]
    found = np.zeros(matrix.shape[1], dtype=matrix.dtype)
    for i in range(matrix.shape[0]):
        row, factor = matrix[i], rows[i]
        for j in range(matrix.shape[1]):
            found[j] += factor * row[j] * row[j]
    return found
