"""Bounds on the scales along a run, against recorded runs and linear programs.

Room: theory.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog
from test_rates import NETWORKS

import balance_graph as bg
from balance_graph.theory.bounds import scale_bounds

# Log-scales are a few units in size and reach a bound only to rounding.
ROUNDING = 1e-9


@pytest.fixture(params=NETWORKS, name="problem")
def _problem(request):
    return bg.compile_graph(*NETWORKS[request.param])


@pytest.mark.parametrize("order", ["random", "greedy"])
def test_runs_stay_inside(problem, order):
    lower, upper = scale_bounds(problem)
    solver = bg.StochasticSolver(order, rng=0, record=True, max_sweeps=40)
    states = np.array(bg.solve(problem, solver).history.log_scales)
    assert np.all(states >= lower - ROUNDING)
    assert np.all(states <= upper + ROUNDING)


def test_bounds_are_finite_and_hold_the_start(problem):
    lower, upper = scale_bounds(problem)
    assert np.all(np.isfinite(lower) & np.isfinite(upper))
    assert np.all((lower <= 0) & (upper >= 0))
    pinned = problem.manifold.pinned
    assert not lower[pinned].any()
    assert not upper[pinned].any()


def test_from_another_start():
    problem = bg.compile_graph(*NETWORKS["layered"])
    start = np.where(problem.manifold.pinned, 0.0, np.random.default_rng(0).standard_normal(problem.n_nodes))
    lower, upper = scale_bounds(problem, start)
    solver = bg.StochasticSolver(rng=0, record=True)
    states = np.array(bg.solve(problem, solver, start=start).history.log_scales)
    assert np.all((states >= lower - ROUNDING) & (states <= upper + ROUNDING))
    # The bounds grow with the cost at the start, which is larger here than that of the weights as given.
    near_lower, near_upper = scale_bounds(problem)
    free = ~problem.manifold.pinned
    assert np.all((lower <= near_lower)[free] & (upper >= near_upper)[free])


def test_tight_for_one_unit():
    """In-weight s, out-weight w/s: neither may cost more than the start."""
    problem = bg.compile_graph(bg.networks.chain(weights=[1.0, 4.0]), 1.0)
    lower, upper = scale_bounds(problem)
    assert lower[1] == pytest.approx(np.log(4 / 5), rel=1e-9)
    assert upper[1] == pytest.approx(np.log(5), rel=1e-9)


@pytest.mark.parametrize("name", ["layered", "recurrent with self-loops", "mixed degrees"])
def test_as_tight_as_linear_programs(name):
    """With one bound on each log-gain nothing better can be said: the slow twin solves two programs a node."""
    problem = bg.compile_graph(*NETWORKS[name])
    assert problem.regularizer == bg.Lp(2.0)
    matrix = problem.manifold.incidence.toarray()
    moving = np.any(matrix != 0, axis=1)
    cost = np.exp(2.0 * problem.log_weight)
    limit = 0.5 * np.log(cost[moving].sum() / cost[moving])
    lower, upper = scale_bounds(problem)
    for k, node in enumerate(problem.manifold.free_nodes):
        for sign, found in ((1.0, lower), (-1.0, upper)):
            program = linprog(sign * np.eye(matrix.shape[1])[k], matrix[moving], limit, bounds=(None, None))
            assert found[node] == pytest.approx(sign * program.fun, rel=1e-6, abs=1e-6)


def test_nothing_to_balance():
    lower, upper = scale_bounds(bg.compile_graph(nx.DiGraph([("x", "y", {"weight": 1.0})])))
    assert not lower.any()
    assert not upper.any()


def test_not_attained():
    network = bg.networks.chain(2, rng=0)
    network.add_node("dead", role="hidden")
    network.add_edge("x0", "dead", weight=1.0)
    with pytest.raises(bg.NotAttainedError, match="dead"):
        scale_bounds(bg.compile_graph(network))
