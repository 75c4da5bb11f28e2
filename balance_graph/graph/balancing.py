"""Balance a network, and its canonical form."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import networkx as nx

from balance_graph._floating_point import own_rules
from balance_graph._progress import Report
from balance_graph._types import OnUnattained, SolverName
from balance_graph.certificate.bound import certify_problem
from balance_graph.errors import SolverError
from balance_graph.graph.attribute_names import checked_names
from balance_graph.graph.compilation import compile_graph, scaled_graph
from balance_graph.graph.constraints import find_constraints, without_attributes
from balance_graph.graph.result import BalanceResult
from balance_graph.problem.regularizers import Regularizer
from balance_graph.solvers.conductor import Solver, solve
from balance_graph.solvers.newton import NewtonSolver

# The relative imbalance up to which `is_balanced` calls a network balanced.
_BALANCED = 1e-9


@own_rules
def balance(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    solver: SolverName | Solver = "auto",
    weight: str = "weight",
    on_unattained: OnUnattained = "raise",
    ignore: Collection[str] | str = (),
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
        ``"auto"``: cvxpy, polished, up to 2000 edges, Newton above and where cvxpy fails. ``"cvxpy"``, ``"newton"``,
        ``"stochastic"``, ``"flow"``, or `CvxpySolver`, `NewtonSolver`, `StochasticSolver`, `FlowSolver` with settings.
    weight : str
        Name of the edge attribute that holds the weight.
    on_unattained : {"raise", "prune"}
        What to do where the minimum is not attained because some weights could shrink for ever: raise, or set those
        weights to zero, balance the rest and list them in ``pruned_edges``.
    ignore : names of attributes
        Read the network as if these attributes were not there: ``role``, ``activation``, ``group``, ``coefficient``,
        ``exponent``, ``fixed``, ``shared``. Networks from elsewhere may use these words for something else; what they
        do is in ``summary()``. The balanced network keeps them.
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

    See Also
    --------
    solve : The same for problems given as arrays.
    canonical_form : The balanced graph alone.
    attainment : Whether there is a balanced state.
    balance_matrix : Matrices without inputs and outputs.

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
    problem = compile_graph(G, regularizer, weight=weight, ignore=ignore)
    solution = solve(problem, solver, on_unattained=on_unattained, progress=progress)
    pruned = problem.pruned(solution)
    return BalanceResult(
        graph=scaled_graph(G, problem, solution.log_scales, weight=weight, dead=problem.active & ~pruned.active),
        log_scales=problem.by_free_node(solution.log_scales),
        problem=problem,
        certificate=certify_problem(pruned, solution.log_scales),
        solution=solution,
        weight=weight,
        constraints=find_constraints(without_attributes(G, ignore), problem),
        ignored=checked_names(ignore),
    )


@own_rules
def canonical_form(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    on_unattained: OnUnattained = "raise",
) -> nx.DiGraph[Any]:
    """The balanced network: the same for all networks that differ by scaling, and its own canonical form.

    Parameters
    ----------
    G : networkx.DiGraph
        Not modified.
    regularizer : float or Regularizer
        Cost of a weight: each has a canonical form of its own.
    weight : str
        Name of the weight attribute.
    on_unattained : {"raise", "prune"}
        As for `balance`.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    NotAttainedError
        If the minimum is not attained and `on_unattained` is ``"raise"``.
    SolverError
        If the balanced network is not found: what `balance` has reached is no canonical form.

    See Also
    --------
    equivalent : Whether two networks have the same.
    balance : With scales, certificate and history.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> H = bg.scale(G, {"h1.0": 10.0})
    >>> one, two = bg.canonical_form(G), bg.canonical_form(H)
    >>> all(abs(one.edges[e]["weight"] - two.edges[e]["weight"]) < 1e-12 for e in G.edges)
    True
    """
    result = balance(G, regularizer, solver=NewtonSolver(), weight=weight, on_unattained=on_unattained)
    if not result.converged and result.relative_imbalance > _BALANCED:
        message = (
            f"canonical_form: {result.status}, relative imbalance {result.relative_imbalance:.2g}; balance(G) returns "
            "what was reached, and other solvers may get further"
        )
        raise SolverError(message)
    return result.graph
