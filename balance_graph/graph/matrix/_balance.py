"""Exact balancing of a square matrix, dense or sparse: ``B = D A D^-1`` with equal row and column norms."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._arguments import check_positive
from balance_graph._progress import Report
from balance_graph._types import Array, Index
from balance_graph.graph.matrix._blocks import balance_within, irreducible_blocks
from balance_graph.graph.matrix._couplings import balance_between, powers_of_two
from balance_graph.graph.matrix._dense import dense_log_scales
from balance_graph.graph.matrix._entries import Entries, checked, log_norm, times_exponentials, times_powers_of_two
from balance_graph.graph.matrix._result import MatrixBalance


def balance_matrix(
    A: Any,  # noqa: N803
    p: float = 2.0,
    *,
    return_scales: bool = True,
    exact: bool = True,
    permute: bool = False,
    tol: float = 1e-13,
    progress: bool | Report = False,
) -> Any:
    """TODO."""
    exponent = check_positive(p, "balance_matrix: p")
    check_positive(tol, "balance_matrix: tol")
    # Costs and factors that leave the range of floats are met where they do; what is returned is checked.
    with np.errstate(all="ignore"):
        matrix = checked(A)
        log_scales, block = _log_scales(matrix, exponent, tol, progress)
        balanced, log_scales = _scaled(matrix, log_scales, exponent, block, exact=exact)
        order = np.argsort(block, kind="stable") if permute else np.arange(block.size)
        result = MatrixBalance.of(
            _like(A, _permuted(balanced, order) if permute else balanced),
            log_scales,
            permutation=order,
            block=block,
            log_gain=_difference(log_norm(matrix), log_norm(balanced)),
            vanished=_count(matrix) - _count(balanced),
        )
    return result if return_scales else result.matrix


def _log_scales(matrix: Any, p: float, tol: float, progress: bool | Report) -> tuple[Array, Index]:
    """Logarithms of D, of mean zero in each connected part, and the irreducible block of each index."""
    array = None if sparse.issparse(matrix) else matrix
    if array is not None and (found := dense_log_scales(array, p, tol, progress)) is not None:
        return found - found.mean(), np.zeros(found.size, dtype=np.intp)
    entries = Entries.of(matrix)
    block = irreducible_blocks(entries)
    within = balance_within(entries, block, p, tol, progress, array)
    return balance_between(entries, block, within, p), block


def _scaled(matrix: Any, log_scales: Array, p: float, block: Index, *, exact: bool) -> tuple[Any, Array]:
    """``D A D^-1`` and the logarithms of D."""
    if exact:
        return times_exponentials(matrix, log_scales), log_scales
    exponent = powers_of_two(Entries.of(matrix), log_scales, block, p)
    return times_powers_of_two(matrix, exponent), exponent * np.log(2.0)


def _difference(log_before: float, log_after: float) -> float:
    """Logarithm of a ratio, 0 for that of two zeros."""
    return 0.0 if log_before == log_after else log_before - log_after


def _count(matrix: Any) -> int:
    return int(np.count_nonzero(matrix.data if sparse.issparse(matrix) else matrix))


def _permuted(matrix: Any, order: Index) -> Any:
    """Rows and columns in a given order."""
    if not sparse.issparse(matrix):
        return matrix[np.ix_(order, order)]
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return sparse.coo_array((matrix.data, (place[matrix.row], place[matrix.col])), shape=matrix.shape)


def _like(A: Any, matrix: Any) -> Any:  # noqa: N803
    """The result in the format of A where it is sparse, and as matrix where A is one."""
    if not sparse.issparse(A):
        return matrix
    kind = matrix if isinstance(A, sparse.sparray) else sparse.coo_matrix(matrix)
    return kind.asformat(A.format)
