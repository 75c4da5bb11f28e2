"""What rounding may hide in logarithms, their exponentials and sums: bounds are rounded outward by it."""

from __future__ import annotations

import math
import sys
from typing import overload

from balance_graph._types import Array
from balance_graph.problem.log_domain import exp_or_inf

EPS = sys.float_info.epsilon


@overload
def of_exponential(size: float) -> float: ...
@overload
def of_exponential(size: Array) -> Array: ...
def of_exponential(size: float | Array) -> float | Array:
    """Relative error of the exponential of what is added up from parts of this size in all, which may cancel.

    Each part is a product or a logarithm, off by half a unit in its last place or two, and so is each sum of them.
    """
    return 4.0 * EPS * (4.0 + size)


def of_sum(n_terms: int) -> float:
    """Relative error of a sum of positive terms that NumPy adds up in pairs."""
    return EPS * (min(n_terms, 32) + math.log2(max(n_terms, 1)))


def of_log_sum(size: float, log_sum: float, n_terms: int) -> float:
    """Error of the logarithm of a sum of exponentials, each of parts of at most this size in all."""
    return of_exponential(size + abs(log_sum)) + of_sum(n_terms)


def rounded_down(log_bound: float) -> float:
    """The largest number that the exponential, computed to two units in the last place, is surely not below."""
    value = min(exp_or_inf(log_bound), sys.float_info.max)
    for _ in range(2):
        value = math.nextafter(value, 0.0)
    return value
