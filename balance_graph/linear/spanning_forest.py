"""A spanning forest of largest values."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.linear.links import links

# Up to here a loop over the links takes less time than SciPy needs to begin.
_FEW = 400


def largest_spanning_forest(one: Index, two: Index, size: int, value: Array) -> Index:
    """Links of a maximum spanning forest of so many vertices, the largest first; any values will do, logarithms too."""
    order: Index = np.argsort(-value, kind="stable")
    return order[(_joining if order.size <= _FEW else _first_links)(one[order], two[order], size)]


def _joining(one: Index, two: Index, size: int) -> Index:
    """Places of the links that join what no earlier one has joined."""
    root, kept = list(range(size)), []
    for place, ends in enumerate(zip(one.tolist(), two.tolist(), strict=True)):
        a, b = ends
        while root[a] != a:
            root[a] = a = root[root[a]]
        while root[b] != b:
            root[b] = b = root[root[b]]
        if a != b:
            root[a] = b
            kept.append(place)
    return np.array(kept, dtype=np.intp)


def _first_links(one: Index, two: Index, size: int) -> Index:
    """The same, from a minimum spanning tree of the places."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    low, high = np.minimum(one, two).astype(np.intp), np.maximum(one, two).astype(np.intp)
    _, first = np.unique(low * size + high, return_index=True)
    first = first[low[first] != high[first]]
    rank = csgraph.minimum_spanning_tree(links(low[first], high[first], size, first + 1.0)).tocoo()
    places: Index = np.sort(rank.data.astype(np.intp) - 1)
    return places
