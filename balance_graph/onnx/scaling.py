"""Scaling a model: its tensors are multiplied in a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from balance_graph._types import Array
from balance_graph.models import Block
from balance_graph.onnx.graph import tensors_of
from balance_graph.onnx.reading import ModelStructure


def apply(model: ModelStructure, log_scales: Any) -> onnx.ModelProto:
    """A copy of the model whose weights are multiplied by what a choice of scales makes of them.

    Factors are computed in double precision, and each product is rounded once to the type of the initializer.

    Parameters
    ----------
    model : ModelStructure
        Of `read_model`.
    log_scales : array_like
        One finite number for each free scale, in the order of ``model.structure.scales``.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    InvalidParameterError
        If there are more or fewer, or some are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> from balance_graph.onnx import apply, read_model
    >>> floats = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    >>> nodes = [helper.make_node("Gemm", ["x", "V"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
    ...          helper.make_node("Gemm", ["r", "W"], ["y"])]
    >>> weights = [numpy_helper.from_array(np.ones((2, 2), "f"), name) for name in "VW"]
    >>> graph = helper.make_graph(nodes, "net", [floats("x", 1, 2)], [floats("y", 1, 2)], weights)
    >>> model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    >>> scaled = apply(read_model(model), np.log([2.0, 4.0]))
    >>> numpy_helper.to_array(scaled.graph.initializer[1])
    array([[0.5 , 0.5 ],
           [0.25, 0.25]], dtype=float32)
    """
    values = model.structure.values(log_scales)
    copy = onnx.ModelProto()
    copy.CopyFrom(model.model)
    tensors = tensors_of(copy)
    blocks: dict[str, list[Block]] = {}
    for block in model.structure.blocks:
        blocks.setdefault(str(block.parameter.key), []).append(block)
    for name, found in blocks.items():
        tensor = tensors[name]
        scaled = _scaled(numpy_helper.to_array(tensor), found, values)
        tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
    return copy


def _scaled(array: Any, blocks: Sequence[Block], values: Array) -> Any:
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        for block in blocks:
            index = block.index()
            factors = np.broadcast_to(np.exp(block.gains(values)), block.split)
            wide[index] *= factors.reshape(wide[index].shape)
        return wide.astype(array.dtype)
