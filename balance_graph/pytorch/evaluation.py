"""What a module computes on example inputs, in evaluation mode, and how far two results are apart."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from balance_graph.pytorch.shards import is_sharded, reshard


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, without the fast path of attention; the modes of all submodules are restored."""
    modes = {part: part.training for part in module.modules()}
    fastpath = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        module.eval()
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
        for part, mode in modes.items():
            part.training = mode


def outputs_of(module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The floating-point outputs; inputs, buffers and random states are left as they are."""
    inputs, kwargs = torch.utils._pytree.tree_map(_copied, (inputs, kwargs))  # noqa: SLF001
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers() if buffer.layout == torch.strided]
    try:
        with evaluating(module), torch.no_grad(), _same_random_numbers():
            leaves = torch.utils._pytree.tree_leaves(module(*inputs, **kwargs))  # noqa: SLF001
    finally:
        reshard(module)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):  # a buffer that is expanded cannot be written, changed or not
                    buffer.copy_(value)
    tensors = (_whole(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor))
    return [tensor.detach().clone() for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]


def _whole(tensor: Any) -> torch.Tensor:
    whole: torch.Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor
    return whole


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(0)
        if devices:
            torch.cuda.manual_seed_all(0)
        yield


def relative_change(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> float:
    """The largest change of an output, relative to the largest number of the same output before."""
    return max((_change(one, other) for one, other in zip(before, after, strict=True)), default=0.0)


def _change(before: torch.Tensor, after: torch.Tensor) -> float:
    wide = torch.complex128 if before.is_complex() else torch.float64
    before, after = before.to(wide), after.to(wide)
    finite = torch.isfinite(before)
    if not torch.equal(finite, torch.isfinite(after)) or not _alike(before[~finite], after[~finite]):
        return math.inf
    difference = float((after - before)[finite].abs().max()) if finite.any() else 0.0
    if difference == 0.0:
        return 0.0
    size = float(before[finite].abs().max())
    return difference / size if size else math.inf


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(torch.isnan(one), torch.isnan(other)) and bool(((one == other) | torch.isnan(one)).all())


def tolerance_of(module: nn.Module, outputs: Sequence[torch.Tensor]) -> float:
    """What rounding can do: half of the digits of the coarsest type that the parameters and outputs have."""
    tensors = [*module.parameters(), *outputs]
    return precision_of({t.dtype for t in tensors if t.is_floating_point() or t.is_complex()})


def precision_of(dtypes: Collection[torch.dtype]) -> float:
    """Half of the digits of the coarsest type."""
    return math.sqrt(max((torch.finfo(dtype).eps for dtype in dtypes), default=torch.finfo(torch.float32).eps))
