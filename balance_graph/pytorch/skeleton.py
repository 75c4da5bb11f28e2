"""Copies of a module with other tensors in the place of its own: without memory, or whole where those are sharded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from balance_graph.pytorch.shards import is_fully_sharded, is_sharded, plain_class


def substituted(module: nn.Module, replacement: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """A deep copy with each parameter and buffer replaced, ties kept, and what `torch.distributed` added taken off.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed. Its tensors are not copied.
    replacement : callable
        The tensor that stands for one of the module.

    Returns
    -------
    torch.nn.Module
    """
    own = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    memo: dict[int, Any] = {key: _alike(tensor, replacement(tensor)) for key, tensor in own.items()}
    shells = {id(part): part for part in module.modules() if _is_extended(part)}
    memo.update((key, _shell(part)) for key, part in shells.items())
    for key, part in shells.items():
        memo[key].__dict__.update(copy.deepcopy(_own_state(part), memo))
    result: nn.Module = copy.deepcopy(module, memo)
    return result


# Where `torch.distributed` keeps what it knows of a module, and its calls before and after that of the module.
_STATE, _HOOKS = "__composable_api_state_key", ("_forward_pre_hooks", "_forward_hooks")


def _is_extended(part: nn.Module) -> bool:
    hooks = any(len(_own_hooks(part.__dict__[name])) < len(part.__dict__[name]) for name in _HOOKS)
    return hooks or is_fully_sharded(part) or any(name.startswith(_STATE) for name in part.__dict__)


def _shell(part: nn.Module) -> Any:
    """A new object of the module's class: `fully_shard` puts one before it that refuses to be copied."""
    plain: Any = plain_class(part)
    return plain.__new__(plain)


def _own_state(part: nn.Module) -> dict[str, Any]:
    state = {name: value for name, value in part.__dict__.items() if not name.startswith(_STATE)}
    return {**state, **{name: _own_hooks(part.__dict__[name]) for name in _HOOKS}}


def _own_hooks(hooks: Mapping[int, Any]) -> Any:
    """Those that are not of `torch.distributed`: they gather and scatter what is whole here."""
    kept = type(hooks)()
    for key, hook in hooks.items():
        if not str(getattr(hook, "__module__", "")).startswith("torch.distributed"):
            kept[key] = hook  # type: ignore[index]
    return kept


def _alike(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return nn.Parameter(other, requires_grad=False) if isinstance(tensor, nn.Parameter) else other


def skeleton(module: nn.Module) -> tuple[nn.Module, dict[int, torch.Tensor]]:
    """A copy whose parameters have shapes and types, but neither values nor memory; buffers with values keep those.

    Parameters
    ----------
    module : torch.nn.Module
        On the meta device, or sharded: tensors of the copy are whole, and on the CPU for all that PyTorch knows, as
        example inputs are.

    Returns
    -------
    torch.nn.Module
    dict of int to torch.Tensor
        The module's own tensors, by the identities of those that stand for them: the keys of the copy's structure.
    """
    mode, own = FakeTensorMode(allow_non_fake_inputs=True), dict[int, torch.Tensor]()

    def stand_in(tensor: torch.Tensor) -> torch.Tensor:
        if not (isinstance(tensor, nn.Parameter) or tensor.is_meta or is_sharded(tensor)):
            return tensor
        with mode:
            return torch.empty(tensor.shape, dtype=tensor.dtype)

    result = substituted(module, stand_in)
    pairs = zip(_tensors(result), _tensors(module), strict=True)
    own.update((id(other), tensor) for other, tensor in pairs)
    return result, own


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [
        *(tensor for _, tensor in module.named_parameters(remove_duplicate=False)),
        *(tensor for _, tensor in module.named_buffers(remove_duplicate=False)),
    ]


def has_memory(tensor: torch.Tensor) -> bool:
    """Whether there are values."""
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def whole_inputs(inputs: Any) -> Any:
    """Inputs as a skeleton takes them: on the CPU; zeros for those that have no values."""

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value.cpu()

    return torch.utils._pytree.tree_map(moved, inputs)  # noqa: SLF001
