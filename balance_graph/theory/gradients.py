"""Exact gradients of the error of any network in its weights, by reverse accumulation.

Values propagate as in `balance_graph.graph.propagation`. With z the weighted sum at a node and f its activation, the
backward pass carries ``delta = f'(z) dE/d(state)`` from heads to tails and from each step to the one before, and
``dE/dw = sum of delta(head) * state(tail)`` over batch and steps.

The derivative of a positively homogeneous f needs no formula of its own: by Euler's theorem ``f'(z) = c f(z) / z``.
At z = 0 it is taken as zero, a subgradient of ReLU. Activations that are not homogeneous are differentiated by
five-point differences, to about 1e-11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._types import Array, Index
from balance_graph.graph.activations import Activation
from balance_graph.graph.evaluation import evaluate
from balance_graph.graph.propagation import Matrices, Propagation

# Up to so many nodes dense matrices are faster than sparse ones, and small beside everything else.
_DENSE = 500
# Error of outputs against targets, and its slope in each output.
ErrorOfOutputs = Callable[[Array, Array], tuple[float, Array]]


def least_squares(outputs: Array, targets: Array) -> tuple[float, Array]:
    """Half the sum of squared differences, and its slopes."""
    difference = outputs - targets
    return 0.5 * float(np.sum(difference**2)), difference


def log_cosh(outputs: Array, targets: Array) -> tuple[float, Array]:
    """Sum of ``log cosh`` of the differences, and its slopes: smooth, and not quadratic."""
    difference = np.abs(outputs - targets)
    value = difference + np.log1p(np.exp(-2.0 * difference)) - np.log(2.0)
    return float(np.sum(value)), np.tanh(outputs - targets)


def in_units(error: ErrorOfOutputs, unit: float) -> ErrorOfOutputs:
    """The error of outputs and targets that are measured in another unit."""

    def measured(outputs: Array, targets: Array) -> tuple[float, Array]:
        value, slopes = error(outputs / unit, targets / unit)
        return value, slopes / unit

    return measured


@dataclass(frozen=True, eq=False)
class NetworkError:
    """The error of a network on fixed inputs and targets, as a function of its weights.

    Parameters
    ----------
    graph : networkx.DiGraph
        Gives the architecture. An edge whose weight is zero there is no edge: its slope is zero.
    inputs : array
        (batch, n_inputs), or (steps, batch, n_inputs) for a recurrent network.
    targets : array
        Of the shape of the outputs.
    error : callable
        `least_squares`, `log_cosh`, or another that returns value and slopes.

    Examples
    --------
    >>> import networkx as nx, numpy as np
    >>> from balance_graph.theory.gradients import NetworkError
    >>> G = nx.DiGraph([("x", "h", {"weight": 2.0}), ("h", "y", {"weight": 3.0})])
    >>> NetworkError(G, np.array([[1.0]]), np.array([[5.0]])).gradient(np.array([2.0, 3.0]))
    (0.5, array([3., 2.]))
    """

    graph: nx.DiGraph[Any]
    inputs: Array
    targets: Array
    error: ErrorOfOutputs = least_squares

    @classmethod
    def with_noise(
        cls, graph: nx.DiGraph[Any], inputs: Array, error: ErrorOfOutputs, rng: np.random.Generator
    ) -> NetworkError:
        """The error against the network's own outputs and as much noise, which is the unit that it is measured in."""
        outputs = evaluate(graph, inputs)
        size = float(np.abs(outputs).max(initial=0.0))
        # Outputs that differ by rounding only have no scatter to speak of.
        unit = max(float(outputs.std()), 1e-3 * size) if size > 0.0 else 1.0
        return cls(graph, inputs, outputs + unit * rng.standard_normal(outputs.shape), in_units(error, unit))

    def value(self, weights: Array) -> float:
        """The error with the given weights, in the order of the edges of the graph."""
        return self.error(self.outputs(weights), self.targets)[0]

    def outputs(self, weights: Array) -> Array:
        """The outputs with the given weights."""
        return self._shaped([state for state, _ in self._steps(self._matrices(weights))])

    def gradient(self, weights: Array) -> tuple[float, Array]:
        """The error, and its slope in the weight of every edge, each copy of a shared parameter by itself."""
        matrices = self._matrices(weights)
        states, sums = (list(one) for one in zip(*self._steps(matrices), strict=True))
        value, slopes = self.error(self._shaped(states), self.targets)
        by_step = slopes.reshape(len(states), -1, self._network.outputs.size)
        return value, self._edge_slopes(states, self._backward(matrices, sums, states, by_step))

    @cached_property
    def _network(self) -> Propagation:
        return Propagation.of(self.graph)

    def _matrices(self, weights: Array) -> Matrices:
        return self._network.matrices(weights, dense=self._network.size <= _DENSE)

    def _steps(self, matrices: Matrices) -> Iterator[tuple[Array, Array]]:
        """Values and sums of all nodes after each step."""
        return self._network.run(matrices, self.inputs if self.inputs.ndim == 3 else self.inputs[None])

    def _shaped(self, states: list[Array]) -> Array:
        outputs = np.stack([state[self._network.outputs].T for state in states])
        return outputs if self.inputs.ndim == 3 else outputs[0]

    def _backward(self, matrices: Matrices, sums: list[Array], states: list[Array], slopes: Array) -> list[Array]:
        """``dE/dz`` of every node at every step."""
        later = np.zeros_like(sums[0])
        deltas = []
        for total, state, slope in zip(reversed(sums), reversed(states), slopes[::-1], strict=True):
            back = later.copy()
            back[self._network.outputs] += slope.T
            delta = np.zeros_like(total)
            for stage in reversed(self._network.stages):
                for function, nodes in stage:
                    delta[nodes] = derivative(function, total[nodes], state[nodes]) * back[nodes]
                    back += matrices.now[nodes].T @ delta[nodes]
            later = matrices.before.T @ delta
            deltas.append(delta)
        return deltas[::-1]

    def _edge_slopes(self, states: list[Array], deltas: list[Array]) -> Array:
        """``sum of delta(head) * state(tail)``, of the step before where the edge is delayed."""
        tail, head = self._network.tail, self._network.head
        slopes = np.zeros(tail.size)
        previous = np.zeros_like(states[0])
        for state, delta in zip(states, deltas, strict=True):
            source = np.where(self._network.delayed[:, None], previous[tail], state[tail])
            slopes += np.einsum("eb,eb->e", delta[head], source)
            previous = state
        return np.where(self._network.present, slopes, 0.0)


def derivative(function: Activation, sums: Array, states: Array) -> Array:
    """``f'(z)`` at the weighted sums, with the states ``f(z)`` known."""
    if function.degree is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(sums == 0.0, 0.0, function.degree * states / sums)
    # The error of the five-point rule, h^4 f''''' / 30, and its rounding, eps / h, are both below 1e-11 here.
    step = 1e-3 * np.maximum(1.0, np.abs(sums))
    near = function(sums + step) - function(sums - step)
    far = function(sums + 2 * step) - function(sums - 2 * step)
    return np.asarray((8.0 * near - far) / (12.0 * step))


@dataclass(frozen=True, eq=False)
class Parameters:
    """What training may change: one number per weight that is neither zero nor fixed, one for all shared copies."""

    graph: nx.DiGraph[Any]

    @cached_property
    def of_edge(self) -> Index:
        """Number of the parameter of each edge, -1 where it may not change."""
        numbers: dict[Any, int] = {}
        result = np.full(self.graph.number_of_edges(), -1, dtype=np.intp)
        for k, (_, _, data) in enumerate(self.graph.edges(data=True)):
            if data["weight"] != 0 and not data.get("fixed"):
                label = data.get("shared")
                result[k] = numbers.setdefault(("edge", k) if label is None else ("shared", label), len(numbers))
        return result

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(self.of_edge.max(initial=-1)) + 1

    def of_weights(self, weights: Array) -> Array:
        """The parameters that the weights stand for."""
        values = np.zeros(self.size)
        changing = self.of_edge >= 0
        values[self.of_edge[changing]] = weights[changing]
        return values

    def weights(self, values: Array, others: Array) -> Array:
        """The weights with the parameters set to the values; weights that may not change as in `others`."""
        return np.where(self.of_edge >= 0, np.append(values, 0.0)[self.of_edge], others)

    def slopes(self, edge_slopes: Array) -> Array:
        """Slopes in the parameters: sums over their copies."""
        changing = self.of_edge >= 0
        return np.bincount(self.of_edge[changing], edge_slopes[changing], minlength=self.size).astype(float)
