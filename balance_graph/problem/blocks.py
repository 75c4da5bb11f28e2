"""Blocks of a network: all weights from some unknowns to others, kept as the dense matrix that they come in.

`Block` is what the rest of the package knows of them; `DenseBlock` is that of NumPy arrays. Weights that live elsewhere
(on another device, in another array library, in a file) need a class with the same two attributes and two methods.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balance_graph._arguments import check_positive
from balance_graph._types import Array, Index, Mask
from balance_graph.errors import InvalidNetworkError, InvalidParameterError

# Weights of other types are converted so many at a time: few enough for the nearest memories.
_CONVERTED = 1 << 16
# With fewer weights, to start a second thread takes longer than the pass.
_SIDE_BY_SIDE = 200_000
# Exponents in half precision are biased by 15, in single by 127; what is not finite comes out as 2^16 or more.
_STRETCH, _BEYOND_HALF = 2.0**112, 2.0**-96
_THREADS = min(2, os.cpu_count() or 1)


class Extent(NamedTuple):
    """The range of the costs of a block, and where it has any.

    Attributes
    ----------
    log_least, log_largest : float
        Logarithms of the least and the largest cost that is not zero; inf and -inf where all are.
    rows, columns : boolean arrays
        Rows and columns that hold a weight other than zero.
    """

    log_least: float
    log_largest: float
    rows: Mask
    columns: Mask


@runtime_checkable
class Block(Protocol):
    """All weights from some unknowns (one a row) to others (one a column): what a guest supplies.

    Its costs are ``C = a |W|**p``, entry by entry. Only their range and their products with vectors are asked for,
    never C itself, and those as NumPy arrays in double precision.

    Attributes
    ----------
    tail, head : integer arrays
        The unknown of each row and of each column; -1 where it is pinned (inputs, outputs, biases). Unknowns may
        repeat: rows of one unknown are tied.

    See Also
    --------
    DenseBlock : One in memory.
    BlockProblem : Blocks that are balanced together.

    Notes
    -----
    Certificates hold as long as every cost in a product is known to within ``4 eps (4 + |log_unit| + |log cost|)`` of
    itself, eps that of double precision, and products and sums are in double precision, in any order.

    Examples
    --------
    >>> import balance_graph as bg, numpy as np
    >>> class Constant:
    ...     def __init__(self, tail, head, weight):
    ...         self.tail, self.head, self.weight = np.array(tail), np.array(head), weight
    ...
    ...     def extent(self, exponent):
    ...         log_cost = exponent * np.log(self.weight)
    ...         return log_cost, log_cost, np.full(self.tail.size, True), np.full(self.head.size, True)
    ...
    ...     def products(self, exponent, log_unit, rows, columns):
    ...         cost = np.exp(exponent * np.log(self.weight) - log_unit)
    ...         return np.full(rows.size, cost * columns.sum()), np.full(columns.size, cost * rows.sum())
    >>> first, second = Constant([-1, -1, -1], [0, 1], 4.0), Constant([0, 1], [-1, -1, -1], 1.0)
    >>> isinstance(first, bg.Block)
    True
    >>> np.exp(bg.solve(bg.BlockProblem([first, second], 2)).log_scales).round(6)
    array([0.5, 0.5])
    """

    @property
    def tail(self) -> Index: ...

    @property
    def head(self) -> Index: ...

    def extent(self, exponent: float) -> Extent:
        """The range of the costs, or its four parts as a plain tuple; NaN or inf among them for weights that are."""

    def products(self, exponent: float, log_unit: float, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of ``exp(log_unit)``."""


class DenseBlock:
    """A block of weights, or of costs, in a NumPy array, which is neither copied nor changed.

    Parameters
    ----------
    tail, head : integer arrays, or -1
        The unknown of each row and of each column of `weights`; -1 for what is pinned, alone where all are.
    weights : (n_rows, n_columns) array of real numbers
        Entry ``[i, j]`` is the weight from ``tail[i]`` to ``head[j]``. Any type of real numbers; powers are taken on
        the fly, sums are in double precision.
    is_cost : bool
        Whether the entries are the costs of weights, not weights: no power is taken.
    coefficient : float
        Multiplies the costs of the block.

    Raises
    ------
    InvalidParameterError
        For arrays of wrong shape or type, and coefficients that are not positive.

    See Also
    --------
    Block : What weights kept elsewhere implement.
    BlockProblem : Blocks that are balanced together.

    Examples
    --------
    A bias is a block with one row, which is pinned:

    >>> import balance_graph as bg, numpy as np
    >>> weights = bg.DenseBlock(-1, [0, 1], np.float32([[2.0, 1.0], [0.5, 3.0]]))
    >>> biases = bg.DenseBlock(-1, [0, 1], np.float32([[0.1, 0.2]]))
    >>> outputs = bg.DenseBlock([0, 1], -1, np.float32([[4.0], [0.25]]))
    >>> bg.solve(bg.BlockProblem([weights, biases, outputs], 2)).converged
    True
    """

    def __init__(
        self, tail: ArrayLike, head: ArrayLike, weights: ArrayLike, *, is_cost: bool = False, coefficient: float = 1.0
    ) -> None:
        self.weights: NDArray[Any] = np.asarray(weights)
        if self.weights.ndim != 2 or self.weights.dtype.kind not in "fiub":
            message = (
                f"weights of a block must be real numbers in two dimensions, got {self.weights.dtype} of shape "
                f"{self.weights.shape}"
            )
            raise InvalidParameterError(message)
        self.tail = _unknowns(tail, self.weights.shape[0], "tail", "row")
        self.head = _unknowns(head, self.weights.shape[1], "head", "column")
        self._is_cost = is_cost
        self._log_coefficient = math.log(check_positive(coefficient, "coefficient of a block"))

    def __repr__(self) -> str:
        return f"DenseBlock({self.weights.shape[0]} x {self.weights.shape[1]}, {self.weights.dtype})"

    def extent(self, exponent: float) -> Extent:
        """The range of the costs.

        Raises
        ------
        InvalidNetworkError
            If a weight is not finite.
        """
        from balance_graph.problem import block_kernels as kernels  # compiled loops: slow to load

        rows, columns = (np.zeros(n, dtype=np.bool_) for n in self.weights.shape)
        least, largest = math.inf, 0.0
        for part, first, by_columns in self._slices(0, self._n_slices):
            sides = (columns, rows) if by_columns else (rows, columns)
            low, high = kernels.extent(part, sides[0][first : first + part.shape[0]], sides[1])
            if not high < (np.inf if self._stretch == 1.0 else _BEYOND_HALF):
                self._refuse()
            least, largest = min(least, low * self._stretch), max(largest, high * self._stretch)
        if self._is_cost:
            self._refuse_negative()
        power = self._power(exponent)
        if largest == 0.0:
            return Extent(math.inf, -math.inf, rows, columns)
        low, high = (power * math.log(size) + self._log_coefficient for size in (least, largest))
        return Extent(low, high, rows, columns)

    def products(self, exponent: float, log_unit: float, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of ``exp(log_unit)``."""
        power, log_unit = self._power(exponent), log_unit - self._log_coefficient
        *factors, rest = factors_of_unit(power, log_unit)
        scales = self._stretch * factors[0], factors[1]
        arguments = power, scales, np.ascontiguousarray(rows), np.ascontiguousarray(columns)
        middle = self._n_slices // 2 if self._n_slices > 1 else 0
        if self.weights.size < _SIDE_BY_SIDE or _THREADS == 1 or middle == 0:
            by_row, by_column = self._products(0, self._n_slices, *arguments)
        else:
            with ThreadPoolExecutor(1) as pool:
                later = pool.submit(self._products, middle, self._n_slices, *arguments)
                by_row, by_column = self._products(0, middle, *arguments)
            by_row += later.result()[0]
            by_column += later.result()[1]
        return by_row * rest, by_column * rest

    def _products(
        self, begin: int, end: int, power: float, scales: tuple[float, float], rows: Array, columns: Array
    ) -> tuple[Array, Array]:
        """Products with some of the slices."""
        from balance_graph.problem import block_kernels as kernels  # compiled loops: slow to load

        by_row, by_column = np.zeros(rows.size), np.zeros(columns.size)
        scale, lift = scales
        for stored, first, by_columns in self._slices(begin, end):
            part = stored if lift == 1.0 else stored * lift
            one, other, near, far = (
                (columns, rows, by_column, by_row) if by_columns else (rows, columns, by_row, by_column)
            )
            at = slice(first, first + part.shape[0])
            kernels.products(part, power, scale, one[at], other, near[at], far)
        return by_row, by_column

    @property
    def _lines(self) -> NDArray[Any]:
        """The weights, or their transpose, whichever lies in memory line by line."""
        return self.weights.T if self._by_columns else self.weights

    @property
    def _by_columns(self) -> bool:
        return self.weights.flags.f_contiguous and not self.weights.flags.c_contiguous

    @property
    def _is_direct(self) -> bool:
        """Whether the loops can read the weights where they are."""
        return self.weights.dtype in (np.float32, np.float64) and self._lines.flags.c_contiguous

    @property
    def _stretch(self) -> float:
        """What the sizes of the weights are over those of the numbers that loops read."""
        return _STRETCH if self.weights.dtype == np.float16 else 1.0

    @property
    def _n_in_slice(self) -> int:
        """Lines to a slice: half of all where they can be read in place, else few, which are converted."""
        n, m = map(int, self._lines.shape)
        return max(1, -(-n // _THREADS) if self._is_direct else _CONVERTED // max(m, 1))

    @property
    def _n_slices(self) -> int:
        return -(-len(self._lines) // self._n_in_slice)

    def _slices(self, begin: int, end: int) -> Iterator[tuple[NDArray[Any], int, bool]]:
        """Some lines at a time, the number of the first, and whether lines are columns."""
        lines, step, by_columns, is_direct = self._lines, self._n_in_slice, self._by_columns, self._is_direct
        for first in range(begin * step, min(end * step, lines.shape[0]), step):
            part = lines[first : first + step]
            yield part if is_direct else self._read(part), first, by_columns

    def _read(self, part: NDArray[Any]) -> NDArray[Any]:
        """Some lines as numbers that the loops can read."""
        return _widened(part) if self.weights.dtype == np.float16 else _contiguous(part)

    def _power(self, exponent: float) -> float:
        return 1.0 if self._is_cost else exponent

    def _refuse(self) -> None:
        for i in range(self.weights.shape[0]):
            with np.errstate(over="ignore"):
                bad = ~np.isfinite(self.weights[i].astype(np.float64))
            if bad.any():
                self._refuse_entry(i, int(np.argmax(bad)), "must be finite")

    def _refuse_negative(self) -> None:
        for i in range(self.weights.shape[0]):
            if self.weights[i].min(initial=0) < 0:
                self._refuse_entry(i, int(np.argmin(self.weights[i])), "must not be negative")

    def _refuse_entry(self, i: int, j: int, what: str) -> None:
        word = "cost" if self._is_cost else "weight"
        message = (
            f"{word} [{i}, {j}] of a block, from unknown {self.tail[i]} to {self.head[j]}, is {self.weights[i, j]}; "
            f"{word}s {what}"
        )
        raise InvalidNetworkError(message)


def factors_of_unit(power: float, log_unit: float) -> tuple[float, float, float]:
    """Two factors of weights, and one of sums of their powers, that make ``exp(log_unit)`` one.

    Powers of two are exact factors; they leave another, for the sums, that is close to 1. The second is needed only
    where all weights are subnormal.
    """
    digits = max(-2044, min(1022, round(log_unit / (power * math.log(2.0)))))
    first = max(-1022, digits)
    return 2.0**-first, 2.0 ** (first - digits), math.exp(power * digits * math.log(2.0) - log_unit)


def _contiguous(part: NDArray[Any]) -> NDArray[Any]:
    """Numbers that the loops can read, line by line."""
    return np.ascontiguousarray(part, dtype=np.float32 if part.dtype == np.float32 else np.float64)


def _widened(part: NDArray[Any]) -> NDArray[Any]:
    """Sizes of numbers in half precision, over `_STRETCH`: their bits without sign in the place of a single's.

    Exact, for numbers below the normal range as well, and many times faster than NumPy's conversion.
    """
    bits = (np.ascontiguousarray(part).view(np.uint16) & np.uint16(0x7FFF)).astype(np.uint32)
    bits <<= np.uint32(13)
    return bits.view(np.float32)


def _unknowns(values: ArrayLike, n: int, name: str, what: str) -> Index:
    """The unknown of each row or column."""
    array = np.asarray(values)
    if array.ndim == 0 and array.dtype.kind in "iu" and array == -1:
        array = np.broadcast_to(array, n)
    if array.size == 0:
        array = array.astype(np.intp)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        message = (
            f"{name} of a block must be {n} integers, the unknown of each {what} (or -1: all are pinned); got "
            f"{array.dtype} of shape {array.shape}"
        )
        raise InvalidParameterError(message)
    return array.astype(np.intp)
