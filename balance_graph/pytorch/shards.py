"""Tensors of which each process has a part, as `torch.distributed` shards them (FSDP2, tensor parallelism)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from balance_graph._types import Array
from balance_graph.errors import UnsupportedError


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a `DTensor`. Where their module is not loaded, there are none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def check_whole(module: nn.Module, purpose: str) -> None:
    """Refuse a module with sharded parameters, where whole ones are needed."""
    for name, parameter in module.named_parameters() if isinstance(module, nn.Module) else ():
        if is_sharded(parameter):
            message = (
                f"{purpose} needs whole parameters, but {name} is a DTensor; balance_module in place and imbalance "
                "take sharded modules"
            )
            raise UnsupportedError(message)


class Shard(NamedTuple):
    """The part of a tensor that this process has.

    Attributes
    ----------
    local : torch.Tensor
        Its elements, in the memory of the tensor.
    offset : tuple of int
        Where they begin, along each axis.
    is_counted : bool
        Whether sums take it from here: of parts that several processes have, from the first.
    mesh : DeviceMesh
    """

    local: torch.Tensor
    offset: tuple[int, ...]
    is_counted: bool
    mesh: Any


def shard_of(tensor: Any, name: str) -> Shard:
    """The part that this process has of a `DTensor`.

    Raises
    ------
    UnsupportedError
        For placements other than ``Shard`` and ``Replicate``, and processes outside the tensor's mesh.
    """
    from torch.distributed import tensor as library
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    for placement in tensor.placements:
        if type(placement) not in {library.Shard, library.Replicate}:
            message = (
                f"parameter {name!r} has the placement {placement}; balancing takes Shard and Replicate, where each "
                "process has consecutive rows of the weights themselves: redistribute it first"
            )
            raise UnsupportedError(message)
    coordinate = tensor.device_mesh.get_coordinate()
    if coordinate is None:
        message = f"parameter {name!r} is sharded over a mesh that this process is not in; call it where it is"
        raise UnsupportedError(message)
    _, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    replicas = zip(tensor.placements, coordinate, strict=True)
    is_counted = all(place == 0 for placement, place in replicas if placement.is_replicate())
    return Shard(tensor.to_local().detach(), tuple(offset), is_counted, tensor.device_mesh)


def summed_over(mesh: Any, values: Array) -> Array:
    """The sum of an array over the processes of a mesh, the same to the last bit in each."""
    return _reduced(mesh, values, "SUM")


def largest_over(mesh: Any, values: Array) -> Array:
    """The largest of each entry over the processes of a mesh."""
    return _reduced(mesh, values, "MAX")


def _reduced(mesh: Any, values: Array, operation: str) -> Array:
    from torch import distributed

    shared = torch.tensor(values, dtype=torch.float64, device=mesh.device_type)
    for dimension in range(mesh.ndim):
        distributed.all_reduce(shared, getattr(distributed.ReduceOp, operation), group=mesh.get_group(dimension))
    result: Array = shared.cpu().numpy()
    return result


def first_of_all(tensors: Iterable[torch.Tensor], values: Array) -> Array:
    """The array that the first process has, in all that share a sharded tensor; without any, the array itself."""
    from torch import distributed

    for mesh in _meshes(tensors):
        shared = torch.tensor(values, dtype=torch.float64, device=mesh.device_type)
        for dimension in range(mesh.ndim):
            group = mesh.get_group(dimension)
            distributed.broadcast(shared, distributed.get_global_rank(group, 0), group=group)
        values = shared.cpu().numpy()
    return values


def largest_of_all(tensors: Iterable[torch.Tensor], value: float) -> float:
    """The largest of a number over all processes that share a sharded tensor."""
    for mesh in _meshes(tensors):
        value = float(largest_over(mesh, np.array([value]))[0])
    return value


def _meshes(tensors: Iterable[torch.Tensor]) -> list[Any]:
    sharded: list[Any] = [tensor for tensor in tensors if is_sharded(tensor)]
    return list(dict.fromkeys(tensor.device_mesh for tensor in sharded))


def is_fully_sharded(module: nn.Module) -> bool:
    """Whether `fully_shard` has been applied to this part of a model."""
    library = sys.modules.get("torch.distributed.fsdp")
    return library is not None and isinstance(module, library.FSDPModule)


def plain_class(module: nn.Module) -> type:
    """The class that a module had before `fully_shard` put its own before it."""
    place = type(module)._orig_cls_mro_index if is_fully_sharded(module) else 0  # noqa: SLF001
    return type(module).__mro__[place]


def reshard(module: nn.Module) -> None:
    """Give up parameters that `fully_shard` has gathered for a call: they would hide what is written into shards."""
    for part in module.modules():
        if is_fully_sharded(part):
            part.reshard()
