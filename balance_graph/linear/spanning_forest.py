"""A spanning forest of largest values."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.linear.links import links


def largest_spanning_forest(one: Index, two: Index, size: int, value: Array) -> Index:
    """Links of a maximum spanning forest of so many vertices, the largest first; any values will do, logarithms too."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    order = np.argsort(-value, kind="stable")
    low, high = np.minimum(one, two)[order].astype(np.intp), np.maximum(one, two)[order].astype(np.intp)
    _, first = np.unique(low * size + high, return_index=True)
    first = first[low[first] != high[first]]
    rank = csgraph.minimum_spanning_tree(links(low[first], high[first], size, first + 1.0)).tocoo()
    forest: Index = order[np.sort(rank.data.astype(np.intp) - 1)]
    return forest
