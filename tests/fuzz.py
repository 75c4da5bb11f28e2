"""Small networks of mixed attributes and weights of independent sizes, judged by optima of 60 digits and more.

``python tests/fuzz.py 10000 --seed 0 --log fuzz.json`` tries so many networks; a run that was stopped goes on where
the log ends. What is wrong is shrunk to few edges, and printed; a network that takes minutes ends the run, which
prints what it was doing. With gmpy2 and python-flint installed (extra ``dev``), a core tries about 20 000 in an hour,
and a tenth of that without.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from mpmath import mp
from reference import NotAttained, reference_optimum

import balance_graph as bg

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIVATIONS = ("relu", "relu", "relu", "abs", "tanh", "relu2", "bipu(0.5)", "bipu(3)")
EXPONENTS = (0.05, 0.5, 1.0, 2.0, 2.0, 3.0, 20.0, 100.0)
# Logarithm of a weight: what Newton promises of the imbalance, with room for what weak attachment makes of it.
CLOSE = 1e-6
# Seconds after which a network hangs: most take a tenth of one, digits by the ten thousand some.
HANGS = 300.0


def fuzzed(seed: int, number: int) -> tuple[nx.DiGraph, tuple[Any, ...]]:
    """A network of 3 to 7 nodes and a regularizer, as the reference names it."""
    rng = np.random.default_rng([seed, number])
    G, n = nx.DiGraph(), int(rng.integers(3, 8))
    G.add_nodes_from((node, {"activation": str(rng.choice(ACTIVATIONS))}) for node in range(n))
    if rng.random() < 0.5:  # half of them of degree 1 throughout
        nx.set_node_attributes(G, "relu", "activation")
    spread = float(rng.choice([0.5, 3.0, 10.0, 30.0, 100.0]))
    ring = [(k, (k + 1) % n) for k in range(n)] if rng.random() < 0.5 else []
    pairs = [*ring, *map(tuple, rng.integers(0, n, (int(rng.integers(n, 3 * n)), 2)).tolist())]
    for tail, head in pairs:
        G.add_edge(tail, head, weight=float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-spread, spread)))
    for edge in [("x", 0), (n - 1, "y")]:
        G.add_edge(*edge, weight=float(10.0 ** rng.uniform(-spread, spread)))
    for _, _, data in G.edges(data=True):
        kind = rng.random()
        if kind < 0.04:
            data["fixed"] = True
        elif kind < 0.1:
            data.update(shared=0, weight=1.5)
        elif kind < 0.15:
            data["coefficient"] = float(10.0 ** rng.uniform(-30, 30))
        elif kind < 0.18:
            data["weight"] = 0.0
    if rng.random() < 0.2:
        for node in rng.choice(n, 2, replace=False).tolist():
            G.nodes[node].update(group=0, activation="relu", role="hidden")
    kinds: list[tuple[Any, ...]] = [("lp", float(rng.choice(EXPONENTS)))] * 4
    kinds += [("elastic", 1e-3, 1.0), ("posynomial", [(1.0, 0.5), (1e-6, 3.0)])]
    if spread <= 30:
        kinds.append(("log1p2",))
    return G, kinds[int(rng.integers(len(kinds)))]


def regularizer_of(kind: tuple[Any, ...]) -> bg.Regularizer:
    name, *numbers = kind
    if name == "lp":
        return bg.Lp(numbers[0])
    if name == "elastic":
        return bg.ElasticNet(l1=numbers[0], l2=numbers[1])
    return bg.Posynomial(numbers[0]) if name == "posynomial" else bg.Cauchy()


def faults(G: nx.DiGraph, kind: tuple[Any, ...]) -> list[str]:
    """What is wrong with the answers to a network, by kind; ``unconverged`` and ``no oracle`` are no errors."""
    regularizer = regularizer_of(kind)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            problem = bg.compile_graph(G, regularizer)
            solution = bg.solve(problem, "newton", on_unattained="prune")
            found = list(_judged(G, kind, problem, solution))
    except bg.InvalidNetworkError:
        return ["refused"]
    except bg.BalanceGraphError as error:
        return [f"error {type(error).__name__}"]
    except NotAttained:
        return ["no oracle"]
    except Exception as error:  # crashes are what is looked for
        return [f"crash {type(error).__name__}: {str(error)[:80]}"]
    return found


def _judged(G: nx.DiGraph, kind: tuple[Any, ...], problem: bg.BalanceProblem, solution: bg.Solution) -> Any:
    H = G.copy()
    for edge in solution.pruned_edges:
        H.edges[edge]["weight"] = 0.0
        H.edges[edge].pop("shared", None)
    truth = reference_optimum(H, kind)
    log_optimum, pruned = truth.log_cost, problem.pruned(solution)
    rng = np.random.default_rng(0)
    somewhere = 0.5 * solution.log_scales * rng.uniform(0.0, 2.0)
    for name, log_scales in (("answer", solution.log_scales), ("start", problem.unscaled), ("between", somewhere)):
        certificate = bg.certify(pruned, log_scales)
        if not math.isfinite(certificate.relative_gap):
            yield f"nan in the certificate of the {name}"
        with mp.workdps(60):
            if log_optimum > mp.mpf("-inf") and certificate.log_lower_bound > log_optimum:
                yield f"false bound at the {name}"
            if certificate.lower_bound > mp.exp(log_optimum):
                yield f"false bound at the {name}, as a float"
        if name == "answer" and solution.converged and certificate.relative_gap > 1e-8:
            yield "loose"
    if not (np.all(np.isfinite(solution.log_scales)) and 0.0 <= solution.relative_imbalance <= 1.0):
        yield "nan in the answer"
    if not solution.converged:
        yield f"unconverged: {solution.status.value}"
        return
    yield from _answer(problem, solution, truth, G)


def _answer(problem: bg.BalanceProblem, solution: bg.Solution, truth: Any, G: nx.DiGraph) -> Any:
    gains = problem.log_gains(solution.log_scales)
    dead = set(solution.pruned_edges)
    size = 1.0 + float(np.abs(solution.log_scales).max(initial=0.0))
    for gain, (edge, weight) in zip(gains.tolist(), nx.get_edge_attributes(G, "weight").items(), strict=True):
        if weight != 0.0 and edge not in dead and abs(gain - float(truth.log_gains[edge])) > CLOSE * size:
            yield "wrong weight"
            return
    if truth.cost > 0 and abs(solution.log_cost - float(truth.log_cost)) > 1e-9 * (1.0 + abs(float(truth.log_cost))):
        yield "wrong cost"
    if solution.relative_imbalance > 1e-9:
        yield "not balanced"


def is_wrong(found: list[str]) -> bool:
    """Whether anything found is an error: neither unconverged, refused, loose nor without an oracle."""
    harmless = ("unconverged", "refused", "no oracle", "error NotAttained", "loose", "error Unsupported")
    return any(not fault.startswith(harmless) for fault in found)


def shrunk(G: nx.DiGraph, still: Callable[[nx.DiGraph], bool]) -> nx.DiGraph:
    """The network without all edges and attributes that what is wrong does not need."""
    smaller = True
    while smaller:
        smaller = False
        for edge in list(G.edges):
            H = G.copy()
            H.remove_edge(*edge)
            H.remove_nodes_from([node for node in edge if node in H and H.degree(node) == 0])
            if still(H):
                G, smaller = H, True
        for data_of in (lambda H: H.nodes, lambda H: H.edges):
            for key in list(data_of(G)):
                for name in [name for name in data_of(G)[key] if name != "weight"]:
                    H = G.copy()
                    del data_of(H)[key][name]
                    if still(H):
                        G, smaller = H, True
    return G


def written(G: nx.DiGraph, kind: tuple[Any, ...]) -> str:
    """A network in a few lines."""
    edges = "; ".join(f"{u}->{v} {data}" for u, v, data in G.edges(data=True))
    nodes = ", ".join(f"{node} {data}" for node, data in G.nodes(data=True) if data)
    return f"{kind}: {edges} | {nodes}"


def run(count: int, seed: int, log: Path | None) -> Counter[str]:
    """Try the networks from where the log ends up to `count`; how often each fault was found."""
    tally: Counter[str] = Counter()
    first = 0
    if log is not None and log.exists():
        kept = json.loads(log.read_text(encoding="utf-8"))
        tally, first = Counter(kept["found"]), kept["tried"]
    for number in range(first, count):
        G, kind = fuzzed(seed, number)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        found = faults(G, kind) or ["right"]
        faulthandler.cancel_dump_traceback_later()
        tally.update(fault.split(":")[0] for fault in found)
        if is_wrong([fault for fault in found if fault != "right"]):
            print(number, found, flush=True)
            small = shrunk(G, lambda H, kind=kind, found=found: faults(H, kind) == found)  # type: ignore[misc]
            print("   ", written(small, kind), flush=True)
        if log is not None and (number % 100 == 99 or number == count - 1):
            beside = log.with_suffix(".part")
            beside.write_text(json.dumps({"seed": seed, "tried": number + 1, "found": tally}, indent=1), "utf-8")
            beside.replace(log)
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    for fault, times in run(asked.count, asked.seed, asked.log).most_common():
        print(f"{times:8d} {fault}")
