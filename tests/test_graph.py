"""The door between networkx and arrays: what is read, what is refused and in which words, what is written back.

Room: graph.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from helpers import (
    assert_same_but_for_weights,
    assert_same_weights,
    assert_unmodified,
    chain,
    network,
    regularizer_of,
    rescaled,
    snapshot,
    weights_of,
)
from scipy import sparse

import balance_graph as bg
from balance_graph.graph.compilation import roles_of


def with_edge(name, value):
    return network(("x", "h", 1.0, {name: value}), ("h", "y", 2.0))


def with_weight(value):
    return network(("x", "h", value), ("h", "y", 2.0))


def with_node(**data):
    return chain(1.0, 2.0, h0=data)


def shared(**second):
    return network(
        ("x", "a", 2.0, {"shared": "w"}), ("x", "b", 2.0, {"shared": "w", **second}), ("a", "y", 1.0), ("b", "y", 1.0)
    )


REFUSED = {
    "no weight": (nx.DiGraph([("x", "y")]), ["('x', 'y')", "'weight'", "weight="]),
    "nan": (with_weight(math.nan), ["('x', 'h')", "nan", "finite number"]),
    "inf": (with_weight(-math.inf), ["('x', 'h')", "-inf", "finite number"]),
    "text": (with_weight("1.0"), ["('x', 'h')", "'1.0'", "finite number"]),
    "none": (with_weight(None), ["('x', 'h')", "None"]),
    "bool": (with_weight(True), ["('x', 'h')", "True", "finite number"]),
    "numpy bool": (with_weight(np.bool_(True)), ["('x', 'h')", "True"]),
    "complex": (with_weight(1j), ["('x', 'h')", "1j"]),
    "decimal": (with_weight(Decimal("NaN")), ["('x', 'h')", "Decimal('NaN')"]),
    "list": (with_weight([1.0]), ["('x', 'h')", "[1.0]"]),
    "array": (with_weight(np.array([1.0])), ["('x', 'h')", "array([1.])"]),
    "too large an int": (with_weight(10**400), ["('x', 'h')", "1000", "finite number"]),
    "too large a long double": (with_weight(np.longdouble("1e400")), ["('x', 'h')", "finite number"]),
    "coefficient 0": (with_edge("coefficient", 0), ["('x', 'h')", "coefficient is 0", "positive finite number"]),
    "coefficient < 0": (with_edge("coefficient", -2.0), ["('x', 'h')", "-2.0", "positive"]),
    "coefficient text": (with_edge("coefficient", "big"), ["('x', 'h')", "'big'"]),
    "coefficient inf": (with_edge("coefficient", math.inf), ["('x', 'h')", "inf"]),
    "exponent 0": (with_edge("exponent", 0.0), ["('x', 'h')", "exponent is 0.0", "positive"]),
    "exponent text": (with_edge("exponent", "2"), ["('x', 'h')", "'2'"]),
    "fixed text": (with_edge("fixed", "yes"), ["('x', 'h')", "fixed is 'yes'", "True or False"]),
    "fixed number": (with_edge("fixed", 2), ["('x', 'h')", "fixed is 2"]),
    "fixed list": (with_edge("fixed", [True]), ["('x', 'h')", "fixed is [True]"]),
    "shared list": (with_edge("shared", ["w"]), ["('x', 'h')", "shared is ['w']", "not hashable"]),
    "shared weights differ": (
        network(("x", "a", 2.0, {"shared": "w"}), ("x", "b", 3.0, {"shared": "w"}), ("a", "y", 1.0), ("b", "y", 1.0)),
        ["('x', 'b')", "'w'", "('x', 'a')", "weight", "make them equal"],
    ),
    "shared signs differ": (
        network(("x", "a", 2.0, {"shared": "w"}), ("x", "b", -2.0, {"shared": "w"}), ("a", "y", 1.0), ("b", "y", 1.0)),
        ["('x', 'b')", "weight"],
    ),
    "shared coefficients differ": (shared(coefficient=2.0), ["('x', 'b')", "coefficient", "make them equal"]),
    "shared exponents differ": (shared(exponent=1.0), ["('x', 'b')", "exponent", "make them equal"]),
    "shared and fixed differ": (shared(fixed=True), ["('x', 'b')", "fixed", "make them equal"]),
    "unknown role": (with_node(role="middle"), ["'h0'", "'middle'", "input, hidden, output, bias"]),
    "role list": (with_node(role=["hidden"]), ["'h0'", "['hidden']"]),
    "input with in-edges": (with_node(role="input"), ["'h0'", "'input'", "1 in-edges", "change the role"]),
    "bias with in-edges": (with_node(role="bias"), ["'h0'", "'bias'", "1 in-edges"]),
    "unknown activation": (with_node(activation="rellu"), ["'h0'", "'rellu'", "known:", "register_activation"]),
    "activation number": (with_node(activation=3), ["'h0'", "3"]),
    "activation of a pinned node": (network(("x", "y", 1.0), y={"activation": "nope"}), ["'y'", "'nope'"]),
    "group list": (with_node(group=[1]), ["'h0'", "group is [1]", "not hashable"]),
    "group of pinned and free": (
        chain(1.0, 2.0, 3.0, h0={"group": 7}, h1={"group": 7, "activation": "tanh"}),
        ["'h0'", "'h1'", "pinned", "degree 1", "same role"],
    ),
    "group of two degrees": (
        chain(1.0, 2.0, 3.0, h0={"group": 7}, h1={"group": 7, "activation": "relu2"}),
        ["'h0'", "'h1'", "degree 1", "degree 2"],
    ),
    "tie against fixed edges": (
        network(
            ("x", "a", 1.0), ("a", "b", 1.0, {"fixed": True}), ("b", "y", 1.0),
            a={"group": 0, "activation": "relu2"}, b={"group": 0, "activation": "relu2"},
        ),
        ["'a'", "'b'", "tied", "untie them"],
    ),
    "multigraph": (nx.MultiDiGraph([(1, 2)]), ["MultiDiGraph", "sum", "merge"]),
    "undirected": (nx.Graph([(1, 2)]), ["undirected Graph", "to_directed"]),
    "undirected multigraph": (nx.MultiGraph([(1, 2)]), ["MultiGraph"]),
    "no graph": ([(1, 2)], ["networkx.DiGraph", "list"]),
    "nothing": (None, ["networkx.DiGraph", "NoneType"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_the_contract_is_refused_in_the_users_own_words(name):
    G, words = REFUSED[name]
    asks = [bg.balance, bg.cost, bg.imbalance, bg.certify, bg.attainment, bg.compile_graph]
    asks += [lambda G: bg.balance_node(G, "h0"), lambda G: bg.scale(G, {}), lambda G: bg.evaluate(G, [1.0])]
    for ask in asks:
        with pytest.raises(bg.InvalidNetworkError) as caught:
            ask(G)
        for word in words:
            assert word in str(caught.value)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, bg.BalanceGraphError)


@pytest.mark.parametrize(
    "value", [3, np.int8(3), np.uint64(3), np.float16(3), np.float32(3), np.float64(3), np.longdouble(3), Fraction(3)]
)
def test_any_real_number_is_a_weight(value):
    G = with_weight(value)
    result = bg.balance(G)
    assert_same_weights(result.graph, bg.balance(with_weight(3.0)).graph, 1e-15)
    assert G.edges["x", "h"]["weight"] is value
    assert all(type(w) is float for w in weights_of(result.graph).values())
    assert bg.balance(network(("x", "h", value), ("h", "y", value))).graph.edges["x", "h"]["weight"] == pytest.approx(3)


def test_none_means_the_default_of_every_optional_attribute():
    G, H = CASES["layered"].make(), CASES["layered"].make()
    nx.set_node_attributes(H, dict.fromkeys(H, None), "group")
    for node in H:
        H.nodes[node].update(role=None, activation=None)
    for _, _, data in H.edges(data=True):
        data.update(coefficient=None, exponent=None, fixed=None, shared=None)
    assert_same_weights(bg.balance(G).graph, bg.balance(H).graph, 1e-15)


def test_labels_may_be_anything_hashable_and_zero_is_one():
    for label in (0, "", (), frozenset(), math.nan, False):
        G = network(("x", "a", 2.0), ("x", "b", 3.0), ("a", "y", 1.0), ("b", "y", 1.0))
        G.add_node("a", group=label)
        G.add_node("b", group=label)
        scales = bg.balance(G).scales
        assert scales["a"] == scales["b"]


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_never_modified(name):
    G, regularizer = CASES[name].make(), regularizer_of(name)
    before = snapshot(G)
    for ask in (bg.balance, bg.cost, bg.imbalance, bg.relative_imbalance, bg.is_balanced, bg.certify, bg.attainment):
        ask(G, regularizer)
    bg.canonical_form(G, regularizer)
    bg.equivalent(G, G, regularizer)
    bg.manifold(G)
    assert_unmodified(G, before)


def test_frozen_graphs_views_and_subclasses():
    class Network(nx.DiGraph):
        pass

    G = chain(1.0, 4.0, 16.0)
    assert bg.balance(nx.freeze(G.copy())).graph.edges["x", "h0"]["weight"] == pytest.approx(4.0)
    assert not nx.is_frozen(bg.balance(nx.freeze(G.copy())).graph)
    assert type(bg.balance(Network(G)).graph) is Network
    more = nx.compose(chain(9.0, 9.0, 9.0, 9.0), G)
    assert_same_weights(
        bg.balance(nx.subgraph_view(more, filter_node=lambda node: node in G)).graph, bg.balance(G).graph, 0
    )
    assert bg.balance(nx.reverse_view(G)).cost == pytest.approx(bg.balance(G).cost)


def test_everything_else_on_the_graph_is_kept():
    G = CASES["layered"].make()
    G.graph["title"] = "mine"
    for node in G:
        G.nodes[node]["position"] = (1, 2)
    for _, _, data in G.edges(data=True):
        data["color"] = ["red"]
    result = bg.balance(G)
    assert_same_but_for_weights(G, result.graph)
    result.graph.graph["title"] = "other"
    result.graph.nodes["x0"]["position"] = None
    assert G.graph["title"] == "mine"
    assert G.nodes["x0"]["position"] == (1, 2)


def test_the_weight_may_have_another_name():
    G = chain(1.0, 4.0)
    for _, _, data in G.edges(data=True):
        data["strength"] = 3 * data["weight"]
        data["weight"] = "unused"
    result = bg.balance(G, weight="strength")
    assert [data["strength"] for *_, data in result.graph.edges(data=True)] == pytest.approx([6.0, 6.0])
    assert all(data["weight"] == "unused" for *_, data in result.graph.edges(data=True))
    assert bg.cost(G, weight="strength") == pytest.approx(9 + 144)
    assert bg.scale(G, {"h0": 2.0}, weight="strength").edges["x", "h0"]["strength"] == 6.0
    assert bg.is_balanced(bg.canonical_form(G, weight="strength"), weight="strength")
    assert bg.evaluate(G, [1.0], weight="strength") == pytest.approx([36.0])
    for name in (None, 3, "mass"):
        with pytest.raises(bg.InvalidNetworkError, match="no attribute"):
            bg.balance(G, weight=name)
    with pytest.raises(bg.InvalidParameterError, match="name of an edge attribute"):
        bg.balance(G, weight=["weight"])


@pytest.mark.parametrize(
    "node", [0, False, "", (), frozenset({1}), math.nan, float, ("a", 1), np.int64(5), "None", b"h"]
)
def test_any_hashable_names_a_node(node):
    G = network(("x", node, 1.0), (node, "y", 4.0), (node, "d", 1.0))
    G.nodes["d"]["role"] = "hidden"
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.balance(G)
    assert repr((node, "d")) in str(caught.value)
    result = bg.balance(G, on_unattained="prune")
    assert result.pruned_edges == ((node, "d"),)
    assert result.scales[node] == pytest.approx(2.0)
    assert bg.scale(G, {node: 2.0}).edges["x", node]["weight"] == 2.0
    assert bg.imbalance(G)[node] == pytest.approx(2 * (1 - 16 - 1))


def test_roles_are_inferred_from_the_edges():
    G = network(("x", "h", 1.0), ("h", "y", 1.0), ("k", "k", 1.0))
    G.add_node("alone")
    assert roles_of(G) == {"x": "input", "h": "hidden", "y": "output", "k": "hidden", "alone": "input"}
    problem = bg.compile_graph(G)
    assert [problem.nodes[k] for k in problem.manifold.free_nodes] == ["h", "k"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("fixed")])
def test_fixed_edges_keep_their_weights_to_the_last_bit(name):
    G = CASES[name].make()
    for edge, fixed in nx.get_edge_attributes(G, "fixed").items():
        if fixed:
            G.edges[edge]["weight"] = 0.1 * G.edges[edge]["weight"]
    result = bg.balance(G, regularizer_of(name))
    for u, v, data in result.graph.edges(data=True):
        if data.get("fixed"):
            assert data["weight"] == G.edges[u, v]["weight"]


@pytest.mark.parametrize("c", [0.7, 3.0, 1.1, 7.0])
def test_fixed_edges_whose_log_gains_vanish_only_up_to_rounding(c):
    still = {"fixed": True}
    edges = [("x", "a", 2.0), ("x", "d", 5.0), ("a", "b", 0.1, still), ("d", "b", 0.3, still), ("b", "y", 7.0)]
    G = network(*edges, a={"activation": "bipu(3)"}, d={"activation": f"bipu({c})"})
    for p in (0.5, 1, 2, 3):
        result = bg.balance(G, p, solver="newton")
        assert result.scales["b"] != 1.0
        assert [result.graph.edges[edge]["weight"] for edge in (("a", "b"), ("d", "b"))] == [0.1, 0.3]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("shared")])
def test_shared_edges_keep_equal_weights_to_the_last_bit(name):
    result = bg.balance(rescaled(CASES[name].make(), np.random.default_rng(0), 1.0), regularizer_of(name))
    groups = {}
    for _, _, data in result.graph.edges(data=True):
        if "shared" in data:
            groups.setdefault(data["shared"], set()).add(data["weight"])
    assert groups
    assert all(len(values) == 1 for values in groups.values())


def test_zero_weights_constrain_nothing():
    G = network(("x", "a", 2.0), ("a", "b", 0.0, {"fixed": True}), ("x", "b", 5.0), ("a", "y", 3.0), ("b", "y", 7.0))
    assert bg.manifold(G).dimension == 2
    assert bg.compile_graph(G).manifold.fixed is None


# --- arrays ---------------------------------------------------------------------------------------------------------


def sparse_problem(G: nx.DiGraph, regularizer, **options):
    """The same problem through the other door; the order of edges there is by tail, then by head."""
    compiled = bg.compile_graph(G, regularizer)
    at = compiled.manifold
    weights = np.array([w for *_, w in G.edges(data="weight")])
    W = sparse.csr_array((weights, (at.tail, at.head)), shape=(len(G), len(G)))
    problem = bg.BalanceProblem.from_sparse(
        W, pinned=at.pinned, degree=at.degree, groups=at.group, regularizer=regularizer, **options
    )
    return compiled, problem


SPARSE = [
    "layered_bias", "recurrent", "self_loops_c2", "bipu_layers", "elastic", "posynomial", "log1p2", "tied",
    "tied_self_loop", "wide_layered", "isolated_cycle", "pinned_hidden",
]  # fmt: skip


@pytest.mark.parametrize("name", SPARSE)
def test_a_sparse_matrix_gives_the_same_problem(name):
    compiled, problem = sparse_problem(CASES[name].make(), regularizer_of(name))
    order = np.lexsort((compiled.manifold.head, compiled.manifold.tail))
    assert np.array_equal(problem.manifold.tail, compiled.manifold.tail[order])
    assert np.array_equal(problem.manifold.head, compiled.manifold.head[order])
    assert np.array_equal(problem.log_weight, compiled.log_weight[order])
    one, two = bg.solve(compiled), bg.solve(problem)
    assert two.converged
    assert two.log_cost == pytest.approx(one.log_cost, rel=1e-13, abs=1e-13)
    gains = compiled.log_gains(one.log_scales)[order]
    assert np.allclose(gains, problem.log_gains(two.log_scales), atol=1e-10)
    assert bg.certify(problem, two.log_scales).relative_gap < 1e-10
    assert np.all(two.log_scales[problem.manifold.pinned] == 0)


def test_coefficients_of_a_sparse_matrix():
    W = sparse.csr_array(np.array([[0, 8.0, 0], [0, 0, 2.0], [0, 0, 0]]))
    pinned = np.array([True, False, True])
    plain = bg.solve(bg.BalanceProblem.from_sparse(W, pinned=pinned))
    number = bg.solve(bg.BalanceProblem.from_sparse(W, pinned=pinned, coefficient=3.0))
    same = bg.solve(bg.BalanceProblem.from_sparse(W, pinned=pinned, coefficient=3 * (W != 0)))
    assert number.cost == same.cost == pytest.approx(3 * plain.cost)
    other = bg.solve(
        bg.BalanceProblem.from_sparse(
            W, pinned=pinned, coefficient=sparse.csr_array([[0, 4.0, 0], [0, 0, 1.0], [0, 0, 0]])
        )
    )
    assert other.cost == pytest.approx(64.0)


def test_stored_zeros_duplicates_and_formats():
    rows, columns = [0, 0, 1, 0], [1, 1, 2, 2]
    W = sparse.coo_array(([5.0, 3.0, 2.0, 0.0], (rows, columns)), shape=(3, 3))
    pinned = np.array([True, False, True])
    for matrix in (W, W.tocsr(), W.tocsc(), sparse.csr_matrix(W), W.tolil()):
        solution = bg.solve(bg.BalanceProblem.from_sparse(matrix, pinned=pinned))
        assert solution.log_scales == pytest.approx([0, -math.log(2), 0])
    assert W.nnz == 4


GOOD = sparse.csr_array(np.array([[0, 8.0, 0], [0, 0, 2.0], [0, 0, 0]]))
PINNED = np.array([True, False, True])


@pytest.mark.parametrize(
    ("W", "change", "word"),
    [
        (GOOD.toarray(), {}, "scipy sparse"),
        (GOOD[:2], {}, "square"),
        (GOOD * 1j, {}, "real"),
        (sparse.csr_array(np.array([[0, np.nan], [0, 0]])), {"pinned": PINNED[:2]}, r"edge \(0, 1\) is nan"),
        (GOOD, {"pinned": PINNED[:2]}, "pinned must be a boolean array"),
        (GOOD, {"pinned": [0, 1, 2]}, "pinned must be a boolean array"),
        (GOOD, {"degree": 0.0}, "degree of node 0 is 0.0"),
        (GOOD, {"degree": [1.0, -1.0, 1.0]}, "degree of node 1 is -1.0"),
        (GOOD, {"degree": [1.0]}, "degree must be a number"),
        (GOOD, {"groups": [0, 1]}, "groups must be an integer array"),
        (GOOD, {"groups": [0.0, 1.0, 2.0]}, "groups must be an integer array"),
        (GOOD, {"groups": [0, 0, 1]}, "cannot share a scale"),
        (GOOD, {"coefficient": -1.0}, "coefficient of edge"),
        (GOOD, {"coefficient": GOOD[:2]}, "coefficient must have the shape"),
        (GOOD, {"coefficient": sparse.csr_array((3, 3))}, r"coefficient of edge \(0, 1\) is 0.0"),
        (GOOD, {"coefficient": [1.0, 2.0]}, "number or a scipy sparse"),
        (GOOD, {"regularizer": "2"}, "regularizer must be"),
    ],
)
def test_arrays_that_break_the_contract_are_refused(W, change, word):
    with pytest.raises(bg.BalanceGraphError, match=word):
        bg.BalanceProblem.from_sparse(W, **{"pinned": PINNED, **change})


@pytest.mark.parametrize("start", [np.zeros(2), np.array([0.0, np.inf, 0.0]), np.array([1.0, 0.0, 0.0])])
def test_a_start_that_breaks_the_contract_is_refused(start):
    problem = bg.BalanceProblem.from_sparse(GOOD, pinned=PINNED)
    with pytest.raises(bg.InvalidParameterError, match="start"):
        bg.solve(problem, start=start)


def test_the_compiled_problem_leads_back_to_the_nodes():
    G = CASES["names"].make()
    problem = bg.compile_graph(G)
    assert list(problem.nodes) == list(G)
    assert problem.manifold.edges == list(G.edges)
    assert problem.n_nodes == len(G)
    assert problem.n_edges == G.number_of_edges()
    assert "free" in repr(problem)
