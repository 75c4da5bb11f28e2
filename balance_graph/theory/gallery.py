"""The networks on which the theory is examined by default: small, random, one for each thing that it extends to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np

from balance_graph import networks
from balance_graph.problem.log_weight_cost import LogConvex
from balance_graph.problem.regularizers import ElasticNet, Lp, Regularizer
from balance_graph.theory.subject import Subject

_POWERS = ("relu2", "bipu(0.5)", "bipu(3,1,-0.5)", "leaky_relu(0.2)", "bipu(1.5,1,1)")


def log_one_plus_square() -> LogConvex:
    """The cost ``log(1 + w**2)``: convex in the log-weight, and not a sum of powers."""

    def share(x: Any) -> Any:
        return np.exp(-np.logaddexp(0.0, -2.0 * x))

    return LogConvex(
        lambda x: np.logaddexp(0.0, 2.0 * x),
        lambda x: 2.0 * share(x),
        lambda x: 4.0 * share(x) * (1.0 - share(x)),
    )


def default_gallery(regularizer: Regularizer, rng: np.random.Generator) -> list[Subject]:
    """Thirteen networks; those that are not about a cost of their own have the given one."""
    seed = _seeds(rng)
    mixed = networks.random_dag(hidden=7, probability=0.4, rng=seed())
    _mix(mixed, ("relu", "abs", "linear", "relu2", "tanh", "bipu(0.5)", "leaky_relu(0.3)"))
    recurrent_powers = networks.random_recurrent(2, 4, 1, 0.5, self_loops=True, rng=seed())
    _mix(recurrent_powers, _POWERS)
    exponents = networks.layered([3, 4, 3, 2], rng=seed())
    _draw_exponents(exponents, rng)
    kernel = seed()
    return [
        Subject("layered, biases", networks.layered([3, 4, 3, 2], rng=seed()), regularizer),
        Subject("random DAG, p = 1", networks.random_dag(hidden=6, activation="abs", rng=seed()), Lp(1)),
        Subject("recurrent, self-loops", _damped(networks.random_recurrent(self_loops=True, rng=seed())), regularizer),
        Subject("residual, fixed edges", networks.residual(blocks=1, width=3, rng=seed()), regularizer),
        Subject("convolution, tied", networks.convolutional(5, (1, 2), sharing="group", rng=kernel), Lp(2)),
        Subject("convolution, shared", networks.convolutional(5, (1, 2), sharing="shared", rng=kernel), Lp(2)),
        Subject("powers, p = 0.5", networks.layered([2, 3, 3, 3, 1], list(_POWERS[:3]), rng=seed()), Lp(0.5)),
        Subject("mixed degrees, p = 3", mixed, Lp(3)),
        Subject("smooth powers", networks.layered([2, 3, 2, 1], ["bipu(2,1,-1)", "linear"], rng=seed()), regularizer),
        Subject("recurrent powers", _damped(recurrent_powers), regularizer),
        Subject("exponents per edge", exponents, Lp(2)),
        Subject("elastic net", networks.random_dag(hidden=6, rng=seed()), ElasticNet(l1=0.5, l2=1.5)),
        Subject("log(1 + w^2)", networks.layered([3, 4, 2], "leaky_relu(0.1)", rng=seed()), log_one_plus_square()),
    ]


def _seeds(rng: np.random.Generator) -> Callable[[], int]:
    return lambda: int(rng.integers(2**31))


def _mix(network: nx.DiGraph[Any], activations: tuple[str, ...]) -> None:
    """Give the hidden nodes the activations in turn."""
    hidden = [data for _, data in network.nodes(data=True) if data["role"] == "hidden"]
    for k, data in enumerate(hidden):
        data["activation"] = activations[k % len(activations)]


def _damped(network: nx.DiGraph[Any]) -> nx.DiGraph[Any]:
    """The network with smaller weights, so that its values stay small over some steps."""
    for _, _, data in network.edges(data=True):
        data["weight"] *= 0.6
    return network


def _draw_exponents(network: nx.DiGraph[Any], rng: np.random.Generator) -> None:
    """Exponents and coefficients of their own for some edges."""
    for _, _, data in network.edges(data=True):
        if rng.random() < 0.5:
            data["exponent"] = float(rng.choice([0.5, 1.0, 3.0]))
        if rng.random() < 0.3:
            data["coefficient"] = float(rng.uniform(0.3, 3.0))
