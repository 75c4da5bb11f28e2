"""Operations that move elements: executed literally on labels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from balance_graph._types import Index
from balance_graph.models import Tensor, Trace, View
from balance_graph.models.labels import PINNED, ZERO
from balance_graph.models.rules.arithmetic import pinned_all
from balance_graph.models.rules.layers import anywhere, known, reshaped, take
from balance_graph.models.tensors import Operand, pinned
from balance_graph.onnx.operations.arguments import NotUnderstoodError, axes_of, number, numbers, operation
from balance_graph.onnx.typed_trace import TypedTrace


@operation("Identity")
def identity(trace: Trace, x: Operand) -> Operand:
    """The same tensor: a parameter stays one."""
    return x


@operation("Cast", "CastLike")
def cast(trace: TypedTrace, x: Operand, target: Operand | None = None, *, to: int | None = None, **_: Any) -> Operand:
    """Other floating point types round, as scaling may; integers pin."""
    if trace.result_kinds[0] == "f":
        return x if isinstance(x, View) else Tensor(x.labels)
    return pinned(trace.shape) if trace.result_kinds[0] == "b" else pinned_all(trace, x)


@operation("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(trace: Trace, x: Operand, *_: Any, **__: Any) -> Operand:
    """The same elements in another shape, which is known."""
    return reshaped(trace, x, trace.shape)


@operation("Expand")
def expand(trace: Trace, x: Operand, shape: Operand) -> Operand:
    """Repeated along dimensions of size 1."""
    return trace.move(lambda array: np.broadcast_to(array, trace.shape), x)


@operation("Transpose")
def transpose(trace: Trace, x: Operand, *, perm: list[int] | None = None) -> Operand:
    """By default with the dimensions in reverse."""
    return trace.move(lambda array: array.transpose(perm), x)


@operation("Slice")
def slice_(
    trace: Trace, x: Operand, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Operand:
    """Literally."""
    first, last = numbers(starts), numbers(ends)
    along = axes_of(len(x.shape), numbers(axes))
    by = numbers(steps)
    if first is None or last is None:
        raise NotUnderstoodError
    index = [slice(None)] * len(x.shape)
    for place, (start, end) in enumerate(zip(first, last, strict=True)):
        axis = place if along is None else along[place]
        step = 1 if by is None else int(by[place])
        index[axis] = slice(int(start), _end(int(end), x.shape[axis], step), step)
    return trace.move(lambda array: array[tuple(index)], x)


def _end(end: int, size: int, step: int) -> int | None:
    """Backward from the end to before the first is None in Python."""
    return None if step < 0 and end < -size else end


@operation("Split")
def split(trace: Trace, x: Operand, sizes: Any = None, *, axis: int = 0, **_: Any) -> tuple[Operand, ...]:
    """Into parts whose shapes are known."""
    stops = np.cumsum([shape[axis] for shape in trace.shapes])
    starts = [0, *stops[:-1].tolist()]

    def part(array: Index, start: int, stop: int) -> Index:
        return np.moveaxis(np.moveaxis(array, axis, 0)[start:stop], 0, axis)

    return tuple(
        trace.move(lambda array, a=a, b=b: part(array, a, b), x) for a, b in zip(starts, stops.tolist(), strict=True)
    )


@operation("Concat")
def concat(trace: Trace, *parts: Operand, axis: int = 1) -> Operand:
    """One after the other."""
    if len(parts) == 1:
        return parts[0]
    return trace.move(lambda *arrays: np.concatenate(arrays, axis), *parts)


@operation("Tile")
def tile(trace: Trace, x: Operand, repeats: Operand) -> Operand:
    """Copies side by side, as many as the shape has."""
    times = [after // max(before, 1) for before, after in zip(x.shape, trace.shape, strict=True)]
    return trace.move(lambda array: np.tile(array, times), x)


@operation("Gather")
def gather(trace: Trace, x: Operand, indices: Operand, *, axis: int = 0) -> Operand:
    """Rows at indices: those if they are known, else any."""
    return take(trace, x, axis % len(x.shape), indices)


@operation("GatherElements")
def gather_elements(trace: Trace, x: Operand, indices: Operand, *, axis: int = 0) -> Operand:
    """An index for each element."""
    place = known(indices)
    chosen = x if place is not None else anywhere(trace, x, (axis,))
    place = np.zeros(indices.shape, dtype=np.int64) if place is None else place % x.shape[axis]

    def function(array: Index) -> Index:
        front = tuple(slice(0, n) if d != axis % array.ndim else slice(None) for d, n in enumerate(place.shape))
        return np.take_along_axis(array[front], place, axis)

    return trace.move(function, chosen)


@operation("GatherND")
def gather_nd(trace: Trace, x: Operand, indices: Operand, *, batch_dims: int = 0) -> Operand:
    """Slices at index tuples: those if they are known and there is no batch, else any."""
    place, count = known(indices), batch_dims + indices.shape[-1]
    if place is not None and batch_dims == 0:
        return trace.move(lambda array: array[tuple(np.moveaxis(place, -1, 0))], x)
    chosen = anywhere(trace, x, tuple(range(count)))
    return trace.move(lambda array: np.broadcast_to(array[(0,) * count], trace.shape), chosen)


@operation("ScatterElements", "Scatter", "ScatterND")
def scatter(
    trace: Trace, x: Operand, indices: Operand, updates: Operand, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    """Literally where it is known what is overwritten; else all has one scale."""
    place, labels, written = known(indices), trace.labels(x), trace.labels(updates)
    if reduction in {"mul", "prod"}:
        return pinned_all(trace, x, updates)
    if place is None or reduction != "none":
        kept = trace.tie_over(labels, range(labels.ndim))
        new = trace.tie_over(written, range(written.ndim))
        flat = trace.tie_over(np.stack([kept.reshape(-1)[0], new.reshape(-1)[0]]), [0])
        return Tensor(np.broadcast_to(flat.reshape(()), trace.shape))
    result = np.array(labels)
    if trace.operation == "ScatterND":
        result[tuple(np.moveaxis(place, -1, 0))] = written
    else:
        np.put_along_axis(result, place % labels.shape[axis], np.array(written), axis)
    return Tensor(result)


_COPYING: dict[str, Literal["edge", "reflect", "wrap"]] = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}


@operation("Pad")
def pad(
    trace: Trace, x: Operand, pads: Any = None, value: Any = None, axes: Any = None, *, mode: str = "constant"
) -> Tensor:  # fmt: skip
    """A constant around, zeros and infinities being of any scale; or copies of what is inside."""
    widths, labels = numbers(pads), trace.labels(x)
    if widths is None:
        raise NotUnderstoodError
    along = axes_of(labels.ndim, numbers(axes)) or range(labels.ndim)
    both = np.zeros((labels.ndim, 2), dtype=np.int64)
    both[list(along)] = np.reshape(widths, (2, -1)).T
    cut = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(both.tolist(), labels.shape, strict=True))
    around = np.maximum(both, 0)
    if mode == "constant":
        filler = 0.0 if value is None else number(value)
        is_neutral = filler == 0 or np.isinf(filler)
        return Tensor(np.pad(labels[cut], around, constant_values=ZERO if is_neutral else PINNED))
    return Tensor(np.pad(labels[cut], around.tolist(), mode=_COPYING[mode]))


@operation("Trilu")
def trilu(trace: Trace, x: Operand, k: Any = None, *, upper: int = 1) -> Tensor:
    """The other triangle is zero."""
    function = np.triu if upper else np.tril
    return Tensor(np.asarray(function(trace.labels(x), int(number(k) or 0))))


@operation("DepthToSpace")
def depth_to_space(trace: Trace, x: Operand, *, blocksize: int, mode: str = "DCR") -> Operand:
    """Channels become positions."""
    n, c, h, w = x.shape
    b = blocksize
    split_, order = (
        ((n, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2))
        if mode == "DCR"
        else ((n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3))
    )
    return trace.move(lambda array: array.reshape(split_).transpose(order).reshape(trace.shape), x)


@operation("SpaceToDepth")
def space_to_depth(trace: Trace, x: Operand, *, blocksize: int) -> Operand:
    """Positions become channels."""
    n, c, h, w = x.shape
    b = blocksize
    return trace.move(
        lambda array: array.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(trace.shape), x
    )


@operation("Compress")
def compress(trace: Trace, x: Operand, condition: Operand, *, axis: int | None = None) -> Operand:
    """Literally where the condition is known; else any element along the axis may be meant."""
    chosen = known(condition)
    flat = x if axis is not None else reshaped(trace, x, (-1,))
    along = 0 if axis is None else axis
    if chosen is not None:
        return trace.move(lambda array: np.compress(chosen, array, along), flat)
    return trace.move(lambda array: np.broadcast_to(array, trace.shape), anywhere(trace, flat, (along,)))
