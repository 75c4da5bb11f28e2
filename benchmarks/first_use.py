"""Hypothesis: where nothing is compiled yet, a first balance spends at most 1 s on compiling below 4000 edges, and at
most 5 s above; ``balance-graph --version`` and ``--help`` answer in 0.3 s.

Each measurement is a new process, with an empty cache of compiled loops. It tells the time inside the compiler, in
seconds of the processor, by which the hypothesis is judged since the wall depends on what else runs, and of the wall.
Run: ``python benchmarks/first_use.py``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

RESULTS = Path(__file__).parent / "results" / "first_use.json"
# Reports the time inside numba's compiler (not that of loading what is on disk) during a first balance.
TIMED = """
import json, time
import numba
from numba.core import event
import balance_graph as bg

class Compiler(event.Listener):
    depth, wall, processor, functions = 0, 0.0, 0.0, 0
    def on_start(self, _):
        if self.depth == 0:
            self.since = time.perf_counter(), time.process_time()
        self.depth += 1
    def on_end(self, _):
        self.depth -= 1
        self.functions += 1
        if self.depth == 0:
            self.wall += time.perf_counter() - self.since[0]
            self.processor += time.process_time() - self.since[1]

G = {network}
compiler = Compiler()
event.register("numba:compile", compiler)
result = bg.balance(G, solver={solver!r})
assert result.converged
print(json.dumps([G.number_of_edges(), compiler.functions, compiler.processor, compiler.wall]))
"""
NETWORKS = {
    "layers, 115 edges": ("bg.networks.layered([5, 10, 5], rng=0)", "auto"),
    "layers, 2870 edges": ("bg.networks.layered([40, 40, 30], rng=0)", "auto"),
    "layers, 3885 edges": ("bg.networks.layered([50, 40, 45], rng=0)", "auto"),
    "layers, 3885 edges, local": ("bg.networks.layered([50, 40, 45], rng=0)", "stochastic"),
    "layers, 115 edges, local": ("bg.networks.layered([5, 10, 5], rng=0)", "stochastic"),
    "layers, 6720 edges": ("bg.networks.layered([50, 60, 60], rng=0)", "auto"),
    "layers, 180600 edges": ("bg.networks.layered([300, 300, 300], rng=0)", "auto"),
    "recurrent, 7260 edges": ("bg.networks.random_recurrent(hidden=150, rng=0)", "auto"),
}
LIMITS = {"below 4000 edges": 1.0, "above": 5.0}
ANSWERS = ("--version", "--help")
ANSWER_LIMIT = 0.3


def first_balance(network: str, solver: str) -> dict[str, float]:
    """Compilation during a first balance."""
    with tempfile.TemporaryDirectory() as cache:
        edges, functions, processor, wall = json.loads(
            output(TIMED.format(network=network, solver=solver), NUMBA_CACHE_DIR=cache)
        )
    limit = LIMITS["below 4000 edges" if edges < 4000 else "above"]
    return {
        "edges": edges,
        "functions_compiled": functions,
        "processor_seconds": round(processor, 2),
        "wall_seconds": round(wall, 2),
        "limit_seconds": limit,
        "holds": processor <= limit,
    }


def output(code: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout


def answer(argument: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "balance_graph", argument], capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    results = {
        "hypothesis": "at most 1 s of compilation below 4000 edges, 5 s above; --version and --help in 0.3 s",
        **machine.description(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "first balance": {name: first_balance(*spec) for name, spec in NETWORKS.items()},
        "answers": {},
    }
    for argument in ANSWERS:
        seconds = statistics.median(answer(argument) for _ in range(7))
        results["answers"][argument] = {"wall_seconds": round(seconds, 3), "holds": seconds <= ANSWER_LIMIT}
    print(json.dumps(results, indent=2))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
