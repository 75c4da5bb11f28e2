"""Sparse elimination: null spaces, independent rows, and the columns that a matrix leaves free."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.linear.links import links
from balance_graph.problem.row_ends import RowEnds

# Coefficients are sums of products of degrees of order one: an entry this far below the largest is rounding.
ZERO = 1e-11


def clean(matrix: Any) -> Sparse:
    """CSR without the entries that are rounding of an exact zero."""
    result = sparse.csr_array(matrix)
    result.sum_duplicates()
    result.data[np.abs(result.data) < ZERO] = 0.0
    result.eliminate_zeros()
    return result


def null_space(matrix: Sparse) -> Sparse:
    """Sparse basis N, shape (n, n - rank), of the solutions of ``matrix @ x = 0``, by elimination.

    Each column belongs to one unknown that stays free and holds 1 there; if the solutions are groups of unknowns in
    fixed ratios, each row of N has at most one entry.
    """
    pivots = _eliminate(matrix)
    width = matrix.shape[1]
    free = [column for column in range(width) if column not in pivots]
    place = {column: k for k, column in enumerate(free)}
    rows, columns, values = list(free), list(range(len(free))), [1.0] * len(free)
    for pivot, expression in pivots.items():
        rows.extend([pivot] * len(expression))
        columns.extend(place[column] for column in expression)
        values.extend(expression.values())
    return sparse.csr_array((values, (rows, columns)), shape=(width, len(free)))


def rank(matrix: Sparse) -> int:
    """Rank of the matrix."""
    return len(_eliminate(matrix))


def independent_numbers(matrix: Sparse) -> list[int]:
    """Numbers of the rows that are not combinations of those before them."""
    kept: list[int] = []
    _eliminate(matrix, kept)
    return kept


def independent_rows(matrix: Sparse) -> Sparse:
    """The rows that are not combinations of those before them: the same solutions, without redundancy."""
    return sparse.csr_array(matrix[independent_numbers(matrix)])


def _eliminate(matrix: Sparse, kept: list[int] | None = None) -> dict[int, dict[int, float]]:
    """Reduced row echelon form: each pivot unknown as a combination of the unknowns that stay free.

    The numbers of the rows that gave a pivot are appended to `kept`.
    """
    pivots: dict[int, dict[int, float]] = {}
    users: dict[int, set[int]] = {}
    indptr, indices, data = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    for number, (start, stop) in enumerate(pairwise(indptr)):
        if len(pivots) == matrix.shape[1]:  # of full rank: whatever follows depends on these
            break
        row: dict[int, float] = {}
        largest = 0.0
        for column, value in zip(indices[start:stop], data[start:stop], strict=True):
            largest = max(largest, abs(value))
            for target, factor in pivots.get(column, {column: 1.0}).items():
                row[target] = row.get(target, 0.0) + value * factor
                largest = max(largest, abs(row[target]))
        row = {column: value for column, value in row.items() if abs(value) > ZERO * largest}
        if row:
            _add_pivot(row, pivots, users)
            if kept is not None:
                kept.append(number)
    return pivots


def _add_pivot(row: dict[int, float], pivots: dict[int, dict[int, float]], users: dict[int, set[int]]) -> None:
    # The largest coefficient as pivot keeps the factors at most 1; the least column makes the choice unique.
    pivot = max(row, key=lambda column: (abs(row[column]), -column))
    scale = -row.pop(pivot)
    expression = {column: value / scale for column, value in row.items()}
    for user in users.pop(pivot, set()):
        combined = pivots[user]
        factor = combined.pop(pivot)
        for column, value in expression.items():
            total = combined.get(column, 0.0) + factor * value
            if abs(total) > ZERO:
                combined[column] = total
                users.setdefault(column, set()).add(user)
            else:
                combined.pop(column, None)
                users.get(column, set()).discard(user)
    pivots[pivot] = expression
    for column in expression:
        users.setdefault(column, set()).add(pivot)


def gauge_columns(matrix: Sparse, preference: Array | None = None) -> Index:
    """Columns to drop so that the rest have full rank, one for each dimension of the null space.

    Where there is a choice, the column of largest `preference` is dropped, by default the first.

    Rows with at most two entries form a graph: a component without a row of one entry (a link to the ground) is free
    to move if its gains agree around every cycle. Other rows are eliminated.
    """
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    order = np.arange(matrix.shape[1]) if preference is None else np.argsort(-preference, kind="stable")
    ends = RowEnds.of(matrix)
    if ends is None:
        # Unknowns fix all motions that are free if their rows of a basis of these motions are independent.
        return np.sort(order[independent_numbers(null_space(matrix)[order])])
    pairs = ends.take(np.flatnonzero(ends.second))
    count, component = csgraph.connected_components(links(pairs.one, pairs.two, matrix.shape[1]), directed=False)
    grounded = np.zeros(count, dtype=bool)
    grounded[component[ends.one[(ends.first != 0.0) & (ends.second == 0.0)]]] = True
    grounded |= consistent_ratios(component, pairs.one, pairs.two, pairs.gain, ~grounded)[1]
    _, first = np.unique(component[order], return_index=True)
    return np.sort(order[first][~grounded])


def consistent_ratios(component: Index, one: Index, two: Index, gain: Array, wanted: Mask) -> tuple[Array, Mask]:
    """Ratios in which the vertices of each component move, and the components whose gains allow none.

    Parameters
    ----------
    component : (n_vertices,) integer array
        Component of each vertex.
    one, two, gain : arrays
        Links within components, ``x_two = gain * x_one``.
    wanted : (n_components,) boolean array
        The components to look at; the ratios of all others stay 1.
    """
    ratio, contradictory = np.ones(component.size), np.zeros(wanted.size, dtype=bool)
    for label in np.unique(component[one[gain != 1.0]]):
        if wanted[label]:
            members = component[one] == label
            contradictory[label] = not spread_ratios(ratio, one[members], two[members], gain[members])
    return ratio, contradictory


def spread_ratios(ratio: Array, one: Index, two: Index, gain: Array) -> bool:
    """Set the ratios of one component from its links; False if they contradict each other."""
    neighbors: dict[int, list[tuple[int, float]]] = {}
    for a, b, g in zip(one.tolist(), two.tolist(), gain.tolist(), strict=True):
        neighbors.setdefault(a, []).append((b, g))
        neighbors.setdefault(b, []).append((a, 1.0 / g))
    root = int(one[0])
    known = {root: 1.0}
    stack = [root]
    while stack:
        a = stack.pop()
        for b, g in neighbors[a]:
            if b not in known:
                known[b] = known[a] * g
                stack.append(b)
    for node, value in known.items():
        ratio[node] = value
    return bool(np.all(np.abs(ratio[two] - gain * ratio[one]) <= ZERO * np.abs(ratio[two])))
