"""Exact balancing of a square matrix, dense or sparse: ``B = D A D^-1`` with equal row and column norms."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._arguments import check_positive
from balance_graph._floating_point import own_rules
from balance_graph._progress import Report, reporter
from balance_graph._threads import one_blas_thread
from balance_graph._types import Array, Sparse
from balance_graph.errors import InvalidParameterError, SolverError
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.log_domain import times_exp
from balance_graph.problem.solution import Status
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.newton import NewtonSolver

# Rows from which products with a dense matrix cost less than passes over its entries.
_DENSE = 64
# Iterations allowed there: a handful is the rule, and many mean that products will not do.
_MOST_ITERATIONS = 30
# Scales up to e^this, either way, can be multiplied one after the other without overflow.
_MODERATE = 300.0


@own_rules
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
    entries: Any = A
    if sparse.issparse(A):
        matrix = _checked(entries.tocoo(copy=True))
        log_scales = _log_scales(matrix, exponent, tol, progress)
        result = _like(A, _scaled_entries(matrix, log_scales))
    else:
        array = _checked(np.asarray(A))
        found = _dense_log_scales(array, exponent, tol, progress)
        log_scales = _log_scales(_entries(array), exponent, tol, progress) if found is None else found
        result = _scaled_array(array, log_scales)
    with np.errstate(over="ignore", under="ignore"):
        return (result, np.exp(log_scales)) if return_scales else result


def _checked(A: Any) -> Any:  # noqa: N803
    """A square matrix of finite numbers in floating point, without duplicates; or an error."""
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        message = f"balance_matrix: A must be a square matrix, got shape {A.shape}"
        raise InvalidParameterError(message)
    if A.dtype.kind not in "fiucb":
        message = f"balance_matrix: A must hold real or complex numbers, got dtype {A.dtype}"
        raise InvalidParameterError(message)
    if A.dtype.kind in "iub":
        A = A.astype(np.float64)  # noqa: N806
    is_sparse: bool = sparse.issparse(A)
    if is_sparse:
        A.sum_duplicates()
    values = A.data if is_sparse else A
    finite = np.isfinite(values)
    if not finite.all():
        k = np.unravel_index(int(np.argmin(finite)), finite.shape)
        row, column = (A.row[k], A.col[k]) if is_sparse else k
        message = f"balance_matrix: A[{row}, {column}] is {values[k]}; entries must be finite"
        raise InvalidParameterError(message)
    return A


def _entries(A: Any) -> Sparse:  # noqa: N803
    """A dense array in COO form."""
    entries: Sparse = sparse.coo_array(A)
    return entries


def _scaled_entries(matrix: Sparse, log_scales: Array) -> Sparse:
    """``D A D^-1`` in COO form."""
    balanced = matrix.copy()
    off = matrix.row != matrix.col
    balanced.data[off] = times_exp(matrix.data[off], (log_scales[matrix.row] - log_scales[matrix.col])[off])
    return balanced


def _scaled_array(A: Any, log_scales: Array) -> Any:  # noqa: N803
    """``D A D^-1`` of a dense array."""
    if np.abs(log_scales).max(initial=0.0) > _MODERATE:
        return _scaled_entries(_entries(A), log_scales).toarray()
    balanced = A * np.exp(log_scales)[:, None]
    balanced *= np.exp(-log_scales)
    np.fill_diagonal(balanced, A.diagonal())
    return balanced


def _dense_log_scales(A: Any, p: float, tol: float, progress: bool | Report) -> Array | None:  # noqa: N803
    """Logarithms of D by products with the dense matrix of costs; None where those will not do.

    That is: for small matrices, where exact methods cost little; for reducible ones; where costs leave the range of
    floats; and where conjugate gradients do not get there.
    """
    n = A.shape[0]
    if n < _DENSE:
        return None
    with np.errstate(over="ignore", under="ignore"):
        costs = _powers(A, p)
    np.fill_diagonal(costs, 0.0)
    if not _is_moderate(costs) or not _is_irreducible(costs):
        return None
    from balance_graph.points.dense import DenseFlows
    from balance_graph.points.hessian import HessianSolver
    from balance_graph.solvers._inexact import InexactNewton

    with reporter(progress) as report, one_blas_thread():
        flows = DenseFlows(costs, p)
        status = InexactNewton(flows, HessianSolver(flows, None), 0.1 * tol, _MOST_ITERATIONS).run(report)
        flows.balance_held()
    imbalance = np.abs(flows.into - flows.out_of) / (flows.into + flows.out_of)
    if status is not Status.CONVERGED or not imbalance.max() <= max(tol, 1e-14):
        return None
    log_scales = -np.append(flows.log_scales, 0.0)
    centered: Array = log_scales - log_scales.mean()
    return centered


def _powers(A: Any, p: float) -> Array:  # noqa: N803
    """``|A|**p``, in floating point of double precision."""
    if p == 2.0 and A.dtype.kind == "f":
        squares: Array = np.square(A, dtype=np.float64)
        return squares
    size: Array = np.abs(A).astype(np.float64, copy=False)
    return size if p == 1.0 else size**p


def _is_moderate(costs: Array) -> bool:
    """Whether products of costs with factors of rows and columns stay in the range of floats."""
    from balance_graph.problem import network_kernels as kernels  # compiled loops: slow to load

    least, largest = kernels.range_of_sizes(costs.reshape(-1))
    return bool(least > 1e-100 and largest < 1e100)


def _is_irreducible(costs: Array) -> bool:
    """Whether the graph of the nonzero entries is strongly connected."""
    return all(_reaches_all(matrix) for matrix in (costs, costs.T))


def _reaches_all(costs: Array) -> bool:
    """Whether every row is reached from the first, along nonzero entries."""
    reached = np.zeros(costs.shape[0])
    reached[0] = 1.0
    while True:
        further = np.maximum(reached, (reached @ costs > 0.0).astype(float))
        if further.sum() == reached.sum():
            return bool(reached.all())
        reached = further


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
