"""Time, and the unit of cost: one SciPy CSR matrix-vector product over the same edges."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of wall time, and the result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def repeated(function: Callable[[], Any], budget: float, most: int = 5) -> tuple[list[float], Any]:
    """Seconds of at least one run, of more while they fit the budget; and the last result."""
    seconds, result = timed(function)
    runs = [seconds]
    while len(runs) < most and sum(runs) + min(runs) <= budget:
        result = None  # the memory of two results at a time is no part of any method
        seconds, result = timed(function)
        runs.append(seconds)
    return runs, result


def product_seconds(W: Any) -> list[float]:
    """Times of single-threaded products with a float64 matrix on the pattern of W, in SciPy's compiled loop.

    All entries are 1, so that neither the range of the weights nor their type plays a part.
    """
    ones = sparse.csr_array((np.ones(W.nnz), W.indices, W.indptr), shape=W.shape)
    x = np.ones(W.shape[0])
    return [timed(lambda: ones @ x)[0] for _ in range(101 if W.nnz < 10**6 else 15)]


class Unit:
    """Median time of a product, taken before and after what is measured, since machines drift."""

    def __init__(self, W: Any) -> None:
        self._W = W
        self._before = product_seconds(W)

    def seconds(self) -> float:
        return statistics.median(self._before + product_seconds(self._W))
