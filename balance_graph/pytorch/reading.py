"""From a module to the structure of its scales, by way of `torch.export`."""

from __future__ import annotations

import contextlib
import inspect
import operator
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn
from torch.export.graph_signature import InputKind

from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.models import Structure, Tensor, Trace, View, find_rule, structure_of
from balance_graph.models.labels import PINNED, ZERO, constant_like, spread
from balance_graph.models.registry import words
from balance_graph.models.tensors import Parameter, pinned
from balance_graph.pytorch.aten import MOVES, move
from balance_graph.pytorch.evaluation import evaluating
from balance_graph.pytorch.in_place import in_place, is_functional
from balance_graph.pytorch.shards import is_sharded, reshard
from balance_graph.pytorch.skeleton import has_memory, skeleton, whole_inputs


@dataclass(frozen=True, eq=False)
class ModelStructure:
    """A module's structure, with the tensors that its parameters are.

    Attributes
    ----------
    structure : Structure
        Scales, gains and units.
    tensors : dict
        The module's parameters and buffers, by the keys that the structure uses.
    """

    structure: Structure
    tensors: Mapping[Any, torch.Tensor]

    def tensor(self, parameter: Parameter) -> torch.Tensor:
        """The module's own tensor, not a copy."""
        return self.tensors[parameter.key]


_CACHE: WeakKeyDictionary[nn.Module, tuple[Any, ModelStructure]] = WeakKeyDictionary()


def read_module(
    module: nn.Module, example_inputs: tuple[Any, ...], *, kwargs: dict[str, Any] | None = None, training: bool = False
) -> ModelStructure:
    """The scale freedoms of a module: which parameters may be multiplied by what without changing its function.

    The module is exported in evaluation mode and read operation by operation. No weights enter, only the
    architecture; so the structure is kept, and reading the same module again costs nothing until its layers, its
    parameters (as objects) or the shapes of the inputs change.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed: neither weights nor the modes of its submodules.
    example_inputs : tuple
        Positional arguments, as for `torch.export.export`; small ones are read faster.
    kwargs : dict, optional
        Keyword arguments.
    training : bool
        Take batch norms as in training, where the input is pinned, instead of evaluation, where they are affine.

    Returns
    -------
    ModelStructure

    Raises
    ------
    InvalidParameterError
        If `module` is no module or `example_inputs` no tuple.
    UnsupportedError
        If PyTorch cannot export the module, or shapes depend on data; the message says where.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import read_module
    >>> model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> found = read_module(model, (torch.zeros(1, 3),))
    >>> found.structure.size
    5
    >>> found.structure.scales[0]
    '0 unit 0'
    """
    if not isinstance(module, nn.Module):
        kind = f"the class {module.__name__}" if isinstance(module, type) else type(module).__name__
        message = f"module must be a torch.nn.Module, got {kind}"
        raise InvalidParameterError(message)
    if not isinstance(example_inputs, tuple):
        kind = type(example_inputs).__name__
        message = f"example_inputs must be a tuple of positional arguments, got {kind}; for one argument write (x,)"
        raise InvalidParameterError(message)
    reshard(module)
    key = _signature(module, example_inputs, kwargs or {}, training)
    cached = _CACHE.get(module)
    if cached is None or cached[0] != key:
        cached = key, _read(module, example_inputs, kwargs or {}, training)
        _CACHE[module] = cached
    return cached[1]


def _signature(module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], training: bool) -> Any:
    """What the structure depends on: the layers, the identities of the parameters, the shapes of the inputs."""
    leaves = torch.utils._pytree.tree_leaves((inputs, kwargs))  # noqa: SLF001
    shapes = tuple((tuple(x.shape), x.dtype) if isinstance(x, torch.Tensor) else repr(x) for x in leaves)
    tensors = tuple((name, id(t)) for name, t in _named_tensors(module))
    return repr(module), shapes, tensors, training


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def read_skeleton(
    module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], *, training: bool = False
) -> ModelStructure:
    """Read a module whose tensors are on the meta device or sharded: a copy without memory is read in its place."""
    plain, own = skeleton(module)
    inputs, kwargs = whole_inputs((inputs, kwargs))
    found = _read(plain, inputs, kwargs, training)
    return ModelStructure(found.structure, {key: own.get(id(tensor), tensor) for key, tensor in found.tensors.items()})


def _read(module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], training: bool) -> ModelStructure:
    if any(is_sharded(tensor) for _, tensor in _named_tensors(module)):
        return read_skeleton(module, inputs, kwargs, training=training)
    program = _exported(module, inputs, kwargs)
    trace = Trace(training=training)
    tensors = _Reader(trace, module, program).run()
    return ModelStructure(structure_of(trace), tensors)


def _exported(module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        with evaluating(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, inputs, kwargs, strict=False)
            return program if is_functional(program.graph) else program.run_decompositions({})
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        message = (
            f"torch.export cannot read {type(module).__name__} with these example inputs "
            f"({type(error).__name__}: {first}). They must be what the model is called with; where it runs on them, "
            "branches and shapes that depend on values must be rewritten first"
        )
        raise UnsupportedError(message) from error


class _Reader:
    """Runs an exported program on labels."""

    def __init__(self, trace: Trace, module: nn.Module, program: Any) -> None:
        self.trace = trace
        self.module = module
        self.program = program
        self.tensors: dict[Any, torch.Tensor] = {}
        self.results: dict[Any, Any] = {}
        self.literals: dict[Any, bool] = {}

    def run(self) -> dict[Any, torch.Tensor]:
        specs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs if hasattr(spec.arg, "name")}
        keys = _identities(self.module)
        for node in _needed(self.program.graph):
            if node.op == "placeholder":
                self.results[node] = self._input(node, specs.get(node.name), keys)
            elif node.op == "get_attr":
                self.results[node] = getattr(self.program.graph_module, node.target)
            elif node.op == "call_function":
                self.results[node] = self._call(node)
            elif node.op == "output":
                self._output(node)
        return self.tensors

    def _input(self, node: Any, spec: Any, keys: dict[str, Any]) -> Any:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return value
        shape = tuple(int(size) for size in value.shape)
        if spec is not None and spec.kind in {InputKind.PARAMETER, InputKind.BUFFER}:
            return self._own(spec, shape, keys[spec.target])
        if spec is not None and spec.kind == InputKind.CONSTANT_TENSOR:
            return _constant(self.program.constants[spec.target], changeable=False)
        return pinned(shape)

    def _own(self, spec: Any, shape: tuple[int, ...], found: tuple[Any, torch.Tensor, bool]) -> Any:
        key, tensor, movable = found
        is_buffer = spec.kind == InputKind.BUFFER
        self.tensors[key] = tensor
        view = self.trace.parameter(key, spec.target, shape, is_buffer=is_buffer)
        if not is_buffer and not movable:
            self.trace.pin(view, "shares memory with another parameter")
        if is_buffer:
            constant = _constant(tensor, changeable=True)
            return Tensor(constant.labels, constant.value, view if movable else None, changeable=True)
        return view

    def _call(self, node: Any) -> Any:
        arguments, options = self._operands(node.args), self._operands(node.kwargs)
        if node.target is operator.getitem:
            return arguments[0][arguments[1]]
        if str(node.target) in WRAPPERS:
            return self._nested(arguments)
        if not isinstance(node.target, torch._ops.OpOverload):  # noqa: SLF001
            if not _tensors_in((arguments, options)):
                return node.target(*arguments, **options)
            return self._refused(node, str(node.target), arguments, options)
        name = in_place(node.target) or node.target._schema.name  # noqa: SLF001
        with self.trace.at(_owner(node), name.partition("::")[2], _shapes(node, name)):
            folded = _folded(node.target, arguments, options)
            return self._apply(node, name, arguments, options) if folded is None else folded

    def _apply(self, node: Any, name: str, arguments: Any, options: Any) -> Any:
        short = name.partition("::")[2] if name.startswith("aten::") else name
        overload = f"{name}.{node.target._overloadname}"  # noqa: SLF001
        found = find_rule(overload, name)
        if found is None and name.startswith("aten::"):
            if short in MOVES:
                return move(self.trace, node.target, short, arguments, options)
            found = find_rule(short)
        operands = tuple(list(x) if isinstance(x, list) else x for x in arguments)
        chosen = {k: v for k, v in options.items() if k not in IGNORED}
        if found is None or not _accepts(found, operands, chosen):
            return self._refused(node, name, arguments, options)
        return found(self.trace, *operands, **chosen)

    def _nested(self, arguments: Any) -> Any:
        """A part of the model that runs under other settings: its own graph, on the same labels."""
        place = next(k for k, x in enumerate(arguments) if isinstance(x, torch.fx.GraphModule))
        inputs = iter(arguments[place + 1 :])
        for node in arguments[place].graph.nodes:
            if node.op == "placeholder":
                self.results[node] = next(inputs)
            elif node.op == "get_attr":
                self.results[node] = getattr(arguments[place], node.target)
            elif node.op == "call_function":
                self.results[node] = self._call(node)
            else:
                return self._operands(node.args[0])
        return ()

    def _refused(self, node: Any, name: str, arguments: Any, options: Any) -> Any:
        shapes = _shapes(node, name)
        with self.trace.at(_owner(node), name, shapes):
            result = self.trace.refuse(f"unknown operation {name}", _tensors_in((arguments, options)))
        return result if isinstance(node.meta.get("val"), torch.Tensor) or isinstance(result, tuple) else (result,)

    def _operands(self, arguments: Any) -> Any:
        return torch.fx.node.map_arg(arguments, lambda node: self.results[node])

    def _output(self, node: Any) -> None:
        for operand in _tensors_in(self._operands(node.args)):
            self.trace.owner = ""
            self.trace.pin(operand, "output of the model")


# Where and how a result is stored changes no scale.
IGNORED = frozenset({"layout", "device", "pin_memory", "memory_format", "non_blocking", "generator", "copy"})


# Gradients on or off, another precision: what is computed is the same up to rounding.
WRAPPERS = frozenset({"wrap_with_set_grad_enabled", "wrap_with_autocast"})


def _accepts(found: Any, operands: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether the rule knows these arguments: a rule for other ones must not guess."""
    try:
        inspect.signature(found).bind(None, *operands, **options)
    except TypeError:
        return False
    return True


def _needed(graph: Any) -> list[Any]:
    """The nodes that the outputs depend on, in order; all inputs."""
    needed = {node for node in graph.nodes if node.op == "output"}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return [node for node in graph.nodes if node in needed]


def _identities(module: nn.Module) -> dict[str, tuple[Any, torch.Tensor, bool]]:
    """For each name: a key that is the same for the same tensor, the tensor, and whether it alone has its memory."""
    found: dict[str, tuple[Any, torch.Tensor, bool]] = {}
    extents: dict[Any, set[Any]] = {}
    for name, tensor in _named_tensors(module):
        key, storage = _identity(tensor)
        found[name] = key, tensor, True
        extents.setdefault(storage, set()).add(key)
    shared = {key for keys in extents.values() if len(keys) > 1 for key in keys}
    return {name: (key, tensor, key not in shared) for name, (key, tensor, _) in found.items()}


def _identity(tensor: torch.Tensor) -> tuple[Any, Any]:
    if not has_memory(tensor):
        return id(tensor), id(tensor)
    try:
        storage = tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        storage = 0
    if not storage:  # no memory: on the meta device, or empty
        return id(tensor), id(tensor)
    return (storage, tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())), storage


def _constant(tensor: torch.Tensor, *, changeable: bool) -> Tensor:
    shape = tuple(tensor.shape)
    if tensor.is_meta or type(tensor) not in {torch.Tensor, nn.Parameter, nn.Buffer}:
        return Tensor(np.broadcast_to(np.int64(PINNED), shape), None, changeable=True)
    array = tensor.detach().cpu()
    value = array.to(torch.float64).numpy() if array.is_floating_point() else array.resolve_conj().numpy()
    labels = spread(np.where(constant_like(value) == ZERO, PINNED if changeable else ZERO, PINNED), shape)
    return Tensor(labels, value, changeable=changeable)


def _folded(target: Any, arguments: Any, options: Any) -> Tensor | None:
    """The value of an operation on constants alone, if it returns one tensor and is not random."""
    operands = _tensors_in((arguments, options))
    if (
        any(isinstance(x, View) or x.value is None for x in operands)
        or torch.Tag.nondeterministic_seeded in target.tags
    ):
        return None
    if not operands and target._schema.name not in CREATORS:  # noqa: SLF001
        return None
    with (
        contextlib.suppress(RuntimeError, TypeError, ValueError, IndexError, NotImplementedError),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        plain = {k: v for k, v in options.items() if k != "device"}
        result = target(*_valued(arguments), **_valued(plain))
        if isinstance(result, torch.Tensor):
            return _constant(result, changeable=any(x.changeable for x in operands))
    return None


# They read no tensor, and what they return is written in the model's code.
CREATORS = frozenset(
    f"aten::{name}"
    for name in words("zeros ones full arange scalar_tensor eye linspace logspace tril_indices triu_indices")
)


def _valued(arguments: Any) -> Any:
    def valued(x: Any) -> Any:
        return torch.from_numpy(np.array(x.value)) if isinstance(x, Tensor) else x

    return torch.utils._pytree.tree_map(valued, arguments, is_leaf=lambda x: isinstance(x, Tensor))  # noqa: SLF001


def _tensors_in(arguments: Any) -> list[Any]:
    leaves = torch.utils._pytree.tree_leaves(arguments, is_leaf=lambda x: isinstance(x, Tensor | View))  # noqa: SLF001
    return [x for x in leaves if isinstance(x, Tensor | View)]


def _owner(node: Any) -> str:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack else ""


def _shapes(node: Any, name: str) -> tuple[tuple[int, ...], ...]:
    value = node.meta.get("val")
    found = [v for v in torch.utils._pytree.tree_leaves(value) if isinstance(v, torch.Tensor)]  # noqa: SLF001
    sizes = [list(v.shape) for v in found]
    if any(not isinstance(size, int) for shape in sizes for size in shape):
        message = (
            f"the shape of what {name} returns depends on data, in {_owner(node) or 'the model'}: it cannot be read"
        )
        raise UnsupportedError(message)
    return tuple(tuple(shape) for shape in sizes)
