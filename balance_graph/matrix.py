"""Exact balancing of a square matrix, dense or sparse: ``B = D A D^-1`` with equal row and column norms."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._arguments import check_positive
from balance_graph._types import Array, Sparse
from balance_graph.errors import InvalidParameterError, SolverError
from balance_graph.log_domain import times_exp
from balance_graph.problem import BalanceProblem
from balance_graph.progress import Report
from balance_graph.solve import solve
from balance_graph.solvers.newton import NewtonSolver


def balance_matrix(
    A: Any,  # noqa: N803
    p: float = 2.0,
    *,
    return_scales: bool = True,
    tol: float = 1e-13,
    progress: bool | Report = False,
) -> Any:
    """Balance a matrix: the diagonal similarity of least sum of ``|B_ij|**p`` off the diagonal.

    Parameters
    ----------
    A : (n, n) array_like, or scipy sparse array or matrix of any format
        Real or complex, finite; never modified.
    p : float
        Exponent, positive. With 1 absolute row and column sums become equal, with 2 Euclidean norms.
    return_scales : bool
        Whether to return the scales as well.
    tol : float
        Relative imbalance of p-th powers of norms to stop at.
    progress : bool or callable
        As for `solve`.

    Returns
    -------
    B : ndarray or sparse, of the kind and format of `A`
        ``B = D A D^-1``, that is ``B[i, j] = scales[i] * A[i, j] / scales[j]``: the same eigenvalues and diagonal.
        Within each irreducible block the off-diagonal p-norm of every row equals that of its column. Integers become
        floats.
    scales : (n,) array
        Diagonal of D, of geometric mean 1 in each irreducible block. Only if `return_scales`.

    Raises
    ------
    InvalidParameterError
        If `A` is not a square matrix of finite numbers, or `p` is not positive.
    SolverError
        If the tolerance is not reached.

    Notes
    -----
    Osborne's balancing (J. ACM 7, 1960), solved to the end. A *reducible* matrix has no balance as a whole: entries
    that lead from one irreducible block (strongly connected component of its graph) to another can be made as small
    as one likes. Blocks are balanced within themselves; entries between them are scaled along and take no part.

    `scipy.linalg.matrix_balance` returns ``B = T^-1 A T``, so its scale vector corresponds to ``1 / scales``; it works
    on dense matrices, permutes, uses powers of two only, and stops when a step would gain less than 5 %.

    Examples
    --------
    >>> import numpy as np, balance_graph as bg
    >>> B, scales = bg.balance_matrix(np.array([[1.0, 100.0], [0.01, 2.0]]))
    >>> B.round(9)
    array([[1., 1.],
           [1., 2.]])
    """
    exponent = check_positive(p, "balance_matrix: p")
    matrix, dense = _entries(A)
    log_scales = _log_scales(matrix, exponent, tol, progress)
    balanced = matrix.copy()
    off = matrix.row != matrix.col
    balanced.data[off] = times_exp(matrix.data[off], (log_scales[matrix.row] - log_scales[matrix.col])[off])
    result = balanced.toarray() if dense else _like(A, balanced)
    with np.errstate(over="ignore", under="ignore"):
        return (result, np.exp(log_scales)) if return_scales else result


def _entries(A: Any) -> tuple[Any, bool]:  # noqa: N803
    """The matrix in COO form without duplicates, in floating point; and whether it came dense."""
    dense = not sparse.issparse(A)
    if dense:
        A = np.asarray(A)  # noqa: N806
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        message = f"balance_matrix: A must be a square matrix, got shape {A.shape}"
        raise InvalidParameterError(message)
    if A.dtype.kind not in "fiucb":
        message = f"balance_matrix: A must hold real or complex numbers, got dtype {A.dtype}"
        raise InvalidParameterError(message)
    matrix: Sparse = sparse.coo_array(A)
    if matrix.dtype.kind in "iub":
        matrix = matrix.astype(np.float64)
    matrix = matrix.copy()
    matrix.sum_duplicates()
    bad = ~np.isfinite(matrix.data)
    if bad.any():
        k = int(np.argmax(bad))
        message = f"balance_matrix: A[{matrix.row[k]}, {matrix.col[k]}] is {matrix.data[k]}; entries must be finite"
        raise InvalidParameterError(message)
    return matrix, dense


def _log_scales(matrix: Sparse, p: float, tol: float, progress: bool | Report) -> Array:
    """Logarithms of D: minus the log-scales of the network whose edge i -> j carries ``|A_ij|``."""
    n = matrix.shape[0]
    off = matrix.row != matrix.col
    network = sparse.csr_array((np.abs(matrix.data[off]), (matrix.row[off], matrix.col[off])), shape=(n, n))
    problem = BalanceProblem.from_sparse(network, pinned=np.zeros(n, dtype=bool), regularizer=p)
    solution = solve(problem, NewtonSolver(tol=tol), on_unattained="prune", progress=progress)
    if not solution.converged:
        message = f"balance_matrix: {solution.status}, relative imbalance {solution.relative_imbalance:.2g}; raise tol"
        raise SolverError(message)
    return _centered(-solution.log_scales, network)


def _centered(log_scales: Array, network: Sparse) -> Array:
    """Log-scales less their mean in each strongly connected component."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    if log_scales.size == 0:
        return log_scales
    _, block = csgraph.connected_components(network, directed=True, connection="strong")
    mean: Array = np.bincount(block, log_scales) / np.bincount(block)
    return log_scales - mean[block]


def _like(A: Any, matrix: Sparse) -> Any:  # noqa: N803
    """The COO array in the format of A, and as matrix where A is one."""
    kind = matrix if isinstance(A, sparse.sparray) else sparse.coo_matrix(matrix)
    return kind.asformat(A.format)
