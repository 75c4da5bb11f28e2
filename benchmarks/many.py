"""Many networks of a kind: one architecture with weights that change, and small networks side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from families import Network, family
from scipy import sparse

_SMALL, _KINDS = 100, 50  # edges of a small network, and how many different ones there are


def _permuted(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The weights in another order; zeros stay where they are, since they decide what is live."""
    changed = weights.copy()
    changed[weights != 0.0] = rng.permutation(weights[weights != 0.0])
    return changed


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# What becomes of weights from one solve to the next.
CHANGES: dict[str, Change] = {
    "1 %": lambda weights, rng: weights * np.exp(0.01 * rng.standard_normal(weights.size)),
    "30 %": lambda weights, rng: weights * np.exp(0.3 * rng.standard_normal(weights.size)),
    "drawn anew": _permuted,
}


def side_by_side(name: str, edges: int, seed: int = 0) -> Network:
    """Small networks of a family that have nothing to do with each other, as one problem."""
    rng = np.random.default_rng(seed)
    least = max(_SMALL, family(name).least)
    some = [family(name).network(least, seed=k) for k in range(_KINDS)]
    copies = max(1, round(edges / sum(one.W.nnz for one in some)))
    W = sparse.block_diag([one.W for one in some] * copies, format="csr")
    weights = rng.permutation(W.data)
    pinned = np.tile(np.concatenate([one.pinned for one in some]), copies)
    return Network(
        sparse.csr_array((weights, W.indices.astype(np.int32), W.indptr.astype(np.int32)), shape=W.shape), pinned
    )
