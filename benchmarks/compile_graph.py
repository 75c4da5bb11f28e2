"""Hypothesis: compiling a DiGraph of a million edges takes at most twice `networkx.to_scipy_sparse_array` on it.

Both read the same graph in the same run, in turn; the ratio of each pair is reported, since machines drift. Plain
weights, and edges that carry all attributes, are measured apart. Run: ``python benchmarks/compile_graph.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import machine
import networkx as nx
import numpy as np

import balance_graph as bg

RESULTS = Path(__file__).parent / "results" / "compile_graph.json"


def random_graph(n_edges: int, *, attributes: bool) -> nx.DiGraph:
    rng = np.random.default_rng(0)
    n_nodes = n_edges // 10
    tail, head = rng.integers(0, n_nodes, (2, n_edges)).tolist()
    weight = rng.normal(size=n_edges).tolist()
    G = nx.DiGraph()
    if attributes:
        extra = {"coefficient": 2.0, "exponent": 1.5, "fixed": False}
        G.add_edges_from((u, v, {"weight": w, **extra}) for u, v, w in zip(tail, head, weight, strict=True))
    else:
        G.add_weighted_edges_from(zip(tail, head, weight, strict=True))
    return G


def seconds(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def measure(G: nx.DiGraph, repeats: int) -> dict[str, object]:
    pairs = [(seconds(nx.to_scipy_sparse_array, G), seconds(bg.compile_graph, G)) for _ in range(repeats)]
    ratios = [ours / theirs for theirs, ours in pairs]
    return {
        "edges": G.number_of_edges(),
        "seconds_to_scipy_sparse_array": [round(theirs, 3) for theirs, _ in pairs],
        "seconds_compile_graph": [round(ours, 3) for _, ours in pairs],
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_worst": round(max(ratios), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    results = {"hypothesis": "ratio at most 2", **machine.description()}
    for name, attributes in (("weights only", False), ("all attributes", True)):
        results[name] = measure(random_graph(arguments.edges, attributes=attributes), arguments.repeats)
        print(name, results[name])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
