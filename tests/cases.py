"""The table of networks that every solver must agree on, each small enough for the 50-digit reference.

Awkward cases are drawn on purpose. Every case is attained, seeded, and made afresh by ``case.make()``;
``case_optimum(name)`` computes its reference once per process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from reference import ReferenceOptimum, reference_optimum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Regularizer = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One network, one regularizer, and what is known about them.

    Attributes
    ----------
    regularizer : tuple
        ``("lp", p)``, ``("elastic", l1, l2)``, ``("posynomial", [(a, p), ...])`` or ``("log1p2",)``.
    cyclic : bool
        The free nodes contain a directed cycle (a self-loop is one).
    wide : bool
        Weights or coefficients range over more than 30 decades, up to 1e-120 ... 1e120.
    tied_only : bool
        Every log-scale is a multiple of one coordinate, so that nodes (or tied nodes) can be balanced one at a time.
        False where shared weights do not reduce to tied nodes: the local balancer must refuse.
    slow_local : bool
        Local balancing needs more than 3000 sweeps for the weights (measured with cyclic sweeps, log-weights to
        1e-8). A small relative imbalance means little here: a strong cycle hides that it must move as a whole.
        The other cases need less than 1000.
    """

    name: str
    make: Callable[[], nx.DiGraph]
    regularizer: Regularizer
    notes: str
    cyclic: bool = False
    wide: bool = False
    tied_only: bool = True
    slow_local: bool = False


CASES: dict[str, Case] = {}


def _case(name: str, make: Callable[[], nx.DiGraph], regularizer: Regularizer, notes: str, **flags: bool) -> None:
    if name in CASES:
        raise ValueError(f"two cases are called {name!r}")
    CASES[name] = Case(name, make, regularizer, notes, **flags)


@cache
def case_optimum(name: str) -> ReferenceOptimum:
    """The reference optimum of a case, computed once."""
    return reference_optimum(CASES[name].make(), CASES[name].regularizer)


# --- building blocks ------------------------------------------------------------------------------------------------


def _weight(rng: np.random.Generator, spread: float = 1.0) -> float:
    """Log-normal magnitude, either sign."""
    return float(rng.choice([-1.0, 1.0]) * np.exp(spread * rng.standard_normal()))


def _wide_weight(rng: np.random.Generator, decades: float) -> float:
    """Magnitude uniform in the logarithm over 10**-decades ... 10**decades, either sign."""
    return float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-decades, decades))


def _connect(G: nx.DiGraph, edges: Iterable[tuple[Any, Any]], draw: Callable[[], float]) -> None:
    for tail, head in edges:
        if not G.has_edge(tail, head):
            G.add_edge(tail, head, weight=draw())


def _cycle_activations(G: nx.DiGraph, activations: Iterable[str]) -> None:
    """Give the hidden nodes h0, h1, ... these activations in turn."""
    activations = list(activations)
    hidden = [node for node in G if isinstance(node, str) and node.startswith("h")]
    for i, node in enumerate(hidden):
        G.nodes[node]["activation"] = activations[i % len(activations)]


def _with(make: Callable[[], nx.DiGraph], *changes: Callable[[nx.DiGraph], None]) -> Callable[[], nx.DiGraph]:
    """A recipe followed by changes in place."""

    def made() -> nx.DiGraph:
        G = make()
        for change in changes:
            change(G)
        return G

    return made


def layered(
    widths: Iterable[int],
    seed: int,
    *,
    bias: bool = True,
    spread: float = 1.0,
    decades: float = 0.0,
    activations: Iterable[str] = ("relu",),
) -> nx.DiGraph:
    """Dense layers x, h, y; the bias unit, if any, feeds every hidden node and every output."""
    rng = np.random.default_rng(seed)
    widths = list(widths)
    draw = partial(_wide_weight, rng, decades) if decades else partial(_weight, rng, spread)
    names, layers = iter(f"h{i}" for i in range(sum(widths))), []
    for depth, width in enumerate(widths):
        if depth in (0, len(widths) - 1):
            layers.append([f"{'y' if depth else 'x'}{i}" for i in range(width)])
        else:
            layers.append([next(names) for _ in range(width)])
    G = nx.DiGraph()
    for lower, upper in pairwise(layers):
        _connect(G, ((tail, head) for head in upper for tail in lower), draw)
        if bias:
            G.add_node("bias", role="bias")
            _connect(G, (("bias", head) for head in upper), draw)
    _cycle_activations(G, activations)
    return G


def random_graph(
    n: int,
    n_edges: int,
    seed: int,
    *,
    acyclic: bool = False,
    self_loops: int = 0,
    spread: float = 1.0,
    decades: float = 0.0,
    activations: Iterable[str] = ("relu",),
) -> nx.DiGraph:
    """n hidden nodes, random edges among them, two inputs and two outputs attached so that every edge is live.

    A hidden node that no other one feeds gets an input, one that feeds no other gets an output; where cycles are
    allowed, a ring through all hidden nodes and one input and output do the same.
    """
    rng = np.random.default_rng(seed)
    draw = partial(_wide_weight, rng, decades) if decades else partial(_weight, rng, spread)
    hidden = [f"h{i}" for i in range(n)]
    pairs = [(i, j) for i in range(n) for j in range(n) if (i < j if acyclic else i != j)]
    chosen = [pairs[k] for k in rng.choice(len(pairs), size=n_edges, replace=False)]
    G = nx.DiGraph()
    G.add_nodes_from(["x0", "x1", *hidden, "y0", "y1"])
    _connect(G, ((hidden[i], hidden[j]) for i, j in chosen), draw)
    if not acyclic:
        _connect(G, ((hidden[i], hidden[(i + 1) % n]) for i in range(n)), draw)
    sources = [h for h in hidden if G.in_degree(h) == 0] or [hidden[0]]
    sinks = [h for h in hidden if G.out_degree(h) == 0] or [hidden[-1]]
    _connect(G, [(f"x{k % 2}", h) for k, h in enumerate([*sources, hidden[0], hidden[1]])], draw)
    _connect(G, [(h, f"y{k % 2}") for k, h in enumerate([*sinks, hidden[-1], hidden[-2]])], draw)
    _connect(G, ((hidden[i], hidden[i]) for i in range(self_loops)), draw)
    _cycle_activations(G, activations)
    return G


def chain(weights: Iterable[float], activations: Iterable[str] = ("relu",)) -> nx.DiGraph:
    """x -> h0 -> h1 -> ... -> y with these weights: for c = 1 the optimum has all |w| at the geometric mean."""
    weights = list(weights)
    nodes = ["x", *(f"h{i}" for i in range(len(weights) - 1)), "y"]
    G = nx.DiGraph()
    for (tail, head), w in zip(pairwise(nodes), weights, strict=True):
        G.add_edge(tail, head, weight=w)
    _cycle_activations(G, activations)
    return G


def graph(
    edges: Iterable[tuple[Any, Any, float]],
    nodes: dict[Any, dict[str, Any]] | None = None,
    attributes: dict[tuple[Any, Any], dict[str, Any]] | None = None,
) -> nx.DiGraph:
    """A network written out: weighted edges, then attributes of nodes and of edges."""
    G = nx.DiGraph()
    G.add_weighted_edges_from(edges)
    nx.set_node_attributes(G, nodes or {})
    nx.set_edge_attributes(G, attributes or {})
    return G


# --- changes --------------------------------------------------------------------------------------------------------


def tie(*groups: Iterable[Any]) -> Callable[[nx.DiGraph], None]:
    """Tie the nodes of each group."""

    def change(G: nx.DiGraph) -> None:
        for label, members in enumerate(groups):
            for node in members:
                G.nodes[node]["group"] = f"group {label}"

    return change


def share(*classes: Iterable[tuple[Any, Any]]) -> Callable[[nx.DiGraph], None]:
    """Make the edges of each class one parameter: the label, and the value of the first."""

    def change(G: nx.DiGraph) -> None:
        for label, members in enumerate(classes):
            members = list(members)
            value = G.edges[members[0]]["weight"] if G.has_edge(*members[0]) else 1.0
            for edge in members:
                G.add_edge(*edge, weight=value, shared=("kernel", label))

    return change


def fix(*edges: tuple[Any, Any], weight: float = 1.0) -> Callable[[nx.DiGraph], None]:
    """Add fixed edges, such as the identity of a skip connection."""

    def change(G: nx.DiGraph) -> None:
        for tail, head in edges:
            G.add_edge(tail, head, weight=weight, fixed=True)

    return change


def add(*edges: tuple[Any, Any, float]) -> Callable[[nx.DiGraph], None]:
    """Add (or overwrite the weight of) edges."""

    def change(G: nx.DiGraph) -> None:
        G.add_weighted_edges_from(edges)

    return change


def zero(*edges: tuple[Any, Any]) -> Callable[[nx.DiGraph], None]:
    """Set the weights of edges to 0: inert, but still edges."""

    def change(G: nx.DiGraph) -> None:
        for edge in edges:
            G.edges[edge]["weight"] = 0.0

    return change


def activate(**activations: str) -> Callable[[nx.DiGraph], None]:
    """Set the activations of nodes."""

    def change(G: nx.DiGraph) -> None:
        for node, activation in activations.items():
            G.nodes[node]["activation"] = activation

    return change


def hide(*nodes: Any) -> Callable[[nx.DiGraph], None]:
    """Say that nodes are hidden."""

    def change(G: nx.DiGraph) -> None:
        for node in nodes:
            G.nodes[node]["role"] = "hidden"

    return change


def negate(G: nx.DiGraph) -> None:
    """Make every weight negative."""
    for _, _, data in G.edges(data=True):
        data["weight"] = -abs(data["weight"])


def draw_on_edges(attribute: str, values: Iterable[float], seed: int) -> Callable[[nx.DiGraph], None]:
    """Give two edges in three a random choice among the values; the others keep the default."""
    values = list(values)

    def change(G: nx.DiGraph) -> None:
        rng = np.random.default_rng(seed)
        for _, _, data in G.edges(data=True):
            if rng.random() < 2 / 3:
                data[attribute] = float(rng.choice(values))

    return change


def _one_exponent_per_parameter(G: nx.DiGraph) -> None:
    """Give the edges of each shared parameter the exponent of the first: one parameter has one cost."""
    first: dict[Any, dict[str, Any]] = {}
    for _, _, data in G.edges(data=True):
        if "shared" in data:
            leader = first.setdefault(data["shared"], data)
            data.pop("exponent", None) if "exponent" not in leader else data.update(exponent=leader["exponent"])


# --- layered, skip, random, recurrent -------------------------------------------------------------------------------

_L2 = ("lp", 2)

_case(
    "chain",
    lambda: chain([3.0, -0.02, 5.0, 0.7, -11.0, 0.3]),
    _L2,
    "single units in a row: every |w| becomes the geometric mean",
)
_case("layered", partial(layered, [3, 4, 3, 2], 1, bias=False), _L2, "dense layers, no bias")
_case("layered_bias", partial(layered, [3, 5, 4, 2], 2), _L2, "dense layers; bias -> output joins two pinned nodes")
_case("deep_narrow", partial(layered, [1, *[2] * 8, 1], 3, spread=2.0), _L2, "eight layers of two units")
_case(
    "skip_dag",
    _with(
        partial(layered, [2, 3, 3, 3, 1], 4),
        add(("h0", "h6", 0.8), ("h1", "y0", -2.5), ("x0", "h4", 1.7), ("x1", "h8", 0.05), ("h2", "h7", 4.0)),
    ),
    _L2,
    "trained skip connections of length two and three",
)
_case("random_dag", partial(random_graph, 14, 30, 5, acyclic=True), _L2, "every edge goes forward, any length")
_case("random_dag_large", partial(random_graph, 25, 60, 14, acyclic=True, spread=2.0), _L2, "25 free nodes")
_case("recurrent", partial(random_graph, 10, 25, 6), _L2, "a strongly connected hidden part", cyclic=True)
_case(
    "self_loops_c1",
    partial(random_graph, 8, 16, 7, self_loops=4),
    _L2,
    "self-loops on degree 1: a constant in the cost, but counted in both in-cost and out-cost",
    cyclic=True,
)
_case(
    "self_loops_c2",
    partial(random_graph, 8, 16, 8, self_loops=4, activations=["relu2"]),
    _L2,
    "self-loops on degree 2: the weight scales by s^(1 - c)",
    cyclic=True,
)
_case(
    "two_cycle",
    lambda: graph([("x", "h1", 2.0), ("h1", "h2", -5.0), ("h2", "h1", 0.3), ("h2", "y", 0.7)]),
    _L2,
    "h1 <-> h2 between an input and an output",
    cyclic=True,
)
_case(
    "one_unit",
    lambda: graph([("x0", "h", 3.0), ("x1", "h", -4.0), ("h", "y", 0.2)]),
    _L2,
    "a single free node",
)
_case(
    "star",
    lambda: graph([*((f"x{i}", "h", 1.0 + i) for i in range(6)), *(("h", f"y{i}", 2.0**-i) for i in range(6))]),
    ("lp", 1),
    "one free node of high degree",
)
_case("no_free_node", lambda: graph([("x0", "y0", 3.0), ("x0", "y1", -2.0)]), _L2, "nothing to balance: a constant")
_case(
    "outlier_in_weights",
    _with(partial(layered, [4, 6, 6, 3], 9, spread=0.1), add(("x0", "h0", 5.0e4), ("h1", "h6", -2.0e-6))),
    _L2,
    "two weights far from the rest",
)

# --- degrees other than one -----------------------------------------------------------------------------------------

_MIXED = ("bipu(0.5)", "bipu(2,1,-1)", "bipu(3)", "relu", "leaky_relu(0.1)")

_case(
    "bipu_chain",
    lambda: chain([3.0, -0.2, 5.0, 0.7, -1.5, 0.3], ["bipu(2)", "bipu(0.5)", "bipu(3,1,1)"]),
    _L2,
    "degrees 2, 0.5, 3 in a row",
)
_case(
    "bipu_layers", partial(layered, [3, 4, 4, 2], 10, activations=_MIXED), _L2, "degrees 0.5, 2, 3, 1 mixed in layers"
)
_case(
    "bipu_self_loops",
    partial(random_graph, 7, 14, 11, self_loops=5, spread=0.5, activations=_MIXED),
    ("lp", 1.5),
    "self-loops on degrees 0.5, 2, 3, 1",
    cyclic=True,
)
_case(
    "bipu_recurrent",
    partial(random_graph, 9, 20, 12, spread=0.5, activations=_MIXED),
    _L2,
    "cycles whose gain is not 1",
    cyclic=True,
)
_case(
    "bipu_dag",
    partial(random_graph, 10, 20, 13, acyclic=True, activations=["relu2", "linear", "abs", "bilu(-0.5,2)"]),
    ("lp", 1),
    "squared ReLU among BiLU",
)

# --- regularizers ---------------------------------------------------------------------------------------------------

for _p in (0.5, 1, 1.5, 3, 4):
    _case(
        f"lp_{_p}",
        partial(layered, [2, 4, 4, 2], 20),
        ("lp", _p),
        f"p = {_p}",
    )
_case("lp_0.5_recurrent", partial(random_graph, 8, 18, 21), ("lp", 0.5), "p below one with cycles", cyclic=True)
_case("elastic", partial(layered, [2, 4, 4, 2], 22), ("elastic", 0.3, 1.7), "l1 |w| + l2 w^2")
_case(
    "elastic_l1_only",
    partial(layered, [2, 3, 2], 22),
    ("elastic", 0.5, 0.0),
    "a term with coefficient 0 is no term",
)
_case(
    "elastic_bipu_recurrent",
    partial(random_graph, 7, 14, 23, self_loops=2, spread=0.7, activations=_MIXED),
    ("elastic", 1.0, 0.5),
    "two exponents, mixed degrees, self-loops: no closed form for the local scale",
    cyclic=True,
)
_case(
    "posynomial",
    partial(random_graph, 8, 16, 24, acyclic=True),
    ("posynomial", [(0.5, 0.5), (1.0, 1.0), (0.25, 3.0)]),
    "three powers",
)
_case(
    "coefficients",
    _with(partial(layered, [3, 4, 3, 2], 25), draw_on_edges("coefficient", [0.01, 0.5, 3.0, 200.0], 26)),
    _L2,
    "coefficients of edges from 0.01 to 200, the default among them",
)
_case(
    "exponents",
    _with(partial(layered, [3, 4, 3, 2], 27), draw_on_edges("exponent", [0.5, 1.0, 2.0, 3.5], 28)),
    _L2,
    "edges with exponents of their own",
)
_case(
    "exponents_coefficients_recurrent",
    _with(
        partial(random_graph, 7, 15, 29, self_loops=2, activations=["relu", "relu2"]),
        draw_on_edges("exponent", [1.0, 3.0], 30),
        draw_on_edges("coefficient", [0.1, 7.0], 31),
    ),
    ("lp", 1.5),
    "exponents and coefficients of edges, cycles, degrees 1 and 2",
    cyclic=True,
)
_case(
    "elastic_coefficients",
    _with(partial(layered, [2, 4, 3, 2], 32), draw_on_edges("coefficient", [0.1, 0.7, 5.0], 33)),
    ("elastic", 0.3, 1.7),
    "the coefficient multiplies both terms",
)
_case("log1p2", partial(layered, [2, 4, 3, 2], 34), ("log1p2",), "log(1 + w^2): convex in log w, not a sum of powers")
_case(
    "log1p2_recurrent",
    _with(partial(random_graph, 8, 16, 35), draw_on_edges("coefficient", [0.2, 3.0], 36)),
    ("log1p2",),
    "log(1 + w^2) with cycles and coefficients",
    cyclic=True,
)
_case(
    "log1p2_bipu",
    partial(layered, [2, 3, 3, 1], 37, spread=2.0, activations=_MIXED),
    ("log1p2",),
    "log(1 + w^2) on both sides of its bend, mixed degrees",
)

# --- tied nodes, fixed edges, shared weights ------------------------------------------------------------------------

_case(
    "tied",
    _with(partial(layered, [3, 4, 4, 2], 40), tie(["h0", "h1"], ["h4", "h5", "h6"])),
    _L2,
    "units of one layer share a scale, as the units of a convolution channel do",
)
_case(
    "tied_neighbors",
    _with(partial(layered, [2, 3, 3, 2], 41), tie(["h0", "h3"], ["h1", "h4"])),
    _L2,
    "an edge inside a group costs a constant (c = 1)",
)
_case(
    "tied_neighbors_c2",
    _with(partial(layered, [2, 3, 3, 2], 42, activations=["relu2"]), tie(["h0", "h3"], ["h1", "h4"])),
    _L2,
    "an edge inside a group of degree 2 scales by s^(1 - c), like a self-loop",
)
_case(
    "tied_self_loop",
    _with(
        partial(random_graph, 7, 14, 43, self_loops=3, activations=["relu2"]),
        tie(["h0", "h4"], ["h1", "h2"]),
    ),
    ("lp", 1.5),
    "groups of degree 2 with self-loops and inner edges",
    cyclic=True,
)
_case(
    "tied_all",
    _with(partial(layered, [2, 3, 3, 2], 44), tie([f"h{i}" for i in range(6)])),
    _L2,
    "one group: one coordinate",
)
_case(
    "fixed_residual",
    _with(partial(layered, [2, 3, 3, 3, 2], 45), fix(*((f"h{i}", f"h{i + 6}") for i in range(3)))),
    _L2,
    "identity skips over one layer: they tie their ends",
)
_case(
    "fixed_residual_tower",
    _with(
        partial(layered, [2, 2, 2, 2, 2, 2, 1], 46),
        fix(*((f"h{i}", f"h{i + 4}") for i in (0, 1, 4, 5)), weight=1.0),
    ),
    ("lp", 1),
    "two blocks in a row: one scale runs through both identities",
)
_case(
    "fixed_c2",
    _with(partial(layered, [2, 2, 2, 2], 47), activate(h0="relu2", h1="bipu(0.5)"), fix(("h0", "h2"))),
    _L2,
    "fixed edge out of degree 2: l_head = 2 l_tail, ties in proportion",
)
_case(
    "fixed_from_input",
    _with(partial(layered, [2, 3, 3, 2], 48), fix(("x0", "h1"), weight=-0.5)),
    _L2,
    "a fixed edge from an input pins its head",
)
_case(
    "fixed_into_output",
    _with(partial(layered, [2, 3, 3, 2], 49), fix(("h4", "y0"), weight=2.0)),
    _L2,
    "a fixed edge into an output pins its tail",
)
_case(
    "fixed_and_tied",
    _with(partial(layered, [2, 3, 3, 3, 2], 50), fix(("h0", "h6"), ("h3", "h7")), tie(["h0", "h1"], ["h6", "h8"])),
    _L2,
    "fixed edges join groups into larger ones",
)
_case(
    "shared_ties",
    _with(
        partial(layered, [3, 3, 4, 2], 51, bias=False),
        share([("x0", "h0"), ("x1", "h1")], [("x0", "h1"), ("x1", "h2")], [("h0", "h3"), ("h1", "h4"), ("h2", "h5")]),
    ),
    _L2,
    "a convolution: shared weights tie the units of a channel, each parameter costs once",
)
_case(
    "shared_twice_in_sum",
    lambda: graph(
        [("x", "h1", 3.0), ("x", "h2", 3.0), ("h1", "y", 0.5), ("h2", "y", 0.25)],
        attributes={("x", "h1"): {"shared": 0}, ("x", "h2"): {"shared": 0}},
    ),
    _L2,
    "label 0 is a label; two equal in-weights count once: 9 against 5/16",
)
_case(
    "shared_not_ties",
    _with(partial(layered, [2, 3, 3, 2], 52), share([("h0", "h3"), ("h1", "h4")])),
    _L2,
    "l3 - l0 = l4 - l1: one equation among four nodes",
    tied_only=False,
)
_case(
    "shared_recurrent_unrolled",
    _with(
        partial(layered, [2, 2, 2, 2, 2], 53),
        share(
            [("h0", "h2"), ("h2", "h4")],
            [("h0", "h3"), ("h2", "h5")],
            [("h1", "h2"), ("h3", "h4")],
            [("h1", "h3"), ("h3", "h5")],
        ),
    ),
    _L2,
    "a recurrent layer unrolled three times",
    tied_only=False,
)
_case(
    "shared_not_ties_bipu",
    _with(
        partial(random_graph, 8, 16, 54, acyclic=True, spread=0.5, activations=["relu2", "relu"]),
        share([("h0", "h3"), ("h1", "h5"), ("h2", "h6")], [("x0", "h0"), ("h6", "y0")]),
        draw_on_edges("exponent", [1.0, 2.5], 0),
        _one_exponent_per_parameter,
    ),
    _L2,
    "shared weights across degrees, an in-edge shared with an out-edge, exponents of edges",
    tied_only=False,
)

# --- pinned nodes, roles, zeros, names ------------------------------------------------------------------------------

_case(
    "pinned_hidden",
    partial(layered, [2, 5, 5, 2], 60, activations=["relu", "tanh", "leaky_relu(0.2)", "sigmoid", "gelu", "linear"]),
    _L2,
    "tanh, sigmoid and gelu units stay as they are",
)
_case(
    "pinned_layer",
    partial(layered, [2, 3, 3, 3, 2], 61, activations=["relu", "relu", "relu", "tanh", "tanh", "tanh"]),
    _L2,
    "a layer of tanh separates the network into two problems",
)
_case(
    "pinned_to_pinned",
    _with(partial(layered, [2, 3, 2], 62), add(("x0", "y0", 40.0), ("x1", "y1", -3.0), ("x0", "y1", 0.2))),
    _L2,
    "direct edges from inputs to outputs: a constant in the cost",
)
_case(
    "output_with_out_edges",
    _with(
        partial(layered, [2, 3, 3, 1], 63),
        add(("y0", "h0", 0.9), ("h3", "z", -1.2)),
        lambda G: G.nodes["y0"].update(role="output"),
    ),
    _L2,
    "an explicit output that feeds back: pinned, so the cycle through it is broken",
)
_case(
    "isolated_cycle",
    _with(
        partial(layered, [2, 3, 2], 64),
        add(("k0", "k1", 8.0), ("k1", "k2", -0.5), ("k2", "k0", 3.0)),
        hide("k0", "k1", "k2"),
    ),
    ("lp", 1),
    "a hidden cycle that nothing reaches: attained, its log-scales known up to a constant",
    cyclic=True,
)
_case(
    "isolated_component",
    _with(
        partial(layered, [2, 3, 2], 65),
        add(
            *(("k0", "k1", 8.0), ("k1", "k2", -0.5), ("k2", "k0", 3.0)),
            *(("k1", "k0", 0.1), ("k2", "k2", 5.0), ("k2", "k1", 2.0)),
        ),
    ),
    _L2,
    "an isolated strong component with a self-loop: inferred hidden, gauge",
    cyclic=True,
)
_case(
    "isolated_cycle_gain_one",
    lambda: graph(
        [("x", "h", 2.0), ("h", "y", 5.0), ("k0", "k1", 8.0), ("k1", "k0", -0.5)],
        {"k0": {"activation": "relu2"}, "k1": {"activation": "bipu(0.5)"}},
    ),
    _L2,
    "degrees 2 and 1/2 around an isolated cycle: gain one, so attained, with a gauge that is not constant",
    cyclic=True,
)
_case(
    "isolated_cycles_gains",
    lambda: graph(
        [
            *(("x", "h", 2.0), ("h", "y", 5.0), ("k0", "k1", 8.0), ("k1", "k0", -0.5)),
            *(("k0", "k2", 3.0), ("k2", "k0", 0.3), ("m0", "m0", 4.0), ("m0", "m1", -0.2), ("m1", "m0", 6.0)),
        ],
        {
            "k0": {"activation": "relu2"},
            "k2": {"activation": "bipu(0.25)"},
            "m0": {"activation": "bipu(2)"},
            "m1": {"activation": "bipu(0.25)"},
        },
    ),
    _L2,
    "isolated components with cycle gains on both sides of one (2 and 1/2): attained, no gauge",
    cyclic=True,
)
_case(
    "zeros",
    _with(
        partial(layered, [3, 4, 4, 2], 66),
        zero(("x0", "h0"), ("h1", "h5"), ("h2", "h4"), ("h7", "y1"), ("bias", "h6"), ("bias", "y0")),
    ),
    _L2,
    "pruned weights",
)
_case(
    "zeros_dead_node",
    _with(
        partial(layered, [2, 3, 3, 2], 67),
        zero(*((tail, "h1") for tail in ("x0", "x1", "bias")), *(("h1", head) for head in ("h3", "h4", "h5"))),
    ),
    _L2,
    "every edge of h1 is 0: free, inert, a gauge",
)
_case(
    "zeros_with_attributes",
    _with(
        partial(layered, [2, 3, 3, 2], 68),
        share([("h0", "h3"), ("h1", "h4")]),
        fix(("h2", "h5")),
        zero(("h1", "h4"), ("h2", "h5")),
    ),
    _L2,
    "fixed and shared edges of weight 0 constrain nothing",
)
_case(
    "names",
    lambda: graph(
        [
            *((1, (2, "a"), 3.0), (1, "h", -0.4), (0, frozenset({7}), 2.0), ((2, "a"), frozenset({7}), 0.6)),
            *(("h", (), 5.0), (frozenset({7}), 10, -0.3), ((), 10, 1.1), ((), ("y", 1), 0.2), ("h", 10, 0.9)),
            *((3.5, "h", 0.7), (frozenset({7}), "", 4.0), ("", 10, 0.1), ("", "1", 0.3)),
        ],
        {"h": {"activation": "relu2"}, (): {"group": ("g", 0)}, "": {"group": ("g", 0)}},
    ),
    _L2,
    "names of every hashable kind: 1 and '1', empty tuple, empty text, frozenset",
)
_case(
    "negative_weights",
    _with(
        partial(layered, [2, 4, 4, 2], 69),
        negate,
    ),
    ("lp", 1),
    "all weights negative",
)

# --- wide ranges and weak attachments -------------------------------------------------------------------------------

_case(
    "wide_chain",
    lambda: chain([1e120, 1e-120, 3e110, -2e-115, 5e90, 1e-40, 7.0, 1e100]),
    _L2,
    "1e-120 ... 1e120 in a row",
    wide=True,
)
_case(
    "wide_chain_bipu",
    lambda: chain([1e60, 1e-120, 3e50, -2e-60, 5e40, 1e-40], ["bipu(0.5)", "relu", "relu2"]),
    ("lp", 1),
    "a wide range through degrees 0.5, 1, 2",
    wide=True,
)
_case(
    "wide_layered", partial(layered, [3, 5, 5, 2], 70, decades=120.0), _L2, "log-uniform in 1e-120 ... 1e120", wide=True
)
_case(
    "wide_dag",
    partial(random_graph, 10, 22, 71, acyclic=True, decades=120.0),
    ("lp", 1),
    "log-uniform in 1e-120 ... 1e120",
    wide=True,
)
_case(
    "wide_recurrent",
    partial(random_graph, 8, 18, 72, self_loops=2, decades=120.0),
    _L2,
    "cycles, self-loops among them, and log-uniform weights in 1e-120 ... 1e120",
    cyclic=True,
    wide=True,
)
_case(
    "wide_recurrent_30",
    partial(random_graph, 10, 22, 73, decades=30.0),
    ("lp", 1),
    "log-uniform in 1e-30 ... 1e30; a strong cycle moves as a whole",
    cyclic=True,
    wide=True,
    slow_local=True,
)
_case(
    "wide_coefficients",
    _with(partial(layered, [2, 4, 3, 2], 74), draw_on_edges("coefficient", [1e-100, 1e-30, 1e40, 1e100], 75)),
    _L2,
    "coefficients from 1e-100 to 1e100",
    wide=True,
)


def _strong_cycle(factor: float, entry: float = 1.0, exit_: float = 1.0) -> nx.DiGraph:
    """a -> b -> c -> a carries `factor`; an input, a side branch and an output hold it by weights near one."""
    return graph(
        [
            *(("a", "b", factor), ("b", "c", -2.0 * factor), ("c", "a", 0.5 * factor), ("b", "a", 3.0 * factor)),
            *(("x", "a", 0.3 * entry), ("c", "y", -7.0 * exit_), ("x", "d", 1.5), ("d", "b", 0.4 * entry)),
            *(("b", "e", 2.0 * exit_), ("e", "y", 0.6), ("d", "e", 1.0)),
        ]
    )


for _label, _factor in (("1e3", 1e3), ("1e8", 1e8), ("1e40", 1e40)):
    _case(
        f"strong_cycle_{_label}",
        partial(_strong_cycle, _factor),
        _L2,
        f"a cycle of weights {_label}, weakly attached",
        cyclic=True,
        wide=_factor > 1e30,
        slow_local=True,
    )
_case(
    "strong_cycle_off_center",
    partial(_strong_cycle, 1e50, 1e-20, 1e30),
    _L2,
    "the strong cycle must also move as a whole by some 25 decades",
    cyclic=True,
    wide=True,
    slow_local=True,
)
_case(
    "strong_cycles_nested",
    lambda: graph(
        [
            *(("a", "b", 1e30), ("b", "a", 2e30), ("c", "d", 3e20), ("d", "c", 1e20), ("b", "c", 1e8), ("d", "a", 5e9)),
            *(("x", "a", 1e-5), ("d", "y", 0.2), ("a", "y", 3.0)),
        ]
    ),
    _L2,
    "two strong cycles weakly joined, the pair more weakly attached",
    cyclic=True,
    wide=True,
    slow_local=True,
)
_case(
    "strong_cycle_c2",
    lambda: graph(
        [
            *(("a", "b", 1e15), ("b", "a", 2e15), ("x", "a", 0.3), ("b", "y", 4.0), ("c", "b", 0.5), ("x", "c", 2.0)),
            *(("a", "c", 0.1),),
        ],
        {"a": {"activation": "relu2"}, "b": {"activation": "bipu(0.5)"}},
    ),
    ("lp", 1),
    "a strong cycle of gain one through degrees 2 and 1/2",
    cyclic=True,
    slow_local=True,
)
