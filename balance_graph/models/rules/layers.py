"""Layers with weights: a unit's scale goes into its weights, what it reads comes out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models.contraction import contract
from balance_graph.models.registry import rule
from balance_graph.models.rules.arithmetic import add, multiply
from balance_graph.models.tensors import Operand, Tensor, View
from balance_graph.models.trace import Trace, along, channel_labels

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def reshaped(trace: Trace, x: Operand, shape: tuple[int, ...]) -> Operand:
    """The same elements in another shape."""
    return trace.move(lambda array: array.reshape(shape), x)


@rule("linear")
def linear(trace: Trace, x: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """``x @ weight.T + bias``, weight of shape (out, in) or (in,)."""
    dims = LETTERS[: len(x.shape) - 1]
    units = "y" if len(weight.shape) == 2 else ""
    out = contract(trace, x, dims + "z", weight, units + "z", dims + units)
    return out if bias is None else add(trace, out, bias)


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot")
def matmul(trace: Trace, x: Operand, y: Operand) -> Tensor:
    """The product of matrices, of any number of further dimensions."""
    rows = "y" if len(x.shape) > 1 else ""
    columns = "x" if len(y.shape) > 1 else ""
    batch = LETTERS[: max(len(x.shape), len(y.shape), 2) - 2]
    left = batch[len(batch) - max(len(x.shape) - 2, 0) :]
    right = batch[len(batch) - max(len(y.shape) - 2, 0) :]
    return contract(trace, x, left + rows + "z", y, right + "z" + columns, batch + rows + columns)


@rule("addmm", "addbmm", "baddbmm", "addmv")
def addmm(trace: Trace, bias: Operand, x: Operand, y: Operand, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta bias + alpha x @ y``."""
    product = matmul(trace, x, y)
    if trace.operation.endswith("addbmm") and not trace.operation.endswith("baddbmm"):
        product = Tensor(np.squeeze(trace.tie_over(product.labels, [0]), 0))
    return product if beta == 0 else add(trace, product, bias)


@rule("addr")
def addr(trace: Trace, bias: Operand, x: Operand, y: Operand, **_: Any) -> Tensor:
    """``bias + outer(x, y)``."""
    return add(trace, outer(trace, x, y), bias)


@rule("outer", "ger")
def outer(trace: Trace, x: Operand, y: Operand) -> Tensor:
    """All products."""
    return contract(trace, x, "a", y, "b", "ab")


@rule("einsum")
def einsum(trace: Trace, equation: str, operands: list[Operand], *_: Any, **__: Any) -> Tensor:
    """Products of any number of tensors, summed over what the result lacks; two at a time, from the left."""
    inputs, result = _parsed(equation, [len(x.shape) for x in operands])
    if len(operands) == 1:
        return _reduced_and_moved(trace, _diagonals(trace, operands[0], inputs[0]), result)
    (first, dims), *rest = [_diagonals(trace, x, letters) for x, letters in zip(operands, inputs, strict=True)]
    for place, (x, letters) in enumerate(rest):
        later = {letter for _, more in rest[place + 1 :] for letter in more} | set(result)
        kept = "".join(letter for letter in dict.fromkeys(dims + letters) if letter in later)
        kept = result if place == len(rest) - 1 else kept
        first, dims = contract(trace, first, dims, x, letters, kept), kept
    return Tensor(trace.labels(first))


def _parsed(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result, the dots replaced by letters of their own."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    free = [letter for letter in LETTERS + LETTERS.upper() if letter not in text]
    parts = left.split(",")
    counts = [
        ndim - len(part.replace("...", "")) if "..." in part else 0 for part, ndim in zip(parts, ndims, strict=True)
    ]
    most = max(counts, default=0)
    dots = "".join(free[:most])
    inputs = [part.replace("...", dots[most - n :]) for part, n in zip(parts, counts, strict=True)]
    if arrow:
        return inputs, right.replace("...", dots)
    once = sorted(
        letter for letter in set("".join(inputs)) if "".join(inputs).count(letter) == 1 and letter not in dots
    )
    return inputs, dots + "".join(once)


def _diagonals(trace: Trace, x: Operand, letters: str) -> tuple[Operand, str]:
    """Repeated letters taken along their diagonal."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            one = letters.index(letter)
            two = letters.index(letter, one + 1)
            x = trace.move(lambda array, a=one, b=two: np.diagonal(array, axis1=a, axis2=b), x)
            letters = "".join(c for place, c in enumerate(letters) if place not in (one, two)) + letter
    return x, letters


def _reduced_and_moved(trace: Trace, operand: tuple[Operand, str], result: str) -> Tensor:
    x, letters = operand
    alone = [place for place, letter in enumerate(letters) if letter not in result]
    if isinstance(x, View) and not alone:
        x = trace.move(lambda array: array.transpose([letters.index(letter) for letter in result]), x)
        return Tensor(trace.labels(x))
    labels = np.squeeze(trace.tie_over(trace.labels(x), alone), tuple(alone))
    kept = "".join(letter for letter in letters if letter in result)
    return Tensor(labels.transpose([kept.index(letter) for letter in result]))


@rule("bilinear")
def bilinear(trace: Trace, x: Operand, y: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """``x^T W y + bias``, weight of shape (out, in 1, in 2)."""
    dims = LETTERS[: len(x.shape) - 1]
    products = contract(trace, x, dims + "x", y, dims + "y", dims + "xy")
    out = contract(trace, products, dims + "xy", weight, "zxy", dims + "z")
    return out if bias is None else add(trace, out, bias)


@rule("conv")
def convolution(
    trace: Trace, x: Operand, weight: Operand, bias: Operand | None = None, *, groups: int = 1, transposed: bool = False
) -> Tensor:
    """A convolution of any dimension: weight of shape (out, in / groups, ...), or transposed (in, out / groups, ...).

    All positions of a channel have one scale. The kernel's positions share theirs as well.
    """
    shape = trace.shape
    channel = len(shape) - (len(weight.shape) - 1)
    read = Tensor(channel_labels(trace, x, channel).reshape(groups, -1))
    kernel = LETTERS[: len(weight.shape) - 2]
    grouped = _grouped(trace, weight, groups)
    names = "gxy" if transposed else "gyx"
    out = contract(trace, read, "gx", grouped, names + kernel, "gy", "channel")
    labels = along(out.labels.reshape(-1), channel, shape)
    return Tensor(labels) if bias is None else add(trace, Tensor(labels), per_channel(trace, bias, channel, len(shape)))


def _grouped(trace: Trace, weight: Operand, groups: int) -> Operand:
    first, second, *kernel = weight.shape
    return reshaped(trace, weight, (groups, first // groups, second, *kernel))


def per_channel(trace: Trace, x: Operand, channel: int, ndim: int) -> Operand:
    """A vector over channels in a shape that broadcasts to the tensor's."""
    shape = tuple(-1 if dim == channel % ndim else 1 for dim in range(ndim))
    return trace.move(lambda array: array.reshape(shape), x)


@rule("embedding")
def embedding(trace: Trace, weight: Operand, indices: Operand, *_: Any, **__: Any) -> Operand:
    """Rows of the weight: those at the indices if these are known, else any."""
    return take(trace, weight, 0, indices)


def take(trace: Trace, x: Operand, dim: int, indices: Operand) -> Operand:
    """Elements along a dimension at indices: literally if they are known, else any of them may be meant."""
    value = known(indices)
    if value is not None:
        return trace.move(lambda array: array.take(value, axis=dim), x)
    chosen = anywhere(trace, x, (dim,))
    return trace.move(lambda array: array.take(np.zeros(indices.shape, dtype=np.int64), axis=dim), chosen)


def known(operand: Any) -> Any:
    """The value of a constant as an array; None if it depends on inputs, or is a buffer that may be changed."""
    value = getattr(operand, "value", None)
    return None if value is None else np.asarray(value)


def anywhere(trace: Trace, x: Operand, dims: tuple[int, ...]) -> Operand:
    """What stands for any element along the dimensions: they are tied, and of size 1."""
    dims = tuple(dim % len(x.shape) for dim in dims)
    if isinstance(x, View):
        x.parameter.role = x.parameter.role or "weight"
        return x.hide(dims)
    return Tensor(trace.tie_over(x.labels, dims))


def scaled_and_shifted(trace: Trace, x: Index, weight: Operand | None, bias: Operand | None) -> Tensor:
    """``x weight + bias``, what normalizations end with; weight and bias broadcast to x."""
    out = Tensor(x)
    for parameter, combine in ((weight, multiply), (bias, add)):
        if parameter is not None:
            _mark(parameter)
            out = combine(trace, out, parameter)
    return out


def _mark(operand: Any) -> None:
    if isinstance(operand, View):
        operand.parameter.role = operand.parameter.role or "norm"
