"""A model whose weights are in files: its structure, and which tensors of the files its parameters are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.models.structure import Block, Structure
from balance_graph.models.tensors import Parameter
from balance_graph.pytorch.checkpoint_files import CheckpointFiles
from balance_graph.pytorch.reading import ModelStructure, read_skeleton
from balance_graph.pytorch.skeleton import has_memory, substituted


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A model on the meta device, with the checkpoint that holds its weights.

    Attributes
    ----------
    module : torch.nn.Module
    structure : Structure
    files : CheckpointFiles
    names : dict
        The names in the files of each tensor, by the key that the structure uses; several where both of two tied are
        stored.
    """

    module: nn.Module
    structure: Structure
    files: CheckpointFiles
    names: Mapping[Any, tuple[str, ...]]

    @classmethod
    def of(
        cls, module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], files: CheckpointFiles
    ) -> StoredModel:
        """Read the module's structure, and find its tensors in the files.

        Raises
        ------
        InvalidParameterError
            If the files lack a tensor of the module, or hold one that it has not, or one of another shape; or if
            tensors that are tied in the module differ. The message names them.
        UnsupportedError
            If PyTorch cannot export the module, or the type of a tensor has no scale.
        """
        found = _names(module, files)
        model = read_skeleton(module, inputs, kwargs)
        names = {key: found.get(id(tensor), ()) for key, tensor in model.tensors.items()}
        stored = cls(module, model.structure, files, names)
        for parameter, _ in stored.scaled:
            stored.check_scalable(parameter)
        return stored

    @property
    def scaled(self) -> list[tuple[Parameter, list[Block]]]:
        """The parameters and buffers that scales change, with their blocks."""
        found: dict[int, tuple[Parameter, list[Block]]] = {}
        for block in self.structure.blocks:
            found.setdefault(id(block.parameter), (block.parameter, []))[1].append(block)
        return list(found.values())

    def check_scalable(self, parameter: Parameter) -> None:
        """Refuse what has no values in the files, and integers."""
        if not self.names[parameter.key]:
            message = f"{parameter.name} is not part of the state of the module, and has no values to scale"
            raise UnsupportedError(message)
        for name in self.names[parameter.key]:
            dtype = self.files.dtype(name)
            if not dtype.is_floating_point:
                message = f"{name} holds {dtype}, which cannot be scaled: balance first, quantize afterwards"
                raise UnsupportedError(message)

    def tensors(self, structure: Structure, files: CheckpointFiles) -> ModelStructure:
        """A part of the structure with its parameters, mapped from the files."""
        return ModelStructure(structure, {p.key: files.tensor(self.names[p.key][0]) for p in structure.parameters})

    def filled(self, files: CheckpointFiles) -> nn.Module:
        """The module with the values in the files, mapped, in the types that it has.

        Raises
        ------
        UnsupportedError
            If a buffer has values neither in the module nor in the files.
        """
        names = {id(tensor): name for name, tensor in _state(self.module).items() if name in files.places}

        def value(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) in names:
                return files.tensor(names[id(tensor)]).to(tensor.dtype)
            if has_memory(tensor):
                return tensor
            message = (
                f"a buffer of shape {tuple(tensor.shape)} is on the meta device and not in the checkpoint, so the "
                "module cannot be run: make its buffers on the CPU, or leave check=False"
            )
            raise UnsupportedError(message)

        return substituted(self.module, value)


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    state = module.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def _names(module: nn.Module, files: CheckpointFiles) -> dict[int, tuple[str, ...]]:
    """The stored names of each tensor of the module, by its identity."""
    state = _state(module)
    tied: dict[int, list[str]] = {}
    for name, tensor in state.items():
        tied.setdefault(id(tensor), []).append(name)
    stored = {key: tuple(name for name in names if name in files.places) for key, names in tied.items()}
    _refuse("lacks", [tied[key][0] for key, names in stored.items() if not names], files)
    _refuse("holds what the module has not:", [name for name in files.places if name not in state], files)
    for names in stored.values():
        _check_tensor(names, tuple(state[names[0]].shape), files)
    return stored


def _refuse(what: str, names: Sequence[str], files: CheckpointFiles) -> None:
    if names:
        listed = ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
        message = f"the checkpoint {files.directory} {what} {listed}; the module's state_dict must have the same names"
        raise InvalidParameterError(message)


def _check_tensor(names: Iterable[str], shape: tuple[int, ...], files: CheckpointFiles) -> None:
    first, *others = names
    if files.places[first].shape != shape:
        message = f"{first} has shape {files.places[first].shape} in the checkpoint and {shape} in the module"
        raise InvalidParameterError(message)
    for other in others:
        if not files.is_same(first, other):
            message = f"{first} and {other} are one parameter in the module, but differ in the checkpoint"
            raise InvalidParameterError(message)
