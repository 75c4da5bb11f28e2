"""Rates of local balancing: the prediction against independent slow twins, and against measured runs.

Room: theory.
"""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

import balance_graph as bg
from balance_graph.theory import _sweeps
from balance_graph.theory._local_model import local_model
from balance_graph.theory.rates import measure_rate, measured_rate, predicted_rate

gallery = bg.networks

SOFTPLUS = bg.LogConvex(
    value=lambda x: np.log1p(np.exp(2 * x)),
    slope=lambda x: 2 / (1 + np.exp(-2 * x)),
    curvature=lambda x: 4 * np.exp(-2 * x) / (1 + np.exp(-2 * x)) ** 2,
)


def isolated_ring():
    """A hidden cycle in both directions: all its scales can be multiplied by one number (a gauge)."""
    ring = nx.DiGraph()
    for k in range(5):
        ring.add_edge(k, (k + 1) % 5, weight=1.0 + k)
        ring.add_edge((k + 1) % 5, k, weight=2.0 + k)
    nx.set_node_attributes(ring, "hidden", "role")
    return ring


def mixed_degrees():
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape) for shape in ((2, 3), (3, 3), (3, 2))]
    return gallery.from_layers(weights, activation=["relu2", "relu"])


def own_exponents():
    network = gallery.layered([3, 4, 3, 2], rng=5)
    for k, (*_, data) in enumerate(network.edges(data=True)):
        data["exponent"] = (1.0, 2.0, 3.0)[k % 3]
    return network


NETWORKS = {
    "chain": (gallery.chain(5, rng=0), 2.0),
    "layered": (gallery.layered([3, 4, 4, 2], rng=0), 2.0),
    "recurrent with self-loops": (gallery.random_recurrent(hidden=6, self_loops=True, rng=0), 2.0),
    "degree 2 with self-loops": (
        gallery.random_recurrent(hidden=6, activation="bipu(2)", self_loops=True, rng=0),
        1.0,
    ),
    "mixed degrees": (mixed_degrees(), 2.0),
    "elastic net": (gallery.random_dag(hidden=8, rng=0), bg.ElasticNet(l1=1.0, l2=0.3)),
    "own exponents": (own_exponents(), 2.0),
    "tied channels": (gallery.convolutional(size=6, channels=(1, 2, 3), sharing="group", rng=0), 2.0),
    "log-convex": (gallery.layered([2, 4, 3, 1], rng=3), SOFTPLUS),
    "gauge": (isolated_ring(), 2.0),
    "residual": (gallery.residual(blocks=3, rng=0), 2.0),
    # Here the order of the colors is really another one: its rate differs by two percent.
    "random DAG": (gallery.random_dag(hidden=10, rng=2), 2.0),
}


@pytest.fixture(params=NETWORKS, name="problem")
def _problem(request):
    return bg.compile_graph(*NETWORKS[request.param])


# Sweeps that bring the standard error of a rate to about half a percent, so that two percent are four of them.
ENOUGH = 2500


class TestPredictedEqualsMeasured:
    @pytest.mark.parametrize("order", ["cyclic", "colored"])
    def test_deterministic_orders(self, problem, order):
        # 300 sweeps of power iteration leave far less than one in a thousand of the other eigenvectors here.
        predicted = predicted_rate(problem, order=order)
        assert 0.02 < predicted < 0.98
        assert measured_rate(problem, order, sweeps=300) == pytest.approx(predicted, rel=1e-3)

    # What is not compiled is slow; see the next test.
    @pytest.mark.parametrize("problem", sorted(set(NETWORKS) - {"log-convex"}), indirect=True)
    @pytest.mark.parametrize("order", ["random", "shuffled"])
    def test_random_orders(self, problem, order):
        predicted = predicted_rate(problem, order=order)
        measured = measure_rate(problem, order, sweeps=ENOUGH)
        assert measured.rate == pytest.approx(predicted, rel=0.02)
        assert abs(measured.rate - predicted) < 4 * measured.standard_error + 1e-3

    @pytest.mark.parametrize("average", ["square", "typical", "mean"])
    @pytest.mark.parametrize("order", ["random", "shuffled"])
    @pytest.mark.parametrize("name", ["chain", "log-convex"])
    def test_averages(self, name, order, average):
        problem = bg.compile_graph(*NETWORKS[name])
        sweeps = 150 if name == "log-convex" else 1000
        predicted = predicted_rate(problem, order=order, average=average)
        measured = measure_rate(problem, order, average=average, sweeps=sweeps)
        # The simulated exponent has a standard error of its own, well below a third of a percent.
        assert abs(measured.rate - predicted) < 4 * measured.standard_error + 3e-3 * predicted

    @pytest.mark.parametrize("average", ["square", "typical", "mean"])
    def test_standard_errors_are_what_they_say(self, average):
        """Over seeds, (measured - predicted) / standard error has mean 0 and standard deviation 1."""
        problem = bg.compile_graph(*NETWORKS["chain"])
        predicted = predicted_rate(problem, order="random", average=average)
        found = [measure_rate(problem, "random", average=average, sweeps=100, rng=seed) for seed in range(25)]
        scores = [(one.rate - predicted) / one.standard_error for one in found]
        # Of 25 scores the mean scatters by 0.2, the standard deviation by 0.14: four times that.
        assert abs(np.mean(scores)) < 0.8
        assert 0.45 < np.std(scores) < 1.55

    def test_greedy_is_at_least_as_fast_as_guaranteed(self, problem):
        assert measured_rate(problem, "greedy", sweeps=60) <= predicted_rate(problem, order="greedy")

    def test_the_rate_of_a_default_run(self):
        """From the weights as given, without restarts: the slope of the logarithm of the error."""
        problem = bg.compile_graph(*NETWORKS["residual"])
        solver = bg.StochasticSolver("cyclic", record=True)
        end = bg.solve(problem, bg.NewtonSolver(tol=1e-14)).log_scales
        states = np.array(bg.solve(problem, solver).history.log_scales)
        errors = np.abs(states - end).max(axis=1)
        inside = np.flatnonzero((errors < 1e-5) & (errors > 1e-10))
        slope = np.polyfit(inside, np.log(errors[inside]), 1)[0]
        assert np.exp(slope) == pytest.approx(predicted_rate(problem), rel=1e-3)


def projections(matrix):
    """The slow twin: every step as a matrix."""
    n = len(matrix)
    return [np.eye(n) - np.outer(np.eye(n)[k], matrix[k]) for k in range(n)]


def radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


class TestAgainstSlowTwins:
    @pytest.fixture
    def problem(self):
        return bg.compile_graph(gallery.random_recurrent(hidden=5, self_loops=True, rng=2), 1.5)

    @pytest.fixture
    def steps(self, problem):
        return projections(hessian(problem))

    def test_hessian_by_differences(self, problem):
        np.testing.assert_allclose(local_model(problem).dense, hessian(problem), atol=1e-6)

    def test_cyclic(self, problem, steps):
        assert predicted_rate(problem) == pytest.approx(radius(np.linalg.multi_dot(steps[::-1])), rel=1e-5)

    def test_random(self, problem, steps):
        n = len(steps)
        square = sum(np.kron(step, step) for step in steps) / n
        mean = sum(steps) / n
        assert predicted_rate(problem, order="random") == pytest.approx(radius(square) ** (n / 2), rel=1e-5)
        assert predicted_rate(problem, order="random", average="mean") == pytest.approx(radius(mean) ** n, rel=1e-5)

    def test_shuffled(self, problem, steps):
        sweeps = [np.linalg.multi_dot(order) for order in itertools.permutations(steps)]
        square = sum(np.kron(sweep, sweep) for sweep in sweeps) / len(sweeps)
        mean = sum(sweeps) / len(sweeps)
        assert predicted_rate(problem, order="shuffled") == pytest.approx(radius(square) ** 0.5, rel=1e-5)
        assert predicted_rate(problem, order="shuffled", average="mean") == pytest.approx(radius(mean), rel=1e-5)

    def test_sampled_permutations(self, problem, monkeypatch):
        exact = {average: predicted_rate(problem, order="shuffled", average=average) for average in ("square", "mean")}
        monkeypatch.setattr(_sweeps, "_ALL_PERMUTATIONS", 1)
        for average, rate in exact.items():
            # 200 sweeps whose norms scatter by about a tenth: half a percent, four times.
            assert predicted_rate(problem, order="shuffled", average=average) == pytest.approx(rate, rel=0.03)

    def test_averages_are_ordered(self, problem):
        for order in ("random", "shuffled"):
            square, typical, mean = (
                predicted_rate(problem, order=order, average=average) for average in ("square", "typical", "mean")
            )
            assert max(typical, mean) < square

    def test_large_networks_by_arnoldi(self, monkeypatch):
        problem = bg.compile_graph(gallery.layered([4, 12, 12, 3], rng=1))
        dense = predicted_rate(problem)
        monkeypatch.setattr(_sweeps, "_DENSE", 1)
        assert predicted_rate(problem) == pytest.approx(dense, rel=1e-6)


def hessian(problem):
    """Unit-diagonal Hessian at the optimum, by differences of the cost's gradient."""
    at = problem.manifold
    end = bg.solve(problem, bg.NewtonSolver(tol=1e-14)).log_scales
    h = 1e-5
    columns = []
    for k in at.free_nodes:
        shift = h * np.eye(at.n_nodes)[k]
        columns.append((problem.imbalance(end + shift) - problem.imbalance(end - shift))[at.free_nodes] / (2 * h))
    matrix = np.array(columns)
    size = np.sqrt(np.diag(matrix))
    return matrix / size / size[:, None]


class TestEnds:
    def test_nothing_to_balance(self):
        problem = bg.compile_graph(nx.DiGraph([("x", "y", {"weight": 1.0})]))
        for order in ("cyclic", "random", "greedy"):
            assert predicted_rate(problem, order=order) == 0.0
            assert measured_rate(problem, order) == 0.0

    @pytest.mark.parametrize("order", ["cyclic", "colored", "random", "shuffled", "greedy"])
    def test_one_unit_is_exact_at_once(self, order):
        problem = bg.compile_graph(gallery.chain(1, rng=0))
        for average in ("square", "mean", "typical"):
            # The greedy bound is the root of what rounding leaves of 1 - 1.
            assert predicted_rate(problem, order=order, average=average) < 1e-7
        # A float shows errors down to about 1e-12 of the start's 1e-4.
        assert measured_rate(problem, order, sweeps=10) < 1e-8

    def test_weights_at_the_ends_of_floats(self):
        problem = bg.compile_graph(gallery.chain(weights=[1e-120, 1e120, 1e-90, 1e120, 3.0]))
        # Balanced, a chain has all weights equal: Gauss-Seidel on the path with four free nodes.
        assert predicted_rate(problem) == pytest.approx(np.cos(np.pi / 5) ** 2, rel=1e-9)

    def test_weights_of_very_different_sizes(self):
        """The rate of a part does not drown in another part with flows 1e200 times as large."""
        small, large = gallery.chain(4, rng=0), gallery.chain(4, rng=1)
        for *_, data in large.edges(data=True):
            data["weight"] *= 1e100
        problem = bg.compile_graph(nx.union(small, large, rename=("a", "b")))
        assert predicted_rate(problem) == pytest.approx(np.cos(np.pi / 5) ** 2, rel=1e-9)

    def test_same_seed_same_answer(self):
        problem = bg.compile_graph(gallery.layered([2, 3, 2], rng=0))
        first, second = (measure_rate(problem, "random", sweeps=50, rng=3) for _ in range(2))
        assert first == second
        assert first != measure_rate(problem, "random", sweeps=50, rng=4)

    def test_input_is_not_modified(self):
        problem = bg.compile_graph(gallery.layered([2, 3, 2], rng=0))
        end = bg.solve(problem).log_scales
        kept = end.copy()
        predicted_rate(problem, end)
        np.testing.assert_array_equal(end, kept)


class TestRefusals:
    @pytest.fixture
    def problem(self):
        return bg.compile_graph(gallery.layered([2, 3, 2], rng=0))

    @pytest.mark.parametrize("rate", [predicted_rate, measured_rate])
    def test_unknown_words(self, problem, rate):
        with pytest.raises(bg.InvalidParameterError, match=r"order must be one of .*'sorted'"):
            rate(problem, order="sorted")
        with pytest.raises(bg.InvalidParameterError, match=r"average must be one of .*'median'"):
            rate(problem, order="random", average="median")

    def test_sweeps(self, problem):
        with pytest.raises(bg.InvalidParameterError, match="sweeps must be a positive integer, got 0"):
            measured_rate(problem, sweeps=0)

    def test_log_scales_away_from_the_optimum(self, problem):
        with pytest.raises(bg.InvalidParameterError, match=r"relative imbalance there is .*bg.solve"):
            predicted_rate(problem, problem.unscaled)

    @pytest.mark.parametrize("rate", [predicted_rate, measured_rate])
    def test_what_the_solver_refuses(self, rate):
        network = gallery.layered([2, 3, 2], rng=0)
        network.add_node("dead", role="hidden")
        network.add_edge("x0", "dead", weight=1.0)
        with pytest.raises(bg.NotAttainedError, match="dead"):
            rate(bg.compile_graph(network))

    @pytest.mark.parametrize("rate", [predicted_rate, measured_rate])
    def test_shared_weights_that_are_no_ties(self, rate):
        network = nx.DiGraph([("x", "a"), ("x", "b"), ("a", "c"), ("b", "c"), ("c", "y"), ("a", "y"), ("b", "y")])
        nx.set_edge_attributes(network, 1.5, "weight")
        for edge in (("x", "a"), ("b", "c")):  # l_a = l_c - l_b
            network.edges[edge]["shared"] = "kernel"
        with pytest.raises(bg.UnsupportedError, match="shared weights"):
            rate(bg.compile_graph(network))

    def test_too_many_unknowns_for_second_moments(self, problem, monkeypatch):
        monkeypatch.setattr(_sweeps, "MOST_UNKNOWNS", 2)
        with pytest.raises(bg.InvalidParameterError, match="average='typical'"):
            predicted_rate(problem, order="random")
        assert predicted_rate(problem, order="random", average="mean") > 0
