"""Exact answers to Stiemke's alternative: which rows some d with ``A d <= 0`` makes negative.

Either ``A d <= 0`` with some entry negative, or ``A^T y = 0`` with all of y positive. In general the rows fall in two:
the *dead*, which one direction makes negative all at once, and the *live*, which one y >= 0 with ``A^T y = 0`` makes
positive all at once (Goldman and Tucker). Rational d and y prove the partition, wherever they come from: small matrices
get them from simplex steps in fractions, others by rounding what a linear program in floating point says.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Mask, Sparse

Row = dict[int, Fraction]

# Entries are products of degrees and small integers, in floating point: a fraction with a denominator up to the first
# this near (relatively) is what was meant. Rounding is 1e-15; other fractions of that size are 1e-10 apart.
_DENOMINATOR, _ROUNDING = 100_000, 1e-13
# Rows times unknowns up to which simplex steps in fractions are quicker than to load and run floating point.
_SMALL = 1_000


class Partition(NamedTuple):
    """Which rows are dead, a direction that makes exactly these negative, and the unknowns that no direction moves."""

    dead: Mask
    direction: Array
    held: Mask


def partition(matrix: Sparse) -> Partition:
    """The dead rows of A, of shape (m, k) with at least one entry a row; see the module's text."""
    m, k = matrix.shape
    rows = _fractions(matrix)
    if m * k > _SMALL:
        dead, direction, circulation = _in_floating_point(matrix)
        proven = _proven(rows, k, dead, direction, circulation)
        if proven is not None:
            return proven
    dead, exact = _by_simplex_steps(rows, k)
    return Partition(dead, as_floats(exact), _held(_eliminated(_chosen(rows, ~dead)), k))


def _fractions(matrix: Sparse) -> list[Row]:
    columns, values = matrix.indices.tolist(), [_meant(value) for value in matrix.data.tolist()]
    bounds = pairwise(matrix.indptr.tolist())
    return [dict(zip(columns[one:other], values[one:other], strict=True)) for one, other in bounds]


def _meant(value: float) -> Fraction:
    exact = Fraction(value)
    simple = exact.limit_denominator(_DENOMINATOR)
    return simple if abs(simple - exact) <= _ROUNDING * abs(exact) else exact


def _chosen(rows: list[Row], mask: Mask) -> list[Row]:
    return [rows[e] for e in np.flatnonzero(mask).tolist()]


def _times(row: Row, vector: Sequence[Fraction]) -> Fraction:
    return sum((value * vector[column] for column, value in row.items()), Fraction())


def as_floats(vector: Sequence[Fraction]) -> Array:
    """A direction in floating point, made shorter where its largest entry is beyond 1e300."""
    largest = max(map(abs, vector), default=Fraction())
    unit = max(Fraction(1), largest / 10**300)
    return np.array([float(value / unit) for value in vector])


# --- simplex steps in fractions -------------------------------------------------------------------------------------


def _by_simplex_steps(rows: list[Row], width: int) -> tuple[Mask, list[Fraction]]:
    """The dead rows and a direction, found a few rows at a time.

    With the rows that some d makes negative set aside, a direction of the others plus a large multiple of d is one
    of all: the dead rows are those found on the way, until ``A^T y = 0`` has a solution y > 0 on the rest.
    """
    dead = np.zeros(len(rows), dtype=bool)
    found: list[list[Fraction]] = []
    while not dead.all() and (direction := _improving(_chosen(rows, ~dead), width)) is not None:
        found.append(direction)
        dead |= np.array([_times(row, direction) < 0 for row in rows]) & ~dead
    total = [Fraction()] * width
    for direction in reversed(found):
        total = _added(rows, total, direction)
    return dead, total


def _added(rows: list[Row], total: list[Fraction], direction: list[Fraction]) -> list[Fraction]:
    """``total`` plus the multiple of a direction that leaves each row which it makes negative at most -1."""
    multiple = Fraction(1)
    for row in rows:
        fall = _times(row, direction)
        if fall < 0:
            multiple = max(multiple, (1 + _times(row, total)) / -fall)
    return [one + multiple * other for one, other in zip(total, direction, strict=True)]


def _improving(rows: list[Row], width: int) -> list[Fraction] | None:
    """A direction d with ``A d <= 0`` and some entry negative; None where there is none.

    First phase of the simplex method, with Bland's rule, on ``A^T z = -A^T 1``, ``z >= 0``: a solution makes ``1 + z``
    a positive circulation, and where there is none the multipliers are d (Farkas).
    """
    m = len(rows)
    right = [-sum((row.get(k, Fraction()) for row in rows), Fraction()) for k in range(width)]
    sign = [-1 if value < 0 else 1 for value in right]
    # Columns: z, then one artificial variable for each equation; the last holds the right-hand sides.
    tableau: list[Row] = [{m + k: Fraction(1), m + width: sign[k] * right[k]} for k in range(width)]
    for e, row in enumerate(rows):
        for k, value in row.items():
            tableau[k][e] = sign[k] * value
    basis = [m + k for k in range(width)]
    reduced: Row = {}
    for equation in tableau:
        _subtract(reduced, equation, Fraction(1))
    for k in range(width):
        reduced.pop(m + k)
    while (
        entering := min((j for j, value in reduced.items() if value < 0 and j < m + width), default=None)
    ) is not None:
        _pivot(tableau, basis, reduced, entering, m + width)
    if not reduced.get(m + width):
        return None
    return [sign[k] * (1 - reduced.get(m + k, Fraction())) for k in range(width)]


def _pivot(tableau: list[Row], basis: list[int], reduced: Row, entering: int, last: int) -> None:
    candidates = [k for k, equation in enumerate(tableau) if equation.get(entering, 0) > 0]
    leaving = min(candidates, key=lambda k: (tableau[k].get(last, 0) / tableau[k][entering], basis[k]))
    scale = tableau[leaving][entering]
    tableau[leaving] = {j: value / scale for j, value in tableau[leaving].items()}
    basis[leaving] = entering
    for k, equation in enumerate(tableau):
        if k != leaving and entering in equation:
            _subtract(equation, tableau[leaving], equation[entering])
    _subtract(reduced, tableau[leaving], reduced[entering])


def _subtract(row: Row, other: Row, factor: Fraction) -> None:
    """``row -= factor * other``, in place, without zeros."""
    for column, value in other.items():
        total = row.get(column, 0) - factor * value
        if total:
            row[column] = Fraction(total)
        else:
            row.pop(column, None)


# --- floating point, proven -----------------------------------------------------------------------------------------


def _in_floating_point(matrix: Sparse) -> tuple[Mask, Array, Array]:
    """Dead rows, direction and circulation by a linear program.

    Maximize ``sum s`` subject to ``A d + s <= 0``, ``0 <= s <= 1``. Directions can be added and stretched, so at the
    optimum every s is 0 or 1, and the rows with 1 are those that some direction makes negative. The multipliers y are
    a circulation, at least 1 where s is 0.
    """
    from scipy.optimize import linprog  # a heavy import that few networks need

    m, k = matrix.shape
    result: Any = linprog(
        np.concatenate([np.zeros(k), -np.ones(m)]),
        A_ub=sparse.hstack([sparse.csr_matrix(matrix), sparse.eye_array(m)], format="csr"),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * k + [(0.0, 1.0)] * m,
        method="highs",
    )
    if result.x is None:
        return np.zeros(m, dtype=bool), np.zeros(k), np.zeros(m)
    return result.x[k:] > 0.5, result.x[:k], -result.ineqlin.marginals


def _proven(rows: list[Row], width: int, dead: Mask, direction: Array, circulation: Array) -> Partition | None:
    """The partition, if fractions next to d and y prove it.

    Both live in null spaces, d in that of the live rows and y in that of their transpose, where what is asked of them
    (strict inequalities) stays true nearby: entries that a null space leaves free are taken as they are, the others
    follow exactly.
    """
    live = _chosen(rows, ~dead)
    pivots = _eliminated(live)
    exact = _completed(pivots, direction if dead.any() else np.zeros(width))
    if any(_times(row, exact) >= 0 for row in _chosen(rows, dead)):
        return None
    transposed: dict[int, Row] = {}
    for number, row in enumerate(live):
        for column, value in row.items():
            transposed.setdefault(column, {})[number] = value
    if any(value <= 0 for value in _completed(_eliminated(list(transposed.values())), circulation[~dead])):
        return None
    return Partition(dead, as_floats(exact), _held(pivots, width))


def _completed(pivots: dict[int, Row], values: Array) -> list[Fraction]:
    """The vector of a null space whose free entries are those of `values`."""
    vector = [Fraction(value) for value in values.tolist()]
    for pivot, expression in pivots.items():
        vector[pivot] = _times(expression, vector)
    return vector


def _held(pivots: dict[int, Row], width: int) -> Mask:
    """The unknowns that are zero in the whole null space."""
    held = np.zeros(width, dtype=bool)
    held[[pivot for pivot, expression in pivots.items() if not expression]] = True
    return held


def _eliminated(rows: list[Row]) -> dict[int, Row]:
    """Reduced row echelon form: each pivot unknown as a combination of the unknowns that stay free."""
    pivots: dict[int, Row] = {}
    users: dict[int, set[int]] = {}
    for given in sorted(rows, key=len):
        row: Row = {}
        for column, value in given.items():
            _subtract(row, pivots.get(column, {column: Fraction(1)}), -value)
        if not row:
            continue
        # The unknown that fewest others depend on fills in least.
        pivot = min(row, key=lambda column: (len(users.get(column, ())), column))
        scale = -row.pop(pivot)
        expression = {column: value / scale for column, value in row.items()}
        for user in users.pop(pivot, set()):
            factor = pivots[user].pop(pivot)
            before = set(pivots[user])
            _subtract(pivots[user], expression, -factor)
            for column in before ^ set(pivots[user]):
                users.setdefault(column, set()).symmetric_difference_update({user})
        pivots[pivot] = expression
        for column in expression:
            users.setdefault(column, set()).add(pivot)
    return pivots
