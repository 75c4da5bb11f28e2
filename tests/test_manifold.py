"""The linear manifold: three descriptions of one space, its dimension, and the paper's path equations by hand.

Room: problem.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES
from helpers import chain, network
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from test_properties import networks

import balance_graph as bg
from balance_graph.problem.elimination import gauge_columns

RELU2 = {"activation": "relu2"}
CUBE = {"activation": "bipu(3)"}


def rank(matrix: np.ndarray) -> int:
    """Rank of a dense matrix, its rows first brought to length one: products of degrees differ widely in size."""
    if matrix.size == 0:
        return 0
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    return int(np.linalg.matrix_rank(matrix / np.where(length > 0, length, 1.0), tol=1e-9))


def obeyed(G) -> np.ndarray:
    """Dense basis of the log-scales that keep ties, fixed edges and shared weights, from the definitions alone."""
    at = bg.manifold(G)
    B = at.incidence.toarray()
    index = {node: k for k, node in enumerate(at.nodes[k] for k in at.free_nodes.tolist())}
    rows, first = [], {}
    for node, data in G.nodes(data=True):
        if node in index and "group" in data:
            leader = first.setdefault(("group", data["group"]), node)
            row = np.zeros(len(index))
            row[index[node]] += 1
            row[index[leader]] -= 1
            rows.append(row)
    for e, (_, _, data) in enumerate(G.edges(data=True)):
        if data["weight"] != 0:
            if data.get("fixed"):
                rows.append(B[e])
            if "shared" in data:
                rows.append(B[e] - B[first.setdefault(("shared", data["shared"]), e)])
    if not rows:
        return np.eye(len(index))
    _, sizes, vectors = np.linalg.svd(np.array(rows))
    return vectors[int((sizes > 1e-9).sum()) :].T


def assert_forms_agree(G) -> None:
    """C L = 0 exactly on the manifold, for every form: same null space, of the dimension of the reachable log-gains."""
    at = bg.manifold(G)
    reachable = at.incidence.toarray() @ obeyed(G)
    reachable[np.abs(reachable) < 1e-12] = 0.0  # rounding, which `rank` would take for a row
    assert at.dimension == rank(reachable.T)
    assert rank(np.hstack([reachable, at.reduced_incidence.toarray()]).T) == at.dimension
    for form in ("nodes", "cycles", "paths"):
        C = at.equations(form).toarray()
        assert C.shape[1] == at.n_edges
        size = np.abs(C).max(axis=1, initial=1.0)
        assert np.abs((C @ reachable) / size[:, None]).max(initial=0.0) <= 1e-9
        assert rank(C) == at.n_edges - at.dimension, form


@pytest.mark.parametrize("name", CASES)
def test_the_three_forms_describe_one_space(name):
    assert_forms_agree(CASES[name].make())


@given(networks())
def test_the_three_forms_describe_one_space_on_random_networks(G):
    try:
        bg.compile_graph(G)
    except bg.InvalidNetworkError:
        return
    assert_forms_agree(G)


@pytest.mark.parametrize("name", CASES)
def test_gains_of_scalings_are_on_the_manifold_and_others_are_not(name):
    at, rng = bg.manifold(CASES[name].make()), np.random.default_rng(0)
    gains = at.reduced_incidence @ rng.standard_normal(at.reduced_incidence.shape[1])
    assert at.contains(gains)
    assert at.contains(dict(zip(at.edges, gains, strict=True)))
    assert np.allclose(at.project(gains), gains, atol=1e-10 * max(1, np.abs(gains).max(initial=0)))
    scales = at.log_scales_of(gains)
    assert at.obeys(scales)
    assert np.allclose(bg.compile_graph(CASES[name].make()).log_gains(scales), gains, atol=1e-9)
    if at.dimension < at.n_edges:
        outside = gains + rng.standard_normal(at.n_edges)
        assert not at.contains(outside)
        inside = at.project(outside)
        assert at.contains(inside)
        # The difference of a point and its projection is orthogonal to the manifold.
        assert np.abs(at.reduced_incidence.T @ (outside - inside)).max(initial=0) <= 1e-8 * np.abs(outside).max()
        assert np.abs(at.project(inside) - inside).max() <= 1e-9 * max(1, np.abs(inside).max())


# --- by hand --------------------------------------------------------------------------------------------------------


def proportional(row: np.ndarray, expected: list[float]) -> bool:
    expected = np.array(expected, dtype=float)
    k = int(np.argmax(np.abs(expected)))
    return bool(np.allclose(row / row[k] * expected[k], expected, rtol=1e-14, atol=0))


def test_along_a_chain_the_log_gains_add_to_zero():
    for form in ("nodes", "cycles", "paths"):
        (row,) = bg.manifold(chain(1.0, 2.0, 3.0)).equations(form).toarray()
        assert proportional(row, [1, 1, 1])


def test_along_a_chain_each_log_gain_counts_with_the_degrees_after_it():
    G = chain(1.0, 2.0, 3.0, 4.0, h0=RELU2, h1=CUBE, h2={"activation": "bipu(0.5)"})
    at = bg.manifold(G)
    assert at.edges == [("x", "h0"), ("h0", "h1"), ("h1", "h2"), ("h2", "y")]
    for form in ("nodes", "cycles", "paths"):
        (row,) = at.equations(form).toarray()
        assert proportional(row, [2 * 3 * 0.5, 3 * 0.5, 0.5, 1]), form
    assert at.incidence.toarray().tolist() == [[1, 0, 0], [-2, 1, 0], [0, -3, 1], [0, 0, -0.5]]


def test_two_paths_with_equal_ends_have_equal_weighted_sums():
    """Inside an isolated part there is no path from pinned to pinned; the two ways from a to d still must agree."""
    G = network(("a", "b", 1.0), ("b", "d", 1.0), ("a", "c", 1.0), ("c", "d", 1.0), b=RELU2, c=RELU2)
    for node in "abcd":
        G.nodes[node]["role"] = "hidden"
    at = bg.manifold(G)
    assert at.edges == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    for form in ("nodes", "cycles", "paths"):
        (row,) = at.equations(form).toarray()
        assert proportional(row, [2, -2, 1, -1]), form
    assert at.dimension == 3


def test_every_path_of_a_small_network():
    pairs = [("x0", "a"), ("x1", "a"), ("a", "b"), ("a", "y"), ("b", "y"), ("b", "b")]
    G = network(*((tail, head, 1.0) for tail, head in pairs), a=RELU2, b=CUBE)
    at = bg.manifold(G)
    rows = at.equations("paths").toarray()
    place = {edge: k for k, edge in enumerate(at.edges)}

    def row(**terms: float) -> list[float]:
        result = np.zeros(at.n_edges)
        for name, value in terms.items():
            result[place[tuple(name.split("_"))]] = value
        return result.tolist()

    paths = [row(**{f"{x}_a": 2 * 3, "a_b": 3, "b_y": 1}) for x in ("x0", "x1")] + [
        row(**{f"{x}_a": 2, "a_y": 1}) for x in ("x0", "x1")
    ]
    for expected in paths:
        assert any(np.array_equal(found, expected) for found in rows.tolist())
    # The self-loop of degree 3 has L = -2 l_b: no directed path shows it, so an equation is appended.
    assert at.dimension == 2
    assert rank(rows) == 4


def test_a_directed_cycle_of_gain_one_adds_to_zero_and_one_of_another_gain_does_not():
    unit = network(("a", "b", 1.0), ("b", "a", 1.0), a=RELU2, b={"activation": "bipu(0.5)"})
    (row,) = bg.manifold(unit).equations("paths").toarray()
    assert proportional(row, [0.5, 1]) or proportional(row, [1, 2])
    assert bg.manifold(unit).dimension == 1
    other = network(("a", "b", 1.0), ("b", "a", 1.0), a=RELU2)
    assert bg.manifold(other).equations("paths").shape[0] == 0
    assert bg.manifold(other).dimension == 2


def test_self_loops():
    assert bg.manifold(network(("a", "a", 1.0))).incidence.toarray().tolist() == [[0]]
    assert bg.manifold(network(("a", "a", 1.0), a=CUBE)).incidence.toarray().tolist() == [[-2]]


def test_tied_nodes_share_a_coordinate():
    G = network(("x", "a", 1.0), ("x", "b", 1.0), ("a", "y", 1.0), ("b", "y", 1.0))
    G.add_node("a", group=0)
    G.add_node("b", group=0)
    at = bg.manifold(G)
    assert at.dimension == 1
    assert at.contains({("x", "a"): 1.0, ("x", "b"): 1.0, ("a", "y"): -1.0, ("b", "y"): -1.0})
    assert not at.contains({("x", "a"): 1.0, ("x", "b"): 2.0, ("a", "y"): -1.0, ("b", "y"): -2.0})


def test_a_fixed_edge_of_degree_two_ties_in_proportion():
    G = network(("x", "a", 1.0), ("a", "b", 1.0, {"fixed": True}), ("b", "y", 1.0), a=RELU2)
    at = bg.manifold(G)
    assert at.dimension == 1
    assert at.contains([1.0, 0.0, -2.0])
    assert not at.contains([1.0, -1.0, -1.0])


def test_a_fixed_edge_at_a_pinned_end_holds_the_other():
    for edge in (("x", "a"), ("b", "y")):
        G = network(("x", "a", 1.0), ("a", "b", 1.0), ("b", "y", 1.0))
        G.edges[edge]["fixed"] = True
        at = bg.manifold(G)
        assert at.dimension == 1
        assert at.project(np.ones(3))[list(G.edges).index(edge)] == 0


def test_shared_weights_that_are_not_ties():
    G = chain(2.0, 2.0, 3.0, 5.0)
    for edge in list(G.edges)[:2]:
        G.edges[edge]["shared"] = "w"
    at = bg.manifold(G)
    assert at.dimension == 2
    assert not at.is_tied or at.subspace is not None
    assert at.contains([1.0, 1.0, -3.0, 1.0])
    assert not at.contains([1.0, 0.0, -2.0, 1.0])


def test_a_fixed_cycle_whose_gains_do_not_multiply_to_one_holds_everything():
    G = network(
        ("x", "a", 1.0), ("a", "b", 1.0, {"fixed": True}), ("b", "a", 1.0, {"fixed": True}), ("b", "y", 1.0), a=RELU2
    )
    assert bg.manifold(G).dimension == 0
    assert bg.balance(G).graph.edges["x", "a"]["weight"] == 1.0


# --- limits and errors ----------------------------------------------------------------------------------------------


def test_the_paths_form_is_refused_beyond_its_limit():
    G = bg.networks.layered([4, 6, 6, 6, 4], bias=False, rng=0)
    at = bg.manifold(G)
    count = 4 * 6 * 6 * 6 * 4
    assert at.equations("paths", max_paths=count).shape[0] == count
    with pytest.raises(bg.TooManyPathsError, match=f"more than {count - 1} directed paths.*form='cycles' or 'nodes'"):
        at.equations("paths", max_paths=count - 1)
    with pytest.raises(bg.TooManyPathsError):
        bg.convex_problem(G, 2, form="paths", max_paths=100)


def test_a_long_search_for_few_paths_is_refused_too():
    """Dead ends can be exponentially many where there are no paths at all."""
    edges = [((k, i), (k + 1, j), 1.0) for k in range(16) for i in range(3) for j in range(3)]
    G = network(("x", (0, 0), 1.0), *edges)
    for node in G:
        if node != "x":
            G.nodes[node]["role"] = "hidden"
    with pytest.raises(bg.TooManyPathsError):
        bg.manifold(G).equations("paths", max_paths=10)


def test_an_unknown_form_is_refused():
    for form in ("edges", "", None, ["nodes"]):
        with pytest.raises(bg.InvalidParameterError, match="form must be one of nodes, cycles, paths"):
            bg.manifold(chain(1.0, 2.0)).equations(form)


@pytest.mark.parametrize("gains", [[1.0], [[1.0, 2.0]], [1.0, np.nan], {("x", "h0"): 1.0}, 3.0])
def test_log_gains_of_the_wrong_shape_are_refused(gains):
    at = bg.manifold(chain(1.0, 2.0))
    for ask in (at.contains, at.project, at.log_scales_of):
        with pytest.raises(bg.InvalidParameterError, match="log-gains must"):
            ask(gains)


def test_the_manifold_does_not_depend_on_the_weights():
    G = CASES["bipu_recurrent"].make()
    H = G.copy()
    for _, _, data in H.edges(data=True):
        data["weight"] *= -7.5
    one, two = bg.manifold(G), bg.manifold(H)
    assert (one.reduced_incidence != two.reduced_incidence).nnz == 0
    assert one.edges == two.edges == list(G.edges)


@given(st.floats(1e-12, 1e-3))
def test_the_tolerance_of_membership(size):
    at = bg.manifold(chain(1.0, 2.0))
    assert at.contains([1.0, -1.0 + size], tol=size)
    assert not at.contains([1.0, -1.0 + size], tol=size / 4)


@given(st.integers(0, 10_000))
def test_gauges_are_held_where_asked_for_if_rows_have_many_entries(seed):
    """Of the unknowns that may be held, those of largest preference, one after another: judged by ranks alone."""
    rng = np.random.default_rng(seed)
    rows, size = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    matrix = rng.choice([-2.0, -1.0, 0.0, 0.0, 1.0], (rows, size))
    matrix[0, :3] = 1.0  # so it is no graph
    preference = rng.permutation(size).astype(float)
    missing = size - rank(matrix)
    held = []
    for column in np.argsort(-preference).tolist():
        others = np.delete(matrix, [*held, column], axis=1)
        if len(held) < missing and rank(others) == rank(matrix):
            held.append(column)
    found = gauge_columns(sparse.csr_array(matrix), preference)
    assert found.tolist() == sorted(held)
    first = gauge_columns(sparse.csr_array(matrix), -np.arange(size, dtype=float))
    assert gauge_columns(sparse.csr_array(matrix)).tolist() == first.tolist()
