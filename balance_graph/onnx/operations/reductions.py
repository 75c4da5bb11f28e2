"""Reductions, pooling and interpolation: what is put together has one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models import Tensor, Trace
from balance_graph.models.rules import reductions as rules
from balance_graph.models.rules.pointwise import pinning
from balance_graph.models.tensors import Operand, pinned
from balance_graph.models.trace import along, channel_labels
from balance_graph.onnx.operations.arguments import axes_of, numbers, operation


@operation("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")
def reduce(trace: Trace, x: Operand, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Degree 1, squares 2, along the axes; by default along all."""
    chosen = axes_of(len(x.shape), numbers(axes)) or None
    degree = 2 if trace.operation == "ReduceSumSquare" else 1
    is_idle = chosen is None and noop_with_empty_axes
    labels = trace.labels(x) if is_idle else rules.reduce(trace, x, chosen).labels
    return Tensor(trace.multiple(labels, degree))


@operation("ArgMax", "ArgMin")
def place(trace: Trace, x: Operand, *, axis: int = 0, **_: Any) -> Tensor:
    """Where the extremum is."""
    return rules.place(trace, x, axis)


@operation("TopK")
def topk(trace: Trace, x: Operand, k: Any = None, *, axis: int = -1, **_: Any) -> tuple[Tensor, Tensor]:
    """The largest, in order, and where they are."""
    tied = trace.tie_over(trace.labels(x), [axis])
    shape = next(shape for shape in trace.shapes if shape)
    return Tensor(np.broadcast_to(tied, shape)), pinned(shape)


def _pooled(trace: Trace, x: Operand, first: int = 2) -> Index:
    """All positions of a channel have one scale."""
    labels = trace.labels(x)
    return trace.tie_over(labels, range(first, labels.ndim))


@operation("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def pool(trace: Trace, x: Operand, **_: Any) -> tuple[Tensor, ...]:
    """Of degree 1; the places of maxima stay."""
    labels = np.broadcast_to(_pooled(trace, x), trace.shape)
    return Tensor(labels), *(pinned(shape) for shape in trace.shapes[1:])


@operation("Resize", "Upsample")
def resize(trace: Trace, x: Operand, *_: Any, extrapolation_value: float = 0.0, **options: Any) -> Tensor:
    """Interpolated between positions, along dimensions after the second and those that grow or shrink."""
    if options.get("coordinate_transformation_mode") == "tf_crop_and_resize" and extrapolation_value != 0:
        found: Tensor = pinning(trace, x)
        return found
    changed = [d for d, (a, b) in enumerate(zip(x.shape, trace.shape, strict=True)) if a != b or d > 1]
    return Tensor(np.broadcast_to(trace.tie_over(trace.labels(x), changed), trace.shape))


@operation("GridSample")
def grid_sample(trace: Trace, x: Operand, grid: Operand, **_: Any) -> Tensor:
    """Interpolated at positions that must not change."""
    return rules.grid_sample(trace, x, grid)


@operation("RoiAlign", "MaxRoiPool")
def regions(trace: Trace, x: Operand, boxes: Operand, *_: Operand, **__: Any) -> Tensor:
    """Interpolated in boxes that must not change, of any picture."""
    trace.pin(boxes, "boxes of regions")
    return Tensor(along(channel_labels(trace, x, 1), 1, trace.shape))
