"""Break a rule inside the package: the finding about it must notice.

Room: theory.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cached_property

import numpy as np

import balance_graph as bg
from balance_graph.problem.recession import Recession
from balance_graph.theory import STATEMENTS
from balance_graph.theory.gallery import default_gallery

# Attributes of the package hide the modules of the same name, such as `solve`.
MODULES = sys.modules


def failures(names, numbers):
    """Which of the statements fail on the named networks of the gallery; a crash is no finding."""
    subjects = [one for one in default_gallery(bg.Lp(2), np.random.default_rng(31)) if one.name in names]
    assert len(subjects) == len(names)
    findings = [STATEMENTS[number - 1](subjects, rng=31) for number in numbers]
    return {finding.number for finding in findings if finding.holds is False}


def scaled_without_biases(G, problem, log_scales, *, weight, **options):
    scaled = MODULES["balance_graph.graph.compilation"].scaled_graph(G, problem, log_scales, weight=weight, **options)
    for node, data in G.nodes(data=True):
        if data["role"] == "bias":
            for _, head, edge in G.out_edges(node, data=True):
                scaled.edges[node, head][weight] = edge[weight]
    return scaled


def test_a_bias_that_is_not_scaled(monkeypatch):
    names, numbers = {"layered, biases", "recurrent, self-loops"}, (2, 11, 16)
    assert not failures(names, numbers)
    for module in ("operations", "balancing"):
        monkeypatch.setattr(MODULES[f"balance_graph.graph.{module}"], "scaled_graph", scaled_without_biases)
    assert failures(names, numbers) == {2, 11, 16}


def test_a_degree_that_is_dropped_from_the_out_weights(monkeypatch):
    names, numbers = {"powers, p = 0.5", "mixed degrees, p = 3"}, (2, 4, 11, 12)
    assert not failures(names, numbers)

    def without_degree(self, log_scales):
        return log_scales[self.manifold.head] - log_scales[self.manifold.tail]

    monkeypatch.setattr(bg.BalanceProblem, "log_gains", without_degree)
    assert failures(names, numbers) == {2, 4, 11, 12}


def test_a_self_loop_that_counts_as_an_in_weight_only(monkeypatch):
    names, numbers = {"recurrent powers"}, (16,)
    assert not failures(names, numbers)
    manifold = MODULES["balance_graph.problem.manifold"]
    right = manifold._edge_matrix

    def loops_in_only(one, column, ratio, width):
        matrix = right(one, column, ratio, width).tolil()
        for k in np.flatnonzero(one.tail == one.head).tolist():
            if column[one.head[k]] >= 0:
                matrix[k, column[one.head[k]]] = 1.0
        return matrix.tocsr()

    monkeypatch.setattr(manifold, "_edge_matrix", loops_in_only)
    assert failures(names, numbers) == {16}


def test_a_shared_weight_that_costs_once_per_copy(monkeypatch):
    names, numbers = {"convolution, shared", "convolution, tied"}, (16,)
    assert not failures(names, numbers)

    def rows(self):
        return self.regularizer.rows(self.log_weight, self.log_coefficient, self.exponent)

    every_copy = cached_property(rows)
    every_copy.__set_name__(bg.BalanceProblem, "rows")
    monkeypatch.setattr(bg.BalanceProblem, "rows", every_copy)
    assert failures(names, numbers) == {16}


def test_a_coefficient_that_is_dropped(monkeypatch):
    names, numbers = {"convolution, shared", "convolution, tied"}, (16,)
    graph = MODULES["balance_graph.graph.compilation"]
    monkeypatch.setattr(graph._Edges, "positive", lambda self, name, default: np.full(len(self.attributes), default))
    assert failures(names, numbers) == {16}


def test_a_derivative_without_its_degree(monkeypatch):
    names, numbers = {"powers, p = 0.5"}, (6,)
    assert not failures(names, numbers)
    gradients = MODULES["balance_graph.theory.gradients"]
    right = gradients.derivative
    monkeypatch.setattr(gradients, "derivative", lambda f, z, y: right(f, z, y) / (f.degree or 1.0))
    assert failures(names, numbers) == {6}


def test_a_local_step_that_overshoots(monkeypatch):
    names, numbers = {"log(1 + w^2)"}, (10,)
    assert not failures(names, numbers)
    blocks = MODULES["balance_graph.solvers.local.blocks"]
    right = blocks.Block.shifts
    monkeypatch.setattr(blocks.Block, "shifts", lambda self, log_gains: 2.2 * right(self, log_gains))
    # It never comes to rest, so it need not be watched for long.
    monkeypatch.setattr(MODULES["balance_graph.theory.trajectories"], "_SWEEPS", 50)
    assert failures(names, numbers) == {10}


def test_a_network_that_is_called_attained_and_is_not(monkeypatch):
    names, numbers = {"layered, biases", "random DAG, p = 1"}, (15,)
    assert not failures(names, numbers)
    attainment = MODULES["balance_graph.problem.attainment"]

    def nothing_dead(matrix):
        m, k = matrix.shape
        return Recession(np.zeros(m, dtype=bool), np.zeros(k), np.zeros(k, dtype=bool))

    monkeypatch.setattr(attainment, "find_recession", nothing_dead)
    assert failures(names, numbers) == {15}


def test_a_network_trained_for_another_cost_than_it_is_judged_by(monkeypatch):
    names, numbers = {"layered, biases"}, (7, 9)
    assert not failures(names, numbers)
    training = MODULES["balance_graph.theory.training"].Training
    right = training.edge_slopes

    def for_another(self, weights):
        subject = replace(self.subject, regularizer=bg.Lp(3))
        return right(replace(self, subject=subject), weights)

    monkeypatch.setattr(training, "edge_slopes", for_another)
    assert failures(names, numbers) == {7, 9}


def test_an_error_whose_slopes_have_another_unit(monkeypatch):
    names, numbers = {"layered, biases"}, (6,)
    gradients = MODULES["balance_graph.theory.gradients"]
    right = gradients.in_units

    def in_values_only(error, unit):
        measured = right(error, unit)
        return lambda outputs, targets: (measured(outputs, targets)[0], unit * measured(outputs, targets)[1])

    monkeypatch.setattr(gradients, "in_units", in_values_only)
    assert failures(names, numbers) == {6}


def test_a_cost_that_does_not_bend(monkeypatch):
    names, numbers = {"layered, biases", "powers, p = 0.5"}, (13,)
    assert not failures(names, numbers)
    rows = MODULES["balance_graph.problem.rows"].PowerRows
    monkeypatch.setattr(
        rows, "log_costs", lambda self, log_gains: np.log(100.0 + self.log_amplitude + self.exponent * log_gains)
    )
    assert failures(names, numbers) == {13}


def test_a_conic_answer_that_ends_early(monkeypatch):
    names, numbers = {"layered, biases"}, (14,)
    assert not failures(names, numbers)
    solver = MODULES["balance_graph.solvers.convex"].CvxpySolver
    right = solver.run

    def early(self, reduction, **options):
        found = right(self, reduction, **options)
        return found if self.polish else replace(found, log_scales=0.99 * found.log_scales)

    monkeypatch.setattr(solver, "run", early)
    assert failures(names, numbers) == {14}
