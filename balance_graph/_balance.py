"""The questions and operations of the public interface: a DiGraph in, an answer in the user's own nodes out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from balance_graph._types import Array
from balance_graph.attainment import Attainment, find_attainment
from balance_graph.certificate import Certificate, certify_problem
from balance_graph.errors import InvalidParameterError, SolverError, UnsupportedError
from balance_graph.graph import compile_graph, node_activation, node_role, roles_of, scaled_graph
from balance_graph.manifold import Manifold, first_of_label
from balance_graph.problem import BalanceProblem
from balance_graph.progress import Report
from balance_graph.regularizers import Regularizer, as_regularizer, check_positive
from balance_graph.solution import History, Solution, Status
from balance_graph.solve import Solver, solve, without_edges
from balance_graph.solvers.convex import ConvexProblem, build_convex_problem
from balance_graph.solvers.newton import NewtonSolver

Node = Hashable
Edge = tuple[Hashable, Hashable]
Graph = nx.DiGraph  # abbreviates the annotations below


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
        Nodes whose scale was held at 1 because no weight depends on a common scale of theirs.
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
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"BalanceResult(status={self.status.value!r}, cost={self.cost:.12g}, initial_cost={self.initial_cost:.12g},"
            f" relative_imbalance={self.relative_imbalance:.2g}, relative_gap={self.certificate.relative_gap:.2g})"
        )


def balance(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    solver: str | Solver = "auto",
    weight: str = "weight",
    on_unattained: str = "raise",
    progress: bool | Report = False,
) -> BalanceResult:
    """Balance a network: the unique weights of least cost among all that scalings of its free nodes can reach.

    The network computes the same function before and after.

    Parameters
    ----------
    G : networkx.DiGraph
        The network; never modified.
    regularizer : float or Regularizer
        A number p (the cost ``|w|**p``), or `Lp`, `ElasticNet`, `Posynomial`, `LogConvex`.
    solver : str or solver object
        ``"auto"``: cvxpy, polished, up to 2000 edges, Newton above. ``"cvxpy"``, ``"newton"``, ``"stochastic"``, or
        `CvxpySolver`, `NewtonSolver`, `StochasticSolver` with settings.
    weight : str
        Name of the edge attribute that holds the weight.
    on_unattained : {"raise", "prune"}
        What to do where the minimum is not attained because some weights could shrink for ever: raise, or set those
        weights to zero, balance the rest and list them in ``pruned_edges``.
    progress : bool or callable
        True shows a bar (needs tqdm); a callable gets iteration, log cost and relative imbalance.

    Returns
    -------
    BalanceResult

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract; the message names the node or edge.
    NotAttainedError
        If the minimum is not attained and `on_unattained` is ``"raise"``.
    UnsupportedError
        If a balanced weight lies outside the range of floats; `solve` gives its log-scales all the same.

    Notes
    -----
    Baldi, Alexos, Domingo, Rahmansetayesh, *A Theory of Synaptic Neural Balance*, arXiv 2405.09688.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})])
    >>> result = bg.balance(G)
    >>> round(result.graph["x"]["h"]["weight"], 12), round(result.scales["h"], 12)
    (4.0, 0.5)
    """
    problem = compile_graph(G, regularizer, weight=weight)
    solution = _solve(problem, solver, on_unattained, progress)
    dead = _edge_mask(problem, solution.pruned_edges)
    return BalanceResult(
        graph=scaled_graph(G, problem, solution.log_scales, weight=weight, dead=dead),
        log_scales=_by_free_node(problem, solution.log_scales),
        certificate=certify_problem(without_edges(problem, dead), solution.log_scales),
        solution=solution,
    )


def _solve(problem: BalanceProblem, solver: str | Solver, on_unattained: str, progress: bool | Report) -> Solution:
    try:
        return solve(problem, solver, on_unattained=on_unattained, progress=progress)
    except SolverError as error:
        if solver != "auto":
            raise
        solution = solve(problem, "newton", on_unattained=on_unattained, progress=progress)
        return replace(solution, notes=(*solution.notes, f"Newton took over: {error}"))


def _edge_mask(problem: BalanceProblem, edges: tuple[Edge, ...]) -> NDArray[np.bool_]:
    if not edges:
        return np.zeros(problem.n_edges, dtype=bool)
    chosen = set(edges)
    return np.array([edge in chosen for edge in problem.manifold.edges], dtype=bool)


def _by_free_node(problem: BalanceProblem, values: Array) -> dict[Node, float]:
    nodes = problem.nodes
    return {nodes[k]: float(values[k]) for k in problem.manifold.free_nodes.tolist()}


def _zeros(problem: BalanceProblem) -> Array:
    return np.zeros(problem.n_nodes)


def cost(G: nx.DiGraph[Any], regularizer: float | Regularizer = 2.0, *, weight: str = "weight") -> float:  # noqa: N803
    """Cost of a network: the sum over edges of nonzero weight, a shared parameter once; inf beyond floats.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.cost(nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})]), 2)
    68.0
    """
    problem = compile_graph(G, regularizer, weight=weight)
    return problem.cost(_zeros(problem))


def imbalance(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
) -> dict[Node, float]:
    """In-cost less degree times out-cost of each free node, in units of the cost's slope.

    For L_p each is p times a sum of costs: ``p (sum over in-edges - c * sum over out-edges)`` of ``a |w|**p``. At the
    optimum all are zero, those of tied nodes in sum.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.imbalance(nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})]), 1)
    {'h': 6.0}
    """
    problem = compile_graph(G, regularizer, weight=weight)
    return _by_free_node(problem, problem.imbalance(_zeros(problem)))


def relative_imbalance(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
) -> float:
    """Largest ``|in - c out| / (in + c out)`` over free nodes (tied nodes count as one): between 0 and 1.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.relative_imbalance(nx.DiGraph([("x", "h", {"weight": 3.0}), ("h", "y", {"weight": 1.0})]), 1)
    0.5
    """
    problem = compile_graph(G, regularizer, weight=weight)
    return problem.relative_imbalance(_zeros(problem))


def is_balanced(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    tol: float = 1e-9,
    *,
    weight: str = "weight",
) -> bool:
    """Whether the relative imbalance is at most `tol`.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[1.0, 4.0])
    >>> bg.is_balanced(G), bg.is_balanced(bg.balance(G).graph)
    (False, True)
    """
    return relative_imbalance(G, regularizer, weight=weight) <= check_positive(tol, "tol")


def certify(
    network: nx.DiGraph[Any] | BalanceProblem,
    regularizer: float | Regularizer | ArrayLike = 2.0,
    *,
    weight: str = "weight",
) -> Certificate:
    """Certified lower bound on the least cost, and the gap of a network as it stands.

    Parameters
    ----------
    network : networkx.DiGraph or BalanceProblem
    regularizer : float or Regularizer, or the log-scales of all nodes
        For a graph, the regularizer (default 2). For a problem, the log-scales of the point in question.

    Examples
    --------
    >>> import balance_graph as bg
    >>> certificate = bg.certify(bg.balance(bg.networks.chain(weights=[1.0, 4.0, 16.0])).graph)
    >>> certificate.lower_bound <= 48.0 and certificate.relative_gap < 1e-12
    True
    """
    if isinstance(network, BalanceProblem):
        log_scales = np.asarray(regularizer, dtype=float)
        if log_scales.shape != (network.n_nodes,) or not np.all(np.isfinite(log_scales)):
            message = f"certify(problem, log_scales) needs {network.n_nodes} finite log-scales, got {log_scales.shape}"
            raise InvalidParameterError(message)
        if not network.manifold.obeys(log_scales):
            message = "these log-scales break a constraint: 0 where pinned, equal where tied, fixed edges kept"
            raise InvalidParameterError(message)
        return certify_problem(network, log_scales)
    problem = compile_graph(network, as_regularizer(regularizer), weight=weight)  # type: ignore[arg-type]
    return certify_problem(problem, _zeros(problem))


def attainment(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
) -> Attainment:
    """Whether the minimum is attained and the log-scales are unique, and what stands in the way.

    The answer depends on the graph and the pattern of zeros, not on the regularizer.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 1.0}), ("x", "y", {"weight": 1.0})])
    >>> G.nodes["h"]["role"] = "hidden"
    >>> bg.attainment(G).dead_nodes
    ('h',)
    """
    return find_attainment(compile_graph(G, regularizer, weight=weight))


def manifold(G: nx.DiGraph[Any], *, weight: str = "weight") -> Manifold:  # noqa: N803
    """The linear manifold of the log-gains that scalings of the network can reach.

    Examples
    --------
    >>> import balance_graph as bg
    >>> M = bg.manifold(bg.networks.chain(weights=[1.0, 4.0, 16.0]))
    >>> M.dimension, M.contains([0.5, 0.5, -1.0])
    (2, True)
    """
    return compile_graph(G, weight=weight).manifold


def convex_problem(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    form: str = "nodes",
    weight: str = "weight",
    max_paths: int = 10_000,
) -> ConvexProblem:
    """The balance problem of a network in cvxpy, to inspect, extend and solve.

    Parameters
    ----------
    G, regularizer, weight
        As for `balance`.
    form : {"nodes", "cycles", "paths"}
        Description of the linear manifold.
    max_paths : int
        Limit of the paths form.

    Returns
    -------
    ConvexProblem
        ``.problem`` (cvxpy.Problem), ``.log_gains`` (one per edge), ``.edges``, ``.log_coefficients`` (parameter),
        ``.set_weights(problem)``, ``.log_scales()``.

    Examples
    --------
    >>> import balance_graph as bg
    >>> model = bg.convex_problem(bg.networks.chain(weights=[1.0, 4.0, 16.0]), 2, form="paths")
    >>> round(float(model.problem.solve()), 4)
    48.0
    """
    problem = compile_graph(G, regularizer, weight=weight)
    return build_convex_problem(problem.manifold, problem.rows, form=form, max_paths=max_paths)


def scale(
    G: nx.DiGraph[Any],  # noqa: N803
    scales: Mapping[Node, float],
    *,
    weight: str = "weight",
) -> nx.DiGraph[Any]:
    """Scale free nodes: in-weights times s, out-weights times ``s**-c``. The network computes the same function.

    Parameters
    ----------
    G : networkx.DiGraph
    scales : dict
        Positive scale of any number of free nodes; tied nodes need equal scales, all of them given.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    networkx.DiGraph
        A new graph.

    Raises
    ------
    InvalidParameterError
        If a node is unknown or not free, a scale is not positive and finite, a constraint would break, or a weight
        would leave the range of floats.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})])
    >>> bg.scale(G, {"h": 0.5}).edges(data="weight")
    OutEdgeDataView([('x', 'h', 4.0), ('h', 'y', 4.0)])
    """
    problem = compile_graph(G, weight=weight)
    at, index = problem.manifold, {node: k for k, node in enumerate(problem.nodes)}
    log_scales = _zeros(problem)
    for node, value in scales.items():
        if node not in index:
            message = f"scale: {node!r} is not a node of the network"
            raise InvalidParameterError(message)
        if at.pinned[index[node]]:
            message = f"scale: node {node!r} is not free: {_why_pinned(G, node)}"
            raise InvalidParameterError(message)
        log_scales[index[node]] = np.log(check_positive(value, f"scale of node {node!r}"))
    if not at.obeys(log_scales):
        message = "scale: these scales break a tie, a fixed edge or a shared weight; scale tied nodes together"
        raise InvalidParameterError(message)
    try:
        return scaled_graph(G, problem, log_scales, weight=weight)
    except UnsupportedError as error:
        message = f"scale: {error}"
        raise InvalidParameterError(message) from error


def _why_pinned(G: nx.DiGraph[Any], node: Node) -> str:  # noqa: N803
    role = node_role(G.nodes[node], node, G.in_degree(node), G.out_degree(node))
    if role != "hidden":
        return f"its role is {role!r}"
    return f"its activation {node_activation(G.nodes[node], node)} is not homogeneous"


def balance_node(
    G: nx.DiGraph[Any],  # noqa: N803
    node: Node,
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
) -> tuple[nx.DiGraph[Any], float]:
    """Balance one free node (with the nodes tied to it): the local operation.

    Returns
    -------
    graph : networkx.DiGraph
        A new graph with that node balanced.
    s : float
        The scale: the unique minimizer of the cost along it. For L_p without self-loop ``s**(p (1 + c)) = c out / in``.

    Raises
    ------
    InvalidParameterError
        If the node is unknown or not free.
    NotAttainedError
        If the node has weights on one side only.
    UnsupportedError
        If a fixed edge or shared weight does not let the node move alone.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})])
    >>> round(bg.balance_node(G, "h", 1)[1], 12)
    0.5
    """
    problem = compile_graph(G, regularizer, weight=weight)
    at = problem.manifold
    if node not in G:
        message = f"balance_node: {node!r} is not a node of the network"
        raise InvalidParameterError(message)
    k = list(problem.nodes).index(node)
    if at.pinned[k]:
        message = f"balance_node: node {node!r} is not free: {_why_pinned(G, node)}"
        raise InvalidParameterError(message)
    moving = np.zeros(problem.n_nodes, dtype=bool)
    moving[k] = True
    if at.coordinate[k] >= 0:
        moving = at.coordinate == at.coordinate[k]
    alone = replace(at, pinned=~moving)
    if alone.reduced_incidence.shape[1] == 0:
        message = f"balance_node: a fixed edge or shared weight holds node {node!r}, so it cannot be scaled alone"
        raise UnsupportedError(message)
    solution = solve(replace(problem, manifold=alone), NewtonSolver())
    with np.errstate(over="ignore", under="ignore"):
        s = float(np.exp(solution.log_scales[k]))
    return scaled_graph(G, problem, solution.log_scales, weight=weight), s


def canonical_form(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    on_unattained: str = "raise",
) -> nx.DiGraph[Any]:
    """The balanced network: the same for all networks that differ by scaling, and its own canonical form.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> H = bg.scale(G, {"h1.0": 10.0})
    >>> one, two = bg.canonical_form(G), bg.canonical_form(H)
    >>> all(abs(one.edges[e]["weight"] - two.edges[e]["weight"]) < 1e-12 for e in G.edges)
    True
    """
    return balance(G, regularizer, solver=NewtonSolver(), weight=weight, on_unattained=on_unattained).graph


def equivalent(
    G: nx.DiGraph[Any],  # noqa: N803
    H: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    tol: float = 1e-9,
    *,
    weight: str = "weight",
) -> bool:
    """Whether two networks on the same nodes are the same up to scaling.

    They are if they have the same edges, roles, activations and constraints, weights of the same signs, and log-ratios
    of weights on the linear manifold, up to `tol` in the logarithm of a weight. Nothing needs to be solved, and the
    answer does not depend on the regularizer, which is only checked.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> bg.equivalent(G, bg.balance(G, 1).graph), bg.equivalent(G, bg.networks.layered([2, 3, 1], rng=1))
    (True, False)
    """
    check_positive(tol, "tol")
    one = compile_graph(G, regularizer, weight=weight)
    compile_graph(H, regularizer, weight=weight)
    if set(G) != set(H) or set(G.edges) != set(H.edges) or not _same_nodes(G, H):
        return False
    ordered: nx.DiGraph[Any] = nx.DiGraph()
    ordered.add_nodes_from((node, H.nodes[node]) for node in G)
    ordered.add_edges_from((u, v, H.edges[u, v]) for u, v in G.edges)
    two = compile_graph(ordered, regularizer, weight=weight)
    signs = np.sign(_weights(G, weight)), np.sign(_weights(ordered, weight))
    if not _same_architecture(one.manifold, two.manifold) or not np.array_equal(*signs):
        return False
    active = np.flatnonzero(one.active)
    part = replace(
        one.manifold,
        tail=one.manifold.tail[active],
        head=one.manifold.head[active],
        fixed=None if one.manifold.fixed is None else one.manifold.fixed[active],
        shared=None if one.manifold.shared is None else one.manifold.shared[active],
    )
    log_gains = two.log_weight[active] - one.log_weight[active]
    return bool(np.abs(log_gains - part.project(log_gains)).max(initial=0.0) <= tol)


def _same_nodes(G: nx.DiGraph[Any], H: nx.DiGraph[Any]) -> bool:  # noqa: N803
    """Same roles, and activations that agree (in name, or on a sample of values) wherever one is applied."""
    roles = roles_of(G)
    if roles != roles_of(H):
        return False
    samples = np.concatenate([-np.geomspace(4.0, 0.1, 12), [0.0], np.geomspace(0.1, 4.0, 12)])
    for node, role in roles.items():
        if role in {"hidden", "output"}:
            one, two = node_activation(G.nodes[node], node), node_activation(H.nodes[node], node)
            if one.name != two.name and not np.array_equal(one(samples), two(samples)):
                return False
    return True


def _weights(G: nx.DiGraph[Any], weight: str) -> Array:  # noqa: N803
    return np.array([data[weight] for _, _, data in G.edges(data=True)], dtype=float)


def _same_architecture(one: Manifold, two: Manifold) -> bool:
    """Same pinned nodes, degrees, fixed edges, ties and shared edges; labels may differ."""

    def partition(labels: Any, size: int) -> Any:
        return np.arange(size) if labels is None else first_of_label(labels)

    def flags(fixed: Any) -> Any:
        return np.zeros(one.n_edges, dtype=bool) if fixed is None else fixed

    return (
        np.array_equal(one.pinned, two.pinned)
        and np.array_equal(one.degree, two.degree)
        and np.array_equal(flags(one.fixed), flags(two.fixed))
        and np.array_equal(partition(one.group, one.n_nodes), partition(two.group, two.n_nodes))
        and np.array_equal(partition(one.shared, one.n_edges), partition(two.shared, two.n_edges))
    )
