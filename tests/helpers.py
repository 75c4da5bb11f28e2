"""Assertions named after the property they check, and the table of solvers that the table of cases is run through."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from cases import CASES, Case
from mpmath import mp, mpf
from scipy.special import expit

import balance_graph as bg

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference import ReferenceOptimum

# --- regularizers ---------------------------------------------------------------------------------------------------


def log1p2(expression: Callable[[Any], Any] | None = None) -> bg.LogConvex:
    """The regularizer log(1 + w^2) as functions of x = log|w|; optionally with a cvxpy expression."""
    return bg.LogConvex(
        lambda x: np.logaddexp(0, 2 * x),
        lambda x: 2 * expit(2 * x),
        lambda x: 4 * expit(2 * x) * expit(-2 * x),
        expression=expression,
    )


def log1p2_for_cvxpy() -> bg.LogConvex:
    import cvxpy as cp

    return log1p2(lambda x: cp.logistic(2 * x))


def regularizer_of(case: Case | str) -> bg.Regularizer:
    """The package's regularizer for the tuple of a case."""
    kind, *numbers = (CASES[case] if isinstance(case, str) else case).regularizer
    if kind == "lp":
        return bg.Lp(numbers[0])
    if kind == "elastic":
        return bg.ElasticNet(l1=numbers[0], l2=numbers[1])
    if kind == "posynomial":
        return bg.Posynomial(numbers[0])
    return log1p2()


# --- solvers --------------------------------------------------------------------------------------------------------

LOCAL_ORDERS = ("random", "shuffled", "cyclic", "greedy", "colored")
# The weights to this many digits, relatively: Newton converges quadratically, to rounding; the others stop at tol.
SOLVERS: dict[str, tuple[Any, float]] = {
    "newton": (bg.NewtonSolver(), 1e-11),
    **{f"cvxpy-{form}": (bg.CvxpySolver(form=form), 1e-8) for form in ("nodes", "cycles", "paths")},
    **{f"local-{order}": (bg.StochasticSolver(order=order, rng=0, max_sweeps=3000), 1e-8) for order in LOCAL_ORDERS},
    "flow": (bg.FlowSolver(), 1e-9),
}


def is_local(name: str) -> bool:
    return name.startswith("local-")


# --- building -------------------------------------------------------------------------------------------------------


def network(
    *edges: tuple[Any, Any, float] | tuple[Any, Any, float, dict[str, Any]], **nodes: dict[str, Any]
) -> nx.DiGraph:
    """A network from edges (tail, head, weight[, attributes]); keywords are attributes of nodes."""
    G = nx.DiGraph()
    for tail, head, weight, *more in edges:
        G.add_edge(tail, head, weight=weight, **(more[0] if more else {}))
    for node, data in nodes.items():
        G.add_node(node, **data)
    return G


def chain(*weights: float, **nodes: dict[str, Any]) -> nx.DiGraph:
    """x -> h0 -> h1 -> ... -> y."""
    names = ["x", *(f"h{k}" for k in range(len(weights) - 1)), "y"]
    return network(*zip(names[:-1], names[1:], weights, strict=True), **nodes)


def weights_of(G: nx.DiGraph, weight: str = "weight") -> dict[tuple[Any, Any], float]:
    return {(u, v): data[weight] for u, v, data in G.edges(data=True)}


def rescaled(G: nx.DiGraph, rng: np.random.Generator, spread: float = 3.0) -> nx.DiGraph:
    """The same network after a random scaling that keeps ties, fixed edges and shared weights."""
    at = bg.manifold(G)
    log_scales = at.basis @ (spread * rng.standard_normal(at.basis.shape[1]))
    largest = np.abs(log_scales).max(initial=1.0)
    log_scales = log_scales * min(1.0, 4.0 * spread / largest)
    scales = {at.nodes[k]: float(np.exp(log_scales[k])) for k in at.free_nodes.tolist()}
    return bg.scale(G, scales)


# --- assertions -----------------------------------------------------------------------------------------------------


def assert_same_weights(G: nx.DiGraph, H: nx.DiGraph, tolerance: float) -> None:
    """Equal edges, in order; weights of equal sign and equal to a relative tolerance."""
    one, two = weights_of(G), weights_of(H)
    assert list(one) == list(two)
    for edge, w in one.items():
        assert math.isclose(w, two[edge], rel_tol=tolerance, abs_tol=0.0), (edge, w, two[edge])


def assert_optimal_weights(G: nx.DiGraph, optimum: ReferenceOptimum, tolerance: float) -> None:
    """Every weight within a relative tolerance of the 50-digit optimum; zeros stay zeros."""
    assert set(G.edges) == set(optimum.weights)
    for edge, w in weights_of(G).items():
        exact = optimum.weights[edge]
        assert (w == 0) == (exact == 0), edge
        if w != 0:
            assert abs(mpf(w) / exact - 1) <= tolerance, (edge, w, mp.nstr(exact, 17))


def assert_optimal_cost(result: bg.BalanceResult, optimum: ReferenceOptimum, tolerance: float) -> None:
    """The cost within a relative tolerance of the optimum, and not below it but for the rounding of its logarithm."""
    log_cost = result.solution.log_cost
    with mp.workdps(60):
        difference = float(mpf(log_cost) - optimum.log_cost)
    assert -4e-16 * max(1.0, abs(log_cost)) * 16 <= difference <= tolerance


def assert_certified(result: bg.BalanceResult, optimum: ReferenceOptimum, tolerance: float) -> None:
    """The lower bound is one, the gap covers the true distance, and it is tight."""
    certificate = result.certificate
    with mp.workdps(60):
        best = mp.exp(optimum.log_cost)
        if 0 < certificate.lower_bound < math.inf and math.isfinite(certificate.cost):
            assert mpf(certificate.lower_bound) <= best
            assert mpf(certificate.cost) - best <= mpf(certificate.gap) * (1 + mpf(2) ** -50) + mpf(2) ** -1070
    assert certificate.relative_gap <= tolerance


def assert_balanced(G: nx.DiGraph, regularizer: Any = 2.0, tolerance: float = 1e-9) -> None:
    assert bg.relative_imbalance(G, regularizer) <= tolerance
    assert bg.is_balanced(G, regularizer, tolerance)


def snapshot(G: nx.DiGraph) -> Any:
    """Everything that an operation on a network must leave as it is."""
    return copy.deepcopy((list(G.nodes(data=True)), list(G.edges(data=True)), G.graph))


def assert_unmodified(G: nx.DiGraph, before: Any) -> None:
    assert (list(G.nodes(data=True)), list(G.edges(data=True)), G.graph) == before


def assert_same_but_for_weights(G: nx.DiGraph, H: nx.DiGraph, weight: str = "weight") -> None:
    """The same nodes, edges and attributes in the same order; only the weights may differ."""
    assert list(G.nodes(data=True)) == list(H.nodes(data=True))
    assert G.graph == H.graph
    for (a, b, one), (c, d, two) in zip(G.edges(data=True), H.edges(data=True), strict=True):
        assert (a, b) == (c, d)
        assert one is not two
        assert {**one, weight: None} == {**two, weight: None}


def assert_same_function(G: nx.DiGraph, H: nx.DiGraph, rng: np.random.Generator, tolerance: float = 1e-12) -> None:
    """Equal outputs on random inputs, at every one of six steps, relative to the largest output."""
    n = sum(
        1 for node, data in G.nodes(data=True) if data.get("role", "input" if G.in_degree(node) == 0 else "") == "input"
    )
    x = rng.standard_normal((5, n))
    steps = 6
    one, two = bg.evaluate(G, x, steps), bg.evaluate(H, x, steps)
    assert one.shape == two.shape
    size = np.abs(one).max(axis=(0, 1), initial=0.0)
    assert np.all(np.abs(one - two).max(axis=(0, 1), initial=0.0) <= tolerance * size)


# --- documents ------------------------------------------------------------------------------------------------------


def json_paths(value: Any, declared: dict[str, str], path: str = "") -> set[str]:
    """Where the keys of a JSON document are, as `balance_graph.cli.keys` writes it; any name where that is declared."""
    if isinstance(value, dict):
        if f"{path}.*" in declared:
            return {f"{path}.*"}
        return {found for key in value for found in json_paths(value[key], declared, f"{path}.{key}".lstrip("."))}
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return {found for item in value for found in json_paths(item, declared, f"{path}[]")}
    # An empty list, too, is in the place of those of its objects.
    inside = {key for key in declared if key.startswith(f"{path}[].")}
    return inside if inside and value == [] else {path}
