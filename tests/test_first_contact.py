"""What people bring in place of a network, and how they write activations, attributes and options.

Rooms: graph, problem.
"""

from __future__ import annotations

import inspect
import math
import types
from pathlib import Path
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import balance_graph as bg
from balance_graph import plots
from balance_graph._choices import nearest
from balance_graph.theory.bounds import scale_bounds
from balance_graph.theory.rates import measured_rate, predicted_rate
from balance_graph.theory.statement import subjects_of

GRAPH = bg.networks.chain(weights=[1.0, 4.0])


def foreign(module: str, name: str, *bases: type) -> object:
    """An object of a type that looks like one of a package that need not be installed."""
    return type(name, bases, {"__module__": module})()


def torch_model() -> object:
    base = type("Module", (), {"__module__": "torch.nn.modules.module"})
    return foreign("__main__", "MyNetwork", base)


FOREIGN = {
    "array": (np.eye(3), "balance_matrix"),
    "array to graph": (np.eye(3), "nx.from_numpy_array"),
    "rows": ([[0.0, 1.0], [2.0, 0.0]], "balance_matrix"),
    "sparse array": (sparse.csr_array(np.eye(2)), "BalanceProblem.from_sparse"),
    "sparse matrix": (sparse.coo_matrix(np.eye(2)), "balance_matrix"),
    "sparse dict": (sparse.dok_matrix((2, 2)), "BalanceProblem.from_sparse"),
    "mlp": (MLPRegressor(), "networks.from_sklearn"),
    "pipeline": (make_pipeline(StandardScaler(), MLPRegressor()), "its last step"),
    "other model": (LinearRegression(), "MLPClassifier or MLPRegressor"),
    "torch module": (torch_model(), "networks.from_layers"),
    "torch module in place": (torch_model(), "balance_graph.pytorch.balance_module(model, example_inputs)"),
    "torch tensor": (foreign("torch", "Tensor"), "balance_matrix"),
    "keras model": (foreign("keras.src.models.sequential", "Sequential"), "networks.from_layers"),
    "jax array": (foreign("jaxlib._jax", "ArrayImpl"), "balance_matrix"),
    "onnx model": (foreign("onnx.onnx_ml_pb2", "ModelProto"), "networks.from_layers"),
    "onnx model as it is": (foreign("onnx.onnx_ml_pb2", "ModelProto"), "balance_graph.onnx.balance_model(model)"),
    "path": ("network.json", "read_network"),
    "path object": (Path("network.json"), "read_network"),
    "frame": (pd.DataFrame({"source": [1], "target": [2]}), "from_pandas_edgelist"),
    "square frame": (pd.DataFrame(np.eye(2)), "from_pandas_adjacency"),
    "polars frame": (foreign("polars.dataframe.frame", "DataFrame"), "to_pandas"),
    "igraph": (foreign("igraph", "Graph"), "to_networkx"),
    "rustworkx": (foreign("rustworkx", "PyDiGraph"), "weighted_edge_list"),
    "dict of dicts": ({"x": {"h": {"weight": 1.0}}}, "nx.DiGraph(data)"),
    "dict": ({("x", "h"): 1.0}, "add_weighted_edges_from"),
    "node-link dict": (nx.node_link_data(GRAPH, edges="edges"), "nx.node_link_graph"),
    "state dict": ({"0.weight": np.eye(2)}, "networks.from_layers"),
    "edges": ([("x", "h", 1.0)], "add_weighted_edges_from"),
    "layers": ([np.eye(2), np.eye(2)], "networks.from_layers"),
    "weights and biases": (([np.eye(2)], [None]), "networks.from_layers"),
    "result": (bg.balance(GRAPH), ".graph"),
    "problem": (bg.compile_graph(GRAPH), "solve"),
    "undirected": (nx.Graph([(1, 2)]), "to_directed"),
    "multi": (nx.MultiDiGraph([(1, 2), (1, 2)]), "weight is their sum"),
    "multi without parallels": (nx.MultiDiGraph([(1, 2)]), "nx.DiGraph(G)"),
    "class": (nx.DiGraph, "the class DiGraph"),
    "nothing": (None, "NoneType"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_the_error_names_the_function_that_takes_it(name):
    value, words = FOREIGN[name]
    with pytest.raises(bg.InvalidNetworkError) as caught:
        bg.balance(value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "brought"),
    [
        (lambda A: nx.from_numpy_array(A, create_using=nx.DiGraph), np.array([[0, 2.0], [0, 0]])),
        (
            lambda W: nx.from_scipy_sparse_array(W, create_using=nx.DiGraph),
            sparse.csr_array(np.array([[0, 2.0], [0, 0]])),
        ),
        (
            lambda frame: nx.from_pandas_edgelist(frame, "source", "target", edge_attr=True, create_using=nx.DiGraph),
            pd.DataFrame({"source": [0], "target": [1], "weight": [2.0]}),
        ),
        (
            lambda frame: nx.from_pandas_adjacency(frame, create_using=nx.DiGraph),
            pd.DataFrame([[0, 2.0], [0, 0]]),
        ),
        (
            lambda data: nx.node_link_graph(data, edges="edges", directed=True, multigraph=False),
            {"nodes": [{"id": 0}, {"id": 1}], "edges": [{"source": 0, "target": 1, "weight": 2.0}]},
        ),
        (nx.DiGraph, {0: {1: {"weight": 2.0}}}),
    ],
)
def test_what_the_errors_recommend_works(make, brought):
    assert list(make(brought).edges(data="weight")) == [(0, 1, 2.0)]
    with pytest.raises(bg.InvalidNetworkError, match=r"makes a (network|graph)"):
        bg.balance(brought)


def graph_functions() -> dict[str, tuple[object, str]]:
    """Every public function with a parameter that is a network, and the name of the parameter."""
    rooms = {"bg": (bg, bg.__all__), "networks": (bg.networks, bg.networks.__all__), "plots": (plots, plots.__all__)}
    found = {}
    for room, (module, names) in rooms.items():
        for name in names:
            function = getattr(module, name)
            if isinstance(function, types.FunctionType):
                for parameter in inspect.signature(function).parameters.values():
                    if "nx.DiGraph" in str(parameter.annotation):
                        found[f"{room}.{name}({parameter.name})"] = (function, parameter.name)
    return found


OTHERS = {
    "x": [[0.0]],
    "scales": {},
    "node": "h1.0",
    "path": "nowhere.json",
    "mlp": SimpleNamespace(coefs_=[[[8.0]], [[2.0]]], intercepts_=[[0.0], [0.0]], activation="relu"),
    "result": bg.balance(GRAPH),
    "runs": {},
    "paths": [["x0", "h1.0"]],
    "log_scales": {"h1.0": 0.1},
    "trajectories": {},
    "first": "h1.0",
    "second": "h1.0",
    "before": GRAPH,
}


@pytest.mark.parametrize("name", graph_functions())
def test_every_function_of_a_network_makes_the_same_check(name):
    function, parameter = graph_functions()[name]
    arguments = {}
    for one in inspect.signature(function).parameters.values():
        if one.name == parameter:
            arguments[one.name] = np.eye(3)
        elif "nx.DiGraph" in str(one.annotation):
            arguments[one.name] = GRAPH
        elif one.default is inspect.Parameter.empty and one.kind is not inspect.Parameter.VAR_KEYWORD:
            arguments[one.name] = OTHERS[one.name]
    with pytest.raises(bg.InvalidNetworkError, match=r"networkx\.DiGraph, got ndarray; balance_matrix"):
        function(**arguments)


def test_the_list_of_functions_is_not_empty():
    names = set(graph_functions())
    assert {
        "bg.balance(G)",
        "bg.equivalent(H)",
        "bg.verify(G)",
        "networks.to_layers(G)",
        "plots.plot_weights(after)",
    } <= names
    assert len(names) > 25


def test_functions_of_a_problem_name_what_takes_a_graph():
    for function in (bg.solve, predicted_rate, measured_rate, scale_bounds):
        with pytest.raises(bg.InvalidParameterError, match="BalanceProblem, got DiGraph; balance"):
            function(GRAPH)


@pytest.mark.parametrize("brought", [np.eye(3), [np.eye(3)], nx.MultiDiGraph([(1, 2)]), {"mine": np.eye(3)}, 3])
def test_statements_of_the_theory_check_their_networks(brought):
    with pytest.raises(bg.InvalidNetworkError, match="DiGraph"):
        subjects_of(brought, 2.0)


@pytest.mark.parametrize("brought", [GRAPH, "matrix.mtx", {"a": 1}, [[1.0], [1.0, 2.0]], [[np.eye(2)], [np.eye(1)]]])
def test_balance_matrix_names_what_takes_it(brought):
    with pytest.raises(bg.InvalidParameterError, match="balance_matrix: A must be a square matrix"):
        bg.balance_matrix(brought)


def test_other_doors_name_the_right_one_too():
    with pytest.raises(bg.InvalidParameterError, match="compile_graph"):
        bg.BalanceProblem.from_sparse(GRAPH, pinned=[True])
    with pytest.raises(bg.InvalidParameterError, match=r"networks\.from_layers"):
        bg.networks.from_sklearn(torch_model())
    with pytest.raises(bg.InvalidParameterError, match=r"networks\.from_layers"):
        bg.networks.from_layers(torch_model())
    with pytest.raises(bg.NetworkFileError, match="balance_matrix"):
        bg.write_network(np.eye(3), "x.json")
    with pytest.raises(bg.InvalidNetworkError, match="balance_matrix"):
        bg.certify(np.eye(3), np.zeros(3))
    with pytest.raises(bg.InvalidParameterError, match="solver must be a name or a solver object"):
        bg.balance(GRAPH, solver=np.eye(2))
    with pytest.raises(bg.InvalidParameterError, match="weights must list"):
        bg.networks.from_layers(np.array(3.0))
    with pytest.raises(bg.InvalidParameterError, match="dict of node"):
        bg.scale(GRAPH, [2.0])


# ---- activations -----------------------------------------------------------------------------------------------------

SPELLINGS = {
    "linear": ["identity", "Identity()", "Linear", "nn.Identity()", "purelin", "keras.activations.linear"],
    "relu": ["ReLU", "RELU", "relu()", "nn.ReLU(inplace=True)", "torch.nn.ReLU()", "F.relu", "tf.nn.relu", " Re-LU "],
    "leaky_relu(0.01)": ["LeakyReLU", "leakyrelu", "leaky-relu", "lrelu", "LeakyReLU(negative_slope=0.01)"],
    "leaky_relu(0.1)": ["LeakyReLU(0.1)", "Leaky ReLU (0.1)", "leaky_relu(alpha=0.1)", "PReLU(0.1)", "prelu(init=.1)"],
    "leaky_relu(0.25)": ["prelu", "PReLU", "PReLU(0.25)", "nn.PReLU(num_parameters=1)", "parametric_relu"],
    "abs": ["Abs", "absolute"],
    "relu2": ["relu^2", "ReLU**2", "relu²", "squared_relu", "Squared ReLU", "relu_squared", "sqrelu"],
    "bipu(3.0,1.0,0.0)": ["relu^3", "relu³", "RePU(3)", "BiPU(3)", "bipu(c=3)"],
    "bipu(2.0,1.0,-1.0)": ["BiPU(2, 1, -1)", "bipu(c=2,C=1,D=-1)"],
    "bilu(-1.0,1.0)": ["BiLU(-1,1)", "bilu(a=-1,b=1)"],
    "tanh": ["Tanh", "TANH()", "nn.Tanh()", "tansig"],
    "sigmoid": ["Sigmoid()", "logsig", "expit"],
    "logistic": ["logistic", "Logistic"],
    "elu": ["ELU(alpha=1.0)", "ELU", "elu(1)"],
    "gelu": ["GELU(approximate='none')", "GELU"],
    "silu": ["SiLU()", "SILU"],
    "swish": ["Swish"],
    "softplus": ["Softplus(beta=1.0, threshold=20.0)"],
    "hardtanh": ["Hardtanh(min_val=-1.0, max_val=1.0)", "hard_tanh"],
    "relu6": ["ReLU6()", "relu_6"],
    "selu": ["SELU(inplace=True)"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SPELLINGS.items() for text in texts])
def test_activations_as_people_write_them(name, text):
    found = bg.activation(text)
    assert found.name == bg.activation(name).name == name
    z = np.linspace(-3, 3, 13)
    assert np.array_equal(found(z), bg.activation(name)(z))
    G = GRAPH.copy()
    G.nodes["h1.0"]["activation"] = text
    pinned = found.degree is None
    assert bool(bg.compile_graph(G).manifold.pinned[1]) == pinned


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rleu", "did you mean 'relu'"),
        ("rellu", "did you mean 'relu'"),
        ("tahn", "did you mean 'tanh'"),
        ("leeky_relu", "did you mean 'leaky_relu'"),
        ("sigmiod", "did you mean 'sigmoid'"),
        ("identiy", "did you mean 'identity'"),
        ("softmax", "mixes several"),
        ("SwiGLU", "mixes several"),
        ("ELU(alpha=0.5)", "only alpha=1.0"),
        ("elu(0.5)", "only alpha=1.0"),
        ("GELU(approximate='tanh')", "only approximate='none'"),
        ("PReLU(num_parameters=3)", "give each node the slope of its channel"),
        ("leaky_relu(slop=0.1)", "did you mean 'slope'"),
        ("leaky_relu(0.1, slope=0.1)", "numbers separated by commas"),
        ("bilu(b=1)", "before the last"),
        ("tanh^2", "powers are those of relu"),
        ("relu^-1", "unknown activation"),
        ("relu^0", "powers are those of relu"),
        ("relu^2(3)", "powers are those of relu"),
        ("leaky_relu(True)", "numbers separated by commas"),
        ("leaky_relu(inf)", "must be finite"),
        ("my.relu", "unknown activation"),
        ("", "unknown activation"),
        ("a" + " " * 50_000 + "!", "unknown activation"),
        ("-a" * 30_000, "unknown activation"),
    ],
)
def test_what_a_spelling_cannot_say_is_refused(text, words):
    with pytest.raises(bg.InvalidParameterError) as caught:
        bg.activation(text)
    assert words in str(caught.value)


def test_functions_in_place_of_text_are_told_their_text():
    for value, text in ((np.tanh, "tanh"), (np.abs, None), (math.tanh, "tanh"), (foreign("torch.nn", "ReLU"), None)):
        with pytest.raises(bg.InvalidParameterError, match="text or an Activation") as caught:
            bg.activation(value)
        assert text is None or f"write {text!r}" in str(caught.value)
    named = type("LeakyReLU", (), {"__repr__": lambda self: "LeakyReLU(negative_slope=0.2)"})()
    with pytest.raises(bg.InvalidParameterError, match=r"write 'leaky_relu\(0.2\)'"):
        bg.activation(named)


def test_spellings_of_what_ships_cannot_be_taken():
    for name in ("ReLU", "identity", "PReLU", "Tanh", "squared_relu"):
        with pytest.raises(bg.InvalidParameterError, match="ships with the package"):
            bg.register_activation(bg.Activation(name, lambda z: z, 1.0))


# ---- attributes ------------------------------------------------------------------------------------------------------

MISSPELT_NODES = [
    ("activaton", "tanh", "activation"),
    ("Activation", "tanh", "activation"),
    ("activations", "relu", "activation"),
    ("acitvation", "ReLU", "activation"),
    ("activation_function", "tanh", "activation"),
    ("activation_fn", "nn.Tanh()", "activation"),
    ("activaton", "thanh", "activation"),
    ("activaton", bg.bilu(0, 1), "activation"),
    ("rol", "hidden", "role"),
    ("Role", "output", "role"),
    ("roel", "output", "role"),
    ("rold", "output", "role"),
    ("groups", 1, "group"),
    ("Group", "a", "group"),
    ("gruop", ("a", 1), "group"),
]
MISSPELT_EDGES = [
    ("coeficient", 2.0, "coefficient"),
    ("Coefficient", 2, "coefficient"),
    ("coefficients", 2.0, "coefficient"),
    ("exponnent", 1.0, "exponent"),
    ("exponents", 1.0, "exponent"),
    ("Fixed", True, "fixed"),
    ("fixd", 1, "fixed"),
    ("Shared", "w", "shared"),
    ("share", "w", "shared"),
    ("sahred", 3, "shared"),
]


@pytest.mark.parametrize(("name", "value", "known"), MISSPELT_NODES)
def test_a_misspelt_attribute_of_a_node_is_refused(name, value, known):
    G = nx.DiGraph(GRAPH)
    G.nodes["h1.0"].pop("role" if known == "role" else "activation" if known == "activation" else "nothing", None)
    G.nodes["h1.0"][name] = value
    for function in (bg.balance, bg.cost, bg.manifold, lambda H: bg.evaluate(H, [1.0])):
        with pytest.raises(bg.InvalidNetworkError, match=rf"node 'h1.0': .*'{name}'.*did you mean '{known}'\?"):
            function(G)
    G.nodes["h1.0"][known] = None
    bg.balance(G)


@pytest.mark.parametrize(("name", "value", "known"), MISSPELT_EDGES)
def test_a_misspelt_attribute_of_an_edge_is_refused(name, value, known):
    G = nx.DiGraph(GRAPH)
    G.edges["h1.0", "y0"][name] = value
    with pytest.raises(bg.InvalidNetworkError, match=rf"edge \('h1.0', 'y0'\): .*'{name}'.*did you mean '{known}'\?"):
        bg.balance(G)
    G.edges["h1.0", "y0"][known] = None
    bg.balance(G)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", "h"),
        ("activity", 0.3),
        ("activation_time", 2.0),
        ("activation_energy", "high"),
        ("activation", None),
        ("rule", "xor"),
        ("roles", ["a"]),
        ("pole", "north"),
        ("groups", [1, 2]),
        ("Group", float("nan")),
        ("group1", "a"),
        ("group_id", 3),
        ("grouped", True),
        ("height", 3.0),
        (7, "x"),
        (("activation", 1), "x"),
    ],
)
def test_attributes_of_ones_own_stay(name, value):
    G = nx.DiGraph(GRAPH)
    G.nodes["h1.0"].pop("activation")
    G.nodes["h1.0"][name] = value
    assert bg.balance(G).graph.nodes["h1.0"][name] is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixed", True),
        ("height", 1.0),
        ("share", 0.3),
        ("fixed_at", 3.0),
        ("component", 2),
        ("shaped", "x"),
        ("Fix", 2),
    ],
)
def test_attributes_of_ones_own_edges_stay(name, value):
    G = nx.DiGraph(GRAPH)
    G.edges["x0", "h1.0"][name] = value
    assert bg.balance(G).graph.edges["x0", "h1.0"][name] is value


@pytest.mark.parametrize(
    ("name", "words"),
    [("Weight", "weight='Weight'"), ("wieght", "weight='wieght'"), ("w", "weight='w'"), ("length", "weight='length'")],
)
def test_a_weight_of_another_name_is_told(name, words, tmp_path):
    G = nx.DiGraph([("x", "h", {name: 2.0, "label": "a"}), ("h", "y", {name: 0.5})])
    with pytest.raises(bg.InvalidNetworkError) as caught:
        bg.balance(G)
    assert f"did you mean {words}?" in str(caught.value)
    assert bg.balance(G, weight=name).converged


def test_a_file_with_a_misspelt_weight_is_refused_with_the_name(tmp_path):
    path = tmp_path / "network.json"
    path.write_text(
        '{"directed": true, "nodes": [{"id": "x"}, {"id": "y"}],'
        '"edges": [{"source": "x", "target": "y", "Weight": 1.0}]}'
    )
    with pytest.raises(bg.NetworkFileError, match="did you mean 'Weight'"):
        bg.read_network(path)
    with pytest.raises(bg.NetworkFileError, match=r"did you mean '\.json'"):
        bg.read_network(tmp_path / "network.jsn")


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bg.balance(GRAPH, solver="Newton"), "did you mean 'newton'?"),
        (lambda: bg.balance(GRAPH, solver="stochstic"), "did you mean 'stochastic'?"),
        (lambda: bg.balance(GRAPH, on_unattained="purne"), "did you mean 'prune'?"),
        (lambda: bg.balance(GRAPH, on_unattained=["prune"]), "on_unattained must be 'raise' or 'prune', got ['prune']"),
        (lambda: bg.StochasticSolver(order="shufled"), "did you mean 'shuffled'?"),
        (lambda: bg.StochasticSolver(order="coloured"), "did you mean 'colored'?"),
        (lambda: bg.CvxpySolver(form="node"), "did you mean 'nodes'?"),
        (lambda: bg.manifold(GRAPH).equations("cycle"), "did you mean 'cycles'?"),
        (lambda: bg.convex_problem(GRAPH, form="path"), "did you mean 'paths'?"),
        (lambda: bg.balance(GRAPH, solver=bg.CvxpySolver(backend="clarabel")), "did you mean 'CLARABEL'?"),
        (lambda: bg.FlowSolver(method="bdf"), "did you mean 'BDF'?"),
        (lambda: bg.networks.convolutional(sharing="share"), "did you mean 'shared'?"),
        (lambda: plots.plot_convergence(bg.balance(GRAPH), quantity="imbalence"), "did you mean 'imbalance'?"),
        (lambda: plots.plot_rates({"a": [(0.5, 0.5)]}, quantity="rates"), "did you mean 'rate'?"),
        (lambda: predicted_rate(bg.compile_graph(GRAPH), order="cylic"), "did you mean 'cyclic'?"),
        (lambda: predicted_rate(bg.compile_graph(GRAPH), order="random", average="meen"), "did you mean 'mean'?"),
        (lambda: bg.scale(GRAPH, {"h1_0": 2.0}), "did you mean 'h1.0'?"),
        (lambda: bg.balance_node(GRAPH, "H1.0"), "did you mean 'h1.0'?"),
        (lambda: bg.balance(GRAPH, "l2"), "write 2"),
        (lambda: bg.balance(GRAPH, "L1"), "write 1"),
        (lambda: bg.balance(GRAPH, "elastic_net"), "write ElasticNet"),
        (lambda: bg.balance(GRAPH, "newton"), "did you mean solver=?"),
    ],
)
def test_options_ask_what_was_meant(call, words):
    with pytest.raises(bg.BalanceGraphError) as caught:
        call()
    assert words in str(caught.value)


def test_roles_ask_what_was_meant():
    G = GRAPH.copy()
    G.nodes["h1.0"]["role"] = "hiden"
    with pytest.raises(bg.InvalidNetworkError, match="did you mean 'hidden'"):
        bg.balance(G)


def test_the_package_asks_what_was_meant():
    with pytest.raises(AttributeError, match="did you mean 'balance'"):
        bg.balence  # noqa: B018


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("rleu", ["requ", "relu"], "relu"),
        ("LEAKY RELU", ["relu", "leaky_relu"], "leaky_relu"),
        ("xyz", ["relu"], None),
        (3, ["relu"], None),
        ("relu", [], None),
        ("relu", [3, ("relu",)], None),
        ("a" * 100_000, ["relu"], None),
    ],
)
def test_the_nearest_name(name, known, found):
    assert nearest(name, known) == found
