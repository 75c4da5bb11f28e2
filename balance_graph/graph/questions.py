"""Questions about a network: its cost, balance, certificate, attainment, manifold and convex problem.

Each takes a graph, with the regularizer (by default 2) and the name of the weight attribute (by default ``"weight"``),
or the result of `balance`, which knows both and refuses others.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
from numpy.typing import ArrayLike

from balance_graph._arguments import check_positive
from balance_graph._floating_point import own_rules
from balance_graph._types import Form
from balance_graph.certificate.bound import Certificate, certify_problem
from balance_graph.graph.compilation import Node, compile_graph
from balance_graph.graph.result import BalanceResult
from balance_graph.problem.attainment import Attainment, find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.manifold import Manifold
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.solution import Solution
from balance_graph.solvers.convex_problem import ConvexProblem, build_convex_problem


def _problem(
    network: nx.DiGraph[Any] | BalanceResult, regularizer: float | Regularizer | None, weight: str | None
) -> BalanceProblem:
    """What is asked about: a network as told, a result as it was balanced."""
    if isinstance(network, BalanceResult):
        return network.compiled(regularizer, weight)
    cost = 2.0 if regularizer is None else regularizer
    return compile_graph(network, cost, weight="weight" if weight is None else weight)


@own_rules
def cost(
    G: nx.DiGraph[Any] | BalanceResult,  # noqa: N803
    regularizer: float | Regularizer | None = None,
    *,
    weight: str | None = None,
) -> float:
    """Cost of a network: the sum over edges of nonzero weight, a shared parameter once; inf beyond floats.

    Parameters
    ----------
    G : networkx.DiGraph or BalanceResult
        A network, or the result of `balance`, which knows its regularizer and weight.
    regularizer : float or Regularizer, optional
        Cost of a weight; by default that of the result, or 2.
    weight : str, optional
        Name of the weight attribute; by default that of the result, or ``"weight"``.

    Returns
    -------
    float

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If a result was balanced for another regularizer or weight.

    See Also
    --------
    imbalance : What scaling could gain, unit by unit.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.cost(nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})]), 2)
    68.0
    """
    problem = _problem(G, regularizer, weight)
    return problem.cost(problem.unscaled)


@own_rules
def imbalance(
    G: nx.DiGraph[Any] | BalanceResult,  # noqa: N803
    regularizer: float | Regularizer | None = None,
    *,
    weight: str | None = None,
) -> dict[Node, float]:
    """In-cost less degree times out-cost of each free node, in units of the cost's slope.

    For L_p each is p times a sum of costs: ``p (sum over in-edges - c * sum over out-edges)`` of ``a |w|**p``. At the
    optimum all are zero, those of tied nodes in sum.

    Parameters
    ----------
    G : networkx.DiGraph or BalanceResult
        A network, or the result of `balance`, which knows its regularizer and weight.
    regularizer : float or Regularizer, optional
        Cost of a weight; by default that of the result, or 2.
    weight : str, optional
        Name of the weight attribute; by default that of the result, or ``"weight"``.

    Returns
    -------
    dict node -> float

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If a result was balanced for another regularizer or weight.

    See Also
    --------
    relative_imbalance : One number between 0 and 1.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.imbalance(nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})]), 1)
    {'h': 6.0}
    """
    problem = _problem(G, regularizer, weight)
    return problem.by_free_node(problem.imbalance(problem.unscaled))


@own_rules
def relative_imbalance(
    G: nx.DiGraph[Any] | BalanceResult,  # noqa: N803
    regularizer: float | Regularizer | None = None,
    *,
    weight: str | None = None,
) -> float:
    """Largest ``|in - c out| / (in + c out)`` over free nodes (tied nodes count as one): between 0 and 1.

    Parameters
    ----------
    G : networkx.DiGraph or BalanceResult
        A network, or the result of `balance`, which knows its regularizer and weight.
    regularizer : float or Regularizer, optional
        Cost of a weight; by default that of the result, or 2.
    weight : str, optional
        Name of the weight attribute; by default that of the result, or ``"weight"``.

    Returns
    -------
    float

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If a result was balanced for another regularizer or weight.

    See Also
    --------
    imbalance : For each node.
    is_balanced : Whether it is small.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.relative_imbalance(nx.DiGraph([("x", "h", {"weight": 3.0}), ("h", "y", {"weight": 1.0})]), 1)
    0.5
    """
    problem = _problem(G, regularizer, weight)
    return problem.relative_imbalance(problem.unscaled)


@own_rules
def is_balanced(
    G: nx.DiGraph[Any] | BalanceResult,  # noqa: N803
    regularizer: float | Regularizer | None = None,
    tol: float = 1e-9,
    *,
    weight: str | None = None,
) -> bool:
    """Whether the relative imbalance is at most `tol`.

    Parameters
    ----------
    G : networkx.DiGraph or BalanceResult
        A network, or the result of `balance`, which knows its regularizer and weight.
    regularizer : float or Regularizer, optional
        Cost of a weight; by default that of the result, or 2.
    tol : float
        Largest relative imbalance that counts as balanced.
    weight : str, optional
        Name of the weight attribute; by default that of the result, or ``"weight"``.

    Returns
    -------
    bool

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If a result was balanced for another regularizer or weight.

    See Also
    --------
    relative_imbalance : The number that is compared.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[1.0, 4.0])
    >>> bg.is_balanced(G), bg.is_balanced(bg.balance(G).graph)
    (False, True)
    """
    return relative_imbalance(G, regularizer, weight=weight) <= check_positive(tol, "tol")


@own_rules
def certify(
    network: nx.DiGraph[Any] | BalanceResult | BalanceProblem | BlockProblem,
    regularizer: float | Regularizer | ArrayLike | Solution | None = None,
    *,
    weight: str | None = None,
) -> Certificate:
    """Certified lower bound on the least cost, and the gap of a network as it stands.

    Parameters
    ----------
    network : networkx.DiGraph, BalanceResult, BalanceProblem or BlockProblem
    regularizer : float or Regularizer, or the log-scales of all nodes
        For a graph, the regularizer (default 2). For a problem, the point in question (default: unscaled): log-scales,
        or the solution that has them, of which pruned weights count as zero.
    weight : str, optional
        Name of the weight attribute.

    Returns
    -------
    Certificate
        Where the minimum is not attained the bound is one on the infimum, and the gap holds all that dead weights cost.

    Raises
    ------
    InvalidParameterError
        If a result or a solution was balanced for another regularizer than the one given, or that of the problem. A
        graph does not know what it was balanced for: look at ``regularizer`` of the certificate.

    See Also
    --------
    balance : Its results have a certificate.

    Examples
    --------
    >>> import balance_graph as bg
    >>> result = bg.balance(bg.networks.layered([2, 3, 1], rng=0), 1.5)
    >>> bg.certify(result).relative_gap < 1e-12, bg.certify(result.graph, 2).relative_gap < 1e-12
    (True, False)
    """
    if isinstance(network, BalanceProblem | BlockProblem):
        # The second argument is then the point: certify(problem, log_scales).
        if isinstance(regularizer, Solution):
            problem = network.without_dead if isinstance(network, BlockProblem) else network.pruned(regularizer)
            return certify_problem(problem, regularizer.log_scales)
        if regularizer is None:
            return certify_problem(network, network.unscaled)
        return certify_problem(network, network.checked_log_scales(regularizer, "log_scales"))  # type: ignore[arg-type]
    problem = _problem(network, regularizer, weight)  # type: ignore[arg-type]
    return certify_problem(problem, problem.unscaled)


@own_rules
def attainment(
    G: nx.DiGraph[Any] | BalanceResult,  # noqa: N803
    regularizer: float | Regularizer | None = None,
    *,
    weight: str | None = None,
) -> Attainment:
    """Whether the minimum is attained and the log-scales are unique, and what stands in the way.

    The answer depends on the graph and the pattern of zeros, not on the regularizer.

    Parameters
    ----------
    G : networkx.DiGraph or BalanceResult
        A network, or the result of `balance`, which knows its regularizer and weight.
    regularizer : float or Regularizer, optional
        Cost of a weight; by default that of the result, or 2.
    weight : str, optional
        Name of the weight attribute; by default that of the result, or ``"weight"``.

    Returns
    -------
    Attainment

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If a result was balanced for another regularizer or weight.

    See Also
    --------
    balance : Raises, or prunes, where the minimum is not attained.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 1.0}), ("x", "y", {"weight": 1.0})])
    >>> G.nodes["h"]["role"] = "hidden"
    >>> bg.attainment(G).dead_nodes
    ('h',)
    """
    return find_attainment(_problem(G, regularizer, weight))


@own_rules
def manifold(G: nx.DiGraph[Any] | BalanceResult, *, weight: str | None = None) -> Manifold:  # noqa: N803
    """The linear manifold of the log-gains that scalings of the network can reach.

    Parameters
    ----------
    G : networkx.DiGraph or BalanceResult
        A network, or the result of `balance`, which knows its regularizer and weight.
    weight : str, optional
        Name of the weight attribute; by default that of the result, or ``"weight"``.

    Returns
    -------
    Manifold

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If a result was balanced for another regularizer or weight.

    See Also
    --------
    convex_problem : The problem over this space.

    Examples
    --------
    >>> import balance_graph as bg
    >>> M = bg.manifold(bg.networks.chain(weights=[1.0, 4.0, 16.0]))
    >>> M.dimension, M.contains([0.5, 0.5, -1.0])
    (2, True)
    """
    return _problem(G, None, weight).manifold


@own_rules
def convex_problem(
    G: nx.DiGraph[Any] | BalanceResult,  # noqa: N803
    regularizer: float | Regularizer | None = None,
    *,
    form: Form = "nodes",
    weight: str | None = None,
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

    Raises
    ------
    UnsupportedError
        If no weight differs from zero and cvxpy is older than 1.9, which has no expressions without entries.

    See Also
    --------
    CvxpySolver : Solves it, and polishes the answer.

    Examples
    --------
    >>> import balance_graph as bg
    >>> model = bg.convex_problem(bg.networks.chain(weights=[1.0, 4.0, 16.0]), 2, form="paths")
    >>> round(float(model.problem.solve()), 4)
    48.0
    """
    problem = _problem(G, regularizer, weight)
    return build_convex_problem(problem.manifold, problem.rows, form=form, max_paths=max_paths)
