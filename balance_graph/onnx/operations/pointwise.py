"""Functions of one element or of several tensors, element by element."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from balance_graph.models import Tensor, Trace, View
from balance_graph.models.labels import PINNED, constant
from balance_graph.models.registry import words
from balance_graph.models.rules.arithmetic import (
    add,
    compare,
    constant_number,
    divide,
    multiply,
    pinned_all,
    power,
    where,
)
from balance_graph.models.rules.pointwise import clamp, homogeneous, negated, pinning, power_of, prelu
from balance_graph.models.tensors import Operand, pinned
from balance_graph.onnx.operations.arguments import number, operation
from balance_graph.onnx.typed_trace import TypedTrace

# Exporters write these for "no bound".
_UNBOUNDED = float(np.finfo(np.float32).max)


@operation("Relu", "LeakyRelu", "Abs")
def rectify(trace: Trace, x: Operand, **_: Any) -> Any:
    """Degree 1."""
    return homogeneous(trace, x)


@operation("Dropout")
def dropout(trace: Trace, x: Operand, *_: Any, **__: Any) -> Any:
    """The identity in evaluation; else a mask that depends on no value."""
    return homogeneous(trace, x)


@operation("Neg")
def negative(trace: Trace, x: Operand) -> Operand:
    """Degree 1."""
    return negated(trace, x)


@operation(
    *words("Sigmoid Tanh HardSigmoid HardSwish Elu Selu Celu Gelu Mish Swish Softplus Softsign Exp Log Erf Shrink"),
    *words("Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Round Floor Ceil LRN MeanVarianceNormalization"),
    *words("Bernoulli ReduceLogSum ReduceLogSumExp ReduceProd"),
)
def pin(trace: Trace, x: Operand, *_: Any, **__: Any) -> Any:
    """Not homogeneous, or with a constant in it."""
    return pinning(trace, x)


@operation("ThresholdedRelu")
def thresholded(trace: Trace, x: Operand, *, alpha: float = 1.0) -> Any:
    """A ReLU where the threshold is zero."""
    return homogeneous(trace, x) if alpha == 0 else pinning(trace, x)


@operation("PRelu")
def parametric(trace: Trace, x: Operand, slope: Operand) -> Tensor:
    """Degree 1; the slopes stay."""
    return prelu(trace, x, slope)


@operation("Sqrt")
def root(trace: Trace, x: Operand) -> Tensor:
    """Degree 1/2."""
    return power_of(trace, x, 0.5)


@operation("Reciprocal")
def inverse(trace: Trace, x: Operand) -> Tensor:
    """Degree -1."""
    return power_of(trace, x, -1)


@operation("Pow")
def raised(trace: Trace, x: Operand, exponent: Operand) -> Tensor:
    """Degree = the exponent."""
    return Tensor(np.broadcast_to(power(trace, x, exponent).labels, trace.shape))


@operation("Clip")
def clip(trace: Trace, x: Operand, lower: Any = None, upper: Any = None, **older: Any) -> Tensor:
    """Degree 1 if the bounds are zero, infinite or as large as floats are."""
    bounds = [_bound(operand, older.get(name), sign) for operand, name, sign in ((lower, "min", -1), (upper, "max", 1))]
    return clamp(trace, x, *bounds)


def _bound(operand: Any, attribute: Any, sign: int) -> Any:
    value = attribute if operand is None else constant_number(operand)
    if value is None:
        return operand
    return sign * math.inf if sign * value >= _UNBOUNDED else value


@operation("Add", "Sub", "Sum", "Max", "Min", "Mean")
def sums(trace: Trace, *operands: Operand) -> Operand:
    """All have the scale of the result."""
    result = reduce(lambda x, y: add(trace, x, y), operands)
    return result if isinstance(result, View) else Tensor(np.broadcast_to(result.labels, trace.shape))


@operation("Mul")
def product(trace: Trace, x: Operand, y: Operand) -> Tensor:
    """Log-scales add up."""
    return multiply(trace, x, y)


@operation("Div")
def quotient(trace: TypedTrace, x: Operand, y: Operand) -> Tensor:
    """Log-scales subtract; quotients of integers are rounded."""
    return divide(trace, x, y) if trace.result_kinds[0] == "f" else pinned_all(trace, x, y)


@operation("Mod", "BitShift")
def remainder(trace: Trace, x: Operand, y: Operand, **_: Any) -> Tensor:
    """Not homogeneous."""
    return pinned_all(trace, x, y)


@operation("Where")
def choice(trace: Trace, condition: Operand, x: Operand, y: Operand) -> Tensor:
    """Either of two: both have the scale of the result."""
    return where(trace, condition, x, y)


@operation("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def comparison(trace: Trace, x: Operand, y: Operand) -> Tensor:
    """The same if both have one scale."""
    return compare(trace, x, y)


@operation(*words("And Or Xor Not BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Sign IsNaN IsInf NonZero"))
def scaleless(trace: Trace, *_: Operand, **__: Any) -> Tensor:
    """Signs, and whether something is zero, do not depend on the scale."""
    return pinned(trace.shape)


@operation("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "EyeLike")
def like(trace: Trace, *_: Operand, **__: Any) -> Tensor:
    """Only the shape of the input counts."""
    return pinned(trace.shape)


@operation("Range", "OneHot")
def made(trace: Trace, *operands: Operand, **_: Any) -> Tensor:
    """Made from numbers that must not change."""
    return pinned_all(trace, *operands)


@operation("Softmax", "LogSoftmax")
def softmax(trace: Trace, x: Operand, **_: Any) -> Any:
    """The input must not change."""
    return pinning(trace, x)


@operation("Hardmax", "LpNormalization")
def normalized(trace: Trace, x: Operand, *, axis: int = -1, **_: Any) -> Tensor:
    """Degree 0 where all that is compared has one scale; for Hardmax the opset says what that is, so it is all."""
    labels = trace.labels(x)
    trace.tie_over(labels, range(labels.ndim) if trace.operation == "Hardmax" else [axis])
    return Tensor(constant(PINNED, trace.shape))


@operation("CumSum")
def cumulative(trace: Trace, x: Operand, axis: Operand, **_: Any) -> Tensor:
    """Sums of the elements so far."""
    return Tensor(np.broadcast_to(trace.tie_over(trace.labels(x), [int(number(axis))]), trace.shape))
