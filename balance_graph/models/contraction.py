"""Sums of products: every product in one sum must have the same scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from balance_graph._types import Index
from balance_graph.models.labels import PINNED, ZERO, common, compact, unique_rows
from balance_graph.models.tensors import Operand, Tensor, View
from balance_graph.models.trace import Trace


def contract(
    trace: Trace, one: Operand, one_dims: str, two: Operand, two_dims: str, out_dims: str, kind: str = "unit"
) -> Tensor:
    """The sum of ``one * two`` over all dimensions that are not in `out_dims`; each letter is a dimension.

    A parameter gets the gain that takes the scale of what it reads to that of what it makes; between two tensors that
    are not parameters, the sums of log-scales are tied.
    """
    sizes = dict(zip(one_dims, one.shape, strict=True)) | {
        letter: size for letter, size in zip(two_dims, two.shape, strict=True) if size != 1 or letter not in one_dims
    }
    shape = tuple(sizes[letter] for letter in out_dims)
    if isinstance(one, View) and not isinstance(two, View):
        one, one_dims, two, two_dims = two, two_dims, one, one_dims
    left, left_dims = _summed(trace, trace.labels(one), one_dims, set(two_dims) | set(out_dims))
    if isinstance(two, View):
        return Tensor(_weighted(trace, left, left_dims, two, two_dims, out_dims, shape, kind))
    right, right_dims = _summed(trace, trace.labels(two), two_dims, set(one_dims) | set(out_dims))
    return Tensor(_product(trace, left, left_dims, right, right_dims, out_dims, shape))


def _summed(trace: Trace, labels: Index, dims: str, kept: set[str]) -> tuple[Index, str]:
    """Sum over the dimensions that nobody else has."""
    alone = [place for place, letter in enumerate(dims) if letter not in kept]
    if not alone:
        return labels, dims
    reduced = np.squeeze(trace.tie_over(labels, alone), tuple(alone))
    return reduced, "".join(letter for letter in dims if letter in kept)


def _arranged(array: Index, dims: str, target: str) -> Index:
    """The array with its dimensions in the order of `target`, size 1 where it lacks one."""
    order = [dims.index(letter) for letter in target if letter in dims]
    moved = array.transpose(order)
    present = iter(moved.shape)
    return moved.reshape([next(present) if letter in dims else 1 for letter in target])


def _product(
    trace: Trace, left: Index, left_dims: str, right: Index, right_dims: str, out_dims: str, shape: tuple[int, ...]
) -> Index:
    summed = "".join(letter for letter in left_dims if letter in right_dims and letter not in out_dims)
    order = out_dims + summed
    one, two = compact(_arranged(left, left_dims, order)), compact(_arranged(right, right_dims, order))
    # Rows over the summed dimensions; positions with equal rows are one.
    count = len(out_dims)
    terms = np.broadcast_shapes(one.shape[count:], two.shape[count:])
    one_rows, one_place = _rows(one, count, terms)
    two_rows, two_place = _rows(two, count, terms)
    one_place, two_place = np.broadcast_arrays(one_place, two_place)
    pairs, place = unique_rows(np.stack([one_place.reshape(-1), two_place.reshape(-1)], axis=1))
    sums = trace.equations.sum_of([(1, one_rows[pairs[:, 0]]), (1, two_rows[pairs[:, 1]])])
    result = trace.tie_over(sums, [1])[:, 0][place].reshape(one_place.shape)
    return np.broadcast_to(result, shape)


def _rows(array: Index, count: int, terms: tuple[int, ...]) -> tuple[Index, Index]:
    full = np.broadcast_to(array, (*array.shape[:count], *terms))
    rows, place = unique_rows(full.reshape(-1, int(np.prod(terms, dtype=np.int64))))
    return rows, place.reshape(array.shape[:count])


def _weighted(
    trace: Trace,
    left: Index,
    left_dims: str,
    view: View,
    view_dims: str,
    out_dims: str,
    shape: tuple[int, ...],
    kind: str,
) -> Index:
    """``out = T + fresh`` where `fresh` is the unit's scale and T how a position differs from the first."""
    count = len(view.hidden)
    used = [np.any([compact(i).shape[count + place] > 1 for i in view.index]) for place in range(len(view_dims))]
    own = "".join(letter for letter, uses in zip(view_dims, used, strict=True) if uses)
    summed = "".join(letter for letter in view_dims if letter not in out_dims)
    batch = "".join(letter for letter in own if letter in left_dims and letter in out_dims)
    units = "".join(letter for letter in own if letter in out_dims)
    positions = "".join(letter for letter in out_dims if letter not in batch)
    order = out_dims + summed
    read = compact(_arranged(left, left_dims, order))
    reference = trace_first(read, [order.index(letter) for letter in positions])
    shift = _shift(trace, read, reference, len(out_dims))
    sizes = dict(zip(view_dims, view.shape, strict=True))
    out = trace.fresh(tuple(sizes[letter] if letter in units else 1 for letter in out_dims), kind)
    terms: Sequence[tuple[int, Index]] = [(1, out.reshape((*out.shape, *(1,) * len(summed)))), (-1, reference)]
    trace.gain(view, [(f, _for_view(labels, order, view_dims)) for f, labels in terms], "weight")
    return trace.sum_of([(1, out), (1, shift)], shape)


def _for_view(labels: Index, order: str, view_dims: str) -> Index:
    """Labels over `order`, which vary in no other dimensions, as labels over the view's dimensions."""
    absent = tuple(place for place, letter in enumerate(order) if letter not in view_dims)
    kept = "".join(letter for letter in order if letter in view_dims)
    return _arranged(np.squeeze(labels, absent), kept, view_dims)


def trace_first(labels: Index, dims: Sequence[int]) -> Index:
    """The first label along the dimensions that is not that of an exact zero, with size 1 there; else a constant."""
    front = np.moveaxis(labels, dims, range(len(dims)))
    flat = front.reshape(-1, *front.shape[len(dims) :])
    first = (flat != ZERO).argmax(axis=0)
    chosen = np.take_along_axis(flat, first[None], axis=0)[0]
    result: Index = np.expand_dims(np.where(chosen == ZERO, PINNED, chosen), tuple(sorted(dims)))
    return result


def _shift(trace: Trace, read: Index, reference: Index, count: int) -> Index:
    """By how much a position's labels exceed the reference, equally for all that is summed."""
    read, reference = common(read, reference)
    summed = list(range(count, read.ndim))
    if not (read != reference).any():
        difference = np.full(read.shape, PINNED)
    else:
        difference = trace.equations.sum_of([(1, read), (-1, reference)])
    return np.squeeze(trace.tie_over(difference, summed), tuple(summed))
