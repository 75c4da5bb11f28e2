"""Arrays of labels: one integer for each element of a tensor, naming the unknown log-scale of that element.

Along dimensions in which nothing varies the arrays have stride 0, as `numpy.broadcast_to` makes them, so the labels of
a tensor take no more memory than what distinguishes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph._types import Index, Mask

# An element that is exactly zero, or infinite: any scale maps it to itself. Zero, so that what operations fill in
# (padding, the other triangle) has the right label without a word.
ZERO = 0
# The log-scale 0: the element must not change.
PINNED = 1


def compact(array: Index) -> Index:
    """The array with size 1 along each dimension in which it does not vary."""
    array = array[..., *(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]
    for dim in range(array.ndim):
        first = array[(slice(None),) * dim + (slice(0, 1),)]
        if array.shape[dim] > 1 and bool((array == first).all()):
            array = first
    return array


def spread(array: Index, shape: tuple[int, ...]) -> Index:
    """The array in full shape, with stride 0 where it does not vary."""
    return np.broadcast_to(compact(array), shape)


def constant(label: int, shape: tuple[int, ...]) -> Index:
    """The same label everywhere."""
    return np.broadcast_to(np.int64(label), shape)


def constant_like(value: Any) -> Index:
    """Labels of a known constant: zeros and infinities may scale, nothing else may."""
    array = np.asarray(value)
    if array.dtype == np.bool_:
        return constant(PINNED, array.shape)
    movable = (array == 0) | np.isinf(array)
    return spread(np.where(movable, ZERO, PINNED), array.shape)


def varies(array: Index) -> Mask:
    """Which dimensions the compact array depends on."""
    return np.array([size > 1 for size in array.shape], dtype=bool)


def common(*arrays: Index) -> tuple[Index, ...]:
    """Compact arrays of one number of dimensions, so far broadcast that each has the shape in which any varies."""
    ndim = max((array.ndim for array in arrays), default=0)
    small = [compact(array.reshape((1,) * (ndim - array.ndim) + array.shape)) for array in arrays]
    return tuple(np.broadcast_arrays(*small))


def unique_rows(table: Index) -> tuple[Index, Index]:
    """The distinct rows of a table, and for each row the number of its like."""
    if table.shape[0] == 0:
        return table, np.zeros(0, dtype=np.int64)
    rows, inverse = np.unique(table, axis=0, return_inverse=True)
    return rows, inverse.reshape(-1)
