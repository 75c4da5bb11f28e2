"""Normalizations and softmax: what is normalized with an epsilon is pinned, the affine part after it scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balance_graph.models.labels import PINNED, constant
from balance_graph.models.registry import rule
from balance_graph.models.rules.arithmetic import multiply
from balance_graph.models.rules.layers import per_channel, scaled_and_shifted
from balance_graph.models.tensors import Operand, Tensor, View, pinned
from balance_graph.models.trace import Trace, along, channel_labels


def _normalized(trace: Trace, x: Operand, dims: Sequence[int], epsilon: float | None) -> Tensor:
    """Of degree 0 over what is normalized together if epsilon is zero; else x must not change."""
    if epsilon == 0:
        trace.tie_over(trace.labels(x), dims)
    else:
        trace.pin(x, f"input of {trace.operation}: its epsilon is no function of scale")
    return Tensor(constant(PINNED, trace.shapes[0]))


@rule("layer_norm", "native_layer_norm")
def layer_norm(
    trace: Trace, x: Operand, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Any:
    """Over the last dimensions."""
    dims = range(len(x.shape) - len(shape), len(x.shape))
    normal = _normalized(trace, x, dims, eps)
    return _with_statistics(trace, scaled_and_shifted(trace, normal.labels, weight, bias))


@rule("rms_norm", "_fused_rms_norm")
def rms_norm(trace: Trace, x: Operand, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Over the last dimensions; without an epsilon PyTorch adds the machine's."""
    dims = range(len(x.shape) - len(shape), len(x.shape))
    normal = _normalized(trace, x, dims, eps)
    return _with_statistics(trace, scaled_and_shifted(trace, normal.labels, weight, None))


def _with_statistics(trace: Trace, out: Tensor) -> Any:
    more = tuple(pinned(shape) for shape in trace.shapes[1:])
    return (out, *more) if more else out


@rule("group_norm")
def group_norm(
    trace: Trace, x: Operand, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    """Over groups of channels."""
    if eps == 0:
        grouped = trace.labels(x).reshape(x.shape[0], groups, -1)
        trace.tie_over(grouped, [2])
        normal = Tensor(constant(PINNED, trace.shape))
    else:
        normal = _normalized(trace, x, (), eps)
    return _per_channel_affine(trace, normal, weight, bias)


@rule("instance_norm")
def instance_norm(
    trace: Trace, x: Operand, weight: Any = None, bias: Any = None, mean: Any = None, variance: Any = None,
    use_input: bool = True, momentum: float = 0.1, eps: float = 1e-5, *_: Any,
) -> Tensor:  # fmt: skip
    """Over the positions of each channel; with running statistics it is a batch norm."""
    if not use_input:
        out: Tensor = batch_norm(trace, x, weight, bias, mean, variance)
        return out
    return _per_channel_affine(trace, _normalized(trace, x, range(2, len(x.shape)), eps), weight, bias)


def _per_channel_affine(trace: Trace, normal: Tensor, weight: Any, bias: Any) -> Tensor:
    ndim = len(normal.shape)
    shaped = [None if p is None else per_channel(trace, p, 1, ndim) for p in (weight, bias)]
    return scaled_and_shifted(trace, normal.labels, *shaped)


@rule("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm_inference")
def batch_norm(
    trace: Trace, x: Operand, weight: Any = None, bias: Any = None, mean: Any = None, variance: Any = None, *_: Any
) -> Any:
    """In evaluation an affine map of each channel: the running mean has the scale of the input, the variance none.

    While the module trains (`Trace.training`) the statistics are those of the batch, and the input is pinned.
    """
    channel = min(1, len(x.shape) - 1)
    if trace.training:
        trace.pin(x, "input of a batch norm that trains")
    read = channel_labels(trace, x, channel)
    state = mean.state if isinstance(mean, Tensor) and mean.state is not None else mean
    if isinstance(state, View):
        trace.gain(state, [(1, trace.settled(read))], "buffer")
    elif isinstance(mean, Tensor):
        trace.tie(read, mean.labels)
    if isinstance(variance, Tensor | View):
        trace.pin(variance, "variance of a batch norm")
    ndim = len(x.shape)
    labels = along(trace.settled(read), channel, x.shape)
    shaped = [None if p is None else per_channel(trace, p, channel, ndim) for p in (weight, bias)]
    return _with_statistics(trace, scaled_and_shifted(trace, labels, *shaped))


@rule("_native_batch_norm_legit", "native_batch_norm", "batch_norm_of_batch")
def batch_statistics(trace: Trace, x: Operand, weight: Any = None, bias: Any = None, *_: Any, **__: Any) -> Any:
    """A batch norm that uses the statistics of the batch, whose epsilon pins the input."""
    return _with_statistics(trace, _per_channel_affine(trace, _normalized(trace, x, (), None), weight, bias))


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "logsumexp", "logcumsumexp", "softmin", "_safe_softmax")
def softmax(trace: Trace, x: Operand, *_: Any, **__: Any) -> Tensor:
    """The input must not change."""
    trace.pin(x, f"input of {trace.operation}")
    return pinned(trace.shape)


@rule("_weight_norm", "weight_norm")
def weight_norm(trace: Trace, direction: Operand, length: Operand, dim: int = 0) -> Tensor:
    """``length direction / norm(direction)``: the direction's own scale does not matter."""
    labels = trace.labels(direction)
    over = [d for d in range(labels.ndim) if d != dim % labels.ndim] if dim != -1 else list(range(labels.ndim))
    trace.tie_over(labels, over)
    return Tensor(np.broadcast_to(multiply(trace, pinned(trace.shape), length).labels, trace.shape))


@rule("cosine_similarity")
def cosine(trace: Trace, x: Operand, y: Operand, *_: Any) -> Tensor:
    """The norms are bounded from below by an epsilon."""
    for operand in (x, y):
        trace.pin(operand, "input of a cosine with an epsilon")
    return pinned(trace.shape)
