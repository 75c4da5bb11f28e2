"""A model as nodes in order, and the constants that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import helper, inliner

from balance_graph.errors import UnsupportedError

FLOATING = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)
# Machine epsilon by the type of elements.
EPSILON = {
    onnx.TensorProto.DOUBLE: 2.0**-52,
    onnx.TensorProto.FLOAT: 2.0**-23,
    onnx.TensorProto.FLOAT16: 2.0**-10,
    onnx.TensorProto.BFLOAT16: 2.0**-7,
}
# The default domain has two names.
DEFAULT = frozenset({"", "ai.onnx"})
_OLDEST = 9


@dataclass(frozen=True, eq=False)
class Node:
    """An operation: `name` is ``Relu``, or ``domain::Op`` outside the default domain."""

    name: str
    owner: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    captured: tuple[str, ...] = ()
    """What its subgraphs read from outside."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all tensors that it depends on."""
        return tuple(name for name in (*self.inputs, *self.captured) if name)


@dataclass(frozen=True, eq=False)
class Graph:
    """What of a model its outputs depend on.

    Attributes
    ----------
    proto : onnx.ModelProto
        With functions of its own written out.
    nodes : tuple of Node
        In an order in which they can be run.
    tensors : dict of str to onnx.TensorProto
        Initializers and tensors of ``Constant`` nodes, by name; those of the model itself, to be written to.
    inputs : tuple of onnx.ValueInfoProto
        Those that are no initializers.
    outputs : tuple of str
    """

    proto: onnx.ModelProto
    nodes: tuple[Node, ...]
    tensors: dict[str, onnx.TensorProto]
    inputs: tuple[Any, ...] = field(repr=False)
    outputs: tuple[str, ...]

    @property
    def measured(self) -> tuple[str, ...]:
        """What tells whether the function is kept: the outputs; of those that saturate, what is read there.

        A sigmoid far out is near 0 with an error as of numbers near 1, or is 1 whatever it reads; and so are its values
        in another shape.
        """
        maker = {name: node for node in self.nodes for name in node.outputs[:1]}
        return tuple(dict.fromkeys(_before_saturation(name, maker) for name in self.outputs))


def _before_saturation(output: str, maker: dict[str, Node]) -> str:
    """What a function that saturates reads to make an output; the output itself where there is no such function."""
    name = output
    while (node := maker.get(name)) is not None and node.name in _REARRANGING:
        name = node.inputs[0]
    return node.inputs[0] if node is not None and node.name in _SATURATING else output


_REARRANGING = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast"})
# All of these pin what they read.
_SATURATING = frozenset({"Sigmoid", "HardSigmoid", "Softmax", "LogSoftmax", "Tanh"})


def graph_of(model: onnx.ModelProto) -> Graph:
    """The graph of a model.

    Raises
    ------
    UnsupportedError
        If its operations are older than opset 9, or it has sparse initializers.
    """
    for opset in model.opset_import:
        if opset.domain in DEFAULT and opset.version < _OLDEST:
            message = (
                f"the model is of opset {opset.version}; {_OLDEST} and later are read: "
                "onnx.version_converter.convert_version brings it there"
            )
            raise UnsupportedError(message)
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        message = f"initializer {name!r} is sparse; make it dense before balancing"
        raise UnsupportedError(message)
    tensors = tensors_of(model)
    written = inliner.inline_local_functions(model) if model.functions else model
    nodes = [_node(node) for node in written.graph.node]
    outputs = tuple(output.name for output in model.graph.output)
    inputs = tuple(one for one in model.graph.input if one.name not in tensors)
    return Graph(written, tuple(_needed(nodes, outputs)), tensors, inputs, outputs)


def tensors_of(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Initializers and tensors of ``Constant`` nodes, by name."""
    return dict(_tensors(model.graph))


def _tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in DEFAULT and node.attribute[0].name == "value":
            yield node.output[0], node.attribute[0].t


def _node(node: onnx.NodeProto) -> Node:
    name = node.op_type if node.domain in DEFAULT else f"{node.domain}::{node.op_type}"
    owner = (node.name or next((o for o in node.output if o), node.op_type)).replace(" ", "_")
    attributes, captured = {}, list[str]()
    for attribute in node.attribute:
        if attribute.type in {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}:
            for inner in (attribute.g, *attribute.graphs):
                captured += _captured(inner)
        elif not attribute.ref_attr_name:
            value = helper.get_attribute_value(attribute)
            attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    outputs = list(node.output)
    while outputs and not outputs[-1]:
        outputs.pop()
    return Node(name, owner, tuple(node.input), tuple(outputs), attributes, tuple(dict.fromkeys(captured)))


def _captured(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that a subgraph reads and does not define."""
    own = {one.name for one in (*graph.input, *graph.initializer)}
    for node in graph.node:
        found = _node(node)
        yield from (name for name in found.reads if name not in own)
        own.update(found.outputs)
    yield from (output.name for output in graph.output if output.name not in own)


def _needed(nodes: list[Node], outputs: tuple[str, ...]) -> list[Node]:
    """The nodes that the outputs depend on, in order."""
    wanted, kept = set(outputs), list[Node]()
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            wanted.update(node.reads)
            kept.append(node)
    return kept[::-1]
