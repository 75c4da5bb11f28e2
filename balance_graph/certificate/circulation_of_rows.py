"""A circulation near given flows of rows of any entries: those of the strongest independent rows are set exactly.

Let B be a basis of the rows of A, taken greedily by strength, and ``A = X B``. Flows y are a circulation, that is
``A^T y = 0``, where ``y_b = - sum over other rows r of X_rb y_r`` for each row b of B: so other rows keep their flows,
and those of B follow. ``X_rb`` is zero unless b is at least as strong as r, hence what is summed is no larger than
what it replaces, and its rounding is small beside it. That zero has to be exact: X is computed from whole numbers and
their quotients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.certificate import rounding
from balance_graph.certificate.circulation import LOST, Circulation
from balance_graph.problem.elimination import clean, independent_numbers

# Unknowns up to which X is computed: in memory and time for a dense inverse.
_MOST = 1000
# Denominators that are tried: of degrees, and of their products.
_DENOMINATORS = np.array(sorted(2.0**i * 3.0**j * 5.0**k for i in range(11) for j in range(7) for k in range(5)))
# Whole numbers up to here are floats, so sums of products that stay below are exact.
_LARGEST = 2.0**53
# How near to whole numbers multiples come, relative to the size: of entries as they stand, which are rounded once, and
# of an inverse, which is checked.
_ROUNDED, _INVERTED = 8.0 * rounding.EPS, 1e-12


def circulation_of_rows(
    matrix: Sparse, log_flows: Array, change: Array, log_ratio: Array | float = 0.0
) -> Circulation | None:
    """The circulation that has the flows ``y (1 + change)`` on all rows but those of a basis.

    Parameters
    ----------
    matrix : Sparse
        A, shape (n_rows, n), of full column rank.
    log_flows : (n_rows,) array
        Logarithms of y, exact as they stand.
    change : (n_rows,) array
        Above -1.
    log_ratio : (n_rows,) array or 0
        Logarithm of the ratio of curvature to slope: flows that hardly change with the log-gain are left alone.

    Returns
    -------
    Circulation or None
        None where there are too many unknowns, or entries of A are no quotients of small whole numbers. Flows of the
        basis may come out negative.
    """
    size = matrix.shape[1]
    if size > _MOST:
        return None
    order = np.argsort(-(log_flows + log_ratio), kind="stable")
    basis = order[independent_numbers(sparse.csr_array(matrix[order]))]
    others = np.setdiff1d(order, basis)
    dependence = _dependence(matrix, basis, others) if basis.size == size else None
    if dependence is None:
        return None
    at = dependence.tocoo()
    row, column, log_entry = others[at.row], basis[at.col], np.log(np.abs(at.data))
    log_values = log_flows + np.log1p(change)
    with np.errstate(over="ignore", invalid="ignore"):  # a flow far above one of the basis, which it has no part in
        share = np.exp(log_values[row] + log_entry - log_flows[column])
        sizes = np.abs(log_values[row]) + np.abs(log_entry) + np.abs(log_flows[column])
        lost = share * (rounding.of_exponential(sizes) + rounding.EPS * (4.0 + row.size))
        changes, widths = change.copy(), np.zeros(change.size)
        changes[basis] = -np.bincount(at.col, np.sign(at.data) * share, minlength=size) - 1.0
        widths[basis] = np.bincount(at.col, lost, minlength=size) + LOST + 4.0 * rounding.EPS * np.abs(changes[basis])
    return Circulation(changes, widths)


def _dependence(matrix: Sparse, basis: Index, others: Index) -> Sparse | None:
    """X for the other rows: quotients of whole numbers, each rounded once."""
    rows = _Whole.of(matrix, _ROUNDED)
    if rows is None:
        return None
    strongest = rows.number[basis].toarray()
    try:
        inverse = clean(np.linalg.inv(strongest)).T.tocsr()
        columns = _Whole.of(inverse, _INVERTED, further=float(np.abs(np.linalg.det(strongest))))
    except np.linalg.LinAlgError:
        return None
    if columns is None or not rows.largest * columns.largest * basis.size < _LARGEST:
        return None
    if not np.array_equal(strongest @ columns.number.T.toarray(), np.diag(columns.denominator)):
        return None
    dependence = sparse.csr_array(rows.number[others] @ columns.number.T).tocoo()
    unit = rows.denominator[basis] / columns.denominator
    values = dependence.data * unit[dependence.col] / rows.denominator[others[dependence.row]]
    kept = values != 0.0
    return sparse.csr_array((values[kept], (dependence.row[kept], dependence.col[kept])), shape=dependence.shape)


class _Whole(NamedTuple):
    """A matrix as whole numbers, each row with a denominator.

    Attributes
    ----------
    number : Sparse
    denominator : (n_rows,) array
    """

    number: Sparse
    denominator: Array

    @classmethod
    def of(cls, matrix: Sparse, near: float, further: float = 1.0) -> _Whole | None:
        """None where some row has no denominator among those that are tried, nor a further one."""
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        denominator = np.zeros(matrix.shape[0])
        open_ones = np.arange(row.size)
        for tried in [*_DENOMINATORS, max(1.0, np.round(further))]:
            values = tried * matrix.data[open_ones]
            far = np.abs(values - np.round(values)) > near * np.maximum(tried, np.abs(values))
            broken = np.zeros(denominator.size, dtype=bool)
            broken[row[open_ones[far]]] = True
            denominator[(denominator == 0.0) & ~broken] = tried
            open_ones = open_ones[broken[row[open_ones]]]
            if open_ones.size == 0:
                number = sparse.csr_array(
                    (np.round(matrix.data * denominator[row]), matrix.indices, matrix.indptr), shape=matrix.shape
                )
                return cls(number, denominator)
        return None

    @property
    def largest(self) -> float:
        """The largest number."""
        return float(np.abs(self.number.data).max(initial=0.0))
