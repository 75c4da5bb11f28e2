"""What is measured of a network as it stands: loss, accuracy, slopes and curvature of the training loss."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.tasks import Data, Part

# Of power iteration: as many products with the Hessian at most, and less if the eigenvalue no longer moves.
_PRODUCTS = 20
_STEADY = 0.01
# Images that the Hessian is taken on: always the same ones.
_CURVATURE_IMAGES = 128
# Images that outputs are computed of at once: activations of more leave the caches, and the time goes to memory.
_AT_ONCE = 256


@torch.no_grad()
def loss_and_accuracy(module: nn.Module, part: Part) -> tuple[float, float]:
    outputs = torch.cat([module(x) for x in part.x.split(_AT_ONCE)])
    return float(functional.cross_entropy(outputs, part.y)), float((outputs.argmax(1) == part.y).float().mean())


@torch.no_grad()
def cost(module: nn.Module, p: float) -> float:
    """The sum of |w|^p over all parameters."""
    return float(sum(parameter.double().abs().pow(p).sum() for parameter in module.parameters()))


class Curvature:
    """The largest eigenvalue, in size, of the Hessian of the training loss, by power iteration.

    Each call starts from the eigenvector that the last one found, so that few products suffice.
    """

    def __init__(self, module: nn.Module, part: Part, seed: int) -> None:
        self._module = module
        self._part = Part(part.x[:_CURVATURE_IMAGES], part.y[:_CURVATURE_IMAGES])
        generator = torch.Generator().manual_seed(seed)
        self._vector = [torch.randn(p.shape, generator=generator) for p in module.parameters()]

    def measured(self) -> tuple[float, float]:
        """Sharpness, and the norm of the gradient."""
        parameters = list(self._module.parameters())
        with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivatives
            loss = functional.cross_entropy(self._module(self._part.x), self._part.y)
            gradient = torch.autograd.grad(loss, parameters, create_graph=True)
            value = math.nan
            for _ in range(_PRODUCTS):
                size = _norm(self._vector)
                unit = [v / size for v in self._vector]
                product = torch.autograd.grad(gradient, parameters, unit, retain_graph=True, materialize_grads=True)
                last, value = value, float(sum((u * h).sum() for u, h in zip(unit, product, strict=True)))
                if not _norm(product) > 0:
                    break
                self._vector = [h.detach() for h in product]
                if abs(value - last) <= _STEADY * abs(value):
                    break
        return abs(value), float(_norm([g.detach() for g in gradient]))


def _norm(parts: list[torch.Tensor] | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(part) for part in parts]))


def state(module: nn.Module, data: Data) -> dict[str, float]:
    """Losses, accuracies and costs, in evaluation mode."""
    module.eval()
    training, training_accuracy = loss_and_accuracy(module, data.training)
    validation, validation_accuracy = loss_and_accuracy(module, data.validation)
    test, test_accuracy = loss_and_accuracy(module, data.test)
    module.train()
    return {
        "training_loss": training,
        "validation_loss": validation,
        "test_loss": test,
        "training_accuracy": training_accuracy,
        "validation_accuracy": validation_accuracy,
        "test_accuracy": test_accuracy,
        "cost_1": cost(module, 1.0),
        "cost_2": cost(module, 2.0),
    }
