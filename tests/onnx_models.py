"""Small ONNX models, written node by node; and what the tests measure of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from balance_graph.onnx import apply, balance_model, read_model

DOUBLE = TensorProto.DOUBLE


def model_of(nodes, weights, x, outputs=("y",), *, opset=22, kind=DOUBLE, more_inputs=(), functions=(), domains=()):
    """A model of one input ``x`` of this shape; nodes are (operation, inputs, outputs, attributes)."""
    written = []
    for operation, inputs, names, *attributes in nodes:
        domain, _, name = operation.rpartition("::")
        options = attributes[0] if attributes else {}
        written.append(
            helper.make_node(
                name, inputs.split(" "), names.split(" "), name=f"n_{names.split(' ')[0]}", domain=domain, **options
            )
        )
    graph = helper.make_graph(
        written,
        "small",
        [helper.make_tensor_value_info("x", kind, x), *more_inputs],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [
            value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), name)
            for name, value in weights.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)


def random(*shape, seed=0, scale=0.6):
    return scale * np.random.default_rng([seed, *shape]).standard_normal(shape)


def gemms(*steps, result="r", width=4, wide=None, opset=22, **constants):
    """Three inputs, a layer of `width` units ``h``, the steps, a layer that reads `result`."""
    weights = {
        "V": random(3, width),
        "a": random(width, seed=1),
        "W": random(wide or width, 3, seed=2),
        "b": random(3, seed=3),
    }
    nodes = [("Gemm", "x V a", "h"), *steps, ("MatMul", f"{result} W", "m"), ("Add", "m b", "y")]
    return model_of(nodes, weights | constants, [2, 3], opset=opset)


def convs(*steps, result="r", wide=4, opset=22, **constants):
    """A picture of two channels, a convolution of four channels ``h``, the steps, a convolution that reads `result`."""
    weights = {"V": random(4, 2, 3, 3), "a": random(4, seed=1), "W": random(3, wide, 1, 1, seed=2)}
    return model_of(
        [("Conv", "x V a", "h", {"pads": [1, 1, 1, 1]}), *steps, ("Conv", f"{result} W", "y")],
        weights | constants, [1, 2, 6, 6], opset=opset,
    )  # fmt: skip


def outputs_of(model, inputs):
    """By the reference evaluator, whatever the package checks with."""
    with np.errstate(all="ignore"):
        return [np.asarray(value, dtype=np.float64) for value in ReferenceEvaluator(model).run(None, dict(inputs))]


def change(one, other, inputs):
    pairs = zip(outputs_of(one, inputs), outputs_of(other, inputs), strict=True)
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)


def weights_of(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def check(model, free, *, example_inputs=None):
    """The number of free scales; the function at random scales, and in the balanced state."""
    found = read_model(model, example_inputs)
    assert not found.structure.unknown
    assert found.structure.size == free, found.structure.summary()
    scaled = apply(found, np.random.default_rng(1).standard_normal(free))
    assert change(model, scaled, found.inputs) < 1e-12
    moved = any(
        not np.array_equal(a, b) for a, b in zip(weights_of(model).values(), weights_of(scaled).values(), strict=True)
    )
    assert moved or not free
    report = balance_model(scaled, example_inputs=example_inputs)
    assert change(model, report.model, found.inputs) < 1e-12
    assert report.relative_imbalance < 1e-10
    assert report.cost <= report.initial_cost * (1 + 1e-12)
    assert report.converged
    return report


def saved(model, path):
    onnx.save(model, path)
    return path


def single(model, kind=TensorProto.FLOAT, dtype=np.float32):
    """The model in another type, by default in single precision."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
    for value in result.graph.input:
        value.type.tensor_type.elem_type = kind
    return result


def one(operation, **attributes):
    """One step from ``h`` to ``r``."""
    return [(operation, "h", "r", attributes)]
