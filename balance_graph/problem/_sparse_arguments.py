"""Arrays that describe a network without networkx: checked, and brought to one form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from balance_graph._arguments import VANISHES
from balance_graph._foreign import advice_for
from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.errors import InvalidNetworkError, InvalidParameterError
from balance_graph.problem.manifold import Manifold


def _is_sparse(value: Any) -> bool:
    return bool(sparse.issparse(value))


def canonical(matrix: Sparse) -> Sparse:
    """A square matrix of finite real weights in canonical CSR form; not copied where it is in that form."""
    if not _is_sparse(matrix):
        remedy = (
            "wrap it in csr_array" if isinstance(matrix, np.ndarray) else advice_for(matrix) or "make it a csr_array"
        )
        message = f"W must be a scipy sparse array or matrix, got {type(matrix).__name__}; {remedy}"
        raise InvalidParameterError(message)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        message = f"W must be square, one row and column per node; got shape {matrix.shape}"
        raise InvalidParameterError(message)
    result: Sparse = sparse.csr_array(_as_floats(matrix))
    if not result.has_canonical_format:
        result = result.copy()
        result.sum_duplicates()
    if not np.all(np.isfinite(result.data)):
        k = int(np.argmin(np.isfinite(result.data)))
        row = int(np.searchsorted(result.indptr, k, side="right")) - 1
        message = f"weight of edge ({row}, {result.indices[k]}) is {result.data[k]}; weights must be finite"
        raise InvalidNetworkError(message)
    return result


def term_matrix(A: Any) -> Sparse:  # noqa: N803
    """A matrix of finite numbers in canonical CSR form, without stored zeros, as a copy."""
    try:
        matrix = sparse.csr_array(A, dtype=float)
    except (TypeError, ValueError) as error:
        message = f"A must be a scipy sparse matrix, or an array of two dimensions, one row a term; got {A!r}"
        raise InvalidParameterError(message) from error
    if matrix.ndim != 2:
        message = f"A must have two dimensions, one row a term and one column an unknown; got shape {matrix.shape}"
        raise InvalidParameterError(message)
    result: Sparse = matrix.copy()
    result.sum_duplicates()
    if not np.all(np.isfinite(result.data)):
        k = int(np.argmin(np.isfinite(result.data)))
        row = int(np.searchsorted(result.indptr, k, side="right")) - 1
        message = f"A[{row}, {result.indices[k]}] is {result.data[k]}; entries must be finite"
        raise InvalidNetworkError(message)
    result.eliminate_zeros()
    return result


def edge_weights(values: Any, manifold: Manifold) -> Array:
    """A finite real weight for each edge of an architecture, from an array or a sparse matrix."""
    if _is_sparse(values):
        return _entries_of_edges(values, manifold)
    try:
        array = np.asarray(values)
        array = array if array.dtype in (np.float32, np.float64) and array.dtype.isnative else _to_floats(array)
    except (TypeError, ValueError) as error:
        message = f"weights must be {manifold.n_edges} real numbers, one an edge, or a scipy sparse array; {error}"
        raise InvalidParameterError(message) from error
    if array.shape != (manifold.n_edges,):
        message = f"weights must have shape ({manifold.n_edges},), one for each edge; got shape {array.shape}"
        raise InvalidParameterError(message)
    if not np.all(np.isfinite(array)):
        k = int(np.argmin(np.isfinite(array)))
        message = f"weight of edge {_named(manifold, k)} is {array[k]}; weights must be finite"
        raise InvalidNetworkError(message)
    return array


def _to_floats(array: NDArray[Any]) -> Array:
    if array.dtype.kind == "c":
        message = "they are complex"
        raise TypeError(message)
    return array.astype(np.float64)


def _entries_of_edges(matrix: Sparse, manifold: Manifold) -> Array:
    """The entries of a matrix in the order of the edges, which must be those that it stores."""
    result, n = canonical(matrix), manifold.n_nodes
    if result.shape[0] != n:
        message = f"weights must have one row and column a node, {n}; got shape {result.shape}"
        raise InvalidParameterError(message)
    tail = np.repeat(np.arange(n, dtype=result.indices.dtype), np.diff(result.indptr))
    same_number = tail.size == manifold.n_edges
    if same_number and np.array_equal(result.indices, manifold.head) and np.array_equal(tail, manifold.tail):
        data: Array = result.data
        return data
    order = np.lexsort((manifold.head, manifold.tail))
    ours, theirs = (
        np.stack(ends, axis=1) for ends in ((manifold.tail[order], manifold.head[order]), (tail, result.indices))
    )
    if not np.array_equal(ours, theirs):
        message = (
            f"weights: the matrix stores {tail.size} entries and the problem has {manifold.n_edges} edges, which are "
            "not the same; store an entry, zero if need be, for every edge and no other, or make a new problem"
        )
        raise InvalidNetworkError(message)
    weights = np.empty(tail.size, dtype=result.dtype)
    weights[order] = result.data
    return weights


def _named(manifold: Manifold, edge: int) -> Any:
    return manifold.names_of(np.array([edge]))[0]


def term_costs(log_coefficient: ArrayLike, n: int) -> tuple[Array, Array]:
    """Weight, 0 or 1, and logarithm of the coefficient of each term."""
    logs = _term_log_coefficients(log_coefficient, n)
    free = np.isneginf(logs)
    return np.where(free, 0.0, 1.0), np.where(free, 0.0, logs)


def _term_log_coefficients(values: ArrayLike, n: int) -> Array:
    """A number below inf for each term; ``-inf`` is one."""
    array = np.asarray(values, dtype=float)
    if array.shape != (n,):
        message = f"log_coefficient must have shape ({n},), one for each row of A; got shape {array.shape}"
        raise InvalidParameterError(message)
    bad = np.isnan(array) | (array == np.inf)
    if bad.any():
        k = int(np.argmax(bad))
        message = f"log_coefficient of term {k} is {array[k]}; it must be finite, or -inf for a term that costs nothing"
        raise InvalidParameterError(message)
    return array


def _as_floats(matrix: Sparse) -> Sparse:
    """The matrix in single or double precision: before duplicates are summed, which small integers do not survive."""
    if matrix.dtype.kind not in "biuf":
        remedy = "balance abs(W)" if matrix.dtype.kind == "c" else "use W.astype(float)"
        message = f"W must hold real numbers, got dtype {matrix.dtype}; {remedy}"
        raise InvalidParameterError(message)
    if matrix.dtype in (np.float32, np.float64) and matrix.dtype.isnative:
        return matrix
    with np.errstate(all="ignore"):  # an extended float beyond the range becomes inf, and is refused as such
        result: Sparse = matrix.astype(np.float64)
    if matrix.dtype.kind == "f" and result.count_nonzero() < matrix.count_nonzero():
        message = f"W holds a number of dtype {matrix.dtype} which {VANISHES}; multiply W by a number, or set it to 0"
        raise InvalidNetworkError(message)
    return result


def node_array(values: ArrayLike, n: int, name: str, what: str = "node") -> Array:
    """A positive number for each node (or other thing), from one for all or from an array."""
    array = np.asarray(values, dtype=float)
    if array.shape not in ((), (n,)):
        message = f"{name} must be a number or have shape ({n},), got shape {array.shape}"
        raise InvalidParameterError(message)
    array = np.broadcast_to(array, n) if array.ndim == 0 else array.copy()
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        k = int(np.argmax(bad))
        message = f"{name} of {what} {k} is {array[k]}; it must be positive and finite"
        raise InvalidParameterError(message)
    return array


def log_scales_array(values: ArrayLike, n: int, name: str) -> Array:
    """A finite log-scale for each node."""
    try:
        log_scales = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        message = f"{name} must be {n} log-scales, got {values!r}"
        raise InvalidParameterError(message) from error
    if log_scales.shape != (n,) or not np.all(np.isfinite(log_scales)):
        message = f"{name} must be {n} finite log-scales, one a node; got shape {log_scales.shape}"
        raise InvalidParameterError(message)
    return log_scales


def pinned_array(pinned: ArrayLike, n: int) -> Mask:
    """Which nodes are pinned, as a copy."""
    array = np.array(pinned)
    if array.shape != (n,) or array.dtype != bool:
        message = f"pinned must be a boolean array of shape ({n},), got {array.dtype} of shape {array.shape}"
        raise InvalidParameterError(message)
    return array


def group_array(groups: ArrayLike | None, n: int) -> Index | None:
    """The group of each node, if there are any."""
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer):
        message = f"groups must be an integer array of shape ({n},), got {array.dtype} of shape {array.shape}"
        raise InvalidParameterError(message)
    return array.astype(np.intp)


def log_coefficients(coefficient: Any, matrix: Any, tail: Index, head: Index) -> Array:
    """Logarithm of the coefficient of each edge, from one for all or from a sparse matrix."""
    if coefficient is None:
        return np.broadcast_to(0.0, tail.size)
    if _is_sparse(coefficient):
        if coefficient.shape != matrix.shape:
            message = f"coefficient must have the shape {matrix.shape} of W, got {coefficient.shape}"
            raise InvalidParameterError(message)
        values: Array = np.asarray(sparse.csr_array(coefficient)[tail, head], dtype=np.float64).reshape(-1)
    elif np.ndim(coefficient) == 0:
        values = np.broadcast_to(float(coefficient), tail.size)
    else:
        message = "coefficient must be a number or a scipy sparse array of the shape of W"
        raise InvalidParameterError(message)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        k = int(np.argmax(bad))
        message = f"coefficient of edge ({tail[k]}, {head[k]}) is {values[k]}; it must be positive and finite"
        raise InvalidParameterError(message)
    return np.log(values)
