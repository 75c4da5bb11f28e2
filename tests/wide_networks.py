"""Random networks of every kind, with weights from 1e-8 to 1e8.

The tests take a few of them. All: ``python tests/wide_networks.py 0 200`` (half an hour) examines those of 200 seeds.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from helpers import rescaled

import balance_graph as bg

if TYPE_CHECKING:
    from collections.abc import Callable

EXPONENTS = (0.5, 1.0, 1.5, 2.0, 3.0)
DECADES = 8.0
_POWERS = ("relu2", "bipu(0.5)", "leaky_relu(0.2)", "bipu(3,1,-0.5)", "abs", "tanh", "linear")


def wide_network(seed: int) -> tuple[str, nx.DiGraph, float]:
    """The name, network and exponent that belong to a seed: kinds, weights and exponents come in turn."""
    rng = np.random.default_rng(seed)
    kinds, spreads = list(_KINDS.items()), list(_WEIGHTS.items())
    kind, make = kinds[seed % len(kinds)]
    spread, draw = spreads[seed // len(kinds) % len(spreads)]
    return f"{kind}, {spread} ({seed})", draw(make(rng), rng), EXPONENTS[seed % len(EXPONENTS)]


# --- kinds ----------------------------------------------------------------------------------------------------------


def _layered(rng: np.random.Generator) -> nx.DiGraph:
    widths = [int(rng.integers(1, 4)) for _ in range(int(rng.integers(3, 7)))]
    return bg.networks.layered(widths, str(rng.choice(["relu", "abs", "leaky_relu(0.3)"])), rng=rng)


def _mixed(rng: np.random.Generator) -> nx.DiGraph:
    G = bg.networks.random_dag(hidden=int(rng.integers(3, 8)), probability=0.4, rng=rng)
    for node, role in G.nodes(data="role"):
        if role == "hidden":
            G.nodes[node]["activation"] = str(rng.choice(_POWERS))
    return G


def _any_graph(rng: np.random.Generator) -> nx.DiGraph:
    """A directed graph as it comes: with dead ends, cycles that nothing reaches, zeros, nodes that stand alone."""
    G = nx.gnp_random_graph(int(rng.integers(2, 9)), 0.3, directed=True, seed=int(rng.integers(2**31)))
    G = nx.DiGraph(G.edges) if G.edges else nx.DiGraph([(0, 1)])
    nx.set_edge_attributes(G, {edge: float(rng.standard_normal() * (rng.random() > 0.1)) for edge in G.edges}, "weight")
    return G


_KINDS: dict[str, Callable[[np.random.Generator], nx.DiGraph]] = {
    "layered": _layered,
    "chain": lambda rng: bg.networks.chain(int(rng.integers(1, 7)), rng=rng),
    "random DAG": lambda rng: bg.networks.random_dag(hidden=int(rng.integers(2, 9)), rng=rng),
    "recurrent": lambda rng: bg.networks.random_recurrent(hidden=int(rng.integers(2, 7)), self_loops=True, rng=rng),
    "mixed degrees": _mixed,
    "residual": lambda rng: bg.networks.residual(blocks=int(rng.integers(1, 3)), width=2, rng=rng),
    "convolution": lambda rng: bg.networks.convolutional(
        4, (1, 2), sharing=str(rng.choice(["group", "shared"])), rng=rng
    ),
    "any graph": _any_graph,
}

# --- weights --------------------------------------------------------------------------------------------------------


def _each_its_own(G: nx.DiGraph, rng: np.random.Generator) -> nx.DiGraph:
    """Every parameter its own order of magnitude."""
    sizes: dict[object, float] = {}
    for u, v, data in G.edges(data=True):
        if not data.get("fixed"):
            label = data.get("shared", (u, v))
            data["weight"] = np.sign(data["weight"]) * sizes.setdefault(label, 10.0 ** rng.uniform(-DECADES, DECADES))
    return G


def _other_units(G: nx.DiGraph, rng: np.random.Generator) -> nx.DiGraph:
    """All weights near one number far from 1."""
    unit = 10.0 ** rng.uniform(-DECADES, DECADES)
    for *_, data in G.edges(data=True):
        data["weight"] *= unit
    return G


_WEIGHTS: dict[str, Callable[[nx.DiGraph, np.random.Generator], nx.DiGraph]] = {
    "each its own": _each_its_own,
    "other units": _other_units,
    "behind scales": lambda G, rng: rescaled(G, rng, spread=6.0),
}


# --- all of them, at length -----------------------------------------------------------------------------------------


def main(first: int, last: int) -> None:
    """Examine the networks of the seeds from first to last - 1, as they are and balanced: what fails, and counts."""
    counts: Counter[str] = Counter()
    for seed in range(first, last):
        name, G, p = wide_network(seed)
        for title, network in ((name, G), (f"{name}, balanced", _balanced(G, p))):
            report = bg.verify(network, p)
            counts.update(finding.verdict for finding in report.findings)
            for finding in report.failures:
                print(f"{title}, p = {p:g}\n{finding.summary()}", flush=True)
    print(f"{last - first} networks, as they are and balanced: {dict(counts)}")


def _balanced(G: nx.DiGraph, p: float) -> nx.DiGraph:
    return bg.balance(G, p, solver="newton", on_unattained="prune").graph


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(int(sys.argv[1]), int(sys.argv[2]))
