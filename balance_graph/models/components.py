"""Parts that are balanced alone: nothing that has a cost depends on scales of two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Index, Sparse
from balance_graph.linear.links import links
from balance_graph.models.cost import CountedBlock, ModelCost
from balance_graph.models.structure import Block, Structure
from balance_graph.models.tensors import Parameter
from balance_graph.models.terms import costed_blocks

# Components of so many terms in all are solved together: factorizations keep them apart by themselves.
_BATCH = 20_000


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
    """The independent parts of an architecture, whatever its weights, in the order of their first scales.

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
    groups = _one_a_row([scales for _, scales in found], structure.size)
    label = _joined(groups)
    members: dict[int, list[Parameter]] = {}
    for (parameter, _), k in zip(found, _of_rows(label, groups).tolist(), strict=True):
        members.setdefault(k, []).append(parameter)
    parts = [Component(np.flatnonzero(label == k), tuple(parameters)) for k, parameters in members.items()]
    return sorted(parts, key=lambda part: int(part.scales[0]))


def _scales(structure: Structure, blocks: Sequence[Block]) -> Index:
    """The scales that change a parameter."""
    numbers = np.concatenate([side.reshape(-1) for block in blocks for side in (block.rows, block.columns)])
    return _read(structure.forms, numbers)


def separated(cost: ModelCost) -> list[tuple[Index, ModelCost]]:
    """A cost as a sum of costs of different scales, with the numbers of those; what has none comes last.

    Scales that share a term, or a block, belong together. Components without blocks are put together, as far as there
    are few terms: each part costs a call of the solver.
    """
    terms, blocks = cost.terms.A, _one_a_row([_scales_of(cost, one) for one in cost.blocks], cost.size)
    label = _joined(sparse.csr_array(sparse.vstack([terms, blocks], format="csr")))
    label = _gathered(label, _of_rows(label, terms), _of_rows(label, blocks))
    of_terms, of_blocks = _of_rows(label, terms), _of_rows(label, blocks)
    return [
        _part(cost, np.flatnonzero(label == k), np.flatnonzero(of_terms == k), np.flatnonzero(of_blocks == k))
        for k in (*range(int(label.max(initial=-1)) + 1), -1)
    ]


def _scales_of(cost: ModelCost, one: CountedBlock) -> Index:
    return _read(cost.forms, np.concatenate([one.tail[one.extent.rows], one.head[one.extent.columns]]))


def _gathered(label: Index, of_terms: Index, of_blocks: Index) -> Index:
    """Components in the order of size, those without blocks so far together that there are few."""
    count = int(label.max(initial=-1)) + 1
    has_block = np.zeros(count, dtype=bool)
    has_block[of_blocks[of_blocks >= 0]] = True
    n_terms = np.bincount(of_terms + 1, minlength=count + 1)[1:]
    batch = np.cumsum(np.where(has_block, 0, n_terms)) // _BATCH
    number = np.where(has_block, np.arange(count) + count + 1, batch)
    gathered: Index = np.unique(number, return_inverse=True)[1].reshape(-1)[label]
    return gathered


def _part(cost: ModelCost, scales: Index, terms: Index, blocks: Index) -> tuple[Index, ModelCost]:
    forms, chosen = sparse.csr_array(cost.forms[:, scales]), tuple(cost.blocks[k] for k in blocks.tolist())
    return scales, ModelCost(forms, cost.offset, chosen, cost.terms.take(terms).restricted(scales))


def _read(forms: Sparse, numbers: Index) -> Index:
    """The scales that some forms depend on."""
    scales: Index = np.unique(forms[np.unique(numbers)].indices)
    return scales


def _one_a_row(groups: Sequence[Index], size: int) -> Sparse:
    """Groups of scales as the rows of a matrix."""
    first = np.cumsum([0, *(group.size for group in groups)])
    scales = np.concatenate([np.zeros(0, dtype=np.int64), *groups])
    return sparse.csr_array((np.ones(scales.size), scales, first), shape=(len(groups), size))


def _joined(rows: Sparse) -> Index:
    """The component of each column: columns with entries in one row belong together."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    size = rows.shape[1]
    if not size:
        return np.zeros(0, dtype=np.int64)
    lengths = np.diff(rows.indptr)
    first = rows.indices[rows.indptr[:-1][lengths > 0]]
    _, label = csgraph.connected_components(
        links(np.repeat(first, lengths[lengths > 0]), rows.indices, size), directed=False
    )
    return np.asarray(label, dtype=np.int64)


def _of_rows(label: Index, rows: Sparse) -> Index:
    """The component of each row, -1 for rows of zeros."""
    lengths = np.diff(rows.indptr)
    result = np.full(rows.shape[0], -1)
    result[lengths > 0] = label[rows.indices[rows.indptr[:-1][lengths > 0]]]
    return result
