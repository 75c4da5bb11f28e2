"""The gallery: shapes, roles, names, seeds; and that each network computes what it claims to.

Room: networks.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import resources

import networkx as nx
import numpy as np
import pytest

from balance_graph import networks
from balance_graph.errors import BalanceGraphError, InvalidNetworkError, InvalidParameterError
from balance_graph.graph.activations import Activation, activation

GALLERY = {
    "layered": lambda rng: networks.layered([3, 4, 2], rng=rng),
    "layered without biases": lambda rng: networks.layered([3, 4, 2], bias=False, rng=rng),
    "layered, one layer": lambda rng: networks.layered([3, 2], rng=rng),
    "layered, mixed": lambda rng: networks.layered([2, 3, 3, 2], ["bipu(2)", "tanh"], rng=rng),
    "chain": lambda rng: networks.chain(5, rng=rng),
    "chain with biases": lambda rng: networks.chain(2, bias=True, rng=rng),
    "random_dag": lambda rng: networks.random_dag(rng=rng),
    "random_dag, sparse": lambda rng: networks.random_dag(4, 20, 3, probability=0.0, rng=rng),
    "random_dag, no hidden": lambda rng: networks.random_dag(2, 0, 3, rng=rng),
    "random_recurrent": lambda rng: networks.random_recurrent(rng=rng),
    "random_recurrent, sparse": lambda rng: networks.random_recurrent(3, 12, 2, 0.05, self_loops=True, rng=rng),
    "residual": lambda rng: networks.residual(rng=rng),
    "residual, deep": lambda rng: networks.residual(4, 2, 3, 1, "leaky_relu(0.1)", bias=False, rng=rng),
    "convolutional": lambda rng: networks.convolutional(rng=rng),
    "convolutional, image, groups": lambda rng: networks.convolutional(
        (5, 4), (2, 2), 2, sharing="group", stride=2, padding=1, rng=rng
    ),
}


def forward(G, x):
    """The outputs for inputs of shape (batch, n): a slow, obvious twin of any evaluation of an acyclic network."""
    values = {"bias": np.ones(len(x))}
    values |= dict(zip((n for n, role in G.nodes(data="role") if role == "input"), np.transpose(x), strict=True))
    for node in nx.topological_sort(G):
        if G.nodes[node]["role"] in ("hidden", "output"):
            total = sum((w * values[tail] for tail, _, w in G.in_edges(node, data="weight")), np.zeros(len(x)))
            values[node] = activation(G.nodes[node]["activation"])(total)
    return np.stack([values[n] for n, role in G.nodes(data="role") if role == "output"], axis=1)


def same(G, H):
    return list(G.nodes(data=True)) == list(H.nodes(data=True)) and list(G.edges(data=True)) == list(H.edges(data=True))


@pytest.fixture(params=list(GALLERY))
def make(request):
    return GALLERY[request.param]


class TestContract:
    def test_plain_digraph_with_explicit_attributes(self, make):
        G = make(0)
        assert type(G) is nx.DiGraph
        for node, data in G.nodes(data=True):
            assert isinstance(node, str)
            assert data["role"] in ("input", "hidden", "output", "bias")
            if data["role"] in ("hidden", "output"):
                activation(data["activation"])
            else:
                assert "activation" not in data
            assert (data["role"] == "output") <= (data.get("activation") == "linear")
        for *_, data in G.edges(data=True):
            assert type(data["weight"]) is float
            assert np.isfinite(data["weight"])

    def test_roles_agree_with_the_edges_and_the_names(self, make):
        G = make(0)
        letters = {"input": "x", "hidden": "h", "output": "y", "bias": "b"}
        for node, role in G.nodes(data="role"):
            assert node[0] == letters[role]
            assert (G.in_degree(node) == 0) == (role in ("input", "bias"))
            if role == "output":
                assert G.out_degree(node) == 0
        order = ["input", "bias", "hidden", "output"]
        ranks = [order.index(role) for _, role in G.nodes(data="role")]
        assert ranks == sorted(ranks)

    def test_every_hidden_node_lies_between_inputs_and_outputs(self, make):
        G = make(0)
        ends = {role: [n for n, r in G.nodes(data="role") if r == role] for role in ("input", "output")}
        for node in (n for n, role in G.nodes(data="role") if role == "hidden"):
            assert any(nx.has_path(G, x, node) for x in ends["input"])
            assert any(nx.has_path(G, node, y) for y in ends["output"])

    def test_seeds(self, make):
        assert same(make(3), make(3))
        assert same(make(3), make(np.random.default_rng(3)))
        assert not same(make(3), make(4))
        assert not same(make(None), make(None))


class TestLayers:
    weights = (np.array([[1.0, -2.0, 0.0], [0.5, 3.0, 1.0]]), np.array([[1.0], [2.0], [-1.0]]))
    biases = (np.array([0.1, 0.0, -0.3]), None)

    def test_from_layers_is_the_formula(self):
        G = networks.from_layers(self.weights, self.biases, "leaky_relu(0.1)")
        x = np.random.default_rng(0).normal(size=(7, 2))
        z = x @ self.weights[0] + self.biases[0]
        expected = np.where(z < 0, 0.1 * z, z) @ self.weights[1]
        np.testing.assert_allclose(forward(G, x), expected, rtol=1e-14, atol=1e-14)

    def test_no_parameter_is_left_out(self):
        G = networks.from_layers(self.weights, self.biases)
        assert G.edges["x0", "h1.2"]["weight"] == 0.0
        assert G.edges["bias", "h1.1"]["weight"] == 0.0
        assert not G.has_edge("bias", "y0")  # None: no such parameter
        assert G.number_of_edges() == 6 + 3 + 3
        assert "bias" not in networks.from_layers(self.weights)
        assert "bias" not in networks.from_layers(self.weights, [None, None])

    def test_numbers_may_be_lists_ints_or_one_array(self):
        G = networks.from_layers([[[1, 2]], [[3], [4]]])
        assert [w for *_, w in G.edges(data="weight")] == [1.0, 2.0, 3.0, 4.0]
        assert networks.from_layers(np.ones((2, 3, 3))).number_of_edges() == 18

    def test_activations(self):
        square = Activation("square", lambda z: z * z, 2)
        G = networks.from_layers([np.eye(2)] * 3, None, ["abs", square], "tanh")
        assert [data.get("activation") for _, data in G.nodes(data=True)] == [None] * 2 + ["abs"] * 2 + [square] * 2 + [
            "tanh"
        ] * 2

    def test_layered_is_he_scaled(self):
        G = networks.layered([200, 100, 50], rng=0)
        first = np.array([w for tail, head, w in G.edges(data="weight") if tail[0] == "x"])
        second = np.array([w for tail, head, w in G.edges(data="weight") if tail[0] == "h"])
        assert len(first) == 20_000
        assert np.std(first) == pytest.approx(np.sqrt(2 / 200), rel=0.02)
        assert np.std(second) == pytest.approx(np.sqrt(2 / 100), rel=0.05)

    def test_chain(self):
        G = networks.chain(weights=[2.0, -3.0], activation="linear")
        assert list(G.edges(data="weight")) == [("x0", "h1.0", 2.0), ("h1.0", "y0", -3.0)]
        assert networks.chain(rng=0).number_of_edges() == 4
        assert networks.chain(4, rng=0).number_of_nodes() == 6
        assert same(networks.chain(1, [2.0, -3.0], "linear"), G)


class TestRandomGraphs:
    def test_dag(self):
        for seed in range(10):
            assert nx.is_directed_acyclic_graph(networks.random_dag(2, 9, 2, 0.2, rng=seed))

    def test_full_probability_is_every_forward_edge(self):
        G = networks.random_dag(2, 3, 2, probability=1, bias=False, rng=0)
        assert G.number_of_edges() == 2 * 3 + 3 + 3 * 2 + 2 * 2
        G = networks.random_recurrent(2, 3, 2, probability=1, bias=False, self_loops=True, rng=0)
        assert G.number_of_edges() == 2 * 3 + 3 * 3 + 3 * 2 + 2 * 2

    def test_recurrent(self):
        G = networks.random_recurrent(hidden=8, probability=0.5, rng=0)
        assert not nx.is_directed_acyclic_graph(G)
        assert nx.number_of_selfloops(G) == 0
        assert nx.number_of_selfloops(networks.random_recurrent(probability=1, self_loops=True, rng=0)) == 6


class TestResidual:
    def test_identity_edges_are_fixed_ones(self):
        G = networks.residual(blocks=2, width=3, rng=0)
        fixed = [(tail, head, data["weight"]) for tail, head, data in G.edges(data=True) if data.get("fixed")]
        assert fixed == [(f"h{k}.{j}", f"h{k + 2}.{j}", 1.0) for k in (1, 3) for j in range(3)]

    def test_is_the_formula(self):
        G = networks.residual(blocks=1, inputs=2, width=3, outputs=1, rng=0)
        layers = [["x0", "x1"], *[[f"h{k}.{j}" for j in range(3)] for k in (1, 2, 3)], ["y0"]]
        W = [np.array([[G.edges[t, h]["weight"] for h in layers[k + 1]] for t in layers[k]]) for k in range(4)]
        b = [np.array([G.edges["bias", h]["weight"] for h in layers[k + 1]]) for k in range(4)]
        x = np.random.default_rng(1).normal(size=(5, 2))
        h = np.maximum(x @ W[0] + b[0], 0)
        h = np.maximum(h + np.maximum(h @ W[1] + b[1], 0) @ W[2] + b[2], 0)
        np.testing.assert_allclose(forward(G, x), h @ W[3] + b[3], rtol=1e-13, atol=1e-13)


def convolve(signal, kernels, biases, stride, padding):
    """Cross-correlation of (channels, height, width) by kernels (out, in, side, side)."""
    padded = np.pad(signal, [(0, 0), (padding, padding), (padding, padding)])
    side = kernels.shape[-1]
    shape = [(n - side) // stride + 1 for n in padded.shape[1:]]
    result = np.empty((len(kernels), *shape))
    for i, j in np.ndindex(*shape):
        patch = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
        result[:, i, j] = np.tensordot(kernels, patch, axes=3) + biases
    return result


class TestConvolutional:
    @pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1)])
    def test_image_is_the_formula(self, stride, padding):
        G = networks.convolutional((5, 4), (2, 3), 3, 1, stride=stride, padding=padding, rng=0)
        labels = {data["shared"]: data["weight"] for *_, data in G.edges(data=True) if "shared" in data}
        kernels = np.array(
            [
                [[[labels["kernel", 1, c, d, (i, j)] for j in range(3)] for i in range(3)] for d in (0, 1)]
                for c in range(3)
            ]
        )
        biases = np.array([labels["bias", 1, c] for c in range(3)])
        image = np.random.default_rng(1).normal(size=(2, 5, 4))
        hidden = np.maximum(convolve(image, kernels, biases, stride, padding), 0)
        units = [n for n, role in G.nodes(data="role") if role == "hidden"]
        assert len(units) == hidden.size
        read_out = np.array([G.edges[unit, "y0"]["weight"] for unit in units])
        expected = hidden.ravel() @ read_out + G.edges["bias", "y0"]["weight"]
        np.testing.assert_allclose(forward(G, image.reshape(1, -1)), [[expected]], rtol=1e-12)

    def test_signal_is_numpy_correlate(self):
        G = networks.convolutional(6, (1, 1), 3, 1, "linear", bias=False, rng=0)
        kernel = [G.edges[f"x0.{k}", "h1.0.0"]["weight"] for k in range(3)]
        signal = np.arange(6.0) ** 2
        read_out = [G.edges[f"h1.0.{p}", "y0"]["weight"] for p in range(4)]
        expected = np.correlate(signal, kernel, "valid") @ read_out
        np.testing.assert_allclose(forward(G, signal[np.newaxis]), [[expected]], rtol=1e-13)

    def test_copies_of_a_parameter_have_one_weight(self):
        G = networks.convolutional((4, 4), (1, 2, 2), 2, rng=0)
        by_label = {}
        for *_, data in G.edges(data=True):
            if "shared" in data:
                by_label.setdefault(data["shared"], set()).add(data["weight"])
        assert len(by_label) == (2 * 1 * 4 + 2) + (2 * 2 * 4 + 2)
        assert all(len(weights) == 1 for weights in by_label.values())
        assert not any("coefficient" in data for *_, data in G.edges(data=True))
        assert not any("group" in data for _, data in G.nodes(data=True))

    def test_both_representations_are_one_network_of_one_cost(self):
        shared = networks.convolutional(7, (2, 3), sharing="shared", padding=1, rng=0)
        tied = networks.convolutional(7, (2, 3), sharing="group", padding=1, rng=0)
        assert list(shared.edges(data="weight")) == list(tied.edges(data="weight"))
        parameters = {}
        for tail, head, data in shared.edges(data=True):
            parameters[data.get("shared", (tail, head))] = data["weight"]
        once = sum(w**2 for w in parameters.values())
        weighted = sum(data.get("coefficient", 1.0) * data["weight"] ** 2 for *_, data in tied.edges(data=True))
        assert weighted == pytest.approx(once, rel=1e-13)
        groups = {node: group for node, group in tied.nodes(data="group") if group is not None}
        assert set(groups) == {node for node, role in tied.nodes(data="role") if role == "hidden"}
        assert set(groups.values()) == {("channel", 1, c) for c in range(3)}


class TestDigits:
    def test_accuracy_on_the_bundled_images(self):
        G = networks.digits()
        images, labels = networks.digits_images()
        assert images.shape == (100, 64)
        assert (images.min(), images.max()) == (0.0, 1.0)
        assert labels.shape == (100,)
        assert set(labels) == set(range(10))
        accuracy = np.mean(forward(G, images).argmax(axis=1) == labels)
        assert accuracy > 0.95

    def test_architecture(self):
        G = networks.digits()
        roles = [role for _, role in G.nodes(data="role")]
        assert [roles.count(role) for role in ("input", "hidden", "output", "bias")] == [64, 48, 10, 1]
        assert {a for _, a in G.nodes(data="activation")} == {None, "relu", "linear"}
        assert G.number_of_edges() == 65 * 32 + 33 * 16 + 17 * 10
        assert all(w != 0.0 for *_, w in G.edges(data="weight"))

    def test_calls_share_nothing(self):
        G = networks.digits()
        G.remove_node("x0")
        networks.digits_images()[0][:] = 0.0
        assert "x0" in networks.digits()
        assert networks.digits_images()[0].any()

    def test_the_file_says_how_it_was_made(self):
        with resources.files("balance_graph").joinpath("data", "digits.npz").open("rb") as file:
            data = np.load(file, allow_pickle=False)
            assert data["test_accuracy"] > 0.95
            assert [v.split()[0] for v in data["versions"]] == ["python", "numpy", "scikit-learn"]
            assert all(data[f"{kind}{k}"].dtype == np.float64 for kind in ("weights", "biases") for k in range(3))

    def test_images_are_those_of_scikit_learn(self):
        datasets = pytest.importorskip("sklearn.datasets")
        every, targets = datasets.load_digits(return_X_y=True)
        known = {row.tobytes(): target for row, target in zip(every / 16.0, targets, strict=True)}
        images, labels = networks.digits_images()
        assert [known[row.tobytes()] for row in images] == labels.tolist()

    def test_scikit_learn_is_not_imported(self):
        code = (
            "import sys, balance_graph.networks as n; n.digits(), n.digits_images(); sys.exit('sklearn' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestFromSklearn:
    def fit(self, kind, **options):
        neural_network = pytest.importorskip("sklearn.neural_network")
        rng = np.random.default_rng(0)
        x = rng.normal(size=(60, 4))
        classes = options.pop("classes", None)
        y = x[:, :2] @ [[1.0, 2.0], [0.5, -1.0]] if classes is None else rng.integers(classes, size=60)
        mlp = getattr(neural_network, kind)(hidden_layer_sizes=(5, 3), max_iter=20, random_state=0, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged in 20 passes, and need not be
            return mlp.fit(x, y), x

    @pytest.mark.parametrize(
        ("theirs", "ours"), [("identity", "linear"), ("logistic", "sigmoid"), ("tanh", "tanh"), ("relu", "relu")]
    )
    def test_regressor_predicts_the_same(self, theirs, ours):
        mlp, x = self.fit("MLPRegressor", activation=theirs)
        G = networks.from_sklearn(mlp)
        assert {a for n, a in G.nodes(data="activation") if n[0] == "h"} == {ours}
        np.testing.assert_allclose(forward(G, x), mlp.predict(x), rtol=1e-12, atol=1e-12)

    def test_classifier_outputs_are_logits(self):
        mlp, x = self.fit("MLPClassifier", classes=3)
        logits = forward(networks.from_sklearn(mlp), x)
        softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(softmax, mlp.predict_proba(x), rtol=1e-11)
        assert (logits.argmax(axis=1) == mlp.predict(x)).all()

    def test_two_classes_have_one_logit(self):
        mlp, x = self.fit("MLPClassifier", classes=2)
        logits = forward(networks.from_sklearn(mlp), x)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), mlp.predict_proba(x)[:, 1], rtol=1e-12)

    def test_unfitted_or_foreign(self):
        neural_network = pytest.importorskip("sklearn.neural_network")
        with pytest.raises(InvalidParameterError, match=r"MLPClassifier has no coefs_: pass .* after fit\(\)"):
            networks.from_sklearn(neural_network.MLPClassifier())
        with pytest.raises(InvalidParameterError, match=r"int has no coefs_"):
            networks.from_sklearn(3)
        mlp, _ = self.fit("MLPRegressor")
        mlp.activation = "swish"
        with pytest.raises(InvalidParameterError, match=r"activation 'swish', expected one of identity, logistic"):
            networks.from_sklearn(mlp)


REFUSED = [
    (lambda: networks.layered([3]), r"widths must list at least 2 positive ints.* got \[3\]"),
    (lambda: networks.layered(3), r"widths must list .* got 3"),
    (lambda: networks.layered("33"), r"widths must list .* got '33'"),
    (lambda: networks.layered([3, 0, 1]), r"widths\[1\] must be an int of at least 1, got 0"),
    (lambda: networks.layered([3, 2.0]), r"widths\[1\] must be an int of at least 1, got 2\.0"),
    (lambda: networks.layered([3, True]), r"widths\[1\] must be an int of at least 1, got True"),
    (lambda: networks.layered([3, 2, 1], "rleu"), r"unknown activation 'rleu'"),
    (lambda: networks.layered([3, 1], "rleu"), r"unknown activation 'rleu'"),
    (lambda: networks.layered([3, 2, 1], ["relu", "abs"]), r"2 activations for 1 hidden layers; give one per"),
    (lambda: networks.layered([3, 2, 1], 3), r"an activation is text or an Activation, got 3"),
    (lambda: networks.layered([3, 2], rng="seed"), r"rng must be a non-negative int, .* got 'seed'"),
    (lambda: networks.layered([3, 2], rng=-1), r"rng must be a non-negative int, .* got -1"),
    (lambda: networks.chain(0), r"length must be an int of at least 1, got 0"),
    (lambda: networks.chain(weights=[1.0]), r"weights of a chain are a list of at least 2 numbers .* got \[1\.0\]"),
    (lambda: networks.chain(weights=[[1.0], [2.0]]), r"weights of a chain are a list"),
    (lambda: networks.chain(weights="12"), r"weights must hold real numbers"),
    (lambda: networks.chain(3, [1.0, 2.0]), r"a chain of length 3 has 4 weights, got 2; leave length out"),
    (lambda: networks.random_dag(0), r"inputs must be an int of at least 1, got 0"),
    (lambda: networks.random_dag(hidden=-1), r"hidden must be an int of at least 0, got -1"),
    (lambda: networks.random_dag(outputs=0), r"outputs must be an int of at least 1, got 0"),
    (lambda: networks.random_dag(probability=1.5), r"probability must be a number from 0 to 1, got 1\.5"),
    (lambda: networks.random_dag(probability=float("nan")), r"probability must be .* got nan"),
    (lambda: networks.random_dag(activation="?"), r"unknown activation '\?'"),
    (lambda: networks.random_recurrent(hidden=0), r"hidden must be at least 1 in a recurrent network, got 0"),
    (lambda: networks.residual(0), r"blocks must be an int of at least 1, got 0"),
    (lambda: networks.residual(width=1.5), r"width must be an int of at least 1, got 1\.5"),
    (lambda: networks.convolutional(sharing="both"), r"sharing must be 'shared' or 'group', got 'both'"),
    (lambda: networks.convolutional(size=(2, 2, 2)), r"size must be one length or \(height, width\), got \(2, 2, 2\)"),
    (lambda: networks.convolutional(size=4), r"convolutional layer 2: kernel 3 does not fit .*\(2,\)"),
    (lambda: networks.convolutional(padding=3), r"padding 3 must be less than kernel 3"),
    (lambda: networks.convolutional(padding=-1), r"padding must be an int of at least 0, got -1"),
    (lambda: networks.convolutional(stride=0), r"stride must be an int of at least 1, got 0"),
    (lambda: networks.convolutional(channels=(1,)), r"channels must list at least 2"),
    (lambda: networks.convolutional(outputs=0), r"outputs must be an int of at least 1, got 0"),
    (lambda: networks.from_layers([]), r"weights must list one array of shape \(fan_in, fan_out\) per layer"),
    (lambda: networks.from_layers(None), r"weights must list one array .* got None"),
    (
        lambda: networks.from_layers([np.ones(3)]),
        r"weights\[0\] must have shape \(fan_in, fan_out\).* got shape \(3,\)",
    ),
    (lambda: networks.from_layers([np.ones((3, 0))]), r"weights\[0\] must have shape .* got shape \(3, 0\)"),
    (
        lambda: networks.from_layers([np.ones((2, 3)), np.ones((4, 3))]),
        r"weights\[1\] of shape \(4, 3\) does not follow weights\[0\] of shape \(2, 3\).*3 units of layer 1; .*transp",
    ),
    (lambda: networks.from_layers([[["a"]]]), r"weights\[0\] must hold real numbers, got an array of dtype"),
    (lambda: networks.from_layers([[[1j]]]), r"weights\[0\] must hold real numbers"),
    (lambda: networks.from_layers([[[1.0], [1.0, 2.0]]]), r"weights\[0\] is not an array of numbers"),
    (lambda: networks.from_layers([np.ones((2, 3))], []), r"0 biases for 1 layers; give a list with one array or None"),
    (lambda: networks.from_layers([np.ones((2, 3))], 1.0), r"1\.0 biases for 1 layers"),
    (
        lambda: networks.from_layers([np.ones((2, 3))], [np.ones(2)]),
        r"biases\[0\] must have shape \(3,\), .* got \(2,\)",
    ),
    (lambda: networks.from_layers([np.ones((2, 3))], None, "relu", "?"), r"unknown activation '\?'"),
]


class TestRefusals:
    @pytest.mark.parametrize(("call", "reason"), REFUSED, ids=range(len(REFUSED)))
    def test_names_the_value_and_the_remedy(self, call, reason):
        with pytest.raises(InvalidParameterError, match=reason) as caught:
            call()
        assert isinstance(caught.value, BalanceGraphError)
        assert isinstance(caught.value, ValueError)

    def test_weights_that_are_not_finite_name_the_edge(self):
        with pytest.raises(InvalidNetworkError, match=r"weights\[1\] holds nan on edge h1\.1 -> y0; every weight"):
            networks.from_layers([np.ones((1, 2)), [[1.0], [np.nan]]])
        with pytest.raises(InvalidNetworkError, match=r"biases\[0\] holds -inf on edge bias -> y1"):
            networks.from_layers([np.ones((1, 2))], [[0.0, -np.inf]])
