"""What is measured, as small frozen objects: models, seeds, what is done to scales, and how weights are rounded."""

from __future__ import annotations

from dataclasses import dataclass, replace

POWERS = (1.0, 2.0, 4.0, 8.0)
NONE, BREVITAS, PYTORCH = "none", "Brevitas", "PyTorch"
BALANCED = {f"p = {p:g}": p for p in POWERS}
# What is done to a model before its weights are rounded.
ARMS = (NONE, *BALANCED, BREVITAS, PYTORCH)
# As trained; and behind random log-scales of every free unit, which keep the function.
STATES = {"healthy": 0.0, "disturbed": 1.0}


@dataclass(frozen=True)
class Rounding:
    """To integers of so many bits, symmetric about zero, one step size for each tensor or each output channel."""

    bits: int
    scope: str  # "tensor", "channel"

    @property
    def key(self) -> str:
        return f"int{self.bits}_{self.scope}"

    @property
    def title(self) -> str:
        return f"int{self.bits} per {self.scope}"


ROUNDINGS = tuple(Rounding(bits, scope) for bits in (8, 4) for scope in ("tensor", "channel"))


@dataclass(frozen=True)
class Training:
    """A network that is trained on data that ship with a package, by AdamW."""

    task: str
    network: str
    seeds: int
    epochs: int
    rate: float = 3e-3
    batch: int = 64

    @property
    def title(self) -> str:
        return f"{self.task}, {self.network}"


@dataclass(frozen=True)
class Job:
    """What one process does at a time, and what is kept of an interrupted run.

    `kind` is "model" (train, round), "file" (round a trained ONNX file) or "peers" (compare on one architecture).
    """

    kind: str
    name: str
    seed: int = 0
    training: Training | None = None
    is_quick: bool = False

    @property
    def key(self) -> str:
        words = f"{self.kind}-{self.name}-{self.seed}".lower()
        return "".join(c if c.isalnum() else "-" for c in words)


PERCEPTRON, CONVOLUTIONAL, NORM, TRANSFORMER = "perceptron", "convolutional", "batch norm", "transformer"
# The trained ONNX files, by a part of their names.
FILES = {"detection": "_det_", "orientation": "_cls_", "recognition": "_rec_"}
FILE_SEEDS = 5
_DIGITS = tuple(Training("digits", name, 8, 30) for name in (PERCEPTRON, CONVOLUTIONAL, NORM, TRANSFORMER))
_MNIST = tuple(Training("MNIST", name, 8, 10) for name in (PERCEPTRON, CONVOLUTIONAL, NORM, TRANSFORMER))
TRAININGS = {
    "short": (*_DIGITS, *_MNIST),
    "quick": tuple(replace(one, seeds=2, epochs=2) for one in _DIGITS if one.network in (PERCEPTRON, NORM)),
}
