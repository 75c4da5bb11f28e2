"""The balanced network, and the evidence."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from balance_graph.certificate.bound import Certificate
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import compile_graph
from balance_graph.graph.constraints import Constraint, constraint_lines
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.regularizers import Regularizer, as_regularizer, same_cost
from balance_graph.problem.solution import History, Solution, Status

Node = Hashable
Edge = tuple[Hashable, Hashable]


@dataclass(frozen=True, eq=False)
class BalanceResult:
    """The balanced network, and the evidence.

    Attributes
    ----------
    graph : networkx.DiGraph
        A new graph: the same nodes, edges and attributes in the same order, with the balanced weights.
    scales, log_scales : dict
        Scale of each free node and its logarithm. A scale beyond the range of floats is inf or 0; its logarithm is not.
    cost, initial_cost : float
        After and before; inf beyond the range of floats.
    relative_imbalance : float
        Largest ``|in - c out| / (in + c out)`` over free nodes; tied nodes count as one.
    status : Status
        How the solver ended; ``status.advice`` says what to do about it.
    converged : bool
        Whether the tolerance was met.
    certificate : Certificate
        Proven distance of `cost` from the optimum.
    solver : str
    iterations : int
    seconds : float
    history : History
        Cost and relative imbalance at the start and after each iteration or sweep.
    pruned_edges : tuple of (node, node)
        Edges whose weights were set to zero because the minimum is not attained otherwise.
    gauge_nodes : tuple
        One node of each part of the network whose common scale no weight depends on: that scale is arbitrary.
    regularizer : Regularizer
        What the network was balanced for. Whatever takes a result uses it, and refuses another.
    weight : str
        Name of the edge attribute that holds the weight.
    constraints : tuple of Constraint
        What attributes of nodes and edges hold, tie or cost in another way, and how many of them.
    ignored : tuple of str
        Attributes that were read as if they were not there.
    """

    graph: nx.DiGraph[Any] = field(repr=False)
    log_scales: dict[Node, float] = field(repr=False)
    certificate: Certificate
    solution: Solution = field(repr=False)
    weight: str = field(default="weight", repr=False)
    constraints: tuple[Constraint, ...] = field(default=(), repr=False)
    ignored: tuple[str, ...] = field(default=(), repr=False)

    @property
    def regularizer(self) -> Regularizer:
        """What the network was balanced for."""
        return self.solution.regularizer

    @property
    def scales(self) -> dict[Node, float]:
        """Scale of each free node."""
        with np.errstate(over="ignore", under="ignore"):
            return {node: float(np.exp(value)) for node, value in self.log_scales.items()}

    @property
    def cost(self) -> float:
        """Cost of the balanced network."""
        return self.solution.cost

    @property
    def initial_cost(self) -> float:
        """Cost of the network as given."""
        return self.solution.initial_cost

    @property
    def relative_imbalance(self) -> float:
        """Largest relative imbalance left."""
        return self.solution.relative_imbalance

    @property
    def status(self) -> Status:
        """How the solver ended."""
        return self.solution.status

    @property
    def converged(self) -> bool:
        """Whether the tolerance was met."""
        return self.solution.converged

    @property
    def solver(self) -> str:
        """Name of the solver."""
        return self.solution.solver

    @property
    def iterations(self) -> int:
        """Iterations or sweeps."""
        return self.solution.iterations

    @property
    def seconds(self) -> float:
        """Wall time of the solve."""
        return self.solution.seconds

    @property
    def history(self) -> History:
        """Cost and relative imbalance along the way."""
        return self.solution.history

    @property
    def pruned_edges(self) -> tuple[Edge, ...]:
        """Edges set to zero."""
        return self.solution.pruned_edges

    @property
    def gauge_nodes(self) -> tuple[Node, ...]:
        """Nodes at which a gauge was fixed."""
        return self.solution.gauge_nodes

    def summary(self) -> str:
        """The result in a few lines of text."""
        lines = self.solution.summary().split("\n")
        lines.insert(2, f"certified           within {self.certificate.relative_gap:.2g} of the optimum, relatively")
        return "\n".join([*lines, *constraint_lines(self.constraints, self.ignored)])

    def compiled(self, regularizer: float | Regularizer | None = None, weight: str | None = None) -> BalanceProblem:
        """The balanced network as a problem, read as it was balanced; refuses another regularizer or weight."""
        if regularizer is not None and not same_cost(as_regularizer(regularizer), self.regularizer):
            message = (
                f"the network was balanced for {self.regularizer!r}, not for {regularizer!r}: leave the regularizer "
                "out, or balance for the other, or ask about result.graph, which is a network like any other"
            )
            raise InvalidParameterError(message)
        if weight is not None and weight != self.weight:
            message = f"the result has its weights in the edge attribute {self.weight!r}, not {weight!r}; leave it out"
            raise InvalidParameterError(message)
        return compile_graph(self.graph, self.regularizer, weight=self.weight, ignore=self.ignored)

    def __repr__(self) -> str:
        return (
            f"BalanceResult(status={self.status.value!r}, regularizer={self.regularizer!r},"
            f" cost={self.cost:.12g}, initial_cost={self.initial_cost:.12g},"
            f" relative_imbalance={self.relative_imbalance:.2g}, relative_gap={self.certificate.relative_gap:.2g})"
        )
