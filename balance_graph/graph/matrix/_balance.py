"""Exact balancing of a square matrix, dense or sparse: ``B = D A D^-1`` with equal row and column norms."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from balance_graph._arguments import check_positive
from balance_graph._progress import Report
from balance_graph._time_limit import Deadline, check_time_limit
from balance_graph._types import Array, Index, Sparse
from balance_graph.graph.matrix._blocks import balance_within, irreducible_blocks
from balance_graph.graph.matrix._couplings import balance_between, powers_of_two
from balance_graph.graph.matrix._dense import dense_log_scales
from balance_graph.graph.matrix._entries import (
    Entries,
    checked,
    is_sparse,
    log_norm,
    times_exponentials,
    times_powers_of_two,
)
from balance_graph.graph.matrix._result import MatrixBalance
from balance_graph.problem.solution import Status


@overload
def balance_matrix(
    A: ArrayLike | Sparse,  # noqa: N803
    p: float = ...,
    *,
    return_scales: Literal[True] = ...,
    exact: bool = ...,
    permute: bool = ...,
    tol: float = ...,
    time_limit: float | None = ...,
    progress: bool | Report = ...,
) -> MatrixBalance: ...
@overload
def balance_matrix(
    A: ArrayLike | Sparse,  # noqa: N803
    p: float = ...,
    *,
    return_scales: Literal[False],
    exact: bool = ...,
    permute: bool = ...,
    tol: float = ...,
    time_limit: float | None = ...,
    progress: bool | Report = ...,
) -> NDArray[Any] | Sparse: ...
def balance_matrix(
    A: ArrayLike | Sparse,  # noqa: N803
    p: float = 2.0,
    *,
    return_scales: bool = True,
    exact: bool = True,
    permute: bool = False,
    tol: float = 1e-13,
    time_limit: float | None = None,
    progress: bool | Report = False,
) -> MatrixBalance | NDArray[Any] | Sparse:
    """Balance a matrix: the diagonal similarity of least sum of ``|B_ij|**p`` off the diagonal.

    Parameters
    ----------
    A : (n, n) array_like, or scipy sparse array or matrix of any format
        Finite numbers of any numeric type; never modified.
    p : float
        Exponent, positive. With 1 absolute row and column sums become equal, with 2 Euclidean norms. For eigenvalues
        take 2: 1 can harm (see the guide on matrices).
    return_scales : bool
        Whether to return the scales as well.
    exact : bool
        If False, scales are the powers of two nearest to the exact ones, so that B has the digits of A and no rounding
        of its own, as LAPACK's; where that would cost more than A, scales stay 1.
    permute : bool
        Whether to bring rows and columns into an order in which B is block upper triangular with irreducible blocks.
    tol : float
        Relative imbalance of p-th powers of norms to stop at.
    time_limit : float, optional
        Seconds after which balancing ends with what it has reached, which has the eigenvalues of A in any case:
        `MatrixBalance.status` is then ``limit reached``.
    progress : bool or callable
        As for `solve`.

    Returns
    -------
    MatrixBalance
        Unpacks as the two below; also has `log_scales`, which no range of floats bounds, `permutation`, `block`,
        `gain`, `lost`, `may_harm` and `summary()`. With ``return_scales=False`` the matrix alone.
    B : ndarray or sparse, of the kind and format of `A`
        ``B = D A D^-1``, that is ``B[i, j] = scales[i] * A[i, j] / scales[j]``: the same eigenvalues and diagonal.
        Within each irreducible block the off-diagonal p-norm of every row equals that of its column. It has the
        precision of `A`, single, double or extended; integers, booleans and half precision become double.
    scales : (n,) array
        Diagonal of D in double precision, of geometric mean 1 in each connected part of the matrix.

    Raises
    ------
    InvalidParameterError
        If `A` is not a square matrix of finite numbers, `p` or `tol` is not positive, or an entry of B is beyond the
        range of its type.
    SolverError
        If the tolerance is not reached.

    See Also
    --------
    balance : Networks with inputs and outputs, which keep their scale.

    Notes
    -----
    Osborne's balancing (J. ACM 7, 1960), solved to the end. A *reducible* matrix has no balance as a whole: the cost
    falls for as long as entries between its irreducible blocks (strongly connected components) shrink. So blocks are
    balanced within themselves, and the factors between them follow a rule:

    1. A block's size is its largest entry off the diagonal; that of a single index, its diagonal entry. The unit u of
       two coupled blocks is 1/100 of the larger size; in a triangular part of the matrix, all of it: nothing is
       balanced there, and nothing need shrink. Where no size is at hand (zeros on the diagonal), the geometric mean
       of the other blocks of the part serves; where there is none at all (a nilpotent part), that of its couplings
       as they are.
    2. With c the cost of the entries between two blocks, in units of ``u**p``, the sum of ``c - log c`` over all
       coupled pairs is least: each c is 1, or as near as they let one another come. (A faint ``1e-4 (log c)**2 / 2``
       decides where contradictions drive a c below rounding.)
    3. All units of a part are lowered together, as little as possible, until no entry between blocks exceeds the
       largest size of a block of the part, and the part costs no more than in `A`.

    The reason: couplings that are small beside the blocks spoil neither norm nor condition of eigenvalues, and those
    that do not vanish keep eigenvectors and functions of A in reach. Steps 1 and 2 know invariants alone, so all
    ``D A D^-1`` that cost at least as much as the result have the same B. No rule can give the same B to *all* of them
    and never cost more than A: factors alone make couplings as cheap as one likes. Where A is cheaper than what step 2
    finds, uniqueness gives way (B then costs what A does, and depends on A through this cost only); in nilpotent parts,
    which have no invariant size, it depends on the mean size of A's entries as well.

    `scipy.linalg.matrix_balance` returns ``B = T^-1 A T``, so its scale vector corresponds to ``1 / scales``; it works
    on dense matrices, permutes single indices only, uses powers of two, includes the diagonal in norms, and stops when
    a step would gain less than 5 %.

    Examples
    --------
    >>> import numpy as np, balance_graph as bg
    >>> B, scales = bg.balance_matrix(np.array([[1.0, 100.0], [0.01, 2.0]]))
    >>> B.round(9)
    array([[1., 1.],
           [1., 2.]])
    >>> result = bg.balance_matrix([[0, 2e300, 0], [1e-300, 0, 7e-9], [0, 0, 5]], exact=False)
    >>> print(result.summary())
    3 x 3, 2 irreducible blocks, scales over a factor of 1e+300, norm reduced 3.71e+299 times
    """
    exponent = check_positive(p, "balance_matrix: p")
    check_positive(tol, "balance_matrix: tol")
    check_time_limit(time_limit, "balance_matrix: time_limit")
    deadline = Deadline(time_limit)
    # Costs and factors that leave the range of floats are met where they do; what is returned is checked.
    with np.errstate(all="ignore"):
        matrix = checked(A)
        log_scales, block = _log_scales(matrix, exponent, tol, progress, deadline)
        status = Status.LIMIT if deadline.has_cut else Status.CONVERGED
        if exact:
            balanced, scales = times_exponentials(matrix, log_scales), np.exp(log_scales)
        else:
            shift = powers_of_two(Entries.of(matrix), log_scales, block, exponent)
            balanced, scales = times_powers_of_two(matrix, shift), np.ldexp(1.0, shift)
            log_scales = shift * np.log(2.0)
        order = np.argsort(block, kind="stable") if permute else np.arange(block.size)
        result = MatrixBalance.of(
            _like(A, _permuted(balanced, order) if permute else balanced),
            scales,
            log_scales,
            permutation=order,
            block=block,
            log_gain=_difference(log_norm(matrix), log_norm(balanced)),
            vanished=_count(matrix) - _count(balanced),
            status=status,
        )
    return result if return_scales else result.matrix


def _log_scales(matrix: Any, p: float, tol: float, progress: bool | Report, deadline: Deadline) -> tuple[Array, Index]:
    """Logarithms of D, of mean zero in each connected part, and the irreducible block of each index."""
    array = None if is_sparse(matrix) else matrix
    if array is not None and (found := dense_log_scales(array, p, tol, progress, deadline)) is not None:
        return found - found.mean(), np.zeros(found.size, dtype=np.intp)
    entries = Entries.of(matrix)
    block = irreducible_blocks(entries)
    within = balance_within(entries, block, p, tol, progress, deadline, array)
    return balance_between(entries, block, within, p), block


def _difference(log_before: float, log_after: float) -> float:
    """Logarithm of a ratio, 0 for that of two zeros."""
    return 0.0 if log_before == log_after else log_before - log_after


def _count(matrix: Any) -> int:
    return int(np.count_nonzero(matrix.data if is_sparse(matrix) else matrix))


def _permuted(matrix: Any, order: Index) -> Any:
    """Rows and columns in a given order."""
    if not is_sparse(matrix):
        return matrix[np.ix_(order, order)]
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return sparse.coo_array((matrix.data, (place[matrix.row], place[matrix.col])), shape=matrix.shape)


def _like(A: Any, matrix: Any) -> Any:  # noqa: N803
    """The result in the format of A where it is sparse, and as matrix where A is one."""
    if not is_sparse(A):
        return matrix
    kind = matrix if isinstance(A, sparse.sparray) else sparse.coo_matrix(matrix)
    return kind.asformat(A.format)
