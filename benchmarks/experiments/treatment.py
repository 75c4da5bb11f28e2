"""What an arm does to scales, by `balance_graph.pytorch`; after each act the function is compared with that before."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from balance_graph.pytorch import ModuleBalancer, apply, read_module
from experiments import equi_normalization
from experiments.configuration import Arm
from experiments.networks import Network

# Single precision has 6e-8, and a forward pass adds some tens of roundings; a wrong scale changes outputs by far more.
FUNCTION_KEPT = 1e-4
# Relative imbalance that full balancing leaves in single precision, of any unit.
BALANCED = 1e-6


class Treatment:
    """An arm at work on one module.

    Attributes
    ----------
    seconds : float
        Of processor time spent on scaling, without the comparison of functions.
    function_change : float
        The largest relative change of outputs by any act that must keep the function.
    bias_change : float
        That by scaling weights but not biases, which does not keep it.
    left : float
        The largest imbalance that a full balancing left.
    """

    def __init__(
        self, arm: Arm, network: Network, module: nn.Module, optimizer: torch.optim.Optimizer, probe: torch.Tensor
    ) -> None:
        self.arm, self._network, self._module, self._probe = arm, network, module, probe
        example = (probe[:1],)
        self._structure = read_module(module, example, training=True)
        mode = "sweep" if arm.during == "sweep" else "full"
        costs = {arm.p, 1.0, 2.0}
        balancers = {p: ModuleBalancer(module, optimizer, example, mode=mode, regularizer=p) for p in sorted(costs)}
        self._balancer, self._meters = balancers[arm.p], (balancers[1.0], balancers[2.0])
        self.seconds = self.function_change = self.bias_change = self.left = 0.0

    def start(self, rng: np.random.Generator) -> None:
        """Disturb the first weights if the arm says so, and do what it does at the start."""
        if self.arm.disturbed:
            scales = self.arm.disturbed * rng.standard_normal(self._structure.structure.size)
            self._keeping_function(lambda: apply(self._structure, scales), is_counted=False)
        acts = {"balance": self._balance, "random": lambda: self._scale_at_random(rng)}
        if self.arm.start == "weights alone":
            self._scale_weights_alone()
        elif self.arm.start:
            self._keeping_function(acts[self.arm.start])

    def after(self, what: str) -> None:
        """Call it after each "step" and each "epoch"."""
        if self.arm.during and self.arm.every == what:
            acts = {"full": self._balance, "sweep": self._balancer.step, "equi-normalization": self._equi_normalize}
            self._keeping_function(acts[self.arm.during])

    def imbalances(self) -> dict[str, float]:
        """Of p = 1 and 2: the mean over units, and the largest; 0 where there is nothing to balance."""
        found = {}
        for p, meter in zip((1, 2), self._meters, strict=True):
            units = meter.imbalances()
            found[f"imbalance_{p}"] = float(units.mean()) if units.size else 0.0
            found[f"largest_imbalance_{p}"] = float(units.max(initial=0.0))
        return found

    def _balance(self) -> None:
        self._balancer.step()
        start = time.process_time()
        left = self._balancer.imbalance()
        self.seconds -= time.process_time() - start
        self.left = max(self.left, left)

    def _equi_normalize(self) -> None:
        equi_normalization.cycle(self._module, self._network.layers, self.arm.p)

    def _scale_at_random(self, rng: np.random.Generator) -> None:
        """The log-scales of balancing, in random order and with random signs: as large, and no balance."""
        parameters = self._saved()
        scales = self._balancer.step()
        self._restore(parameters)
        apply(self._structure, rng.permutation(scales) * rng.choice([-1.0, 1.0], len(scales)))

    def _scale_weights_alone(self) -> None:
        """Balance, and put the biases back, as scripts do that know weights only."""
        before, biases = self._outputs(), self._saved(only="bias")
        start = time.process_time()
        self._balancer.step()
        self._restore(biases)
        self.seconds += time.process_time() - start
        self.bias_change = _relative(before, self._outputs())

    def _saved(self, only: str = "") -> dict[str, torch.Tensor]:
        state = self._module.state_dict()
        return {name: value.clone() for name, value in state.items() if name.endswith(only)}

    def _restore(self, saved: dict[str, torch.Tensor]) -> None:
        self._module.load_state_dict(saved, strict=False)

    def _keeping_function(self, act: Callable[[], object], is_counted: bool = True) -> None:
        before = self._outputs()
        start = time.process_time()
        act()
        if is_counted:
            self.seconds += time.process_time() - start
        change = _relative(before, self._outputs())
        self.function_change = max(self.function_change, change)
        if not change < FUNCTION_KEPT:
            message = f"{self.arm.name}: outputs changed by {change:.2g}, more than {FUNCTION_KEPT:.0e}"
            raise AssertionError(message)

    @torch.no_grad()
    def _outputs(self) -> torch.Tensor:
        was_training = self._module.training
        found = self._module.eval()(self._probe).clone()
        self._module.train(was_training)
        return found


def _relative(before: torch.Tensor, after: torch.Tensor) -> float:
    return float((after - before).abs().max() / before.abs().max())
