"""Recurrent layers in one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models.labels import PINNED
from balance_graph.models.registry import rule
from balance_graph.models.tensors import Operand, Tensor, View
from balance_graph.models.trace import Trace

Cell = Callable[[Trace, Index, Sequence[Operand], int], Index]


def _layers(weights: Sequence[Operand], biased: bool, projected: bool) -> Iterator[Sequence[Operand]]:
    """Parameters of each layer and direction: input weights, recurrent weights, biases, projection."""
    count = 2 + 2 * biased + projected
    for start in range(0, len(weights), count):
        yield weights[start : start + count]


def _rectified(trace: Trace, read: Index, weights: Sequence[Operand], units: int) -> Index:
    """``h = relu(W x + U h + b)``: a scale for each unit, the same at all times."""
    out = trace.fresh((units,), "unit")
    _weigh(trace, weights[0], out, read)
    _weigh(trace, weights[1], out, out)
    for bias in weights[2:]:
        _state(trace, bias, out)
    return out


def _pinned_cell(trace: Trace, read: Index, weights: Sequence[Operand], units: int) -> Index:
    """Gates and states are pinned; what is read scales out of the input weights, a projected state is free."""
    gates = np.full(weights[0].shape[0], PINNED)
    projected = len(weights) in (3, 5)
    out = trace.fresh((units,), "unit") if projected else np.full(units, PINNED)
    _weigh(trace, weights[0], gates, read)
    _weigh(trace, weights[1], gates, out)
    for bias in weights[2:4] if len(weights) > 3 else ():
        _state(trace, bias, gates)
    if projected:
        _weigh(trace, weights[-1], out, np.full(weights[-1].shape[1], PINNED))
    return out


def _weigh(trace: Trace, weight: Operand, rows: Index, columns: Index) -> None:
    if isinstance(weight, View):
        trace.gain(weight, [(1, rows[:, None]), (-1, trace.settled(columns)[None, :])], "weight")
    else:
        trace.tie(trace.sum_of([(1, weight.labels), (1, trace.settled(columns)[None, :])]), rows[:, None])


def _state(trace: Trace, operand: Operand, labels: Index) -> None:
    if isinstance(operand, View):
        trace.gain(operand, [(1, labels)], "bias")
    else:
        trace.tie(operand.labels, labels)


def _recurrent(
    trace: Trace,
    x: Operand,
    initial: Operand,
    weights: Sequence[Operand],
    biased: bool,
    layers: int,
    directions: int,
    cell: Cell,
) -> tuple[Tensor, Tensor]:
    """Layer upon layer; both directions of one are read side by side by the next."""
    labels = trace.labels(x)
    read = trace.tie_over(labels, range(labels.ndim - 1)).reshape(-1)
    start = trace.tie_over(trace.labels(initial), range(1, len(initial.shape) - 1)).reshape(layers * directions, -1)
    units = start.shape[1]
    projected = len(weights) == layers * directions * (3 + 2 * biased)
    groups = list(_layers(weights, biased, projected))
    last: list[Index] = []
    for layer in range(layers):
        outs = []
        for direction in range(directions):
            place = layer * directions + direction
            outs.append(cell(trace, read, groups[place], units))
            trace.tie(start[place], outs[-1])
        read = np.concatenate(outs)
        last += outs
    state = np.stack(last)
    middle = (1,) * (len(initial.shape) - 2)
    final = np.broadcast_to(state.reshape(state.shape[0], *middle, units), trace.shapes[1])
    return Tensor(np.broadcast_to(read, trace.shapes[0])), Tensor(final)


@rule("rnn_relu")
def rectified_rnn(
    trace: Trace, x: Operand, initial: Operand, weights: Sequence[Operand], biased: bool, layers: int,
    dropout: float = 0.0, train: bool = False, bidirectional: bool = False, *_: Any,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """An Elman network with ReLU."""
    return _recurrent(trace, x, initial, weights, biased, layers, 1 + bidirectional, _rectified)


@rule("rnn_tanh", "gru")
def pinned_rnn(
    trace: Trace, x: Operand, initial: Operand, weights: Sequence[Operand], biased: bool, layers: int,
    dropout: float = 0.0, train: bool = False, bidirectional: bool = False, *_: Any,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Units that saturate are pinned."""
    return _recurrent(trace, x, initial, weights, biased, layers, 1 + bidirectional, _pinned_cell)


@rule("lstm")
def lstm(
    trace: Trace, x: Operand, initial: Sequence[Operand], weights: Sequence[Operand], biased: bool, layers: int,
    dropout: float = 0.0, train: bool = False, bidirectional: bool = False, *_: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gates and cells are pinned; a projected state has free scales."""
    hidden, cells = initial
    trace.pin(cells, "cells of an LSTM")
    out, final = _recurrent(trace, x, hidden, weights, biased, layers, 1 + bidirectional, _pinned_cell)
    return out, final, Tensor(np.broadcast_to(np.int64(PINNED), trace.shapes[2]))
