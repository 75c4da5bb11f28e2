"""Back to layers, to scikit-learn, to sparse matrices and tables; and objects shown in few words.

Rooms: networks, problem, graph.
"""

from __future__ import annotations

import copy
import functools
import itertools
import sys
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from cases import CASES
from helpers import regularizer_of
from scipy import sparse
from sklearn.neural_network import MLPClassifier, MLPRegressor

import balance_graph as bg
from balance_graph.theory.osborne import compare_bounds, exponential_matrix
from balance_graph.theory.verification import STATEMENTS

networks = bg.networks


# ---- layers ----------------------------------------------------------------------------------------------------------


def random_layers(rng, widths):
    weights = [rng.normal(size=pair) for pair in itertools.pairwise(widths)]
    biases = [None if rng.random() < 0.4 else rng.normal(size=width) for width in widths[1:]]
    return weights, biases


@pytest.mark.parametrize("seed", range(12))
def test_layers_come_back_as_they_were(seed):
    rng = np.random.default_rng(seed)
    weights, biases = random_layers(rng, rng.integers(1, 5, rng.integers(2, 6)).tolist())
    found, found_biases = networks.to_layers(networks.from_layers(weights, biases))
    assert len(found) == len(weights)
    assert len(found_biases) == len(biases)
    for one, two in zip([*weights, *biases], [*found, *found_biases], strict=True):
        assert (one is None) == (two is None)
        assert one is None or (np.array_equal(one, two) and two.dtype == float)


@pytest.mark.parametrize("seed", range(6))
def test_networks_come_back_as_they_were(seed):
    rng = np.random.default_rng(seed)
    G = networks.from_layers(*random_layers(rng, rng.integers(1, 5, 4).tolist()))
    H = networks.from_layers(*networks.to_layers(G))
    assert list(G.nodes(data=True)) == list(H.nodes(data=True))
    assert list(G.edges(data=True)) == list(H.edges(data=True))


def test_layers_of_a_balanced_network_compute_the_same():
    G = networks.layered([4, 6, 5, 3], rng=1)
    weights, biases = networks.to_layers(bg.balance(G).graph)
    x = np.random.default_rng(0).normal(size=(7, 4))
    h = x
    for k, (matrix, vector) in enumerate(zip(weights, biases, strict=True)):
        h = h @ matrix + vector
        h = np.maximum(h, 0) if k < 2 else h
    assert np.allclose(h, bg.evaluate(G, x), rtol=1e-12)
    # Balance, checked on the arrays alone: squares into each unit equal those out of it.
    for k in (0, 1):
        into = (weights[k] ** 2).sum(axis=0) + biases[k] ** 2
        assert np.allclose(into, (weights[k + 1] ** 2).sum(axis=1), rtol=1e-10)


def small(*edges, **roles):
    G = nx.DiGraph()
    G.add_weighted_edges_from(edges)
    nx.set_node_attributes(G, roles, "role")
    return G


def test_networks_of_ones_own_in_any_order():
    G = small(
        ("h", "y", 3.0), ("one", "h", 4.0), ("x", "h", 2.0), ("g", "y", 5.0), ("one", "g", 6.0), one="bias", g="hidden"
    )
    weights, biases = networks.to_layers(G)
    assert [one.tolist() for one in weights] == [[[2.0, 0.0]], [[3.0], [5.0]]]
    assert biases[0].tolist() == [4.0, 6.0]
    assert biases[1] is None
    named = nx.relabel_nodes(G, {"h": ("h", 1), "x": 7})
    assert [one.tolist() for one in networks.to_layers(named)[0]] == [[[2.0, 0.0]], [[3.0], [5.0]]]
    for _, _, data in G.edges(data=True):
        data["w"] = data.pop("weight")
    assert networks.to_layers(G, weight="w")[0][0].tolist() == [[2.0, 0.0]]


def test_an_output_that_only_a_bias_reaches_is_in_the_last_layer():
    G = small(("x", "h", 2.0), ("h", "y", 3.0), ("one", "z", 4.0), one="bias", z="output")
    weights, biases = networks.to_layers(G)
    assert weights[1].tolist() == [[3.0, 0.0]]
    assert biases[1].tolist() == [0.0, 4.0]


@pytest.mark.parametrize(
    ("G", "words"),
    [
        (networks.residual(blocks=1, rng=0), r"edge \('h1\.[0-9]', 'h3\.[0-9]'\) leads from layer 1 to layer 3"),
        (small(("x", "h", 1), ("h", "y", 1), ("x", "y", 1)), r"edge \('x', 'y'\) leads from layer 0 to layer 2"),
        (small(("x", "h", 1), ("h", "g", 1), ("g", "y", 1), ("h", "k", 1), ("k", "g", 1)), r"edge \('h', 'g'\) leads"),
        (small(("x", "h", 1), ("h", "h", 1), ("h", "y", 1)), r"edge \('h', 'h'\) closes a cycle"),
        (small(("x", "h", 1), ("h", "g", 1), ("g", "h", 1), ("g", "y", 1)), r"edge \('g', 'h'\) closes a cycle"),
        (
            small(("a", "h", 1), ("b", "h", 1), ("x", "h", 1), ("h", "y", 1), a="bias", b="bias"),
            r"edge \('b', 'h'\): the unit has a bias from 'a'",
        ),
        (small(("x", "h", 1), ("h", "y", 1), ("x", "z", 1)), r"edge \('x', 'z'\): output 'z' is in layer 1"),
        (
            small(("x", "h", 1), ("h", "y", 1), ("y", "z", 1), y="output"),
            r"edge \('h', 'y'\): output 'y' is in layer 2",
        ),
        (
            small(("x", "h", 1), ("h", "y", 1), ("h", "dead", 1), dead="hidden"),
            r"edge \('h', 'dead'\): hidden node 'dead' is in layer 2",
        ),
        (small(("x", "y", 1), ("one", "h", 1), one="bias", h="hidden"), "node 'h': no edge tells which layer"),
        (small(("h", "y", 1), h="hidden"), "no node of that role"),
        (small(("x", "h", 1), h="hidden"), "no node of that role"),
    ],
)
def test_networks_that_are_not_layered_are_refused_with_the_edge(G, words):
    with pytest.raises(bg.InvalidNetworkError, match=words):
        networks.to_layers(G)


# ---- scikit-learn ----------------------------------------------------------------------------------------------------


def data(rng, classes=3):
    X = rng.normal(size=(60, 4))
    return X, (X @ rng.normal(size=(4, classes))).argmax(axis=1)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh", "logistic"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_predicts_the_same_after_balancing(activation, classes):
    X, y = data(np.random.default_rng(0), classes)
    mlp = MLPClassifier(hidden_layer_sizes=(6, 5), activation=activation, max_iter=15, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop early
        mlp.fit(X, y)
    before = copy.deepcopy(mlp.coefs_)
    result = bg.balance(networks.from_sklearn(mlp))
    balanced = networks.to_sklearn(result.graph, mlp)
    assert balanced is not mlp
    assert type(balanced) is MLPClassifier
    assert all(map(np.array_equal, before, mlp.coefs_))
    assert np.allclose(balanced.predict_proba(X), mlp.predict_proba(X), rtol=0, atol=1e-12)
    assert networks.to_sklearn(networks.from_sklearn(mlp), mlp).coefs_[1].tolist() == mlp.coefs_[1].tolist()
    moved = activation in {"relu", "identity"}
    assert any(not np.allclose(one, two) for one, two in zip(balanced.coefs_, mlp.coefs_, strict=True)) == moved
    assert bg.cost(networks.from_sklearn(balanced)) == pytest.approx(result.cost, rel=1e-12)


def fitted(**settings):
    mlp = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=5, random_state=0, **settings)
    X = np.random.default_rng(0).normal(size=(20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop early
        return mlp.fit(X, X[:, 0]), X


def test_a_regressor_predicts_the_same_and_keeps_its_precision():
    mlp, X = fitted()
    mlp.coefs_ = [one.astype(np.float32) for one in mlp.coefs_]
    mlp.intercepts_ = [one.astype(np.float32) for one in mlp.intercepts_]
    balanced = networks.to_sklearn(bg.balance(networks.from_sklearn(mlp), 1).graph, mlp)
    assert {one.dtype for one in [*balanced.coefs_, *balanced.intercepts_]} == {np.dtype(np.float32)}
    assert np.allclose(balanced.predict(X), mlp.predict(X), atol=1e-5)


def test_a_network_without_biases_gives_zero_intercepts():
    mlp, _ = fitted()
    G = networks.from_layers(mlp.coefs_)
    assert all(not one.any() for one in networks.to_sklearn(G, mlp).intercepts_)


def test_what_is_not_the_model_is_refused():
    mlp, _ = fitted()
    G = networks.from_sklearn(mlp)
    with pytest.raises(bg.InvalidParameterError, match="layers of shapes"):
        networks.to_sklearn(networks.layered([2, 4, 1], rng=0), mlp)
    with pytest.raises(bg.InvalidParameterError, match="after fit"):
        networks.to_sklearn(G, MLPRegressor())
    other = G.copy()
    other.nodes["h1.1"]["activation"] = "tanh"
    with pytest.raises(bg.InvalidNetworkError, match=r"node 'h1.1': activation is tanh, but relu in the model"):
        networks.to_sklearn(other, mlp)
    other = G.copy()
    del other.nodes["y0"]["activation"]
    with pytest.raises(bg.InvalidNetworkError, match=r"node 'y0': activation is relu, but linear.*out_activation_"):
        networks.to_sklearn(other, mlp)
    other = G.copy()
    other.edges["x0", "h1.0"]["weight"] = 1e200
    single = copy.deepcopy(mlp)
    single.coefs_ = [one.astype(np.float32) for one in mlp.coefs_]
    with pytest.raises(bg.InvalidNetworkError, match="leaves the range of float32"):
        networks.to_sklearn(other, single)


# ---- sparse matrices -------------------------------------------------------------------------------------------------


def random_problem(rng, n=12, dtype=float):
    W = sparse.random_array((n, n), density=0.4, rng=rng, data_sampler=lambda size: rng.normal(size=size)).tocsr()
    W.setdiag(0)
    pinned = np.zeros(n, dtype=bool)
    pinned[:3] = True
    return bg.BalanceProblem.from_sparse(W.astype(dtype), pinned=pinned), W


@pytest.mark.parametrize("seed", range(6))
def test_the_scaled_matrix_is_the_diagonal_similarity(seed):
    rng = np.random.default_rng(seed)
    problem, W = random_problem(rng)
    log_scales = np.where(problem.manifold.pinned, 0.0, rng.normal(size=12))
    scaled = problem.scaled(log_scales)
    dense = np.diag(np.exp(-log_scales)) @ W.toarray() @ np.diag(np.exp(log_scales))
    assert isinstance(scaled, sparse.csr_array)
    assert scaled.shape == W.shape
    assert scaled.nnz == problem.n_edges
    assert np.allclose(scaled.toarray(), dense, rtol=1e-13)
    assert (problem.scaled(problem.unscaled) != sparse.csr_array(W)).nnz == 0


def test_the_scaled_matrix_of_a_solution_is_balanced():
    problem, _W = random_problem(np.random.default_rng(3))
    solution = bg.solve(problem, on_unattained="prune")
    scaled = problem.scaled(solution)
    squares = scaled.toarray() ** 2
    into, out_of = squares.sum(axis=0)[3:], squares.sum(axis=1)[3:]
    assert np.allclose(into, out_of, rtol=1e-10)
    assert squares.sum() == pytest.approx(solution.cost, rel=1e-12)


def test_pruned_weights_are_zero_and_stay_in_the_pattern():
    W = sparse.csr_array(np.array([[0, 8.0, 0, 5.0], [0, 0, 2.0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, True, False]))
    solution = bg.solve(problem, on_unattained="prune")
    assert solution.pruned_edges == ((0, 3),)
    scaled = problem.scaled(solution)
    assert scaled.nnz == 3
    assert np.allclose(scaled.toarray(), [[0, 4, 0, 0], [0, 0, 4, 0], [0] * 4, [0] * 4])
    # By log-scales alone the dead weight is scaled like any other.
    assert problem.scaled(solution.log_scales)[0, 3] == 5.0 * np.exp(solution.log_scales[3])


@pytest.mark.parametrize("name", CASES)
def test_graph_and_matrix_agree(name):
    G, regularizer = CASES[name].make(), regularizer_of(name)
    problem = bg.compile_graph(G, regularizer)
    result = bg.balance(G, regularizer, solver="newton", on_unattained="prune")
    index = {node: k for k, node in enumerate(G)}
    scaled = problem.scaled(result.solution)
    for u, v, weight in result.graph.edges(data="weight"):
        assert scaled[index[u], index[v]] == weight


def test_single_precision_stays_and_integers_become_floats():
    problem, _ = random_problem(np.random.default_rng(1), dtype=np.float32)
    assert problem.scaled(problem.unscaled).dtype == np.float32
    W = sparse.csr_array(np.array([[0, 8, 0], [0, 0, 2], [0, 0, 0]]))
    problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, True]))
    assert problem.scaled(bg.solve(problem)).toarray()[0, 1] == pytest.approx(4.0)


def test_scales_that_do_not_fit_are_refused():
    problem, _ = random_problem(np.random.default_rng(1))
    with pytest.raises(bg.InvalidParameterError, match="12 finite log-scales"):
        problem.scaled(np.zeros(3))
    with pytest.raises(bg.InvalidParameterError, match="break a constraint"):
        problem.scaled(np.ones(12))
    with pytest.raises(bg.UnsupportedError, match="leaves the range of floats"):
        problem.scaled(np.where(problem.manifold.pinned, 0.0, 1000.0 * np.arange(12)))


def test_a_zero_weight_stays_zero_whatever_its_factor():
    W = sparse.csr_array((np.array([1.0, 0.0]), ([0, 1], [1, 2])), shape=(3, 3))
    problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, False]))
    scaled = problem.scaled(np.array([0.0, 5.0, 2000.0]))
    assert scaled.data.tolist() == [np.exp(5.0), 0.0]


# ---- tables ----------------------------------------------------------------------------------------------------------


def table_cases():
    shared = networks.convolutional(size=5, channels=(1, 2), rng=0)
    dead = nx.DiGraph(networks.chain(weights=[8.0, 2.0]))
    dead.add_node(("odd", 1), role="hidden")
    dead.add_edge("x0", ("odd", 1), weight=3.0)
    return {
        "layered": (networks.layered([3, 4, 2], rng=0), 2.0),
        "shared": (shared, 1.5),
        "power": (networks.layered([2, 3, 1], "relu^2", rng=0), bg.ElasticNet(l1=0.1, l2=1.0)),
        "dead": (dead, 2.0),
    }


@pytest.mark.parametrize("name", table_cases())
def test_tables_say_what_the_result_says(name):
    G, regularizer = table_cases()[name]
    result = bg.balance(G, regularizer, on_unattained="prune")
    nodes, edges = result.node_table(), result.edge_table()
    assert list(nodes.index) == list(G)
    assert [tuple(ends) for ends in edges[["tail", "head"]].itertuples(index=False)] == list(G.edges)
    assert nodes["scale"][nodes["free"]].to_dict() == pytest.approx(result.scales)
    assert (nodes["scale"][~nodes["free"]] == 1.0).all()
    free = nodes[nodes["free"]]
    assert nodes["role"].to_dict() == {node: data.get("role", "hidden") for node, data in G.nodes(data=True)}
    assert edges["weight"].tolist() == [w for _, _, w in result.graph.edges(data="weight")]
    assert edges["initial_weight"].tolist() == [w for _, _, w in G.edges(data="weight")]
    assert edges["cost"].sum() == pytest.approx(result.cost, rel=1e-12)
    assert edges["initial_cost"].sum() == pytest.approx(result.initial_cost, rel=1e-12)
    kept = edges[~edges["pruned"]]
    assert np.allclose(kept["weight"], kept["initial_weight"] * np.exp(kept["log_gain"]))
    pruned = edges[edges["pruned"]]
    assert [tuple(ends) for ends in pruned[["tail", "head"]].itertuples(index=False)] == list(result.pruned_edges)
    if name != "shared":  # tied there: balanced in sum
        assert np.allclose(free["in_cost"], free["out_cost"], rtol=1e-9)
    assert not nodes.isna().any(axis=None)
    assert not edges.isna().any(axis=None)
    assert isinstance(nodes, pd.DataFrame)


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    result = bg.balance(networks.chain(weights=[8.0, 2.0]))
    for table in (result.node_table, result.edge_table):
        with pytest.raises(bg.MissingDependencyError, match=r'pip install "balance-graph\[pandas\]"'):
            table()


# ---- shown in few words ----------------------------------------------------------------------------------------------


def large_result():
    G = nx.DiGraph(networks.layered([20, 30, 20, 5], rng=0))
    for k in range(200):
        G.add_node(f"dead{k}", role="hidden")
        G.add_edge("x0", f"dead{k}", weight=1.0)
    return G, bg.balance(G, solver=bg.StochasticSolver("cyclic", record=True, max_sweeps=20), on_unattained="prune")


@functools.cache
def shown():
    G, result = large_result()
    matrix = exponential_matrix(8, rng=0)
    return {
        "BalanceResult": result,
        "Solution": result.solution,
        "History": result.history,
        "BalanceProblem": result.problem,
        "Manifold": bg.manifold(G),
        "Attainment": bg.attainment(G),
        "Certificate": result.certificate,
        "ConvexProblem": bg.convex_problem(networks.layered([5, 6, 2], rng=0)),
        "Activation": bg.bilu(0.1, 1.0),
        "LogConvex": bg.LogConvex(lambda x: np.exp(x), np.exp, np.exp),
        "Lp": bg.Lp(2),
        "ElasticNet": bg.ElasticNet(l1=1, l2=1),
        "Posynomial": bg.Posynomial([(1, 2)]),
        "CvxpySolver": bg.CvxpySolver(),
        "NewtonSolver": bg.NewtonSolver(),
        "StochasticSolver": bg.StochasticSolver(),
        "FlowSolver": bg.FlowSolver(),
        "MatrixBalance": bg.balance_matrix(matrix),
        "Constraint": bg.Constraint("fixed", 1, "holds 1 weight"),
        "BlockProblem": bg.BlockProblem([(-1, [0, 1], matrix[:3, :2]), ([0, 1], -1, matrix[:2, :3])], 2),
        "DenseBlock": bg.DenseBlock(-1, [0, 1], matrix[:3, :2]),
        "Cauchy": bg.Cauchy(),
        "Huber": bg.Huber(),
        "LogSum": bg.LogSum(),
        "PseudoHuber": bg.PseudoHuber(),
        "OsborneComparison": compare_bounds(matrix, accuracies=[0.3]),
    }


SHOWN = (
    *("BalanceResult", "Solution", "History", "BalanceProblem", "Manifold", "Attainment", "Certificate"),
    *("ConvexProblem", "Activation", "LogConvex", "Lp", "ElasticNet", "Posynomial", "CvxpySolver", "NewtonSolver"),
    *("StochasticSolver", "FlowSolver", "MatrixBalance", "OsborneComparison"),
    *("Constraint", "BlockProblem", "DenseBlock", "Cauchy", "Huber", "LogSum", "PseudoHuber"),
)


@pytest.mark.parametrize("name", SHOWN)
def test_every_object_is_shown_on_one_short_line(name):
    text = repr(shown()[name])
    assert text.startswith(f"{name}(")
    assert len(text) <= 240, text
    assert "\n" not in text
    assert "array(" not in text
    assert " at 0x" not in text


def test_every_public_class_is_among_them():
    classes = {name for name in bg.__all__ if isinstance(getattr(bg, name), type)}
    errors = {name for name in classes if issubclass(getattr(bg, name), BaseException)}
    assert classes - errors - {"Regularizer", "Status", "Finding", "Report", "Block"} <= set(SHOWN)


def test_reports_are_short_too():
    findings = tuple(one(networks.chain(weights=[1.0, 4.0]), rng=0) for one in STATEMENTS[:3])
    assert len(repr(bg.Report(findings, ("chain",), 0.1))) < 200
    assert all(len(repr(finding)) < 200 for finding in findings)


def test_what_short_texts_say():
    history = bg.History()
    assert repr(history) == "History(no states)"
    history.add(0.0, 0.5)
    assert repr(history) == "History(1 state, cost 1 -> 1, imbalance 0.5 -> 0.5)"
    assert "200 pruned edges" in repr(shown()["Solution"])
    assert "'dead0'" in repr(shown()["Attainment"])
    assert "(200 in all)" in repr(shown()["Attainment"])
    assert repr(bg.attainment(networks.chain(weights=[1.0, 4.0]))) == "Attainment(attained=True)"
    assert repr(bg.manifold(networks.layered([2, 3, 1], rng=0))) == "Manifold(7 nodes, 3 free, 13 edges)"


@pytest.mark.parametrize("name", ["BalanceResult", "Solution", "Attainment", "Certificate"])
def test_notebooks_get_a_small_table(name):
    page = shown()[name]._repr_html_()
    assert page.startswith("<table>")
    assert page.endswith("</table>")
    assert page.count("<tr>") == page.count("</tr>") >= 3
    assert len(page) < 3000


def test_names_in_notebooks_are_escaped():
    G = nx.DiGraph(networks.chain(weights=[8.0, 2.0]))
    G.add_node("<script>", role="hidden")
    G.add_edge("x0", "<script>", weight=1.0)
    for shown_object in (bg.attainment(G), bg.balance(G, on_unattained="prune")):
        assert "<script>" not in shown_object._repr_html_()
        assert "&lt;script&gt;" in shown_object._repr_html_()
