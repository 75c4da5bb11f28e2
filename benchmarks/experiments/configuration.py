"""What one run is, as small frozen objects; a run is known by all that is in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Arm:
    """How scales are treated: at the start, while training, and by a penalty.

    `start` is done once to the first weights, after they are disturbed by random log-scales of the size `disturbed`;
    `during` is done at the end of every `every`. The cost is the sum of |w|^p. The rates that are tried are those of
    the experiment times `rate_factor`: where curvature is far larger, smaller rates diverge already.
    """

    name: str
    disturbed: float = 0.0
    start: str = ""  # "", "balance", "random" (as large as balancing, at random), "weights alone" (biases stay)
    during: str = ""  # "", "full", "sweep", "equi-normalization"
    every: str = "epoch"  # "epoch", "step"
    p: float = 2.0
    penalty: str = ""  # "", "l1", "l2"
    decoupled: bool = False
    rate_factor: float = 1.0


@dataclass(frozen=True)
class Run:
    """One training run; runs of stage "tuning" choose rates and are not compared."""

    experiment: str
    task: str
    network: str
    arm: Arm
    optimizer: str  # "sgd", "momentum", "adamw"
    rate: float
    penalty: float
    epochs: int
    batch: int
    seed: int
    stage: str  # "tuning", "tuned", "untuned"

    @property
    def key(self) -> str:
        """Changes with anything in the configuration, and with nothing else."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def row(self) -> dict[str, object]:
        """What the table says of the configuration."""
        flat = {name: value for name, value in asdict(self).items() if name != "arm"}
        return {"key": self.key, **flat, "arm": self.arm.name}


@dataclass(frozen=True)
class Experiment:
    """A task and a network with all arms that are compared on it, under one budget of trials."""

    name: str
    title: str
    task: str
    network: str
    optimizer: str
    arms: tuple[Arm, ...]
    epochs: int
    batch: int
    seeds: int
    rates: tuple[float, ...]  # of arms without a penalty
    penalties: tuple[float, ...] = (1e-4, 1e-3)
    tuning_seeds: int = 2
    first_seed: int = 0
    untuned_rate: float = 1e-3
    untuned_penalty: float = 1e-3

    def trials(self, arm: Arm) -> list[tuple[float, float]]:
        """Rates and penalties to try: as many for every arm. With a penalty, the rates in the middle of the range."""
        rates = [float(f"{arm.rate_factor * rate:.3g}") for rate in self.rates]
        if not arm.penalty:
            return [(rate, 0.0) for rate in rates]
        count = len(rates) // len(self.penalties)
        first = (len(rates) - count + 1) // 2
        return [(rate, penalty) for rate in rates[first : first + count] for penalty in self.penalties]

    def run(self, arm: Arm, rate: float, penalty: float, seed: int, stage: str) -> Run:
        shape = {"epochs": self.epochs, "batch": self.batch, "seed": seed, "stage": stage}
        return Run(self.name, self.task, self.network, arm, self.optimizer, rate, penalty, **shape)

    def tuning(self) -> list[Run]:
        """Seeds apart from those that are compared, so that no arm is tuned to what it is judged by."""
        first = 1000 + self.first_seed
        seeds = range(first, first + self.tuning_seeds)
        return [
            self.run(arm, rate, penalty, seed, "tuning")
            for arm in self.arms
            for rate, penalty in self.trials(arm)
            for seed in seeds
        ]

    def compared(self, chosen: dict[str, tuple[float, float]]) -> list[Run]:
        """The runs that are compared: at the rates chosen for each arm, and at the untuned rate."""
        runs = []
        for arm in self.arms:
            untuned = (self.untuned_rate, self.untuned_penalty if arm.penalty else 0.0)
            for stage, (rate, penalty) in (("tuned", chosen[arm.name]), ("untuned", untuned)):
                seeds = range(self.first_seed, self.first_seed + self.seeds)
                runs += [self.run(arm, rate, penalty, seed, stage) for seed in seeds]
        return runs
