"""Sums, ratios and products by way of logarithms, so that nothing overflows on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array, Index

# The exponential of this, and its inverse, are normal numbers. Three times as much takes any number, 5e-324 to 1.8e308,
# out of range.
_IN_RANGE = 700.0


def log_sum_by(index: Index, log_values: Array, size: int) -> Array:
    """For each label 0 .. size-1 the logarithm of the sum of the exponentials; ``-inf`` for an empty sum."""
    largest = np.full(size, -np.inf)
    np.maximum.at(largest, index, log_values)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return shift + np.log(np.bincount(index, np.exp(log_values - shift[index]), minlength=size))


def log_sum(log_values: Array) -> float:
    """Logarithm of the sum of the exponentials."""
    largest = float(log_values.max(initial=-np.inf))
    if not math.isfinite(largest):
        return largest
    return largest + math.log(float(np.sum(np.exp(log_values - largest))))


def log_ratio(log_over: Array, log_under: Array) -> Array:
    """``log_over - log_under``, and 0 where both sums are empty."""
    with np.errstate(invalid="ignore"):
        return np.where(log_over == log_under, 0.0, log_over - log_under)


def exp_difference(log_one: Array, log_other: Array) -> Array:
    """``exp(log_one) - exp(log_other)``, also where both leave the range of floats and the difference does not."""
    with np.errstate(invalid="ignore"):
        share = np.where(log_one == log_other, 0.0, -np.expm1(-np.abs(log_one - log_other)))
    size: Array = times_exp(share, np.maximum(log_one, log_other))
    return np.where(log_one < log_other, -size, size)


def exp_or_inf(log_value: float) -> float:
    """The exponential; inf beyond the range of floats."""
    try:
        return math.exp(log_value)
    except OverflowError:
        return math.inf


def times_exp(values: NDArray[Any], log_factors: Array) -> NDArray[Any]:
    """``values * exp(log_factors)``, also where the factor alone leaves the range of floats; zero stays zero.

    Every weight that is scaled passes here. Factors are at most three, each in range. The largest comes first where a
    weight grows, so that it leaves the subnormal numbers at once, and last where it shrinks, to be rounded once.
    """
    if np.iscomplexobj(values):
        result = np.empty(np.broadcast_shapes(np.shape(values), np.shape(log_factors)), dtype=complex)
        result.real, result.imag = times_exp(values.real, log_factors), times_exp(values.imag, log_factors)
        return result
    first = np.clip(log_factors, -_IN_RANGE, _IN_RANGE)
    second = np.clip(log_factors - first, -_IN_RANGE, _IN_RANGE)
    third = np.clip(log_factors - first - second, -_IN_RANGE, _IN_RANGE)
    with np.errstate(over="ignore", under="ignore"):
        grows = log_factors > 0.0
        one, other = np.where(grows, first, third), np.where(grows, third, first)
        return values * np.exp(one) * np.exp(second) * np.exp(other)


def log_abs(weights: NDArray[Any]) -> Array:
    """``log|w|``, ``-inf`` at zero."""
    result: Array = np.abs(weights, dtype=np.float64)
    with np.errstate(divide="ignore"):
        np.log(result, out=result)
    return result
