"""Whether the minimum of the cost is attained, and what stands in its way.

It is attained if and only if no direction d of log-scales has ``A d <= 0`` on the edges of nonzero weight with some
entry negative; equivalently, a strictly positive circulation ``y > 0, A^T y = 0`` exists (Stiemke). The rows of A alone
decide: see `balance_graph.problem.recession`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from balance_graph._showing import html_table, some_of
from balance_graph._types import Mask
from balance_graph.errors import NotAttainedError
from balance_graph.linear.links import links
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.elimination import gauge_columns
from balance_graph.problem.recession import find_recession
from balance_graph.problem.term_manifold import TermManifold


@dataclass(frozen=True, eq=False, repr=False)
class Attainment:
    """Existence and uniqueness of the balanced state.

    Attributes
    ----------
    attained : bool
        Whether the minimum is attained. If it is, the balanced weights are unique.
    unique : bool
        Whether the log-scales are unique as well: no gauge remains on the live part.
    dead_nodes : tuple
        Free nodes that nothing reaches, that reach nothing, or whose isolated gains do not balance.
    dead_edges : tuple of (node, node)
        Edges whose weights would be driven to zero without changing the function.
    recession_direction : dict or None
        Log-scale direction, by free node, along which the dead weights shrink for ever and no other weight grows.
    reasons : dict
        Why each dead node is dead, in words.
    live : (n_edges,) boolean array
        Edges of nonzero weight that are not dead.
    problem : BalanceProblem
        What was asked about.

    See Also
    --------
    attainment : Computes it.
    """

    attained: bool
    dead_nodes: tuple[Hashable, ...]
    dead_edges: tuple[tuple[Hashable, Hashable], ...]
    recession_direction: dict[Hashable, float] | None
    reasons: dict[Hashable, str] = field(repr=False)
    live: Mask = field(repr=False)
    problem: BalanceProblem = field(repr=False)

    @cached_property
    def unique(self) -> bool:
        """Whether the log-gains of the live edges determine every unknown."""
        matrix = self.problem.manifold.reduced_incidence
        return gauge_columns(matrix[np.flatnonzero(self.live)]).size == 0

    def _repr_html_(self) -> str:
        return html_table(
            "Attainment",
            {
                "minimum": "attained" if self.attained else "not attained",
                "network": f"{self.problem.n_nodes} nodes, {self.problem.n_edges} edges",
                "dead nodes": "; ".join(f"{node!r}: {self.reasons[node]}" for node in self.dead_nodes[:5])
                + (f"; ... ({len(self.dead_nodes)} in all)" if len(self.dead_nodes) > 5 else ""),
                "dead edges": some_of(self.dead_edges),
            },
        )

    def __repr__(self) -> str:
        if self.attained:
            return "Attainment(attained=True)"
        return (
            f"Attainment(attained=False, dead nodes: {some_of(self.dead_nodes) or 'none'}; "
            f"dead edges: {some_of(self.dead_edges)})"
        )

    def raise_if_not_attained(self, *, can_prune: bool = True) -> None:
        """Raise `NotAttainedError` naming the dead nodes, why, and the remedies; pruning where the caller offers it."""
        if self.attained:
            return
        edges = ", ".join(map(repr, self.dead_edges[:3])) + (", ..." if len(self.dead_edges) > 3 else "")
        some = "1 weight" if len(self.dead_edges) == 1 else f"{len(self.dead_edges)} of the weights"
        prune = "on_unattained='prune' sets those weights to 0 and balances the rest"
        manifold = self.problem.manifold
        remedies = _remedies(set(self.reasons.values()), are_named=manifold.names is not None)
        if isinstance(manifold, TermManifold):
            remedies = ["leave these terms out, or add terms that grow where they fall"]
        message = (
            f"the minimum is not attained: {some} can shrink to zero for ever without changing the function: {edges}; "
            f"dead nodes: {self._dead_by_reason()}. Remedies: "
            f"{prune if can_prune else 'set those weights to 0'}; or {'; or '.join(remedies)}"
        )
        raise NotAttainedError(message, nodes=self.dead_nodes, edges=self.dead_edges)

    def _dead_by_reason(self) -> str:
        """Some of the dead nodes, each reason once."""
        of_reason: dict[str, list[str]] = {}
        for node in self.dead_nodes[:5]:
            of_reason.setdefault(self.reasons[node], []).append(repr(node))
        listed = [
            f"{', '.join(nodes)} ({'each: ' if len(nodes) > 1 else ''}{reason})" for reason, nodes in of_reason.items()
        ]
        more = f" and {len(self.dead_nodes) - 5} more" if len(self.dead_nodes) > 5 else ""
        return ", ".join(listed) + more


def find_attainment(problem: BalanceProblem) -> Attainment:
    """Decide attainment of a problem, and find its dead edges.

    It depends on the architecture and on which weights are zero, and is kept with the former.
    """
    kept = problem.manifold.kept.get(Attainment)
    if kept is not None and np.array_equal(kept[0], problem.active):
        return Attainment(**kept[1], problem=problem)
    found = _search_attainment(problem)
    of_architecture = {name: value for name, value in vars(found).items() if name != "problem"}
    problem.manifold.kept[Attainment] = problem.active, of_architecture
    return found


def _search_attainment(problem: BalanceProblem) -> Attainment:
    active = np.flatnonzero(problem.active)
    dead, direction, moving = find_recession(problem.manifold.reduced_incidence[active])
    live = problem.active.copy()
    live[active[dead]] = False
    nodes = _nodes_of(problem, moving)
    names = problem.nodes
    log_scales = problem.manifold.basis @ direction
    free = problem.manifold.free_nodes
    return Attainment(
        attained=not dead.any(),
        dead_nodes=tuple(names[k] for k in nodes),
        dead_edges=tuple(problem.manifold.names_of(active[dead])),
        recession_direction={names[k]: float(log_scales[k]) for k in free.tolist()} if dead.any() else None,
        reasons={names[k]: reason for k, reason in _reasons(problem, nodes).items()},
        live=live,
        problem=problem,
    )


def prune(problem: BalanceProblem, attainment: Attainment) -> BalanceProblem:
    """The problem without its dead edges.

    Where the copies of a shared parameter die, scales that they held in place come free, and more can be dead.
    """
    while not attainment.attained:
        problem = problem.without_edges(problem.active & ~attainment.live)
        if problem.manifold.shared is None:
            break
        attainment = find_attainment(problem)
    return problem


def _nodes_of(problem: BalanceProblem, unknowns: Mask) -> list[int]:
    """The nodes whose log-scales depend on some of the unknowns."""
    basis = problem.manifold.basis
    node = np.repeat(np.arange(basis.shape[0]), np.diff(basis.indptr))
    nodes: list[int] = np.unique(node[unknowns[basis.indices]]).tolist()
    return nodes


def _reasons(problem: BalanceProblem, nodes: list[int]) -> dict[int, str]:
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    if not nodes:
        return {}
    at, active = problem.manifold, problem.active
    if isinstance(at, TermManifold):
        return dict.fromkeys(nodes, "terms that depend on it can shrink while no other grows")
    n = problem.n_nodes
    vertex = np.where(at.pinned, n, np.arange(n))
    graph = links(vertex[at.tail[active]], vertex[at.head[active]], n + 1)
    reached = np.zeros(n + 1, dtype=bool)
    reaching = np.zeros(n + 1, dtype=bool)
    reached[csgraph.breadth_first_order(graph, n, return_predecessors=False)] = True
    reaching[csgraph.breadth_first_order(graph.T.tocsr(), n, return_predecessors=False)] = True
    return {node: _reason(reached=bool(reached[node]), reaching=bool(reaching[node])) for node in nodes}


def _reason(*, reached: bool, reaching: bool) -> str:
    if reached:
        return _HELD if reaching else _NOT_READ
    return _NOT_FED if reaching else _ISOLATED


_HELD = "its constraints let weights shrink while no other grows"
_NOT_READ = "it reaches no pinned node"
_NOT_FED = "no pinned node reaches it"
_ISOLATED = "isolated from pinned nodes, and its edges lead one way only or their gains do not balance"
# What to do about dead nodes of these reasons (None: of any), in words of graphs and in words of arrays.
_REMEDIES: tuple[tuple[set[str] | None, str, str], ...] = (
    (
        {_NOT_FED, _ISOLATED},
        'add an input that feeds these units: a node with role="input" and edges to them',
        "feed these nodes: add a pinned node with edges to them",
    ),
    (
        {_NOT_READ, _ISOLATED},
        'let these units reach an output: add an edge to one, or give them role="output"',
        "let these nodes reach a pinned node: add an edge to one",
    ),
    (
        {_HELD},
        "give up ties, fixed edges or shared weights of these units",
        "give these nodes labels of their own in groups=",
    ),
    (
        None,
        'pin them by role="output" or an activation that is not homogeneous, or remove them',
        "pin them (pinned=), or leave them out",
    ),
)


def _remedies(reasons: set[str], *, are_named: bool) -> list[str]:
    fitting = (words for cause, *words in _REMEDIES if cause is None or cause & reasons)
    return [of_graphs if are_named else of_arrays for of_graphs, of_arrays in fitting]
