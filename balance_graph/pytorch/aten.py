"""From PyTorch's operations to the vocabulary of rules: which move elements, and whose arguments differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from balance_graph._types import Index
from balance_graph.models import Tensor, Trace, View, rule
from balance_graph.models.labels import PINNED, compact, spread
from balance_graph.models.registry import words
from balance_graph.models.rules.arithmetic import joined, pinned_all
from balance_graph.models.rules.layers import anywhere, convolution, known, take
from balance_graph.models.rules.normalization import batch_norm, batch_statistics, group_norm, instance_norm
from balance_graph.models.tensors import Operand, pinned

# Executed literally on labels, by PyTorch itself.
MOVES = frozenset(
    words("""
    view _unsafe_view reshape _reshape_alias permute transpose t numpy_T mT adjoint swapaxes unsqueeze squeeze expand
    expand_as view_as reshape_as slice select narrow split split_with_sizes split_with_sizes_copy split_copy chunk
    unsafe_split unsafe_chunk unbind cat concat stack hstack vstack roll flip fliplr flipud rot90 repeat tile
    repeat_interleave unfold unfold_copy pixel_shuffle pixel_unshuffle channel_shuffle movedim moveaxis flatten
    unflatten diagonal diagonal_copy diag_embed tril triu constant_pad_nd as_strided slice_scatter select_scatter
    diagonal_scatter broadcast_to atleast_1d atleast_2d atleast_3d select_copy slice_copy view_copy permute_copy
    transpose_copy t_copy unsqueeze_copy squeeze_copy expand_copy alias_copy detach_copy unbind_copy reflection_pad1d
    reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d im2col tensor_split
    meshgrid broadcast_tensors block_diag hsplit vsplit dsplit
    """)
)
# These fill in zeros: of a parameter they show elements that it does not have.
FILLING = frozenset(
    words("constant_pad_nd tril triu diag_embed im2col slice_scatter select_scatter diagonal_scatter block_diag")
)
RESHAPES = frozenset({"view", "_unsafe_view", "_reshape_alias", "view_copy"})
# PyTorch moves these only in floating point, in which labels are exact.
FLOATING = frozenset({"im2col", *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3))})


def as_torch(array: Index, floating: bool) -> torch.Tensor:
    """The labels as a tensor that is expanded where they do not vary."""
    small = torch.from_numpy(np.array(compact(array), order="C"))
    return (small.to(torch.float64) if floating else small).expand(array.shape)


def as_numpy(tensor: torch.Tensor) -> Index:
    """Back to labels."""
    return np.asarray(tensor.to(torch.int64).numpy())


def move(trace: Trace, operation: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Execute an operation that moves elements on labels; on one view of a parameter, on its indices."""
    operands = [x for x in _flat(arguments) if isinstance(x, Tensor | View)]
    floating = name in FLOATING
    operation = torch.ops.aten.reshape.default if name in RESHAPES else operation  # labels may not be contiguous
    if name == "constant_pad_nd" and len(arguments) > 2:
        arguments = (*arguments[:2], _filled(arguments[2]))
    if len(operands) == 1 and isinstance(operands[0], View) and name not in FILLING:
        return _moved_view(trace, operation, operands[0], arguments, options, floating)
    labels = iter([as_torch(trace.labels(x), floating) for x in operands])
    return _mapped(
        operation(*_replaced(arguments, labels), **options), lambda t: Tensor(spread(as_numpy(t), tuple(t.shape)))
    )


def _filled(value: Any) -> int:
    """The label of what padding fills in."""
    return 0 if value in {0, float("inf"), float("-inf")} else PINNED


def _moved_view(
    trace: Trace, operation: Any, view: View, arguments: tuple[Any, ...], options: dict[str, Any], floating: bool
) -> Any:
    def result(array: Index) -> Any:
        return operation(*_replaced(arguments, iter([as_torch(array, floating)])), **options)

    probe = result(np.broadcast_to(np.int64(0), view.shape))
    if isinstance(probe, torch.Tensor):
        return trace.move(lambda array: as_numpy(result(array)), view)
    return tuple(trace.move(lambda array, k=k: as_numpy(result(array)[k]), view) for k in range(len(probe)))


def _flat(arguments: Any) -> list[Any]:
    if isinstance(arguments, list | tuple):
        return [x for item in arguments for x in _flat(item)]
    return [arguments]


def _replaced(arguments: Any, labels: Any) -> Any:
    """The arguments with the next of `labels` in place of each operand."""
    if isinstance(arguments, list | tuple):
        return type(arguments)(_replaced(item, labels) for item in arguments)
    return next(labels) if isinstance(arguments, Tensor | View) else arguments


def _mapped(result: Any, function: Callable[[torch.Tensor], Any]) -> Any:
    return function(result) if isinstance(result, torch.Tensor) else tuple(function(item) for item in result)


# Operations whose arguments are not those of the vocabulary -------------------------------------------------------


@rule("aten::conv1d", "aten::conv2d", "aten::conv3d")
def _conv(
    trace: Trace,
    x: Operand,
    weight: Operand,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    return convolution(trace, x, weight, bias, groups=groups)


@rule("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d")
def _conv_transpose(
    trace: Trace, x: Operand, weight: Operand, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    return convolution(trace, x, weight, bias, groups=groups, transposed=True)


@rule("aten::convolution", "aten::_convolution")
def _any_conv(
    trace: Trace, x: Operand, weight: Operand, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, *_: Any,
) -> Tensor:  # fmt: skip
    return convolution(trace, x, weight, bias, groups=groups, transposed=transposed)


@rule("aten::batch_norm", "aten::native_batch_norm", "aten::cudnn_batch_norm")
def _batch_norm(
    trace: Trace, x: Operand, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *_: Any
) -> Any:
    if training or mean is None:
        return batch_statistics(trace, x, weight, bias)
    return batch_norm(trace, x, weight, bias, mean, variance)


@rule("aten::native_group_norm")
def _native_group_norm(
    trace: Trace, x: Operand, weight: Any, bias: Any, n: int, channels: int, positions: int, groups: int, eps: float
) -> Any:
    return (group_norm(trace, x, groups, weight, bias, eps), *(pinned(shape) for shape in trace.shapes[1:]))


@rule("aten::instance_norm")
def _instance_norm(
    trace: Trace,
    x: Operand,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    use_input: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> Tensor:
    return instance_norm(trace, x, weight, bias, mean, variance, use_input, momentum, eps)


@rule("aten::pow.Scalar", "aten::embedding_renorm", "aten::threshold_backward")
def _pinned_power(trace: Trace, *operands: Any) -> Tensor:
    return pinned_all(trace, *operands)


@rule("aten::_to_copy", "aten::to", "aten::type_as")
def _converted(trace: Trace, x: Operand, *arguments: Any, **options: Any) -> Any:
    """Other floating point types round, as scaling may; integers pin; whether it is zero does not scale."""
    kinds = [a for a in (*arguments, options.get("dtype")) if isinstance(a, torch.dtype)]
    if not kinds or kinds[0].is_floating_point or kinds[0].is_complex:
        return x if isinstance(x, View) else Tensor(x.labels)
    return pinned(trace.shape) if kinds[0] == torch.bool else pinned_all(trace, x)


@rule("aten::copy")
def _copied(trace: Trace, target: Operand, source: Operand, *_: Any) -> Any:
    """What is written in place of the target."""
    return trace.move(lambda array: np.broadcast_to(array, trace.shape), source)


@rule("aten::fill")
def _filled_with(trace: Trace, target: Operand, value: Any) -> Tensor:
    return Tensor(np.broadcast_to(trace.labels(value), trace.shape))


@rule("aten::view_as_complex")
def _view_as_complex(trace: Trace, x: Operand) -> Tensor:
    """Real and imaginary parts have one scale: what turns them mixes them."""
    return Tensor(trace.tie_over(trace.labels(x), [-1])[..., 0])


@rule("aten::view_as_real")
def _view_as_real(trace: Trace, x: Operand) -> Tensor:
    return Tensor(np.broadcast_to(trace.labels(x)[..., None], trace.shape))


@rule("aten::pad")
def _pad(trace: Trace, x: Operand, widths: Any, mode: str = "constant", value: Any = None) -> Tensor:
    """A constant around, which is moved as a label; or copies of what is inside."""
    if mode == "constant":
        fill = _filled(0 if value is None else value)
        padded = torch.ops.aten.pad(as_torch(trace.labels(x), False), widths, mode, fill)
    else:
        padded = torch.ops.aten.pad(as_torch(trace.labels(x), True), widths, mode)
    return Tensor(spread(as_numpy(padded), tuple(padded.shape)))


@rule("aten::full_like")
def _full_like(trace: Trace, x: Operand, value: Any, **_: Any) -> Tensor:
    return Tensor(np.broadcast_to(trace.labels(value), trace.shape))


@rule("aten::new_full")
def _new_full(trace: Trace, x: Operand, shape: Any, value: Any, **_: Any) -> Tensor:
    return Tensor(np.broadcast_to(trace.labels(value), trace.shape))


@rule("aten::index_select")
def _index_select(trace: Trace, x: Operand, dim: int, indices: Operand) -> Operand:
    return take(trace, x, dim % len(x.shape), indices)


@rule("aten::index", "aten::_unsafe_index")
def _index(trace: Trace, x: Operand, indices: Sequence[Operand | None]) -> Operand:
    """Literally where all indices are known; else any element along the indexed dimensions may be meant."""
    values = [None if i is None else known(i) for i in indices]
    if all(value is not None for i, value in zip(indices, values, strict=True) if i is not None):
        found = [None if value is None else torch.from_numpy(np.array(value)) for value in values]
        return trace.move(lambda array: as_numpy(torch.ops.aten.index(as_torch(array, False), found)), x)
    indexed = tuple(dim for dim, i in enumerate(indices) if i is not None)
    chosen = anywhere(trace, x, indexed)
    zeros = [None if i is None else torch.zeros(i.shape, dtype=torch.int64) for i in indices]
    return trace.move(lambda array: as_numpy(torch.ops.aten.index(as_torch(array, False), zeros)), chosen)


@rule("aten::gather", "aten::take_along_dim")
def _gather(trace: Trace, x: Operand, dim: int, indices: Operand, *_: Any, **__: Any) -> Operand:
    value = known(indices)
    if value is not None:
        place = torch.from_numpy(np.array(value))
        return trace.move(lambda array: as_numpy(torch.gather(as_torch(array, False), dim, place)), x)
    chosen = anywhere(trace, x, (dim,))
    zeros = torch.zeros(indices.shape, dtype=torch.int64)
    return trace.move(lambda array: as_numpy(torch.gather(as_torch(array, False), dim, zeros)), chosen)


@rule(
    "aten::scatter",
    "aten::scatter_add",
    "aten::scatter_reduce",
    "aten::index_add",
    "aten::index_copy",
    "aten::index_fill",
)
def _scatter(trace: Trace, x: Operand, dim: int, indices: Operand, source: Any, *more: Any, **options: Any) -> Tensor:
    """Where things are written is taken as unknown: all along the dimension have one scale."""
    if {"prod", "multiply"} & {word for word in (*more, *options.values()) if isinstance(word, str)}:
        return pinned_all(trace, x, source)
    kept = trace.tie_over(trace.labels(x), [dim])
    labels = trace.labels(source)
    written = trace.tie_over(labels, [dim]) if labels.ndim else labels
    if labels.ndim and any(
        a != b for d, (a, b) in enumerate(zip(kept.shape, written.shape, strict=True)) if d != dim % kept.ndim
    ):
        everywhere = range(kept.ndim)
        kept, written = trace.tie_over(kept, everywhere), trace.tie_over(written, everywhere)
    return Tensor(np.broadcast_to(joined(trace, kept, written), trace.shape))


@rule("aten::index_put", "aten::_unsafe_index_put", "aten::masked_scatter")
def _index_put(
    trace: Trace, x: Operand, indices: Sequence[Operand | None] | Operand, values: Operand, *_: Any, **__: Any
) -> Tensor:
    """Where things are written is taken as unknown."""
    ndim = len(x.shape)
    indexed = range(ndim) if isinstance(indices, Tensor | View) else _written(indices)
    kept = trace.tie_over(trace.labels(x), list(indexed))
    written = trace.labels(values)
    first = min(indexed, default=0)
    plain = len(list(indexed)) == 1 and first == 0 and written.ndim >= 1
    one = (
        trace.tie_over(written, [0]) if plain and written.ndim == ndim else trace.tie_over(written, range(written.ndim))
    )
    if not (plain and written.ndim == ndim):
        kept = trace.tie_over(kept, range(ndim))
        one = one.reshape((1,) * ndim)
    return Tensor(np.broadcast_to(joined(trace, kept, one), trace.shape))


def _written(indices: Sequence[Operand | None]) -> list[int]:
    """Dimensions that the indices address."""
    return [dim for dim, i in enumerate(indices) if i is not None]


@rule("aten::_embedding_bag", "aten::embedding_bag", "aten::_embedding_bag_forward_only")
def _embedding_bag(trace: Trace, weight: Operand, indices: Operand, *_: Any) -> Any:
    """Sums, means or maxima of rows of the weight."""
    rows = trace.labels(anywhere(trace, weight, (0,)))
    return (Tensor(np.broadcast_to(rows, trace.shapes[0])), *(pinned(shape) for shape in trace.shapes[1:]))


@rule("aten::upsample_nearest1d", "aten::upsample_nearest2d", "aten::upsample_nearest3d")
def _upsample(trace: Trace, x: Operand, *_: Any) -> Tensor:
    """Copies of the nearest position: all positions of a channel have one scale."""
    labels = trace.labels(x)
    return Tensor(np.broadcast_to(trace.tie_over(labels, range(2, labels.ndim)), trace.shape))
