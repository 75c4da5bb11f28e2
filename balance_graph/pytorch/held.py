"""Scales of a module that its cost does not hold in place, known again while the same weights are zero."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from balance_graph.models.cost import ModelCost, slices_of
from balance_graph.models.large import whole_pattern
from balance_graph.models.optimum import free_of_cost
from balance_graph.pytorch.reading import ModelStructure

_KNOWN: WeakKeyDictionary[ModelStructure, tuple[object, dict[int, str]]] = WeakKeyDictionary()


def held_scales(model: ModelStructure, cost: ModelCost, roles: Sequence[str]) -> dict[int, str]:
    """Scales to hold at 1, with the reason: see `balance_graph.models.optimum.free_of_cost`."""
    key = tuple(roles), _digest(cost)
    known = _KNOWN.get(model)
    if known is None or known[0] != key:
        known = key, free_of_cost(cost, whole_pattern(model.structure, roles))
        _KNOWN[model] = known
    return known[1]


def _digest(cost: ModelCost) -> bytes:
    """Which weights are zero: of one model, the terms that are left tell, and of blocks which weights are."""
    digest = hashlib.sha256()
    for array in (cost.terms.A.indptr, cost.terms.A.indices, cost.terms.A.data):
        digest.update(np.ascontiguousarray(array).data)
    for one in cost.blocks:
        digest.update(np.packbits(np.concatenate([one.extent.rows, one.extent.columns])).data)
        for some in () if one.is_full else slices_of(one.block):
            digest.update(np.packbits(one.block.nonzero(some)).data)
    return digest.digest()
