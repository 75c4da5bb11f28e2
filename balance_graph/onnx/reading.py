"""From an ONNX model to the structure of its scales."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import balance_graph.onnx.operations  # noqa: F401 - it registers the rules
from balance_graph.errors import UnsupportedError
from balance_graph.models import Structure, Tensor, find_rule, structure_of
from balance_graph.models.labels import PINNED, constant, constant_like
from balance_graph.models.tensors import Operand, Parameter, pinned
from balance_graph.onnx.evaluation import run
from balance_graph.onnx.files import ModelLike, load
from balance_graph.onnx.graph import Graph, Node, graph_of, tensors_of
from balance_graph.onnx.inputs import given_inputs, random_inputs
from balance_graph.onnx.operations.arguments import NotUnderstoodError
from balance_graph.onnx.parameters import parameters_of
from balance_graph.onnx.typed_trace import TypedTrace, kind_of


@dataclass(frozen=True, eq=False)
class ModelStructure:
    """A model's structure, with the model and what it computes on example inputs.

    Attributes
    ----------
    structure : Structure
        Scales, gains and units. Parameters are known by the names of initializers.
    model : onnx.ModelProto
        A copy of the model, with all weights in it.
    inputs : dict of str to ndarray
        The example inputs.
    outputs : dict of str to ndarray
        What the model computes on them: its outputs; of a sigmoid, softmax or tanh what it reads, since those saturate.
    runtime : str
        What computed that: ``"ONNX Runtime"``, or ``"reference evaluator"`` where the runtime has no kernels.
    is_external : bool
        Whether the file kept its weights in other files.
    """

    structure: Structure
    model: onnx.ModelProto = field(repr=False)
    inputs: Mapping[str, Any] = field(repr=False)
    outputs: Mapping[str, Any] = field(repr=False)
    runtime: str
    is_external: bool
    _tensors: Mapping[str, onnx.TensorProto] = field(repr=False)

    def tensor(self, parameter: Parameter) -> onnx.TensorProto:
        """The parameter as it is in `model`."""
        return self._tensors[str(parameter.key)]

    def of(self, scaled: onnx.ModelProto) -> ModelStructure:
        """The same structure of a copy with other weights."""
        return replace(self, model=scaled, _tensors=tensors_of(scaled))

    def array(self, parameter: Parameter) -> Any:
        """The parameter's values."""
        return numpy_helper.to_array(self.tensor(parameter))


def read_model(model: ModelLike, example_inputs: Any = None) -> ModelStructure:
    """The scale freedoms of an ONNX model: which weights may be multiplied by what without changing its function.

    The model is run once, so that all shapes are known, and all that depends on shapes alone. Then it is read
    operation by operation, as `balance_graph.pytorch.read_module` reads modules. What a layer has a slot for, and what
    is added or multiplied element by element, is a parameter; single numbers, masks and tables are constants.

    Parameters
    ----------
    model : onnx.ModelProto or path
        It is not changed. Opset 9 or later.
    example_inputs : dict of str to array, or sequence of arrays, optional
        By default random ones of the types and shapes that the model states, dimensions of unknown size being small.

    Returns
    -------
    ModelStructure

    Raises
    ------
    InvalidParameterError
        If `model` is no model, or the inputs are not those of the model.
    NetworkFileError
        If the file holds no ONNX model.
    UnsupportedError
        If the model does not run on the inputs, is older than opset 9, or has sparse initializers.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> from balance_graph.onnx import read_model
    >>> floats = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    >>> nodes = [helper.make_node("Gemm", ["x", "V", "b"], ["h"], name="first"), helper.make_node("Relu", ["h"], ["r"]),
    ...          helper.make_node("Gemm", ["r", "W"], ["y"], name="last")]
    >>> weights = {"V": np.ones((3, 5), "f"), "b": np.ones(5, "f"), "W": np.ones((5, 2), "f")}
    >>> graph = helper.make_graph(nodes, "net", [floats("x", 1, 3)], [floats("y", 1, 2)],
    ...                           [numpy_helper.from_array(w, name) for name, w in weights.items()])
    >>> opsets = [helper.make_opsetid("", 17)]
    >>> found = read_model(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    >>> found.structure.size, found.structure.scales[0]
    (5, 'first unit 0')
    """
    own, is_external = load(model)
    graph = graph_of(own)
    names = [name for node in graph.nodes for name in node.outputs if name and name not in graph.tensors]
    inputs, values, runtime = _run(graph, list(dict.fromkeys([*names, *graph.outputs])), example_inputs)
    reader = _Reader(graph, inputs, values)
    outputs = {name: values[name] for name in graph.measured}
    return ModelStructure(reader.structure(), own, inputs, outputs, runtime, is_external, graph.tensors)


def _run(graph: Graph, names: list[str], examples: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    if examples is not None:
        inputs = given_inputs(graph.inputs, examples)
        return inputs, *run(graph.proto, names, inputs)
    first: UnsupportedError | None = None
    for inputs in random_inputs(graph.inputs):
        try:
            return inputs, *run(graph.proto, names, inputs)
        except UnsupportedError as error:
            first = first or error
    raise first or UnsupportedError("the model has no inputs")


class _Reader:
    """Runs a graph on labels."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self.graph = graph
        self.trace = TypedTrace()
        self.values = {**inputs, **values}
        self.parameters = parameters_of(graph)
        self.results: dict[str, Operand] = {name: pinned(np.shape(value)) for name, value in inputs.items()}

    def structure(self) -> Structure:
        for node in self.graph.nodes:
            if not all(name in self.graph.tensors for name in node.outputs):
                self._read(node)
        for name in self.graph.outputs:
            self.trace.pin(self._operand(name), "output of the model")
        return structure_of(self.trace)

    def _operand(self, name: str) -> Operand:
        if name not in self.results:
            self.results[name] = self._constant(name)
        return self.results[name]

    def _constant(self, name: str) -> Operand:
        tensor = self.graph.tensors[name]
        shape = tuple(tensor.dims)
        if name in self.parameters:
            is_buffer = self.parameters[name]
            view = self.trace.parameter(name, name, shape, is_buffer=is_buffer)
            return Tensor(constant(PINNED, shape), None, view, changeable=True) if is_buffer else view
        return _valued(numpy_helper.to_array(tensor))

    def _read(self, node: Node) -> None:
        operands = [self._operand(name) if name else None for name in node.inputs]
        if node.name in SHAPES or (node.name not in RANDOM and not node.captured and all(map(_has_value, operands))):
            results: Any = tuple(_valued(self.values[name]) if name else pinned(()) for name in node.outputs)
        else:
            found = [_array_of(self.values[name]) if name else np.zeros(()) for name in node.outputs]
            shapes = [array.shape for array in found]
            with self.trace.at(node.owner, node.name, shapes):
                self.trace.result_kinds = tuple(kind_of(array) for array in found)
                results = self._call(node, operands)
        results = results if isinstance(results, tuple) else (results,)
        for name, result in zip(node.outputs, results, strict=True):
            self.results[name] = result

    def _call(self, node: Node, operands: list[Operand | None]) -> Any:
        while operands and operands[-1] is None:
            operands = operands[:-1]
        found = find_rule(node.name if "::" in node.name else f"onnx::{node.name}")
        if found is None or node.captured or not _accepts(found, operands, node.attributes):
            return self._refused(node, operands)
        try:
            results = found(self.trace, *operands, **node.attributes)
        except NotUnderstoodError:
            return self._refused(node, operands)
        results = results if isinstance(results, tuple) else (results,)
        results += tuple(pinned(shape) for shape in self.trace.shapes[len(results) :])
        shapes = [() if not name else result.shape for name, result in zip(node.outputs, results, strict=False)]
        expected = [() if not name else s for name, s in zip(node.outputs, self.trace.shapes, strict=True)]
        return results[: len(expected)] if shapes == expected else self._refused(node, operands)

    def _refused(self, node: Node, operands: list[Operand | None]) -> Any:
        captured = [self._operand(name) for name in node.captured if name in self.results or name in self.graph.tensors]
        read = [operand for operand in (*operands, *captured) if operand is not None]
        return self.trace.refuse(f"unknown operation {node.name}", read)


# What they return depends on shapes alone; or on no input at all.
SHAPES = frozenset({"Shape", "Size"})
RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"}
)


def _valued(value: Any) -> Tensor:
    array = _array_of(value)
    if kind_of(array) == "f" and array.dtype.kind != "f":
        array = array.astype(np.float64)  # bfloat16
    return Tensor(constant_like(array), array) if array.dtype.kind in "fiub" else pinned(array.shape)


def _array_of(value: Any) -> Any:
    """The value of a tensor; a sequence, or nothing, is taken as one object."""
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else np.empty((), dtype=object)


def _has_value(operand: Operand | None) -> bool:
    return operand is None or (isinstance(operand, Tensor) and operand.value is not None)


def _accepts(found: Any, operands: list[Any], options: dict[str, Any]) -> bool:
    """Whether the rule knows these arguments: a rule for other ones must not guess."""
    try:
        inspect.signature(found).bind(None, *operands, **options)
    except TypeError:
        return False
    return True
