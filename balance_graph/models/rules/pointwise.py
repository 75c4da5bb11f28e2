"""Functions of one element: homogeneous ones multiply its log-scale by their degree, all others pin it."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real
from typing import Any

from balance_graph.models.equations import Number
from balance_graph.models.labels import ZERO, constant
from balance_graph.models.registry import rule, words
from balance_graph.models.tensors import Operand, Tensor, pinned
from balance_graph.models.trace import Trace

# An exponent that is no fraction with a denominator up to this is not trusted to be exact.
LARGEST_DENOMINATOR = 64


@rule(
    *words("relu leaky_relu rrelu abs absolute clone contiguous alias detach lift_fresh_copy real positive"),
    *words("dropout native_dropout feature_dropout identity conj _conj _conj_physical resolve_conj resolve_neg"),
)
def homogeneous(trace: Trace, x: Operand, *_: Any, **__: Any) -> Any:
    """Degree 1: f(s x) = s f(x) for s > 0. Dropout multiplies by a mask that depends on no value."""
    result = Tensor(trace.labels(x))
    return (result, *(pinned(shape) for shape in trace.shapes[1:])) if len(trace.shapes) > 1 else result


@rule("neg", "negative")
def negated(trace: Trace, x: Operand) -> Operand:
    """Degree 1; the negative of a parameter is still a view of it as far as scales go."""
    return x if not isinstance(x, Tensor) else Tensor(x.labels)


@rule("prelu", "_prelu_kernel")
def prelu(trace: Trace, x: Operand, slope: Operand) -> Tensor:
    """Degree 1 in x; the slopes stay."""
    trace.pin(slope, "slope of a PReLU")
    return Tensor(trace.labels(x))


@rule("alpha_dropout", "feature_alpha_dropout")
def alpha_dropout(trace: Trace, x: Operand, probability: float = 0.5, train: bool = False) -> Tensor:
    """The identity in evaluation; in training it adds a constant."""
    return _pinned_one(trace, x) if train and probability else Tensor(trace.labels(x))


@rule(
    *words("gelu silu swish mish tanh sigmoid hardsigmoid hardswish hardtanh relu6 elu selu celu softplus"),
    *words(
        "softsign logsigmoid log_sigmoid log_sigmoid_forward hardshrink softshrink tanhshrink exp exp2 expm1 log log2"
    ),
    *words(
        "log10 log1p sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc erfinv lgamma digamma logit sinc"
    ),
    *words("round floor ceil trunc frac nan_to_num bernoulli"),
)
def pinning(trace: Trace, x: Operand, *_: Any, **__: Any) -> Any:
    """Not homogeneous: the input must not change, nor does the output."""
    trace.pin(x, f"input of {trace.operation}")
    results = tuple(pinned(shape) for shape in trace.shapes)
    return results[0] if len(results) == 1 else results


def _pinned_one(trace: Trace, x: Operand) -> Tensor:
    trace.pin(x, f"input of {trace.operation}")
    return pinned(trace.shape)


@rule(
    *words("sign sgn logical_not isnan isinf isfinite heaviside signbit bitwise_not"),
    *words("ones_like rand_like randn_like empty_like new_ones new_empty"),
    *words("rand randn randint randperm empty empty_strided"),
)
def degree_zero(trace: Trace, *_: Any, **__: Any) -> Tensor:
    """The scale of the input does not matter."""
    return pinned(trace.shape)


@rule("zeros_like", "new_zeros")
def zeros(trace: Trace, *_: Any, **__: Any) -> Tensor:
    """Zeros agree with any scale."""
    return Tensor(constant(ZERO, trace.shape))


def exact(exponent: Any) -> Number | None:
    """The exponent as a fraction; None if it is none, or not exactly."""
    if isinstance(exponent, bool) or not isinstance(exponent, Real):
        return None
    value = float(exponent)
    if not math.isfinite(value):
        return None
    fraction = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    if float(fraction) != value:
        return None
    return fraction.numerator if fraction.denominator == 1 else fraction


def power_of(trace: Trace, x: Operand, exponent: Any) -> Tensor:
    """Degree = exponent."""
    factor = exact(exponent)
    if factor is None:
        return _pinned_one(trace, x)
    if factor == 0:
        return pinned(trace.shape)
    return Tensor(trace.multiple(trace.labels(x), factor))


@rule("square")
def square(trace: Trace, x: Operand) -> Tensor:
    """Degree 2."""
    return power_of(trace, x, 2)


@rule("sqrt")
def square_root(trace: Trace, x: Operand) -> Tensor:
    """Degree 1/2."""
    return power_of(trace, x, 0.5)


@rule("rsqrt")
def reciprocal_square_root(trace: Trace, x: Operand) -> Tensor:
    """Degree -1/2."""
    return power_of(trace, x, -0.5)


@rule("reciprocal")
def reciprocal(trace: Trace, x: Operand) -> Tensor:
    """Degree -1."""
    return power_of(trace, x, -1)


def _harmless(bound: Any, *, infinite: float) -> bool:
    """A bound that scaling respects: none, zero or infinite."""
    return bound is None or (
        isinstance(bound, Real) and not isinstance(bound, bool) and float(bound) in {0.0, infinite}
    )


@rule("clamp", "clip")
def clamp(trace: Trace, x: Operand, lower: Any = None, upper: Any = None, **bounds: Any) -> Tensor:
    """Degree 1 if the bounds are zero or infinite; others pin."""
    lower, upper = bounds.get("min", lower), bounds.get("max", upper)
    if _harmless(lower, infinite=float("-inf")) and _harmless(upper, infinite=float("inf")):
        return Tensor(trace.labels(x))
    for bound in (lower, upper):
        if bound is not None:
            trace.pin(bound, f"bound of {trace.operation}")
    return _pinned_one(trace, x)


@rule("clamp_min")
def clamp_min(trace: Trace, x: Operand, lower: Any) -> Tensor:
    """A lower bound."""
    return clamp(trace, x, lower)


@rule("clamp_max")
def clamp_max(trace: Trace, x: Operand, upper: Any) -> Tensor:
    """An upper bound."""
    return clamp(trace, x, None, upper)


@rule("threshold")
def threshold(trace: Trace, x: Operand, bound: float, value: float) -> Tensor:
    """Degree 1 at zero, where it is a ReLU."""
    return Tensor(trace.labels(x)) if bound == value == 0 else _pinned_one(trace, x)
