"""Properties of every public answer, on random networks that mix every attribute.

Room: graph.
"""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
from exact import proven_dead
from helpers import assert_same_but_for_weights, assert_unmodified, log1p2, snapshot, weights_of
from hypothesis import assume, given, note
from hypothesis import strategies as st

import balance_graph as bg
from balance_graph.graph.compilation import roles_of

ACTIVATIONS = [
    "relu",
    "linear",
    "abs",
    "leaky_relu(0.2)",
    "bilu(-0.5,2)",
    "relu2",
    "bipu(0.5)",
    "bipu(3,1,-1)",
    "bipu(1.5)",
    "tanh",
    "sigmoid",
    "gelu",
]
REGULARIZERS = (
    *map(bg.Lp, (0.5, 1.0, 2.0, 3.0)),
    bg.ElasticNet(l1=0.3, l2=2.0),
    bg.Posynomial([(1.0, 0.5), (0.1, 1.0), (2.0, 4.0)]),
    log1p2(),
)
SOLVERS = (
    bg.NewtonSolver(),
    *(bg.StochasticSolver(order=order, rng=0, max_sweeps=60) for order in ("random", "cyclic", "greedy", "colored")),
    bg.StochasticSolver(order="shuffled", rng=0, max_sweeps=60),
)
# A solver stops at 1e-12, or where rounding of log-flows (up to some 3000, times eps) drowns the imbalance; writing a
# weight back rounds its logarithm (up to 700) once more, times an exponent of up to 4: together below 1e-11.
BALANCED = 1e-10


def magnitudes(decades: float) -> st.SearchStrategy[float]:
    return st.floats(-decades, decades).map(lambda exponent: 10.0**exponent)


def weights(decades: float) -> st.SearchStrategy[float]:
    signed = st.tuples(st.sampled_from([1.0, -1.0]), magnitudes(decades)).map(math.prod)
    return st.one_of(signed, signed, signed, signed, st.sampled_from([0.0, -0.0, 1.0, -2.0]))


@st.composite
def networks(draw: st.DrawFn, *, decades: float = 2.0) -> nx.DiGraph:
    """A valid network of one to nine nodes; attained or not, connected or not."""
    n = draw(st.integers(1, 9))
    pairs = [(i, j) for i in range(n) for j in range(n)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=min(len(pairs), 20)))
    G = nx.DiGraph()
    for node in range(n):
        G.add_node(node)
        if draw(st.booleans()):
            G.nodes[node]["activation"] = draw(st.sampled_from(ACTIVATIONS))
    for i, j in edges:
        G.add_edge(i, j, weight=draw(weights(decades)))
    for node in range(n):
        roles = ["hidden", "output"] + (["input", "bias"] if G.in_degree(node) == 0 else [])
        role = draw(st.sampled_from([None, None, *roles]))
        if role is not None:
            G.nodes[node]["role"] = role
    if draw(st.booleans()):
        _constrain(draw, G)
    note(f"nodes {dict(G.nodes(data=True))}, edges {list(G.edges(data=True))}")
    return G


def _constrain(draw: st.DrawFn, G: nx.DiGraph) -> None:
    """Tied nodes (pinned or free alike, of one degree), fixed edges, shared weights, coefficients."""
    at = bg.manifold(G)
    kinds = {}
    for node in G:
        kinds.setdefault((bool(at.pinned[node]), float(at.degree[node])), []).append(node)
    for label, members in enumerate(kinds.values()):
        if len(members) > 1 and draw(st.booleans()):
            for node in draw(st.lists(st.sampled_from(members), min_size=2, max_size=3, unique=True)):
                G.nodes[node]["group"] = label
    edges = list(G.edges)
    if not edges:
        return
    for edge in draw(st.lists(st.sampled_from(edges), max_size=2)):
        G.edges[edge]["fixed"] = True
    for edge in draw(st.lists(st.sampled_from(edges), max_size=4)):
        G.edges[edge]["coefficient"] = draw(magnitudes(2.0))
    free = [edge for edge in edges if not G.edges[edge].keys() & {"fixed", "coefficient"}]
    if len(free) > 1 and draw(st.booleans()):
        members = draw(st.lists(st.sampled_from(free), min_size=2, max_size=3, unique=True))
        for edge in members:
            G.edges[edge].update(weight=G.edges[members[0]]["weight"], shared="kernel")


def attained_by_linear_program(G: nx.DiGraph) -> bool:
    problem = bg.compile_graph(G)
    dead = proven_dead(problem.manifold.reduced_incidence[np.flatnonzero(problem.active)])
    return not dead.any()


def assert_no_nan(*values: object) -> None:
    for value in values:
        assert not np.any(np.isnan(np.asarray(value, dtype=float))), value


def assert_sound(G: nx.DiGraph, result: bg.BalanceResult, regularizer: bg.Regularizer) -> None:
    """Every number is one, the status is true, and the certificate is consistent."""
    certificate = result.certificate
    numbers = [result.cost, result.initial_cost, result.relative_imbalance, certificate.lower_bound, certificate.gap]
    assert_no_nan(numbers, certificate.relative_gap, list(result.scales.values()), list(result.log_scales.values()))
    assert_no_nan(result.history.log_cost, result.history.imbalance, list(weights_of(result.graph).values()))
    assert 0 <= result.relative_imbalance <= 1
    assert 0 <= certificate.relative_gap <= 1
    assert certificate.lower_bound <= certificate.cost
    assert certificate.gap >= 0
    assert result.status in bg.Status
    assert_same_but_for_weights(G, result.graph)
    smallest = min((abs(w) for w in weights_of(result.graph).values() if w != 0), default=1.0)
    if result.converged:
        assert result.relative_imbalance <= BALANCED
        if smallest > 1e-290:  # below, a written weight has fewer digits
            assert bg.relative_imbalance(result.graph, regularizer) <= BALANCED


def balanced(G: nx.DiGraph, regularizer: bg.Regularizer, solver: object) -> bg.BalanceResult | None:
    """The balanced network, pruned where it must be; None where this package says that it does not apply."""
    failure: bg.BalanceGraphError
    try:
        return bg.balance(G, regularizer, solver=solver)
    except bg.NotAttainedError as error:
        failure = error
    except (bg.UnsupportedError, bg.InvalidNetworkError) as error:
        # No local steps under shared weights, a weight beyond the range of floats, fixed edges against a tie.
        words = str(error)
        return next(None for word in ("shared weights", "range of floats", "tied") if word in words)
    assert not attained_by_linear_program(G)
    assert failure.edges
    try:
        result = bg.balance(G, regularizer, solver=solver, on_unattained="prune")
    except bg.UnsupportedError:
        return None
    # With a parameter that dies, scales that it held come free, and more edges can be dead.
    assert set(result.pruned_edges) >= set(failure.edges)
    return result


@given(networks(), st.sampled_from(REGULARIZERS), st.sampled_from(SOLVERS))
def test_balance_is_sound(G, regularizer, solver):
    before = snapshot(G)
    result = balanced(G, regularizer, solver)
    assert_unmodified(G, before)
    if result is not None:
        assert_sound(G, result, regularizer)
        if isinstance(solver, bg.NewtonSolver):
            assert result.converged
            assert result.certificate.relative_gap <= 1e-9


@given(networks(decades=150.0), st.sampled_from(REGULARIZERS[:-1]), st.sampled_from(SOLVERS))
def test_balance_is_sound_over_300_decades(G, regularizer, solver):
    result = balanced(G, regularizer, solver)
    if result is not None:
        assert_sound(G, result, regularizer)


@given(networks(), st.sampled_from(REGULARIZERS))
def test_questions_about_any_network(G, regularizer):
    before = snapshot(G)
    try:
        cost = bg.cost(G, regularizer)
    except bg.InvalidNetworkError:
        return
    imbalance, relative = bg.imbalance(G, regularizer), bg.relative_imbalance(G, regularizer)
    certificate, attainment = bg.certify(G, regularizer), bg.attainment(G, regularizer)
    at = bg.manifold(G)
    assert_no_nan(cost, list(imbalance.values()), relative, certificate.lower_bound, certificate.relative_gap)
    assert cost >= 0
    assert set(imbalance) == {at.nodes[k] for k in at.free_nodes.tolist()}
    assert 0 <= relative <= 1
    # The one sums powers, the other exponentials of logarithms.
    assert math.isclose(certificate.cost, cost, rel_tol=1e-12)
    assert 0 <= certificate.lower_bound <= cost * (1 + 1e-12)
    assert attainment.attained == attained_by_linear_program(G)
    assert 0 <= at.dimension <= at.free_nodes.size
    assert bg.equivalent(G, G.copy(), regularizer)
    assert_unmodified(G, before)


@given(networks(), st.sampled_from(REGULARIZERS))
def test_no_scaling_costs_less_than_the_certified_bound(G, regularizer):
    result = balanced(G, regularizer, bg.NewtonSolver())
    assume(result is not None)
    rng = np.random.default_rng(0)
    problem = bg.compile_graph(result.graph, regularizer)
    basis = problem.manifold.basis
    for size in (1e-3, 0.1, 1.0):
        log_scales = basis @ rng.normal(0, size, basis.shape[1])
        assert problem.cost(log_scales) >= result.certificate.lower_bound * (1 - 1e-14)
    if not (result.pruned_edges and nx.get_edge_attributes(G, "shared")):
        # A shared parameter that is pruned frees scales that it held: then the network that is left can cost less.
        assert bg.certify(G, regularizer).lower_bound <= result.cost * (1 + 1e-12)


@given(networks(), st.sampled_from(REGULARIZERS))
def test_balancing_twice_is_balancing_once(G, regularizer):
    once = balanced(G, regularizer, bg.NewtonSolver())
    assume(once is not None)
    twice = bg.balance(once.graph, regularizer, solver=bg.NewtonSolver())
    for edge, w in weights_of(once.graph).items():
        assert math.isclose(w, twice.graph.edges[edge]["weight"], rel_tol=1e-8, abs_tol=0), edge
    assert twice.pruned_edges == ()


@given(networks(decades=0.5), st.sampled_from(REGULARIZERS))
def test_the_function_is_preserved(G, regularizer):
    result = balanced(G, regularizer, bg.NewtonSolver())
    assume(result is not None)
    n = sum(role == "input" for role in roles_of(G).values())
    x = np.random.default_rng(0).standard_normal((4, n))
    with np.errstate(all="ignore"):
        one, two = bg.evaluate(G, x, 5), bg.evaluate(result.graph, x, 5)
    small = np.abs(one) < 1e100
    # Each weight is rounded by some eps times its log-gain, and five steps through degree 3 multiply that by 3^n.
    assert np.all(np.abs(one - two)[small] <= 1e-8 * np.maximum(np.abs(one).max(initial=0, where=small), 1e-300))


@given(networks(), st.sampled_from(REGULARIZERS), st.data())
def test_balancing_one_node_lowers_the_cost_and_balances_it(G, regularizer, data):
    at = bg.manifold(G)
    assume(at.free_nodes.size > 0)
    node = at.nodes[data.draw(st.sampled_from(at.free_nodes.tolist()))]
    try:
        H, s = bg.balance_node(G, node, regularizer)
    except (bg.NotAttainedError, bg.UnsupportedError, bg.InvalidNetworkError):
        return
    assert s > 0
    assert bg.cost(H, regularizer) <= bg.cost(G, regularizer) * (1 + 1e-13)
    _, one = bg.balance_node(H, node, regularizer)
    assert math.isclose(one, 1.0, rel_tol=1e-9)
