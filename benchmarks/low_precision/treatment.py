"""What is done to scales: nothing, balancing, and what peers do."""

from __future__ import annotations

import copy
import importlib.util
import warnings

import numpy as np
import torch
from torch import nn
from torch.ao.quantization._equalize import cross_layer_equalization

from balance_graph.pytorch import apply, balance_module, read_module
from low_precision.configuration import ARMS, BALANCED, BREVITAS, NONE
from low_precision.pairs import pairs

# Brevitas' examples take 20 sweeps; PyTorch's own loop over pairs has no end where it does not converge.
_SWEEPS = 20


def available_arms() -> tuple[str, ...]:
    """Those whose packages are there."""
    return tuple(arm for arm in ARMS if arm != BREVITAS or importlib.util.find_spec("brevitas"))


def folded(module: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them, by PyTorch; a copy, in evaluation mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.fx.experimental.optimization import fuse  # which imports what PyTorch calls deprecated

        return fuse(module.eval())


def disturb(module: nn.Module, x: torch.Tensor, spread: float, seed: int) -> None:
    """Random log-scales of every free unit, in place; the function stays."""
    structure = read_module(module, (x,))
    apply(structure, spread * np.random.default_rng(seed).standard_normal(structure.structure.size))


def treated(module: nn.Module, arm: str, x: torch.Tensor) -> nn.Module:
    """The module with its scales changed: itself where it is balanced, else perhaps another."""
    if arm in BALANCED:
        balance_module(module, (x,), BALANCED[arm])
    elif arm == BREVITAS:
        return _equalized_by_brevitas(module)
    elif arm != NONE:
        _equalize_by_pytorch(module)
    return module


def _equalize_by_pytorch(module: nn.Module) -> None:
    named = dict(module.named_modules())
    found = pairs(module)
    for _ in range(_SWEEPS):
        for one, two in found:
            cross_layer_equalization(named[one], named[two])


def _equalized_by_brevitas(module: nn.Module) -> nn.Module:
    """Its documented preparation with its defaults, but ReLU6 stays, and so do batch norms that were not folded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.graph.quantize import preprocess_for_quantize

        options = {"equalize_iters": _SWEEPS, "relu6_to_relu": False, "merge_bn": False}
        return preprocess_for_quantize(copy.deepcopy(module), **options).eval()
