"""Exact gradients of the error of any network in its weights, by reverse accumulation.

The network is run as `balance_graph.graph.evaluation` runs it: edges inside a strongly connected component carry the
value of the step before, zero at first; all others act at once. With z the weighted sum at a node and f its activation,
the backward pass carries ``delta = f'(z) dE/d(state)`` from heads to tails and from each step to the one before, and
``dE/dw = sum of delta(head) * state(tail)`` over batch and steps.

The derivative of a positively homogeneous f needs no formula of its own: by Euler's theorem ``f'(z) = c f(z) / z``.
At z = 0 it is taken as zero, a subgradient of ReLU. Activations that are not homogeneous are differentiated by
five-point differences, to about 1e-11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask
from balance_graph.graph.activations import Activation
from balance_graph.graph.compilation import compile_graph, node_activation, roles_of
from balance_graph.graph.evaluation import evaluate

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
        states, _ = self._forward(*self._matrices(weights))
        return self._shaped(states)

    def gradient(self, weights: Array) -> tuple[float, Array]:
        """The error, and its slope in the weight of every edge, each copy of a shared parameter by itself."""
        now, before = self._matrices(weights)
        states, sums = self._forward(now, before)
        value, slopes = self.error(self._shaped(states), self.targets)
        deltas = self._backward(now, before, sums, states, slopes.reshape(len(states), -1, self._output_nodes.size))
        return value, self._edge_slopes(states, deltas)

    # ---- the network as arrays ---------------------------------------------------------------------------------

    @cached_property
    def _at(self) -> Any:
        return compile_graph(self.graph).manifold

    @cached_property
    def _roles(self) -> list[str]:
        return list(roles_of(self.graph).values())

    def _nodes_of(self, role: str) -> Index:
        return np.array([k for k, one in enumerate(self._roles) if one == role], dtype=np.intp)

    @cached_property
    def _input_nodes(self) -> Index:
        return self._nodes_of("input")

    @cached_property
    def _bias_nodes(self) -> Index:
        return self._nodes_of("bias")

    @cached_property
    def _output_nodes(self) -> Index:
        return self._nodes_of("output")

    @cached_property
    def _present(self) -> Mask:
        return np.array([data["weight"] != 0 for _, _, data in self.graph.edges(data=True)], dtype=np.bool_)

    @cached_property
    def _delayed(self) -> Mask:
        """Edges inside a strongly connected component of the edges of nonzero weight."""
        tail, head, present = self._at.tail, self._at.head, self._present
        links: nx.DiGraph[int] = nx.DiGraph()
        links.add_nodes_from(range(self._at.n_nodes))
        links.add_edges_from(zip(tail[present].tolist(), head[present].tolist(), strict=True))
        component = np.zeros(self._at.n_nodes, dtype=np.intp)
        for number, members in enumerate(nx.strongly_connected_components(links)):
            component[list(members)] = number
        return np.asarray(component[tail] == component[head])

    @cached_property
    def _levels(self) -> list[list[tuple[Activation, Index]]]:
        """Nodes in the order in which they can be computed, those of one activation together."""
        direct = self._present & ~self._delayed
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(self._at.n_nodes))
        graph.add_edges_from(zip(self._at.tail[direct].tolist(), self._at.head[direct].tolist(), strict=True))
        functions = [node_activation(data, node) for node, data in self.graph.nodes(data=True)]
        levels = []
        for generation in nx.topological_generations(graph):
            groups: dict[int, list[int]] = {}
            for node in generation:
                if self._roles[node] in {"hidden", "output"}:
                    groups.setdefault(id(functions[node]), []).append(node)
            levels.append([(functions[nodes[0]], np.array(nodes)) for nodes in groups.values()])
        return levels

    def _matrices(self, weights: Array) -> tuple[Any, Any]:
        """Matrices (head, tail) of the edges that act at once and of the delayed ones."""
        return self._matrix(weights, self._present & ~self._delayed), self._matrix(
            weights, self._present & self._delayed
        )

    def _matrix(self, weights: Array, chosen: Mask) -> Any:
        head, tail, n = self._at.head[chosen], self._at.tail[chosen], self._at.n_nodes
        if n > _DENSE:
            return sparse.csr_array((weights[chosen], (head, tail)), shape=(n, n))
        matrix = np.zeros((n, n))
        matrix[head, tail] = weights[chosen]
        return matrix

    @property
    def _sequence(self) -> Array:
        """Inputs as (steps, batch, n_inputs)."""
        return self.inputs if self.inputs.ndim == 3 else self.inputs[None]

    def _shaped(self, states: list[Array]) -> Array:
        outputs = np.stack([state[self._output_nodes].T for state in states])
        return outputs if self.inputs.ndim == 3 else outputs[0]

    # ---- forward and backward ----------------------------------------------------------------------------------

    def _forward(self, now: Any, before: Any) -> tuple[list[Array], list[Array]]:
        """State and weighted sum of every node at every step: arrays (n_nodes, batch)."""
        sequence = self._sequence
        state = np.zeros((self._at.n_nodes, sequence.shape[1]))
        states, sums = [], []
        for inputs in sequence:
            total = before @ state
            state = np.zeros_like(state)
            state[self._input_nodes] = inputs.T
            state[self._bias_nodes] = 1.0
            for level in self._levels:
                for function, nodes in level:
                    total[nodes] += now[nodes] @ state
                    state[nodes] = function(total[nodes])
            states.append(state)
            sums.append(total)
        return states, sums

    def _backward(self, now: Any, before: Any, sums: list[Array], states: list[Array], slopes: Array) -> list[Array]:
        """``dE/dz`` of every node at every step."""
        later = np.zeros_like(sums[0])
        deltas = []
        for total, state, slope in zip(reversed(sums), reversed(states), slopes[::-1], strict=True):
            back = later.copy()
            back[self._output_nodes] += slope.T
            delta = np.zeros_like(total)
            for level in reversed(self._levels):
                for function, nodes in level:
                    delta[nodes] = derivative(function, total[nodes], state[nodes]) * back[nodes]
                    back += now[nodes].T @ delta[nodes]
            later = before.T @ delta
            deltas.append(delta)
        return deltas[::-1]

    def _edge_slopes(self, states: list[Array], deltas: list[Array]) -> Array:
        """``sum of delta(head) * state(tail)``, of the step before where the edge is delayed."""
        tail, head = self._at.tail, self._at.head
        slopes = np.zeros(tail.size)
        previous = np.zeros_like(states[0])
        for state, delta in zip(states, deltas, strict=True):
            source = np.where(self._delayed[:, None], previous[tail], state[tail])
            slopes += np.einsum("eb,eb->e", delta[head], source)
            previous = state
        return np.where(self._present, slopes, 0.0)


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
