"""Forward evaluation against slow, obvious twins, and the function that balancing must not change.

Room: graph.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from helpers import assert_same_function, assert_unmodified, chain, network, regularizer_of, rescaled, snapshot

import balance_graph as bg

RELU = np.vectorize(lambda z: max(z, 0.0))
# The twins know these on their own.
FUNCTIONS = {
    None: lambda z: max(z, 0.0),
    "relu": lambda z: max(z, 0.0),
    "linear": lambda z: z,
    "abs": abs,
    "leaky_relu(0.2)": lambda z: z if z > 0 else 0.2 * z,
    "relu2": lambda z: max(z, 0.0) ** 2,
    "tanh": np.tanh,
}


def drawn(G: nx.DiGraph, seed: int) -> nx.DiGraph:
    """With random activations, on outputs too, and some weights zero."""
    rng = np.random.default_rng(seed)
    names = list(FUNCTIONS)[1:]
    for node in G:
        if rng.random() < 0.7:
            G.nodes[node]["activation"] = names[rng.integers(len(names))]
    for _, _, data in G.edges(data=True):
        if rng.random() < 0.1:
            data["weight"] = 0.0
    return G


def roles(G: nx.DiGraph) -> dict:
    def role(node):
        default = "input" if G.in_degree(node) == 0 else "output" if G.out_degree(node) == 0 else "hidden"
        return G.nodes[node].get("role") or default

    return {node: role(node) for node in G}


def by_recursion(G: nx.DiGraph, x: np.ndarray) -> list[float]:
    """Outputs of a DAG: the value of a node is its function of the weighted sum of the values before it."""
    kind = roles(G)
    given = dict(zip((node for node in G if kind[node] == "input"), x, strict=True))

    def value(node) -> float:
        if kind[node] in {"input", "bias"}:
            return given.get(node, 1.0)
        total = sum(G.edges[before, node]["weight"] * value(before) for before in G.predecessors(node))
        return float(FUNCTIONS[G.nodes[node].get("activation")](total))

    return [value(node) for node in G if kind[node] == "output"]


def by_loop(G: nx.DiGraph, sequence: np.ndarray) -> list[list[float]]:
    """Outputs of a recurrent network, one step after another: edges within a strong component carry the step before."""
    kind = roles(G)
    live = nx.DiGraph((u, v) for u, v, w in G.edges(data="weight") if w != 0)
    live.add_nodes_from(G)
    component = {node: k for k, part in enumerate(nx.strongly_connected_components(live)) for node in part}
    now = nx.DiGraph((u, v) for u, v in live.edges if component[u] != component[v])
    now.add_nodes_from(G)
    state, outputs = dict.fromkeys(G, 0.0), []
    for x in sequence:
        before, state = state, dict.fromkeys(G, 0.0)
        given = dict(zip((node for node in G if kind[node] == "input"), x, strict=True))
        for node in nx.topological_sort(now):
            if kind[node] in {"input", "bias"}:
                state[node] = given.get(node, 1.0)
                continue
            total = 0.0
            for other in G.predecessors(node):
                delayed = live.has_edge(other, node) and component[other] == component[node]
                total += G.edges[other, node]["weight"] * (before if delayed else state)[other]
            state[node] = float(FUNCTIONS[G.nodes[node].get("activation")](total))
        outputs.append([state[node] for node in G if kind[node] == "output"])
    return outputs


@pytest.mark.parametrize("seed", range(8))
def test_a_dag_computes_what_the_recursion_computes(seed):
    G = drawn(bg.networks.random_dag(3, 7, 2, 0.4, rng=seed), seed)
    x = np.random.default_rng(seed).standard_normal((4, 3))
    expected = np.array([by_recursion(G, row) for row in x])
    assert np.allclose(bg.evaluate(G, x), expected, rtol=1e-12, atol=1e-300)
    assert np.allclose(bg.evaluate(G, x[0]), expected[0], rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("seed", range(8))
def test_a_recurrent_network_computes_what_the_loop_computes(seed):
    G = drawn(bg.networks.random_recurrent(2, 6, 2, 0.4, self_loops=True, rng=seed), seed)
    for node in G:  # keep it bounded over the steps
        if G.nodes[node].get("activation") == "relu2":
            G.nodes[node]["activation"] = "relu"
    sequence = np.random.default_rng(seed).standard_normal((6, 2))
    result = bg.evaluate(G, sequence)
    assert np.allclose(result, by_loop(G, sequence), rtol=1e-10, atol=1e-300)
    batch = bg.evaluate(G, np.stack([sequence, 2 * sequence], axis=1))
    assert np.allclose(batch[:, 0], result, rtol=1e-12)


def test_an_ordinary_recurrent_layer():
    """h_t = f(W x_t + U h_{t-1}), y_t = V h_t."""
    rng = np.random.default_rng(0)
    W, U, V = rng.standard_normal((3, 2)), rng.standard_normal((3, 3)), rng.standard_normal((1, 3))
    G = nx.DiGraph()
    G.add_nodes_from(["x0", "x1", "h0", "h1", "h2"])
    G.add_node("y", activation="linear")
    for matrix, tails, heads in ((W, "x", "h"), (U, "h", "h")):
        for i, j in np.ndindex(matrix.shape):
            G.add_edge(f"{tails}{j}", f"{heads}{i}", weight=matrix[i, j])
    for j in range(3):
        G.add_edge(f"h{j}", "y", weight=V[0, j])
    sequence, h, expected = rng.standard_normal((5, 2)), np.zeros(3), []
    for x in sequence:
        h = RELU(W @ x + U @ h)
        expected.append(V @ h)
    assert np.allclose(bg.evaluate(G, sequence), expected, rtol=1e-12)


def test_biases_are_one_and_inputs_keep_the_order_of_the_network():
    G = network(("b", "h", 10.0), ("x1", "h", 1.0), ("x0", "h", 100.0), ("h", "y", 1.0), b={"role": "bias"})
    assert list(G) == ["b", "h", "x1", "x0", "y"]
    assert bg.evaluate(G, [2.0, 3.0]) == pytest.approx([10 + 2 + 300])


def test_outputs_apply_their_activation_and_may_feed_on():
    G = network(
        ("x", "y", 1.0), ("y", "z", 5.0), y={"role": "output", "activation": "tanh"}, z={"activation": "linear"}
    )
    assert bg.evaluate(G, [-0.5]) == pytest.approx([np.tanh(-0.5), 5 * np.tanh(-0.5)])


def test_nodes_that_nothing_reaches_are_functions_of_zero():
    G = network(("d", "y", 3.0), ("x", "y", 1.0), d={"role": "hidden", "activation": "exp"})
    assert bg.evaluate(G, [1.0]) == pytest.approx([4.0])


# --- the function is preserved --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.wide])
def test_balancing_preserves_the_function(name):
    """On DAGs, and at every one of six steps of recurrent networks."""
    case = CASES[name]
    G = case.make()
    result = bg.balance(G, regularizer_of(case), solver="newton")
    # Degrees other than 1 raise the rounding of a weight to their power, at every step of a cycle.
    bent = any(
        bg.activation(data.get("activation") or "relu").degree not in (None, 1.0) for _, data in G.nodes(data=True)
    )
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        assert_same_function(G, result.graph, rng, 1e-9 if bent and case.cyclic else 1e-11 if bent else 1e-12)


@pytest.mark.parametrize("name", ["layered_bias", "recurrent", "bipu_layers", "tied", "shared_not_ties", "fixed_c2"])
def test_any_scaling_preserves_the_function(name):
    rng = np.random.default_rng(1)
    G = CASES[name].make()
    assert_same_function(G, rescaled(G, rng, 1.0), rng, 1e-11)


@pytest.mark.parametrize("make", [bg.networks.convolutional, bg.networks.residual])
def test_the_gallery_keeps_its_function(make):
    G = make(rng=0)
    assert_same_function(G, bg.balance(G, solver="newton").graph, np.random.default_rng(0), 1e-12)


def test_scaling_without_the_bias_or_a_tanh_unit_does_not_preserve_it():
    G = CASES["layered_bias"].make()
    H = bg.scale(G, {"h0": 3.0})
    H.edges["bias", "h0"]["weight"] = G.edges["bias", "h0"]["weight"]
    x = np.random.default_rng(0).standard_normal((5, 3))
    assert not np.allclose(bg.evaluate(G, x), bg.evaluate(H, x), rtol=1e-3)
    G.nodes["h0"]["activation"] = "tanh"
    H = bg.scale(CASES["layered_bias"].make(), {"h0": 3.0})
    H.nodes["h0"]["activation"] = "tanh"
    assert not np.allclose(bg.evaluate(G, x), bg.evaluate(H, x), rtol=1e-3)


# --- shapes and errors ----------------------------------------------------------------------------------------------


def test_shapes():
    dag, loop = bg.networks.layered([3, 4, 2], rng=0), bg.networks.random_recurrent(3, 5, 2, rng=0)
    assert bg.evaluate(dag, np.ones(3)).shape == (2,)
    assert bg.evaluate(dag, np.ones((7, 3))).shape == (7, 2)
    assert bg.evaluate(dag, np.ones((0, 3))).shape == (0, 2)
    assert bg.evaluate(dag, np.ones(3), 5).shape == (5, 2)
    assert bg.evaluate(dag, np.ones((7, 3)), 5).shape == (5, 7, 2)
    assert bg.evaluate(loop, np.ones((6, 3))).shape == (6, 2)
    assert bg.evaluate(loop, np.ones((6, 7, 3))).shape == (6, 7, 2)
    assert bg.evaluate(loop, np.ones((6, 0, 3))).shape == (6, 0, 2)
    assert bg.evaluate(loop, np.ones((0, 3))).shape == (0, 2)
    assert bg.evaluate(loop, np.ones(3), 6).shape == (6, 2)
    assert bg.evaluate(loop, np.ones((7, 3)), 6).shape == (6, 7, 2)
    assert bg.evaluate(loop, np.ones(3), 0).shape == (0, 2)
    assert bg.evaluate(loop, np.ones(3), np.int64(2)).shape == (2, 2)
    assert bg.evaluate(nx.DiGraph(), []).shape == (0,)
    assert bg.evaluate(network(("b", "y", 2.0), b={"role": "bias"}), []) == pytest.approx([2.0])
    assert np.allclose(bg.evaluate(loop, np.ones(3), 6), bg.evaluate(loop, np.ones((6, 3))), rtol=1e-14)


@pytest.mark.parametrize(
    ("G", "x", "steps", "words"),
    [
        (chain(1.0, 2.0), [1.0, 2.0], None, ["(1,) or (batch, 1)", "feedforward", "got (2,)"]),
        (chain(1.0, 2.0), 1.0, None, ["got ()"]),
        (chain(1.0, 2.0), [[[1.0]]], None, ["got (1, 1, 1)"]),
        (
            network(("x", "h", 1.0), ("h", "h", 1.0), ("h", "y", 1.0)),
            [1.0],
            None,
            ["(steps, 1)", "recurrent", "steps="],
        ),
        (network(("x", "h", 1.0), ("h", "h", 1.0), ("h", "y", 1.0)), [[[1.0]]], 3, ["(1,) or (batch, 1)"]),
        (chain(1.0, 2.0), [np.nan], None, ["finite"]),
        (chain(1.0, 2.0), [np.inf], None, ["finite"]),
        (chain(1.0, 2.0), ["a"], None, ["array of numbers"]),
        (chain(1.0, 2.0), None, None, []),
        (chain(1.0, 2.0), [[1.0], [1.0, 2.0]], None, ["array of numbers"]),
        (chain(1.0, 2.0), [1.0], -1, ["non-negative integer, got -1"]),
        (chain(1.0, 2.0), [1.0], 1.5, ["non-negative integer, got 1.5"]),
        (chain(1.0, 2.0), [1.0], True, ["non-negative integer, got True"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused(G, x, steps, words):
    with pytest.raises(bg.InvalidParameterError) as caught:
        bg.evaluate(G, x, steps)
    for word in words:
        assert word in str(caught.value)


def test_the_network_is_left_alone():
    G = CASES["recurrent"].make()
    before = snapshot(G)
    bg.evaluate(G, np.ones(2), 3)
    assert_unmodified(G, before)
