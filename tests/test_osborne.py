"""Bounds on Osborne's iteration: above every count, and each inequality they rest on checked step by step.

Room: theory.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import balance_graph as bg
from balance_graph.theory import osborne

MATRICES = {
    "exponential": osborne.exponential_matrix(25, degree=3, log_condition=20.0, rng=1),
    "ill-conditioned": osborne.exponential_matrix(15, degree=3, log_condition=60.0, rng=2),
    "gibbs": osborne.gibbs_kernel(15, least=1e-20, rng=3),
    "cycle": np.roll(np.diag([1.0, 50.0, 1e-3, 7.0, 1e4]), 1, axis=1),
    "two": np.array([[0.0, 1e-6], [1e6, 0.0]]),
}


@pytest.fixture(params=MATRICES, name="matrix")
def _matrix(request):
    return MATRICES[request.param]


def accuracy(matrix):
    return np.abs(matrix.sum(axis=1) - matrix.sum(axis=0)).sum() / matrix.sum()


def balanced_at(matrix, k):
    factor = np.sqrt(matrix[:, k].sum() / matrix[k].sum())
    result = matrix.copy()
    result[k] *= factor
    result[:, k] /= factor
    return result


class TestBounds:
    def test_no_count_exceeds_its_bound(self, matrix):
        found = osborne.compare_bounds(matrix, accuracies=(1.0, 0.1, 0.01, 1e-3))
        for order in osborne.ORDERS:
            assert np.all(found.counts[order] <= found.bounds[order])

    def test_random_on_average(self, matrix):
        counts = [osborne.count_steps(matrix, "random", [0.03], rng=seed)[0] for seed in range(10)]
        bound = osborne.steps_bound(
            "random", len(matrix), osborne.log_condition(matrix), 0.03, diameter=osborne.diameter(matrix)
        )
        assert np.mean(counts) <= bound

    def test_the_inequalities_behind_them(self, matrix):
        """(1) to (4) of the module, and what a cyclic sweep is proven to gain, along a cyclic run."""
        end = bg.balance_matrix(matrix, 1.0)[0]
        drop, n = osborne.log_condition(matrix), len(matrix)
        across = osborne.diameter(matrix)
        current = matrix
        assert np.log(matrix.sum() / end.sum()) <= drop
        for _ in range(5):
            x, before = accuracy(current), current.sum()
            row, column = current.sum(axis=1), current.sum(axis=0)
            assert np.sum((np.sqrt(row) - np.sqrt(column)) ** 2) >= 0.25 * x**2 * before * (1 - 1e-12)
            assert np.log(before / end.sum()) <= x * across * drop + 1e-12
            for k in range(n):
                after = balanced_at(current, k)
                r, c = current[k].sum(), current[:, k].sum()
                assert current.sum() - after.sum() == pytest.approx(
                    (r**0.5 - c**0.5) ** 2, rel=1e-6, abs=1e-12 * before
                )
                current = after
            assert np.log(before / current.sum()) >= x**2 / (16 + 4 * x) - 1e-12

    def test_the_diameter_helps_and_joins_smoothly(self):
        for order in osborne.ORDERS:
            plain, helped = (osborne.steps_bound(order, 10, 5.0, 1e-3, diameter=d) for d in (None, 3))
            assert helped < plain
            far = osborne.steps_bound(order, 10, 5.0, 1e-3, diameter=1000)
            assert far == pytest.approx(plain) == osborne.steps_bound(order, 10, 5.0, 1e-3, diameter=5000)

    @pytest.mark.parametrize("order", ["greedy", "cyclic"])
    def test_bounds_are_their_integrals(self, order):
        """Against quadrature of 1 / (decrease of the logarithm of the cost), step by step or sweep by sweep."""
        n, drop, eps, d = 7, 12.0, 0.02, 3
        t = np.linspace(0, drop, 2_000_001)
        x = np.maximum(eps, t / (d * drop))
        decrease = x**2 / (4 * n) if order == "greedy" else x**2 / (16 + 4 * x) / n
        expected = np.trapezoid(1 / decrease, t)
        assert osborne.steps_bound(order, n, drop, eps, diameter=d) == pytest.approx(expected, rel=1e-6)

    def test_greedy_in_the_2_norm_needs_no_size(self):
        matrix = MATRICES["exponential"]
        bound = osborne.steps_bound("greedy", len(matrix), osborne.log_condition(matrix), 0.05, norm=2)
        current, steps = matrix, 0
        while np.linalg.norm(current.sum(axis=1) - current.sum(axis=0)) > 0.05 * current.sum():
            row, column = current.sum(axis=1), current.sum(axis=0)
            current, steps = balanced_at(current, int(np.argmax((np.sqrt(row) - np.sqrt(column)) ** 2))), steps + 1
        assert 0 < steps <= bound


class TestFamilies:
    def test_given_condition(self):
        for goal in (10.0, 40.0, 600.0):
            matrix = osborne.exponential_matrix(20, log_condition=goal)
            assert osborne.log_condition(matrix) == pytest.approx(goal, rel=1e-9)
            assert np.count_nonzero(matrix) == 80

    def test_as_drawn(self):
        entries = osborne.exponential_matrix(200, degree=5, rng=0)
        # 1000 draws of Exp(1): the mean has a standard error of 0.032.
        assert entries[entries > 0].mean() == pytest.approx(1.0, abs=0.13)

    def test_gibbs(self):
        kernel = osborne.gibbs_kernel(40, least=1e-8)
        off = kernel[~np.eye(40, dtype=bool)]
        assert off.min() >= 1e-8
        assert off.max() <= 1.0
        assert not np.diag(kernel).any()

    def test_diameter(self):
        assert osborne.diameter(MATRICES["cycle"]) == 4
        assert osborne.diameter(MATRICES["gibbs"]) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("matrix", "message"),
        [
            ([[0, 1, 2]], "square"),
            ([[0, -1], [1, 0]], "nonnegative"),
            ([[0, np.inf], [1, 0]], "finite"),
            ([[0, 1], [0, 0]], "strongly connected; it has 2"),
        ],
    )
    def test_matrices(self, matrix, message):
        with pytest.raises(bg.InvalidParameterError, match=message):
            osborne.compare_bounds(matrix)

    def test_words(self):
        with pytest.raises(bg.InvalidParameterError, match="shuffled"):
            osborne.steps_bound("shuffled", 3, 1.0, 0.1)
        with pytest.raises(bg.InvalidParameterError, match="greedy in norm 2"):
            osborne.steps_bound("cyclic", 3, 1.0, 0.1, norm=2)
        with pytest.raises(bg.InvalidParameterError, match="shuffled"):
            osborne.count_steps(MATRICES["two"], "shuffled", [0.1])
        with pytest.raises(bg.InvalidParameterError, match="100 entries"):
            osborne.exponential_matrix(25, log_condition=1.0)
        for beyond in (2000.0, math.nan):
            with pytest.raises(bg.InvalidParameterError, match="range of floats"):
                osborne.exponential_matrix(25, log_condition=beyond)

    def test_limit_on_steps(self):
        counts = osborne.count_steps(MATRICES["ill-conditioned"], "cyclic", [1.0, 1e-12], max_steps=50)
        assert counts[0] <= 50
        assert np.isnan(counts[1])
