"""Which experiments are run: to see that all works, in ten minutes, or at length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.arms import ARMS, named
from experiments.configuration import Experiment

# Half a decade apart; SGD with momentum takes steps ten times as large, and AdamW's do not depend on gradients' sizes.
_RATES = {
    "sgd": (1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0),
    "momentum": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
    "adamw": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
}

_ALL = tuple(ARMS.values())
_STARTS = named("plain", "start p=1", "start p=2", "random as p=2", "disturbed", "disturbed, start p=2")
_WIDE = named("disturbed widely", "disturbed widely, start p=2")
_SOME = (*_STARTS, *named("random as p=1", "full each epoch", "L2 penalty"), *_WIDE)
_FEW = named("plain", "start p=2", "disturbed", "disturbed, start p=2")
# What keeps the function of a network of tanh units: the rule of ENorm does not.
_CONTROL = named("plain", "start p=1", "start p=2", "random as p=2", "sweep each epoch", "full each epoch", "disturbed")


def _experiment(name: str, title: str, network: str, optimizer: str, arms: tuple, **options: Any) -> Experiment:
    budget = {"task": "digits", "epochs": 12, "batch": 64, "seeds": 8, "tuning_seeds": 2, "rates": _RATES[optimizer]}
    return Experiment(name, title, network=network, optimizer=optimizer, arms=arms, **{**budget, **options})


_DIGITS = "64-32-16-10"
_PENALTIES = named("L2 penalty", "L2 penalty, decoupled")
_SMALL = (
    _experiment("digits", "digits", _DIGITS, "sgd", _ALL),
    _experiment("digits-adamw", "digits, AdamW", _DIGITS, "adamw", (*_STARTS, *named("full each epoch"), *_PENALTIES)),
    _experiment("digits-100", "digits, 100 images", _DIGITS, "sgd", _SOME, task="digits, 100 images", epochs=40),
    _experiment(
        *("circle", "toy circle, AdamW", "2-4-5-2", "adamw", _STARTS),
        task="circle",
        epochs=15,
        batch=32,
        rates=(*_RATES["adamw"][1:], 3e-1),  # the best are at the upper end
    ),
    _experiment("digits-tanh", "digits, tanh", _DIGITS + " tanh", "sgd", _CONTROL, seeds=5),
    _experiment("digits-momentum", "digits, momentum", _DIGITS, "momentum", _FEW),
)
_MNIST_600 = _experiment(
    "mnist-600",
    "MNIST, 600 images",
    "784-256-10",
    "sgd",
    (*_STARTS, *named("random as p=1"), *_WIDE),
    task="MNIST, 600 images",
    seeds=5,
    tuning_seeds=1,
)
_ARCHITECTURES = (
    ("recurrent", "recurrent", {8: "recurrent 8-24-10", 28: "recurrent 28-64-10"}),
    ("convolutional", "convolutional", {8: "convolutional 8", 28: "convolutional 28"}),
    ("norm", "convolutional, batch norm", {8: "convolutional 8, batch norm", 28: "convolutional 28, batch norm"}),
    ("encoder", "transformer encoder", {8: "encoder 8", 28: "encoder 28"}),
)
_OTHERS = tuple(
    _experiment(name, f"{title}, digits, AdamW", networks[8], "adamw", _FEW, seeds=5, epochs=6, tuning_seeds=1)
    for name, title, networks in _ARCHITECTURES
)


def _mnist(name: str, title: str, network: str, arms: tuple, task: str = "MNIST", **options: Any) -> Experiment:
    settings = {"epochs": 40, "batch": 256, "seeds": 10, "tuning_seeds": 2, **options}
    return _experiment(f"mnist-{name}", f"{task}, {title}", network, "sgd", arms, task=task, **settings)


_FULL_MNIST = (
    _mnist("600-256", "784-256-10", "784-256-10", _SOME, task="MNIST, 600 images", batch=64),
    _mnist("600-256-128", "784-256-128-10", "784-256-128-10", _SOME, task="MNIST, 600 images", batch=64),
    _mnist("256", "784-256-10", "784-256-10", _ALL),
    _mnist("256-128", "784-256-128-10", "784-256-128-10", _SOME),
    _mnist("512-256-128-64", "784-512-256-128-64-10", "784-512-256-128-64-10", _FEW, epochs=20, tuning_seeds=1),
    _mnist(
        "600-512-256-128-64",
        "784-512-256-128-64-10",
        "784-512-256-128-64-10",
        _FEW,
        task="MNIST, 600 images",
        batch=64,
        tuning_seeds=1,
    ),
    _mnist("tanh", "tanh", "784-256-10 tanh", _CONTROL, epochs=20),
)
_FULL_OTHERS = tuple(
    replace(
        _mnist(name, title, networks[28], _FEW, task="MNIST, 600 images", batch=64, epochs=15, tuning_seeds=1),
        optimizer="adamw",
        rates=_RATES["adamw"],
    )
    for name, title, networks in _ARCHITECTURES
)


def _tiny(experiment: Experiment) -> Experiment:
    return replace(
        experiment, arms=experiment.arms[-5:], epochs=2, seeds=2, tuning_seeds=1, rates=experiment.rates[2:4]
    )


def _longer(experiment: Experiment) -> Experiment:
    return replace(experiment, epochs=2 * experiment.epochs, seeds=10, tuning_seeds=2)


_SHORT = (*_SMALL[:5], _MNIST_600, _SMALL[5], *_OTHERS)
PROFILES: dict[str, tuple[Experiment, ...]] = {
    "smoke": tuple(_tiny(one) for one in (*_SMALL, *_OTHERS)),
    "short": _SHORT,
    "full": (*_FULL_MNIST, *map(_longer, _SMALL), *map(_longer, _OTHERS), *_FULL_OTHERS),
}
TITLES = {one.name: one.title for profile in ("short", "full") for one in PROFILES[profile]}
