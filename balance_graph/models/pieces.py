"""Gains of parameters in compact form: a piece is a product of index sets with a label for each row and column.

What an operation says of a parameter (`Gain`) becomes pieces in which rows and columns have nothing in common; what a
second operation says of the same elements becomes equations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from balance_graph._types import Index
from balance_graph.models.equations import Number, Term
from balance_graph.models.labels import compact
from balance_graph.models.tensors import Gain, Parameter
from balance_graph.models.trace import Trace


@dataclass(frozen=True, eq=False)
class Piece:
    """Log-gains of the elements ``selection[0] x selection[1] x ...`` of a parameter, viewed in shape `split`.

    Each axis of the parameter is one or more consecutive dimensions of `split`; `axes` says how many. `terms` are
    multiples of labels, with size 1 along the dimensions of `split` in which they do not vary. A `flat` piece selects
    from the parameter as one long row.
    """

    parameter: Parameter
    selection: tuple[Index, ...]
    axes: tuple[int, ...]
    split: tuple[int, ...]
    terms: tuple[Term, ...]
    flat: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod([s.size for s in self.selection], dtype=np.int64))

    def flat_index(self) -> Index:
        """Places of the elements in the parameter as one long row."""
        if self.flat:
            return self.selection[0]
        if not self.selection:
            return np.zeros(1, dtype=np.int64)
        grid = np.ix_(*self.selection)
        return np.asarray(np.ravel_multi_index(grid, self.parameter.shape), dtype=np.int64).reshape(-1)


def pieces_of(trace: Trace, gain: Gain) -> Iterator[Piece]:
    """The gain as pieces, each element in one."""
    count = len(gain.view.hidden)
    ndim = count + len(gain.view.shape)
    index = [compact(i.reshape((1,) * (ndim - i.ndim) + i.shape)) for i in gain.view.index]
    shown = np.broadcast_shapes((1,) * ndim, *(i.shape for i in index))
    terms = _repeated_tied(trace, gain.terms, shown)
    yield from _split(trace, gain.view.parameter, index, terms)


def _repeated_tied(trace: Trace, terms: tuple[Term, ...], shown: tuple[int, ...]) -> list[Term]:
    """Elements shown more than once have one gain: the terms agree along those dimensions."""
    small: list[Term] = [(factor, compact(labels)) for factor, labels in terms]
    repeated = [dim for dim, size in enumerate(shown) if size == 1]
    if not any(labels.shape[dim] > 1 for _, labels in small for dim in repeated):
        return small
    varying = [term for term in small if any(term[1].shape[dim] > 1 for dim in repeated)]
    rest = [term for term in small if all(term[1].shape[dim] == 1 for dim in repeated)]
    total = varying[0][1] if len(varying) == 1 and varying[0][0] == 1 else trace.sum_of(varying)
    return [*rest, (1, compact(trace.tie_over(total, repeated)))]


def _split(trace: Trace, parameter: Parameter, index: list[Index], terms: list[Term]) -> Iterator[Piece]:
    owners = [
        [axis for axis, i in enumerate(index) if i.shape[dim] > 1] for dim in range(index[0].ndim if index else 0)
    ]
    sides = _sides(terms)
    if any(len(found) > 1 for found in owners) or any(np.unique(i).size < i.size for i in index):
        yield _elementwise(trace, parameter, index, terms)
        return
    shared = sides[0][0] & sides[1][0] if len(sides) == 2 else set()
    if not shared:
        yield _piece(parameter, index, [term for _, side in sides for term in side])
        return
    dim = min(shared)
    for place in range(next(labels.shape[dim] for _, labels in sides[0][1] if labels.shape[dim] > 1)):
        inner = [i.take([place], axis=dim) if i.shape[dim] > 1 else i for i in index]
        rows = [(f, labels.take([place], axis=dim) if labels.shape[dim] > 1 else labels) for f, labels in terms]
        yield from _split(trace, parameter, inner, rows)


def _sides(terms: list[Term]) -> list[tuple[set[int], list[Term]]]:
    """Terms as at most two groups by the dimensions they vary in, a group within another being joined to it."""
    groups = [({dim for dim, size in enumerate(labels.shape) if size > 1}, [(f, labels)]) for f, labels in terms]
    while True:
        groups.sort(key=lambda group: -len(group[0]))
        pair = next(
            ((a, b) for a in range(len(groups)) for b in range(a + 1, len(groups)) if groups[b][0] <= groups[a][0]),
            None,
        )
        if pair is None and len(groups) <= 2:
            return groups
        first, second = pair or (len(groups) - 2, len(groups) - 1)
        dims, found = groups.pop(second)
        groups[first] = (groups[first][0] | dims, [*groups[first][1], *found])


def _piece(parameter: Parameter, index: list[Index], terms: list[Term]) -> Piece:
    dims = [[dim for dim in range(i.ndim) if i.shape[dim] > 1] for i in index]
    order = [dim for found in dims for dim in found]
    split = tuple(i.shape[dim] for i, found in zip(index, dims, strict=True) for dim in found)
    moved = tuple(
        (f, labels.transpose([*order, *_others(order, labels.ndim)]).reshape(_kept(labels, order)))
        for f, labels in terms
    )
    axes = tuple(len(found) for found in dims)
    return Piece(parameter, tuple(i.reshape(-1) for i in index), axes, split, moved)


def _others(order: list[int], ndim: int) -> list[int]:
    return [dim for dim in range(ndim) if dim not in order]


def _kept(labels: Index, order: list[int]) -> list[int]:
    return [labels.shape[dim] for dim in order]


def _elementwise(trace: Trace, parameter: Parameter, index: list[Index], terms: list[Term]) -> Piece:
    """A label for each element, where index sets are no product."""
    arrays = np.broadcast_arrays(*index, _total(trace, terms))
    places = np.asarray(np.ravel_multi_index(tuple(arrays[:-1]), parameter.shape), dtype=np.int64)
    labels = arrays[-1]
    return _flat_piece(trace, parameter, places.reshape(-1), labels.reshape(-1))


def _flat_piece(trace: Trace, parameter: Parameter, places: Index, labels: Index) -> Piece:
    selection, first, inverse = np.unique(places, return_index=True, return_inverse=True)
    chosen = labels[first]
    trace.tie(labels, chosen[inverse.reshape(-1)])
    return Piece(parameter, (selection,), (1,), selection.shape, ((1, chosen),), flat=True)


def _total(trace: Trace, terms: list[Term] | tuple[Term, ...]) -> Index:
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    return trace.equations.sum_of(terms)


def flattened(trace: Trace, piece: Piece) -> Piece:
    """The same piece with a label for each element."""
    if piece.flat:
        return piece
    labels = np.broadcast_to(_total(trace, piece.terms), piece.split)
    return _flat_piece(trace, piece.parameter, piece.flat_index(), labels.reshape(-1))


def disjoint(trace: Trace, pieces: list[Piece]) -> list[Piece]:
    """Pieces that cover each element once; where two speak of the same elements, equations say that they agree."""
    kept: list[Piece] = []
    for piece in pieces:
        overlaps = [_agree(trace, other, piece) for other in kept]
        if piece.size in overlaps:
            continue
        if any(overlaps):
            rest = _uncovered(trace, piece, kept)
            kept += [rest] if rest.size else []
        else:
            kept.append(piece)
    return kept


def _uncovered(trace: Trace, piece: Piece, kept: list[Piece]) -> Piece:
    """The elements that no other piece speaks of."""
    flat = flattened(trace, piece)
    seen = np.concatenate([other.flat_index() for other in kept])
    places, labels = flat.selection[0], flat.terms[0][1]
    new = ~np.isin(places, seen)
    return replace(flat, selection=(places[new],), split=(int(new.sum()),), terms=((1, labels[new]),))


def _agree(trace: Trace, one: Piece, two: Piece) -> int:
    """Equations that make two pieces agree where they overlap; the number of elements there."""
    if one.flat != two.flat or not (_alike(one, two) or _plain(one, two)):
        one, two = flattened(trace, one), flattened(trace, two)
    if _alike(one, two):
        _tie_terms(trace, one.terms, two.terms, len(one.split))
        return two.size
    places = [np.intersect1d(a, b, return_indices=True) for a, b in zip(one.selection, two.selection, strict=True)]
    if any(found[0].size == 0 for found in places):
        return 0
    ours = _restricted(one, [found[1] for found in places])
    theirs = _restricted(two, [found[2] for found in places])
    _tie_terms(trace, ours, theirs, len(places))
    return int(np.prod([found[0].size for found in places], dtype=np.int64))


def _alike(one: Piece, two: Piece) -> bool:
    same = one.flat == two.flat and one.split == two.split and one.axes == two.axes
    return same and all(np.array_equal(a, b) for a, b in zip(one.selection, two.selection, strict=True))


def _plain(one: Piece, two: Piece) -> bool:
    """Each axis is at most one dimension, so that overlaps are products again."""
    return max((*one.axes, *two.axes), default=0) <= 1


def _restricted(piece: Piece, places: list[Index]) -> tuple[Term, ...]:
    """The terms at chosen places along each axis, one dimension an axis."""
    result = []
    for factor, labels in piece.terms:
        sizes = iter(labels.shape)
        array = labels.reshape([next(sizes) if count else 1 for count in piece.axes])
        for axis, place in enumerate(places):
            array = array.take(place, axis=axis) if array.shape[axis] > 1 else array
        result.append((factor, array))
    return tuple(result)


def _tie_terms(trace: Trace, one: tuple[Term, ...], two: tuple[Term, ...], ndim: int) -> None:
    """``sum(one) == sum(two)`` everywhere, with as few equations as rows and columns allow.

    The difference is a sum over groups of dimensions that no term joins: each group's part is a constant, and the
    constants sum to zero.
    """
    opposite: list[Term] = [(-factor, labels) for factor, labels in two]
    if len(one) == len(two) == 1 and one[0][0] == two[0][0]:
        trace.tie(trace.settled(one[0][1]), trace.settled(two[0][1]))
        return
    terms = [*one, *opposite]
    parts = []
    for group in dimension_groups(terms, ndim):
        members = [term for term in terms if any(term[1].shape[dim] > 1 for dim in group)]
        if members:
            parts.append(trace.tie_over(_difference(trace, members), range(ndim)).reshape(()))
    rest = [(f, labels.reshape(())) for f, labels in terms if labels.size == 1]
    total: list[tuple[Number, Index]] = [*((1, part) for part in parts), *rest]
    if total:
        trace.equations.pin(trace.sum_of(total), "two uses of one parameter")


def _difference(trace: Trace, terms: list[Term]) -> Index:
    return trace.sum_of([(f, trace.settled(labels)) for f, labels in terms])


def dimension_groups(terms: Sequence[Term], ndim: int) -> list[set[int]]:
    """Dimensions that no term joins, in groups, in the order of their first."""
    groups: list[set[int]] = [{dim} for dim in range(ndim)]
    for _, labels in terms:
        dims = {dim for dim, size in enumerate(labels.shape) if size > 1}
        joined = [group for group in groups if group & dims]
        if len(joined) > 1:
            groups = [group for group in groups if not group & dims] + [set().union(*joined)]
    return sorted(groups, key=min)
