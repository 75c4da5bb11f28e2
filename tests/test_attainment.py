"""Existence and uniqueness: the graph search against a linear program, the reasons, and what pruning leaves.

Room: problem.
"""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from exact import proven_dead
from helpers import assert_balanced, assert_same_weights, assert_unmodified, chain, network, snapshot, weights_of
from hypothesis import given
from hypothesis import strategies as st

import balance_graph as bg


def linear_program(problem: bg.BalanceProblem) -> set[int]:
    """The dead edges by the slow twin: the largest set that one recession direction shrinks, proven in fractions."""
    active = np.flatnonzero(problem.active)
    return set(active[proven_dead(problem.manifold.reduced_incidence[active])].tolist())


def dead_edges(G: nx.DiGraph) -> set[int]:
    problem = bg.compile_graph(G)
    answer = bg.attainment(G)
    place = {edge: k for k, edge in enumerate(problem.manifold.edges)}
    assert np.array_equal(np.flatnonzero(problem.active & ~answer.live), sorted(place[e] for e in answer.dead_edges))
    return {place[edge] for edge in answer.dead_edges}


def assert_recession_direction(G: nx.DiGraph) -> None:
    """Along it every dead weight shrinks and no other weight grows: A d <= 0, A d != 0."""
    answer, at = bg.attainment(G), bg.manifold(G)
    d = np.zeros(at.n_nodes)
    index = {node: k for k, node in enumerate(at.nodes)}
    for node, value in answer.recession_direction.items():
        d[index[node]] = value
    assert at.obeys(d, tol=1e-7)
    gains = bg.compile_graph(G).log_gains(d)
    active = bg.compile_graph(G).active
    dead = active & ~answer.live
    scale = np.abs(d).max()
    assert np.all(gains[active] <= 1e-9 * scale)
    assert np.all(gains[dead] < -1e-6)


@st.composite
def graphs(draw: st.DrawFn, *, activations: tuple[str, ...] = ("relu",), shared: bool = False) -> nx.DiGraph:
    """A sparse network in which parts are often isolated or attached on one side only."""
    n = draw(st.integers(1, 8))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    G = nx.DiGraph()
    G.add_nodes_from(range(n))
    for i, j in draw(st.lists(pairs, unique=True, max_size=14)):
        G.add_edge(i, j, weight=draw(st.sampled_from([1.0, 1.0, 1.0, -2.0, 0.0])))
    for node in G:
        roles = ["hidden", "hidden", None, "output"]
        G.nodes[node]["role"] = draw(st.sampled_from(roles))
        G.nodes[node]["activation"] = draw(st.sampled_from(activations))
    if shared:
        edges = [edge for edge in G.edges if G.edges[edge]["weight"] == 1.0]
        if len(edges) > 1:
            for edge in draw(st.lists(st.sampled_from(edges), max_size=3, unique=True)):
                G.edges[edge]["shared"] = 0
    return G


@given(graphs())
def test_the_search_finds_what_the_linear_program_finds(G):
    assert dead_edges(G) == linear_program(bg.compile_graph(G))


@given(graphs(activations=("relu", "relu2", "bipu(0.5)", "bipu(0.25)", "bipu(4)")))
def test_the_search_finds_what_the_linear_program_finds_for_any_degrees(G):
    assert dead_edges(G) == linear_program(bg.compile_graph(G))


@given(graphs(activations=("relu", "relu2"), shared=True))
def test_shared_weights(G):
    assert dead_edges(G) == linear_program(bg.compile_graph(G))


@given(graphs(activations=("relu", "relu2", "bipu(0.5)"), shared=True))
def test_the_recession_direction_recedes(G):
    answer = bg.attainment(G)
    assert (answer.recession_direction is None) == answer.attained
    assert answer.attained == (not answer.dead_edges)
    if not answer.attained:
        assert_recession_direction(G)
        assert answer.dead_nodes
        assert set(answer.reasons) == set(answer.dead_nodes)
        free = bg.manifold(G).free_nodes.tolist()
        assert set(answer.dead_nodes) <= {bg.manifold(G).nodes[k] for k in free}


@given(graphs(activations=("relu", "relu2", "bipu(0.5)")))
def test_where_attained_a_positive_circulation_exists_at_the_optimum(G):
    if bg.attainment(G).attained:
        result = bg.balance(G, solver="newton")
        assert result.converged
        assert_balanced(result.graph, 2, 1e-10)
    else:
        with pytest.raises(bg.NotAttainedError):
            bg.balance(G, solver="newton")


# --- reasons --------------------------------------------------------------------------------------------------------

HIDDEN = {"role": "hidden"}
REASONS = {
    "nothing reaches it": (
        network(("x", "h", 2.0), ("h", "y", 3.0), ("d", "h", 1.0), d=HIDDEN),
        {"d": "no pinned node reaches it"},
        {("d", "h")},
    ),
    "it reaches nothing": (
        network(("x", "h", 2.0), ("h", "y", 3.0), ("h", "d", 1.0), d=HIDDEN),
        {"d": "it reaches no pinned node"},
        {("h", "d")},
    ),
    "a chain out of nowhere": (
        network(("a", "b", 2.0), ("b", "y", 3.0), ("x", "y", 1.0), a=HIDDEN),
        {"a": "no pinned node reaches it", "b": "no pinned node reaches it"},
        {("a", "b"), ("b", "y")},
    ),
    "a cycle that reaches nothing": (
        network(("x", "a", 2.0), ("a", "b", 3.0), ("b", "a", 1.0)),
        {"a": "it reaches no pinned node", "b": "it reaches no pinned node"},
        {("x", "a")},
    ),
    "an isolated path": (
        network(("x", "y", 1.0), ("a", "b", 2.0), a=HIDDEN, b=HIDDEN),
        {"a": "isolated", "b": "isolated"},
        {("a", "b")},
    ),
    "an isolated cycle of gain 2": (
        network(("x", "y", 1.0), ("a", "b", 2.0), ("b", "a", 2.0), a={"activation": "relu2"}),
        {"a": "gains do not balance", "b": "gains do not balance"},
        {("a", "b"), ("b", "a")},
    ),
    "a self-loop of degree 2 alone": (
        network(("a", "a", 2.0), a={"activation": "relu2"}),
        {"a": "gains do not balance"},
        {("a", "a")},
    ),
    "a zero weight cuts it off": (
        network(("x", "h", 0.0), ("h", "y", 3.0)),
        {"h": "no pinned node reaches it"},
        {("h", "y")},
    ),
    "a shared weight drags it down": (
        network(("x", "a", 1.0, {"shared": 0}), ("a", "d", 1.0, {"shared": 0}), d=HIDDEN),
        {"a": "", "d": ""},
        {("x", "a"), ("a", "d")},
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_each_reason_is_given_with_its_nodes_and_edges(name):
    G, nodes, edges = REASONS[name]
    answer = bg.attainment(G)
    assert not answer.attained
    assert set(answer.dead_nodes) == set(nodes)
    assert set(answer.dead_edges) == edges
    for node, words in nodes.items():
        assert words in answer.reasons[node]
    assert_recession_direction(G)
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.balance(G)
    assert set(caught.value.nodes) == set(nodes)
    assert set(caught.value.edges) == edges
    for word in (*map(repr, nodes), "on_unattained='prune'", 'role="output"'):
        assert word in str(caught.value)


@pytest.mark.parametrize("name", REASONS)
def test_pruning_sets_the_dead_weights_to_zero_and_balances_the_rest(name):
    G, _, edges = REASONS[name]
    before = snapshot(G)
    result = bg.balance(G, on_unattained="prune")
    assert_unmodified(G, before)
    assert set(result.pruned_edges) == edges
    assert all(result.graph.edges[edge]["weight"] == 0 for edge in edges)
    assert result.converged
    assert_balanced(result.graph)
    assert bg.attainment(result.graph).attained
    assert bg.balance(result.graph).pruned_edges == ()
    assert "pruned edges" in result.summary()
    assert result.cost == pytest.approx(bg.cost(result.graph), rel=1e-12)
    assert bg.certify(result.graph).relative_gap <= 1e-12


@pytest.mark.parametrize("name", REASONS)
def test_the_pruned_cost_is_the_limit_along_the_recession_direction(name):
    """The infimum, approached by scalings of the unpruned network and certified for it."""
    G, *_ = REASONS[name]
    problem = bg.compile_graph(G)
    result = bg.balance(G, on_unattained="prune")
    d = np.array([bg.attainment(G).recession_direction.get(node, 0.0) for node in problem.nodes])
    at = result.solution.log_scales
    costs = [problem.cost(at + t * d) for t in (0.0, 1.0, 10.0, 40.0)]
    assert all(one >= two for one, two in pairwise(costs))
    assert costs[-1] == pytest.approx(result.cost, rel=1e-12, abs=1e-12)
    assert bg.certify(G).lower_bound <= result.cost * (1 + 1e-14)


@given(graphs(activations=("relu", "bipu(0.5)")))
def test_pruning_equals_removing_the_dead_edges_by_hand(G):
    answer = bg.attainment(G)
    H = G.copy()
    for edge in answer.dead_edges:
        H.edges[edge]["weight"] = 0.0
    pruned = bg.balance(G, solver="newton", on_unattained="prune")
    assert_same_weights(pruned.graph, bg.balance(H, solver="newton").graph, 1e-9)


def test_pruning_a_shared_parameter_frees_what_it_held():
    """b is held still by the shared edges out of a; once they are gone, b has no input left and dies as well."""
    one = {"shared": 0}
    G = network(("a", "y", 1.0, one), ("a", "b", 1.0, one), ("b", "y", 5.0), ("x", "y", 2.0), a=HIDDEN)
    assert set(bg.attainment(G).dead_edges) == {("a", "y"), ("a", "b")}
    result = bg.balance(G, on_unattained="prune")
    assert set(result.pruned_edges) == {("a", "y"), ("a", "b"), ("b", "y")}
    assert weights_of(result.graph) == {("a", "y"): 0.0, ("a", "b"): 0.0, ("b", "y"): 0.0, ("x", "y"): 2.0}
    assert result.cost == pytest.approx(4.0)


def test_many_dead_nodes_are_counted_not_listed():
    G = network(("x", "y", 1.0), *((f"d{k}", "y", 1.0) for k in range(9)), **{f"d{k}": HIDDEN for k in range(9)})
    with pytest.raises(bg.NotAttainedError, match="and 4 more") as caught:
        bg.balance(G)
    assert len(caught.value.nodes) == len(caught.value.edges) == 9


def test_a_reason_that_several_nodes_have_is_given_once():
    loops = network(
        *(("x", "y", 2.0), ("a", "b", 1.0), ("b", "a", 1.0), ("c", "d", 1.0), ("d", "c", 1.0), ("b", "c", 3.0)),
        *(("y", "e", 1.0), ("e", "f", 1.0)),
        f=HIDDEN,
    )
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.balance(loops)
    message = str(caught.value)
    assert message.count("isolated from pinned nodes") == 1
    assert "'a', 'b', 'c', 'd' (each: isolated" in message
    with pytest.raises(bg.NotAttainedError, match=r"1 weight can .* function: \('h', 'd'\); dead nodes: 'd' \(it"):
        bg.balance(network(("x", "h", 2.0), ("h", "y", 1.0), ("h", "d", 3.0), d=HIDDEN))


# --- uniqueness of the log-scales -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_attained_and_unique_exactly_when_no_gauge_is_left(name):
    G = CASES[name].make()
    answer, problem = bg.attainment(G), bg.compile_graph(G)
    assert answer.attained
    assert np.array_equal(answer.live, problem.active)
    assert linear_program(problem) == set()
    matrix = problem.manifold.reduced_incidence[np.flatnonzero(problem.active)].toarray()
    scale = np.abs(matrix).max(axis=0, initial=1.0)
    rank = np.linalg.matrix_rank(matrix / scale) if matrix.size else 0
    assert answer.unique == (rank == matrix.shape[1])


def test_attainment_does_not_depend_on_the_regularizer_or_the_weights():
    G = chain(1.0, 2.0)
    G.add_edge("h0", "d", weight=1.0)
    G.nodes["d"]["role"] = "hidden"
    H = G.copy()
    nx.set_edge_attributes(H, 1e-100, "weight")
    assert bg.attainment(G).dead_edges == bg.attainment(H, 0.5).dead_edges == (("h0", "d"),)
