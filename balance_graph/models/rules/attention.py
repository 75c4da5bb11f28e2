"""Attention in one operation: the same as its parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph.models.contraction import contract
from balance_graph.models.registry import rule
from balance_graph.models.rules.arithmetic import add
from balance_graph.models.rules.layers import LETTERS
from balance_graph.models.tensors import Operand, Tensor, pinned
from balance_graph.models.trace import Trace


@rule("scaled_dot_product_attention")
def attention(
    trace: Trace, query: Operand, key: Operand, value: Operand, mask: Operand | None = None,
    dropout: float = 0.0, is_causal: bool = False, *, scale: Any = None, enable_gqa: bool = False, **_: Any,
) -> Tensor:  # fmt: skip
    """``softmax(query key^T + mask) value``: scores are pinned, so queries and keys scale against each other."""
    if isinstance(scale, Tensor):
        trace.pin(scale, "scale of attention")
    if enable_gqa:
        key, value = (_repeated(trace, x, query.shape[-3]) for x in (key, value))
    batch = LETTERS[: len(query.shape) - 2]
    scores = contract(trace, query, batch + "yz", key, batch + "xz", batch + "yx")
    if mask is not None:
        scores = add(trace, scores, mask)
    trace.pin(scores, "input of softmax in attention")
    return contract(trace, pinned(scores.shape), batch + "yx", value, batch + "xz", batch + "yz")


def _repeated(trace: Trace, x: Operand, heads: int) -> Operand:
    """Each head of a group of queries reads the same keys and values."""
    return trace.move(lambda array: np.repeat(array, heads // array.shape[-3], axis=array.ndim - 3), x)
