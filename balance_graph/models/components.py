"""Parts of an architecture that are balanced alone: no parameter that has a cost depends on scales of two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Index
from balance_graph.models.structure import Block, Structure
from balance_graph.models.tensors import Parameter
from balance_graph.models.terms import costed_blocks


class Component(NamedTuple):
    """A part of an architecture.

    Attributes
    ----------
    scales : (n,) integer array
        Their numbers in the whole.
    parameters : tuple of Parameter
        Those with a cost that these scales change.
    """

    scales: Index
    parameters: tuple[Parameter, ...]

    def of(self, structure: Structure) -> Structure:
        """The part as a structure: its scales in order, its parameters, the forms of all."""
        return structure.restricted(self.scales, self.parameters)


def components(structure: Structure, roles: Sequence[str]) -> list[Component]:
    """The independent parts of an architecture, in the order of their first scales.

    Scales that change the same parameter belong together. What no scale changes, and scales that change nothing with a
    cost, are in none.

    Parameters
    ----------
    structure : Structure
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``.

    Returns
    -------
    list of Component
    """
    found = [(parameter, _scales(structure, blocks)) for parameter, blocks in costed_blocks(structure, roles) if blocks]
    label = _labels(structure.size, [scales for _, scales in found])
    members: dict[int, list[Parameter]] = {}
    for parameter, scales in found:
        members.setdefault(int(label[scales[0]]), []).append(parameter)
    parts = ((np.flatnonzero(label == k), parameters) for k, parameters in members.items())
    ordered = sorted(parts, key=lambda part: int(part[0][0]))
    return [Component(scales, tuple(parameters)) for scales, parameters in ordered]


def _scales(structure: Structure, blocks: Sequence[Block]) -> Index:
    """The scales that change a parameter."""
    numbers = np.unique(np.concatenate([side.reshape(-1) for block in blocks for side in (block.rows, block.columns)]))
    scales: Index = np.unique(structure.forms[numbers].indices)
    return scales


def _labels(size: int, groups: Sequence[Index]) -> Index:
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    one = np.concatenate([np.zeros(0, np.int64), *(np.full(group.size, group[0]) for group in groups)])
    two = np.concatenate([np.zeros(0, np.int64), *groups])
    links = sparse.coo_array((np.ones(one.size, dtype=np.int8), (one, two)), shape=(size, size))
    _, label = csgraph.connected_components(links, directed=False)
    return np.asarray(label, dtype=np.int64)
