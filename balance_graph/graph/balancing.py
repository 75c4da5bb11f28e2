"""Balance a network, and its canonical form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._floating_point import own_rules
from balance_graph._progress import Report
from balance_graph._types import Mask
from balance_graph.certificate.bound import certify_problem
from balance_graph.errors import SolverError
from balance_graph.graph.compilation import compile_graph, scaled_graph
from balance_graph.graph.result import BalanceResult, Edge
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.solution import Solution
from balance_graph.solvers.conductor import Solver, solve, without_edges
from balance_graph.solvers.newton import NewtonSolver


@own_rules
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
        ``"auto"``: cvxpy, polished, up to 2000 edges, Newton above. ``"cvxpy"``, ``"newton"``, ``"stochastic"``,
        ``"flow"``, or `CvxpySolver`, `NewtonSolver`, `StochasticSolver`, `FlowSolver` with settings.
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
        log_scales=problem.by_free_node(solution.log_scales),
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


def _edge_mask(problem: BalanceProblem, edges: tuple[Edge, ...]) -> Mask:
    if not edges:
        return np.zeros(problem.n_edges, dtype=bool)
    chosen = set(edges)
    return np.array([edge in chosen for edge in problem.manifold.edges], dtype=bool)


@own_rules
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
