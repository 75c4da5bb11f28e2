"""The parts of the engine for large networks: flows, Krylov method, multigrid, inexact Newton."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import balance_graph as bg
from balance_graph.equations import BalanceEquations
from balance_graph.flows import Flows
from balance_graph.iterate import Iterate
from balance_graph.krylov import flexible_gmres
from balance_graph.multigrid import Multigrid
from balance_graph.reduction import reduce_problem
from balance_graph.solvers import newton


def layered(widths, rng):
    """Dense layers with normal weights; first and last layer pinned."""
    start = np.cumsum([0, *widths])
    tail = np.concatenate([np.repeat(np.arange(start[k], start[k + 1]), widths[k + 1]) for k in range(len(widths) - 1)])
    head = np.concatenate([np.tile(np.arange(start[k + 1], start[k + 2]), widths[k]) for k in range(len(widths) - 1)])
    n = int(start[-1])
    pinned = np.zeros(n, dtype=bool)
    pinned[: widths[0]] = pinned[start[-2] :] = True
    return sparse.csr_array((rng.normal(size=tail.size), (tail, head)), shape=(n, n)), pinned


def random_digraph(n, m, rng, spread=1.0):
    """Uniform edges with log-normal weights, a ring so that all nodes are live, a tenth of the nodes pinned."""
    tail = np.concatenate([rng.integers(0, n, m), np.arange(n)])
    head = np.concatenate([(tail[:m] + rng.integers(1, n, m)) % n, np.roll(np.arange(n), 1)])  # no self-loops
    weight = np.exp(spread * rng.normal(size=tail.size)) * rng.choice([-1.0, 1.0], tail.size)
    pinned = np.zeros(n, dtype=bool)
    pinned[: n // 10] = True
    return sparse.csr_array((weight, (tail, head)), shape=(n, n)), pinned


FAMILIES = {
    "wide": lambda rng: layered([60] * 5, rng),
    "deep": lambda rng: layered([6] * 400, rng),
    "random": lambda rng: random_digraph(2000, 12_000, rng),
    "heavy tails": lambda rng: random_digraph(2000, 12_000, rng, spread=3.0),
}


@pytest.fixture(params=FAMILIES)
def matrix(request):
    return FAMILIES[request.param](np.random.default_rng(3))


def problem_of(matrix, degree=1.0, regularizer=2.0):
    W, pinned = matrix
    return bg.BalanceProblem.from_sparse(W, pinned=pinned, degree=degree, regularizer=regularizer)


def weights_after(problem, log_scales):
    return problem.log_weight + problem.log_gains(log_scales)


@pytest.fixture
def inexact(monkeypatch):
    """Have the method for large networks take small ones."""
    monkeypatch.setattr(newton, "_LARGE", 1)


@pytest.mark.parametrize("degree", [1.0, 2.0, "mixed"])
@pytest.mark.parametrize("p", [1.0, 3.0])
def test_inexact_newton_reaches_the_weights_of_the_exact_method(matrix, degree, p, monkeypatch):
    if degree == "mixed":
        degree = np.random.default_rng(0).choice([0.5, 1.0, 2.0], matrix[0].shape[0])
    problem = problem_of(matrix, degree, p)
    monkeypatch.setattr(newton, "_LARGE", 10**9)
    exact = bg.solve(problem, "newton")
    monkeypatch.setattr(newton, "_LARGE", 1)
    inexact = bg.solve(problem, "newton")
    assert exact.converged
    assert inexact.converged
    assert any("Krylov" in note for note in inexact.notes)
    if np.all(degree == 1.0):  # degrees multiply along the depth, and then the exact method may have to help
        assert not any("took over" in note for note in inexact.notes)
    # A relative imbalance of 1e-12 at both ends, times the condition of a chain of 400 layers.
    np.testing.assert_allclose(
        weights_after(problem, inexact.log_scales), weights_after(problem, exact.log_scales), rtol=0, atol=1e-7
    )
    assert inexact.relative_imbalance <= 1e-12
    assert inexact.history.log_cost[-1] == pytest.approx(inexact.log_cost, abs=1e-9)


def test_scales_that_the_weights_come_with_do_not_matter(matrix, inexact):
    W, pinned = matrix
    rng = np.random.default_rng(1)
    log_scales = np.where(pinned, 0.0, rng.uniform(-230, 230, W.shape[0]))
    plain = problem_of(matrix)
    scaled = problem_of(
        (sparse.diags_array(np.exp(-log_scales / 2)) @ W @ sparse.diags_array(np.exp(log_scales / 2)), pinned)
    )
    one, two = bg.solve(plain, "newton"), bg.solve(scaled, "newton")
    assert one.converged
    assert two.converged
    assert two.iterations <= one.iterations + 1
    np.testing.assert_allclose(weights_after(plain, one.log_scales), weights_after(scaled, two.log_scales), atol=1e-7)


def test_certificate_of_an_inexact_solution(inexact):
    problem = problem_of(random_digraph(2000, 12_000, np.random.default_rng(5)))
    certificate = bg.certify(problem, bg.solve(problem, "newton").log_scales)
    assert certificate.relative_gap < 1e-12


def test_flows_agree_with_the_balance_equations(matrix):
    reduction = reduce_problem(problem_of(matrix), problem_of(matrix).active)
    flows = Flows.of(reduction)
    flows.sweep()
    into, out_of, log_cost = flows.in_out()
    slow = BalanceEquations(reduction.matrix).imbalance(reduction.log_slopes(flows.log_scales)[0])
    np.testing.assert_allclose(np.log(into) - np.log(out_of), slow, atol=1e-11)
    with_constant = np.logaddexp(log_cost, reduction.log_constant)
    assert with_constant == pytest.approx(reduction.log_cost(flows.log_scales), abs=1e-10)


@pytest.mark.parametrize("degree", [1.0, 2.0])
def test_jacobian_is_the_derivative_of_the_imbalance(degree):
    problem = problem_of(layered([4, 5, 6, 3], np.random.default_rng(0)), degree)
    flows = Flows.of(reduce_problem(problem, problem.active))
    direction = np.random.default_rng(1).normal(size=flows.size)

    def imbalance(step):
        flows.move(step * direction)
        into, out_of, _ = flows.in_out()
        flows.move(-step * direction)
        return np.log(into) - np.log(degree * out_of)

    into, out_of, _ = flows.in_out()
    central = (imbalance(1e-5) - imbalance(-1e-5)) / 2e-5
    np.testing.assert_allclose(flows.jacobian(into, out_of)(direction), central, atol=1e-7)


def test_symmetric_matrix_is_the_hessian_up_to_a_factor():
    problem = problem_of(layered([4, 5, 6, 3], np.random.default_rng(0)), 2.0, 3.0)
    reduction = reduce_problem(problem, problem.active)
    flows = Flows.of(reduction)
    into, out_of, _ = flows.in_out()
    log_slopes, _ = reduction.log_slopes(flows.log_scales)
    A = reduction.matrix
    hessian = (A.T @ sparse.diags_array(np.exp(log_slopes) / 3.0) @ A).toarray()
    np.testing.assert_allclose(flows.laplacian(into, out_of).toarray(), hessian, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", ["self-loop of degree 2", "two exponents", "nodes in ratios", "wide with degree 2"])
def test_problems_of_another_form_are_left_to_the_exact_method(case, inexact):
    G = bg.networks.layered([3, 4, 4, 2], rng=0)
    if case == "self-loop of degree 2":
        G.nodes["h1.0"]["activation"] = "relu2"
        G.add_edge("h1.0", "h1.0", weight=0.5)
    elif case == "wide with degree 2":
        G.nodes["h1.0"]["activation"] = "relu2"
        G.edges["x0", "h1.0"]["weight"] = 1e120
    elif case == "two exponents":
        G.edges["x0", "h1.0"]["exponent"] = 1.0
    else:
        G.nodes["h1.0"]["activation"] = "relu2"
        G.edges["h1.0", "h2.0"]["fixed"] = True
    problem = bg.compile_graph(G)
    assert Flows.of(reduce_problem(problem, problem.active)) is None
    assert bg.solve(problem, "newton").converged


def test_multigrid_preconditions_a_deep_laplacian_independently_of_depth():
    steps = []
    for depth in (200, 1600):
        problem = problem_of(layered([6] * depth, np.random.default_rng(0)))
        reduction = reduce_problem(problem, problem.active)
        flows = Flows.of(reduction)
        for _ in range(3):
            flows.sweep()
        matrix = flows.laplacian(*flows.in_out()[:2])
        right = np.random.default_rng(1).normal(size=flows.size) * matrix.diagonal()
        solution, count, residual = flexible_gmres(
            lambda x, matrix=matrix: matrix @ x, right, Multigrid(matrix), tol=1e-8, max_steps=60
        )
        assert residual <= 1e-8
        assert np.linalg.norm(matrix @ solution - right) <= 2e-8 * np.linalg.norm(right)
        steps.append(count)
    assert steps[1] <= 2 * steps[0]
    assert len(Multigrid(matrix).sizes) > 1


def test_flexible_gmres_solves_an_unsymmetric_system():
    rng = np.random.default_rng(0)
    matrix = np.eye(30) + 0.3 * rng.normal(size=(30, 30)) / np.sqrt(30)
    right = rng.normal(size=30)
    solution, steps, residual = flexible_gmres(lambda x: matrix @ x, right, lambda x: x, tol=1e-12, max_steps=30)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, right), atol=1e-10)
    assert residual <= 1e-12
    assert steps <= 30
    assert flexible_gmres(lambda x: matrix @ x, np.zeros(30), lambda x: x, tol=1e-12, max_steps=30)[1] == 0


def test_exact_method_takes_over_where_the_inexact_one_stalls(inexact, monkeypatch):
    from balance_graph.solvers import _inexact

    monkeypatch.setattr(_inexact.InexactNewton, "_step", lambda *_: False)
    solution = bg.solve(problem_of(layered([4, 5, 6, 3], np.random.default_rng(0))), "newton")
    assert solution.converged
    assert any("took over" in note for note in solution.notes)


def test_iterative_solves_replace_factorizations_that_would_fill_in(monkeypatch):
    from balance_graph import laplacian

    problem = problem_of(random_digraph(400, 3000, np.random.default_rng(0)))
    reduction = reduce_problem(problem, problem.active)
    state = Iterate.at(reduction, np.zeros(reduction.size))
    direct = state.equations.newton_direction(state.log_slopes, state.ratio)
    monkeypatch.setattr(laplacian, "_SMALL", 1)
    monkeypatch.setattr(laplacian, "_MOST_OPERATIONS", 1.0)
    np.testing.assert_allclose(
        state.equations.newton_direction(state.log_slopes, state.ratio), direct, rtol=1e-7, atol=1e-9
    )
