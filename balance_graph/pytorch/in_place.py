"""Operations of an exported program that write into a result: when they may be read as those that make a new one."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch

from balance_graph.models.registry import words
from balance_graph.pytorch.aten import MOVES

# Their results share no memory with what they are given, whatever it is.
COMPUTING = frozenset(
    f"aten::{name}"
    for name in words("""
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution linear addmm matmul bmm mm
    batch_norm group_norm layer_norm instance_norm add sub mul div cat relu relu6 leaky_relu prelu elu silu gelu
    hardswish hardsigmoid hardtanh sigmoid tanh softplus softmax max_pool2d avg_pool2d adaptive_avg_pool2d mean sum
    """)
)


def is_functional(graph: Any) -> bool:
    """Whether nothing is written into what anyone reads afterwards; else PyTorch traces the program a second time."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    operations = [node for node in graph.nodes if node.op == "call_function" and node.target is not operator.getitem]
    return all(_is_last_use(node, order) for node in operations)


def _is_last_use(node: Any, order: Mapping[Any, int]) -> bool:
    """Whether an operation writes nothing, or only into a result of its own kind that none reads after it."""
    if not isinstance(node.target, torch._ops.OpOverload):  # noqa: SLF001
        return not any(isinstance(argument, torch.fx.Node) for argument in node.args)
    if not node.target._schema.is_mutable:  # noqa: SLF001
        return True
    written = [
        node.args[k]
        for k, argument in enumerate(node.target._schema.arguments[: len(node.args)])  # noqa: SLF001
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return in_place(node.target) != "" and len(written) == 1 and _is_private(written[0], node, order)


def _is_private(written: Any, by: Any, order: Mapping[Any, int]) -> bool:
    """Whether a result shares its memory with no other tensor, and is read by none after this."""
    readers = [user for user in written.users if user is not by]
    return (
        (_computes(written) or (written.op == "call_function" and in_place(written.target) != ""))
        and all(_computes(user) or user.op == "output" for user in readers)
        and all(order[user] < order[by] for user in readers)
    )


def _computes(node: Any) -> bool:
    """Whether the result is in memory of its own for certain."""
    return (
        node.op == "call_function"
        and isinstance(node.target, torch._ops.OpOverload)  # noqa: SLF001
        and node.target._schema.name in COMPUTING  # noqa: SLF001
    )


def in_place(operation: Any) -> str:
    """Name of the operation that computes what this one writes into its argument; empty if there is none."""
    if not isinstance(operation, torch._ops.OpOverload):  # noqa: SLF001
        return ""
    name = str(operation._schema.name)  # noqa: SLF001
    short = name.removeprefix("aten::").removesuffix("_")
    return f"aten::{short}" if name == f"aten::{short}_" and short[-1:] != "_" and short not in MOVES else ""
