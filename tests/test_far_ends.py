"""Weights of independent sizes, truthful statuses and bounds, limits on time.

Room: solvers.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from fuzz import faults, is_wrong, run, shrunk
from scipy import sparse

import balance_graph as bg
from balance_graph.linear.laplacian import Laplacian
from balance_graph.linear.multigrid import Multigrid
from balance_graph.points.clusters import EVERY, FAR_APART, Links, cluster_basis
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.quotient import Quotient
from balance_graph.solvers.continuation import follow_temperatures
from balance_graph.solvers.newton_loop import NewtonLoop


def grid(side, spread, seed=0):
    """A grid, edges both ways, every weight of its own size."""
    rng, at = np.random.default_rng(seed), np.arange(side * side).reshape(side, side)
    one, two = np.r_[at[:, :-1].ravel(), at[:-1].ravel()], np.r_[at[:, 1:].ravel(), at[1:].ravel()]
    weight = 10.0 ** rng.uniform(-spread, spread, 2 * one.size)
    W = sparse.csr_array((weight, (np.r_[one, two], np.r_[two, one])), shape=(side * side, side * side))
    pinned = np.zeros(side * side, dtype=bool)
    pinned[[0, -1]] = True
    return bg.BalanceProblem.from_sparse(W, pinned=pinned)


@pytest.mark.parametrize("spread", [4, 10, 30, 100])
def test_weights_of_independent_sizes_are_balanced_in_few_iterations(spread):
    problem = grid(12, spread)
    solution = bg.solve(problem, bg.NewtonSolver())
    assert solution.converged
    assert solution.iterations <= 60
    assert bg.certify(problem, solution).relative_gap < 1e-8


def test_continuation_alone_leads_to_the_same_optimum():
    problem = grid(8, 10)
    quotient, loop = Quotient(problem, problem.unscaled), NewtonLoop(1e-12)
    point, status = follow_temperatures(
        quotient, lambda point, most, near, _: loop.follow(point, most, near), lambda: 300 - loop.iterations, RowsPoint
    )
    assert status == "converged"
    assert point.log_cost == pytest.approx(bg.solve(problem).log_cost, rel=1e-12)


@pytest.mark.parametrize("budget", [3, 8])
def test_a_stage_on_the_way_is_no_balance(budget):
    """A stage ends short of balance, of another network: where iterations or time end there, that is the status."""
    problem = grid(8, 10)
    quotient, loop = Quotient(problem, problem.unscaled), NewtonLoop(1e-12)
    point, status = follow_temperatures(
        quotient,
        lambda point, most, near, _: loop.follow(point, most, near),
        lambda: budget - loop.iterations,
        RowsPoint,
    )
    assert status == "limit reached"
    assert problem.relative_imbalance(point.log_scales) > 1e-3


def test_at_temperature_one_half_weights_are_square_roots():
    problem, roots = grid(4, 3), grid(4, 1.5)
    tame = Quotient(problem, problem.unscaled).tempered(0.5, problem.unscaled)
    assert RowsPoint(tame).log_cost == pytest.approx(roots.log_cost(roots.unscaled), rel=1e-12)


def test_a_basis_of_nested_clusters_spans_everything():
    problem = grid(8, 30)
    quotient = Quotient(problem, problem.unscaled)
    point = RowsPoint(quotient)
    basis = cluster_basis(Links.of(quotient.matrix), point.log_slopes)
    assert np.linalg.matrix_rank(basis.toarray()) == quotient.size
    assert np.diff(basis.tocsc().indptr).max() > 4


@pytest.fixture
def far_ends(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return pytest.importorskip("far_ends", reason="needs the benchmarks")


BASES = {"FAR_APART": FAR_APART, "EVERY": EVERY}


@pytest.mark.parametrize(
    ("needed", "family", "n_edges", "spread", "off_balance"),
    [("FAR_APART", "cycles", 4000, 1.0, 0.0), ("EVERY", "grid", 500, 30.0, 0.3)],
)
def test_without_a_tree_either_basis_of_clusters_can_be_the_one_that_proves_a_bound(
    needed, family, n_edges, spread, off_balance, far_ends, monkeypatch
):
    """At balance chains of cycles need that of clusters far apart; off balance, grids of very unequal weights all."""
    for name in ("rows.circulation_near", "rows.circulation_of_rows", "large.circulation_near"):
        monkeypatch.setattr(f"balance_graph.certificate.{name}", lambda *_: None)
    problem = far_ends.problem_of(family, n_edges, spread)
    solution = bg.solve(problem, on_unattained="prune")
    problem = problem.pruned(solution)
    quotient = Quotient(problem, solution.log_scales)
    log_scales = quotient.expand(off_balance * np.random.default_rng(0).normal(size=quotient.size))
    assert bg.certify(problem, log_scales).relative_gap < (0.1 if off_balance else 1e-10)
    other = next(value for name, value in BASES.items() if name != needed)
    monkeypatch.setattr(f"balance_graph.certificate.rows.{needed}", other)
    assert bg.certify(problem, log_scales).relative_gap == 1


def first_example():
    edges = [("h3", "h4", 1), ("h1", "h0", 10), ("h1", "h2", 1), ("h0", "h1", 1), ("b", "h0", 1), ("h2", "h3", 1)]
    G = nx.DiGraph()
    G.add_edges_from((u, v, {"weight": float(w)}) for u, v, w in edges)
    G.nodes["h3"]["activation"], G.nodes["h1"]["activation"] = "bipu(0.5)", "relu2"
    return G


def second_example():
    G = nx.DiGraph()
    G.add_weighted_edges_from([("h2", "h3", 1.0), ("h3", "h2", -2.84), ("h3", "h4", 1.0)])
    G.nodes["h2"]["activation"] = "bipu(0.5)"
    return G


@pytest.mark.parametrize(
    ("G", "p", "cost"),
    [
        (first_example(), 100, 2.82842712475e25),
        (second_example(), 50, 1312273.1534),
        (second_example(), 100, 608840444946),
    ],
)
def test_steps_too_long_for_floats_are_no_balance(G, p, cost):
    """Far enough out all flows are rounding, and seem equal."""
    solution = bg.solve(bg.compile_graph(G, p), "newton")
    assert solution.converged
    assert solution.cost == pytest.approx(cost, rel=1e-9)


def test_bounds_of_constants_that_cancel_are_below_the_truth():
    """``a w**20`` with a near ``w**-20``: the logarithm loses what the parts of it were rounded by."""
    from mpmath import mp, mpf

    rng = np.random.default_rng(0)
    for _ in range(200):
        weight = float(10.0 ** rng.uniform(-12, 12))
        coefficient = weight**-20.0
        G = nx.DiGraph()
        G.add_edge("x", "y", weight=weight, coefficient=coefficient)
        with mp.workdps(60):
            assert bg.certify(G, 20).lower_bound <= mpf(coefficient) * mpf(weight) ** 20


@pytest.mark.parametrize("weight", [5e-324, 1e-310, 3e-162, 1e-155])
def test_bounds_of_tiny_costs_are_below_the_truth(weight):
    from mpmath import mp, mpf

    G = nx.DiGraph([("x", "y", {"weight": weight})])
    with mp.workdps(60):
        assert bg.certify(G, 2).lower_bound <= mpf(weight) ** 2


def test_beyond_floats_the_certificate_is_that_of_the_logarithm():
    certificate = bg.balance(bg.networks.chain(weights=[1e200, 1e220]), 2, solver="newton").certificate
    assert certificate.log_lower_bound <= math.log(2.0) + 420.0 * math.log(10.0) <= certificate.log_cost + 1e-11
    assert certificate.log_cost - certificate.log_lower_bound < 1e-11


def test_flows_that_vanish_beside_others_are_left_to_other_methods():
    """Multigrid divides by the diagonal; zero to rounding is an `ArithmeticError`, which Newton answers to."""
    start = np.zeros(1001, dtype=np.int64)
    alone = Laplacian(start, start[1:], np.zeros(0, dtype=np.int32), np.zeros(0), np.zeros(1000))
    with pytest.raises(ArithmeticError):
        Multigrid(alone)


def test_a_limit_on_time_ends_a_solve_with_its_best_point():
    problem = grid(12, 10)
    solution = bg.solve(problem, bg.NewtonSolver(time_limit=1e-9))
    assert (solution.status, solution.iterations) == ("limit reached", 0)
    assert np.all(np.isfinite(solution.log_scales))
    assert bg.solve(problem, bg.NewtonSolver(time_limit=1e9)).converged
    with pytest.raises(bg.InvalidParameterError, match="time_limit"):
        bg.NewtonSolver(time_limit=-1.0)


def test_fuzzed_networks_are_answered_right(tmp_path):
    log = tmp_path / "fuzz.json"
    run(4, 3, log)
    found = run(12, 3, log)
    assert json.loads(log.read_text(encoding="utf-8"))["tried"] == 12
    assert not is_wrong([fault for fault in found if fault != "right"])


def test_what_is_found_is_shrunk():
    G = nx.gnp_random_graph(6, 0.6, seed=0, directed=True)
    nx.set_edge_attributes(G, 1.0, "weight")
    edge = next(iter(G.edges))
    assert set(shrunk(G, lambda H: H.has_edge(*edge)).edges) == {edge}


def test_the_fuzzer_tells_a_wrong_answer(monkeypatch):
    G = bg.networks.chain(weights=[1.0, 4.0])
    assert faults(G, ("lp", 2.0)) == []
    real = bg.solve

    def wrong(problem, *args, **kwargs):
        solution = real(problem, *args, **kwargs)
        solution.log_scales[solution.log_scales != 0.0] += 0.1
        return solution

    monkeypatch.setattr(bg, "solve", wrong)
    assert is_wrong(faults(G, ("lp", 2.0)))
