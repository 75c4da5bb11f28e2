"""Large networks of unusual kinds: what is measured of them, and what is hoped.

Each has weights ``10**U(-s, s)`` of independent sizes, and is compared with a tame one of as many edges, measured in
the same process: a random digraph with normal weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import far_ends
import numpy as np
from clock import timed
from families import Network, family
from hypotheses import Hypothesis, Measure, Suite, Verdicts, label
from quality import judge
from scipy import sparse

import balance_graph as bg

Rng = np.random.Generator
MOST_TIMES, GAP, TOL = 20.0, 1e-8, 1e-9
SPREADS, EXPONENTS = (1, 10, 100), (0.05, 1.0, 100.0)
FORMATS = ("csc", "coo", "lil", "dok", "bsr", "dia")
DTYPES = ("float32", "float16", "longdouble", "int8", "int64", "uint16", "bool")
# Seconds that a solve may take, by the number of edges, and with all else around it.
_LIMITS = {4000: 30, 30_000: 30, 300_000: 60}
_AROUND = 200


def star(edges: int, rng: Rng) -> Network:  # noqa: ARG001 - one signature for all
    """One hub that exchanges with all others; two of those are pinned."""
    leaf = np.arange(1, edges // 2 + 1)
    zero = np.zeros_like(leaf)
    return _of(np.r_[leaf, zero], np.r_[zero, leaf], edges // 2 + 1, [1, 2])


def fan(edges: int, rng: Rng) -> Network:
    """Every node gets from one of three inputs and from its like, and gives to one of three hubs, which give on."""
    n = edges // 3
    inner = np.arange(7, n)
    start, hub = rng.integers(0, 3, inner.size), 3 + rng.integers(0, 3, inner.size)
    tail = np.r_[start, inner, inner, [3, 4, 5]]
    return _of(tail, np.r_[inner, hub, rng.permutation(inner), [6, 6, 6]], n, [0, 1, 2, 6])


def chain(edges: int, rng: Rng) -> Network:  # noqa: ARG001
    """One path from input to output."""
    return _of(np.arange(edges), np.arange(1, edges + 1), edges + 1, [0, edges])


def two_way_chain(edges: int, rng: Rng) -> Network:  # noqa: ARG001
    """A path whose every edge has one back, pinned at one end."""
    at = np.arange(edges // 2)
    return _of(np.r_[at, at + 1], np.r_[at + 1, at], at.size + 1, [0])


def gauges(edges: int, rng: Rng) -> Network:  # noqa: ARG001
    """Cycles of ten that nothing joins to each other, or to the one pinned node."""
    count = edges // 20
    at = 1 + np.arange(count)[:, None] * 10 + np.arange(10)
    after = np.roll(at, -1, axis=1)
    return _of(np.r_[at.ravel(), after.ravel()], np.r_[after.ravel(), at.ravel()], 10 * count + 1, [0])


def side_by_side(edges: int, rng: Rng) -> Network:
    """Thousands of small networks, each with an input and an output of its own."""
    count = max(edges // 20, 1)
    first = np.repeat(np.arange(count) * 6, 16)
    tail, head = first + rng.integers(1, 5, first.size), first + rng.integers(1, 5, first.size)
    each = np.arange(count) * 6
    tail = np.r_[tail, each, each + 1, each + 2, each + 4]
    return _of(tail, np.r_[head, each + 1, each + 2, each + 4, each + 5], 6 * count, np.r_[each, each + 5])


def nested(edges: int, rng: Rng) -> Network:  # noqa: ARG001
    """Rings of three, of three rings, and so on to the top: every level is joined by one edge each way."""
    depth = max(int(np.log(edges / 2) / np.log(3.0)), 2)
    n, tail, head, step = 3**depth, list[Any](), list[Any](), 1
    for _ in range(depth):
        first = np.arange(0, n, 3 * step)
        for k in range(3):
            one, two = first + k * step, first + (k + 1) % 3 * step
            tail += [one, two]
            head += [two, one]
        step *= 3
    return _of(np.concatenate(tail), np.concatenate(head), n, [0, n - 1])


def mixed(edges: int, rng: Rng) -> Network:
    """Layers with edges back, degrees 1/2, 1 and 2, and a fifth of the nodes tied to others of their degree."""
    n = edges // 8
    width = max(n // 30, 4)
    tail = rng.integers(0, n - width, edges)
    head = np.minimum(tail // width * width + width + rng.integers(0, width, edges), n - 1)
    back = rng.random(edges) < 0.02
    tail, head = np.where(back, head, tail), np.where(back, tail, head)
    network = _of(tail, head, n, np.r_[np.arange(width), np.arange(n - width, n)])
    degree = np.where(network.pinned, 1.0, rng.choice([0.5, 1.0, 1.0, 1.0, 2.0], n))
    tied = (rng.random(n) < 0.2) & ~network.pinned & (degree == 1.0)
    groups = np.where(tied, np.arange(n) // width, -1)
    return Network(network.W, network.pinned, degree, groups)


def _of(tail: Any, head: Any, n: int, pinned: Any) -> Network:
    """The network of some edges, each once, all of weight 1."""
    edges = np.unique(np.c_[tail, head][tail != head], axis=0)
    held = np.zeros(n, dtype=bool)
    held[pinned] = True
    matrix = sparse.csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return Network(matrix, held)


def _far(name: str) -> Callable[[int, Rng], Network]:
    return lambda edges, rng: _of(*far_ends.FAMILIES[name](edges, rng))


KINDS: dict[str, Callable[[int, Rng], Network]] = {
    "star": star,
    "fan": fan,
    "chain": chain,
    "two-way chain": two_way_chain,
    "many gauges": gauges,
    "side by side": side_by_side,
    "nested rings": nested,
    "ties and degrees": mixed,
    "chain of cycles": _far("cycles"),
    "tree with back edges": _far("tree"),
    "bipartite": _far("bipartite"),
    "hubs": _far("hubs"),
    "chain of blocks": _far("blocks"),
    "grid": _far("grid"),
}


def specs(quick: bool) -> list[Measure]:
    """Every kind at every spread, with other exponents, larger, and one in every type and format of a matrix."""
    kinds = ("hubs", "chain of cycles") if quick else tuple(KINDS)
    if quick:
        return [_spec(kind, 4000, spread=10) for kind in kinds]
    return [
        *(_spec(kind, 4000, spread=spread) for kind in kinds for spread in SPREADS),
        *(_spec(kind, 4000, spread=2, p=p) for kind in kinds for p in EXPONENTS),
        *(_spec("hubs", 4000, spread=3, dtype=dtype) for dtype in DTYPES),
        *(_spec("hubs", 4000, spread=3, format=name) for name in FORMATS),
        *(_spec(kind, size, spread=10) for size in (30_000, 300_000) for kind in kinds),
    ]


def _spec(kind: str, edges: int, *, spread: float, p: float = 2.0, **form: str) -> Measure:
    words = ", ".join([f"s = {spread:g}", *([f"p = {p:g}"] if p != 2.0 else []), *form.values()])
    limits = {"time_limit": _LIMITS[edges], "limit_seconds": 3 * _LIMITS[edges] + _AROUND}
    network = {"family": kind, "edges": edges, "size": edges, "spread": spread, "p": p, **form}
    return {"task": "hostile", **network, "change": words, **limits}


def network_of(spec: Measure) -> Network:
    """The network of a specification, its weights in the type and the format asked for."""
    rng = np.random.default_rng(spec.get("seed", 0))
    network = KINDS[spec["family"]](spec["edges"], rng)
    sizes, dtype = (
        10.0 ** rng.uniform(-spec["spread"], spec["spread"], network.W.nnz),
        np.dtype(spec.get("dtype", float)),
    )
    if dtype.kind in "iub":
        sizes = np.clip(np.ceil(sizes), 1, 100)
    W = sparse.csr_array((sizes.astype(dtype), network.W.indices, network.W.indptr), shape=network.W.shape)
    return replace(network, W=W.asformat(spec.get("format", "csr")))


def measures(spec: Measure) -> Iterator[Measure]:
    """What `answer` says, and time beside that of a tame network."""
    bg.warmup()
    tame = family("random").network(spec["edges"])
    _solved(tame, spec)
    found = answer(spec)
    tame_seconds = min(timed(lambda: _solved(tame, spec))[0] for _ in range(3))
    yield {**found, "over_tame": found["seconds"] / tame_seconds}


def answer(spec: Measure) -> Measure:
    """Time, status, imbalance and what rounding of the log-scales can make of it, gap, and what was warned of."""
    network = network_of(spec)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        seconds, (problem, solution) = timed(lambda: _solved(network, spec))
        pruned = problem.pruned(solution)
        seconds_certificate, certificate = timed(lambda: bg.certify(pruned, solution.log_scales))
    plain = replace(network, W=sparse.csr_array(network.W, dtype=float))
    quality = judge(plain.without(solution.pruned_edges), solution.log_scales, spec["p"])
    return {
        "edges": problem.n_edges,
        "seconds": seconds,
        "status": str(solution.status),
        "iterations": solution.iterations,
        "relative_imbalance": quality.relative_imbalance,
        "relative_imbalance_reported": solution.relative_imbalance,
        "rounding": 4.0 * float(np.finfo(float).eps) * spec["p"] * float(np.abs(solution.log_scales).max(initial=0.0)),
        "relative_gap": certificate.relative_gap,
        "seconds_certificate": seconds_certificate,
        "warnings": sorted({str(one.message) for one in found}),
        "notes": list(solution.notes),
    }


def _solved(network: Network, spec: Measure) -> tuple[bg.BalanceProblem, bg.Solution]:
    problem = bg.BalanceProblem.from_sparse(
        network.W, pinned=network.pinned, degree=network.degree, groups=network.groups, regularizer=spec["p"]
    )
    return problem, bg.solve(problem, bg.NewtonSolver(time_limit=spec["time_limit"]), on_unattained="prune")


def _balanced(measures: list[Measure]) -> Verdicts:
    for one in measures:
        yield label(one), one.get("status") == "converged" and one["relative_imbalance"] <= TOL


def _certified(measures: list[Measure]) -> Verdicts:
    for one in measures:
        yield label(one), one.get("relative_gap", 1.0) <= GAP


def _in_time(measures: list[Measure]) -> Verdicts:
    for one in measures:
        yield label(one), one.get("over_tame", np.inf) <= MOST_TIMES


def _silent(measures: list[Measure]) -> Verdicts:
    for one in measures:
        yield label(one), one.get("warnings", ["not done"]) == []


SUITE = Suite(
    "hostile",
    "Hostile networks",
    specs,
    (
        Hypothesis(
            f"Every hostile network is balanced to a relative imbalance of {TOL:.0e}, recomputed from the weights, and "
            "called so.",
            _balanced,
        ),
        Hypothesis(f"The certificate bounds the relative gap of every hostile network by {GAP:.0e}.", _certified),
        Hypothesis(
            f"No hostile network takes more than {MOST_TIMES:.0f} times the time of a tame one of as many edges.",
            _in_time,
        ),
        Hypothesis("No hostile network makes anything warn.", _silent),
    ),
)
