"""First use: what is compiled and when, the line that says so, and the time it takes, told apart.

Rooms: solvers, points.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from helpers import chain

import balance_graph as bg
from balance_graph import _compiled
from balance_graph._preparation import CLOCK, Stopwatch, preparing
from balance_graph.cli import main

COUNTED = """
import json, sys
from balance_graph import _compiled
if {terminal}:
    sys.stderr.isatty = lambda: True
import balance_graph as bg
import numba
from numba.core import event
names = []
class Listener(event.Listener):
    def on_start(self, found):
        names.append(found.data["dispatcher"].py_func.__name__)
    def on_end(self, _):
        pass
event.register("numba:compile", Listener())
{code}
print(json.dumps([names, result.seconds, result.setup_seconds, result.summary()]))
"""
SMALL = "result = bg.balance(bg.networks.layered([5, 10, 5], rng=0), solver={solver!r})"
STOCHASTIC = SMALL.format(solver="stochastic")


def run(code, cache, *, terminal=False):
    """What a new process compiled, in how many seconds it balanced and got ready, and what it wrote for people."""
    command = [sys.executable, "-c", COUNTED.format(code=code, terminal=terminal)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return *json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("solver", ["auto", "newton", "cvxpy", "flow"])
def test_small_networks_compile_nothing(solver, tmp_path):
    names, *_ = run(SMALL.format(solver=solver), tmp_path)
    assert names == []


def test_compilation_is_told_apart_announced_once_and_kept(tmp_path):
    twice = f"{STOCHASTIC}; again = result; {STOCHASTIC}; assert result.setup_seconds < 0.05; result = again"
    names, seconds, setup_seconds, summary, said = run(twice, tmp_path, terminal=True)
    assert names
    assert 0.0 < seconds < setup_seconds
    assert "s of imports and compilation)" in summary.split("\n")[0]
    assert said == _compiled._ANNOUNCEMENT + "\n"
    names, *_, said = run(STOCHASTIC, tmp_path, terminal=True)
    assert names == []
    assert said == ""


def test_nothing_is_said_where_nobody_reads(tmp_path):
    names, *_, said = run(STOCHASTIC, tmp_path)
    assert names
    assert said == ""


def test_quiet_commands_announce_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_compiled.Announcement, "is_due", True)
    path = tmp_path / "chain.json"
    bg.write_network(chain(1.0, 4.0, 16.0), path)
    assert main(["balance", str(path), "--quiet", "--solver", "newton"]) == 0
    assert not _compiled.Announcement.is_due


def test_what_overlaps_counts_once():
    watch, before = Stopwatch(), time.perf_counter()
    with preparing():
        CLOCK.start()
        time.sleep(0.02)
        CLOCK.stop()
        assert watch.setup_seconds >= 0.02
    took = time.perf_counter() - before
    assert 0.02 <= watch.setup_seconds <= took
    time.sleep(0.01)
    assert watch.seconds >= 0.01


def test_warmup_leaves_nothing_to_do(capsys):
    bg.warmup()
    assert bg.warmup() < 0.05
    assert main(["warmup", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] < 0.05
    assert main(["warmup"]) == 0
    assert capsys.readouterr().out.startswith("ready after 0.0 s")
