"""The command line on a terminal: progress that erases itself, colors, completion; and elsewhere nothing of them.

Room: cli.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys

import pytest

import balance_graph as bg
from balance_graph.cli import _terminal, main

ESCAPE = re.compile(r"\x1b\[[0-9;]*[mK]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """To be called in the test itself, since pytest sets the streams anew for it."""
    return lambda: both_terminals(monkeypatch)


def both_terminals(monkeypatch):
    """Both streams are terminals; they are returned."""
    streams = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return streams


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.json"
    bg.write_network(bg.networks.layered([2, 2, 1], "leaky_relu(0.5)", rng=0), path)
    return str(path)


def last_of(stream):
    """What is left on the last line of a terminal."""
    return stream.getvalue().rpartition("\r")[2].removeprefix("\x1b[K")


def test_verdicts_are_colored_and_nothing_else_changes(on_terminal, file, monkeypatch):
    out, _ = on_terminal()
    assert main(["compare", file, file]) == 0
    assert out.getvalue() == "\x1b[32mequivalent\x1b[0m: the same up to scaling\n"
    assert main(["verify", file, "--statements", "2,4-5"]) == 0
    assert out.getvalue().count("\x1b[32mholds\x1b[0m") == 3
    monkeypatch.setenv("NO_COLOR", "1")
    shown = len(out.getvalue())
    assert main(["compare", file, file]) == 0
    assert out.getvalue()[shown:] == "equivalent: the same up to scaling\n"


@pytest.mark.parametrize(
    ("line", "color"),
    [
        ("converged (cvxpy, 3 iterations, 0.1 s)", "32"),
        ("not equivalent: the weights", "31"),
        ("attained            no; log-scales unique", "31"),
        ("attained            yes; log-scales unique", "32"),
        ("dead node           'd': it reaches no pinned node", "31"),
        ("limit reached (newton, 1 iterations, 0.1 s)", "31"),
    ],
)
def test_which_color(line, color, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = _terminal.colored(line, Terminal())
    assert f"\x1b[{color}m" in shown
    assert ESCAPE.sub("", shown) == line
    assert _terminal.colored(line, io.StringIO()) == line
    monkeypatch.setenv("TERM", "dumb")
    assert _terminal.colored(line, Terminal()) == line


def test_json_has_no_colors(on_terminal, file):
    out, _ = on_terminal()
    assert main(["compare", file, file, "--json"]) == 0
    assert "\x1b" not in out.getvalue()


def test_verify_says_where_it_is_and_leaves_nothing(on_terminal, file):
    _, err = on_terminal()
    assert main(["verify", file, "--statements", "2,4"]) == 0
    assert "verifying: 0 of 2, 2. " in err.getvalue()
    assert "verifying: 1 of 2, 4. " in err.getvalue()
    assert last_of(err) == ""


def test_balance_says_where_it_is_and_leaves_nothing(on_terminal, file):
    _, err = on_terminal()
    assert main(["balance", file, "--solver", "newton"]) == 0
    assert "balancing: iteration " in err.getvalue()
    assert last_of(err) == ""


def test_quiet_is_silent(on_terminal, file):
    streams = on_terminal()
    assert main(["balance", file, "--quiet"]) == 0
    assert [stream.getvalue() for stream in streams] == ["", ""]


def test_no_line_is_wider_than_the_terminal(on_terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    _, err = on_terminal()
    with _terminal.ticker(argparse.Namespace(quiet=False), "balancing") as line:
        line.say("x" * 100)
    assert max(map(len, ESCAPE.sub("", err.getvalue()).split("\r"))) < 20


@pytest.mark.parametrize("numbers", ["", "a", "4-", "-3", "0", "17-19"])
def test_numbers_of_statements(file, capsys, numbers):
    assert main(["verify", file, f"--statements={numbers}"]) == 2
    assert capsys.readouterr().err.startswith("balance-graph: error: ")


@pytest.mark.skipif(os.name == "nt", reason="completion is for POSIX shells")
def test_the_shell_completes(tmp_path):
    pytest.importorskip("argcomplete", reason='needs argcomplete: pip install "balance-graph[completion]"')
    answer = tmp_path / "answer"
    asked = {"COMP_LINE": "balance-graph ver", "COMP_POINT": "17", "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n"}
    environment = {**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    code = "import sys; sys.argv[0] = 'balance-graph'; from balance_graph.cli import main; main()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert answer.read_text(encoding="utf-8").strip() == "verify"
