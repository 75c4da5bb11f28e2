"""Scales of a module that its cost does not hold in place, known again while the same weights are zero."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from balance_graph.models.optimum import free_of_cost
from balance_graph.models.terms import CostTerms
from balance_graph.problem.regularizers import Regularizer
from balance_graph.pytorch.costs import pattern_terms, powers_of
from balance_graph.pytorch.reading import ModelStructure

_KNOWN: WeakKeyDictionary[ModelStructure, tuple[object, dict[int, str]]] = WeakKeyDictionary()


def held_scales(
    model: ModelStructure, regularizer: Regularizer, costed: Sequence[str], parts: Sequence[tuple[float, CostTerms]]
) -> dict[int, str]:
    """Scales to hold at 1, with the reason: see `balance_graph.models.optimum.free_of_cost`."""
    key = tuple(costed), powers_of(regularizer), tuple(_digest(terms) for _, terms in parts)
    known = _KNOWN.get(model)
    if known is None or known[0] != key:
        known = key, free_of_cost(parts, pattern_terms(model, costed))
        _KNOWN[model] = known
    return known[1]


def _digest(terms: CostTerms) -> bytes:
    """Which weights are zero: of one model, the rows that are left tell."""
    digest = hashlib.sha256()
    for array in (terms.A.indptr, terms.A.indices, terms.A.data):
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
