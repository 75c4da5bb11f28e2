"""The balance problem in cvxpy: readable, disciplined, extendable, and compiled once.

Room: solvers.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from cases import CASES, case_optimum
from helpers import chain, log1p2_for_cvxpy, network, regularizer_of, weights_of
from packaging.version import Version

import balance_graph as bg

FORMS = ("nodes", "cycles", "paths")
NAMES = (
    "layered",
    "recurrent",
    "bipu_layers",
    "elastic",
    "tied",
    "fixed_c2",
    "shared_ties",
    "shared_not_ties",
    "exponents",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_disciplined_and_solves_to_the_optimum(name, form):
    G = CASES[name].make()
    model = bg.convex_problem(G, regularizer_of(name), form=form)
    assert model.problem.is_dcp(dpp=True)
    assert model.problem.is_dpp()
    assert model.edges == list(G.edges)
    assert model.log_gains.shape == (G.number_of_edges(),)
    value = model.problem.solve(solver="CLARABEL")
    assert value == pytest.approx(float(case_optimum(name).cost), rel=1e-5)
    gains = dict(zip(model.edges, model.log_gains.value, strict=True))
    for edge, w in weights_of(G).items():
        if w != 0:
            assert w * np.exp(gains[edge]) == pytest.approx(float(case_optimum(name).weights[edge]), rel=1e-2)
    assert bg.manifold(G).contains(model.log_gains.value, tol=1e-5)


def test_the_parameter_holds_the_log_cost_of_each_row():
    G = chain(2.0, -3.0, 5.0)
    assert bg.convex_problem(G, 2).log_coefficients.value == pytest.approx(2 * np.log([2, 3, 5]))
    elastic = bg.convex_problem(G, bg.ElasticNet(l1=0.5, l2=7)).log_coefficients.value
    assert sorted(elastic) == pytest.approx(sorted([*np.log([1, 1.5, 2.5]), *np.log([28, 63, 175])]))
    assert bg.convex_problem(G, log1p2_for_cvxpy()).log_coefficients.value == pytest.approx(np.log([2, 3, 5]))
    zero = bg.convex_problem(network(("x", "h", 2.0), ("h", "y", 3.0), ("x", "y", 0.0)), 1)
    assert zero.log_coefficients.shape == (2,)
    assert zero.log_gains.shape == (3,)


@pytest.mark.parametrize("form", FORMS)
def test_new_weights_without_compiling_again(form):
    one, two = bg.networks.layered([3, 4, 2], rng=0), bg.networks.layered([3, 4, 2], rng=1)
    model = bg.convex_problem(one, 2, form=form)
    first = model.problem.solve(solver="CLARABEL")
    cache = model.problem._cache.key
    model.set_weights(bg.compile_graph(two, 2))
    second = model.problem.solve(solver="CLARABEL")
    assert model.problem._cache.key == cache
    assert first == pytest.approx(bg.balance(one).cost, rel=1e-6)
    assert second == pytest.approx(bg.balance(two).cost, rel=1e-6)
    model.set_weights(bg.compile_graph(one, 2))
    assert model.problem.solve(solver="CLARABEL") == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize(
    "other", [chain(1.0, 2.0), chain(1.0, 0.0, 3.0), network(("x", "h1", 1.0), ("h0", "h1", 1.0), ("h1", "y", 1.0))]
)
def test_weights_of_another_architecture_are_refused(other):
    model = bg.convex_problem(chain(1.0, 2.0, 3.0))
    with pytest.raises(bg.InvalidParameterError, match="same edges in the same order"):
        model.set_weights(bg.compile_graph(other))


@pytest.mark.parametrize("form", FORMS)
def test_a_constraint_of_ones_own(form):
    """No weight may grow: the least cost under that, found by hand on a chain of two."""
    G = chain(1.0, 4.0, 16.0)
    model = bg.convex_problem(G, 2, form=form)
    limited = cp.Problem(model.problem.objective, [*model.problem.constraints, model.log_gains <= 0])
    value = limited.solve(solver="CLARABEL")
    assert model.log_gains.value == pytest.approx(np.zeros(3), abs=1e-5)
    assert value == pytest.approx(1 + 16 + 256, rel=1e-5)
    half = cp.Problem(model.problem.objective, [*model.problem.constraints, model.log_gains[0] <= np.log(2)])
    half.solve(solver="CLARABEL")
    # The first weight stops at 2, and the other two share what is left: 64 / 2 = 32.
    assert np.array([1, 4, 16]) * np.exp(model.log_gains.value) == pytest.approx([2, 32**0.5, 32**0.5], rel=1e-4)


def test_an_objective_of_ones_own():
    G = chain(1.0, 4.0, 16.0)
    model = bg.convex_problem(G, 2)
    largest = cp.Problem(cp.Minimize(cp.max(np.log([1.0, 4.0, 16.0]) + model.log_gains)), model.problem.constraints)
    assert largest.solve(solver="CLARABEL") == pytest.approx(np.log(4.0), abs=1e-6)


def test_log_scales_lead_to_the_balanced_network():
    G = CASES["bipu_layers"].make()
    model = bg.convex_problem(G, 2)
    with pytest.raises(bg.SolverError, match=r"call .problem.solve\(\) first"):
        model.log_scales()
    model.problem.solve(solver="CLARABEL")
    scales = {node: float(np.exp(value)) for node, value in model.log_scales().items()}
    assert bg.relative_imbalance(bg.scale(G, scales)) < 1e-3
    assert set(scales) == set(bg.balance(G).scales)


@pytest.mark.parametrize("form", FORMS)
def test_networks_with_nothing_to_scale(form):
    G = network(("x", "y", 3.0))
    model = bg.convex_problem(G, 2, form=form)
    assert model.problem.solve(solver="CLARABEL") == pytest.approx(9.0, rel=1e-6)
    assert model.log_gains.shape == (1,)


HAS_EMPTY_EXPRESSIONS = Version(cp.__version__) >= Version("1.9")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.skipif(not HAS_EMPTY_EXPRESSIONS, reason="cvxpy 1.9 was the first to have expressions without entries")
def test_a_network_without_edges(form):
    empty = bg.convex_problem(network(), 2, form=form)
    assert empty.problem.solve(solver="CLARABEL") == pytest.approx(0.0, abs=1e-9)
    assert empty.edges == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.skipif(HAS_EMPTY_EXPRESSIONS, reason="this cvxpy has expressions without entries")
@pytest.mark.parametrize("edges", [(), (("x", "y", 0.0),)], ids=["no edges", "zero weights"])
def test_what_an_older_cvxpy_cannot_state_is_refused(form, edges):
    with pytest.raises(bg.UnsupportedError, match=r"need cvxpy 1.9 or newer"):
        bg.convex_problem(network(*edges), 2, form=form)


def test_log_convex_regularizers_are_part_of_it():
    G = CASES["log1p2"].make()
    for form in FORMS:
        model = bg.convex_problem(G, log1p2_for_cvxpy(), form=form)
        assert model.problem.is_dpp()
        assert model.problem.solve(solver="CLARABEL") == pytest.approx(float(case_optimum("log1p2").cost), rel=1e-6)


def test_an_unknown_form_is_refused():
    with pytest.raises(bg.InvalidParameterError, match="form must be one of"):
        bg.convex_problem(chain(1.0, 2.0), form="edges")
