"""Scaling, local balancing, the canonical form, and equivalence.

Room: graph.
"""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from helpers import (
    assert_balanced,
    assert_same_but_for_weights,
    assert_same_weights,
    assert_unmodified,
    chain,
    log1p2,
    network,
    regularizer_of,
    rescaled,
    snapshot,
    weights_of,
)
from hypothesis import given
from hypothesis import strategies as st

import balance_graph as bg

positive = st.floats(0.05, 20)

# --- scale ----------------------------------------------------------------------------------------------------------


def test_scaling_multiplies_in_weights_by_s_and_divides_out_weights_by_its_power():
    G = network(
        ("x", "h", 2.0),
        ("b", "h", -3.0),
        ("h", "y", 5.0),
        ("x", "y", 7.0),
        h={"activation": "relu2"},
        b={"role": "bias"},
    )
    before = snapshot(G)
    H = bg.scale(G, {"h": 4.0})
    assert list(weights_of(H).values()) == pytest.approx([8.0, 7.0, 5.0 / 16, -12.0])
    assert H.edges["x", "y"]["weight"] == 7.0
    assert_same_but_for_weights(G, H)
    assert_unmodified(G, before)


def test_a_self_loop_scales_by_the_power_one_minus_c():
    for activation, power in (("relu", 0), ("relu2", -1), ("bipu(0.5)", 0.5)):
        G = network(("x", "h", 2.0), ("h", "h", 3.0), ("h", "y", 5.0), h={"activation": activation})
        assert bg.scale(G, {"h": 4.0}).edges["h", "h"]["weight"] == pytest.approx(3 * 4.0**power)


def test_scaling_by_nothing_or_by_one_changes_nothing():
    G = CASES["bipu_layers"].make()
    assert weights_of(bg.scale(G, {})) == weights_of(G)
    assert weights_of(bg.scale(G, {"h0": 1.0, "h3": 1})) == weights_of(G)


@given(positive, positive)
def test_scalings_compose_and_commute(s, t):
    G = CASES["bipu_self_loops"].make()
    one = bg.scale(bg.scale(G, {"h0": s}), {"h1": t})
    assert_same_weights(one, bg.scale(bg.scale(G, {"h1": t}), {"h0": s}), 1e-12)
    assert_same_weights(one, bg.scale(G, {"h0": s, "h1": t}), 1e-12)
    assert_same_weights(bg.scale(bg.scale(G, {"h0": s}), {"h0": t}), bg.scale(G, {"h0": s * t}), 1e-12)
    assert_same_weights(bg.scale(bg.scale(G, {"h0": s}), {"h0": 1 / s}), G, 1e-12)


@pytest.mark.parametrize(
    ("scales", "word"),
    [
        ({"nobody": 2.0}, "'nobody' is not a node"),
        ({"x0": 2.0}, "'x0' is not free: its role is 'input'"),
        ({"y0": 2.0}, "its role is 'output'"),
        ({"bias": 2.0}, "its role is 'bias'"),
        ({"h0": 0.0}, "scale of node 'h0' must be positive"),
        ({"h0": -1.0}, "must be positive, got -1.0"),
        ({"h0": math.nan}, "must be finite"),
        ({"h0": math.inf}, "must be finite"),
        ({"h0": "2"}, "must be a number"),
        ({"h0": True}, "must be a number"),
        ({"h0": 10**400}, "must be finite"),
        ({"h0": 1e308, "h1": 1e308}, "leaves the range of floats"),
    ],
)
def test_scales_that_cannot_be_applied_are_refused(scales, word):
    G = CASES["layered_bias"].make()
    G.edges["x0", "h0"]["weight"] = 1e10
    with pytest.raises(bg.InvalidParameterError, match=word):
        bg.scale(G, scales)


def test_a_tanh_unit_cannot_be_scaled():
    with pytest.raises(bg.InvalidParameterError, match="its activation tanh is not homogeneous"):
        bg.scale(chain(1.0, 2.0, h0={"activation": "tanh"}), {"h0": 2.0})


def test_constraints_must_be_kept():
    tied = chain(1.0, 2.0, 3.0, h0={"group": 0}, h1={"group": 0})
    fixed = network(("x", "a", 1.0), ("a", "b", 1.0, {"fixed": True}), ("b", "y", 1.0), a={"activation": "relu2"})
    for G, wrong, right in (
        (tied, {"h0": 2.0}, {"h0": 2.0, "h1": 2.0}),
        (fixed, {"a": 2.0, "b": 2.0}, {"a": 2.0, "b": 4.0}),
    ):
        with pytest.raises(bg.InvalidParameterError, match="break a tie, a fixed edge or a shared weight"):
            bg.scale(G, wrong)
        assert bg.equivalent(G, bg.scale(G, right))
    assert bg.scale(fixed, {"a": 2.0, "b": 4.0}).edges["a", "b"]["weight"] == 1.0


def test_a_scale_too_large_for_one_float_may_still_lead_from_one_weight_to_another():
    G = network(("x", "h", 1e-300), ("h", "y", 1e300))
    assert bg.scale(bg.scale(G, {"h": 1e300}), {"h": 1e300}).edges["x", "h"]["weight"] == pytest.approx(1e300)
    assert bg.balance(G).cost == pytest.approx(2.0)


# --- balance_node ---------------------------------------------------------------------------------------------------


@given(p=st.sampled_from([0.5, 1.0, 2.0, 3.0]), c=st.sampled_from([0.5, 1.0, 2.0, 3.0]), data=st.data())
def test_the_scale_in_closed_form(p, c, data):
    """s^(p (1 + c)) = c out / in."""
    w = data.draw(st.lists(positive, min_size=4, max_size=4))
    G = network(
        ("x0", "h", w[0]), ("x1", "h", -w[1]), ("h", "y0", w[2]), ("h", "y1", w[3]), h={"activation": f"bipu({c})"}
    )
    H, s = bg.balance_node(G, "h", p)
    into, out_of = w[0] ** p + w[1] ** p, w[2] ** p + w[3] ** p
    assert s == pytest.approx((c * out_of / into) ** (1 / (p * (1 + c))), rel=1e-12)
    assert_same_weights(H, bg.scale(G, {"h": s}), 1e-13)
    assert abs(bg.imbalance(H, p)["h"]) <= 1e-11 * p * bg.cost(H, p)


@given(p=st.sampled_from([0.5, 1.0, 2.0, 3.0]), w=st.lists(positive, min_size=4, max_size=4))
def test_the_decrease_for_degree_one(p, w):
    """(sqrt(in) - sqrt(out))^2, in and out sums of |w|^p."""
    G = network(("x0", "h", w[0]), ("x1", "h", -w[1]), ("h", "y0", w[2]), ("h", "y1", w[3]), ("x0", "y0", 3.0))
    H, _ = bg.balance_node(G, "h", p)
    into, out_of = w[0] ** p + w[1] ** p, w[2] ** p + w[3] ** p
    expected = (math.sqrt(into) - math.sqrt(out_of)) ** 2
    assert bg.cost(G, p) - bg.cost(H, p) == pytest.approx(expected, rel=1e-9, abs=1e-12 * bg.cost(G, p))


@pytest.mark.parametrize(
    "name", ["self_loops_c2", "elastic_bipu_recurrent", "posynomial", "exponents", "log1p2_bipu", "tied"]
)
def test_no_other_scale_of_the_node_costs_less(name):
    G, regularizer = CASES[name].make(), regularizer_of(name)
    at = bg.manifold(G)
    for k in at.free_nodes.tolist()[:4]:
        node = at.nodes[k]
        H, s = bg.balance_node(G, node, regularizer)
        together = [at.nodes[j] for j in np.flatnonzero(at.coordinate == at.coordinate[k])]
        least = bg.cost(H, regularizer)
        assert least <= bg.cost(G, regularizer)
        for factor in (0.5, 0.99, 1.01, 2.0):
            assert bg.cost(bg.scale(G, dict.fromkeys(together, s * factor)), regularizer) > least
        unmoved = [edge for edge in G.edges if not set(edge) & set(together)]
        assert all(H.edges[edge] == G.edges[edge] for edge in unmoved)


def test_balancings_of_neighbors_do_not_commute_and_of_others_do():
    G = chain(1.0, 5.0, 3.0, 0.2, 7.0)

    def both(first, second):
        return bg.balance_node(bg.balance_node(G, first)[0], second)[0]

    assert_same_weights(both("h0", "h2"), both("h2", "h0"), 1e-13)
    one, two = both("h0", "h1"), both("h1", "h0")
    assert one.edges["x", "h0"]["weight"] != pytest.approx(two.edges["x", "h0"]["weight"], rel=1e-3)


def test_what_balance_node_refuses():
    G = CASES["layered_bias"].make()
    with pytest.raises(bg.InvalidParameterError, match="'nobody' is not a node"):
        bg.balance_node(G, "nobody")
    for node in ("x0", "y0", "bias"):
        with pytest.raises(bg.InvalidParameterError, match=f"'{node}' is not free: its role"):
            bg.balance_node(G, node)
    dead = network(("x", "h", 1.0), ("h", "d", 1.0), ("h", "y", 1.0), d={"role": "hidden"})
    with pytest.raises(bg.NotAttainedError, match="'d'"):
        bg.balance_node(dead, "d")
    assert bg.balance_node(dead, "h")[1] == pytest.approx(2**0.25)
    fixed = network(("x", "a", 1.0, {"fixed": True}), ("a", "y", 5.0))
    with pytest.raises(bg.UnsupportedError, match="holds node 'a'"):
        bg.balance_node(fixed, "a")
    shared = CASES["shared_not_ties"].make()
    with pytest.raises(bg.UnsupportedError, match="shared weight"):
        bg.balance_node(shared, "h0")


def test_a_node_without_weights_is_left_alone():
    H, s = bg.balance_node(chain(0.0, 0.0), "h0")
    assert s == 1.0
    assert weights_of(H) == {("x", "h0"): 0.0, ("h0", "y"): 0.0}


def test_one_node_after_the_other_is_a_cyclic_sweep():
    G = CASES["bipu_recurrent"].make()
    H, at = G, bg.manifold(G)
    for sweeps in (1, 2, 3):
        for k in at.free_nodes.tolist():
            H, _ = bg.balance_node(H, at.nodes[k])
        solver = bg.StochasticSolver(order="cyclic", max_sweeps=sweeps)
        assert_same_weights(H, bg.balance(G, solver=solver).graph, 1e-11)


@pytest.mark.parametrize("name", ["recurrent", "bipu_recurrent", "log1p2_recurrent"])
def test_the_greedy_order_takes_the_node_of_largest_imbalance(name):
    G, regularizer = CASES[name].make(), regularizer_of(name)
    H, at = G, bg.manifold(G)
    for _ in range(at.free_nodes.size):
        problem = bg.compile_graph(H, regularizer)
        worst = int(np.argmax(problem.relative_imbalances(np.zeros(problem.n_nodes))))
        H, _ = bg.balance_node(H, at.nodes[at.free_nodes[worst]], regularizer)
    one_sweep = bg.balance(G, regularizer, solver=bg.StochasticSolver(order="greedy", max_sweeps=1))
    assert_same_weights(H, one_sweep.graph, 1e-9)


# --- canonical form and equivalence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.wide])
def test_the_canonical_form_is_its_own_and_that_of_every_scaling(name):
    G, regularizer = CASES[name].make(), regularizer_of(name)
    one = bg.canonical_form(G, regularizer)
    assert_balanced(one, regularizer, 1e-12)
    assert_same_weights(bg.canonical_form(one, regularizer), one, 1e-12)
    if not name.startswith("log1p2"):
        other = rescaled(G, np.random.default_rng(0))
        assert_same_weights(bg.canonical_form(other, regularizer), one, 1e-11)
        assert bg.equivalent(G, other, regularizer)
    assert bg.equivalent(G, one, regularizer)
    assert bg.equivalent(one, G, regularizer)


def test_the_canonical_form_passes_the_policy_on():
    G = network(("x", "h", 1.0), ("h", "d", 1.0), ("h", "y", 4.0), d={"role": "hidden"})
    with pytest.raises(bg.NotAttainedError):
        bg.canonical_form(G)
    assert bg.canonical_form(G, on_unattained="prune").edges["h", "d"]["weight"] == 0


DIFFERENT = {
    "a weight": lambda H: H.edges["h0", "h5"].update(weight=H.edges["h0", "h5"]["weight"] * 1.001),
    "a sign": lambda H: H.edges["h0", "h5"].update(weight=-H.edges["h0", "h5"]["weight"]),
    "a zero": lambda H: H.edges["h0", "h5"].update(weight=0.0),
    "an edge less": lambda H: H.remove_edge("h0", "h5"),
    "an edge more": lambda H: H.add_edge("x0", "y0", weight=1.0),
    "a node more": lambda H: H.add_node("new"),
    "a degree": lambda H: H.nodes["h0"].update(activation="relu2"),
    "an activation of the same degree": lambda H: H.nodes["h0"].update(activation="leaky_relu(0.3)"),
    "an output's activation": lambda H: H.nodes["y0"].update(activation="linear"),
    "a pinned unit": lambda H: H.nodes["h0"].update(activation="tanh"),
    "a role": lambda H: H.nodes["h0"].update(role="output"),
    "a bias for an input": lambda H: H.nodes["x0"].update(role="bias"),
    "a tie": lambda H: (H.nodes["h0"].update(group=0), H.nodes["h1"].update(group=0)),
    "a fixed edge": lambda H: H.edges["h0", "h5"].update(fixed=True),
}


@pytest.mark.parametrize("change", DIFFERENT)
def test_networks_that_differ_by_more_than_scaling(change):
    G = CASES["layered_bias"].make()
    H = bg.balance(G, solver="newton").graph
    assert bg.equivalent(G, H)
    DIFFERENT[change](H)
    assert not bg.equivalent(G, H)
    assert not bg.equivalent(H, G)


def test_pinned_activations_must_agree_too():
    G = chain(1.0, 2.0, h0={"activation": "tanh"})
    other = chain(1.0, 2.0, h0={"activation": "sigmoid"})
    assert not bg.equivalent(G, other)
    assert bg.difference(G, other) == "node 'h0' has activation 'tanh' against 'sigmoid'"
    one = chain(1.0, 2.0, h0={"activation": "sigmoid"})
    assert bg.equivalent(one, chain(1.0, 2.0, h0={"activation": "logistic"}))
    assert bg.equivalent(chain(1.0, 2.0), chain(2.0, 1.0, h0={"activation": "bilu(0,1)"}))


def test_nodes_of_other_roles_differ():
    G, H = chain(1.0, 2.0, h0={"activation": "tanh"}), chain(1.0, 2.0, h0={"activation": "tanh", "role": "output"})
    assert not bg.equivalent(G, H)
    assert bg.difference(G, H) == "node 'h0' has role 'hidden' against 'output'"


def test_the_order_of_nodes_and_edges_and_labels_does_not_matter():
    G = CASES["tied"].make()
    H = nx.DiGraph()
    H.add_nodes_from(
        (node, {**data, "group": str(data["group"]) + "'"} if "group" in data else data)
        for node, data in reversed(list(G.nodes(data=True)))
    )
    H.add_edges_from(reversed(list(rescaled(G, np.random.default_rng(0)).edges(data=True))))
    assert bg.equivalent(G, H)
    assert bg.equivalent(H, G)


def test_the_tolerance_is_in_log_weights():
    G = chain(1.0, 2.0, 3.0)
    H = chain(1.0, 2.0, 3.0 * math.exp(3e-6))
    assert bg.equivalent(G, H, tol=1.1e-6)
    assert not bg.equivalent(G, H, tol=0.9e-6)
    for tol in (0, -1, math.nan, "1", True):
        with pytest.raises(bg.InvalidParameterError):
            bg.equivalent(G, H, tol=tol)


def test_a_dead_part_cannot_be_compared_away():
    """Scaling a dead unit is scaling too; its zero weights stay zero."""
    G = network(("x", "h", 1.0), ("h", "d", 1.0), ("h", "y", 4.0), d={"role": "hidden"})
    assert bg.equivalent(G, bg.scale(G, {"d": 1e-5, "h": 3.0}))
    assert not bg.equivalent(G, bg.balance(G, on_unattained="prune").graph)


def test_scales_beyond_floats_do_not_disturb():
    G, H = network(("x", "h", 1e-300), ("h", "y", 1e300)), network(("x", "h", 1e300), ("h", "y", 1e-300))
    assert bg.equivalent(G, H)
    assert bg.equivalent(G, bg.balance(H).graph)


# --- questions ------------------------------------------------------------------------------------------------------


def test_cost_counts_every_weight_once():
    G = network(("x", "h", 8.0), ("h", "y", -2.0), ("x", "y", 1.0), ("x", "z", 0.0), ("h", "z", 3.0, {"fixed": True}))
    assert bg.cost(G) == pytest.approx(64 + 4 + 1 + 9)
    assert bg.cost(CASES["shared_twice_in_sum"].make()) == pytest.approx(9 + 0.25 + 0.0625)
    assert bg.cost(chain(1e200, 1.0)) == math.inf
    assert bg.cost(nx.DiGraph()) == 0


def test_imbalance_by_hand():
    G = network(("x", "h", 3.0), ("h", "h", 0.5), ("h", "y", 2.0), ("h", "z", 1.0), h={"activation": "relu2"})
    into, out_of = 9 + 0.25, 0.25 + 4 + 1
    assert bg.imbalance(G) == pytest.approx({"h": 2 * (into - 2 * out_of)})
    assert bg.relative_imbalance(G) == pytest.approx(abs(into - 2 * out_of) / (into + 2 * out_of))
    assert bg.imbalance(chain(1.0, 0.0)) == {"h0": 2.0}
    assert bg.imbalance(chain(0.0, 3.0)) == {"h0": -18.0}
    assert bg.imbalance(chain(0.0, 0.0)) == {"h0": 0.0}
    assert bg.relative_imbalance(chain(1.0, 0.0)) == 1.0
    assert bg.relative_imbalance(chain(0.0, 0.0)) == 0.0


@pytest.mark.parametrize("name", ["bipu_self_loops", "elastic", "log1p2_bipu", "coefficients", "shared_ties"])
def test_questions_at_log_scales_are_those_of_the_scaled_network(name):
    G, regularizer = CASES[name].make(), regularizer_of(name)
    problem = bg.compile_graph(G, regularizer)
    log_scales = problem.manifold.basis @ np.random.default_rng(0).normal(0, 0.5, problem.manifold.basis.shape[1])
    free = problem.manifold.free_nodes.tolist()
    H = bg.scale(G, {problem.nodes[k]: float(np.exp(log_scales[k])) for k in free})
    assert problem.cost(log_scales) == pytest.approx(bg.cost(H, regularizer), rel=1e-12)
    assert problem.relative_imbalance(log_scales) == pytest.approx(bg.relative_imbalance(H, regularizer), rel=1e-10)
    asked = problem.imbalance(log_scales)
    assert [asked[k] for k in free] == pytest.approx(list(bg.imbalance(H, regularizer).values()), rel=1e-9, abs=1e-9)
    assert min(asked) < 0 < max(asked)
    assert not np.any(asked[problem.manifold.pinned])


def test_tied_nodes_are_balanced_in_sum():
    result = bg.balance(CASES["tied"].make())
    each = bg.imbalance(result.graph)
    assert abs(each["h0"] + each["h1"]) < 1e-10
    assert abs(each["h0"]) > 1e-3
    assert bg.is_balanced(result.graph)


@pytest.mark.parametrize("tol", [0, -1e-9, math.nan, True, "small"])
def test_a_tolerance_is_positive(tol):
    with pytest.raises(bg.InvalidParameterError, match="tol must be"):
        bg.is_balanced(chain(1.0, 1.0), 2, tol)


@pytest.mark.parametrize("regularizer", [0.5, 2, bg.ElasticNet(l1=1, l2=0.1), log1p2()])
def test_is_balanced_before_and_after(regularizer):
    G = CASES["layered"].make()
    assert not bg.is_balanced(G, regularizer)
    assert bg.is_balanced(bg.balance(G, regularizer).graph, regularizer, 1e-11)
