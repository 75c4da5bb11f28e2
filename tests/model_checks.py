"""What the tests of models measure: whether the function is kept, and how many scale freedoms there really are."""

from __future__ import annotations

import copy
from unittest import mock

import numpy as np
import torch
from torch import nn

from balance_graph.pytorch import apply, read_module


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in double precision and evaluation mode, every parameter and running statistic random."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if "running_var" in name:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator, dtype=torch.float64))
            elif isinstance(tensor, nn.Parameter) or "running_mean" in name:
                tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
    return module


def outputs(module: nn.Module, inputs: tuple) -> torch.Tensor:
    with torch.no_grad():
        leaves = torch.utils._pytree.tree_leaves(module(*inputs))
    return torch.cat([leaf.reshape(-1).double() for leaf in leaves if isinstance(leaf, torch.Tensor)])


def change_of_function(module: nn.Module, inputs: tuple, *, seed: int = 0, spread: float = 1.0) -> float:
    """Relative change of the outputs when every free scale takes a random value."""
    model = read_module(module, inputs)
    before = outputs(module, inputs)
    scales = spread * np.random.default_rng(seed).standard_normal(model.structure.size)
    state = copy.deepcopy(module.state_dict())
    apply(model, scales)
    after = outputs(module, inputs)
    moved = any(not torch.equal(value, module.state_dict()[name]) for name, value in state.items())
    assert moved or not model.structure.size, "scales that move nothing"
    module.load_state_dict(state)
    return float((after - before).abs().max() / before.abs().max())


def dimension_by_derivatives(module: nn.Module, inputs: tuple) -> int:
    """Dimension of the log-gains, one per element, that change no output to first order whatever the weights.

    At weights w a log-gain g moves the outputs by ``J diag(w) g``. Symmetries that depend on the weights (rotations
    of queries against keys) drop out, because g must be in the null space at many random choices of the weights: more
    are drawn until the dimension settles. Elements without influence, as biases of keys, do not count.
    """
    gram, found, rows = 0.0, [], None
    for trial in range(1000):
        part = _log_derivatives(randomized(module, 100 + trial), _fresh(inputs, trial), trial)
        part = part / part.norm(dim=1, keepdim=True).clamp_min(1e-30)
        gram = gram + part.T @ part
        # The triangular factor stands for all rows so far, without squaring their condition.
        rows = part if rows is None else torch.cat([rows, part])
        rows = torch.linalg.qr(rows, mode="r").R if rows.shape[0] > rows.shape[1] else rows
        dead = int((gram.diagonal() < 1e-22).sum())
        singular = torch.linalg.svdvals(rows)
        found.append(rows.shape[1] - int((singular > 1e-9 * singular[0]).sum()) - dead)
        # A unit may be dead at several choices: the dimension must stay for longer than that is likely to last.
        if (trial + 1) * OUTPUTS >= 1.5 * part.shape[1] and trial >= 15 and len(set(found[-8:])) == 1:
            return found[-1]
    raise AssertionError(found)


# So many outputs, drawn anew, are differentiated at each choice of the weights.
OUTPUTS = 16


def _log_derivatives(module: nn.Module, inputs: tuple, seed: int) -> torch.Tensor:
    """Derivatives of some outputs by the logarithm of every element."""
    tensors = _scalable(module)

    def function(*values: torch.Tensor) -> torch.Tensor:
        leaves = torch.utils._pytree.tree_leaves(
            torch.func.functional_call(module, dict(zip(tensors, values, strict=True)), inputs)
        )
        flat = torch.cat([leaf.reshape(-1) for leaf in leaves if leaf.is_floating_point()])
        return flat[torch.randperm(flat.numel(), generator=torch.Generator().manual_seed(seed))[:OUTPUTS]]

    values = tuple(tensor.detach() for tensor in tensors.values())
    with (
        mock.patch("torch.nn.functional.batch_norm", _batch_norm),
        mock.patch("torch.nn.functional.instance_norm", _instance_norm),
    ):
        jacobians = torch.autograd.functional.jacobian(function, values)
    return torch.cat([j.reshape(j.shape[0], -1) * v.reshape(-1) for j, v in zip(jacobians, values, strict=True)], dim=1)


def _batch_norm(x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """In parts, since PyTorch's own has no derivative by the running mean."""
    dims = [0, *range(2, x.dim())]
    shape = [1, -1, *(1 for _ in range(x.dim() - 2))]
    if training:
        mean, variance = x.mean(dims), x.var(dims, correction=0)
    out = (x - mean.view(shape)) / (variance.view(shape) + eps).sqrt()
    return out if weight is None else out * weight.view(shape) + bias.view(shape)


def _instance_norm(x, mean=None, variance=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    if not use_input_stats:
        return _batch_norm(x, mean, variance, weight, bias, False, momentum, eps)
    dims = list(range(2, x.dim()))
    out = (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=0, keepdim=True) + eps).sqrt()
    shape = [1, -1, *(1 for _ in dims)]
    return out if weight is None else out * weight.view(shape) + bias.view(shape)


def _scalable(module: nn.Module) -> dict[str, torch.Tensor]:
    buffers = {name: b for name, b in module.named_buffers() if "running_" in name and b is not None}
    return {**dict(module.named_parameters()), **buffers}


def _fresh(inputs: tuple, seed: int) -> tuple:
    """Other inputs of the same shapes; integers stay."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(x.shape, generator=generator, dtype=x.dtype)
        if isinstance(x, torch.Tensor) and x.is_floating_point()
        else x
        for x in inputs
    )
