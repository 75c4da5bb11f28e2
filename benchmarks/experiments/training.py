"""One run: a row for the table of runs, and one for each epoch."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.configuration import Run
from experiments.measures import Curvature, state
from experiments.networks import drawn
from experiments.tasks import Data, load
from experiments.treatment import Treatment

# Outputs on these many validation images are compared before and after each balancing.
_PROBED = 64
# A training loss above this has diverged: chance is 2.3.
_DIVERGED = 20.0

OPTIMIZERS = {
    "sgd": lambda parameters, rate: torch.optim.SGD(parameters, lr=rate),
    "momentum": lambda parameters, rate: torch.optim.SGD(parameters, lr=rate, momentum=0.9),
    "adamw": lambda parameters, rate: torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0),
}


def train(run: Run) -> dict[str, Any]:
    """The row of the run, and the rows of its epochs, of which tuning runs keep none."""
    torch.set_num_threads(1)
    network, module = drawn(run.network, run.seed)
    data = load(run.task, run.seed, network.shape)
    optimizer = OPTIMIZERS[run.optimizer](module.parameters(), run.rate)
    treatment = Treatment(run.arm, network, module, optimizer, data.validation.x[:_PROBED])
    rng = np.random.default_rng(run.seed)
    treatment.start(rng)
    is_tuning = run.stage == "tuning"
    curvature = None if is_tuning else Curvature(module, data.training, run.seed)
    epochs = [_measured(0, module, data, treatment, curvature)]
    seconds, order = treatment.seconds, torch.Generator().manual_seed(run.seed)
    for epoch in range(1, run.epochs + 1):
        seconds += _epoch(run, module, optimizer, treatment, data, order)
        if not _is_sane(module, data):
            epochs.append({"epoch": epoch, "diverged": True})
            break
        if not is_tuning or epoch == run.epochs:
            epochs.append({**_measured(epoch, module, data, treatment, curvature), "seconds": seconds})
    return {"row": _row(run, epochs, treatment, seconds), "epochs": [] if is_tuning else epochs}


def _epoch(
    run: Run,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    treatment: Treatment,
    data: Data,
    order: torch.Generator,
) -> float:
    """Seconds of training, with those of balancing and without those of comparing functions.

    Of processor time, as everywhere here: a run has one thread, and other work of the machine does not count.
    """
    start, before = time.process_time(), treatment.seconds
    balancing = 0.0
    for rows in torch.randperm(len(data.training.y), generator=order).split(run.batch):
        loss = functional.cross_entropy(module(data.training.x[rows]), data.training.y[rows])
        if run.arm.penalty and not run.arm.decoupled:
            loss = loss + run.penalty * _penalty(module, run.arm.penalty)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if run.arm.penalty and run.arm.decoupled:
            _decay(module, run.arm.penalty, run.rate * run.penalty)
        if run.arm.every == "step" and run.arm.during:
            if not math.isfinite(loss.item()):
                break
            balancing -= _timed(treatment, "step")
    training = time.process_time() - start + balancing
    if _is_sane(module, data):
        treatment.after("epoch")
    return training + treatment.seconds - before


def _timed(treatment: Treatment, what: str) -> float:
    start = time.process_time()
    treatment.after(what)
    return time.process_time() - start


def _is_sane(module: nn.Module, data: Data) -> bool:
    with torch.no_grad():
        loss = float(functional.cross_entropy(module(data.training.x[:_PROBED]), data.training.y[:_PROBED]))
    return loss < _DIVERGED and all(bool(torch.isfinite(p).all()) for p in module.parameters())


def _penalty(module: nn.Module, kind: str) -> torch.Tensor:
    """The sum of |w|, or half of that of the squares: its gradient is what decoupled decay subtracts."""
    if kind == "l1":
        return sum(p.abs().sum() for p in module.parameters())
    return sum(p.square().sum() for p in module.parameters()) / 2


@torch.no_grad()
def _decay(module: nn.Module, kind: str, amount: float) -> None:
    for p in module.parameters():
        if kind == "l1":
            p.copy_(p.sign() * (p.abs() - amount).clamp(min=0.0))
        else:
            p.mul_(1.0 - amount)


def _measured(
    epoch: int, module: nn.Module, data: Data, treatment: Treatment, curvature: Curvature | None
) -> dict[str, Any]:
    found = {"epoch": epoch, **state(module, data), **treatment.imbalances()}
    if curvature is not None:
        module.eval()
        found["sharpness"], found["gradient_norm"] = curvature.measured()
        module.train()
    return found


def _row(run: Run, epochs: list[dict[str, Any]], treatment: Treatment, seconds: float) -> dict[str, Any]:
    """The last epoch, the mean of the training loss over epochs (how fast it falls), and what balancing did."""
    diverged = "diverged" in epochs[-1]
    last = {} if diverged else {name: value for name, value in epochs[-1].items() if name not in ("epoch", "seconds")}
    losses = [one["training_loss"] for one in epochs[1:] if "training_loss" in one]
    return {
        **run.row,
        "diverged": diverged,
        "mean_training_loss": None if diverged else float(np.mean(losses)),
        **last,
        "first_imbalance_1": epochs[0]["imbalance_1"],
        "first_imbalance_2": epochs[0]["imbalance_2"],
        "function_change": treatment.function_change,
        "bias_change": treatment.bias_change,
        "imbalance_left": treatment.left,
        "seconds": seconds,
        "balancing_seconds": treatment.seconds,
    }
