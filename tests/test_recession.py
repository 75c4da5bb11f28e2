"""Recession and attainment against an exact judge: random matrices of signs, and graphs with every kind of constraint.

``python tests/test_recession.py 10000 4000 0`` runs so many matrices and graphs from that seed.

Room: problem.
"""

from __future__ import annotations

import contextlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import numpy as np
import pytest
from exact import proven_dead
from helpers import network
from scipy import sparse

import balance_graph as bg
from balance_graph.problem import stiemke
from balance_graph.problem.live_network import LiveNetwork
from balance_graph.problem.recession import Recession, find_recession
from balance_graph.problem.unsuited import UnsuitedError

ACTIVATIONS = ("relu", "relu", "relu2", "bipu(0.5)", "bipu(3)", "bipu(1.5)")
KINDS = ("shared", "shared, of mixed degrees", "shared, tied and fixed", "of mixed degrees")


# --- what is drawn --------------------------------------------------------------------------------------------------


def random_matrix(rng: np.random.Generator) -> np.ndarray:
    """2 to 8 unknowns; rows of up to 2 or 4 entries from -2 to 2."""
    width = int(rng.integers(2, 9))
    A = np.zeros((int(rng.integers(1, 2 * width + 3)), width))
    longest, largest = int(rng.choice([2, 4, 4])), int(rng.integers(1, 3))
    for row in A:
        columns = rng.choice(width, int(rng.integers(1, min(width, longest) + 1)), replace=False)
        row[columns] = rng.integers(1, largest + 1, columns.size) * rng.choice([-1, 1], columns.size)
    return A


def random_graph(rng: np.random.Generator, kind: str) -> nx.DiGraph:
    """Up to 9 nodes, sparse, with inputs, outputs, parts that are cut off, zero weights and self-loops."""
    G, n = nx.DiGraph(), int(rng.integers(3, 10))
    for node in range(n):
        role = str(rng.choice(["input", "output", "hidden", "hidden", "hidden", "hidden"]))
        activation = str(rng.choice(ACTIVATIONS)) if "degrees" in kind or "fixed" in kind else "relu"
        G.add_node(node, role=role, activation=activation)
    for tail, head in rng.integers(0, n, (int(rng.integers(2, 3 * n)), 2)).tolist():
        if G.nodes[head]["role"] != "input" and (tail != head or rng.random() < 0.4):
            G.add_edge(tail, head, weight=float(rng.choice([1.0, 1.0, 1.0, 1.0, 2.0, 0.0])))
    if "shared" in kind:
        ones = [edge for edge in G.edges if G.edges[edge]["weight"] == 1.0]
        for edge in ones:
            if rng.random() < 0.6:
                G.edges[edge]["shared"] = int(rng.integers(3))
    if "fixed" in kind:
        for _, _, data in G.edges(data=True):
            if "shared" not in data and rng.random() < 0.15:
                data["fixed"] = True
        for node in G:
            if G.nodes[node]["role"] == "hidden" and rng.random() < 0.4:
                G.nodes[node].update(group=int(rng.integers(2)), activation="relu")
    return G


# --- what must hold -------------------------------------------------------------------------------------------------


def is_right(A: np.ndarray, found: Recession) -> bool:
    """Whether exactly the dead rows are called dead, and the direction lowers these and moves no other."""
    dead, gains = proven_dead(A), A @ found.direction
    rounding = 1e-13 * np.abs(found.direction).max(initial=1.0)
    return bool(
        np.array_equal(found.dead, dead) and np.all(gains[dead] < -0.5) and np.all(np.abs(gains[~dead]) <= rounding)
    )


def wrong_matrices(count: int, seed: int) -> list[list[list[float]]]:
    rng = np.random.default_rng(seed)
    matrices = (random_matrix(rng) for _ in range(count))
    return [A.tolist() for A in matrices if not is_right(A, find_recession(sparse.csr_array(A)))]


def compiled(rng: np.random.Generator, kind: str) -> bg.BalanceProblem:
    """A random problem; graphs whose ties and fixed edges contradict each other are drawn again."""
    while True:
        try:
            return bg.compile_graph(random_graph(rng, kind))
        except bg.InvalidNetworkError:
            continue


def wrong_graphs(count: int, seed: int) -> list[tuple[str, int]]:
    """Kind and number of the graphs for which dead edges or the direction are wrong."""
    wrong = []
    for kind in KINDS:
        rng = np.random.default_rng(seed)
        for number in range(count):
            problem = compiled(rng, kind)
            matrix = problem.manifold.reduced_incidence[np.flatnonzero(problem.active)]
            if not is_right(matrix.toarray(), find_recession(matrix)):
                wrong.append((kind, number))
    return wrong


def test_random_matrices():
    assert wrong_matrices(300, 1) == []


def test_random_matrices_by_linear_programs_that_are_proven(monkeypatch):
    """As for large matrices: what floating point says is taken only with a proof."""
    monkeypatch.setattr(stiemke, "_SMALL", 0)
    assert wrong_matrices(200, 2) == []


def test_a_linear_program_that_errs_is_not_believed(monkeypatch):
    monkeypatch.setattr(stiemke, "_SMALL", 0)

    def nothing(matrix):
        return np.zeros(matrix.shape[0], dtype=bool), np.zeros(matrix.shape[1]), np.ones(matrix.shape[0])

    monkeypatch.setattr(stiemke, "_in_floating_point", nothing)
    assert wrong_matrices(50, 3) == []


def test_random_graphs():
    assert wrong_graphs(80, 1) == []


# --- examples -------------------------------------------------------------------------------------------------------


def test_a_shared_weight_that_falls_for_ever():
    """l_a = l_d = -l_b."""
    G = network(
        ("i", "a", 1.0, {"shared": "s"}),
        ("b", "o", 1.0, {"shared": "s"}),
        ("a", "d", 1.0),
        ("d", "a", 2.0),
        b={"role": "hidden"},
    )
    answer = bg.attainment(G)
    assert not answer.attained
    assert set(answer.dead_edges) == {("i", "a"), ("b", "o")}
    assert set(answer.dead_nodes) == {"a", "b", "d"}
    d = answer.recession_direction
    assert d["a"] == d["d"] == -d["b"] < 0
    with pytest.raises(bg.NotAttainedError):
        bg.balance(G)


def rows(*lines: dict[int, float]) -> sparse.csr_array:
    A = np.zeros((len(lines), 1 + max(k for line in lines for k in line)))
    for row, line in zip(A, lines, strict=True):
        row[list(line)] = list(line.values())
    return sparse.csr_array(A)


def test_products_of_units_between_pinned_nodes_need_no_linear_program(monkeypatch):
    """A gated network: inputs to u and v, their product to the output: -u - v."""
    monkeypatch.setattr(stiemke, "partition", None)
    A = rows({0: 1}, {1: 1}, {0: -1, 1: -1})
    assert not find_recession(A).dead.any()
    loose = find_recession(rows({0: 1}, {1: 1}, {0: -1, 1: -1}, {0: -1, 1: -1, 2: 1}))
    assert loose.dead.tolist() == [False, False, False, True]
    assert loose.direction.tolist() == [0.0, 0.0, -1.0]
    assert loose.moving.tolist() == [False, False, True]


def test_merging_a_cycle_turns_a_row_of_three_into_an_edge(monkeypatch):
    """u and v move together, so u - v + w is w, an edge to the ground, which -w closes."""
    monkeypatch.setattr(stiemke, "partition", None)
    found = find_recession(rows({0: 1, 1: -1}, {0: -1, 1: 1}, {0: 1, 1: -1, 2: 1}, {2: -1}, {0: 1}))
    assert found.dead.tolist() == [False, False, False, False, True]
    assert found.moving.tolist() == [True, True, False]


def test_cycles_of_thirds_balance_although_floats_do_not():
    """Gains 3, 1/3 and a chord: what a float can hold of 1/3 is not its own inverse's inverse."""
    third = 1.0 / 3.0
    A = rows({0: 1, 1: -3.0}, {1: 1, 2: -third}, {2: 1, 0: -1.0}, {0: 1, 1: -2.0, 2: -third})
    assert not find_recession(A[:3]).dead.any()
    assert proven_dead(A).tolist() == find_recession(A).dead.tolist()


def test_long_chains_of_gains_fall_within_the_range_of_floats():
    n = 1500
    lines = [{0: 1.0}, *({k: -2.0, k + 1: 1.0} for k in range(n - 1))]
    entries = [(row, k, value) for row, line in enumerate(lines) for k, value in line.items()]
    row, column, value = (np.array(part) for part in zip(*entries, strict=True))
    A = sparse.csr_array((value, (row, column)))
    found = find_recession(A)
    assert found.dead.all()
    assert np.all(A @ found.direction < 0)


def test_large_matrices_are_decided_and_proven():
    """600 unknowns of which a program must decide: cycles of three with rows u + v - 2 w, some of them cut open."""
    rng = np.random.default_rng(0)
    lines, dead = [], []
    for k in range(0, 600, 3):
        is_open = rng.random() < 0.3
        for a, b, c in ((k, k + 1, k + 2), (k + 1, k + 2, k), (k + 2, k, k + 1)):
            lines.append({a: 1.0, b: 1.0, c: -2.0})
            dead.append(False)
        if k and not is_open:
            lines.append({k: 1.0, k - 1: -1.0})
            dead.append(True)
    A = np.zeros((len(lines), 600))
    for row, line in zip(A, lines, strict=True):
        row[list(line)] = list(line.values())
    found = find_recession(sparse.csr_array(A))
    assert found.dead.tolist() == dead
    assert np.all(A[dead] @ found.direction < -0.5)


def test_the_road_for_large_networks_finds_the_same_dead_edges():
    rng, compared = np.random.default_rng(5), 0
    with ThreadPoolExecutor(1) as pool:
        for _ in range(150):
            problem = compiled(rng, "of mixed degrees" if rng.random() < 0.5 else "plain")
            with contextlib.suppress(UnsuitedError):
                large = LiveNetwork.of(problem, pool)
                dead = large.numbering.left_out(large.n_edges).dead
                exact = np.flatnonzero(problem.active)[
                    find_recession(problem.manifold.reduced_incidence[np.flatnonzero(problem.active)]).dead
                ]
                assert np.array_equal(dead, exact)
                compared += 1
    assert compared > 30  # the others are of mixed degrees with cut-off cycles, or have nothing to scale


def main(matrices: int, graphs: int, seed: int) -> None:
    started = time.perf_counter()
    print(f"{matrices} matrices, wrong: {wrong_matrices(matrices, seed)}")
    print(f"{graphs} graphs of each of {len(KINDS)} kinds, wrong: {wrong_graphs(graphs, seed)}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
