"""Compiled passes over matrices where they lie in memory, in their own precision, each touching every element once.

Memory that a step of training has left cold is read row by row, in one stream: four rows at a time, for fewer
additions, take half as long again.

Matrices are told by addresses, so that one call goes over all of them: between two steps of training, calling costs as
much as the passes do. Whoever calls keeps the memory alive, and has checked its size (see `blocks.place_of`).
"""

from __future__ import annotations

import math

import numpy as np

from balance_graph._compiled import compiled, compiled_in_any_order, matrices_at_addresses

_single, _double = matrices_at_addresses(np.float32), matrices_at_addresses(np.float64)


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
        place, degree, layout = tensors[k, 0], tensors[k, 1], layouts[tensors[k, 2]]
        n, m, first, second = layout[0], layout[1], layout[2], layout[3]
        rows, columns = lines[first : first + n], lines[second : second + m]
        if place % 2:
            _scale(_double(place - 1, n, m), rows, columns, doubles[degree])
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
        place, n, m = terms[t, 0], terms[t, 1], terms[t, 2]
        by_row, by_column = np.zeros(n), np.zeros(m)
        if place % 2:
            zeros[t] = _squares(_double(place - 1, n, m), by_row, by_column)
        else:
            zeros[t] = _squares(_single(place, n, m), by_row, by_column)
        costs[t] = _add_term(by_row, by_column, terms[t], powers[t], sums)
    total = 0.0
    for k in range(n_lines):
        total += sums[k]
    positive, negative, relative = np.zeros(n_scales), np.zeros(n_scales), np.zeros(n_scales)
    _collect(sums, runs, coefficients, positive, negative)
    for k in range(n_scales):
        if positive[k] > 0.0 and negative[k] > 0.0:
            relative[k] = abs(positive[k] - negative[k]) / (positive[k] + negative[k])
    return positive, negative, relative, sums, zeros, costs, math.isfinite(total)


@compiled
def _collect(sums, runs, coefficients, positive, negative):  # type: ignore[no-untyped-def]
    for r in range(coefficients.size):
        place, scale, size = runs[r, 0], runs[r, 1], runs[r, 2]
        factor, side = abs(coefficients[r]), positive if coefficients[r] > 0.0 else negative
        for k in range(size):
            side[scale + k] += factor * sums[place + k]


@compiled
def _add_term(by_row, by_column, term, power, sums):  # type: ignore[no-untyped-def]
    """Add slopes by the log-scales of rows and columns to those of the sides; returns the cost."""
    _add(by_row, power[0] * power[1], sums[term[3] :], term[4])
    _add(by_column, power[0] * power[1], sums[term[5] :], term[6])
    total = 0.0
    for k in range(by_row.size):
        total += by_row[k]
    return power[0] * total


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
    """Sums of squares of rows and of columns; returns how many elements are zero."""
    n, m = matrix.shape
    zeros, zero, one = 0, matrix.dtype.type(0), matrix.dtype.type(1)
    found = np.zeros(m, dtype=matrix.dtype)
    for i in range(n):
        row, total, none = matrix[i], zero, zero
        for j in range(m):
            square = row[j] * row[j]
            total += square
            found[j] += square
            none += one if row[j] == 0 else zero
        by_row[i] = total
        zeros += int(none)
    by_column[:] = found
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
        for u in range(size):
            if not math.isfinite(positive[u] + negative[u]):
                return moves, False
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
    place, n, m = term[0], term[1], term[2]
    dim = 0 if term[3] == start else 1
    factors = _factors(m if dim == 0 else n, power[1], logs[term[5 - 2 * dim] :], term[6 - 2 * dim])
    sums = np.zeros(n if dim == 0 else m)
    if place % 2:
        _along(dim, _double(place - 1, n, m), factors, sums)
    else:
        _along(dim, _single(place, n, m), factors, sums)
    return _folded(sums, power, logs[start:], term[4 + 2 * dim])


@compiled
def _factors(size, exponent, logs, repeat):  # type: ignore[no-untyped-def]
    factors = np.ones(size)
    for k in range(size // repeat):
        if logs[k]:
            factor = math.exp(exponent * logs[k])
            for j in range(k * repeat, (k + 1) * repeat):
                factors[j] = factor
    return factors


@compiled
def _folded(values, power, logs, repeat):  # type: ignore[no-untyped-def]
    sums = np.zeros(values.size // repeat)
    _add(values, power[0] * power[1], sums, repeat)
    for k in range(sums.size):
        if logs[k]:
            sums[k] *= math.exp(power[1] * logs[k])
    return sums


@compiled_in_any_order
def _along(dim, matrix, factors, sums):  # type: ignore[no-untyped-def]
    """Sums of rows (dimension 0), with factors of columns, or of columns."""
    n, m = matrix.shape
    others = factors.astype(matrix.dtype)
    if dim == 0:
        for i in range(n):
            row, total = matrix[i], matrix.dtype.type(0)
            for j in range(m):
                total += row[j] * row[j] * others[j]
            sums[i] = total
    else:
        found = np.zeros(m, dtype=matrix.dtype)
        for i in range(n):
            row, factor = matrix[i], others[i]
            for j in range(m):
                found[j] += factor * row[j] * row[j]
        sums[:] = found
