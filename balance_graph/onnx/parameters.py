"""Which constants of a model are its parameters: ONNX does not say, so what reads them does.

A file keeps what was trained and what was written in the code in one place. What a layer has a slot for (weight, bias)
is a parameter; so is what is added or multiplied element by element, unless it is one number (``x + 3``, ``x / 8``), a
mask, or a factor that varies along more than one dimension (tables of rotary embeddings). All else is a constant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from balance_graph.onnx.graph import FLOATING, Graph, Node

# Inputs that are parameters where they are constants.
SLOTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "Einsum": tuple(range(8)),
    "Gather": (0,),
    "PRelu": (1,),
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "RMSNormalization": (1,),
    "RNN": (1, 2, 3),
    "GRU": (1, 2, 3),
    "LSTM": (1, 2, 3, 7),
}
# Running statistics: they scale, and cost nothing.
BUFFERS = {"BatchNormalization": (3, 4)}
ADDITIONS, FACTORS, JOINING = frozenset({"Add", "Sub", "Sum"}), frozenset({"Mul", "Div"}), frozenset({"Concat"})
# These show the same elements elsewhere.
VIEWS = frozenset(
    {"Identity", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Slice", "Split"}
)


def parameters_of(graph: Graph) -> dict[str, bool]:
    """Names of the parameters, with True for running statistics; those that are read elsewhere, too, are parameters."""
    constants = set(graph.tensors)
    for node in graph.nodes:
        if all(name in constants for name in node.reads):
            constants.update(node.outputs)
    sources = {name: name for name, tensor in graph.tensors.items() if tensor.data_type in FLOATING}
    parameters, statistics, others = set[str](), set[str](), set[str]()
    for node in graph.nodes:
        if node.name in VIEWS and node.inputs and node.inputs[0] in sources:
            sources.update(dict.fromkeys(node.outputs, sources[node.inputs[0]]))
            continue
        is_constant = all(name in constants for name in node.reads)
        for place, name in enumerate(node.inputs):
            if name not in sources:
                continue
            source = sources[name]
            if not is_constant and place in BUFFERS.get(node.name, ()):
                statistics.add(source)
            elif not is_constant and _is_parameter(node, place, graph.tensors[source]):
                parameters.add(source)
            else:
                others.add(source)
    known = parameters | statistics
    return {name: name not in parameters | others for name in graph.tensors if name in known}


def _is_parameter(node: Node, place: int, tensor: onnx.TensorProto) -> bool:
    if node.name in SLOTS:
        return place in SLOTS[node.name]
    several = int(np.prod(tensor.dims, dtype=np.int64)) > 1
    is_vector = sum(size > 1 for size in tensor.dims) == 1
    if node.name in ADDITIONS:
        return several and (is_vector or not _is_mask(tensor))
    return (node.name in FACTORS and is_vector) or (node.name in JOINING and several)


def _is_mask(tensor: onnx.TensorProto) -> bool:
    """Zero or one other number everywhere, or infinite somewhere."""
    values = np.asarray(numpy_helper.to_array(tensor), dtype=np.float64)
    nonzero = values[values != 0]
    return not np.isfinite(values).all() or bool((nonzero == nonzero[:1]).all())
