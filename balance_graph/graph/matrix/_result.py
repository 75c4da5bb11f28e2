"""What `balance_matrix` found: the matrix and its scales, which unpack as a pair, and more about them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.problem.solution import Status


class _Pair(NamedTuple):
    matrix: Any
    scales: Array


class MatrixBalance(_Pair):
    """A balanced matrix and its scales; unpacks as these two.

    Attributes
    ----------
    matrix : ndarray or sparse
        ``B = D A D^-1``, its rows and columns in the order of `permutation`.
    scales : (n,) array
        Diagonal of D, in the order of A; 0 or inf where floats do not reach, see `log_scales`.
    log_scales : (n,) array
        Natural logarithms of the scales, always finite.
    permutation : (n,) integer array
        ``B[i, j]`` is the entry of ``D A D^-1`` at ``(permutation[i], permutation[j])``.
    block : (n,) integer array
        Irreducible block of each index of A; entries lead from blocks to those of higher number.
    gain : float
        Frobenius norm of A over that of B, diagonal included. What balancing may gain a normwise stable algorithm.
    lost : tuple of str
        What floats could not hold, in words: scales that overflow or vanish, entries that vanish.
    status : Status
        ``converged``, or ``limit reached`` where the limit on time came first.

    See Also
    --------
    balance_matrix : Returns it.

    Examples
    --------
    >>> import numpy as np, balance_graph as bg
    >>> result = bg.balance_matrix(np.array([[0.0, 1e4], [1e-4, 0.0]]))
    >>> print(result.summary())
    2 x 2, 1 irreducible block, scales over a factor of 1e+04, norm reduced 7.07e+03 times
    """

    log_scales: Array
    permutation: Index
    block: Index
    gain: float
    lost: tuple[str, ...]
    status: Status

    @classmethod
    def of(
        cls,
        matrix: Any,
        scales: Array,
        log_scales: Array,
        *,
        permutation: Index,
        block: Index,
        log_gain: float,
        vanished: int,
        status: Status,
    ) -> MatrixBalance:
        """The result, and what floats lose of it."""
        result = cls(matrix, scales)
        result.log_scales, result.permutation, result.block = log_scales, permutation, block
        result.gain = float(np.exp(log_gain))
        result.lost, result.status = _lost(scales, vanished), status
        return result

    @property
    def spread(self) -> float:
        """Natural logarithm of the ratio of the largest scale to the least."""
        return float(np.ptp(self.log_scales)) if self.log_scales.size else 0.0

    @property
    def may_harm(self) -> bool:
        """Whether scales of a block are far apart and yet the norm hardly falls: eigenvalues may lose digits."""
        largest, least = np.full((2, self.log_scales.size), -np.inf)
        np.maximum.at(largest, self.block, self.log_scales)
        np.maximum.at(least, self.block, -self.log_scales)
        return self.gain < _LITTLE_GAIN and bool((largest + least).max(initial=0.0) > _FAR_APART)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.matrix.shape))
        return f"MatrixBalance({shape}, gain={self.gain:.3g}, spread={self.spread:.3g}, may_harm={self.may_harm})"

    def summary(self) -> str:
        """The result in one line, and what to beware of."""
        n, count = self.log_scales.size, int(self.block.max(initial=-1)) + 1
        blocks = "block" if count == 1 else "blocks"
        lines = [
            f"{n} x {n}, {count} irreducible {blocks}, scales over a factor of {_power(self.spread)}, "
            f"norm reduced {self.gain:.3g} times"
        ]
        if self.status is not Status.CONVERGED:
            lines.append("the limit on time came first: not balanced to the end")
        lines += self.lost
        if self.may_harm:
            lines.append("the norm hardly falls for such scales: for eigenvalues use A as it is, or p = 2 if p is less")
        return "\n".join(lines)


# Errors of eigenvalues come down by the gain at most, and may rise with the spread: on Hessenberg forms p = 1 gains
# 1.1, spreads scales over 1e13 and loses nine digits; p = 2 gains 1.3 for 1e3 and loses none.
_LITTLE_GAIN, _FAR_APART = 2.0, float(np.log(1e6))


def _power(log_value: float) -> str:
    """The exponential in three digits, also beyond the range of floats."""
    decimal = log_value / np.log(10.0)
    return f"{np.exp(log_value):.3g}" if decimal < 300 else f"1e+{decimal:.0f}"


def _lost(scales: Array, vanished: int) -> tuple[str, ...]:
    """What is not representable, in words."""
    large, small = int(np.isinf(scales).sum()), int((scales == 0.0).sum())
    found = []
    if large or small:
        found.append(f"{large} scales are inf and {small} are 0, beyond the range of floats; use log_scales")
    if vanished:
        found.append(f"{vanished} entries of A vanish in B, below the range of floats")
    return tuple(found)
