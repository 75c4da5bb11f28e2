"""Compiled passes over the weights of a layer, in their own precision, each touching every weight once."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from numpy.typing import NDArray

from balance_graph._compiled import compiled, compiled_in_any_order


@compiled_in_any_order
def squares_by_row(weights, columns, by_row):  # type: ignore[no-untyped-def]
    """``W^2 @ columns``; returns how many weights are zero."""
    n, m = weights.shape
    zeros = 0
    for i in range(n):
        row, total, none = weights[i], weights.dtype.type(0), weights.dtype.type(0)
        for j in range(m):
            square = row[j] * row[j]
            total += square * columns[j]
            none += weights.dtype.type(1) if row[j] == 0 else weights.dtype.type(0)
        by_row[i] = total
        zeros += int(none)
    return zeros


@compiled_in_any_order
def squares_by_column(weights, rows, by_column):  # type: ignore[no-untyped-def]
    """``rows @ W^2``."""
    n, m = weights.shape
    by_column[:] = 0.0
    for i in range(0, n - n % 4, 4):  # four rows together: fewer additions to memory
        one, two, three, four = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        for j in range(m):
            first = a * one[j] * one[j] + b * two[j] * two[j]
            by_column[j] += first + (c * three[j] * three[j] + d * four[j] * four[j])
    for i in range(n - n % 4, n):
        row, a = weights[i], rows[i]
        for j in range(m):
            by_column[j] += a * row[j] * row[j]
    return 0


@compiled
def scale(weights, rows, columns):  # type: ignore[no-untyped-def]
    """Multiply rows and columns, in place."""
    for i in range(weights.shape[0]):
        row, factor = weights[i], rows[i]
        for j in range(weights.shape[1]):
            row[j] *= factor * columns[j]


def as_matrix(tensor: torch.Tensor) -> NDArray[Any] | None:
    """A matrix of weights that the loops can read and write where it is; None where they cannot."""
    if tensor.dim() != 2 or tensor.device.type != "cpu" or tensor.dtype not in _READ or not tensor.is_contiguous():
        return None
    matrix: NDArray[Any] = tensor.detach().numpy()
    return matrix


_READ = (torch.float32, torch.float64) if find_spec("numba") else ()
