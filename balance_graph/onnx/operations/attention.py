"""Attention and rotary embeddings in one operation (opset 23)."""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models import Tensor, Trace
from balance_graph.models.rules.attention import attention as scaled_dot_product
from balance_graph.models.tensors import Operand, pinned
from balance_graph.onnx.operations.arguments import operation


def _heads(trace: Trace, x: Operand, count: int) -> Operand:
    """(batch, length, heads * size) as (batch, heads, length, size)."""
    if len(x.shape) == 4:
        return x
    n, length, width = x.shape
    return trace.move(lambda array: array.reshape(n, length, count, width // count).transpose(0, 2, 1, 3), x)


@operation("Attention")
def attention(
    trace: Trace, query: Operand, key: Operand, value: Operand, mask: Operand | None = None,
    past_key: Operand | None = None, past_value: Operand | None = None, *_: Operand,
    q_num_heads: int = 1, kv_num_heads: int = 1, **__: Any,
) -> Any:  # fmt: skip
    """Scores are pinned; keys and values may follow those of the past."""
    query = _heads(trace, query, q_num_heads)
    key, value = (_heads(trace, x, kv_num_heads) for x in (key, value))
    if past_key is not None and past_value is not None:
        key, value = (
            trace.move(lambda *arrays: np.concatenate(arrays, 2), past, x)
            for past, x in ((past_key, key), (past_value, value))
        )
    out = scaled_dot_product(trace, query, key, value, mask, enable_gqa=query.shape[1] != key.shape[1])
    labels = out.labels
    if len(trace.shape) == 3:
        labels = labels.transpose(0, 2, 1, 3).reshape(trace.shape)
    more = (Tensor(trace.labels(key)), Tensor(trace.labels(value)), *(pinned(shape) for shape in trace.shapes[3:]))
    return Tensor(labels), *more[: len(trace.shapes) - 1]


@operation("RotaryEmbedding")
def rotary(
    trace: Trace, x: Operand, cosines: Operand, sines: Operand, *_: Operand,
    interleaved: int = 0, num_heads: int = 0, rotary_embedding_dim: int = 0,
) -> Tensor:  # fmt: skip
    """Pairs that are turned together have one scale; the angles must not change."""
    for table in (cosines, sines):
        trace.pin(table, "angles of a rotary embedding")
    labels = trace.labels(_heads(trace, x, num_heads))
    size = rotary_embedding_dim or labels.shape[-1]
    turned = _paired(trace, labels[..., :size], bool(interleaved))
    result = np.concatenate([turned, labels[..., size:]], -1)
    if len(x.shape) == 3:
        result = result.transpose(0, 2, 1, 3).reshape(x.shape)
    return Tensor(result)


def _paired(trace: Trace, labels: Index, interleaved: bool) -> Index:
    *front, size = labels.shape
    shape, axis = ((*front, size // 2, 2), -1) if interleaved else ((*front, 2, size // 2), -2)
    pairs = labels.reshape(shape)
    return np.broadcast_to(trace.tie_over(pairs, [axis]), shape).reshape(labels.shape)
