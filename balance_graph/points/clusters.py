"""Clusters: sets of unknowns whose inner flows dwarf all that enters or leaves them.

In floating point the common shift of such a set (a strong cycle, weakly attached to the rest) is lost in the balance
equations of its members. `cluster_basis` finds the sets, from a maximum spanning tree of the flows, and returns a
basis of the unknowns in which each has a shift of its own; the columns of ``A Z`` for a shift hold exact zeros inside.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.linear.links import links
from balance_graph.problem.elimination import clean, spread_ratios
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.row_ends import RowEnds

# A set earns a shift of its own when its weakest inner link carries this many times all that crosses its border;
# below that the shift loses less than two digits, and the extra unknowns would only cost time.
_LOG_RATIO = float(np.log(64.0))


def cluster_basis(matrix: Sparse, log_slopes: Array) -> Sparse | None:
    """Basis Z, shape (n, n), of the unknowns with one column per cluster; None where there is no cluster.

    Parameters
    ----------
    matrix : (n_rows, n) sparse array
        A. Rows of more than two entries (shared weights that do not reduce to ties) have no clusters: None.
    log_slopes : (n_rows,) array
        Logarithms of the flows.
    """
    n, ends = matrix.shape[1], RowEnds.of(matrix)
    if n < 2 or ends is None:
        return None
    one, two = ends.one, ends.two
    forest = _spanning_forest(one, two, log_slopes, n + 1)
    sets = []
    for weakest, members in _candidates(forest, n):
        if weakest - _log_flow_across(members, one, two, log_slopes) > _LOG_RATIO:
            shift = _free_shift(matrix, members)
            if shift is not None:
                sets.append((members, shift))
    return _basis(sets, n) if sets else None


def _spanning_forest(one: Index, two: Index, log_slopes: Array, size: int) -> list[tuple[float, int, int]]:
    """Edges (log flow, vertex, vertex) of a maximum spanning forest, strongest first."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    order = np.argsort(-log_slopes, kind="stable")
    low, high = np.minimum(one, two)[order], np.maximum(one, two)[order]
    _, first = np.unique(low * size + high, return_index=True)
    first = first[low[first] != high[first]]
    rank = csgraph.minimum_spanning_tree(links(low[first], high[first], size, first + 1.0)).tocoo()
    kept = np.sort(rank.data.astype(np.intp) - 1)
    return list(zip(log_slopes[order][kept].tolist(), low[kept].tolist(), high[kept].tolist(), strict=True))


def _candidates(forest: list[tuple[float, int, int]], ground: int) -> list[tuple[float, Index]]:
    """Sets that the forest joins at a level far above that at which they meet anything else; with the former level."""
    parent = list(range(ground + 1))
    members: list[list[int]] = [[vertex] for vertex in parent]
    weakest: dict[int, float] = {}

    def find(vertex: int) -> int:
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    found: list[tuple[float, Index]] = []
    for level, a, b in forest:
        small, large = sorted((find(a), find(b)), key=lambda root: len(members[root]))
        still = members[small][0] == ground or members[large][0] == ground
        # What holds the ground cannot shift; the ground is kept in front of its set, alone.
        found.extend(
            (weakest[root], np.array(members[root]))
            for root in (small, large)
            if members[root][0] != ground and weakest.get(root, -np.inf) - level > _LOG_RATIO
        )
        members[large] = [ground] if still else members[large] + members[small]
        parent[small] = large
        weakest[large] = level
    found.extend(
        (weakest[root], np.array(members[root]))
        for root in {find(vertex) for vertex in range(ground)}
        if members[root][0] != ground and root in weakest
    )
    return found


def _log_flow_across(members: Index, one: Index, two: Index, log_slopes: Array) -> float:
    """Logarithm of the sum of all flows between the members and anything else."""
    inside = np.zeros(max(int(one.max()), int(two.max()), int(members.max())) + 1, dtype=bool)
    inside[members] = True
    return log_sum(log_slopes[inside[one] != inside[two]])


def _free_shift(matrix: Sparse, members: Index) -> Array | None:
    """How the members move together so that every row with both ends inside the set stays; None if they cannot.

    All by the same amount with degrees 1; otherwise in the ratios that the gains of the inner rows ask for.
    """
    ends = RowEnds.of(sparse.csr_array(matrix[:, members]))
    assert ends is not None
    inner = ends.take(np.flatnonzero(ends.second))
    shift = np.ones(members.size)
    if np.all(inner.gain == 1.0) or spread_ratios(shift, inner.one, inner.two, inner.gain):
        return shift
    return None


def _basis(sets: list[tuple[Index, Array]], n: int) -> Sparse:
    """Columns: each set's shift and the single unknowns, less one child of each set.

    The sets are nested or disjoint. In each set one child (an unknown or a smaller set) gives up its own column: the
    set's shift together with the other children's spans the same.
    """
    top = np.arange(n)  # the largest column so far that each unknown belongs to
    columns = {k: (np.array([k]), np.ones(1)) for k in range(n)}
    for number, (members, shift) in enumerate(sorted(sets, key=lambda entry: entry[0].size), start=n):
        del columns[int(top[members[0]])]
        columns[number] = (members, shift)
        top[members] = number
    indptr = np.cumsum([0, *(members.size for members, _ in columns.values())])
    indices = np.concatenate([members for members, _ in columns.values()])
    values = np.concatenate([shift for _, shift in columns.values()])
    return sparse.csr_array(sparse.csc_array((values, indices, indptr), shape=(n, n)))


def in_basis(matrix: Sparse, basis: Sparse) -> Sparse:
    """``A Z``, with the entries that cancel inside a cluster exactly zero."""
    return clean(matrix @ basis)
