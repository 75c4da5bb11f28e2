"""The balanced network, and the evidence."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import networkx as nx

from balance_graph._showing import html_table, some_of
from balance_graph.certificate.bound import Certificate
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import compile_graph
from balance_graph.graph.constraints import Constraint, constraint_lines
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.regularizers import Regularizer, as_regularizer, same_cost
from balance_graph.problem.solution import History, Solution, Status

if TYPE_CHECKING:
    from pandas import DataFrame

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
    problem : BalanceProblem
        The network as given, as arrays.
    regularizer : Regularizer
        What the network was balanced for. Whatever takes a result uses it, and refuses another.
    weight : str
        Name of the edge attribute that holds the weight.
    constraints : tuple of Constraint
        What attributes of nodes and edges hold, tie or cost in another way, and how many of them.
    ignored : tuple of str
        Attributes that were read as if they were not there.

    See Also
    --------
    balance : Returns it.
    """

    graph: nx.DiGraph[Any] = field(repr=False)
    log_scales: dict[Node, float] = field(repr=False)
    problem: BalanceProblem = field(repr=False)
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
        return {node: exp_or_inf(value) for node, value in self.log_scales.items()}

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
        after_cost = 1 + next(k for k, line in enumerate(lines) if line.startswith("cost "))
        gap = f"{self.certificate.relative_gap:.2g}"
        lines.insert(after_cost, f"certified           within {gap} of the optimum, relatively")
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

    def node_table(self) -> DataFrame:
        """A pandas table with one row for each node, in the order of the graph. Needs pandas.

        Returns
        -------
        pandas.DataFrame
            Indexed by node. ``role`` and ``activation``; ``free``, whether the node could be scaled; ``scale`` and
            ``log_scale``, 1 and 0 for pinned nodes; ``in_cost`` and ``out_cost`` of the balanced network, in units of
            the cost's slope and the latter times the degree, as in `imbalance`: equal at free nodes.

        Examples
        --------
        >>> import balance_graph as bg
        >>> result = bg.balance(bg.networks.chain(weights=[8.0, 2.0]))
        >>> result.node_table()["scale"].round(6).to_dict()
        {'x0': 1.0, 'h1.0': 0.5, 'y0': 1.0}
        """
        from balance_graph.graph.tables import node_table  # pandas

        return node_table(self)

    def edge_table(self) -> DataFrame:
        """A pandas table with one row for each edge, in the order of the graph. Needs pandas.

        Returns
        -------
        pandas.DataFrame
            ``tail`` and ``head``; ``initial_weight`` and ``weight``; ``log_gain``, the logarithm of the factor between
            them; ``initial_cost`` and ``cost``, which sum up to those of the result (the copies of a shared parameter
            have equal parts of its cost); ``pruned``.

        Examples
        --------
        >>> import balance_graph as bg
        >>> bg.balance(bg.networks.chain(weights=[8.0, 2.0])).edge_table()["weight"].round(6).tolist()
        [4.0, 4.0]
        """
        from balance_graph.graph.tables import edge_table  # pandas

        return edge_table(self)

    def _repr_html_(self) -> str:
        return html_table(
            "BalanceResult",
            {
                "status": f"{self.status} ({self.solver}): {self.status.advice}",
                "cost": f"{self.initial_cost:.12g} → {self.cost:.12g}",
                "certified": f"within {self.certificate.relative_gap:.2g} of the optimum, relatively",
                "relative imbalance": f"{self.relative_imbalance:.3g}",
                "network": f"{self.problem.n_nodes} nodes, {len(self.log_scales)} free, {self.problem.n_edges} edges",
                "pruned edges": some_of(self.pruned_edges),
                "gauges fixed at": some_of(self.gauge_nodes),
                "notes": "; ".join(self.solution.notes),
            },
        )

    def __repr__(self) -> str:
        return (
            f"BalanceResult(status={self.status.value!r}, regularizer={self.regularizer!r},"
            f" cost={self.cost:.12g}, initial_cost={self.initial_cost:.12g},"
            f" relative_imbalance={self.relative_imbalance:.2g}, relative_gap={self.certificate.relative_gap:.2g})"
        )
