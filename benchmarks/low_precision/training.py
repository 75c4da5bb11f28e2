"""One network, trained; then its weights rounded, as it is and after all that may be done to its scales."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from experiments.tasks import Data, Part, load
from torch import nn
from torch.nn import functional as F

from low_precision.configuration import NORM, ROUNDINGS, STATES, Job, Training
from low_precision.networks import NETWORKS
from low_precision.rounding import rounded_module
from low_precision.treatment import available_arms, disturb, folded, treated

# Images at a time: what they make stays in the cache.
_SOME = 100
_SIZES = {"digits": 8, "MNIST": 28}


def round_trained(job: Job) -> list[dict[str, Any]]:
    """A row for each variant of the network, state of its scales, and arm."""
    assert job.training is not None
    size = _SIZES[job.training.task]
    data = load(job.training.task, job.seed, (1, size, size))
    module = trained(job.training, data, job.seed, size)
    # Batch norms folded into convolutions, as they are before weights are rounded; and kept.
    variants = {job.training.title: folded(module)}
    if job.training.network == NORM:
        variants = {f"{job.training.title} folded": variants[job.training.title], f"{job.training.title} kept": module}
    return [
        {"case": case, "seed": job.seed, "state": state, **row}
        for case, variant in variants.items()
        for state, spread in STATES.items()
        for row in _arms(variant, spread, job.seed, data.test)
    ]


def trained(training: Training, data: Data, seed: int, size: int) -> nn.Module:
    """AdamW with its default decay, the rate falling to zero along a cosine."""
    torch.manual_seed(seed)
    module = NETWORKS[training.network](size)
    optimizer = torch.optim.AdamW(module.parameters(), lr=training.rate)
    count = len(data.training.y)
    steps = training.epochs * -(-count // training.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(training.epochs):
        for some in torch.randperm(count).split(training.batch):
            optimizer.zero_grad()
            F.cross_entropy(module(data.training.x[some]), data.training.y[some]).backward()
            optimizer.step()
            schedule.step()
    return module.eval()


def _arms(module: nn.Module, spread: float, seed: int, test: Part) -> list[dict[str, Any]]:
    x = test.x[:2]
    reference = _outputs(module, test)
    start = copy.deepcopy(module)
    disturb(start, x, spread, seed)
    state = copy.deepcopy(start.state_dict())
    rows = []
    for arm in available_arms():
        start.load_state_dict(state)  # the same object, so that its structure is read once
        changed = treated(start if arm.startswith("p") else copy.deepcopy(start), arm, x)
        outputs = _outputs(changed, test)
        change = float(np.abs(outputs - reference).max() / np.abs(reference).max())
        row = {"arm": arm, "accuracy": _accuracy(reference, test), "change": change}
        for rounding in ROUNDINGS:
            found = _outputs(rounded_module(changed, rounding), test)
            row |= {f"{name}_{rounding.key}": value for name, value in measures(reference, found).items()}
            row[f"accuracy_{rounding.key}"] = _accuracy(found, test)
        rows.append(row)
    return rows


def measures(reference: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Signal-to-noise ratio in dB, and the part of predictions that flip; the last axis is that of the classes."""
    noise = float(np.square(found - reference).sum())
    ratio = 10 * np.log10(float(np.square(reference).sum()) / noise) if noise else np.inf
    return {"snr": float(ratio), "flips": float((found.argmax(-1) != reference.argmax(-1)).mean())}


def _outputs(module: nn.Module, part: Part) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([module(some) for some in part.x.split(_SOME)]).double().numpy()


def _accuracy(outputs: np.ndarray, part: Part) -> float:
    return float((outputs.argmax(-1) == part.y.numpy()).mean())
