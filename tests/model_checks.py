"""What the tests of models measure: whether the function is kept, and how many scale freedoms there really are."""

from __future__ import annotations

import copy

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


def dimension_by_derivatives(module: nn.Module, inputs: tuple, *, trials: int = 4) -> int:
    """Dimension of the log-gains, one per element, that change no output to first order whatever the weights.

    At weights w a log-gain g moves the outputs by ``J diag(w) g``. Symmetries that depend on the weights (rotations
    of queries against keys) drop out, because g must be in the null space at several random choices of the weights.
    """
    rows = []
    for trial in range(trials):
        tensors = _scalable(randomized(module, 100 + trial))
        names = list(tensors)

        def function(values: tuple) -> torch.Tensor:
            result = torch.func.functional_call(module, dict(zip(names, values, strict=True)), _fresh(inputs, trial))
            leaves = torch.utils._pytree.tree_leaves(result)
            return torch.cat([leaf.reshape(-1) for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()])

        values = tuple(tensors[name].detach() for name in names)
        jacobians = torch.autograd.functional.jacobian(lambda *v: function(v), values)
        part = torch.cat([j.reshape(j.shape[0], -1) * v.reshape(-1) for j, v in zip(jacobians, values, strict=True)], dim=1)
        rows.append(part / part.norm(dim=1, keepdim=True).clamp_min(1e-30))
    singular = torch.linalg.svdvals(torch.cat(rows))
    total = sum(v.numel() for v in values)
    assert sum(r.shape[0] for r in rows) >= total, "too few outputs to count with"
    return total - int((singular > 1e-9 * singular[0]).sum())


def _scalable(module: nn.Module) -> dict[str, torch.Tensor]:
    buffers = {name: b for name, b in module.named_buffers() if "running_" in name}
    return {**dict(module.named_parameters()), **buffers}


def _fresh(inputs: tuple, seed: int) -> tuple:
    """Other inputs of the same shapes; integers stay."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(x.shape, generator=generator, dtype=x.dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x
        for x in inputs
    )
