"""Functions of two tensors, element by element: sums tie, products add log-scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models.equations import Number
from balance_graph.models.labels import ZERO, common, compact
from balance_graph.models.registry import rule
from balance_graph.models.rules.pointwise import power_of
from balance_graph.models.tensors import Operand, Tensor, View, pinned
from balance_graph.models.trace import Trace, joint_shape


@rule("add", "sub", "subtract", "rsub", "maximum", "minimum", "fmax", "fmin", "hypot")
def add(trace: Trace, x: Any, y: Any, alpha: Any = 1, **_: Any) -> Tensor:
    """Both terms have the scale of the result; a factor `alpha` does not matter."""
    if isinstance(y, View) and not isinstance(x, View):
        x, y = y, x
    if isinstance(x, View):
        return _add_parameter(trace, x, trace.labels(y))
    return Tensor(joined(trace, trace.labels(x), trace.labels(y)))


def joined(trace: Trace, one: Index, two: Index) -> Index:
    """Tie two arrays of labels; the labels that stand for both."""
    shape = np.broadcast_shapes(one.shape, two.shape)
    trace.tie(one, two)
    one, two = common(one, two)
    return np.broadcast_to(np.where(one == ZERO, two, one), shape)


def _add_parameter(trace: Trace, view: View, labels: Index) -> Tensor:
    shape = np.broadcast_shapes(view.shape, labels.shape)
    if (compact(labels) == ZERO).any():
        return Tensor(joined(trace, trace.labels(view), labels))
    shown = spread_view(view, shape)
    trace.gain(shown, [(1, np.broadcast_to(labels, shape))], "bias")
    return Tensor(np.broadcast_to(labels, shape))


def spread_view(view: View, shape: tuple[int, ...]) -> View:
    """The view broadcast to the shape."""
    return view if view.shape == shape else view.moved(lambda array: np.broadcast_to(array, shape))


@rule("mul", "multiply")
def multiply(trace: Trace, x: Any, y: Any) -> Tensor:
    """Log-scales add up."""
    if isinstance(y, View) and not isinstance(x, View):
        x, y = y, x
    if isinstance(x, View):
        return _multiply_parameter(trace, x, trace.labels(y))
    return Tensor(trace.sum_of([(1, trace.labels(x)), (1, trace.labels(y))]))


def _multiply_parameter(trace: Trace, view: View, labels: Index) -> Tensor:
    """A scale for each element that the parameter makes; where it makes several, they differ as what it reads does."""
    shape = np.broadcast_shapes(view.shape, labels.shape)
    shown = spread_view(view, shape)
    small = compact(np.broadcast_to(labels, shape))
    elements = joint_shape(shown)
    repeated = any(size > 1 and shape_size == 1 for size, shape_size in zip(small.shape, elements, strict=True))
    if repeated or (small == ZERO).any():
        return Tensor(trace.sum_of([(1, trace.labels(view)), (1, labels)], shape))
    out = np.broadcast_to(trace.fresh(elements, "output"), shape)
    trace.gain(shown, [(1, out), (-1, np.broadcast_to(labels, shape))], "norm")
    return Tensor(out)


@rule("div", "divide", "true_divide")
def divide(trace: Trace, x: Any, y: Any, rounding_mode: str | None = None) -> Tensor:
    """Log-scales subtract; a quotient that is rounded pins both."""
    if rounding_mode is not None:
        return pinned_all(trace, x, y)
    below = trace.multiple(trace.labels(y), -1)
    if isinstance(x, View):
        return _multiply_parameter(trace, x, below)
    return Tensor(trace.sum_of([(1, trace.labels(x)), (1, below)]))


@rule("pow", "float_power")
def power(trace: Trace, x: Any, y: Any) -> Tensor:
    """Degree = the exponent where that is a known number; else both are pinned."""
    exponent = y if isinstance(y, int | float) else constant_number(y)
    if exponent is None or not isinstance(x, Tensor | View):
        return pinned_all(trace, x, y)
    return power_of(trace, x, exponent)


def constant_number(operand: Any) -> float | None:
    """The one number that a known constant holds everywhere; None if there is none."""
    value = getattr(operand, "value", None)
    if value is None or getattr(operand, "changeable", False):
        return None
    array = np.unique(np.asarray(value))
    return float(array[0]) if array.size == 1 else None


@rule("atan2", "fmod", "remainder", "floor_divide", "logaddexp", "logaddexp2", "xlogy", "polar", "complex")
def pinned_all(trace: Trace, *operands: Any, **_: Any) -> Tensor:
    """Not homogeneous in any operand."""
    for operand in operands:
        if isinstance(operand, Tensor | View):
            trace.pin(operand, f"input of {trace.operation}")
    return pinned(trace.shape)


@rule("eq", "ne", "lt", "le", "gt", "ge")
def compare(trace: Trace, x: Any, y: Any) -> Tensor:
    """Which of two is larger does not change if both have one scale; zero may be compared with anything."""
    trace.tie(trace.labels(x), trace.labels(y))
    return pinned(trace.shape)


@rule("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor")
def logical(trace: Trace, *_: Any) -> Tensor:
    """Zero or not: the scale does not matter."""
    return pinned(trace.shape)


@rule("where")
def where(trace: Trace, condition: Operand, x: Any, y: Any) -> Tensor:
    """Either of two: both have the scale of the result."""
    return _shaped(trace, joined(trace, trace.labels(x), trace.labels(y)))


@rule("masked_fill")
def masked_fill(trace: Trace, x: Operand, mask: Operand, value: Any) -> Tensor:
    """Either x or the value: zeros and infinities agree with any scale."""
    return _shaped(trace, joined(trace, trace.labels(x), trace.labels(value)))


def _shaped(trace: Trace, labels: Index) -> Tensor:
    return Tensor(np.broadcast_to(labels, trace.shape))


@rule("addcmul")
def addcmul(trace: Trace, x: Any, one: Any, two: Any, value: Any = 1) -> Tensor:
    """``x + value one two``."""
    return add(trace, x, multiply(trace, one, two))


@rule("addcdiv")
def addcdiv(trace: Trace, x: Any, one: Any, two: Any, value: Any = 1) -> Tensor:
    """``x + value one / two``."""
    return add(trace, x, divide(trace, one, two))


@rule("lerp")
def lerp(trace: Trace, x: Any, y: Any, weight: Any) -> Tensor:
    """``x + weight (y - x)``."""
    if isinstance(weight, Tensor | View):
        trace.pin(weight, "weight of an interpolation")
    return _shaped(trace, joined(trace, trace.labels(x), trace.labels(y)))


@rule("glu")
def glu(trace: Trace, x: Operand, dim: int = -1) -> Tensor:
    """The first half times the sigmoid of the second."""
    first, second = np.split(trace.labels(x), 2, axis=dim)
    trace.pin(Tensor(second), "input of glu's sigmoid")
    return Tensor(first)


def degrees(trace: Trace, operands: Sequence[tuple[Number, Any]]) -> Tensor:
    """A product of powers: for rules of users' own operations."""
    return Tensor(trace.sum_of([(1, trace.multiple(trace.labels(x), degree)) for degree, x in operands]))
