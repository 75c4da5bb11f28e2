"""Tensors of which each process has a part, as `torch.distributed` shards them: sums are local, then shared."""

from __future__ import annotations

import sys

import torch


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a `DTensor`. Where their module is not loaded, there are none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)
