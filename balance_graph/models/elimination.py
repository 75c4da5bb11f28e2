"""Exact solution of the equations: every label as an integer combination of the scales that stay free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import sparse

from balance_graph._types import Index
from balance_graph.models.equations import Equations, Number
from balance_graph.models.labels import PINNED, ZERO

Form = dict[int, Number]


@dataclass(frozen=True, eq=False)
class LabelForms:
    """What the equations leave of each label.

    Attributes
    ----------
    component : ndarray
        Component of labels of equal log-scale that each label belongs to, as far as ties and pins tell.
    pivots : dict of int to dict
        Components that follow from others, as combinations of components that stay free.
    pinned : int
        The component whose log-scale is 0.
    representative : ndarray
        The first label of each component.
    tied : ndarray
        Components by ties alone: what a pin reaches directly.
    """

    component: Index
    pivots: dict[int, Form]
    pinned: int
    representative: Index
    tied: Index

    def form(self, label: int) -> Form:
        """The label's log-scale as a combination of free components."""
        place = int(self.component[label])
        if label == ZERO or place == self.pinned:
            return {}
        return self.pivots.get(place, {place: 1})

    def reasons(self, equations: Equations) -> dict[int, str]:
        """Why groups of tied labels are pinned, keyed by the group."""
        result = {int(self.tied[PINNED]): "tied to what must not change: inputs, outputs, constants"}
        for labels, reason in equations.pins:
            for place in np.unique(self.tied[labels]).tolist():
                result.setdefault(place, reason)
        return result


def solve_equations(equations: Equations) -> LabelForms:
    """Ties first, as connected components; the rest by Gauss-Jordan elimination with integers and fractions.

    Of the labels that may follow from others, sums go first and labels made later before those made earlier, so what
    stays free is named after the operation that first had the scale.
    """
    tied = _components(equations.size, equations.ties)
    anchors = [np.stack([labels, np.full_like(labels, PINNED)], axis=1) for labels, _ in equations.pins]
    component = _components(equations.size, [*equations.ties, *anchors])
    representative = np.full(int(component.max()) + 1, equations.size, dtype=np.int64)
    np.minimum.at(representative, component, np.arange(equations.size))
    pinned = int(component[PINNED])
    named = np.zeros(representative.size, dtype=bool)
    for span in equations.spans:
        named[component[span.start : span.stop]] = True
    rows = (_row(row, component, pinned) for row in equations.rows)
    order = representative - np.where(named, equations.size, 0)
    pivots = eliminate([row for row in rows if row], order.tolist())
    return LabelForms(component, pivots, pinned, representative, tied)


def _components(size: int, pairs: Sequence[Index]) -> Index:
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    table = np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)
    links = sparse.coo_array((np.ones(table.shape[0], dtype=np.int8), (table[:, 0], table[:, 1])), shape=(size, size))
    _, component = csgraph.connected_components(links, directed=False)
    return np.asarray(component, dtype=np.int64)


def _row(row: Form, component: Index, pinned: int) -> Form:
    result: Form = {}
    for label, factor in row.items():
        place = int(component[label])
        if place != pinned:
            result[place] = result.get(place, 0) + factor
    return {place: factor for place, factor in result.items() if factor}


def eliminate(rows: Sequence[Form], order: Sequence[int]) -> dict[int, Form]:
    """Reduced row echelon form in exact arithmetic: each pivot as a combination of what stays free.

    A pivot has coefficient 1 or -1 where the row has one, so that combinations stay integers, and of those the one
    that is last in `order`.
    """
    pivots: dict[int, Form] = {}
    users: dict[int, set[int]] = {}
    for row in rows:
        reduced: Form = {}
        for column, value in row.items():
            for target, factor in pivots.get(column, {column: 1}).items():
                reduced[target] = reduced.get(target, 0) + value * factor
        reduced = {column: value for column, value in reduced.items() if value}
        if reduced:
            _add_pivot(reduced, order, pivots, users)
    return pivots


def _add_pivot(row: Form, order: Sequence[int], pivots: dict[int, Form], users: dict[int, set[int]]) -> None:
    pivot = max(row, key=lambda column: (abs(row[column]) == 1, order[column]))
    divisor = -row.pop(pivot)
    expression = {column: _quotient(value, divisor) for column, value in row.items()}
    for user in users.pop(pivot, set()):
        combined = pivots[user]
        factor = combined.pop(pivot)
        for column, value in expression.items():
            total = combined.get(column, 0) + factor * value
            if total:
                combined[column] = total
                users.setdefault(column, set()).add(user)
            else:
                combined.pop(column, None)
                users.get(column, set()).discard(user)
    pivots[pivot] = expression
    for column in expression:
        users.setdefault(column, set()).add(pivot)


def _quotient(value: Number, divisor: Number) -> Number:
    result = Fraction(value) / Fraction(divisor)
    return result.numerator if result.denominator == 1 else result


def common_denominator(forms: Sequence[Form]) -> dict[int, int]:
    """For each free component the least common multiple of the denominators of its coefficients."""
    result: dict[int, int] = {}
    for form in forms:
        for column, value in form.items():
            result[column] = math.lcm(result.get(column, 1), value.denominator)
    return result
