"""Pictures of the theory: what is drawn is what was computed, and labels say what is true.

Room: plots.
"""

from __future__ import annotations

import io
import re

import networkx as nx
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

import balance_graph as bg
from balance_graph import plots
from balance_graph.theory import osborne
from balance_graph.theory.bounds import scale_bounds


def drawn(ax):
    """Draw everything: warnings and failures of rendering come here."""
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def line(ax, label):
    (found,) = [one for one in ax.get_lines() if one.get_label() == label]
    return found


def network(edges, **activations):
    rng = np.random.default_rng(0)
    G = nx.DiGraph([(*edge, {"weight": rng.uniform(0.3, 3.0)}) for edge in edges])
    nx.set_node_attributes(G, activations, "activation")
    return G


class TestActivations:
    def test_graphs_of_the_functions(self):
        ax = plots.plot_activations(["relu", "bipu(2)", "tanh"])
        z, relu = line(ax, "relu: degree 1").get_data()
        np.testing.assert_array_equal(relu, np.maximum(z, 0.0))
        np.testing.assert_allclose(line(ax, "bipu(2): degree 2").get_ydata(), np.maximum(z, 0.0) ** 2)
        np.testing.assert_allclose(line(ax, "tanh: not homogeneous").get_ydata(), np.tanh(z))
        drawn(ax)

    def test_rescaled_graphs_show_homogeneity(self):
        relu, tanh = (plots.plot_activations([name], scale=3.0).get_lines()[-2:] for name in ("relu", "tanh"))
        np.testing.assert_allclose(relu[0].get_ydata(), relu[1].get_ydata(), atol=1e-12)
        assert np.abs(tanh[0].get_ydata() - tanh[1].get_ydata()).max() > 0.5

    def test_classes(self):
        axes = plots.plot_activation_classes()
        labels = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in axes]
        assert all(label.endswith("degree 1") for label in labels[0])
        assert not any(label.endswith("degree 1") or "not" in label for label in labels[1])
        drawn(axes[0])

    def test_activation_objects(self):
        assert line(plots.plot_activations([bg.bilu(0.2, 1.0, name="mine")]), "mine: degree 1")


def evaluated(text):
    """Left and right of ``0.3 − 2·0.1 = 0.1``."""
    left, right = text.replace("−", "-").replace("·", "*").split("=")
    assert re.fullmatch(r"[-+*. \d]+", left + right)
    return eval(left), float(right)


class TestPaths:
    def test_one_path_between_pinned_nodes(self):
        G = bg.networks.chain(4, rng=0)
        result = bg.balance(G)
        ax = plots.plot_paths(G, result.log_scales, [list(G)])
        left, right = evaluated(ax.get_title(loc="left").removeprefix("log-gains: "))
        assert right == 0.0
        assert left == pytest.approx(0.0, abs=5e-3)  # five numbers of three decimals
        labels = [text.get_text().splitlines() for text in ax.texts if text.get_text().startswith("M")]
        expected = [
            np.log(abs(result.graph.edges[edge]["weight"] / G.edges[edge]["weight"]))
            for edge in zip(list(G), list(G)[1:], strict=False)
        ]
        found = [float(text.removeprefix("L = ").replace("−", "-")) for _, text in labels]
        np.testing.assert_allclose(found, expected, atol=5.1e-4)
        assert [text for text, _ in labels] == [f"M = {np.exp(gain):.3g}" for gain in expected]
        drawn(ax)

    def test_scales_are_written(self):
        G = bg.networks.chain(2, rng=0)
        result = bg.balance(G)
        texts = [text.get_text() for text in plots.plot_paths(G, result.log_scales, [list(G)]).texts]
        for scale in result.scales.values():
            assert f"Λ = {scale:.3g}" in texts
        assert texts.count("Λ = 1") == 2

    def test_degrees_weight_the_sum(self):
        G = network([("x", "a"), ("a", "b"), ("b", "y")], a="relu2", b="bipu(3)")
        # Any scales at all: the equation is that of the manifold.
        ax = plots.plot_paths(G, {"a": 0.5, "b": 0.5}, [["x", "a", "b", "y"]])
        assert ax.get_title(loc="left") == "log-gains: 6·0.5 − 3·0.5 − 1.5 = 0"

    def test_two_paths_with_the_same_ends(self):
        G = network([("1", "2"), ("2", "4"), ("1", "3"), ("3", "4"), ("x", "1"), ("4", "y")])
        ax = plots.plot_paths(G, bg.balance(G).log_scales, [["1", "2", "4"], ["1", "3", "4"]])
        sums = [evaluated(row.split(":")[1])[1] for row in ax.get_title(loc="left").splitlines()]
        assert sums[0] == sums[1] != 0.0
        assert len([patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]) == 4
        drawn(ax)

    def test_cycles(self):
        G = network([("x", "a"), ("a", "b"), ("b", "a"), ("b", "y")])
        ax = plots.plot_paths(G, bg.balance(G).log_scales, [["x", "a", "b", "y"], ["a", "b", "a"]])
        assert ax.get_title(loc="left").splitlines()[1].endswith("= 0")
        drawn(ax)

    def test_no_two_units_in_one_place(self):
        G = network([("x", "a"), ("a", "i"), ("i", "b"), ("b", "y"), ("u", "g"), ("g", "i"), ("i", "d"), ("d", "v")])
        ways = [["x", "a", "i", "b", "y"], ["u", "g", "i", "d", "v"], ["x", "a", "i", "d", "v"]]
        ax = plots.plot_paths(G, bg.balance(G).log_scales, ways)
        centers = [patch.center for patch in ax.patches if not isinstance(patch, FancyArrowPatch)]
        assert len(set(centers)) == len(G)

    @pytest.mark.parametrize("paths", [[], [["x0"]], [["x0", "y0"]]])
    def test_what_is_no_path(self, paths):
        with pytest.raises(bg.InvalidParameterError, match="path"):
            plots.plot_paths(bg.networks.chain(2, rng=0), {}, paths)


@pytest.fixture
def runs():
    problem = bg.compile_graph(bg.networks.layered([3, 4, 3, 2], rng=0))
    start = np.where(problem.manifold.pinned, 0.0, 1.0)
    return problem, {
        f"{order} ({k})": bg.solve(
            problem, bg.StochasticSolver(order, rng=k, record=True), start=k * start
        ).history.log_scales
        for order in ("random", "cyclic")
        for k in range(2)
    }


class TestTrajectories:
    def test_families_and_ends(self, runs):
        ax = plots.plot_trajectories(runs[1])
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert labels == ["random", "cyclic", "the balanced state"]
        ends = np.array([one.get_xydata()[-1] for one in ax.get_lines()])
        assert np.abs(ends).max() < 1e-9
        farthest = float(ax.get_title(loc="left").split()[-1])
        assert farthest < 1e-9
        drawn(ax)

    def test_projections_are_no_longer_than_distances(self, runs):
        ways = runs[1]
        ax = plots.plot_trajectories(ways)
        for one, states in zip(ax.get_lines(), ways.values(), strict=True):
            seen = np.linalg.norm(one.get_xydata()[0] - one.get_xydata()[-1])
            assert seen <= np.linalg.norm(states[0] - states[-1]) * (1 + 1e-9)

    def test_distances(self, runs):
        problem, ways = runs
        end = bg.solve(problem).log_scales
        ax = plots.plot_distances(ways, end)
        first = np.abs(np.array(ways["random (0)"]) - end).max(axis=1)
        large = first > 0
        np.testing.assert_allclose(line(ax, "random").get_ydata()[large], first[large])
        assert len(ax.get_lines()) == 4
        drawn(ax)

    def test_one_unit(self):
        problem = bg.compile_graph(bg.networks.chain(1, rng=0))
        states = bg.solve(problem, bg.StochasticSolver(record=True)).history.log_scales
        drawn(plots.plot_trajectories({"random": states}))

    @pytest.mark.parametrize("runs", [{}, {"a": [1.0, 2.0]}, {"a": np.zeros((0, 3))}])
    def test_bad_runs(self, runs):
        with pytest.raises(bg.InvalidParameterError, match="record=True"):
            plots.plot_trajectories(runs)


class TestManifold:
    @pytest.fixture
    def chain(self):
        return bg.networks.chain(weights=[1.0, 6.0, 0.5])

    def test_level_lines_have_one_cost(self, chain):
        ax = plots.plot_level_lines(chain)
        problem = bg.compile_graph(chain)
        basis = problem.manifold.basis.toarray()
        (contours,) = [c for c in ax.collections if hasattr(c, "allsegs")]
        for level in contours.allsegs:
            costs = [problem.log_cost(basis @ point) for segment in level for point in segment]
            # The grid is fine enough to interpolate the logarithm of the cost to a percent.
            assert np.ptp(costs) < 0.02
        drawn(ax)

    def test_trajectories_and_the_balanced_state(self, chain):
        way = np.array([[1.0, 1.0], [0.5, 1.0], [0.5, 0.0]])
        ax = plots.plot_level_lines(chain, trajectories={"mine": way})
        np.testing.assert_array_equal(line(ax, "mine").get_xydata(), way)
        (star,) = [c for c in ax.collections if c.get_label() == "balanced"]
        np.testing.assert_allclose(star.get_offsets()[0], list(bg.balance(chain).log_scales.values()), atol=1e-6)

    def test_orders_of_two_balancings(self, chain):
        ax = plots.plot_balancing_order(chain, "h1.0", "h2.0")
        one, two = (line(ax, label).get_xydata() for label in ("h1.0, then h2.0", "h2.0, then h1.0"))
        graph, scale = bg.balance_node(chain, "h1.0")
        _, other = bg.balance_node(graph, "h2.0")
        np.testing.assert_allclose(one, [[0, 0], [np.log(scale), 0], [np.log(scale), np.log(other)]], atol=1e-12)
        assert np.linalg.norm(one[-1] - two[-1]) > 0.1
        assert float(ax.get_title(loc="left").split()[-2]) == pytest.approx(np.linalg.norm(one[-1] - two[-1]), rel=0.1)
        drawn(ax)

    def test_plane_of_log_gains(self, chain):
        way = np.array([[1.0, 1.0], [0.5, 1.0]])
        ax = plots.plot_manifold(chain, trajectories={"mine": way})
        for one in ax.get_lines():
            points = np.array(one.get_data_3d())
            # Along the only path the log-gains sum to 0.
            np.testing.assert_allclose(points.sum(axis=0), 0.0, atol=1e-9)
        drawn(ax)

    def test_degree_two(self):
        chain = bg.networks.chain(2, activation="relu2", rng=0)
        drawn(plots.plot_manifold(chain, 1.0))
        drawn(plots.plot_level_lines(chain, 1.0))

    def test_other_networks_are_refused(self, chain):
        with pytest.raises(bg.InvalidParameterError, match=r"two free nodes .* has 3"):
            plots.plot_level_lines(bg.networks.chain(3, rng=0))
        chain.add_edge("x0", "h2.0", weight=1.0)
        with pytest.raises(bg.InvalidParameterError, match=r"3 edges.*has 4"):
            plots.plot_manifold(chain)
        with pytest.raises(bg.InvalidParameterError, match="two columns"):
            plots.plot_level_lines(chain, trajectories={"mine": np.zeros(3)})
        with pytest.raises(bg.InvalidParameterError, match="first and second"):
            plots.plot_balancing_order(chain, "h1.0", "y0")


class TestScaleBounds:
    def test_intervals_and_visits(self, runs):
        problem, ways = runs
        states = np.array(ways["random (0)"])
        lower, upper = scale_bounds(problem)
        ax = plots.plot_scale_bounds(problem, states, lower, upper)
        bounds, visited = ax.containers
        free = problem.manifold.free_nodes
        for k, wide, narrow in zip(free, bounds, visited, strict=True):
            assert (wide.get_y(), wide.get_y() + wide.get_height()) == pytest.approx((lower[k], upper[k]))
            ends = states[:, k].min(), states[:, k].max()
            assert (narrow.get_y(), narrow.get_y() + narrow.get_height()) == pytest.approx(ends)
        assert [label.get_text() for label in ax.get_xticklabels()] == [problem.nodes[k] for k in free]
        drawn(ax)


RATES = {"cyclic": [(0.5, 0.51), (0.8, 0.8)], "random": [(0.6, 0.63, 0.01)]}


class TestRates:
    def test_points(self):
        ax = plots.plot_rates(RATES)
        np.testing.assert_allclose(ax.containers[0].lines[0].get_xydata(), RATES["cyclic"])
        assert "5.00%" in ax.get_title(loc="left")
        drawn(ax)

    def test_differences(self):
        ax = plots.plot_rates(RATES, quantity="difference")
        np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), [0.02, 0.0], atol=1e-12)
        (bar,) = ax.containers[1].lines[2][0].get_segments()
        assert bar[1, 1] - bar[0, 1] == pytest.approx(4 * 0.01 / 0.6)
        drawn(ax)

    def test_refusals(self):
        for rates in ({}, {"cyclic": []}):
            with pytest.raises(bg.InvalidParameterError, match="at least one"):
                plots.plot_rates(rates)
        with pytest.raises(bg.InvalidParameterError, match="speed"):
            plots.plot_rates(RATES, quantity="speed")


class TestOsborne:
    def test_counts_and_bounds(self):
        found = osborne.compare_bounds(osborne.gibbs_kernel(8), accuracies=(0.1, 0.01, 1e-3))
        ax = plots.plot_osborne(found)
        for order, counts in found.counts.items():
            np.testing.assert_array_equal(line(ax, order).get_ydata(), counts)
        dashed = [one.get_ydata() for one in ax.get_lines() if one.get_label().startswith("_")]
        for bound, expected in zip(dashed, found.bounds.values(), strict=True):
            np.testing.assert_array_equal(bound, expected)
        assert ax.get_xlim()[0] > ax.get_xlim()[1]
        drawn(ax)


class TestLearning:
    def test_series(self):
        axes = plots.plot_learning({"with": ([3.0, 2.0, 0.0], [0.5, 0.4, 0.1])}, steps_apart=10, unit="epoch")
        error, imbalance = axes
        np.testing.assert_array_equal(error.get_lines()[0].get_data(), [[0, 10, 20], [3.0, 2.0, np.nan]])
        np.testing.assert_array_equal(imbalance.get_lines()[0].get_ydata(), [0.5, 0.4, 0.1])
        assert error.get_xlabel() == "epoch"
        drawn(error)

    @pytest.mark.parametrize("runs", [{}, {"a": ([1.0], [1.0, 2.0])}])
    def test_refusals(self, runs):
        with pytest.raises(bg.InvalidParameterError, match="equal length"):
            plots.plot_learning(runs)


class TestTraining:
    RECORDS = (
        {"step": 5, "loss": 3.0, "imbalance/total": 0.5, "imbalance/0": 0.7},
        {"step": 10, "loss": 0.0, "accuracy": 0.25, "imbalance/total": 0.1},
        {"step": 15, "loss": float("nan"), "accuracy": 0.5},
    )

    def test_what_is_recorded_is_drawn_where_it_was(self):
        figure = plots.plot_training(list(self.RECORDS))[0].figure
        assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "accuracy", "relative imbalance"]
        lines = [ax.get_lines()[0].get_data() for ax in figure.axes]
        np.testing.assert_array_equal(lines[0], [[5, 10], [3.0, np.nan]])
        np.testing.assert_array_equal(lines[1], [[10, 15], [0.25, 0.5]])
        np.testing.assert_array_equal(lines[2], [[5, 10], [0.5, 0.1]])
        assert [ax.get_yscale() for ax in figure.axes] == ["log", "linear", "log"]
        drawn(figure.axes[0])

    def test_several_runs_have_names_and_what_none_has_no_axes(self):
        runs = {"one": [{"loss": 2.0}, {"loss": 1.0}], "other": [{"imbalance": 0.5}]}
        figure = plots.plot_training(runs, unit="epoch")[0].figure
        loss, imbalance = figure.axes
        assert [text.get_text() for text in imbalance.get_legend().get_texts()] == ["one", "other"]
        np.testing.assert_array_equal(loss.get_lines()[0].get_data(), [[0, 1], [2.0, 1.0]])
        np.testing.assert_array_equal(imbalance.get_lines()[1].get_data(), [[0], [0.5]])
        assert loss.get_xlabel() == "epoch"
        drawn(loss)

    def test_frames_are_records(self):
        pandas = pytest.importorskip("pandas")
        figure = plots.plot_training(pandas.DataFrame(list(self.RECORDS)))[0].figure
        np.testing.assert_array_equal(figure.axes[1].get_lines()[0].get_data(), [[10, 15], [0.25, 0.5]])

    @pytest.mark.parametrize(
        ("history", "message"),
        [
            ([], "sequence of dicts"),
            ("loss", "sequence of dicts"),
            ([1.0, 2.0], "sequence of dicts"),
            ({"run": []}, "sequence of dicts"),
            ([{"error": 1.0}], "at least once; got 'error'"),
            ([{"loss": "low"}], "must be numbers"),
        ],
    )
    def test_refusals(self, history, message):
        with pytest.raises(bg.InvalidParameterError, match=message):
            plots.plot_training(history)


@pytest.mark.parametrize("name", ["plot_activations", "plot_level_lines", "plot_rates", "plot_osborne", "plot_paths"])
def test_axes_of_the_user(name):
    chain = bg.networks.chain(2, rng=0)
    arguments = {
        "plot_activations": [["relu"]],
        "plot_level_lines": [chain],
        "plot_rates": [{"cyclic": [(0.5, 0.5)]}],
        "plot_osborne": [osborne.compare_bounds(osborne.gibbs_kernel(5), accuracies=[0.1])],
        "plot_paths": [chain, {}, [list(chain)]],
    }[name]
    ax = Figure().add_subplot()
    assert getattr(plots, name)(*arguments, ax=ax) is ax
