"""Which blocks of a structure are kept as blocks of weights, and what scales are free of cost if no weight is zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from scipy import sparse

from balance_graph._types import Sparse
from balance_graph.errors import InvalidNetworkError
from balance_graph.models.blocks import WeightBlock
from balance_graph.models.cost import CountedBlock, full_block_pattern, stacked_patterns
from balance_graph.models.structure import Block, Structure
from balance_graph.models.terms import check_finite, costed_blocks, error_of_sum

# With fewer terms in all, factorizations beat passes over blocks; a block of fewer weights costs more than its terms.
_MANY, _LARGE = 50_000, 4096
# The logarithm of the largest float, rounded down.
_RANGE = 709.0

_KNOWN: WeakKeyDictionary[Structure, dict[tuple[str, ...], frozenset[Block]]] = WeakKeyDictionary()
_PATTERNS: WeakKeyDictionary[Structure, dict[tuple[str, ...], Sparse]] = WeakKeyDictionary()


def large_blocks(structure: Structure, roles: Sequence[str]) -> frozenset[Block]:
    """The blocks that are too large to be terms, and can be kept: no weight's row and column share a scale."""
    known = _KNOWN.setdefault(structure, {})
    if tuple(roles) not in known:
        known[tuple(roles)] = _large_blocks(structure, roles)
    return known[tuple(roles)]


def _large_blocks(structure: Structure, roles: Sequence[str]) -> frozenset[Block]:
    blocks = [block for _, found in costed_blocks(structure, roles) for block in found]
    if sum(_n_terms(block) for block in blocks) <= _MANY:
        return frozenset()
    return frozenset(block for block in blocks if _n_terms(block) >= _LARGE and not shares_scales(structure, block))


def checked_block(block: Block, weights: WeightBlock, exponent: float, coefficient: float) -> CountedBlock:
    """The block with its cost; refused, naming the parameter, if that is not finite."""
    try:
        count = block.size // _n_terms(block)
        unsure = error_of_sum(1.0, count) if count > 1 else 0.0
        found = CountedBlock.of(weights, exponent, coefficient, unsure=unsure)
        largest = math.exp(min(found.extent.log_largest, _RANGE))
    except (InvalidNetworkError, ValueError):  # a weight that is not finite, or a size that is not a number
        largest = math.inf
    check_finite(block.parameter, np.array(largest if largest < math.exp(_RANGE) else math.inf), exponent)
    return found


def _n_terms(block: Block) -> int:
    return block.shape[0] * block.shape[1]


def shares_scales(structure: Structure, block: Block) -> bool:
    """Whether a scale occurs in rows and in columns."""
    rows, columns = (np.unique(structure.forms[np.unique(numbers)].indices) for numbers in (block.rows, block.columns))
    return bool(np.intersect1d(rows, columns, assume_unique=True).size)


def whole_pattern(structure: Structure, roles: Sequence[str]) -> Sparse:
    """`ModelCost.pattern` of the structure if no weight is zero."""
    known = _PATTERNS.setdefault(structure, {})
    if tuple(roles) not in known:
        known[tuple(roles)] = _whole_pattern(structure, roles)
    return known[tuple(roles)]


def _whole_pattern(structure: Structure, roles: Sequence[str]) -> Sparse:
    forms, found = structure.forms, [sparse.csr_array((0, structure.size))]
    for _, blocks in costed_blocks(structure, roles):
        for block in blocks:
            rows, columns = np.unique(block.rows), np.unique(block.columns)
            if shares_scales(structure, block):
                pairs = np.broadcast_arrays(rows[:, None], columns)
                found.append(sparse.csr_array(forms[pairs[0].reshape(-1)] + forms[pairs[1].reshape(-1)]))
            else:
                found.append(full_block_pattern(forms, rows, columns))
    return stacked_patterns(found, structure.size)
