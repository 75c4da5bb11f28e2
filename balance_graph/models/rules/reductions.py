"""Sums, means, extrema and pooling: what is put together has one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models.registry import rule
from balance_graph.models.tensors import Operand, Tensor, pinned
from balance_graph.models.trace import Trace


def _dims(x: Operand, dims: Any) -> list[int]:
    ndim = len(x.shape)
    if dims is None or isinstance(dims, bool) or (isinstance(dims, Sequence) and not dims):
        return list(range(ndim))
    return [dim % ndim for dim in ([dims] if isinstance(dims, int) else dims)] if ndim else []


def _reduced(trace: Trace, x: Operand, dims: Any) -> Index:
    """Tied labels in the shape of what the operation returns."""
    found = _dims(x, dims)
    tied = trace.tie_over(trace.labels(x), found)
    kept = tied if tied.ndim == len(trace.shape) else np.squeeze(tied, tuple(found))
    return np.broadcast_to(kept, trace.shape)


@rule("sum", "mean", "nansum", "nanmean", "amax", "amin", "std", "reduce")
def reduce(trace: Trace, x: Operand, dims: Any = None, *_: Any, **options: Any) -> Tensor:
    """Degree 1 along the given dimensions, by default along all."""
    return Tensor(_reduced(trace, x, options.get("dim", dims)))


@rule("var_mean", "std_mean")
def variance_and_mean(trace: Trace, x: Operand, dims: Any = None, *_: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """Degree 2 or 1, and 1."""
    labels = _reduced(trace, x, options.get("dim", dims))
    return Tensor(trace.multiple(labels, 2 if trace.operation.endswith("var_mean") else 1)), Tensor(labels)


@rule("var")
def variance(trace: Trace, x: Operand, dims: Any = None, *_: Any, **options: Any) -> Tensor:
    """Degree 2."""
    return Tensor(trace.multiple(_reduced(trace, x, options.get("dim", dims)), 2))


@rule("linalg_vector_norm", "norm")
def norm(trace: Trace, x: Operand, order: Any = 2, dims: Any = None, *_: Any, **options: Any) -> Tensor:
    """Degree 1; the norm of order 0 counts, which is of degree 0."""
    if order == 0:
        return pinned(trace.shape)
    return Tensor(_reduced(trace, x, options.get("dim", dims)))


@rule("max", "min", "median", "nanmedian", "mode", "kthvalue", "aminmax")
def extremum(trace: Trace, x: Operand, *arguments: Any, **options: Any) -> Any:
    """An element of the tensor, and where it is; or, of two tensors, the larger or smaller."""
    from balance_graph.models.rules.arithmetic import add

    if arguments and not isinstance(arguments[0], int | list | tuple):
        return add(trace, x, arguments[0])
    places = arguments[1:] if trace.operation.endswith("kthvalue") else arguments
    integers = [a for a in places if isinstance(a, int) and not isinstance(a, bool)]
    dims = options.get("dim", integers[0] if integers else None)
    labels = _reduced(trace, x, dims)
    if len(trace.shapes) == 1:
        return Tensor(labels)
    if trace.operation.endswith("aminmax"):
        return Tensor(labels), Tensor(labels)
    return Tensor(labels), pinned(trace.shapes[1])


@rule("argmax", "argmin")
def place(trace: Trace, x: Operand, dim: int | None = None, *_: Any, **__: Any) -> Tensor:
    """Where the extremum is: the same if all that is compared has one scale."""
    trace.tie_over(trace.labels(x), _dims(x, dim))
    return pinned(trace.shape)


@rule("argsort")
def places(trace: Trace, x: Operand, *arguments: Any, **options: Any) -> Tensor:
    """An order: the same if all that is compared has one scale."""
    numbers = [a for a in arguments if isinstance(a, int) and not isinstance(a, bool)]
    trace.tie_over(trace.labels(x), _dims(x, options.get("dim", numbers[0] if numbers else -1)))
    return pinned(trace.shape)


@rule("topk")
def topk(trace: Trace, x: Operand, k: int, dim: int = -1, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
    """The largest, in order, and where they are."""
    tied = trace.tie_over(trace.labels(x), _dims(x, dim))
    return Tensor(np.broadcast_to(tied, trace.shapes[0])), pinned(trace.shapes[1])


@rule("sort", "cummax", "cummin")
def sort(trace: Trace, x: Operand, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """All in another order, and where they came from."""
    numbers = [a for a in arguments if isinstance(a, int) and not isinstance(a, bool)]
    tied = trace.tie_over(trace.labels(x), _dims(x, options.get("dim", numbers[0] if numbers else -1)))
    return Tensor(np.broadcast_to(tied, trace.shapes[0])), pinned(trace.shapes[1])


@rule("cumsum")
def cumulative(trace: Trace, x: Operand, dim: int, *_: Any, **__: Any) -> Tensor:
    """Sums of the elements so far."""
    return Tensor(np.broadcast_to(trace.tie_over(trace.labels(x), _dims(x, dim)), trace.shape))


@rule("all", "any", "count_nonzero", "nonzero")
def counted(trace: Trace, *_: Any, **__: Any) -> Tensor:
    """Zero or not: the scale does not matter."""
    return pinned(trace.shape)


def _pooled(trace: Trace, x: Operand, spatial: int) -> Index:
    labels = trace.labels(x)
    return trace.tie_over(labels, range(labels.ndim - spatial, labels.ndim))


def _pooling(spatial: int) -> Any:
    def pool(trace: Trace, x: Operand, *_: Any, **__: Any) -> Any:
        """All positions of a channel have one scale; indices of maxima stay."""
        labels = _pooled(trace, x, spatial)
        results = [Tensor(np.broadcast_to(labels, trace.shapes[0])), *(pinned(shape) for shape in trace.shapes[1:])]
        return results[0] if len(results) == 1 else tuple(results)

    return pool


POOLS = ("max_pool", "avg_pool", "adaptive_avg_pool", "_adaptive_avg_pool", "adaptive_max_pool", "fractional_max_pool")
for _spatial in (1, 2, 3):
    rule(*(f"{name}{_spatial}d" for name in POOLS), f"max_pool{_spatial}d_with_indices")(_pooling(_spatial))
for _name, _spatial in {
    "linear1d": 1,
    "bilinear2d": 2,
    "bicubic2d": 2,
    "trilinear3d": 3,
    "nearest1d": 1,
    "nearest2d": 2,
    "nearest3d": 3,
}.items():
    rule(f"upsample_{_name}", f"_upsample_{_name}", f"_upsample_{_name}_aa")(_pooling(_spatial))
for _spatial in (1, 2, 3):
    rule(f"_upsample_nearest_exact{_spatial}d")(_pooling(_spatial))


@rule("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sample(trace: Trace, x: Operand, grid: Operand, *_: Any, **__: Any) -> Tensor:
    """Interpolated at positions that must not change."""
    trace.pin(grid, "positions of samples")
    return Tensor(np.broadcast_to(_pooled(trace, x, len(x.shape) - 2), trace.shape))
