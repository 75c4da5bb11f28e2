"""Pictures: the data on the axes are the computed ones; nothing leaks; matplotlib is optional.

Room: plots.
"""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib as mpl
import networkx as nx
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

import balance_graph as bg
from balance_graph import plots

GRAY = to_rgba("#D9D9D9")


@pytest.fixture
def network():
    return bg.networks.layered([3, 5, 4, 2], "bipu(2)", rng=0)


@pytest.fixture
def result(network):
    return bg.balance(network, 1)


def offsets(ax, label):
    """Points of the scatter with that label."""
    (found,) = [collection for collection in ax.collections if collection.get_label() == label]
    return np.asarray(found.get_offsets())


def face_colors(ax, label):
    (found,) = [collection for collection in ax.collections if collection.get_label() == label]
    return found.get_facecolor()


def lines(ax):
    return {line.get_label(): np.asarray(line.get_ydata(), dtype=float) for line in ax.get_lines()}


def costs(G, node, p=1.0, degree=1.0):
    """In-cost and degree times out-cost in units of the slope: the slow, obvious twin."""
    into = sum(abs(w) ** p for *_, w in G.in_edges(node, data="weight"))
    out = sum(abs(w) ** p for *_, w in G.out_edges(node, data="weight"))
    return p * into, degree * p * out


def hidden(G):
    return [node for node, role in G.nodes(data="role") if role == "hidden"]


def drawn(ax):
    """Draw everything: warnings and failures of rendering come here."""
    ax.figure.savefig(io.BytesIO(), format="png")


class TestBalance:
    def test_points_are_in_costs_and_out_costs(self, network, result):
        ax = plots.plot_balance(network, result.graph, 1)
        for G, label in ((network, "before"), (result.graph, "after")):
            expected = [costs(G, node, degree=2.0)[::-1] for node in hidden(G)]
            np.testing.assert_allclose(offsets(ax, label), expected, rtol=1e-12)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("degree × out-cost", "in-cost")
        drawn(ax)

    def test_consistent_with_imbalance(self, network):
        points = offsets(plots.plot_balance(network, regularizer=3), "before")
        expected = list(bg.imbalance(network, 3).values())
        np.testing.assert_allclose(points[:, 1] - points[:, 0], expected, rtol=1e-10)

    def test_balanced_units_lie_on_the_diagonal(self, network, result):
        points = offsets(plots.plot_balance(network, result.graph, 1), "after")
        np.testing.assert_allclose(points[:, 0], points[:, 1], rtol=1e-10)

    def test_tied_nodes_are_one_unit(self, network):
        for node in ("h1.0", "h1.1"):
            network.nodes[node]["group"] = "tied"
        points = offsets(plots.plot_balance(network, regularizer=1), "before")
        assert len(points) == len(hidden(network)) - 1
        together = np.sum([costs(network, node, degree=2.0) for node in ("h1.0", "h1.1")], axis=0)
        np.testing.assert_allclose(points[0], together[::-1], rtol=1e-12)

    def test_what_logarithmic_axes_cannot_show_is_counted(self, network):
        network.add_node("dead", role="hidden")
        network.add_edge("x0", "dead", weight=1.0)
        ax = plots.plot_balance(network)
        assert len(offsets(ax, "before")) == 9
        assert ax.get_title(loc="right") == "1 unit not shown"
        drawn(ax)

    def test_extreme_weights(self):
        G = bg.networks.chain(weights=[1e-120, 1e120, 1e-90, 1e120])
        ax = plots.plot_balance(G, bg.balance(G, solver="newton").graph)
        drawn(ax)

    def test_no_free_nodes(self):
        ax = plots.plot_balance(nx.DiGraph([("x", "y", {"weight": 1.0})]))
        assert ax.get_title(loc="right") == "no free nodes"
        drawn(ax)


class TestConvergence:
    @pytest.fixture
    def runs(self, network):
        return {order: bg.balance(network, solver=bg.StochasticSolver(order, rng=0)) for order in ("random", "greedy")}

    def test_excess_over_the_certified_bound(self, runs):
        ax = plots.plot_convergence(runs, quantity="excess")
        bound = max(run.certificate.lower_bound for run in runs.values())
        for order, run in runs.items():
            expected = np.array(run.history.cost) / bound - 1
            large = expected > 1e-9
            np.testing.assert_allclose(lines(ax)[order][large], expected[large], rtol=1e-5)
        assert ax.get_ylabel() == "cost / certified lower bound − 1"
        assert ax.get_xlabel() == "sweep"
        assert ax.get_yscale() == "log"
        drawn(ax)

    def test_imbalance(self, runs):
        ax = plots.plot_convergence(runs, quantity="imbalance")
        for order, run in runs.items():
            np.testing.assert_array_equal(lines(ax)[order], run.history.imbalance)

    def test_both(self, runs):
        ax = plots.plot_convergence(runs)
        assert len([line for line in ax.get_lines() if len(line.get_xdata()) > 2]) == 4
        drawn(ax)

    def test_single_runs_sequences_and_histories(self, network, runs):
        newton = bg.balance(network, solver="newton")
        assert plots.plot_convergence(newton).get_xlabel() == "iteration"
        ax = plots.plot_convergence([newton, runs["random"], newton.solution])
        assert {"newton 1", "stochastic", "newton 3"} <= set(lines(ax))
        assert ax.get_xlabel() == "sweep or iteration"
        ax = plots.plot_convergence(runs["random"].history)
        assert ax.get_ylabel() == "cost / least cost reached − 1"
        drawn(ax)

    def test_lower_bound_of_the_user(self, runs):
        ax = plots.plot_convergence(runs["random"].history, lower_bound=1.0, quantity="excess")
        np.testing.assert_allclose(lines(ax)["run"], np.array(runs["random"].history.cost) - 1.0)

    def test_labels_are_not_mathematics(self, runs):
        drawn(plots.plot_convergence({"$x_{": runs["random"]}))

    @pytest.mark.parametrize("options", [{"quantity": "speed"}, {"lower_bound": 0.0}, {"lower_bound": float("nan")}])
    def test_bad_options(self, runs, options):
        with pytest.raises(bg.InvalidParameterError, match=next(iter(options))):
            plots.plot_convergence(runs, **options)

    @pytest.mark.parametrize("runs", [[], {}, [3.0], {"a": "b"}])
    def test_bad_runs(self, runs):
        with pytest.raises(bg.InvalidParameterError, match="runs must be"):
            plots.plot_convergence(runs)


class TestNetwork:
    def test_colors_are_signed_relative_imbalances(self, network):
        ax = plots.plot_network(network, 1, limit=1.0)
        expected = []
        for node in hidden(network):
            into, out = costs(network, node, degree=2.0)
            expected.append((into - out) / (into + out))
        found = face_colors(ax, "free")
        np.testing.assert_allclose(found, red_blue(expected), atol=1e-6)
        drawn(ax)

    def test_pinned_nodes_are_gray(self, network):
        network.nodes["h1.0"]["activation"] = "tanh"
        colors = face_colors(plots.plot_network(network), "pinned")
        np.testing.assert_allclose(colors, np.tile(GRAY, (7, 1)))

    def test_layers_from_left_to_right(self, network):
        ax = plots.plot_network(network)
        x = np.concatenate([offsets(ax, "pinned")[:, 0], offsets(ax, "free")[:, 0]])
        assert sorted(x.tolist()) == [0.0] * 4 + [1.0] * 5 + [2.0] * 4 + [3.0] * 2

    def test_one_arrow_per_edge_as_wide_as_its_weight(self, network):
        network.edges["x0", "h1.0"]["weight"] = 0.0
        ax = plots.plot_network(network)
        arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
        assert len(arrows) == network.number_of_edges() - 1
        weights = sorted(abs(w) for *_, w in network.edges(data="weight") if w)
        widths = sorted(arrow.get_linewidth() for arrow in arrows)
        np.testing.assert_allclose(np.diff(widths) * weights[-1], 2.0 * np.diff(weights), atol=1e-9)

    def test_many_edges_are_lines(self):
        G = bg.networks.digits()
        ax = plots.plot_network(G)
        (found,) = [collection for collection in ax.collections if isinstance(collection, LineCollection)]
        assert len(found.get_segments()) == G.number_of_edges()
        assert not ax.patches
        assert not [text for text in ax.texts if text.get_text()]

    def test_recurrent_networks_and_self_loops(self):
        G = bg.networks.random_recurrent(3, 8, 2, 0.3, self_loops=True, rng=0)
        ax = plots.plot_network(G)
        x = offsets(ax, "free")[:, 0]
        pinned = offsets(ax, "pinned")[:, 0]
        assert pinned.min() < x.min()
        assert x.max() < pinned.max()
        rings = [c for c in ax.collections if c.get_label() not in ("free", "pinned")]
        assert len(rings) == nx.number_of_selfloops(G)
        drawn(ax)

    def test_repeats(self):
        G = bg.networks.random_recurrent(rng=0)
        one, two = (offsets(plots.plot_network(G), "free") for _ in range(2))
        np.testing.assert_array_equal(one, two)

    def test_positions_and_labels_of_the_user(self, network):
        positions = {node: (k, -k) for k, node in enumerate(network)}
        ax = plots.plot_network(network, positions=positions, labels=True)
        assert [text.get_text() for text in ax.texts] == list(network)
        free = [positions[node] for node in hidden(network)]
        np.testing.assert_array_equal(offsets(ax, "free"), free)

    @pytest.mark.parametrize(
        "G",
        [
            nx.DiGraph(),
            nx.DiGraph([("x", "y", {"weight": 0.0})]),
            nx.DiGraph([("h", "h", {"weight": 2.0})]),
            nx.DiGraph([("a$_{", "b\n", {"weight": 2.0}), ("b\n", "a long name", {"weight": 2.0})]),
        ],
    )
    def test_awkward_networks(self, G):
        drawn(plots.plot_network(G))

    def test_a_balanced_network_looks_balanced(self, network, result):
        colors = face_colors(plots.plot_network(result.graph, 1), "free")
        assert colors[:, :3].min() > 0.95


def red_blue(values):
    return mpl.colormaps["RdBu_r"]((np.array(values) + 1) / 2)


class TestWeights:
    def test_magnitudes_before_and_after(self, network, result):
        ax = plots.plot_weights(network, result.graph)
        points = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])
        pairs = [(abs(w), abs(result.graph.edges[u, v]["weight"])) for u, v, w in network.edges(data="weight")]
        assert sorted(map(tuple, points.tolist())) == sorted(pairs)
        drawn(ax)

    def test_counts(self):
        G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": -2.0}), ("x", "y", {"weight": 1.0})])
        G.add_edge("x", "z", weight=0.0)
        ax = plots.plot_weights(G, bg.balance(G).graph)
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert labels == ["grew: 1", "shrank: 1", "kept: 1", "unchanged"]
        assert ax.get_title(loc="right") == "1 of weight 0 not shown"

    def test_other_edges_are_refused(self, network):
        with pytest.raises(bg.InvalidParameterError, match="same edges"):
            plots.plot_weights(network, nx.DiGraph())

    def test_no_edges(self):
        drawn(plots.plot_weights(nx.DiGraph(), nx.DiGraph()))


class TestFigures:
    def test_result(self, network, result):
        axes = plots.plot_result(network, result, 1)
        assert axes.shape == (2, 2)
        figure = axes[0, 0].figure
        assert isinstance(figure, Figure)
        assert len(figure.axes) == 5
        assert "certified" in figure.get_suptitle()
        drawn(figure.axes[0])

    def test_demo(self, network):
        runs = {p: {"cyclic": bg.balance(network, p, solver=bg.StochasticSolver("cyclic"))} for p in (2.0, 1.0)}
        axes = plots.plot_demo(network, runs, heading="A heading")
        assert axes.shape == (2, 3)
        figure = axes[0, 0].figure
        assert figure.get_suptitle() == "A heading"
        titles = [ax.get_title(loc="left") for ax in figure.axes]
        assert titles[0].startswith("p = 2: cost ")
        assert titles[3].startswith("p = 1: cost ")

    @pytest.mark.parametrize("name", ["plot_balance", "plot_network", "plot_convergence", "plot_weights"])
    def test_axes_of_the_user(self, network, result, name):
        ax = Figure().add_subplot()
        arguments = {"plot_convergence": [result], "plot_weights": [network, result.graph]}.get(name, [network])
        assert getattr(plots, name)(*arguments, ax=ax) is ax
        drawn(ax)

    @pytest.mark.parametrize(
        ("name", "arguments", "count"),
        [
            ("plot_result", lambda network, result: [network, result], 4),
            ("plot_demo", lambda network, result: [network, {1.0: {"one": result}}], 3),
            ("plot_activation_classes", lambda *_: [], 3),
            ("plot_learning", lambda *_: [{"a": ([1.0], [1.0])}], 2),
            ("plot_training", lambda *_: [[{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.6}]], 2),
        ],
    )
    def test_panels_of_the_user(self, network, result, name, arguments, count):
        figure = Figure()
        mine = figure.subplots(1, count)
        theirs = getattr(plots, name)(*arguments(network, result), ax=mine)
        assert list(theirs.ravel()) == list(mine)
        assert figure.get_suptitle() == ""
        drawn(mine[0])
        with pytest.raises(bg.InvalidParameterError, match=f"ax must hold {count} axes"):
            getattr(plots, name)(*arguments(network, result), ax=mine[1:])

    def test_inputs_stay_as_they_are(self, network, result):
        before = [list(network.nodes(data=True)), list(network.edges(data=True))]
        copies = [list(network.copy().nodes(data=True)), list(network.copy().edges(data=True))]
        plots.plot_result(network, result, 1)
        assert before == copies == [list(network.nodes(data=True)), list(network.edges(data=True))]


class TestWithoutMatplotlib:
    @pytest.mark.parametrize(
        "name", ["plot_balance", "plot_network", "plot_convergence", "plot_weights", "plot_result"]
    )
    def test_says_what_to_install(self, network, result, monkeypatch, name):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        arguments = {
            "plot_convergence": [result],
            "plot_weights": [network, result.graph],
            "plot_result": [network, result],
        }.get(name, [network])
        with pytest.raises(bg.MissingDependencyError, match=r'pip install "balance-graph\[plot\]"'):
            getattr(plots, name)(*arguments)

    def test_neither_import_nor_drawing_touches_pyplot(self):
        code = (
            "import sys, balance_graph as bg; assert 'matplotlib' not in sys.modules; bg.plots; "
            "assert 'matplotlib' not in sys.modules; bg.plots.plot_network(bg.networks.layered([2, 3, 1], rng=0)); "
            "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestLoopsHaveRoom:
    """Rings of self-loops, and nodes, lie within the axes, wherever the nodes are."""

    @staticmethod
    def disks(ax):
        """Center and radius, in pixels, of every node and ring."""
        ax.figure.draw_without_rendering()
        point = ax.figure.dpi / 72.0
        for one in ax.collections:
            radius = 0.5 * point * (np.sqrt(one.get_sizes()[0]) + one.get_linewidths()[0])
            for center in one.get_offset_transform().transform(one.get_offsets()):
                yield center, radius

    @pytest.mark.parametrize("place", ["springs", "row", "column", "corner", "one point"])
    def test_within_the_axes(self, place):
        G = bg.networks.random_recurrent(hidden=5, self_loops=True, probability=0.5, rng=3)
        G.add_edges_from([(node, node, {"weight": 2.0}) for node in hidden(G)])
        positions = {
            "springs": None,
            "row": {node: (k, 0.0) for k, node in enumerate(G)},
            "column": {node: (0.0, k) for k, node in enumerate(G)},
            "corner": {node: (float(node == "h1"), float(node == "h1")) for node in G},
            "one point": dict.fromkeys(G, (3.0, -2.0)),
        }[place]
        ax = plots.plot_network(G, positions=positions)
        found = list(self.disks(ax))
        assert len(found) == len(G) + len(hidden(G))
        frame = ax.get_window_extent()
        for center, radius in found:
            assert frame.x0 <= center[0] - radius
            assert center[0] + radius <= frame.x1
            assert frame.y0 <= center[1] - radius
            assert center[1] + radius <= frame.y1

    def test_two_networks_on_one_pair_of_axes_are_both_in_sight(self):
        G = bg.networks.chain(2, rng=0)
        ax = plots.plot_network(G, positions={node: (k, 0.0) for k, node in enumerate(G)}, colorbar=False)
        plots.plot_network(G, positions={node: (k, 5.0) for k, node in enumerate(G)}, colorbar=False, ax=ax)
        low, high = ax.get_ylim()
        assert low < 0.0
        assert high > 5.0
