"""The part of the Hessian of blocks and terms that falls into small parts: all but products of rows with columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse

if TYPE_CHECKING:
    from balance_graph.problem.block_ends import Ends

# Larger parts are approximated by their diagonals: they are inverted as dense matrices.
_LARGEST = 24


class ScatteredHessian:
    """``E^T diag(y) E`` for the ends E of blocks and terms, whose connected parts are few scales each.

    Scales are connected where one end depends on several: a norm's weight and the layer before it, say.

    Parameters
    ----------
    ends : Ends
    """

    def __init__(self, ends: Ends) -> None:
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        self._ends, size = ends, ends.matrix.shape[1]
        several = ends.matrix[np.flatnonzero(np.diff(ends.matrix.indptr) > 1)]
        _, label = csgraph.connected_components(sparse.csr_array(abs(several).T @ abs(several)), directed=False)
        sizes = np.bincount(label, minlength=1)
        order = np.argsort(label, kind="stable")
        within = sizes[label[order]]
        self._alone = order[(within == 1) | (within > _LARGEST)]
        # For each size the scales of all parts of it, one part a row.
        self._parts: list[Index] = [
            order[within == n].reshape(-1, n) for n in np.unique(sizes).tolist() if 1 < n <= _LARGEST
        ]
        self._size = size

    def inverse(self, curvatures: Array, diagonal: Array) -> Sparse:
        """The inverse at these curvatures, as a sparse matrix; that of the diagonal for parts that are not small."""
        if not self._parts:
            number = np.arange(self._size + 1)
            return sparse.csr_array((1.0 / diagonal, number[:-1], number))
        rows, columns, values = [self._alone], [self._alone], [1.0 / diagonal[self._alone]]
        whole = sparse.csr_array(self._ends.transposed @ sparse.diags_array(curvatures) @ self._ends.matrix)
        for part in self._parts:
            i, j = (np.broadcast_to(x, (*part.shape, part.shape[1])) for x in (part[:, :, None], part[:, None, :]))
            dense = np.asarray(whole[i.reshape(-1), j.reshape(-1)]).reshape(i.shape)
            rows.append(i.reshape(-1))
            columns.append(j.reshape(-1))
            values.append(np.linalg.inv(dense).reshape(-1))
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_array(sparse.coo_array(entries, shape=(self._size, self._size)))
