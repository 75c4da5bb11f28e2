"""Training of a network, as the statements about learning need it: error plus a multiple of the cost.

What is trained does not depend on units: weights of the architecture and signs given, of a size that keeps values and
two decades wide at most, an error in units of the noise in its targets, a cost that is a given share of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.graph.compilation import node_activation
from balance_graph.problem.log_weight_cost import LogWeightCost
from balance_graph.theory.gradients import NetworkError, Parameters, least_squares
from balance_graph.theory.subject import Subject

# Beyond this many parameters training would take longer than everything else together.
MOST_PARAMETERS = 200
# Logarithm of the ratio of the largest weight to the least at the start: smaller ones would take for ever to learn.
_WIDTH = float(np.log(100.0))
# Of the log-scales that put the start out of balance, and how often they are drawn.
_SPREAD, _DRAWS = 0.5, 5
# Relative slope of a smooth cost falls from log-weight -10 to -20; that of |w| stays, that of |w|^1.1 falls by e.
_KINK = 0.99


@dataclass(frozen=True, eq=False)
class Training:
    """Error of a network on random data, plus `strength` times its cost, as a function of its parameters."""

    subject: Subject
    error: NetworkError
    strength: float

    @classmethod
    def of(cls, subject: Subject, rng: np.random.Generator, *, share_of_cost: float = 0.1) -> Training:
        """Training on random inputs, towards the network's own outputs and as much noise.

        The strength of the cost makes it the given share of the error at the start.
        """
        error = NetworkError.with_noise(subject.graph, subject.inputs(rng), least_squares, rng)
        cost = bg.cost(subject.graph, subject.regularizer)
        strength = share_of_cost * error.value(subject.weights) / cost
        return cls(subject, error, strength)

    @cached_property
    def parameters(self) -> Parameters:
        """What may change."""
        return Parameters(self.subject.graph)

    @property
    def start(self) -> Array:
        """The parameters of the network as given."""
        return self.parameters.of_weights(self.subject.weights)

    def weights(self, values: Array) -> Array:
        """Weights at the values of the parameters."""
        return self.parameters.weights(values, self.subject.weights)

    def problem(self, weights: Array) -> bg.BalanceProblem:
        """The balance problem of the network with other weights."""
        return replace(self.subject.problem, weight=weights)

    def total(self, values: Array) -> tuple[float, Array]:
        """Error plus cost, and the slopes in the parameters."""
        value, slopes = self.edge_slopes(self.weights(values))
        return value, self.parameters.slopes(slopes)

    def edge_slopes(self, weights: Array) -> tuple[float, Array]:
        """Error plus cost, and the slopes in the weights; a shared parameter's cost is split among its copies."""
        value, slopes = self.error.gradient(weights)
        if self.strength == 0.0:
            return value, slopes
        problem = self.problem(weights)
        value += self.strength * problem.cost(problem.unscaled)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            flows = np.exp(problem.log_flows(problem.unscaled))
            return value, slopes + self.strength * np.where(weights != 0.0, flows / weights, 0.0)

    def imbalance(self, weights: Array) -> tuple[Array, Array]:
        """``A^T y`` and ``|A|^T y``: imbalance of every unknown scale, and what it is relative to."""
        problem, matrix = self.problem(weights), self.subject.problem.manifold.reduced_incidence
        flows = np.exp(problem.log_flows(problem.unscaled))
        return np.asarray(matrix.T @ flows), np.asarray(abs(matrix).T @ flows)

    def critical_point(self) -> tuple[Array, float]:
        """Parameters at which the slopes of error plus cost vanish, by BFGS and Newton; and the largest slope left."""
        from scipy import optimize

        found = optimize.minimize(
            self.total, self.start, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 300}
        )
        values, slopes = found.x, self.total(found.x)[1]
        for _ in range(8):
            step = np.linalg.lstsq(self._hessian(values), -slopes, rcond=1e-12)[0]
            trial = self.total(values + step)[1]
            if not np.abs(trial).max(initial=0.0) < np.abs(slopes).max(initial=0.0):
                break
            values, slopes = values + step, trial
        return values, float(np.abs(slopes).max(initial=0.0))

    def _hessian(self, values: Array) -> Array:
        """Differences of the exact slopes."""
        step = 1e-6
        columns = [
            (self.total(values + step * unit)[1] - self.total(values - step * unit)[1]) / (2 * step)
            for unit in np.eye(values.size)
        ]
        return np.array(columns)

    def descent(self, steps: int) -> Iterator[Array]:
        """Parameters along gradient descent: the step is halved until it lowers the total, and grows again slowly."""
        values = self.start
        total, slopes = self.total(values)
        size = 1e-3
        yield values
        for _ in range(steps):
            trial = values - size * slopes
            new, new_slopes = self.total(trial)
            # Half of the decrease that the slopes promise, as usual.
            if new <= total - 0.5 * size * float(slopes @ slopes):
                values, total, slopes = trial, new, new_slopes
                size *= 1.2
                yield values
            else:
                size *= 0.5


def with_smooth_units(subject: Subject) -> Subject:
    """The same architecture with units without kinks: linear ones of degree 1, ``z |z|**(c - 1)`` of degree c."""
    graph = subject.graph.copy()
    for node in subject.free_nodes:
        c = node_activation(graph.nodes[node], node).degree
        graph.nodes[node]["activation"] = "linear" if c == 1.0 else f"bipu({c!r},1,-1)"
    return Subject(f"{subject.name} (with smooth units)", graph, subject.regularizer)


def trainable(subject: Subject) -> Subject:
    """The same architecture and signs, with weights of the usual size and at most two decades wide.

    The sizes are raised to a common power and multiplied by a common number, so that their order stays, and copies of a
    shared weight stay equal; on average the squares of a unit's in-weights add up to one.
    """
    weights = subject.weights
    some = weights != 0.0
    if not some.any():
        return subject
    logs = np.log(np.abs(weights[some]))
    logs = min(1.0, _WIDTH / max(float(np.ptp(logs)), _WIDTH)) * (logs - logs.max())
    n_heads = np.unique(subject.problem.manifold.head[some]).size
    sizes = np.exp(logs) * np.sqrt(n_heads / np.exp(2.0 * logs).sum())
    normalized = np.zeros_like(weights)
    normalized[some] = np.sign(weights[some]) * sizes
    return subject.with_weights(normalized)


def out_of_balance(subject: Subject, rng: np.random.Generator) -> Subject:
    """Of some random scalings of a network the one that is least balanced."""
    drawn = [subject.scaled(subject.log_scales(rng, _SPREAD)) for _ in range(_DRAWS)]
    return max(drawn, key=lambda one: bg.relative_imbalance(one.graph, one.regularizer))


def why_not_trained(subject: Subject) -> str:
    """Why a network is not trained here, or nothing."""
    if not subject.free_nodes:
        return "no free units"
    if not subject.count("output"):
        return "no outputs, so there is no error to train on"
    if Parameters(subject.graph).size > MOST_PARAMETERS:
        return f"training is measured on networks of at most {MOST_PARAMETERS} parameters"
    if not subject.weights.any():
        return "all weights are zero"
    if np.any(subject.problem.manifold.degree[subject.problem.manifold.free_nodes] < 1.0):
        return "a unit of degree below 1 has infinite slope at zero, where training ends"
    return ""


def why_cost_not_smooth(subject: Subject) -> str:
    """Why error plus cost cannot be trained smoothly to an end, or nothing."""
    kink = "the cost has a kink at zero weights, where such training ends"
    if isinstance(subject.regularizer, LogWeightCost):
        return kink if _has_kink(subject.regularizer) else ""
    return "" if min(_powers(subject)) > 1.0 else kink


def why_no_newton(subject: Subject) -> str:
    """Why critical points of error plus cost cannot be found by Newton's method, or nothing."""
    reason = why_cost_not_smooth(subject)
    if reason or isinstance(subject.regularizer, LogWeightCost) or min(_powers(subject)) >= 2.0:
        return reason
    return "the cost has infinite curvature at zero weights, where Newton's method finds no critical points"


def _powers(subject: Subject) -> list[float]:
    """The exponents of the powers of which the cost is a sum."""
    one = subject.regularizer
    if isinstance(one, bg.ElasticNet):
        return [p for a, p in ((one.l1, 1.0), (one.l2, 2.0)) if a > 0.0]
    if isinstance(one, bg.Posynomial):
        return [p for _, p in one.terms]
    assert isinstance(one, bg.Lp)
    own = [data.get("exponent") for _, _, data in subject.graph.edges(data=True)]
    return [one.p if p is None else float(p) for p in own]


def _has_kink(cost: LogWeightCost) -> bool:
    """Whether ``g'(w) = slope(log w) / w`` does not fall to zero with w."""
    with np.errstate(all="ignore"):
        near, nearer = (float(np.exp(cost.log_slope(np.array([x]))[0] - x)) for x in (-10.0, -20.0))
    return nearer > _KINK * near
