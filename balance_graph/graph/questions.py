"""Questions about a network: its cost, balance, certificate, attainment, manifold and convex problem."""

from __future__ import annotations

from typing import Any

import networkx as nx
from numpy.typing import ArrayLike

from balance_graph._arguments import check_positive
from balance_graph.certificate.bound import Certificate, certify_problem
from balance_graph.graph.compilation import Node, compile_graph
from balance_graph.problem.attainment import Attainment, find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.manifold import Manifold
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.solvers.convex import ConvexProblem, build_convex_problem


def cost(G: nx.DiGraph[Any], regularizer: float | Regularizer = 2.0, *, weight: str = "weight") -> float:  # noqa: N803
    """Cost of a network: the sum over edges of nonzero weight, a shared parameter once; inf beyond floats.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> bg.cost(nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})]), 2)
    68.0
    """
    problem = compile_graph(G, regularizer, weight=weight)
    return problem.cost(problem.unscaled)


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
    return problem.by_free_node(problem.imbalance(problem.unscaled))


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
    return problem.relative_imbalance(problem.unscaled)


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
    network: nx.DiGraph[Any] | BalanceProblem | BlockProblem,
    regularizer: float | Regularizer | ArrayLike = 2.0,
    *,
    weight: str = "weight",
) -> Certificate:
    """Certified lower bound on the least cost, and the gap of a network as it stands.

    Parameters
    ----------
    network : networkx.DiGraph, BalanceProblem or BlockProblem
    regularizer : float or Regularizer, or the log-scales of all nodes
        For a graph, the regularizer (default 2). For a problem, the log-scales of the point in question.

    Returns
    -------
    Certificate
        Where the minimum is not attained the bound is one on the infimum, and the gap holds all that dead weights cost.

    Examples
    --------
    >>> import balance_graph as bg
    >>> certificate = bg.certify(bg.balance(bg.networks.chain(weights=[1.0, 4.0, 16.0])).graph)
    >>> certificate.lower_bound <= 48.0 and certificate.relative_gap < 1e-12
    True
    """
    if isinstance(network, BalanceProblem | BlockProblem):
        # The second argument is then the point: certify(problem, log_scales).
        log_scales = network.checked_log_scales(regularizer, "log_scales")  # type: ignore[arg-type]
        return certify_problem(network, log_scales)
    problem = compile_graph(network, as_regularizer(regularizer), weight=weight)  # type: ignore[arg-type]
    return certify_problem(problem, problem.unscaled)


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
