"""A limit on time ends every solve with what it has reached, and says so.

Room: solvers.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import balance_graph as bg

SHORT, LONG = 1e-9, 1e9
SOLVERS = {
    "newton": lambda limit: bg.NewtonSolver(time_limit=limit),
    "stochastic": lambda limit: bg.StochasticSolver(rng=0, time_limit=limit),
    "flow": lambda limit: bg.FlowSolver(time_limit=limit),
    "flow, Radau": lambda limit: bg.FlowSolver(method="Radau", time_limit=limit),
    "cvxpy": lambda limit: bg.CvxpySolver(time_limit=limit),
    "cvxpy, not polished": lambda limit: bg.CvxpySolver(time_limit=limit, polish=False),
    "SCS": lambda limit: bg.CvxpySolver("SCS", time_limit=limit),
}


@pytest.fixture(scope="module")
def problem():
    return bg.compile_graph(bg.networks.layered([4, 6, 6, 3], rng=0))


@pytest.mark.parametrize("name", SOLVERS)
def test_a_limit_that_is_over_at_once_leaves_the_start(name, problem):
    solution = bg.solve(problem, SOLVERS[name](SHORT))
    assert solution.status == "limit reached"
    assert solution.log_cost <= problem.log_cost(problem.unscaled) + 1e-12
    assert np.all(np.isfinite(solution.log_scales))
    assert solution.relative_imbalance == pytest.approx(problem.relative_imbalance(solution.log_scales))


@pytest.mark.parametrize("name", SOLVERS)
def test_a_limit_that_is_far_changes_nothing(name, problem):
    limited, free = bg.solve(problem, SOLVERS[name](LONG)), bg.solve(problem, SOLVERS[name](None))
    assert limited.status == free.status
    assert limited.iterations == free.iterations
    np.testing.assert_array_equal(limited.log_scales, free.log_scales)


@pytest.mark.parametrize("kind", [bg.NewtonSolver, bg.StochasticSolver, bg.FlowSolver, bg.CvxpySolver])
@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan, "1"])
def test_a_limit_is_a_positive_number_of_seconds(kind, limit):
    with pytest.raises(bg.InvalidParameterError, match="time_limit"):
        kind(time_limit=limit)


class After:
    """A deadline that is past once it has been asked for so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    @property
    def is_past(self) -> bool:
        self.times -= 1
        return self.times < 0


@pytest.mark.parametrize("order", ["cyclic", "random", "greedy"])
def test_a_sweep_that_python_makes_ends_in_its_middle(order, monkeypatch):
    from balance_graph.solvers.local import stochastic

    monkeypatch.setattr(stochastic, "Deadline", lambda _: After(20))
    rng, n = np.random.default_rng(0), 300
    matrix = sparse.random_array((n, n), density=6 / n, rng=rng, format="csr")
    problem = bg.BalanceProblem.from_sparse(matrix, pinned=np.arange(n) < n // 3, regularizer=bg.Cauchy())
    solution = bg.solve(problem, bg.StochasticSolver(order=order, rng=0), on_unattained="prune")
    assert (solution.status, solution.iterations) == ("limit reached", 1)
    assert solution.cost < solution.initial_cost
    assert 0 < np.count_nonzero(solution.log_scales) <= 20


def test_a_matrix_that_is_not_balanced_in_time_says_so():
    rng = np.random.default_rng(0)
    dense = np.exp(3.0 * rng.normal(size=(80, 80)))
    for A in (dense, sparse.csr_array(dense)):
        result = bg.balance_matrix(A, time_limit=SHORT)
        assert result.status == "limit reached"
        assert "limit on time" in result.summary()
        np.testing.assert_allclose(result.scales[:, None] * dense / result.scales, _dense(result.matrix), rtol=1e-12)
        whole = bg.balance_matrix(A, time_limit=LONG)
        assert whole.status == "converged"
        assert "limit on time" not in whole.summary()
    with pytest.raises(bg.InvalidParameterError, match="time_limit"):
        bg.balance_matrix(dense, time_limit=0)


def _dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def test_blocks_end_on_time():
    rng = np.random.default_rng(0)
    units = [-1, np.arange(30), np.arange(30, 60), -1]
    sizes = [(10, 30), (30, 30), (30, 5)]
    blocks = [bg.DenseBlock(units[k], units[k + 1], np.exp(rng.normal(size=sizes[k]))) for k in range(3)]
    problem = bg.BlockProblem(blocks, 60)
    assert bg.solve(problem, bg.NewtonSolver(time_limit=SHORT)).status == "limit reached"
    assert bg.solve(problem, bg.NewtonSolver(time_limit=LONG)).converged


def test_a_start_that_passes_choose_is_no_answer_if_it_costs_more():
    """A start without drift along the depth may be far off where degrees multiply; time may be up right there."""
    rng, n = np.random.default_rng(0), 1200
    tail = rng.integers(0, n - 40, 9000)
    head = np.minimum(tail // 40 * 40 + 40 + rng.integers(0, 40, 9000), n - 1)
    back = rng.random(9000) < 0.02
    edges = np.unique(np.c_[np.where(back, head, tail), np.where(back, tail, head)], axis=0)
    W = sparse.csr_array((10.0 ** rng.uniform(-30, 30, len(edges)), edges.T), shape=(n, n))
    pinned = (np.arange(n) < 40) | (np.arange(n) >= n - 40)
    degree = np.where(pinned, 1.0, rng.choice([0.5, 1.0, 2.0], n))
    problem = bg.BalanceProblem.from_sparse(W, pinned=pinned, degree=degree, regularizer=20.0)
    solution = bg.solve(problem, bg.NewtonSolver(engine="auto", time_limit=SHORT), on_unattained="prune")
    pruned = problem.pruned(solution)
    assert solution.status == "limit reached"
    assert solution.log_cost <= pruned.log_cost(problem.unscaled) + 1e-9
    assert solution.log_cost == pytest.approx(pruned.log_cost(solution.log_scales), rel=1e-12)
    assert 0.0 <= solution.relative_imbalance <= 1.0


def test_what_is_not_balanced_has_no_canonical_form(monkeypatch):
    from balance_graph.graph import balancing

    G = bg.networks.layered([4, 6, 6, 3], rng=0)
    monkeypatch.setattr(balancing, "NewtonSolver", lambda: bg.NewtonSolver(max_iterations=1))
    with pytest.raises(bg.SolverError, match=r"canonical_form: limit reached, relative imbalance .*; balance\(G\)"):
        bg.canonical_form(G)
