"""Layers with weights, and normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph.models import Tensor, Trace
from balance_graph.models.rules import layers as rules
from balance_graph.models.rules import normalization
from balance_graph.models.rules.arithmetic import add
from balance_graph.models.tensors import Operand
from balance_graph.onnx.operations.arguments import operation


@operation("Conv", "ConvTranspose")
def convolution(trace: Trace, x: Operand, weight: Operand, bias: Any = None, *, group: int = 1, **_: Any) -> Tensor:
    """Of any dimension, grouped or not."""
    return rules.convolution(trace, x, weight, bias, groups=group, transposed=trace.operation == "ConvTranspose")


@operation("MatMul")
def matmul(trace: Trace, x: Operand, y: Operand) -> Tensor:
    """The product of matrices."""
    return rules.matmul(trace, x, y)


@operation("Gemm")
def gemm(
    trace: Trace, a: Operand, b: Operand, c: Any = None, *,
    transA: int = 0, transB: int = 0, beta: float = 1.0, **_: Any,  # noqa: N803
) -> Tensor:  # fmt: skip
    """``alpha a b + beta c``, each of the factors transposed or not."""
    one, two = (trace.move(np.transpose, x) if is_transposed else x for x, is_transposed in ((a, transA), (b, transB)))
    product = rules.matmul(trace, one, two)
    return product if c is None or beta == 0 else add(trace, product, c)


@operation("Einsum")
def einsum(trace: Trace, *operands: Operand, equation: str) -> Tensor:
    """Products of any number of tensors, summed."""
    return rules.einsum(trace, equation, list(operands))


@operation("BatchNormalization")
def batch_norm(
    trace: Trace, x: Operand, weight: Operand, bias: Operand, mean: Operand, variance: Operand,
    *, training_mode: int = 0, **_: Any,
) -> Any:  # fmt: skip
    """An affine map of each channel, unless it trains."""
    if training_mode:
        for statistic in (mean, variance):
            trace.pin(statistic, "statistics of a batch norm that trains")
        return normalization.batch_statistics(trace, x, weight, bias)
    return normalization.batch_norm(trace, x, weight, bias, mean, variance)


@operation("LayerNormalization", "RMSNormalization")
def layer_norm(
    trace: Trace, x: Operand, weight: Any = None, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5, **_: Any
) -> Any:
    """Over the dimensions from the axis on."""
    dims = x.shape[axis % len(x.shape) :]
    if len(trace.shapes) > 1:  # the statistics, too, whose degrees are others
        trace.pin(x, "input of a normalization whose statistics are used")
    return normalization.layer_norm(trace, x, dims, weight, bias, epsilon)


@operation("InstanceNormalization")
def instance_norm(trace: Trace, x: Operand, weight: Operand, bias: Operand, *, epsilon: float = 1e-5) -> Tensor:
    """Over the positions of each channel."""
    return normalization.instance_norm(trace, x, weight, bias, eps=epsilon)


@operation("GroupNormalization")
def group_norm(
    trace: Trace, x: Operand, weight: Operand, bias: Operand, *, num_groups: int, epsilon: float = 1e-5, **_: Any
) -> Tensor:
    """Over groups of channels; weights and biases were one for each group before opset 21."""
    scale, shift = (
        trace.move(lambda array: np.repeat(array, x.shape[1] // array.shape[0]), parameter)
        for parameter in (weight, bias)
    )
    return normalization.group_norm(trace, x, num_groups, scale, shift, epsilon)
