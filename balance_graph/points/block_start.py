"""Where to start with dense blocks: log-scales that do not depend on the scales that the weights come with.

The start is that of `balance_graph.points.start`, with blocks in the place of edges: two passes.
"""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.problem.live_blocks import LiveBlocks
from balance_graph.problem.log_domain import log_sum_by

# Costs that differ by more than e^this come from scales, not from the weights that a network would have by itself.
_FAR = 100.0


def block_start(blocks: LiveBlocks, from_ground: Index, to_ground: Index) -> Array:
    """Log-scales of the unknowns.

    With degrees other than 1, which multiply errors along the depth one way and divide them the other, zero; where
    costs are too far apart for that, the pass in the way that divides.

    Parameters
    ----------
    blocks : LiveBlocks
        From inputs to outputs; in another order, or with cycles, the start is less good.
    from_ground, to_ground : (size,) integer arrays
        Distances of the unknowns.
    """
    degree = blocks.degree[:-1]
    if np.all(degree == 1.0):
        share = from_ground / (from_ground + to_ground)
        start: Array = share * _accumulated(blocks, along=False) - (1.0 - share) * _accumulated(blocks, along=True)
        return start / blocks.exponent
    if _spread(blocks) < _FAR:
        return np.zeros(blocks.size)
    if np.log(degree).sum() > 0.0:
        return _accumulated(blocks, along=False) / blocks.exponent
    return -_accumulated(blocks, along=True) / blocks.exponent


def _spread(blocks: LiveBlocks) -> float:
    """Logarithm of the ratio of the largest cost to the least."""
    largest = max(one.extent.log_largest for one in blocks.blocks)
    return largest - min(one.extent.log_least for one in blocks.blocks)


def _accumulated(blocks: LiveBlocks, *, along: bool) -> Array:
    """``-p l`` of scales that make all in-costs equal; against the weights, ``p l`` of those for c times out-costs.

    Along the weights these are logarithms of the in-costs, each weight times what its tail has, to the power c. They
    are equal to a typical cost: balance is the same whatever all weights are multiplied by, and so is the start.
    """
    degree, level = np.append(blocks.degree, 1.0), float(np.median([one.extent.log_largest for one in blocks.blocks]))
    total = np.full(blocks.size + 2, -np.inf)
    for one in blocks.blocks if along else blocks.blocks[::-1]:
        near, far = (one.tail, one.head) if along else (one.head, one.tail)
        known = _so_far(total)
        log_factors = (degree * known if along else (known + np.log(degree)) / degree)[near]
        largest = float(log_factors.max())
        if largest == -np.inf:
            continue
        factors, others = np.exp(log_factors - largest), np.zeros(far.size)
        sides = (factors, others) if along else (others, factors)
        sums = one.block.products(blocks.exponent, one.extent.log_largest, *sides)[1 if along else 0]
        with np.errstate(divide="ignore"):
            logs = np.log(sums) + largest + one.extent.log_largest - level
        total = np.logaddexp(total, log_sum_by(far, logs, total.size))
    result: Array = total if along else (total + np.log(degree)) / degree
    return result[: blocks.size]


def _so_far(total: Array) -> Array:
    """What is known of the unknowns: 0 where nothing is, and for the ground; nothing passes what is left out."""
    known = np.where(np.isneginf(total), 0.0, total)
    known[-2:] = 0.0, -np.inf
    return known
