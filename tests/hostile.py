"""Small networks at the ends of the range of floats, and every public question put to them.

``python tests/hostile.py 3000 0`` asks of so many networks from that seed, and says what went wrong with which.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

import balance_graph as bg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACTIVATIONS = ("relu", "relu", "relu", "abs", "tanh", "relu2", "bipu(0.5)", "bipu(3)", "leaky_relu(0.1)")
EXPONENTS = (0.05, 0.5, 1.0, 1.5, 2.0, 2.0, 3.0, 10.0, 100.0)


def hostile_network(rng: np.random.Generator) -> nx.DiGraph:
    """3 to 8 nodes; weights from 5e-324 to 1.7e308, and zero; self-loops, shared, tied and fixed."""
    G, n = nx.DiGraph(), int(rng.integers(3, 9))
    for node in range(n):
        G.add_node(node, activation=str(rng.choice(ACTIVATIONS)))
    spread = float(rng.choice([1.0, 50.0, 323.0]))
    for tail, head in rng.integers(0, n, (int(rng.integers(n, 3 * n)), 2)).tolist():
        if tail < head or rng.random() < 0.3:
            G.add_edge(tail, head, weight=hostile_weight(rng, spread))
    for node in G:
        if rng.random() < 0.1:
            G.nodes[node]["role"] = "output"
    for _, _, data in G.edges(data=True):
        if rng.random() < 0.08:
            data["fixed"] = True
        elif rng.random() < 0.1:
            data.update(shared=0, weight=1.5)
        if rng.random() < 0.05 and "shared" not in data:
            data["coefficient"] = float(rng.choice([1e-300, 0.1, 1e300, sys.float_info.max, 5e-324]))
    for node in G:
        if rng.random() < 0.15:
            G.nodes[node].update(group=0, activation="relu", role="hidden")
    return G


def hostile_weight(rng: np.random.Generator, spread: float) -> float:
    if rng.random() < 0.15:
        return float(rng.choice([0.0, -0.0]))
    if rng.random() < 0.1:
        return float(rng.choice([5e-324, -1.7e308, sys.float_info.max, 2.2e-308]))
    return float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-spread, min(spread, 308.0)))


def regularizers(rng: np.random.Generator) -> Any:
    kinds = (
        float(rng.choice(EXPONENTS)),
        float(rng.choice(EXPONENTS)),
        float(rng.choice(EXPONENTS)),
        bg.ElasticNet(l1=1e-3, l2=1.0),
        bg.Posynomial([(1.0, 0.05), (1e-9, 7.0)]),
        bg.Cauchy(),
        bg.Huber(1e-3),
        bg.PseudoHuber(),
        bg.LogSum(0.1),
    )
    return kinds[int(rng.integers(len(kinds)))]


def questions(G: nx.DiGraph, regularizer: Any, rng: np.random.Generator) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every public question, by name."""
    free = [node for node, value in bg.imbalance(G, regularizer).items() if value is not None]
    yield "cost", lambda: bg.cost(G, regularizer)
    yield "imbalance", lambda: bg.imbalance(G, regularizer)
    yield "relative_imbalance", lambda: bg.relative_imbalance(G, regularizer)
    yield "is_balanced", lambda: bg.is_balanced(G, regularizer)
    yield "certify", lambda: bg.certify(G, regularizer)
    yield "attainment", lambda: bg.attainment(G, regularizer)
    yield "manifold", lambda: bg.manifold(G).equations("cycles").toarray()
    yield "equivalent", lambda: bg.equivalent(G, G, regularizer)
    for solver in ("newton", bg.StochasticSolver(rng=0, max_sweeps=20), "auto"):
        yield (
            f"balance {solver}",
            lambda solver=solver: bg.balance(G, regularizer, solver=solver, on_unattained="prune"),
        )
    yield "canonical_form", lambda: bg.canonical_form(G, regularizer, on_unattained="prune")
    problem = bg.compile_graph(G, regularizer)
    yield "solve", lambda: bg.solve(problem, on_unattained="prune")
    if free:
        node = free[int(rng.integers(len(free)))]
        s = float(10.0 ** rng.uniform(-300, 300))
        yield "scale", lambda: bg.scale(G, {node: s})
        yield "balance_node", lambda: bg.balance_node(G, node, regularizer)


def numbers(answer: Any) -> Iterator[float]:
    """Every number in an answer."""
    if isinstance(answer, (bool, str, type(None))):
        return
    if isinstance(answer, (int, float, np.number)):
        yield float(answer)
    elif isinstance(answer, np.ndarray):
        yield from map(float, np.ravel(answer).tolist())
    elif isinstance(answer, dict):
        for value in answer.values():
            yield from numbers(value)
    elif isinstance(answer, (tuple, list)):
        for value in answer:
            yield from numbers(value)
    elif isinstance(answer, nx.DiGraph):
        yield from (data["weight"] for _, _, data in answer.edges(data=True))
    else:
        yield from numbers(parts(answer))


def parts(answer: Any) -> Any:
    if isinstance(answer, bg.BalanceResult):
        return [answer.graph, answer.scales, answer.log_scales, answer.certificate, answer.solution]
    if isinstance(answer, bg.Solution):
        history = answer.history
        return [
            answer.cost,
            answer.log_scales,
            answer.relative_imbalance,
            answer.initial_cost,
            history.log_cost,
            history.imbalance,
        ]
    if isinstance(answer, bg.Certificate):
        return [answer.cost, answer.lower_bound, answer.gap, answer.relative_gap]
    assert isinstance(answer, bg.Attainment)
    return [answer.recession_direction, answer.unique]


def faults(G: nx.DiGraph, regularizer: Any, rng: np.random.Generator) -> list[str]:
    """What goes wrong with a network: a NaN, a warning, a foreign exception, a zero that is none."""
    found = []
    try:
        asked = list(questions(G, regularizer, rng))
    except bg.BalanceGraphError:
        return []
    for name, ask in asked:
        try:
            with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
                warnings.simplefilter("error")
                answer = ask()
        except bg.BalanceGraphError as error:
            if "nan" in str(error).split():
                found.append(f"{name}: {error}")
            continue
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if any(math.isnan(value) for value in numbers(answer)):
            found.append(f"{name}: nan")
        if isinstance(answer, bg.BalanceResult):
            zeros = [edge for edge in G.edges if G.edges[edge]["weight"] == 0 != answer.graph.edges[edge]["weight"]]
            found.extend(f"{name}: {edge} was zero" for edge in zeros)
    return found


def survey(count: int, seed: int, first: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The numbers of so many networks, and what goes wrong with each."""
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        G = hostile_network(rng)
        yield number, faults(G, regularizers(rng), rng)


if __name__ == "__main__":
    for number, found in survey(*map(int, sys.argv[1:])):
        if found or number % 100 == 99:
            print(f"network {number}: {found}", flush=True)
