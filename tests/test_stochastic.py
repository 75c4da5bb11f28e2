"""Local sweeps over edge lists make the same steps as those in logarithms, for every order.

Room: solvers.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from cases import CASES
from helpers import LOCAL_ORDERS, regularizer_of
from scipy import sparse

import balance_graph as bg
from balance_graph.problem.quotient import Quotient
from balance_graph.solvers.local import _edge_kernels as kernels
from balance_graph.solvers.local import _edge_sweeps, stochastic
from balance_graph.solvers.local._edges import Edges

SMALL, LARGE = 0, 10**9


def layered(depth, width, rng):
    n = depth * width
    tail = np.repeat(np.arange(n - width), width)
    head = (tail // width + 1) * width + np.tile(np.arange(width), n - width)
    W = sparse.csr_array((rng.normal(size=tail.size), (tail, head)), shape=(n, n))
    return W, np.isin(np.arange(n) // width, (0, depth - 1))


def digraph(n, m, rng, *, pinned=True):
    """Random edges on a cycle, so that all are live."""
    tail = np.concatenate([np.arange(n), rng.integers(0, n, m)])
    head = np.concatenate([np.roll(np.arange(n), -1), rng.integers(0, n, m)])
    W = sparse.csr_array((rng.normal(size=n + m), (tail, head)), shape=(n, n))
    W.setdiag(0.0)
    W.eliminate_zeros()
    return W, (np.arange(n) < n // 10) & pinned


FAMILIES = {
    "layers": lambda rng: layered(6, 5, rng),
    "digraph": lambda rng: digraph(60, 200, rng),
    "nothing pinned": lambda rng: digraph(40, 100, rng, pinned=False),
    "heavy tails": lambda rng: (lambda W, pinned: (W.power(9), pinned))(*digraph(50, 150, rng)),
}


@pytest.fixture(params=FAMILIES)
def matrix(request):
    return FAMILIES[request.param](np.random.default_rng(3))


def problem_of(matrix, degree=1.0, regularizer=2.0):
    W, pinned = matrix
    return bg.BalanceProblem.from_sparse(W, pinned=pinned, degree=degree, regularizer=regularizer)


@pytest.fixture
def both_ways(monkeypatch):
    """Runs of a solver in logarithms and over edge lists."""

    def run(problem, **settings):
        reduction = Quotient(problem, problem.unscaled, live=problem.active)
        outcomes = []
        for threshold in (LARGE, SMALL):
            monkeypatch.setattr(stochastic, "_EDGES", threshold)
            outcomes.append(bg.StochasticSolver(rng=1, record=True, **settings).run(reduction))
        return outcomes

    return run


def assert_same_iterates(one, other, tolerance=1e-10):
    assert one.iterations == other.iterations
    np.testing.assert_allclose(one.history.log_cost, other.history.log_cost, rtol=0, atol=1e-12 + 0.01 * tolerance)
    np.testing.assert_allclose(one.history.imbalance, other.history.imbalance, rtol=0, atol=tolerance)
    for a, b in zip(one.history.log_scales, other.history.log_scales, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("order", LOCAL_ORDERS)
@pytest.mark.parametrize(("degree", "p"), [(1.0, 2.0), (1.0, 1.0), (2.0, 3.0), ("mixed", 2.0)])
def test_iterates_are_those_of_the_sweeps_in_logarithms(matrix, order, degree, p, both_ways):
    if degree == "mixed":
        degree = np.random.default_rng(0).choice([0.5, 1.0, 2.0], matrix[0].shape[0])
    problem = problem_of(matrix, degree, p)
    assert Edges.of(Quotient(problem, problem.unscaled, live=problem.active)) is not None
    assert_same_iterates(*both_ways(problem, order=order, max_sweeps=12))


@pytest.mark.parametrize("order", LOCAL_ORDERS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.tied_only])
def test_every_network_of_the_table_takes_the_same_way(name, order, both_ways):
    if order == "greedy" and name.startswith("strong_cycle"):
        pytest.skip("two units are equally out of balance, so that rounding decides which comes first")
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    assert_same_iterates(*both_ways(problem, order=order, max_sweeps=6), tolerance=1e-8 if CASES[name].wide else 1e-10)


@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_costs_made_afresh_change_nothing(order, both_ways, monkeypatch):
    monkeypatch.setattr(_edge_sweeps, "_REFRESH", 2)
    problem = problem_of(FAMILIES["digraph"](np.random.default_rng(5)))
    # Not to the last digits: there rounding decides which of two nodes is more out of balance.
    assert_same_iterates(*both_ways(problem, order=order, tol=1e-9))


def rescaled(W, pinned, decades, seed=1):
    """The same network with its free nodes scaled by anything up to 10^decades, either way."""
    log_scales = np.where(pinned, 0.0, np.random.default_rng(seed).uniform(-2.3, 2.3, W.shape[0]) * decades)
    scaled = sparse.diags_array(np.exp(-log_scales / 2)) @ W @ sparse.diags_array(np.exp(log_scales / 2))
    return sparse.csr_array(scaled), pinned


@pytest.mark.parametrize("order", LOCAL_ORDERS)
@pytest.mark.parametrize("decades", [8, 30, 100])
def test_costs_out_of_range_are_swept_in_logarithms_until_they_fit(matrix, order, decades, both_ways):
    problem = problem_of(rescaled(*matrix, decades))
    assert_same_iterates(*both_ways(problem, order=order, max_sweeps=10), tolerance=1e-8)


def test_one_unit_of_the_costs_is_as_good_as_another(both_ways):
    W, pinned = FAMILIES["layers"](np.random.default_rng(2))
    for factor in (1e-140, 1e140):
        slow, fast = both_ways(problem_of((W * factor, pinned)), order="cyclic", max_sweeps=5)
        assert_same_iterates(slow, fast)


@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_a_balanced_state_is_balanced_for_the_weights_as_given(matrix, order, monkeypatch):
    monkeypatch.setattr(stochastic, "_EDGES", SMALL)
    problem = problem_of(matrix)
    solution = bg.solve(problem, bg.StochasticSolver(order, rng=0))
    assert solution.converged
    imbalance = problem.relative_imbalance(solution.log_scales)
    assert imbalance <= 1.01e-12 if problem.manifold.pinned.any() else 1e-11
    if problem.manifold.pinned.any():  # else the balance of a held node follows from that of the others
        assert solution.history.imbalance[-1] == pytest.approx(imbalance, abs=1e-14)
    assert solution.history.log_cost[-1] == pytest.approx(problem.log_cost(solution.log_scales), abs=1e-13)


@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_where_no_tolerance_can_be_met_sweeps_end_at_rounding(order, monkeypatch):
    monkeypatch.setattr(stochastic, "_EDGES", SMALL)
    solution = bg.solve(problem_of(FAMILIES["digraph"](np.random.default_rng(3))), bg.StochasticSolver(order, 1e-300))
    assert solution.converged
    assert solution.relative_imbalance < 1e-13


@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_an_interrupt_in_a_sweep_leaves_the_state_of_a_sweep(order, monkeypatch):
    monkeypatch.setattr(stochastic, "_EDGES", SMALL)
    problem = problem_of(FAMILIES["digraph"](np.random.default_rng(3)))
    name = {"cyclic": "sweep_in_order", "colored": "sweep_in_order", "greedy": "greedy_sweep"}.get(order, "sweep")
    original, calls = getattr(kernels, name), []

    def interrupted(*arguments):
        calls.append(original(*arguments))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return calls[-1]

    monkeypatch.setattr(kernels, name, interrupted)
    solution = bg.solve(problem, bg.StochasticSolver(order, rng=0, record=True))
    assert solution.status is bg.Status.INTERRUPTED
    assert solution.iterations == 2
    assert np.array_equal(solution.log_scales, solution.history.log_scales[-1])


def edges_of(W, pinned=None, **settings):
    problem = bg.BalanceProblem.from_sparse(sparse.csr_array(W), pinned=pinned, **settings)
    return Edges.of(Quotient(problem, problem.unscaled, live=problem.active))


def test_networks_of_another_form_have_no_edge_lists():
    cycle = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    assert edges_of(cycle, pinned=[True, False, False]) is not None
    assert edges_of(cycle, pinned=[True, False, False], regularizer=bg.ElasticNet(l1=1.0, l2=1.0)) is None
    assert edges_of(cycle + np.eye(3), pinned=[True, False, False], degree=2.0) is None
    assert edges_of(cycle + np.eye(3), pinned=[True, False, False]) is not None
    assert edges_of(cycle, pinned=[True, True, True]) is None


@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_large_networks_are_swept_without_logarithms(order, monkeypatch):
    monkeypatch.setattr(stochastic, "LogSweeps", None)
    monkeypatch.setattr(stochastic.LogSweep, "__call__", None)
    problem = problem_of(digraph(300, 2000, np.random.default_rng(0)))
    assert bg.solve(problem, bg.StochasticSolver(order, rng=0)).converged


def test_colors_are_in_the_order_of_the_entries():
    matrix = FAMILIES["digraph"](np.random.default_rng(3))
    problem = problem_of(matrix)
    edges = Edges.of(Quotient(problem, problem.unscaled, live=problem.active), by_color=True)
    start, neighbor, _ = edges.entries
    for i in range(edges.size):
        earlier, later = (np.concatenate(two) for two in zip(*_halves(start, neighbor, i), strict=True))
        assert np.all(earlier < i)
        assert np.all(later > i)


def _halves(start, neighbor, i):
    a, b, c, d, e = start[4 * i : 4 * i + 5]
    return (neighbor[a:b], neighbor[b:c]), (neighbor[c:d], neighbor[d:e])


_RUN = """
import numpy as np
import balance_graph as bg
from balance_graph.solvers.local import stochastic
stochastic._EDGES = 0
from scipy import sparse
W = sparse.csr_array(np.random.default_rng(0).normal(size=(8, 8)))
problem = bg.BalanceProblem.from_sparse(W, pinned=np.arange(8) < 2)
for order in stochastic.ORDERS:
    print(*bg.solve(problem, bg.StochasticSolver(order, rng=0, max_sweeps=5)).log_scales.tolist())
"""


def test_uncompiled_loops_give_the_same_log_scales(monkeypatch):
    results = []
    for disabled in ("1", "0"):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", disabled)
        command = [sys.executable, "-W", "error", "-c", _RUN]
        results.append(
            np.fromstring(subprocess.run(command, check=True, capture_output=True, text=True).stdout, sep=" ")
        )
    assert results[0].size == 40
    np.testing.assert_allclose(*results, rtol=1e-12, atol=1e-14)
