"""Hypothesis: edges in files are balanced in tens of passes, in memory that does not grow with their number.

Random and scale-free networks of 10^5 nodes, with 10^7 and 3 * 10^7 edges, are written to Parquet files of 10^6 edges
each, then read and balanced by `balance_graph.partitioned` in a fresh process, and the smaller ones in memory by
`from_sparse`, in another. At most 100 passes to a relative imbalance of 1e-10 (recomputed from the files, by NumPy), a
certified gap of at most 1e-9, the log-scales of memory to 1e-8; three times the edges take at most 1.2 times the
memory, and this at most a quarter of what the table of edges alone would take. A pass reads every edge once; its time
is given in SciPy's CSR products with a vector, over the same edges. Run: ``python benchmarks/partitioned.py`` (needs
the extra dask; 800 MB of disk); ``--edges 1000000`` for less. Results: ``results/partitioned.json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pandas as pd
from dask import delayed
from memory import PeakMemory
from scipy import sparse

import balance_graph as bg

RESULTS = Path(__file__).parent / "results" / "partitioned.json"
FAMILIES = {"random": 0.0, "scale-free": 0.6}  # nodes are drawn with probability proportional to rank^-exponent
SOLVER = bg.NewtonSolver(tol=1e-10)
_NODES, _PINNED, _PER_FILE, _PER_GROUP = 100_000, 100, 1_000_000, 500_000
_BYTES_OF_EDGE = 24  # two integers and a weight


def write(name: str, edges: int, folder: Path) -> None:
    """Write a network, file by file: edges drawn independently, log-normal weights, and a ring through all nodes."""
    rng = np.random.default_rng(0)
    chance = np.arange(1, _NODES + 1.0) ** -FAMILIES[name]
    chance /= chance.sum()
    order = rng.permutation(_NODES)
    for k in range(-(-edges // _PER_FILE)):
        tail, head = order[rng.choice(_NODES, (2, _PER_FILE), p=chance)]
        if k == 0:
            tail[:_NODES], head[:_NODES] = order, np.roll(order, 1)
        table = pd.DataFrame({"source": tail, "target": head, "weight": rng.lognormal(size=_PER_FILE)})
        table.to_parquet(folder / f"edges-{k:03}.parquet", row_group_size=_PER_GROUP, index=False)


def in_partitions(folder: Path) -> dict[str, Any]:
    """Balance the files."""
    from balance_graph.partitioned import BalanceProblem
    from balance_graph.partitioned.edges import PartitionedEdges

    passes, products = [0], PartitionedEdges.products

    def counted(*arguments: Any) -> Any:
        passes[0] += 1
        return products(*arguments)

    PartitionedEdges.products = counted  # type: ignore[method-assign]
    tiny = pd.DataFrame({"source": [0, 1], "target": [1, 0], "weight": [1.0, 2.0]})
    bg.certify(one := BalanceProblem.from_dask([delayed(tiny)], pinned=[0]), bg.solve(one))  # all is compiled
    passes[0] = 0
    with PeakMemory() as peak:
        started = time.perf_counter()
        problem = BalanceProblem.from_parquet(folder, pinned=range(_PINNED))
        opened = time.perf_counter()
        solution = bg.solve(problem, SOLVER)
        solved = time.perf_counter()
    n_passes = passes[0]
    with PeakMemory() as peak_of_certificate:
        certificate = bg.certify(problem, solution)
    return {
        "edges": problem.n_edges,
        "nodes": problem.n_nodes,
        "status": str(solution.status),
        "iterations": solution.iterations,
        "passes": n_passes,
        "seconds_to_open": opened - started,
        "seconds_to_solve": solved - opened,
        "peak_bytes": peak.bytes,
        "peak_method": peak.method,
        "relative_imbalance_reported": solution.relative_imbalance,
        "relative_gap": certificate.relative_gap,
        "passes_certificate": passes[0] - n_passes,
        "peak_bytes_certificate": peak_of_certificate.bytes,
        "log_scales": solution.log_scales,
    }


def in_memory(folder: Path, log_scales: np.ndarray) -> dict[str, Any]:
    """Balance the same edges as a sparse matrix, and judge the log-scales by the table."""
    table = pd.read_parquet(folder)
    tail, head, weight = (table[name].to_numpy() for name in ("source", "target", "weight"))
    costs = (weight * np.exp(log_scales[head] - log_scales[tail])) ** 2
    into, out_of = (np.bincount(ends, costs, _NODES)[_PINNED:] for ends in (head, tail))
    W = sparse.csr_array((weight**2, (tail, head)), shape=(_NODES, _NODES))
    W.data = np.sqrt(W.data)
    problem = bg.BalanceProblem.from_sparse(W, pinned=np.arange(_NODES) < _PINNED)
    del table, costs
    bg.solve(problem, SOLVER)
    with PeakMemory() as peak:
        started = time.perf_counter()
        solution = bg.solve(bg.BalanceProblem.from_sparse(W, pinned=np.arange(_NODES) < _PINNED), SOLVER)
        seconds = time.perf_counter() - started
    ones = np.ones(_NODES)
    return {
        "relative_imbalance": float(np.max(np.abs(into - out_of) / (into + out_of))),
        "largest_difference": float(np.abs(log_scales - solution.log_scales).max()),
        "seconds_in_memory": seconds,
        "peak_bytes_in_memory": peak.bytes,
        "seconds_of_product": statistics.median(_seconds(lambda: W @ ones) for _ in range(11)),
    }


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def measure(name: str, edges: int) -> dict[str, Any]:
    """A network and one of three times as many edges, each way in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory, context.Pool(1, maxtasksperchild=1) as pool:
        folder = Path(directory)
        pool.apply(write, (name, edges, folder))
        found = pool.apply(in_partitions, (folder,))
        found |= pool.apply(in_memory, (folder, found.pop("log_scales")))
        for file in folder.iterdir():
            file.unlink()
        pool.apply(write, (name, 3 * edges, folder))
        larger = pool.apply(in_partitions, (folder,))
        del larger["log_scales"]
    found["products_a_pass"] = found["seconds_to_solve"] / found["passes"] / found["seconds_of_product"]
    larger["memory_over_edges"] = larger["peak_bytes"] / (_BYTES_OF_EDGE * larger["edges"])
    holds = {
        "at most 100 passes": max(found["passes"], larger["passes"]) <= 100,
        "imbalance at most 1e-10": found["relative_imbalance"] <= 1e-10,
        "gap at most 1e-9": max(found["relative_gap"], larger["relative_gap"]) <= 1e-9,
        "log-scales of memory to 1e-8": found["largest_difference"] <= 1e-8,
        "memory does not grow with edges": larger["peak_bytes"] <= 1.2 * found["peak_bytes"],
        "at most a quarter of the memory of three times the edges": larger["memory_over_edges"] <= 0.25,
    }
    return {"smaller": found, "three times the edges": larger, "holds": holds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=10_000_000)
    arguments = parser.parse_args()
    results: dict[str, Any] = {"hypothesis": __doc__.splitlines()[0].removeprefix("Hypothesis: ")}
    results |= machine.description()
    for name in FAMILIES:
        results[name] = measure(name, arguments.edges)
        print(name, json.dumps(results[name], indent=2))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
