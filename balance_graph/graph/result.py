"""The balanced network, and the evidence."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from balance_graph.certificate.bound import Certificate
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
        Wall time of the solve, without `setup_seconds`.
    setup_seconds : float
        Wall time of what comes once: importing packages, and compiling loops where they are not on disk yet.
    history : History
        Cost and relative imbalance at the start and after each iteration or sweep.
    pruned_edges : tuple of (node, node)
        Edges whose weights were set to zero because the minimum is not attained otherwise.
    gauge_nodes : tuple
        One node of each part of the network whose common scale no weight depends on: that scale is arbitrary.
    """

    graph: nx.DiGraph[Any] = field(repr=False)
    log_scales: dict[Node, float] = field(repr=False)
    certificate: Certificate
    solution: Solution = field(repr=False)

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
        """Wall time of the solve, without what comes once."""
        return self.solution.seconds

    @property
    def setup_seconds(self) -> float:
        """Wall time of imports and compilation during the solve."""
        return self.solution.setup_seconds

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
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"BalanceResult(status={self.status.value!r}, cost={self.cost:.12g}, initial_cost={self.initial_cost:.12g},"
            f" relative_imbalance={self.relative_imbalance:.2g}, relative_gap={self.certificate.relative_gap:.2g})"
        )
