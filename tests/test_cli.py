"""The command line: what it prints, what it writes, and every exit code.

Room: cli.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from helpers import json_paths

import balance_graph as bg
from balance_graph import cli
from balance_graph.cli import main
from balance_graph.cli.keys import HEAD, KEYS, key_lines

ERROR = "balance-graph: error: "


@pytest.fixture(autouse=True)
def only_declared_keys(monkeypatch):
    """No command in any test of this file says more, for machines, than its help does."""
    print_answer = cli.print_answer

    def checked(arguments, document, lines):
        declared = KEYS[arguments.name]
        assert json_paths(json.loads(json.dumps(document)), declared) <= set(declared)
        print_answer(arguments, document, lines)

    monkeypatch.setattr(cli, "print_answer", checked)


@pytest.fixture
def network():
    return bg.networks.layered([3, 5, 4, 2], rng=0)


@pytest.fixture
def file(network, tmp_path):
    path = tmp_path / "network.json"
    bg.write_network(network, path)
    return str(path)


@pytest.fixture
def unattained(network, tmp_path):
    network.add_node("dead", role="hidden")
    network.add_edge("x0", "dead", weight=1.0)
    path = tmp_path / "unattained.json"
    bg.write_network(network, path)
    return str(path)


def document(capsys):
    """The one JSON document on the standard output, without NaN and the like."""

    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    captured = capsys.readouterr()
    return json.loads(captured.out, parse_constant=refuse)


def assert_refused(capsys, arguments, *parts, code=2):
    """Exit code 2, nothing on the standard output, one line on the standard error that says what is wrong."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(ERROR)
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    for part in parts:
        assert part in captured.err


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


class TestBalance:
    def test_writes_the_balanced_network(self, file, network, tmp_path, capsys):
        output = tmp_path / "balanced.json"
        assert main(["balance", file, "--p", "1", "--output", str(output)]) == 0
        balanced = bg.read_network(output)
        assert bg.is_balanced(balanced, 1.0)
        assert bg.equivalent(network, balanced)
        assert str(output) in capsys.readouterr().out

    @pytest.mark.parametrize("solver", ["auto", "cvxpy", "newton", "stochastic", "flow"])
    def test_json_agrees_with_the_library(self, file, network, capsys, solver):
        assert main(["balance", file, "--solver", solver, "--json"]) == 0
        found = document(capsys)
        result = bg.balance(network)
        assert found["command"] == "balance"
        assert found["version"] == bg.__version__
        assert found["attained"] is True
        assert found["converged"] is True
        assert found["cost"] == pytest.approx(result.cost, rel=1e-12)
        assert found["initial_cost"] == pytest.approx(bg.cost(network), rel=1e-14)
        assert found["certificate"]["relative_gap"] < 1e-12
        scales = {row["node"]: row["scale"] for row in found["scales"]}
        assert scales == pytest.approx(result.scales, rel=1e-9)
        assert found["output"] is None

    def test_the_seed_repeats_a_run(self, file, capsys):
        arguments = ["balance", file, "--solver", "stochastic", "--json", "--rng"]
        runs = []
        for seed in ("3", "3", "4"):
            assert main([*arguments, seed]) == 0
            runs.append(document(capsys)["scales"])
        assert runs[0] == runs[1]
        assert runs[0] != runs[2]

    def test_saves_a_picture_and_leaves_no_draft(self, file, tmp_path):
        folder = tmp_path / "pictures"
        folder.mkdir()
        assert main(["balance", file, "--plot", str(folder / "picture.png"), "--quiet"]) == 0
        assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
        assert [path.name for path in folder.iterdir()] == ["picture.png"]

    def test_a_failing_picture_leaves_nothing(self, file, tmp_path, monkeypatch, capsys):
        def fail(figure, path):
            path.write_text("half")
            raise OSError(28, "No space left on device")

        folder = tmp_path / "pictures"
        folder.mkdir()
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
        assert_refused(capsys, ["balance", file, "--plot", folder / "picture.png"], "No space left")
        assert list(folder.iterdir()) == []

    def test_names_that_a_font_or_formula_cannot_show(self, tmp_path, capsys):
        G = nx.DiGraph([("$x_{", "漢字", {"weight": 2.0}), ("漢字", "a\nb", {"weight": 0.5})])
        path = tmp_path / "names.json"
        bg.write_network(G, path)
        assert main(["balance", str(path), "--plot", str(tmp_path / "names.png")]) == 0
        assert capsys.readouterr().err == ""

    def test_other_weight_attribute(self, network, tmp_path, capsys):
        nx.set_edge_attributes(network, 2.0, "strength")
        path = tmp_path / "two.json"
        bg.write_network(network, path)
        assert main(["balance", str(path), "--weight", "strength", "--json"]) == 0
        assert document(capsys)["initial_cost"] == pytest.approx(4.0 * network.number_of_edges())

    def test_other_weight_column(self, tmp_path, capsys):
        path = write(tmp_path, "small.csv", "source,target,strength\nx,h,8\nh,y,2\n")
        output, picture = tmp_path / "balanced.csv", tmp_path / "a.png"
        options = ["--weight", "strength"]
        assert main(["balance", str(path), *options, "--output", str(output), "--plot", str(picture)]) == 0
        assert output.read_text().startswith("source,target,strength\n")
        assert bg.is_balanced(bg.read_network(output, weight="strength"), weight="strength")
        capsys.readouterr()
        assert main(["compare", str(path), str(output), *options, "--quiet"]) == 0
        assert main(["inspect", str(path), *options, "--json"]) == 0
        assert document(capsys)["cost"] == 68.0
        assert_refused(capsys, ["inspect", path], "no column 'weight'")

    def test_numbers_beyond_floats_are_null(self, tmp_path, capsys):
        G = bg.networks.chain(weights=[1e150, 1e150, 1e150])
        path = tmp_path / "huge.json"
        bg.write_network(G, path)
        assert main(["balance", str(path), "--p", "3", "--solver", "newton", "--json"]) == 0
        found = document(capsys)
        assert found["cost"] is None
        assert found["log_cost"] == pytest.approx(np.log(3) + 450 * np.log(10))

    def test_not_attained(self, unattained, tmp_path, capsys):
        output = tmp_path / "out.json"
        assert main(["balance", unattained, "--output", str(output)]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("balance-graph: the minimum is not attained: ")
        assert captured.err.count("\n") == 1
        assert "'dead'" in captured.err
        assert "--on-unattained prune sets" in captured.err
        assert not output.exists()

    def test_not_attained_as_json(self, unattained, capsys):
        assert main(["balance", unattained, "--json"]) == 1
        found = document(capsys)
        assert found["attained"] is False
        assert [row["node"] for row in found["dead_nodes"]] == ["dead"]
        assert found["dead_edges"] == [["x0", "dead"]]

    def test_prune(self, unattained, tmp_path, capsys):
        output = tmp_path / "out.json"
        assert main(["balance", unattained, "--on-unattained", "prune", "--output", str(output), "--json"]) == 0
        assert document(capsys)["pruned_edges"] == [["x0", "dead"]]
        assert bg.read_network(output).edges["x0", "dead"]["weight"] == 0

    def test_not_converged_is_a_no(self, file, monkeypatch, capsys):
        solver = bg.StochasticSolver(max_sweeps=1)
        monkeypatch.setattr(bg, "StochasticSolver", lambda rng: solver)
        assert main(["balance", file, "--solver", "stochastic"]) == 1
        assert "limit reached" in capsys.readouterr().out

    def test_quiet(self, file, capsys):
        assert main(["balance", file, "--quiet"]) == 0
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("quiet", "terminal", "expected"), [(False, True, True), (True, True, False), (False, False, False)]
    )
    def test_progress_only_on_a_terminal(self, file, monkeypatch, quiet, terminal, expected):
        seen = []
        balance = bg.balance

        def spy(*arguments, progress, **options):
            seen.append(progress)
            return balance(*arguments, **options)

        monkeypatch.setattr(bg, "balance", spy)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        assert main(["balance", file, *["--quiet"] * quiet]) == 0
        [progress] = seen
        assert callable(progress) if expected else progress is False


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "text", "part"),
        [
            ("missing.json", None, "missing.json"),
            ("empty.json", "", "empty"),
            ("broken.json", '{"nodes": [', "line 1"),
            ("list.json", "[]", "JSON object"),
            (
                "nan.json",
                '{"nodes": [{"id": 1}, {"id": 2}], "edges": [{"source": 1, "target": 2, "weight": NaN}]}',
                "nan",
            ),
            ("columns.csv", "a,b\n1,2\n", "source"),
            ("weight.csv", "source,target,weight\nx,y,heavy\n", "heavy"),
            ("twice.csv", "source,target,weight\nx,y,1\nx,y,2\n", "twice"),
            ("broken.graphml", "<graphml>", "XML"),
            ("network.txt", "x y 1", ".txt"),
            ("role.json", '{"nodes": [{"id": "h", "role": "boss"}], "edges": []}', "boss"),
            ("activation.json", '{"nodes": [{"id": "h", "activation": "magic"}], "edges": []}', "magic"),
        ],
    )
    @pytest.mark.parametrize("command", ["balance", "inspect", "compare"])
    def test_bad_files(self, tmp_path, capsys, file, command, name, text, part):
        path = tmp_path / name if text is None else write(tmp_path, name, text)
        assert_refused(capsys, [command, path, *[file] * (command == "compare")], part)

    @pytest.mark.parametrize("p", ["0", "-1", "nan", "inf", "two"])
    def test_bad_p(self, file, capsys, p):
        assert_refused(capsys, ["balance", file, f"--p={p}"])
        assert_refused(capsys, ["inspect", file, f"--p={p}"])

    def test_bad_tolerance(self, file, capsys):
        assert_refused(capsys, ["compare", file, file, "--tol=-1"], "tol")

    def test_bad_seed(self, file, capsys):
        assert_refused(capsys, ["balance", file, "--solver", "stochastic", "--rng=-1"], "-1")

    @pytest.mark.parametrize(
        "arguments", [[], ["dance"], ["balance"], ["balance", "a.json", "--solver", "magic"], ["compare", "a"]]
    )
    def test_bad_arguments(self, capsys, arguments):
        assert_refused(capsys, arguments, "--help")

    def test_no_such_weight(self, file, capsys):
        assert_refused(capsys, ["balance", file, "--weight", "strength"], "strength")

    @pytest.mark.parametrize(
        ("option", "name", "part"),
        [
            ("--output", "out.xlsx", ".xlsx"),
            ("--output", "out.csv", "write to .json"),  # roles have no place in an edge list
            ("--output", "nowhere/out.json", "folder does not exist"),
            ("--output", "folder.json", "it is a folder"),
            ("--plot", "out.docx", ".docx"),
            ("--plot", "picture", "''"),
            ("--plot", "nowhere/out.png", "folder does not exist"),
        ],
    )
    def test_bad_outputs_before_the_work(self, file, tmp_path, monkeypatch, capsys, option, name, part):
        (tmp_path / "folder.json").mkdir()
        monkeypatch.setattr(bg, "balance", lambda *_, **__: pytest.fail("the work was done"))
        assert_refused(capsys, ["balance", file, option, tmp_path / name], part, name)

    def test_plot_without_matplotlib(self, file, tmp_path, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert_refused(capsys, ["balance", file, "--plot", tmp_path / "a.png"], 'pip install "balance-graph[plot]"')

    def test_line_breaks_and_escapes_in_names_stay_in_one_line(self, tmp_path, capsys):
        assert_refused(capsys, ["inspect", tmp_path / "a\nb\x1b[31m.json"])
        assert_refused(capsys, ["dance\nmore"])

    @pytest.mark.parametrize("json_option", [[], ["--json"]])
    def test_interrupt(self, file, monkeypatch, capsys, json_option):
        def interrupt(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(bg, "balance", interrupt)
        assert main(["balance", file, *json_option]) == 130
        assert capsys.readouterr() == ("", "balance-graph: interrupted\n")

    def test_interrupt_inside_a_solver(self, file, monkeypatch, tmp_path, capsys):
        def interrupt(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("balance_graph.points.rows.RowsPoint.direction", interrupt)
        output = tmp_path / "out.json"
        assert main(["balance", file, "--solver", "newton", "--output", str(output)]) == 130
        assert not output.exists()

    def test_memory(self, file, monkeypatch, capsys):
        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr(bg, "balance", fail)
        assert_refused(capsys, ["balance", file], "memory")


class TestInspect:
    def test_text(self, file, capsys):
        assert main(["inspect", file]) == 0
        out = capsys.readouterr().out
        for part in ("3 input", "1 bias", "9 hidden", "2 output", "free nodes          9", "dimension 9", "relu 9"):
            assert part in out
        assert "its role is input: 'x0', 'x1', 'x2'" in out
        assert "attained            yes" in out

    def test_json_agrees_with_the_library(self, file, network, capsys):
        assert main(["inspect", file, "--p", "1", "--json"]) == 0
        found = document(capsys)
        assert found["roles"] == {"input": 3, "bias": 1, "hidden": 9, "output": 2}
        assert found["cost"] == bg.cost(network, 1)
        assert found["relative_imbalance"] == bg.relative_imbalance(network, 1)
        assert found["dimension"] == bg.manifold(network).dimension
        assert found["balanced"] is False
        assert found["attained"] is True
        assert found["unique"] is True
        assert found["dead_nodes"] == []
        worst = max(bg.imbalance(network, 1), key=lambda node: _relative(network, node))
        assert found["worst_node"] == worst

    def test_not_attained(self, unattained, capsys):
        assert main(["inspect", unattained]) == 1
        assert "dead node           'dead': it reaches no pinned node" in capsys.readouterr().out
        assert main(["inspect", unattained, "--json"]) == 1
        assert document(capsys)["dead_nodes"] == [{"node": "dead", "reason": "it reaches no pinned node"}]

    def test_what_cannot_be_scaled_and_why(self, tmp_path, capsys):
        G = nx.DiGraph()
        G.add_node("h", activation="tanh")
        G.add_edge("x", "h", weight=1.0)
        G.add_edge("h", "held", weight=2.0, fixed=True)
        G.add_edge("held", "free", weight=2.0)
        G.add_edge("free", "y", weight=0.0)
        G.add_edge("free", "z", weight=3.0)
        path = tmp_path / "held.json"
        bg.write_network(G, path)
        assert main(["inspect", str(path), "--json"]) == 0
        found = document(capsys)
        assert {row["node"]: row["reason"] for row in found["unscalable"]} == {
            "x": "its role is input",
            "h": "its activation tanh is not homogeneous",
            "held": "fixed edges or shared weights hold it",
            "y": "its role is output",
            "z": "its role is output",
        }
        assert (found["free_nodes"], found["fixed_edges"], found["zero_edges"]) == (2, 1, 1)

    def test_gauges_ties_and_tuples(self, tmp_path, capsys):
        G = nx.DiGraph()
        for ring in (("a", 1), ("a", 2)):
            G.add_node(ring, role="hidden")
        G.add_edge(("a", 1), ("a", 2), weight=2.0)
        G.add_edge(("a", 2), ("a", 1), weight=8.0)
        path = tmp_path / "ring.json"
        bg.write_network(G, path)
        assert main(["inspect", str(path), "--json"]) == 0
        found = document(capsys)
        assert found["gauge_nodes"] in ([["a", 1]], [["a", 2]])
        assert (found["dimension"], found["unique"]) == (1, False)
        assert main(["inspect", str(path)]) == 0
        assert "1 gauge at ('a', " in capsys.readouterr().out

    def test_counts_of_ties_and_shared_weights(self, tmp_path, capsys):
        G = bg.networks.convolutional(rng=0)
        path = tmp_path / "conv.json"
        bg.write_network(G, path)
        assert main(["inspect", str(path), "--json"]) == 0
        found = document(capsys)
        labels = [label for *_, label in G.edges(data="shared") if label is not None]
        groups = [label for _, label in G.nodes(data="group") if label is not None]
        assert found["shared_parameters"] == sum(labels.count(label) > 1 for label in set(labels))
        assert found["tied_groups"] == sum(groups.count(label) > 1 for label in set(groups))

    def test_an_empty_network(self, tmp_path, capsys):
        path = tmp_path / "empty.json"
        bg.write_network(nx.DiGraph(), path)
        assert main(["inspect", str(path)]) == 0
        assert main(["inspect", str(path), "--json"]) == 0
        assert main(["balance", str(path), "--json", "--plot", str(tmp_path / "a.png")]) == 0


def _relative(G, node):
    into = sum(abs(w) for *_, w in G.in_edges(node, data="weight"))
    out = sum(abs(w) for *_, w in G.out_edges(node, data="weight"))
    return abs(into - out) / (into + out)


class TestCompare:
    def compare(self, tmp_path, one, two, *options):
        paths = [tmp_path / "one.json", tmp_path / "two.json"]
        for G, path in zip((one, two), paths, strict=True):
            bg.write_network(G, path)
        return main(["compare", *map(str, paths), *options])

    def test_equivalent(self, network, tmp_path, capsys):
        other = bg.scale(network, {"h1.0": 7.0, "h2.1": 0.25})
        assert self.compare(tmp_path, network, other) == 0
        assert capsys.readouterr().out.startswith("equivalent")
        assert self.compare(tmp_path, network, other, "--json") == 0
        found = document(capsys)
        assert found["equivalent"] is True
        assert found["difference"] is None

    def test_one_weight_differs(self, network, tmp_path, capsys):
        other = bg.scale(network, {"h1.0": 7.0})
        other.edges["x1", "h1.3"]["weight"] *= 3.0
        assert self.compare(tmp_path, network, other) == 1
        assert "('x1', 'h1.3')" in capsys.readouterr().out

    def test_zero_weights_constrain_nothing(self, network, tmp_path, capsys):
        network.edges["x0", "h1.0"]["weight"] = 0.0
        other = network.copy()
        other.edges["x0", "h1.1"]["weight"] *= 3.0
        assert self.compare(tmp_path, network, other) == 1
        assert "('x0', 'h1.1')" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            (lambda G: G.add_node("new", role="hidden"), "node 'new' is in the second network only"),
            (lambda G: G.remove_edge("x0", "h1.0"), "edge ('x0', 'h1.0') is in the first network only"),
            (lambda G: G.nodes["h1.0"].update(activation="tanh"), "node 'h1.0' is free of degree 1 against pinned"),
            (lambda G: G.nodes["h1.0"].update(activation="bipu(2)"), "degree 1 against free of degree 2"),
            (lambda G: G.edges["x0", "h1.0"].update(weight=-G.edges["x0", "h1.0"]["weight"]), "scaling keeps signs"),
            (lambda G: G.edges["x0", "h1.0"].update(fixed=True), "edge ('x0', 'h1.0') differs in 'fixed'"),
            (lambda G: [G.nodes[n].update(group=1) for n in ("h1.0", "h1.1")], "node 'h1.1' differs in 'group'"),
        ],
    )
    def test_where_the_structure_differs(self, network, tmp_path, capsys, change, part):
        other = network.copy()
        change(other)
        assert self.compare(tmp_path, network, other) == 1
        assert part in capsys.readouterr().out

    def test_labels_may_differ(self, network, tmp_path):
        other = network.copy()
        for node in ("h1.0", "h1.1"):
            network.nodes[node]["group"], other.nodes[node]["group"] = "a", "b"
        assert self.compare(tmp_path, network, other, "--quiet") == 0

    def test_across_formats(self, tmp_path):
        G = nx.DiGraph([("x", "h", {"weight": 2.0}), ("h", "y", {"weight": 0.5})])
        for name in ("a.csv", "a.json"):
            bg.write_network(G, tmp_path / name)
        assert main(["compare", str(tmp_path / "a.csv"), str(tmp_path / "a.json")]) == 0


class TestDemo:
    def test_the_real_one(self, tmp_path, capsys):
        path = tmp_path / "demo.png"
        assert main(["demo", "--figure", str(path)]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        *lines, picture = captured.out.splitlines()
        assert max(map(len, lines)) <= 100
        assert picture == f"Picture: {path}"
        assert "98 of 100 are recognized before and after" in " ".join(captured.out.split())
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_json(self, tmp_path, monkeypatch, capsys):
        here, temporary = tmp_path / "here", tmp_path / "temporary"
        here.mkdir()
        temporary.mkdir()
        monkeypatch.chdir(here)
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        assert main(["demo", "--json"]) == 0
        found = document(capsys)
        assert found["agree"] is True
        figure = Path(found["figure"])
        assert figure.name == "balance_demo.png"
        assert figure.exists()
        assert temporary in figure.parents
        assert list(here.iterdir()) == []
        assert [(row["p"], row["route"]) for row in found["rows"]] == [
            (p, route) for p in (2.0, 1.0) for route in ("cvxpy", "Newton", "stochastic")
        ]
        for row in found["rows"]:
            assert row["cost"] < row["initial_cost"]
            assert max(row["weights_difference"], row["relative_gap"], row["outputs_change"]) < 1e-11

    @pytest.fixture
    def small(self, monkeypatch):
        G = bg.networks.layered([4, 3, 2], rng=0)
        images = np.random.default_rng(0).random((5, 4))
        labels = bg.evaluate(G, images).argmax(axis=1)
        monkeypatch.setattr(bg.networks, "digits", lambda: G)
        monkeypatch.setattr(bg.networks, "digits_images", lambda: (images, labels))

    def test_without_matplotlib(self, small, tmp_path, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.chdir(tmp_path)
        assert main(["demo"]) == 0
        assert 'pip install "balance-graph[plot]"' in capsys.readouterr().out
        assert main(["demo", "--json"]) == 0
        found = document(capsys)
        assert found["figure"] is None
        assert "matplotlib" in found["note"]
        assert list(tmp_path.iterdir()) == []

    def test_no_figure(self, small, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["demo", "--no-figure"]) == 0
        assert list(tmp_path.iterdir()) == []

    def test_bad_figure(self, small, tmp_path, capsys):
        assert_refused(capsys, ["demo", "--figure", tmp_path / "demo.txt"], ".txt")

    def test_disagreement_is_a_no(self, small, monkeypatch, capsys):
        monkeypatch.setattr(cli._demo, "_largest_difference", lambda *_: 1e-3)
        assert main(["demo", "--no-figure"]) == 1
        out = capsys.readouterr().out
        assert "do not agree" in out
        assert "Same answer" not in out


class TestProcess:
    def run(self, *arguments, **options):
        command = [sys.executable, "-m", "balance_graph", *arguments]
        return subprocess.run(command, text=True, check=False, stderr=subprocess.PIPE, **options)

    def test_module(self, file):
        done = self.run("inspect", file, "--json", stdout=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["nodes"] == 15

    def test_reader_that_went_away(self, file):
        ours, theirs = os.pipe()
        os.close(ours)
        done = self.run("inspect", file, stdout=theirs)
        os.close(theirs)
        assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_full_disk(self, file):
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            done = self.run("inspect", file, stdout=full)
        assert done.returncode == 2
        assert done.stderr.startswith(ERROR)
        assert done.stderr.count("\n") == 1

    def test_a_terminal_without_unicode(self, tmp_path):
        G = nx.DiGraph([("é", "漢", {"weight": 1.0}), ("漢", "y", {"weight": 1.0})])
        bg.write_network(G, tmp_path / "a.json")
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        done = self.run("inspect", str(tmp_path / "a.json"), stdout=subprocess.PIPE, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert r"\xe9" in done.stdout


class TestVerify:
    @pytest.fixture
    def small(self, tmp_path):
        path = tmp_path / "small.json"
        bg.write_network(bg.networks.layered([2, 2, 1], "leaky_relu(0.5)", rng=0), path)
        return str(path)

    def test_prints_a_table_and_writes_a_page(self, small, tmp_path, capsys):
        page = tmp_path / "report.html"
        assert main(["verify", small, "--p", "1", "--html", str(page)]) == 0
        captured = capsys.readouterr()
        assert "18 statements on 1 network" in captured.out
        assert captured.err == ""
        assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

    def test_json_agrees_with_the_library(self, small, capsys):
        assert main(["verify", small, "--rng", "3", "--json"]) == 0
        found = document(capsys)
        report = bg.verify(bg.read_network(small), rng=3)
        assert (found["p"], found["rng"], found["holds"]) == (2.0, 3, True)
        assert [row["residual"] for row in found["findings"]] == [one.residual for one in report.findings]
        assert found["findings"][16]["holds"] is None

    def test_without_a_file_the_gallery_is_examined(self, monkeypatch, capsys):
        verification = importlib.import_module("balance_graph.theory.verification")
        monkeypatch.setattr(verification, "STATEMENTS", verification.STATEMENTS[1:2])
        assert main(["verify", "--json"]) == 0
        found = document(capsys)
        assert found["file"] is None
        assert len(found["networks"]) == 13

    def test_a_statement_that_fails_is_exit_code_1(self, small, monkeypatch, capsys):
        from balance_graph.theory.statement import statement

        @statement(1, "two weights are equal", "nowhere")
        def two_weights_are_equal(trial):
            trial.tally("difference", 0.0, "it is false").add(1.0, "there")

        monkeypatch.setattr(
            importlib.import_module("balance_graph.theory.verification"), "STATEMENTS", (two_weights_are_equal,)
        )
        assert main(["verify", small]) == 1
        assert "fails" in capsys.readouterr().out
        assert main(["verify", small, "--json"]) == 1
        assert document(capsys)["holds"] is False

    def test_bad_input_is_one_line(self, small, tmp_path, capsys):
        assert_refused(capsys, ["verify", tmp_path / "none.json"], "none.json")
        assert_refused(capsys, ["verify", small, "--p", "-1"], "positive")
        assert_refused(capsys, ["verify", small, "--rng", "-1"], "rng")
        assert_refused(capsys, ["verify", small, "--html", tmp_path / "no" / "page.html"], "folder does not exist")
        assert_refused(capsys, ["verify", small, "--weight", "strength"], "strength")


class TestHelp:
    def test_version(self, capsys):
        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"balance-graph {bg.__version__}\n"

    @pytest.mark.parametrize("command", ["demo", "balance", "inspect", "compare", "verify", "warmup"])
    def test_help_names_every_key(self, command, rich, capsys, monkeypatch):
        """Help promises exactly the keys that come, to the innermost, with their meaning."""
        assert main([command, "--help"]) == 0
        lines = capsys.readouterr().out.split("keys of --json")[1].splitlines()[1:]
        promised = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ") and line[2] != " "}
        assert all(promised.values())
        files = {"compare": [rich, rich], "demo": ["--no-figure"], "warmup": [], "verify": ["--statements", "1-3,17"]}
        options = {"balance": ["--on-unattained", "prune"]}.get(command, [])
        code = main([command, *files.get(command, [rich]), *options, "--json"])
        assert code == (1 if command == "inspect" else 0)  # a node is dead
        found = document(capsys)
        assert {key: type(found.pop(key)) for key in HEAD} == dict.fromkeys(HEAD, str)
        assert json_paths(found, KEYS[command]) == set(promised) == set(KEYS[command])

    @pytest.mark.parametrize("columns", [20, 60, 200])
    def test_keys_fit_the_terminal(self, columns, monkeypatch):
        monkeypatch.setenv("COLUMNS", str(columns))
        for command in KEYS:
            for line in key_lines(command).splitlines()[1:]:
                assert len(line) <= max(columns, 68)
                assert line.strip()


@pytest.fixture
def rich(network, tmp_path):
    """A network with something to say under every key."""
    network.add_node("dead", role="hidden")
    network.add_edge("x0", "dead", weight=1.0)
    for edge in list(network.out_edges("x1"))[:2]:
        network.edges[edge]["shared"] = "s"
        network.edges[edge]["weight"] = 1.0
    path = tmp_path / "rich.json"
    bg.write_network(network, path)
    return str(path)


def test_no_sub_command_imports_what_it_does_not_need(file):
    code = f"import sys; from balance_graph.cli import main; main(['inspect', {file!r}]); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], text=True, check=True, capture_output=True)
    modules = done.stdout.splitlines()[-1]
    for heavy in ("'matplotlib'", "'cvxpy'", "'torch'", "'numba'"):
        assert heavy not in modules
