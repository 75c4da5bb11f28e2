"""A square matrix as it comes, dense or sparse and of any numeric type, and the sizes of its entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._foreign import described
from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.problem.log_domain import log_abs

# Sums of squares above this have lost no square that counts, in single precision either.
_LEAST_SQUARE = 1e-20
# One factor up to e^this, either way, is in the range of floats.
_MODERATE = 600.0


def is_sparse(value: Any) -> bool:
    """Whether it is a sparse array or matrix of SciPy."""
    return bool(sparse.issparse(value))


def checked(A: Any) -> Any:  # noqa: N803
    """A square array, or COO array without duplicates, of finite numbers in floating point; or an error."""
    matrix = sparse.coo_array(A) if is_sparse(A) else _as_array(A)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        message = f"balance_matrix: A must be a square matrix, got shape {matrix.shape}"
        raise InvalidParameterError(message)
    if matrix.dtype.kind not in "fiucb":
        message = f"balance_matrix: A must hold real or complex numbers, got dtype {matrix.dtype}; try A.astype(float)"
        raise InvalidParameterError(message)
    if is_sparse(matrix):
        matrix = matrix.copy()
        matrix.sum_duplicates()
    matrix = matrix.astype(_floating(matrix.dtype), copy=False)
    _check_finite(matrix, "A", "entries must be finite")
    return matrix


def _as_array(A: Any) -> Any:  # noqa: N803
    # numpy would make something of each of these.
    if isinstance(A, str | Mapping) or hasattr(A, "adjacency"):
        message = f"balance_matrix: A must be a square matrix, got {described(A)}"
        raise InvalidParameterError(message)
    try:
        array = np.asarray(A)
    except (TypeError, ValueError) as error:
        message = f"balance_matrix: A must be a square matrix of numbers, got {type(A).__name__}: {error}"
        raise InvalidParameterError(message) from error
    if array.ndim == 0:
        message = f"balance_matrix: A must be a square matrix, got {described(A)}"
        raise InvalidParameterError(message)
    if np.ma.is_masked(A):
        message = "balance_matrix: A has masked entries; fill them, A.filled(0.0)"
        raise InvalidParameterError(message)
    return array


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of floating point that stands for a numeric type: single, double or extended, in native byte order."""
    native = dtype.newbyteorder("=")
    return np.dtype(np.float64) if dtype.kind in "iub" or native == np.float16 else native


def _check_finite(matrix: Any, name: str, words: str) -> None:
    values = matrix.data if is_sparse(matrix) else matrix
    finite = np.isfinite(values)
    if not finite.all():
        k = np.unravel_index(int(np.argmin(finite)), finite.shape)
        row, column = (matrix.row[k], matrix.col[k]) if is_sparse(matrix) else k
        message = f"balance_matrix: {name}[{row}, {column}] is {values[k]}; {words}"
        raise InvalidParameterError(message)


@dataclass(frozen=True, eq=False)
class Entries:
    """The nonzero entries off the diagonal, row by row, and the diagonal.

    Attributes
    ----------
    size : int
        Number of rows.
    row, column : integer arrays
    log_size : array
        Logarithms of absolute values.
    log_diagonal : (size,) array
        The same for the diagonal, ``-inf`` at zero.
    """

    size: int
    row: Index
    column: Index
    log_size: Array
    log_diagonal: Array

    @classmethod
    def of(cls, matrix: Any) -> Entries:
        """Those of a checked matrix."""
        if is_sparse(matrix):
            row, column, values = matrix.row, matrix.col, matrix.data
        else:
            row, column = np.nonzero(matrix)
            values = matrix[row, column]
        kept = (row != column) & (values != 0)
        row, column, log_size = row[kept], column[kept], log_sizes(values[kept])
        order = np.lexsort((column, row))
        return cls(matrix.shape[0], row[order], column[order], log_size[order], log_sizes(matrix.diagonal()))

    def log_scaled(self, log_scales: Array) -> Array:
        """Logarithms of the sizes of the entries of ``D A D^-1``."""
        scaled: Array = self.log_size + log_scales[self.row] - log_scales[self.column]
        return scaled


def log_sizes(values: Any) -> Array:
    """Logarithms of absolute values, also of those that double precision does not reach; ``-inf`` at zero."""
    if values.dtype.kind == "c":
        real, imaginary = np.abs(values.real), np.abs(values.imag)
        larger, smaller = np.maximum(real, imaginary), np.minimum(real, imaginary)
        ratio = smaller / np.where(larger > 0, larger, 1)
        modulus: Array = log_sizes(larger) + 0.5 * np.log1p(np.square(ratio.astype(np.float64)))
        return modulus
    if values.dtype == np.longdouble:
        return np.asarray(np.log(np.abs(values)), dtype=np.float64)
    return log_abs(values)


def log_norm(matrix: Any) -> float:
    """Logarithm of the Frobenius norm; ``-inf`` for a matrix of zeros."""
    values = (matrix.data if is_sparse(matrix) else matrix).ravel(order="K")
    square = float(np.vdot(values, values).real)
    if _LEAST_SQUARE < square < np.inf:
        return 0.5 * float(np.log(square))
    largest = max(np.abs(values.real).max(initial=0), np.abs(values.imag).max(initial=0))
    if largest == 0:
        return -np.inf
    return float(np.log(largest)) + log_norm(values / largest)


def times_exponentials(matrix: Any, log_scales: Array) -> Any:
    """``D A D^-1`` in the type of A: factors are applied to at least double precision, the diagonal is left alone."""
    if is_sparse(matrix):
        log_factors = log_scales[matrix.row] - log_scales[matrix.col]
        log_factors[matrix.row == matrix.col] = 0.0
        return _checked_product(_with_values(matrix, _scaled(matrix.data, log_factors)))
    if np.abs(log_scales).max(initial=0.0) > 0.5 * _MODERATE:
        return times_exponentials(sparse.coo_array(matrix), log_scales).toarray()
    wide = matrix.astype(np.result_type(matrix.dtype, np.float64), copy=False)
    balanced = wide * np.exp(log_scales)[:, None]
    balanced *= np.exp(-log_scales)
    np.fill_diagonal(balanced, matrix.diagonal())
    return _checked_product(balanced.astype(matrix.dtype, copy=False))


def _scaled(values: Any, log_factors: Array) -> Any:
    """``values * exp(log_factors)``, without leaving the range of floats on the way."""
    wide = np.result_type(values.dtype, np.float64)
    count = max(1, int(np.ceil(np.abs(log_factors).max(initial=0.0) / _MODERATE)))
    factor = np.exp(log_factors.astype(np.empty(0, wide).real.dtype) / count)
    result = values.astype(wide)
    for _ in range(count):
        result = result * factor
    return result.astype(values.dtype)


def times_powers_of_two(matrix: Any, exponent: Index) -> Any:
    """``D A D^-1`` for ``D = diag(2**exponent)``: no digit is rounded."""
    if is_sparse(matrix):
        return _checked_product(
            _with_values(matrix, _shifted(matrix.data, exponent[matrix.row] - exponent[matrix.col]))
        )
    return _checked_product(_shifted(matrix, exponent[:, None] - exponent))


def _shifted(values: Any, exponent: Index) -> Any:
    if values.dtype.kind != "c":
        return np.ldexp(values, exponent)
    result = np.empty_like(values)
    result.real, result.imag = np.ldexp(values.real, exponent), np.ldexp(values.imag, exponent)
    return result


def _with_values(matrix: Sparse, values: Any) -> Sparse:
    return sparse.coo_array((values, (matrix.row, matrix.col)), shape=matrix.shape)


def _checked_product(balanced: Any) -> Any:
    """The balanced matrix, or an error where even its least norm exceeds the range of its type."""
    dtype = balanced.dtype
    _check_finite(balanced, "B", f"it exceeds the range of {dtype}; divide A by a power of two, which divides B by it")
    return balanced
