"""Which activations can be scaled: the linear ones, BiLU, BiPU, and no others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.graph.compilation import node_activation
from balance_graph.theory.statement import Trial, statement

_SHIPPED = ("linear", "relu", "leaky_relu(0.2)", "abs", "bilu(-0.5,2)", "relu2", "bipu(0.5,1,-2)", "bipu(3,0.7,1.3)")
# Homogeneous functions that are not written as BiPU: the statement says that they are all the same.
_WRITTEN_OTHERWISE: dict[str, tuple[Callable[[Array], Array], float]] = {
    "max(z, 2 z)": (lambda z: np.maximum(z, 2.0 * z), 1.0),
    "z + |z| / 2": (lambda z: z + 0.5 * np.abs(z), 1.0),
    "z |z| - z^2 / 2": (lambda z: z * np.abs(z) - 0.5 * z**2, 2.0),
    "sqrt(max(z, 0) |z|^3)": (lambda z: np.sqrt(np.maximum(z, 0.0) * np.abs(z) ** 3), 2.0),
    "cbrt(z)": (np.cbrt, 1.0 / 3.0),
}


@statement(
    1,
    "additive and multiplicative linear activations are the linear ones; positively homogeneous ones of degree 1 are "
    "exactly BiLU, of degree c exactly BiPU",
    "Baldi et al., Proposition 2.2 (linear activations); BiPU as in their Figure 1",
)
def homogeneous_activations_are_bipu(trial: Trial) -> None:
    """Compare homogeneous functions with the BiPU through their values at 1 and -1, and linear ones with z f(1)."""
    rng = trial.rng
    scaled = trial.tally("f(s z) - s^c f(z), relative", 1e-12, "a few powers and products, each rounded once")
    form = trial.tally("f(z) against the BiPU with f(1), f(-1)", 1e-12, "a few powers and products, each rounded once")
    linear = trial.tally(
        "of BiLU: additive defect f(1) + f(-1) - f(0) against b - a",
        1e-15,
        "sums of two numbers, exact but for one rounding",
    )
    for activation in _homogeneous(trial):
        z = np.concatenate([-(10.0 ** rng.uniform(-2, 2, 20)), 10.0 ** rng.uniform(-2, 2, 20)])
        s = 10.0 ** rng.uniform(-2, 2, z.size)
        assert activation.degree is not None
        scaled.add(_relative(activation(s * z), s**activation.degree * activation(z)), str(activation))
        above, below = activation(np.array([1.0, -1.0])).tolist()
        form.add(_relative(activation(z), bg.bipu(activation.degree, above, below)(z)), str(activation))
    for a, b in rng.normal(size=(10, 2)).tolist():
        defect = bg.bilu(a, b)(np.array([1.0, -1.0, 0.0])) @ np.array([1.0, 1.0, -1.0])
        linear.add(defect - (b - a), f"bilu({a:.3g}, {b:.3g})")
    tanh = bg.activation("tanh")
    trial.counterexample(
        "tanh is not homogeneous: f(2 z) against 2 f(z) at z = 1",
        _relative(tanh(np.array([2.0])), 2.0 * tanh(np.array([1.0]))),
        0.1,
    )
    trial.counterexample(
        "ReLU is homogeneous, not linear: f(1) + f(-1) against f(0)",
        float(abs(np.sum(bg.activation("relu")(np.array([1.0, -1.0]))))),
        0.5,
    )


def _homogeneous(trial: Trial) -> list[bg.Activation]:
    """The activations of the free nodes, those that ship, and functions that are homogeneous in disguise."""
    found = {}
    for subject in trial.networks():
        for node in subject.free_nodes:
            activation = node_activation(subject.graph.nodes[node], node)
            found[activation.name] = activation
    found |= {name: bg.activation(name) for name in _SHIPPED}
    found |= {name: bg.Activation(name, function, c) for name, (function, c) in _WRITTEN_OTHERWISE.items()}
    return list(found.values())


def _relative(values: Array, expected: Array) -> float:
    """Largest difference, relative to the larger of the two."""
    size = np.maximum(np.abs(values), np.abs(expected))
    return float(np.max(np.abs(values - expected) / np.where(size > 0, size, 1.0)))
