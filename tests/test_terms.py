"""Problems of general terms, whose rows need not be edges.

Room: problem.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import balance_graph as bg

SOLVERS = {
    "rows": bg.NewtonSolver(engine="rows"),
    "passes": bg.NewtonSolver(engine="edges"),
    "auto": "newton",
    "cvxpy": "cvxpy",
    "flow": "flow",
    **{order: bg.StochasticSolver(order=order, rng=0) for order in ("random", "cyclic", "greedy", "colored")},
}


def random_terms(rng, n=6, m=40, most=3):
    """Rows of up to `most` small integers of any sign; many more of them than unknowns, so that a minimum is likely."""
    A = np.zeros((m, n))
    for row in A:
        chosen = rng.choice(n, size=rng.integers(1, most + 1), replace=False)
        row[chosen] = rng.choice([-2, -1, 1, 2], size=chosen.size)
    return A


def minimum(A, log_coefficient, exponent):
    """The minimum by Newton's method in 50 digits, from zero, with steps halved until they lower the cost."""
    with mpmath.workdps(50):
        scaled = mpmath.matrix((np.asarray(exponent).reshape(-1, 1) * A).tolist())
        b = mpmath.matrix(log_coefficient.tolist())

        def cost(u):
            return mpmath.fsum(mpmath.exp(value) for value in b + scaled * u)

        u = mpmath.matrix(A.shape[1], 1)
        for _ in range(200):
            y = [mpmath.exp(value) for value in b + scaled * u]
            weighted = mpmath.matrix([[y[t] * scaled[t, k] for k in range(scaled.cols)] for t in range(scaled.rows)])
            gradient = weighted.T * mpmath.ones(scaled.rows, 1)
            step = mpmath.lu_solve(scaled.T * weighted, -gradient)
            length = mpmath.mpf(1)
            while cost(u + length * step) > cost(u):
                length /= 2
                if length < mpmath.mpf(10) ** -30:
                    return cost(u), u
            u += length * step
            if mpmath.norm(step) < mpmath.mpf(10) ** -40:
                break
        return cost(u), u


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mixed", [False, True])
def test_every_solver_reaches_the_minimum_in_50_digits(solver, mixed):
    rng = np.random.default_rng(int(mixed))
    A, b = random_terms(rng), 2.0 * rng.normal(size=40)
    exponent = rng.choice([0.5, 1.0, 2.0], 40) if mixed else np.full(40, 2.0)
    problem = bg.BalanceProblem.from_terms(sparse.csr_array(A), b, exponent)
    solution = bg.solve(problem, SOLVERS[solver])
    exact, u = minimum(A, b, exponent)
    assert solution.converged
    assert solution.cost == pytest.approx(float(exact), rel=1e-13)
    np.testing.assert_allclose(solution.log_scales, [float(value) for value in u], atol=1e-10)
    certificate = bg.certify(problem, solution.log_scales)
    assert certificate.lower_bound <= exact
    assert certificate.relative_gap < 1e-12


def test_query_and_key():
    """Rows ``l_q - l_in`` and ``-l_q - l_in``: in closed form, ``e^(4 l_q)`` is the ratio of the two costs."""
    query, key = 8.0, 0.5
    problem = bg.BalanceProblem.from_terms([[1], [-1]], 2.0 * np.log([query, key]))
    solution = bg.solve(problem)
    assert solution.log_scales[0] == pytest.approx(np.log(key / query) / 2)
    assert solution.cost == pytest.approx(2 * query * key)


def test_edges_as_terms_are_the_network():
    G = bg.networks.layered([3, 4, 2], rng=0)
    network = bg.compile_graph(G)
    problem = bg.BalanceProblem.from_terms(network.manifold.reduced_incidence, 2.0 * network.log_weight)
    one, other = bg.solve(network), bg.solve(problem)
    assert other.log_cost == pytest.approx(one.log_cost, abs=1e-14)
    np.testing.assert_allclose(other.log_scales, one.log_scales[network.manifold.free_nodes], atol=1e-12)
    assert problem.relative_imbalance(other.log_scales) < 1e-12
    np.testing.assert_allclose(
        problem.imbalance(problem.unscaled), network.imbalance(network.unscaled)[network.manifold.free_nodes]
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 6), st.integers(1, 4), st.floats(0.2, 8.0))
def test_engines_agree_and_certificates_are_bounds(seed, n, most, p):
    rng = np.random.default_rng(seed)
    A = random_terms(rng, n, 3 * n + 6, min(most, n))
    problem = bg.BalanceProblem.from_terms(A, 3.0 * rng.normal(size=A.shape[0]), p)
    costs = []
    for solver in ("rows", "passes"):
        solution = bg.solve(problem, SOLVERS[solver], on_unattained="prune")
        assert solution.converged
        costs.append(solution.log_cost)
    assert costs[0] == pytest.approx(costs[1], abs=1e-10)
    if not solution.pruned_edges:
        elsewhere = solution.log_scales + 0.1 * rng.normal(size=n)
        assert bg.certify(problem, elsewhere).lower_bound <= solution.cost * (1 + 1e-12)


def test_terms_that_cost_nothing_are_inert():
    problem = bg.BalanceProblem.from_terms([[1], [-1], [5]], [0.0, 0.0, -np.inf])
    solution = bg.solve(problem)
    assert solution.cost == pytest.approx(2.0)
    assert solution.log_scales[0] == pytest.approx(0.0)


def test_a_term_that_nothing_moves_is_a_constant():
    solution = bg.solve(bg.BalanceProblem.from_terms([[1], [-1], [0]], [0.0, 0.0, np.log(3.0)]))
    assert solution.cost == pytest.approx(5.0)


def test_gauges():
    """Only the difference of the two unknowns counts."""
    problem = bg.BalanceProblem.from_terms([[1, -1], [-1, 1]], [np.log(4.0), 0.0])
    solution = bg.solve(problem)
    assert solution.gauge_nodes == (0,)
    assert solution.cost == pytest.approx(4.0)
    assert problem.manifold.dimension == 1


def test_no_minimum():
    problem = bg.BalanceProblem.from_terms([[1, 0], [0, 1], [0, -1]], np.zeros(3))
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.solve(problem)
    assert caught.value.edges == (0,)
    solution = bg.solve(problem, on_unattained="prune")
    assert solution.pruned_edges == (0,)
    assert solution.cost == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (([1.0], [0.0]), "two dimensions"),
        ((np.zeros((2, 1)), [0.0]), r"shape \(2,\)"),
        (([[np.nan]], [0.0]), r"A\[0, 0\] is nan"),
        (([[1]], [np.nan]), "log_coefficient of term 0"),
        (([[1]], [np.inf]), "-inf for a term that costs nothing"),
        (([[1], [1]], [0.0, 0.0], [1.0, -1.0]), "exponent of term 1"),
        (([["a"]], [0.0]), "array of two dimensions"),
    ],
)
def test_bad_input(arguments, part):
    with pytest.raises((bg.InvalidNetworkError, bg.InvalidParameterError), match=part):
        bg.BalanceProblem.from_terms(*arguments)


@pytest.mark.parametrize("form", ["cycles", "paths"])
def test_terms_have_no_graph(form):
    problem = bg.BalanceProblem.from_terms([[1], [-1]], np.zeros(2))
    with pytest.raises(bg.UnsupportedError, match="form='nodes'"):
        bg.solve(problem, bg.CvxpySolver(form=form))


def test_dead_terms_that_are_edges():
    """The two unknowns of the last three terms are joined to nothing else, and shrink: each is named, with a reason."""
    problem = bg.BalanceProblem.from_terms([[1, 0, 0], [-1, 0, 0], [-1, 1, 0], [0, -1, 1]], np.zeros(4))
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.solve(problem)
    assert caught.value.nodes == (1, 2)
    assert caught.value.edges == (2, 3)
