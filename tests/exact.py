"""An exact judge of attainment: which rows some d with ``A d <= 0`` makes negative, proven in fractions.

A linear program in floating point suggests the rows, a direction d and a circulation y. Entries of d and y that null
spaces leave free are taken as fractions, the others follow exactly; then every inequality is checked exactly. The proof
does not depend on where the suggestion came from.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

Matrix = list[list[Fraction]]


def proven_dead(matrix: Any) -> np.ndarray:
    """Which rows of a matrix are dead; an AssertionError where that could not be proven."""
    array = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=float)
    m, k = array.shape
    if m == 0 or k == 0:
        return np.zeros(m, dtype=bool)
    rows = [[Fraction(value).limit_denominator(10_000) for value in row] for row in array.tolist()]
    assert np.allclose([[float(value) for value in row] for row in rows], array, rtol=1e-13, atol=0.0)
    dead, direction, circulation = suggested(array)
    live = [row for row, is_dead in zip(rows, dead.tolist(), strict=True) if not is_dead]
    d = completed(live, direction)
    for row, is_dead in zip(rows, dead.tolist(), strict=True):
        change = sum((a * x for a, x in zip(row, d, strict=True)), Fraction())
        assert change < 0 if is_dead else change == 0
    columns = [list(column) for column in zip(*live, strict=True)] if live else []
    y = completed(columns, circulation[~dead])
    assert all(value > 0 for value in y)
    assert all(sum((a * x for a, x in zip(column, y, strict=True)), Fraction()) == 0 for column in columns)
    return dead


def suggested(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maximize ``sum s`` subject to ``A d + s <= 0``, ``0 <= s <= 1``: dead rows, direction and multipliers."""
    m, k = array.shape
    result = linprog(
        np.concatenate([np.zeros(k), -np.ones(m)]),
        A_ub=np.hstack([array, np.eye(m)]),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * k + [(0.0, 1.0)] * m,
        method="highs",
    )
    return result.x[k:] > 0.5, result.x[:k], -result.ineqlin.marginals


def completed(rows: Matrix, values: np.ndarray) -> list[Fraction]:
    """The vector of the null space of the rows whose free entries are near `values`."""
    vector = [Fraction(value).limit_denominator(10**9) for value in values.tolist()]
    reduced: dict[int, list[Fraction]] = {}
    for given in rows:
        row = list(given)
        for pivot, other in reduced.items():
            row = [a - row[pivot] * b for a, b in zip(row, other, strict=True)]
        pivot = next((k for k, value in enumerate(row) if value), None)
        if pivot is None:
            continue
        row = [value / row[pivot] for value in row]
        for place, other in reduced.items():
            reduced[place] = [b - other[pivot] * a for a, b in zip(row, other, strict=True)]
        reduced[pivot] = row
    for pivot, row in reduced.items():
        vector[pivot] = -sum((a * vector[k] for k, a in enumerate(row) if k not in reduced), Fraction())
    return vector
