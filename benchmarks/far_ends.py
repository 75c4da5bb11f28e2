"""Weights of independent sizes: families of networks times spreads, against the same network with spread 1.

``python benchmarks/far_ends.py 500 4000 20000 --output far_ends.json``. Hypothesis: whatever the spread s of weights
``10**U(-s, s)``, Newton's method converges, with a certified gap below 1e-8, in at most 20 times the time for s = 1.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

import balance_graph as bg

SPREADS = (1, 4, 10, 30, 100)
Ends = tuple[Any, Any, int, Any]


def grid(n_edges: int, rng: np.random.Generator) -> Ends:  # noqa: ARG001 - one signature for all
    """A square grid, edges both ways, two corners pinned."""
    side = round((n_edges / 4) ** 0.5)
    at = np.arange(side * side).reshape(side, side)
    one, two = np.r_[at[:, :-1].ravel(), at[:-1].ravel()], np.r_[at[:, 1:].ravel(), at[1:].ravel()]
    return np.r_[one, two], np.r_[two, one], side * side, [0, side * side - 1]


def cycles(n_edges: int, rng: np.random.Generator) -> Ends:  # noqa: ARG001
    """A chain of two-way cycles of five."""
    count = max(n_edges // 12, 2)
    first = np.arange(count) * 5
    one = np.concatenate([*(first + k for k in range(5)), first[:-1] + 2])
    two = np.concatenate([*(first + (k + 1) % 5 for k in range(5)), first[1:]])
    return np.r_[one, two], np.r_[two, one], 5 * count, [0, 5 * count - 1]


def tree(n_edges: int, rng: np.random.Generator) -> Ends:
    """A tree with few back edges, root and leaves pinned."""
    n = int(n_edges / 1.1)
    child = np.arange(1, n)
    parent = (rng.random(n - 1) * child).astype(int)
    few = max(n_edges // 20, 1)
    ends = rng.integers(1, n, (2, few))
    return np.r_[parent, ends[0]], np.r_[child, ends[1]], n, np.r_[0, np.setdiff1d(child, parent)]


def bipartite(n_edges: int, rng: np.random.Generator) -> Ends:
    """Two sides, edges both ways at random."""
    n = max(n_edges // 8, 10)
    left, right = rng.integers(0, n, n_edges), n + rng.integers(0, n, n_edges)
    half = n_edges // 2
    return np.r_[left[:half], right[half:]], np.r_[right[:half], left[half:]], 2 * n, [0, 2 * n - 1]


def hubs(n_edges: int, rng: np.random.Generator) -> Ends:
    """Four hubs that exchange with all others."""
    n = n_edges // 3
    leaf = np.arange(4, n)
    to, back, more = rng.integers(0, 4, leaf.size), rng.integers(0, 4, leaf.size), rng.integers(0, 4, leaf.size)
    return np.r_[leaf, back, more], np.r_[to, leaf, rng.permutation(leaf)], n, [n - 2, n - 1]


def blocks(n_edges: int, rng: np.random.Generator) -> Ends:
    """A chain of blocks of ten, dense inside."""
    count = max(n_edges // 40, 2)
    inside = np.repeat(np.arange(count) * 10, 36)
    first = np.arange(count) * 10
    tail = np.r_[inside + rng.integers(0, 10, inside.size), first[:-1], first[1:] + 3]
    head = np.r_[inside + rng.integers(0, 10, inside.size), first[1:], first[:-1] + 7]
    return tail, head, 10 * count, [0, 10 * count - 1]


FAMILIES = {kind.__name__: kind for kind in (grid, cycles, tree, bipartite, hubs, blocks)}


def problem_of(family: str, n_edges: int, spread: float, seed: int = 0) -> bg.BalanceProblem:
    """A network of a family with weights ``10**U(-spread, spread)``."""
    rng = np.random.default_rng(seed)
    tail, head, n, held = FAMILIES[family](n_edges, rng)
    edges = np.unique(np.c_[tail, head][tail != head], axis=0)
    weight = 10.0 ** rng.uniform(-spread, spread, len(edges))
    pinned = np.zeros(n, dtype=bool)
    pinned[held] = True
    return bg.BalanceProblem.from_sparse(sparse.csr_array((weight, edges.T), shape=(n, n)), pinned=pinned)


def measured(family: str, n_edges: int) -> list[dict[str, Any]]:
    """One line for each spread."""
    lines: list[dict[str, Any]] = []
    for spread in SPREADS:
        problem = problem_of(family, n_edges, spread)
        (seconds, solution), (again, _) = _timed(problem), _timed(problem)
        seconds = min(seconds, again)
        line = {
            "family": family,
            "edges": problem.n_edges,
            "spread": spread,
            "status": solution.status.value,
            "iterations": solution.iterations,
            "imbalance": solution.relative_imbalance,
            "gap": bg.certify(problem, solution).relative_gap,
            "seconds": seconds,
        }
        line["over_tame"] = seconds / (lines[0]["seconds"] if lines else seconds)
        lines.append(line)
        print(
            " ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in line.values()), flush=True
        )
    return lines


def _timed(problem: bg.BalanceProblem) -> tuple[float, bg.Solution]:
    """Processor time, which the load of the machine hardly changes, and the solution."""
    started = time.process_time()
    solution = bg.solve(problem, bg.NewtonSolver(time_limit=60.0), on_unattained="prune")
    return time.process_time() - started, solution


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edges", type=int, nargs="+")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    bg.warmup()
    table = [line for size in asked.edges for family in asked.families for line in measured(family, size)]
    if asked.output:
        asked.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
