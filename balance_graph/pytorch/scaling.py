"""Scaling a module: parameters and running statistics are multiplied where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from balance_graph._types import Array
from balance_graph.models import Block
from balance_graph.pytorch.reading import ModelStructure
from balance_graph.pytorch.sharded_blocks import scale_shard
from balance_graph.pytorch.shards import is_sharded

# Elements multiplied at a time where the arithmetic is wider than the parameter: 4 MB in double precision.
ELEMENTS = 2**19
# Exponentials of less, and products of two of them, are in the range of floats.
_IN_RANGE = 350.0


def apply(model: ModelStructure, log_scales: Any) -> None:
    """Multiply the module's parameters and buffers, in place, by what a choice of scales makes of them.

    Factors are computed in double precision, and each product is rounded once to the parameter's type.

    Parameters
    ----------
    model : ModelStructure
        Of `read_module`.
    log_scales : array_like
        One finite number for each free scale, in the order of ``model.structure.scales``.

    Raises
    ------
    InvalidParameterError
        If there are more or fewer, or some are not finite.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import apply, read_module
    >>> network, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), torch.ones(1, 3)
    >>> before = network(x)
    >>> apply(read_module(network, (x,)), np.linspace(-1, 1, 5))
    >>> bool(torch.allclose(network(x), before))
    True
    """
    values = model.structure.values(log_scales)
    with torch.no_grad():
        for block in model.structure.blocks:
            scale_block(model.tensor(block.parameter), block, values)


def scale_block(tensor: torch.Tensor, block: Block, values: Array) -> None:
    """Multiply a block of a parameter in place; `values` are those of the structure's forms."""
    if is_sharded(tensor):
        scale_shard(tensor, block, values)
        return
    index = block.index()
    target = tensor.detach()
    part = target[tuple(_as_torch(i, target.device) for i in index)]
    _multiply(part.view(block.split), block, values)
    if not all(isinstance(i, slice) for i in index):  # a copy
        target[tuple(_as_torch(i, target.device) for i in index)] = part


def _as_torch(index: Any, device: torch.device) -> Any:
    return index if isinstance(index, slice) else torch.from_numpy(np.ascontiguousarray(index)).to(device)


def _multiply(part: torch.Tensor, block: Block, values: Array) -> None:
    """In double precision, some rows at a time."""
    rows, columns = (
        torch.from_numpy(np.asarray(values[forms])).to(part.device) for forms in (block.rows, block.columns)
    )
    # Factors of rows and columns, each in the range of floats; of elements where those are not.
    apart = max(float(rows.abs().max()), float(columns.abs().max())) < _IN_RANGE
    for some in _chunks(part):
        one, two = _chunk(rows, some), _chunk(columns, some)
        wide = part[some].to(torch.float64)
        for gains in (one, two) if apart else (one + two,):
            wide = wide * gains.exp()
        part[some] = wide.to(part.dtype)


def _chunk(array: torch.Tensor, some: Any) -> torch.Tensor:
    return array if array.dim() == 0 or array.shape[0] == 1 else array[some]


def _chunks(part: torch.Tensor) -> list[Any]:
    if part.dim() == 0 or part.numel() <= ELEMENTS:
        return [...]
    step = max(1, ELEMENTS * part.shape[0] // part.numel())
    return [slice(start, start + step) for start in range(0, part.shape[0], step)]
