"""Recurrent layers in one operation."""

from __future__ import annotations

from typing import Any

from balance_graph.models import Tensor, Trace
from balance_graph.models.labels import PINNED, ZERO, constant
from balance_graph.models.rules import recurrent as rules
from balance_graph.models.tensors import Operand
from balance_graph.onnx.operations.arguments import NotUnderstoodError, operation


@operation("RNN", "GRU", "LSTM")
def recurrent(
    trace: Trace, x: Operand, weight: Operand, recurrence: Operand, bias: Operand | None = None,
    lengths: Any = None, hidden: Operand | None = None, cells: Operand | None = None, peephole: Operand | None = None,
    *, hidden_size: int = 0, layout: int = 0, activations: list[Any] | None = None, **_: Any,
) -> tuple[Tensor, ...]:  # fmt: skip
    """A layer in one or two directions; with ReLU its units have free scales, equal at all times."""
    directions, units = weight.shape[0], recurrence.shape[2]
    if layout:
        reason = "batch first"
        raise NotUnderstoodError(reason)
    for operand, name in ((cells, "cells of an LSTM"), (peephole, "peepholes of an LSTM")):
        if operand is not None:
            trace.pin(operand, name)
    length, batch, _size = x.shape
    initial = Tensor(constant(ZERO, (directions, batch, units))) if hidden is None else hidden
    parts = [weight, recurrence]
    if bias is not None:
        half = bias.shape[1] // 2
        parts += [trace.move(lambda a: a[:, :half], bias), trace.move(lambda a: a[:, half:], bias)]
    weights = [trace.move(lambda a, d=d: a[d], part) for d in range(directions) for part in parts]
    names = {name.lower() if isinstance(name, str) else name.decode().lower() for name in activations or ["Tanh"]}
    rule = rules.rectified_rnn if trace.operation == "RNN" and names == {"relu"} else rules.pinned_rnn
    with trace.at(trace.owner, trace.operation, [(length, batch, directions * units), (directions, batch, units)]):
        out, last = rule(trace, x, initial, weights, bias is not None, 1, bidirectional=directions == 2)
    spread = out.labels.reshape(length, batch, directions, units).transpose(0, 2, 1, 3)
    cell = Tensor(constant(PINNED, (directions, batch, units)))
    return (Tensor(spread), last, cell)[: len(trace.shapes)]
