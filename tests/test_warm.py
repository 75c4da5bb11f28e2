"""The same architecture with new weights, and solves from the last log-scales.

Rooms: problem, solvers.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from helpers import regularizer_of
from scipy import sparse

import balance_graph as bg
from balance_graph.problem import attainment, live_network
from balance_graph.problem.live_pattern import LivePattern

ROWS, EDGES = bg.NewtonSolver(engine="rows"), bg.NewtonSolver(engine="edges")


def random_digraph(n, m, rng, closed=False):
    """Strongly connected: a cycle runs through all nodes."""
    tail = np.concatenate([np.arange(n), rng.integers(0, n, m)])
    head = np.concatenate([(np.arange(n) + 1) % n, rng.integers(0, n, m)])
    W = sparse.csr_array((rng.normal(size=tail.size), (tail, head)), shape=(n, n))
    return W, np.zeros(n, dtype=bool) if closed else np.arange(n) < n // 10


def problem_of(W, pinned, **settings):
    return bg.BalanceProblem.from_sparse(W, pinned=pinned, **settings)


def weights_after(problem, solution):
    live = attainment.find_attainment(problem).live
    return (problem.log_weight + problem.log_gains(solution.log_scales))[live]


def same_as_cold(warm_problem, cold_problem, last, solver, atol=1e-9, **options):
    warm = bg.solve(warm_problem, solver, start=last.log_scales, **options)
    cold = bg.solve(cold_problem, solver, **options)
    assert warm.converged
    assert cold.converged
    assert warm.log_cost == pytest.approx(cold.log_cost, abs=1e-11)
    np.testing.assert_allclose(weights_after(warm_problem, warm), weights_after(cold_problem, cold), rtol=0, atol=atol)
    assert warm.pruned_edges == cold.pruned_edges
    assert warm.initial_cost == pytest.approx(np.exp(warm_problem.log_cost(last.log_scales)), rel=1e-11)
    return warm, cold


@pytest.mark.parametrize("solver", [ROWS, EDGES], ids=["rows", "edges"])
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("settings", ["plain", "degrees", "groups", "coefficient", "p = 1", "float32"])
def test_new_weights_are_balanced_as_from_cold(settings, closed, solver):
    if closed and settings == "degrees":
        pytest.skip("closed cycles of other degrees have no balanced state")
    rng = np.random.default_rng(5)
    W, pinned = random_digraph(60, 300, rng, closed)
    more = {}
    if settings == "degrees":
        more["degree"] = rng.choice([1.0, 2.0], 60)
    elif settings == "groups":
        more["groups"] = np.where(pinned, -1, np.arange(60) // 2)
    elif settings == "coefficient":
        C = W.copy()
        C.data = rng.uniform(0.5, 2.0, C.nnz)
        more["coefficient"] = C
    elif settings == "p = 1":
        more["regularizer"] = 1.0
    elif settings == "float32":
        W = W.astype(np.float32)
    problem = problem_of(W, pinned, **more)
    last = bg.solve(problem, solver)
    for step in range(3):
        V = W.copy()
        V.data = (V.data * np.exp(0.1 * rng.normal(size=V.nnz))).astype(W.dtype)
        problem = problem.with_weights(V if step else V.data)
        assert problem.weight.dtype == W.dtype
        last, _ = same_as_cold(problem, problem_of(V, pinned, **more), last, solver)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_network_takes_new_weights(name):
    """Shared, tied and fixed weights, BiPU, coefficients, exponents, every regularizer: as compiled anew."""
    G, H = CASES[name].make(), CASES[name].make()
    rng = np.random.default_rng(0)
    factor = {}
    for *ends, data in H.edges(data=True):  # copies of a shared parameter stay equal
        data["weight"] *= factor.setdefault(data.get("shared", tuple(ends)), 1.0 + 0.05 * rng.normal())
    problem, cold = (bg.compile_graph(graph, regularizer_of(name)) for graph in (G, H))
    last = bg.solve(problem, ROWS)
    warm = problem.with_weights(cold.weight)
    assert warm.manifold is problem.manifold
    one, other = bg.solve(warm, ROWS, start=last.log_scales), bg.solve(cold, ROWS)
    assert one.log_cost == pytest.approx(other.log_cost, abs=1e-10)
    assert one.status == other.status


def test_constraints_come_and_go_with_their_weights():
    """Fixed and shared edges of weight zero are inert, until they have a weight."""
    G = nx.DiGraph()
    G.add_weighted_edges_from([("x", "a", 2.0), ("a", "y", 3.0), ("x", "b", 5.0), ("b", "y", 7.0)])
    G.add_edge("a", "b", weight=0.0, fixed=True)
    G.add_edge("x", "c", weight=4.0, shared="s")
    G.add_edge("c", "y", weight=1.0)
    G.add_edge("a", "c", weight=0.0, shared="s")
    problem = bg.compile_graph(G)
    assert problem.manifold.fixed is None
    for step, (bridge, copy) in enumerate([(0.0, 0.0), (2.0, 0.0), (2.0, 4.0), (0.0, 4.0), (0.0, 0.0)]):
        G.edges["a", "b"]["weight"], G.edges["a", "c"]["weight"] = bridge, copy
        cold = bg.compile_graph(G)
        problem = problem.with_weights(cold.weight)
        assert problem.manifold.dimension == cold.manifold.dimension == 3 - (bridge != 0) - (copy != 0)
        one, other = bg.solve(problem), bg.solve(cold)
        np.testing.assert_allclose(one.log_scales, other.log_scales, atol=1e-12, err_msg=str(step))
    G.edges["a", "c"]["weight"] = 1.0
    with pytest.raises(bg.InvalidNetworkError, match=r"\('x', 'c'\).*\('a', 'c'\).* 4.0 and 1.0"):
        problem.with_weights([data["weight"] for _, _, data in G.edges(data=True)])


def test_terms_take_new_coefficients():
    rng = np.random.default_rng(1)
    A = np.vstack([np.eye(5), -np.eye(5), rng.integers(-2, 3, (40, 5))])
    problem = bg.BalanceProblem.from_terms(A, rng.normal(size=50), exponent=rng.uniform(1, 3, 50))
    last = bg.solve(problem)
    logs = rng.normal(size=50)
    logs[20] = -np.inf
    warm, cold = problem.with_weights(logs), bg.BalanceProblem.from_terms(A, logs, problem.exponent)
    one, other = bg.solve(warm, start=last.log_scales), bg.solve(cold)
    np.testing.assert_allclose(one.log_scales, other.log_scales, atol=1e-10)
    assert one.log_cost == pytest.approx(other.log_cost, abs=1e-12)
    with pytest.raises(bg.InvalidParameterError, match="term 3 is nan"):
        problem.with_weights(np.where(np.arange(50) == 3, np.nan, 0.0))


@pytest.mark.parametrize("solver", [ROWS, EDGES], ids=["rows", "edges"])
def test_weights_that_become_zero_and_come_back(solver):
    """Dead edges appear and vanish: each time as from cold, whatever was kept before."""
    rng = np.random.default_rng(2)
    W, pinned = random_digraph(60, 120, rng)
    problem = problem_of(W, pinned)
    last = bg.solve(problem, solver)
    pruned = []
    for share in (0.0, 0.5, 0.5, 0.0, 0.7, 0.0):
        data = np.where(rng.random(W.nnz) < share, 0.0, W.data)
        V = sparse.csr_array((data, W.indices, W.indptr), shape=W.shape)
        problem = problem.with_weights(data)
        last, _ = same_as_cold(problem, problem_of(V, pinned), last, solver, on_unattained="prune")
        pruned.append(len(last.pruned_edges))
    assert pruned[1] != pruned[2]
    assert min(pruned[1], pruned[2], pruned[4]) > 0
    assert pruned[0] == pruned[3] == pruned[5] == 0


def test_a_dead_edge_of_new_weights_is_refused_as_ever():
    W = sparse.csr_array(np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 1.0], [0, 0, 0, 1.0], [0, 0, 0, 0]]))
    problem = problem_of(W, np.array([True, False, False, True]))
    assert bg.solve(problem, EDGES).converged
    with pytest.raises(bg.NotAttainedError):
        bg.solve(problem.with_weights([1.0, 1.0, 1.0, 0.0]), EDGES)
    assert bg.solve(problem.with_weights([1.0, 1.0, 2.0, 1.0]), EDGES).converged


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(3), r"shape \(2,\)"),
        ([1.0, np.nan], r"edge \(1, 2\) is nan"),
        ([1.0, 1j], "complex"),
        (["one", "two"], "real numbers"),
        (sparse.csr_array((4, 4)), "one row and column a node"),
        (sparse.csr_array(np.eye(3)), "not the same"),
        (sparse.csr_array(np.array([[0, 1.0, 0], [0, 0, 0], [0, 1.0, 0]])), "not the same"),
    ],
)
def test_what_is_no_set_of_weights_is_refused(weights, words):
    W = sparse.csr_array(np.array([[0, 8.0, 0], [0, 0, 2.0], [0, 0, 0]]))
    problem = problem_of(W, np.array([True, False, True]))
    with pytest.raises((bg.InvalidParameterError, bg.InvalidNetworkError), match=words):
        problem.with_weights(weights)


def test_a_matrix_fills_the_edges_of_a_graph_in_their_order():
    G = nx.DiGraph()
    G.add_weighted_edges_from([("b", "c", 3.0), ("a", "b", 2.0), ("a", "c", 5.0)])
    problem = bg.compile_graph(G)
    W = nx.to_scipy_sparse_array(G, nodelist=list(problem.nodes)) * 10.0
    np.testing.assert_array_equal(problem.with_weights(W).weight, 10.0 * problem.weight)


def test_the_pattern_is_found_once(monkeypatch):
    """Edges are numbered, visited and searched once for an architecture; then values alone are filled in."""
    calls = []
    for name in ("edge_list", "visits"):
        kernel = getattr(live_network.kernels, name)
        monkeypatch.setattr(
            live_network.kernels, name, lambda *args, name=name, kernel=kernel: calls.append(name) or kernel(*args)
        )
    search = attainment._search_attainment
    monkeypatch.setattr(attainment, "_search_attainment", lambda problem: calls.append("search") or search(problem))
    W, pinned = random_digraph(200, 1000, np.random.default_rng(3))
    problem = problem_of(W, pinned)
    last = bg.solve(problem, EDGES)
    bg.solve(problem, ROWS)
    assert sorted(calls) == ["edge_list", "edge_list", "search", "visits", "visits"]
    calls.clear()
    later = problem.with_weights(1.1 * W.data)
    bg.solve(later, EDGES, start=last.log_scales)
    bg.solve(later, ROWS, start=last.log_scales)
    assert bg.certify(later, last.log_scales).relative_gap <= 1e-12
    assert calls == []


def test_what_is_kept_holds_no_weights():
    """Weights of earlier steps are set free."""
    import gc
    import weakref

    W, pinned = random_digraph(200, 1000, np.random.default_rng(3))
    problem = problem_of(W, pinned)
    for solver in (EDGES, ROWS):
        bg.solve(problem, solver)
    assert LivePattern in problem.manifold.kept
    gone = weakref.ref(problem)
    problem = problem.with_weights(2.0 * W.data)
    gc.collect()
    assert gone() is None


def test_fewer_steps_from_the_last_scales():
    """Krylov steps and iterations fall with the distance that weights have moved, and to none where they have not."""
    rng = np.random.default_rng(4)
    W, pinned = random_digraph(2000, 20_000, rng)
    problem = problem_of(W, pinned)
    solver = bg.NewtonSolver(tol=1e-10, engine="edges")
    last = bg.solve(problem, solver)
    noise = rng.normal(size=W.nnz)

    def work(amount):
        moved = problem.with_weights(W.data * np.exp(amount * noise))
        warm = bg.solve(moved, solver, start=last.log_scales)
        assert warm.converged
        return warm.iterations, int(warm.notes[0].split()[2])

    work_of = [(last.iterations, int(last.notes[0].split()[2])), *map(work, (0.01, 1e-4, 0.0))]
    steps = [steps for _, steps in work_of]
    assert steps == sorted(steps, reverse=True)
    assert work_of[-1] == (0, 0)
    assert work_of[2][0] < work_of[0][0]
    assert steps[2] <= 0.75 * steps[0]


def test_a_start_with_other_scales_of_closed_parts_is_the_same_start():
    """A common factor of a part without pinned nodes changes no weight: it costs no iteration."""
    W, pinned = random_digraph(50, 300, np.random.default_rng(6), closed=True)
    problem = problem_of(sparse.block_diag([W, W], format="csr"), np.concatenate([pinned, pinned]))
    last = bg.solve(problem, EDGES)
    again = bg.solve(problem, EDGES, start=last.log_scales + np.repeat([3.0, -5.0], 50))
    assert again.iterations == 0
    assert again.initial_cost == pytest.approx(last.cost, rel=1e-12)
