"""Hypothesis: inexact Newton balances 10^6 edges to a relative imbalance of 1e-10 in a few seconds, in every family.

Named, seeded families; the cost of ``bg.solve`` (attainment and set-up included, compilation of loops excluded) is
given in units of one SciPy CSR matrix-vector product over the same edges. Run: ``python benchmarks/large_networks.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import machine
import numpy as np
from scipy import sparse

import balance_graph as bg

RESULTS = Path(__file__).parent / "results" / "large_networks.json"


def layered(depth: int, width: int, rng: np.random.Generator) -> tuple[sparse.csr_array, np.ndarray]:
    """Dense layers; the first and the last are pinned."""
    n = depth * width
    tail = np.repeat(np.arange(n - width), width)
    head = (tail // width + 1) * width + np.tile(np.arange(width), n - width)
    pinned = np.zeros(n, dtype=bool)
    pinned[:width] = pinned[-width:] = True
    return sparse.csr_array((rng.normal(size=tail.size), (tail, head)), shape=(n, n)), pinned


def random(n: int, m: int, rng: np.random.Generator, *, heavy: bool = False) -> tuple[sparse.csr_array, np.ndarray]:
    """Uniform edges, a tenth of the nodes pinned; heavy: log-normal(3) weights."""
    tail, head = rng.integers(0, n, (2, m))
    weight = np.exp(3 * rng.normal(size=m)) if heavy else rng.normal(size=m)
    return sparse.csr_array((weight, (tail, head)), shape=(n, n)), np.arange(n) < n // 10


def scale_free(n: int, m: int, rng: np.random.Generator) -> tuple[sparse.csr_array, np.ndarray]:
    """Ends drawn with probability proportional to rank^-0.8; one node in twenty pinned."""
    share = np.arange(1, n + 1) ** -0.8
    tail, head = rng.permutation(n)[rng.choice(n, (2, m), p=share / share.sum())]
    return sparse.csr_array((rng.normal(size=m), (tail, head)), shape=(n, n)), rng.random(n) < 0.05


def grid(side: int, rng: np.random.Generator) -> tuple[sparse.csr_array, np.ndarray]:
    """Edges both ways between neighbors; first and last row pinned."""
    line = sparse.diags_array([1.0, 1.0], offsets=[-1, 1], shape=(side, side))
    eye = sparse.eye_array(side)
    W = sparse.csr_array(sparse.kron(line, eye) + sparse.kron(eye, line))
    W.data = rng.normal(size=W.nnz)
    row = np.arange(side * side) // side
    return W, (row == 0) | (row == side - 1)


def families(m: int) -> dict[str, tuple[sparse.csr_array, np.ndarray]]:
    rng = np.random.default_rng(0)

    def dense(depth: int) -> tuple[sparse.csr_array, np.ndarray]:
        return layered(depth, max(1, round((m / depth) ** 0.5)), rng)

    named = {f"layered, {depth} deep": dense(depth) for depth in (10, 20, 200, 1000, 10_000) if depth * 4 <= m}
    named["random"] = random(m // 10, m, rng)
    named["random, heavy tails"] = random(m // 10, m, rng, heavy=True)
    named["scale-free"] = scale_free(m // 10, m, rng)
    named["grid"] = grid(round((m / 4) ** 0.5), rng)
    return named


def unit(W: sparse.csr_array) -> float:
    x, times = np.ones(W.shape[0]), []
    for _ in range(15):
        start = time.perf_counter()
        W @ x
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(W: sparse.csr_array, pinned: np.ndarray) -> dict[str, object]:
    problem = bg.BalanceProblem.from_sparse(W, pinned=pinned)
    start = time.perf_counter()
    solution = bg.solve(problem, bg.NewtonSolver(tol=1e-10), on_unattained="prune")
    seconds, product = time.perf_counter() - start, unit(W)
    return {
        "edges": int(W.nnz),
        "seconds": round(seconds, 3),
        "products": round(seconds / product),
        "relative_imbalance": solution.relative_imbalance,
        "status": str(solution.status),
        "iterations": solution.iterations,
        "notes": solution.notes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=1_000_000)
    arguments = parser.parse_args()
    for W, pinned in families(60_000).values():  # compile all loops
        measure(W, pinned)
    results = {"hypothesis": "converged in a few seconds in every family", **machine.description(), "families": {}}
    for name, (W, pinned) in families(arguments.edges).items():
        results["families"][name] = measure(W, pinned)
        print(name, results["families"][name], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
