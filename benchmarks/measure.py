"""One measurement in a process of its own: ``python benchmarks/measure.py '{"task": "newton", ...}'``.

Writes JSON, a line for each part that is done, so that what came before a limit of time or memory is not lost.
`measured` starts such a process and joins the lines.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from clock import Unit, repeated, timed
from families import Network, family
from memory import PeakMemory, first_to_go
from quality import judge
from results import plain

import balance_graph as bg

Spec = dict[str, Any]
Part = dict[str, Any]
# Loops are compiled, and modules imported, on networks of these sizes: below and above where methods change.
_WARM = (1000, 5000, 60_000)
_BUDGET = 10.0  # seconds for repetitions
# Threads of BLAS help none of the methods, and on a busy machine wait for one another. The unit has one thread, too.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_SMALLEST_PEAK = 10**5  # edges below which what Python itself takes decides the peak


def network_of(spec: Spec, edges: int | None = None) -> Network:
    return family(spec["family"]).network(
        edges or spec["edges"], dtype=spec.get("dtype", "float64"), rescaled=spec.get("rescaled", False)
    )


def _small(spec: Spec) -> list[Network]:
    """Small networks of the same family."""
    least = family(spec["family"]).least
    return [network_of(spec, max(size, least)) for size in _WARM if size <= spec["edges"]]


def newton(spec: Spec) -> Iterator[Part]:
    """Balance with Newton: time from matrix to log-scales, in products; peak memory; quality; certificate."""

    def balance(network: Network) -> tuple[float, bg.Solution]:
        seconds, problem = timed(network.problem)
        return seconds, bg.solve(problem, bg.NewtonSolver(tol=spec["tol"]), on_unattained="prune")

    for small in _small(spec):
        balance(small)
    network = network_of(spec)
    unit = Unit(network.W)
    with PeakMemory() as peak:
        first = timed(lambda: balance(network))
    runs, (building, solution) = _repeat(lambda: balance(network), first)
    yield {
        "seconds_problem": building,
        **_costs(runs, unit),
        **_sizes(network),
        **_reached(network, solution),
        **_peak(peak, network, spec),
    }
    if spec.get("certify"):
        live = network.without(solution.pruned_edges).problem()  # dead edges would count towards the gap
        seconds, certificate = timed(lambda: bg.certify(live, solution.log_scales))
        yield {"relative_gap": certificate.relative_gap, "seconds_certificate": seconds}


def _repeat(function: Callable[[], Any], first: tuple[float, Any]) -> tuple[list[float], Any]:
    """The first run and others, as many as fit the budget; what a long first run returned is kept."""
    seconds, result = first
    if 2 * seconds > _BUDGET:
        return [seconds], result
    runs, result = repeated(function, _BUDGET - seconds, most=4)
    return [seconds, *runs], result


def _costs(runs: list[float], unit: Unit) -> Part:
    seconds, product = statistics.median(runs), unit.seconds()
    return {"seconds": seconds, "runs": len(runs), "unit_seconds": product, "products": seconds / product}


def _sizes(network: Network) -> Part:
    nodes = network.pinned.size
    return {"edges": int(network.W.nnz), "nodes": nodes, "free_nodes": nodes - int(network.pinned.sum())}


def _reached(network: Network, solution: bg.Solution) -> Part:
    quality = judge(network.without(solution.pruned_edges), solution.log_scales)
    return {
        "status": str(solution.status),
        "iterations": solution.iterations,
        "relative_imbalance": quality.relative_imbalance,
        "relative_imbalance_reported": solution.relative_imbalance,
        "log_cost": quality.log_cost,
        "pruned_edges": len(solution.pruned_edges),
        "notes": list(solution.notes),
    }


def _peak(peak: PeakMemory, network: Network, spec: Spec) -> Part:
    if peak.bytes is None or spec["edges"] < _SMALLEST_PEAK:
        return {"peak_bytes": None, "peak_bytes_per_edge": None, "peak_method": peak.method}
    return {
        "peak_bytes": peak.bytes,
        "peak_bytes_per_edge": peak.bytes / network.W.nnz,
        "peak_method": peak.method,
    }


def local(spec: Spec) -> Iterator[Part]:
    """Balance locally in one order: sweeps to the tolerance or the cap, and what one sweep costs."""

    reports: list[float] = []  # when each sweep was done

    def balance(network: Network, max_sweeps: int) -> bg.Solution:
        solver = bg.StochasticSolver(order=spec["order"], tol=spec["tol"], max_sweeps=max_sweeps, rng=0)
        reports.clear()
        report = lambda *_: reports.append(time.perf_counter())  # noqa: E731
        return bg.solve(network.problem(), solver, on_unattained="prune", progress=report)

    balance(network_of(spec, max(1000, family(spec["family"]).least)), 2)
    network = network_of(spec)
    unit = Unit(network.W)
    balance(network, 1)  # brings what only this size needs
    seconds, solution = timed(lambda: balance(network, spec["max_sweeps"]))
    costs = _costs([seconds], unit)
    sweeps = np.diff(reports)
    yield {
        **costs,
        **_sizes(network),
        **_reached(network, solution),
        "products_per_sweep": float(np.median(sweeps)) / costs["unit_seconds"] if sweeps.size else None,
        "imbalance_after": _thinned(solution.history.imbalance),
    }


def _thinned(values: list[float], most: int = 40) -> list[list[float]]:
    """Pairs of sweep and imbalance, evenly spaced in the logarithm of the sweep."""
    places = np.unique(np.geomspace(1, len(values), min(most, len(values))).round().astype(int)) - 1
    return [[int(k), float(values[k])] for k in places]


def peer(spec: Spec) -> Iterator[Part]:
    """Balance in another way: time from matrix to log-scales, and what the judge says."""
    from peers import PEERS

    run = PEERS[spec["peer"]]
    for small in _small(spec) if spec["peer"] == "Newton" else [network_of(spec, 1000)]:
        run(small)
    network = network_of(spec)
    if spec["peer"] == "local, cyclic":  # on a first solve of this size, other loops are compiled
        run(network)
    unit = Unit(network.W)
    runs, (log_scales, ended) = repeated(lambda: run(network), _BUDGET)
    quality = judge(network, log_scales)
    yield {
        **_costs(runs, unit),
        **_sizes(network),
        "relative_imbalance": quality.relative_imbalance,
        "log_cost": quality.log_cost,
        "ended": ended,
    }


def matrix(spec: Spec) -> Iterator[Part]:
    """Balance a matrix exactly and with LAPACK, in turn; times are medians, the ratio that of the pairs."""
    import matrices

    make = matrices.sparse_random if spec["kind"] == "sparse" else matrices.dense
    for n in (50, 300):  # both methods of ours, by the number of entries
        matrices.exact(make(n))
    A = make(spec["n"])
    dense_too = spec["kind"] == "dense" or spec["n"] <= matrices.MOST_DENSE
    pairs: list[tuple[float, float]] = []
    while not pairs or (len(pairs) < 5 and sum(map(sum, pairs)) < _BUDGET):
        ours, B = timed(lambda: matrices.exact(A))
        theirs, C = timed(lambda: matrices.gebal(A)) if dense_too else (0.0, None)
        pairs.append((ours, theirs))
    seconds = statistics.median(ours for ours, _ in pairs)
    yield {
        "entries": int(A.nnz) if spec["kind"] == "sparse" else A.size,
        "runs": len(pairs),
        "seconds": seconds,
        "relative_imbalance": matrices.imbalance(B),
        "seconds_gebal": statistics.median(theirs for _, theirs in pairs) if dense_too else None,
        "relative_imbalance_gebal": matrices.imbalance(C) if dense_too else None,
        "ratio_to_gebal": statistics.median(ours / theirs for ours, theirs in pairs) if dense_too else None,
        "products": seconds / Unit(A).seconds() if spec["kind"] == "sparse" else None,
    }


def blocks(spec: Spec) -> Iterator[Part]:
    """Balance dense blocks with Newton: passes over the weights, time, memory, quality, certificate."""
    from blocks import Layers, layers

    def balance(network: Layers) -> tuple[bg.BlockProblem, bg.Solution]:
        problem = network.problem()
        return problem, bg.solve(problem, bg.NewtonSolver(tol=spec["tol"]), on_unattained="prune")

    rescaled = spec.get("rescaled", False)
    problem, solution = balance(layers(spec["family"], 40_000, rescaled=rescaled))
    bg.certify(problem, solution.log_scales)
    network = layers(spec["family"], spec["edges"], rescaled=rescaled)
    before = _units(network)
    with PeakMemory() as peak:
        seconds, (problem, solution) = timed(lambda: balance(network))
    passes = network.passes
    forward, one_pass = (statistics.mean(pair) for pair in zip(before, _units(network), strict=True))
    imbalance, log_cost = network.judge(solution.log_scales)
    known = peak.bytes is not None and spec["edges"] >= _SMALLEST_PEAK
    yield {
        "edges": network.n_weights,
        "free_nodes": network.n_unknowns,
        "seconds": seconds,
        "passes": passes,
        "forward_seconds": forward,
        "pass_seconds": one_pass,
        "forward_passes": seconds / forward,
        "status": str(solution.status),
        "iterations": solution.iterations,
        "relative_imbalance": imbalance,
        "log_cost": log_cost,
        "notes": list(solution.notes),
        "peak_method": peak.method,
        "peak_share": peak.bytes / network.n_bytes if known else None,
    }
    seconds, certificate = timed(lambda: bg.certify(problem, solution.log_scales))
    yield {
        "relative_gap": certificate.relative_gap,
        "passes_certificate": network.passes - passes,
        "seconds_certificate": seconds,
    }


def again(spec: Spec) -> Iterator[Part]:
    """Solve a known architecture with other weights, from the last log-scales, and cold, in turn."""
    from many import CHANGES

    solver, rng = bg.NewtonSolver(tol=spec["tol"]), np.random.default_rng(0)
    network = network_of(spec)
    first = bg.solve(network.problem(), solver, on_unattained="prune")
    network = network.without(first.pruned_edges)
    problem = network.problem()
    last = bg.solve(problem, solver)
    pairs = []
    for _ in range(5):
        weights = CHANGES[spec["change"]](problem.weight, rng)
        changed = network.with_weights(weights)
        cold, _ = timed(lambda changed=changed: bg.solve(changed.problem(), solver))
        warm, solution = timed(
            lambda weights=weights: bg.solve(problem.with_weights(weights), solver, start=last.log_scales)
        )
        pairs.append((warm, cold))
    yield {**_ratio(pairs[1:]), **_sizes(network), **_reached(changed, solution)}


def side_by_side(spec: Spec) -> Iterator[Part]:
    """Solve many small networks as one problem, and one large one of as many edges, in turn."""
    import many

    def balance(network: Network) -> bg.Solution:
        return bg.solve(network.problem(), bg.NewtonSolver(tol=spec["tol"]), on_unattained="prune")

    small, large = many.side_by_side(spec["family"], spec["edges"]), network_of(spec)
    pairs = []
    for _ in range(5):
        seconds, solution = timed(lambda: balance(small))
        pairs.append((seconds, timed(lambda: balance(large))[0]))
    yield {**_ratio(pairs[1:]), **_sizes(small), **_reached(small, solution)}


def hostile(spec: Spec) -> Iterator[Part]:
    """Balance a network of an unusual kind, and a tame one of as many edges."""
    from hostile_networks import measures

    return measures(spec)


def _ratio(pairs: list[tuple[float, float]]) -> Part:
    """Median times of what is measured and of what it is compared with, and the median of their ratios."""
    ours, theirs = zip(*pairs, strict=True)
    return {
        "seconds": statistics.median(ours),
        "seconds_compared": statistics.median(theirs),
        "ratio": statistics.median(one / other for one, other in pairs),
        "runs": len(pairs),
    }


def _units(network: Any) -> tuple[float, float]:
    return network.forward_seconds(), network.pass_seconds()


TASKS: dict[str, Callable[[Spec], Iterator[Part]]] = {
    "newton": newton,
    "local": local,
    "peer": peer,
    "matrix": matrix,
    "blocks": blocks,
    "again": again,
    "side by side": side_by_side,
    "hostile": hostile,
}


def measured(spec: Spec) -> Part:
    """The parts that a process of its own gets done within the limit; `failed` says why some are missing."""
    command = [sys.executable, __file__, json.dumps(spec)]
    pipe, surroundings = subprocess.PIPE, {**os.environ, **_ONE_THREAD}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=surroundings) as process:
        try:
            out, err = process.communicate(timeout=spec["limit_seconds"])
            late = False
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            late = True
        except BaseException:
            process.kill()
            raise
    parts: Part = {}
    for line in out.splitlines():
        parts.update(json.loads(line))
    if late:
        parts["failed"] = f"not done after {spec['limit_seconds']} s"
    elif process.returncode:
        parts["failed"] = _reason(process.returncode, err)
    return parts


def _reason(code: int, err: str) -> str:
    if code < 0:
        return f"ended by signal {-code}" + (", out of memory" if code == -9 else "")
    lines = err.strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"


def main() -> None:
    first_to_go()
    spec = json.loads(sys.argv[1])
    for part in TASKS[spec["task"]](spec):
        print(json.dumps(plain(part), allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
