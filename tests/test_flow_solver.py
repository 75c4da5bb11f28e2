"""The balancing flow: its path, what it conserves, and how it ends.

Room: solvers.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, case_optimum
from helpers import assert_optimal_weights, chain, regularizer_of
from scipy.integrate import solve_ivp

import balance_graph as bg

SMALL = ("layered_bias", "recurrent", "bipu_self_loops", "elastic", "tied", "shared_not_ties", "log1p2_bipu")


def slow_velocity(problem, log_scales):
    """``-A^T y`` from the definition: y = phi'(L), differences of the cost, the manifold's own basis."""
    basis = problem.manifold.basis.toarray()
    step = 1e-6
    slopes = [
        (problem.cost(log_scales + step * direction) - problem.cost(log_scales - step * direction)) / (2 * step)
        for direction in basis.T
    ]
    return -np.array(slopes)


@pytest.mark.parametrize("name", ["layered", "bipu_layers", "tied", "exponents"])
def test_the_path_is_that_of_the_flow_integrated_the_slow_way(name):
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    basis = problem.manifold.basis
    solution = bg.solve(problem, bg.FlowSolver(accuracy=1e-8, record=True))
    flows = np.exp(problem.rows.log_slopes(problem.log_gains(problem.unscaled)[problem.rows.edge])[0])
    at = np.searchsorted(solution.history.times, 2.0)
    # Time is counted in units of one over the sum of the flows that some scale moves.
    movable = np.diff(problem.manifold.reduced_incidence.indptr)[problem.rows.edge] > 0
    end = solution.history.times[at] / flows[movable].sum()
    slow = solve_ivp(
        lambda _, u: slow_velocity(problem, basis @ u), (0, end), np.zeros(basis.shape[1]), rtol=1e-9, atol=1e-9
    )
    assert np.allclose(basis @ slow.y[:, -1], solution.history.log_scales[at], rtol=0, atol=1e-6)
    assert np.abs(slow.y[:, -1]).max() > 1e-2


@pytest.mark.parametrize("name", SMALL)
def test_path_products_are_conserved_all_along(name):
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    solution = bg.solve(problem, bg.FlowSolver(record=True))
    assert len(solution.history.path_deviation) == len(solution.history.times) == len(solution.history)
    assert max(solution.history.path_deviation) <= 1e-14
    assert any("path products conserved" in note for note in solution.notes)
    # The same from the weights themselves, along every path of the explicit form.
    equations = problem.manifold.equations("paths")
    for log_scales in solution.history.log_scales[::10]:
        assert np.abs(equations @ problem.log_gains(log_scales)).max() <= 1e-12


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("method", ["BDF", "Radau"])
def test_the_cost_falls_along_the_flow(name, method):
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.FlowSolver(method=method, record=True))
    assert result.relative_imbalance <= 1e-8
    # A step may leave the path by the accuracy; near the minimum that costs its square.
    assert np.all(np.diff(result.history.log_cost) <= bg.FlowSolver().accuracy ** 2)
    assert np.all(np.diff(result.history.times) >= 0)
    assert_optimal_weights(result.graph, case_optimum(name), 1e-7)


def test_the_name_stands_for_the_solver():
    result = bg.balance(chain(1.0, 4.0), solver="flow")
    assert result.solver == "flow"
    assert result.converged
    assert "steps" in result.summary()


@pytest.mark.parametrize("name", ["wide_chain", "wide_chain_bipu", "wide_coefficients"])
def test_a_far_start_does_not_leave_the_range_of_floats(name):
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.FlowSolver(record=True))
    assert result.converged
    assert np.all(np.isfinite(result.history.log_cost))
    assert max(result.history.path_deviation) <= 1e-14
    assert_optimal_weights(result.graph, case_optimum(name), 1e-9)


@pytest.mark.parametrize("name", ["strong_cycle_1e8", "strong_cycle_off_center"])
def test_what_rounding_hides_is_not_passed_off_as_balanced(name):
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.FlowSolver(max_steps=300))
    assert result.status in {bg.Status.LIMIT, bg.Status.STALLED}
    assert not result.converged
