"""A network under examination, with its cost: what the statements ask of it, through the public interface."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import roles_of
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.theory._local_model import LocalModel, local_model

# Steps of a recurrent network: enough for a value to pass around its cycles, few enough not to grow beyond bounds.
STEPS = 4
_BATCH = 5
_MOST_EIGENVALUES = 300
# Logarithm of 1e50: squares and products of such numbers stay within the range of floats.
_LARGEST_LOG = 115.0


@dataclass(frozen=True, eq=False)
class Subject:
    """A network under examination, with its cost.

    Attributes
    ----------
    name : str
    graph : networkx.DiGraph
    regularizer : Regularizer
    """

    name: str
    graph: nx.DiGraph[Any] = field(repr=False)
    regularizer: bg.Regularizer

    @cached_property
    def problem(self) -> bg.BalanceProblem:
        """The compiled problem."""
        return bg.compile_graph(self.graph, self.regularizer)

    @cached_property
    def attainment(self) -> bg.Attainment:
        """Whether the minimum is attained."""
        return bg.attainment(self.graph, self.regularizer)

    @cached_property
    def extreme_costs(self) -> str:
        """Why residuals of costs measured in plain floats would say nothing about this network, or nothing."""
        problem = self.problem
        log_costs = problem.rows.log_costs(np.zeros(problem.rows.edge.size))
        if np.abs(log_costs).max(initial=0.0) > _LARGEST_LOG:
            return "some of its costs are beyond 1e50 or 1e-50: residuals in plain floats would say nothing"
        return ""

    @cached_property
    def extreme_outputs(self) -> str:
        """Why its outputs cannot be compared in plain floats, or nothing."""
        try:
            outputs = bg.evaluate(self.graph, self.inputs(np.random.default_rng(0)))
        except InvalidParameterError:  # infinities of both signs
            outputs = np.array([np.inf])
        if not np.all(np.abs(outputs) < np.exp(_LARGEST_LOG)):
            return "its outputs grow beyond 1e50: residuals in plain floats would say nothing"
        return ""

    @cached_property
    def roles(self) -> dict[Hashable, str]:
        """Role of every node."""
        return roles_of(self.graph)

    @cached_property
    def free_nodes(self) -> list[Hashable]:
        """The nodes that can be scaled."""
        return [self.problem.nodes[k] for k in self.problem.manifold.free_nodes.tolist()]

    @property
    def n_unknowns(self) -> int:
        """Number of scales that can be chosen: free nodes less what ties, fixed edges and shared weights take."""
        return int(self.problem.manifold.basis.shape[1])

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether some edge of nonzero weight lies on a cycle."""
        nonzero = [(u, v) for u, v, data in self.graph.edges(data=True) if data["weight"] != 0]
        return not nx.is_directed_acyclic_graph(nx.DiGraph(nonzero))

    def count(self, role: str) -> int:
        """Number of nodes of a role."""
        return sum(1 for one in self.roles.values() if one == role)

    @cached_property
    def slowness(self) -> float:
        """How much more than 1e4 times an imbalance can be magnified to an error of the log-scales at the optimum.

        That is one over the least eigenvalue of the Hessian scaled to unit diagonal; for more than a few hundred
        scales it is not computed, and taken as 1.
        """
        if not self.problem.manifold.is_tied or self.n_unknowns > _MOST_EIGENVALUES:
            return 1.0
        if self.local_model.size == 0:
            return 1.0
        return max(1.0, 1e-4 / max(float(np.linalg.eigvalsh(self.local_model.dense)[0]), 1e-300))

    @cached_property
    def local_model(self) -> LocalModel:
        """The quadratic model of the cost at the optimum."""
        return local_model(self.problem)

    def inputs(self, rng: np.random.Generator) -> Array:
        """A random batch of inputs, at every step for a recurrent network."""
        shape = (_BATCH, self.count("input"))
        return rng.standard_normal((STEPS, *shape) if self.is_recurrent else shape)

    def log_scales(self, rng: np.random.Generator, spread: float = 1.0) -> Array:
        """Random log-scales of all nodes that keep every constraint."""
        return np.asarray(self.problem.manifold.basis @ (spread * rng.standard_normal(self.n_unknowns)))

    def scales(self, log_scales: Array) -> dict[Hashable, float]:
        """The scale of each free node, as `balance_graph.scale` takes them."""
        return {node: exp_or_inf(value) for node, value in self.problem.by_free_node(log_scales).items()}

    def scaled(self, log_scales: Array) -> Subject:
        """The network scaled by the given log-scales of all nodes."""
        return Subject(self.name, bg.scale(self.graph, self.scales(log_scales)), self.regularizer)

    def with_weights(self, weights: Array) -> Subject:
        """The network with other weights, in the order of its edges."""
        graph = self.graph.copy()
        for (_, _, data), value in zip(graph.edges(data=True), weights.tolist(), strict=True):
            data["weight"] = value
        return Subject(self.name, graph, self.regularizer)

    @cached_property
    def weights(self) -> Array:
        """The weights, in the order of the edges."""
        return weights_of(self.graph)

    def at(self, thing: Hashable) -> str:
        """The name of the network with that of a node or edge in it."""
        return f"{self.name}, {thing!r}"


def why_no_optimum(subject: Subject) -> str:
    """Why there is no balanced state to compare, or nothing."""
    if not subject.free_nodes:
        return "no free units"
    found = subject.attainment
    if not found.attained:
        return f"the minimum is not attained: {found.dead_nodes[:3]!r} can be scaled for ever"
    return ""


def weights_of(graph: nx.DiGraph[Any]) -> Array:
    """The weights of a network, in the order of its edges."""
    return np.array([data["weight"] for _, _, data in graph.edges(data=True)], dtype=np.float64)


def log_ratios(one: nx.DiGraph[Any], other: nx.DiGraph[Any]) -> Array:
    """Logarithm of each weight of the second network over that of the first; inf where signs or zeros differ."""
    first, second = weights_of(one), weights_of(other)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(np.abs(second)) - np.log(np.abs(first))
    return np.where(np.sign(first) != np.sign(second), np.inf, np.where(first == 0.0, 0.0, ratios))


def difference(one: nx.DiGraph[Any], other: nx.DiGraph[Any]) -> float:
    """Largest logarithm of a ratio of weights."""
    return float(np.abs(log_ratios(one, other)).max(initial=0.0))


def output_change(before: Array, after: Array) -> float:
    """Largest change of an output, relative to the largest output at the same step."""
    axes = tuple(range(before.ndim))[-2:]
    size = np.abs(before).max(axis=axes, initial=0.0)
    change = np.abs(after - before).max(axis=axes, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(change == 0.0, 0.0, change / size), initial=0.0))


def sample(items: list[Any], rng: np.random.Generator, most: int) -> list[Any]:
    """At most so many of the items, in their order."""
    if len(items) <= most:
        return items
    return [items[k] for k in sorted(rng.choice(len(items), most, replace=False).tolist())]
