"""Every solver on every network of the table ends at the same, certified optimum.

Room: solvers.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, case_optimum
from helpers import (
    LOCAL_ORDERS,
    SOLVERS,
    assert_balanced,
    assert_certified,
    assert_optimal_cost,
    assert_optimal_weights,
    assert_same_but_for_weights,
    assert_same_function,
    assert_same_weights,
    assert_unmodified,
    chain,
    is_local,
    log1p2,
    log1p2_for_cvxpy,
    network,
    regularizer_of,
    rescaled,
    snapshot,
    weights_of,
)
from scipy import sparse

import balance_graph as bg

PAIRS = [
    (solver, name)
    for name, case in CASES.items()
    for solver in SOLVERS
    if not (is_local(solver) and (case.slow_local or not case.tied_only))
    # Rounding of the large flows hides the small ones from a flow that moves all units at once.
    and not (solver == "flow" and (case.slow_local or case.wide))
]
# A few networks of every kind for the properties that need several solves each.
SMALL = ("layered_bias", "recurrent", "bipu_self_loops", "elastic", "tied", "fixed_c2", "shared_ties", "wide_chain")


@pytest.mark.parametrize(("solver", "name"), PAIRS)
def test_every_solver_finds_the_optimum(solver, name):
    settings, tolerance = SOLVERS[solver]
    G, optimum = CASES[name].make(), case_optimum(name)
    before = snapshot(G)
    result = bg.balance(G, regularizer_of(name), solver=settings)
    assert result.status is (bg.Status.NOTHING_TO_SCALE if name == "no_free_node" else bg.Status.CONVERGED)
    assert result.converged
    assert_unmodified(G, before)
    assert_same_but_for_weights(G, result.graph)
    assert_optimal_cost(result, optimum, 1e-12)
    assert_optimal_weights(result.graph, optimum, tolerance)
    assert_certified(result, optimum, 1e-10)
    assert result.solver == settings.name
    assert len(result.history) >= 1
    assert result.history.imbalance[-1] <= max(1e-12, 1e-10 * CASES[name].wide)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.tied_only])
@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_local_orders_refuse_what_no_node_can_balance(name, order):
    with pytest.raises(bg.UnsupportedError, match="solver='newton' or 'cvxpy'"):
        bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.StochasticSolver(order=order))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.slow_local])
def test_where_local_steps_are_slow_the_answer_is_not_passed_off_as_optimal(name):
    solver = bg.StochasticSolver(order="cyclic", max_sweeps=50)
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver=solver)
    optimum = case_optimum(name)
    assert_certified(result, optimum, math.inf)
    # Either the limit says so, or the certificate does: the cost is no farther from the optimum than it proves.
    assert not result.converged or result.solution.log_cost - float(optimum.log_cost) <= result.certificate.relative_gap


# --- uniqueness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", SMALL)
def test_every_scaling_ends_in_the_same_weights(solver, name):
    settings, tolerance = SOLVERS[solver]
    G, optimum, rng = CASES[name].make(), case_optimum(name), np.random.default_rng(1)
    for _ in range(2):
        result = bg.balance(rescaled(G, rng), regularizer_of(name), solver=settings)
        assert_optimal_weights(result.graph, optimum, tolerance)


@pytest.mark.parametrize("spread", [1.0, 10.0])
@pytest.mark.parametrize("name", ["log1p2_recurrent", "log1p2_bipu"])
def test_newton_finds_the_optimum_of_a_flat_cost_from_afar(name, spread):
    problem = bg.compile_graph(CASES[name].make(), log1p2())
    basis = problem.manifold.basis
    for seed in range(4):
        start = basis @ np.random.default_rng(seed).normal(0, spread, basis.shape[1])
        solution = bg.solve(problem, "newton", start=start)
        assert solution.converged
        assert solution.log_cost == pytest.approx(float(case_optimum(name).log_cost), abs=1e-10)


@pytest.mark.parametrize("start", range(3))
@pytest.mark.parametrize("name", SMALL)
def test_every_start_ends_in_the_same_log_scales(name, start):
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    basis = problem.manifold.basis
    log_scales = basis @ np.random.default_rng(start).normal(0, 2, basis.shape[1])
    one, two = bg.solve(problem), bg.solve(problem, start=log_scales)
    assert two.converged
    assert two.cost == pytest.approx(one.cost, rel=1e-12)
    assert np.allclose(problem.log_gains(one.log_scales), problem.log_gains(two.log_scales), rtol=0, atol=1e-10)
    assert two.initial_cost == pytest.approx(problem.cost(log_scales), rel=1e-12)


# --- repeatability, interruption, limits ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_equal_seeds_give_equal_results(order):
    G = CASES["recurrent"].make()
    runs = [bg.balance(G, solver=bg.StochasticSolver(order=order, rng=seed)) for seed in (7, 7)]
    assert weights_of(runs[0].graph) == weights_of(runs[1].graph)
    assert runs[0].history.log_cost == runs[1].history.log_cost


@pytest.mark.parametrize("order", ["random", "shuffled"])
def test_other_seeds_take_another_way_to_the_same_weights(order):
    G = CASES["recurrent"].make()
    one, two = (bg.balance(G, solver=bg.StochasticSolver(order=order, rng=seed)) for seed in (7, 8))
    assert one.history.log_cost != two.history.log_cost
    assert_same_weights(one.graph, two.graph, 1e-8)


def test_a_generator_is_drawn_from():
    G, generator = CASES["recurrent"].make(), np.random.default_rng(7)
    first = bg.balance(G, solver=bg.StochasticSolver(rng=generator))
    assert first.history.log_cost == bg.balance(G, solver=bg.StochasticSolver(rng=7)).history.log_cost
    assert first.history.log_cost != bg.balance(G, solver=bg.StochasticSolver(rng=generator)).history.log_cost


@pytest.mark.parametrize("name", ["layered_bias", "log1p2_bipu", "bipu_self_loops", "tied"])
@pytest.mark.parametrize("order", LOCAL_ORDERS)
def test_the_cost_never_rises_from_sweep_to_sweep(name, order):
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.StochasticSolver(order=order, rng=3))
    steps = np.diff(result.history.log_cost)
    assert steps.size > 1
    assert np.all(steps <= 1e-14)
    assert steps[0] < 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("after", [0, 1])
def test_an_interrupt_leaves_a_usable_result(solver, after):
    G = CASES["recurrent"].make()

    def interrupt(iteration: int, log_cost: float, imbalance: float) -> None:
        if iteration >= after:
            raise KeyboardInterrupt

    result = bg.balance(G, solver=SOLVERS[solver][0], progress=interrupt)
    assert result.status is bg.Status.INTERRUPTED
    assert not result.converged
    assert len(result.history) == after + 1
    assert result.cost <= result.initial_cost * (1 + 1e-12)
    assert result.cost == pytest.approx(bg.cost(result.graph), rel=1e-12)
    assert bg.equivalent(G, result.graph)
    assert_same_function(G, result.graph, np.random.default_rng(0), 1e-11)
    assert "interrupted" in result.summary()


@pytest.mark.parametrize("solver", SOLVERS)
def test_progress_is_reported_from_the_start_to_the_end(solver):
    seen = []
    result = bg.balance(
        CASES["layered_bias"].make(), solver=SOLVERS[solver][0], progress=lambda *state: seen.append(state)
    )
    assert seen[0][0] == 0
    assert seen[0][1] == pytest.approx(math.log(result.initial_cost))
    assert seen[-1][1] == pytest.approx(math.log(result.cost))
    assert seen[-1][2] <= 1e-9
    numbers = [state[0] for state in seen]
    assert all(isinstance(number, int) for number in numbers)
    if not solver.startswith("cvxpy"):
        assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    "solver",
    [bg.NewtonSolver(max_iterations=1), bg.StochasticSolver(max_sweeps=1, rng=0), bg.FlowSolver(max_steps=1)],
    ids=["newton", "local", "flow"],
)
def test_a_limit_is_named_as_such(solver):
    G = CASES["recurrent"].make()
    result = bg.balance(G, solver=solver)
    assert result.status is bg.Status.LIMIT
    assert result.iterations == 1
    assert result.relative_imbalance > 1e-9
    assert result.cost < result.initial_cost
    assert bg.equivalent(G, result.graph)
    assert "max_" in result.status.advice


def test_a_looser_tolerance_takes_fewer_sweeps_and_is_met():
    G = CASES["recurrent"].make()
    tight, loose = (bg.balance(G, solver=bg.StochasticSolver(rng=0, tol=tol)) for tol in (1e-12, 1e-3))
    assert loose.iterations < tight.iterations
    assert 1e-12 < loose.relative_imbalance <= 1e-3


def test_recorded_log_scales_lead_to_the_result():
    G = CASES["tied"].make()
    result = bg.balance(G, solver=bg.StochasticSolver(rng=0, record=True))
    recorded = result.history.log_scales
    assert len(recorded) == len(result.history)
    problem = bg.compile_graph(G)
    assert [problem.log_cost(state) for state in recorded] == pytest.approx(result.history.log_cost, abs=1e-12)
    assert np.array_equal(recorded[-1], result.solution.log_scales)
    assert not np.any(recorded[0])
    assert bg.balance(G, solver=bg.StochasticSolver(rng=0)).history.log_scales == []


# --- compiled and not -----------------------------------------------------------------------------------------------

_RUN = """
import sys
sys.path.insert(0, {tests!r})
{before}
from cases import CASES
import balance_graph as bg
for order in ("cyclic", "random", "greedy", "colored"):
    for name in ("recurrent", "bipu_self_loops"):
        case = CASES[name]
        result = bg.balance(case.make(), case.regularizer[1], solver=bg.StochasticSolver(order=order, rng=0))
        print(order, name, [data["weight"].hex() for *_, data in result.graph.edges(data=True)], result.iterations)
"""


@pytest.mark.parametrize(
    ("before", "environment"),
    [("import sys; sys.modules['numba'] = None", {}), ("", {"NUMBA_DISABLE_JIT": "1"})],
    ids=["numba absent", "numba disabled"],
)
def test_uncompiled_kernels_give_the_same_weights(before, environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    source = _RUN.format(tests=str(Path(__file__).parent), before=before)
    lines = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(lines) == 8
    for line in lines:
        order, name, rest = line.split(" ", 2)
        written = [
            float.fromhex(word) for word in rest[rest.index("[") + 1 : rest.index("]")].replace("'", "").split(", ")
        ]
        case = CASES[name]
        result = bg.balance(case.make(), case.regularizer[1], solver=bg.StochasticSolver(order=order, rng=0))
        assert written == pytest.approx(list(weights_of(result.graph).values()), rel=1e-9)


# --- cvxpy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["nodes", "cycles", "paths"])
@pytest.mark.parametrize("name", ["layered_bias", "recurrent", "bipu_layers", "tied", "fixed_c2", "shared_not_ties"])
def test_unpolished_cvxpy_is_near_and_says_so(name, form):
    optimum = case_optimum(name)
    solver = bg.CvxpySolver(form=form, polish=False, tol=1e-4)
    result = bg.balance(CASES[name].make(), regularizer_of(name), solver=solver)
    assert result.status in {bg.Status.CONVERGED, bg.Status.INACCURATE}
    assert result.converged == (result.relative_imbalance <= 1e-4)
    assert_optimal_cost(result, optimum, 1e-7)
    assert_certified(result, optimum, 1e-6)
    assert_optimal_weights(result.graph, optimum, 1e-3)


@pytest.mark.parametrize("name", ["layered", "recurrent", "bipu_layers"])
def test_the_scs_backend(name):
    polished = bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.CvxpySolver(backend="SCS"))
    assert polished.converged
    assert_optimal_weights(polished.graph, case_optimum(name), 1e-10)
    rough = bg.balance(CASES[name].make(), regularizer_of(name), solver=bg.CvxpySolver(backend="SCS", polish=False))
    assert_optimal_cost(rough, case_optimum(name), 1e-3)
    assert any("SCS" in note for note in rough.solution.notes)


@pytest.mark.parametrize("name", ["log1p2", "log1p2_recurrent", "log1p2_bipu"])
@pytest.mark.parametrize("form", ["nodes", "cycles", "paths"])
def test_a_log_convex_regularizer_with_its_cvxpy_expression(name, form):
    result = bg.balance(CASES[name].make(), log1p2_for_cvxpy(), solver=bg.CvxpySolver(form=form))
    assert result.converged
    assert_optimal_weights(result.graph, case_optimum(name), 1e-8)
    assert_certified(result, case_optimum(name), 1e-10)


def test_without_its_expression_a_sequence_of_quadratic_models_gets_near_by_itself():
    result = bg.balance(CASES["log1p2"].make(), log1p2(), solver=bg.CvxpySolver(polish=False))
    assert_optimal_cost(result, case_optimum("log1p2"), 1e-6)


@pytest.mark.parametrize(
    ("solver", "word"),
    [
        (lambda: bg.CvxpySolver(backend="NOPE"), "not installed; installed: .*CLARABEL"),
        (lambda: bg.CvxpySolver(options={"nonsense": 1}), "nonsense"),
    ],
)
def test_cvxpy_settings_that_the_backend_refuses(solver, word):
    with pytest.raises(bg.InvalidParameterError, match=word):
        bg.balance(chain(1.0, 4.0), solver=solver())


def test_a_backend_that_cannot_solve_the_problem_is_a_solver_error():
    with pytest.raises(bg.SolverError, match="use solver='newton'"):
        bg.balance(chain(1.0, 4.0), solver=bg.CvxpySolver(backend="OSQP"))


def test_options_reach_the_backend():
    result = bg.balance(CASES["layered"].make(), solver=bg.CvxpySolver(options={"max_iter": 1}, polish=False))
    assert result.status in {bg.Status.LIMIT, bg.Status.INACCURATE}


def dense_layers(depth, width, seed):
    """Dense layers with normal weights; the first and the last are pinned."""
    n = depth * width
    tail = np.repeat(np.arange(n - width), width)
    head = (tail // width + 1) * width + np.tile(np.arange(width), n - width)
    weight = np.random.default_rng(seed).normal(size=tail.size)
    layer = np.arange(n) // width
    matrix = sparse.csr_array((weight, (tail, head)), shape=(n, n))
    return bg.BalanceProblem.from_sparse(matrix, pinned=(layer == 0) | (layer == depth - 1))


@pytest.mark.parametrize("seed", range(6))
def test_cvxpy_solves_dense_layers_of_thousands_of_edges(seed):
    """Divided by the largest cost, the conic solver failed on every other of these."""
    problem = dense_layers(20, 11, seed)
    rough = bg.solve(problem, bg.CvxpySolver(polish=False, tol=1e-4))
    assert rough.converged
    assert rough.log_cost == pytest.approx(bg.solve(problem, "newton").log_cost, abs=1e-7)


def test_cvxpy_prepares_tens_of_thousands_of_edges_in_little_memory(monkeypatch):
    class Prepared(Exception):
        pass

    def prepare(solver, problem, values, *_):
        assert problem.parameters() == []
        tracemalloc.start()
        problem.get_problem_data(solver.backend)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1e8  # with a parameter: 7 GB
        raise Prepared

    monkeypatch.setattr(bg.CvxpySolver, "_solve", prepare)
    with pytest.raises(Prepared):
        bg.solve(dense_layers(20, 39, 0), bg.CvxpySolver())


def test_cvxpy_tries_smaller_units_where_the_backend_fails(monkeypatch):
    tried, solve = [], bg.CvxpySolver._solve

    def fail_twice(solver, problem, *rest):
        tried.append(problem)
        if len(tried) <= 2:
            message = "no luck"
            raise bg.SolverError(message)
        return solve(solver, problem, *rest)

    monkeypatch.setattr(bg.CvxpySolver, "_solve", fail_twice)
    assert bg.balance(CASES["layered"].make(), solver="cvxpy").converged
    assert len(tried) == 3


# --- the choice of a solver -----------------------------------------------------------------------------------------


def test_auto_takes_cvxpy_while_the_network_is_small_and_newton_above():
    assert bg.balance(chain(1.0, 4.0)).solver == "cvxpy"
    assert bg.balance(bg.networks.layered([40, 40, 20], rng=0)).solver == "newton"


def test_auto_falls_back_on_newton_where_cvxpy_fails(monkeypatch):
    def fail(*args, **kwargs):
        message = "no luck"
        raise bg.SolverError(message)

    monkeypatch.setattr(bg.CvxpySolver, "run", fail)
    result = bg.balance(chain(1.0, 4.0))
    assert result.solver == "newton"
    assert result.converged
    assert any("Newton took over: no luck" in note for note in result.solution.notes)
    with pytest.raises(bg.SolverError):
        bg.balance(chain(1.0, 4.0), solver="cvxpy")


@pytest.mark.parametrize("solver", [bg.NewtonSolver, "Newton", None, 5, object(), lambda reduction: None])
def test_what_is_no_solver_is_refused(solver):
    with pytest.raises(bg.InvalidParameterError, match="solver must be"):
        bg.balance(chain(1.0, 4.0), solver=solver)


@pytest.mark.parametrize(
    "make",
    [
        lambda: bg.NewtonSolver(tol=0),
        lambda: bg.NewtonSolver(tol="tight"),
        lambda: bg.NewtonSolver(tol=math.nan),
        lambda: bg.NewtonSolver(max_iterations=0),
        lambda: bg.NewtonSolver(max_iterations=1.5),
        lambda: bg.StochasticSolver(order="any"),
        lambda: bg.StochasticSolver(order=["random"]),
        lambda: bg.StochasticSolver(tol=-1e-9),
        lambda: bg.StochasticSolver(max_sweeps=0),
        lambda: bg.StochasticSolver(max_sweeps=True),
        lambda: bg.StochasticSolver(rng=-1),
        lambda: bg.StochasticSolver(rng=True),
        lambda: bg.StochasticSolver(rng="seed"),
        lambda: bg.FlowSolver(method="Euler"),
        lambda: bg.FlowSolver(accuracy=1.0),
        lambda: bg.FlowSolver(tol=0),
        lambda: bg.FlowSolver(max_steps=0),
        lambda: bg.CvxpySolver(form="edges"),
        lambda: bg.CvxpySolver(backend=3),
        lambda: bg.CvxpySolver(polish="no"),
        lambda: bg.CvxpySolver(options=5),
        lambda: bg.CvxpySolver(tol=math.inf),
    ],
)
def test_settings_are_checked_when_made(make):
    with pytest.raises(bg.InvalidParameterError):
        make()


@pytest.mark.parametrize("policy", ["ignore", "", None, ["raise"], True])
def test_an_unknown_policy_is_refused(policy):
    with pytest.raises(bg.InvalidParameterError, match="on_unattained must be 'raise' or 'prune'"):
        bg.balance(chain(1.0, 4.0), on_unattained=policy)


# --- results --------------------------------------------------------------------------------------------------------


def test_scales_belong_to_the_free_nodes_and_lead_to_the_balanced_weights():
    G = CASES["bipu_layers"].make()
    result = bg.balance(G, 2)
    at = bg.manifold(G)
    assert list(result.scales) == [at.nodes[k] for k in at.free_nodes.tolist()]
    assert {node: math.exp(value) for node, value in result.log_scales.items()} == pytest.approx(result.scales)
    assert_same_weights(bg.scale(G, result.scales), result.graph, 1e-13)


def test_a_result_tells_its_story():
    result = bg.balance(CASES["layered"].make(), 2)
    text = result.summary()
    assert "converged" in text
    assert "certified" in text
    assert f"{result.cost:.12g}" in text
    assert max(map(len, text.splitlines())) <= 88
    assert "converged" in repr(result)
    assert result.history.cost[0] == pytest.approx(result.initial_cost)
    assert result.history.cost[-1] == pytest.approx(result.cost)
    assert result.seconds > 0
    assert result.pruned_edges == ()
    assert result.gauge_nodes == ()


def test_every_status_has_advice():
    assert all(status.advice and str(status) == status.value for status in bg.Status)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_gauge_is_named_and_held(solver):
    G = CASES["isolated_cycle"].make()
    result = bg.balance(G, 1, solver=SOLVERS[solver][0])
    assert len(result.gauge_nodes) == 1
    assert result.scales[result.gauge_nodes[0]] == pytest.approx(1.0)
    assert "gauges" in result.summary()


@pytest.mark.parametrize("solver", SOLVERS)
def test_trivial_networks(solver):
    settings = SOLVERS[solver][0]
    empty, single, loop, pair = network(), network(), network((1, 1, 3.0)), network((1, 2, 3.0))
    single.add_node(1)
    pinned = chain(1.0, 2.0, 3.0, h0={"activation": "tanh"}, h1={"activation": "sigmoid"})
    for G, cost in ((empty, 0), (single, 0), (loop, 9), (pair, 9), (pinned, 14), (chain(0.0, 0.0, 0.0), 0)):
        result = bg.balance(G, solver=settings)
        assert result.converged
        assert result.cost == pytest.approx(cost)
        assert result.relative_imbalance == 0
        assert result.certificate.gap <= 1e-12
        assert weights_of(result.graph) == weights_of(G)


EXTREME = {
    "c = 50": (chain(3.0, 0.2, 5.0, h0={"activation": "bipu(50)"}), 2),
    "c = 0.01": (chain(3.0, 0.2, 5.0, h0={"activation": "bipu(0.01)"}), 2),
    "c = 1000": (chain(3.0, 0.2, 5.0, h0={"activation": "bipu(1000)"}), 2),
    "c = 50 in a row": (chain(3.0, 0.2, 5.0, 2.0, 7.0, **{f"h{k}": {"activation": "bipu(50)"} for k in range(4)}), 2),
    "p = 0.01": (chain(3.0, 0.2, 5.0), 0.01),
    "p = 50": (chain(3.0, 0.2, 5.0), 50),
    "least float": (chain(5e-324, 1.0), 2),
    "largest float": (chain(1.7e308, 1.7e308, 1.0), 2),
    "both": (chain(1.7e308, 5e-324, 1.0, 5e-324), 2),
    "both, p = 50": (chain(1.7e308, 5e-324, 1.0, 5e-324), 50),
    "both, elastic": (chain(1.7e308, 5e-324, 1.0, 5e-324), bg.ElasticNet(l1=1, l2=1)),
    "coefficient 1e300": (network(("x", "h", 1.0, {"coefficient": 1e300}), ("h", "y", 2.0)), 2),
    "coefficients 1e300 and 1e-300": (
        network(("x", "h", 1.0, {"coefficient": 1e300}), ("h", "y", 2.0, {"coefficient": 1e-300})),
        2,
    ),
    "far terms": (chain(1.0, 2.0, 3.0), bg.Posynomial([(1e300, 1), (1e-300, 2)])),
    "far exponents": (chain(1.0, 2.0, 3.0), bg.Posynomial([(1, 1e-3), (1, 1e3)])),
}


@pytest.mark.parametrize("solver", ["newton", "cvxpy-nodes", "local-cyclic", "local-greedy", "local-colored"])
@pytest.mark.parametrize("name", EXTREME)
def test_extreme_numbers_are_ordinary_input(solver, name):
    G, regularizer = EXTREME[name]
    result = bg.balance(G, regularizer, solver=SOLVERS[solver][0])
    assert result.converged
    # Log-flows of size 1e5 (p = 50 with weights 1e308) are known to 1e-11.
    assert_balanced(result.graph, regularizer, 2e-10)
    assert result.certificate.relative_gap <= 1e-9


@pytest.mark.parametrize("p", [1e14, 1e300])
def test_flows_of_which_no_digit_is_known_are_not_called_balanced(p):
    result = bg.balance(chain(3.0, 0.2, 5.0), p, solver=bg.StochasticSolver(order="cyclic", max_sweeps=50))
    assert not (result.converged and result.relative_imbalance > 1e-2)


def test_a_weight_beyond_the_range_of_floats_is_refused_by_name():
    G = network(("x", "h", 1e300, {"coefficient": 1e300}), ("h", "y", 1e300, {"coefficient": 1e-300}), h={})
    with pytest.raises(bg.UnsupportedError, match=r"\('h', 'y'\).*range of floats"):
        bg.balance(G, 0.5)
    solution = bg.solve(bg.compile_graph(G, 0.5))
    assert solution.converged
    assert np.all(np.isfinite(solution.log_scales))


def test_a_solver_of_ones_own():
    class Twice:
        name = "twice"

        def run(self, reduction, *, report):
            outcome = bg.NewtonSolver().run(reduction, report=report)
            return replace(outcome, notes=("twice",))

    result = bg.balance(chain(1.0, 4.0), solver=Twice())
    assert result.solver == "twice"
    assert result.solution.notes == ("twice",)
    assert result.cost == pytest.approx(8.0)


def test_a_solve_is_logged_and_nothing_is_printed(caplog, capsys):
    with caplog.at_level("DEBUG", logger="balance_graph"):
        bg.balance(CASES["layered"].make(), solver="newton")
    start, end = (record.getMessage() for record in caplog.records)
    assert start.startswith("newton starts: ")
    assert end.startswith("newton: converged after ")
    assert capsys.readouterr() == ("", "")
