"""Whether the minimum of the cost is attained, and what stands in its way.

It is attained if and only if no direction d of log-scales has ``A d <= 0`` on the edges of nonzero weight with some
entry negative; equivalently, a strictly positive circulation ``y > 0, A^T y = 0`` exists (Stiemke). On a graph this is
a search: with all pinned nodes merged into one ground, an edge is *live* when its ends lie in one strongly connected
component. Only isolated parts with degrees other than 1, and shared weights that do not reduce to tied nodes, need a
linear program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.errors import NotAttainedError
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.elimination import gauge_columns


@dataclass(frozen=True, eq=False)
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

    def raise_if_not_attained(self) -> None:
        """Raise `NotAttainedError` naming the dead nodes, why, and the remedies."""
        if self.attained:
            return
        listed = [f"{node!r} ({self.reasons[node]})" for node in self.dead_nodes[:5]]
        more = f" and {len(self.dead_nodes) - 5} more" if len(self.dead_nodes) > 5 else ""
        edges = ", ".join(map(repr, self.dead_edges[:3])) + (", ..." if len(self.dead_edges) > 3 else "")
        message = (
            f"the minimum is not attained: {len(self.dead_edges)} of the weights ({edges}) can shrink to zero "
            f"for ever without changing the function; dead nodes: {', '.join(listed)}{more}. Remedies: "
            "on_unattained='prune' sets those weights to 0 and balances the rest; or connect or remove the nodes; or "
            'give them role="output" (or an activation that is not homogeneous) to pin them'
        )
        raise NotAttainedError(message, nodes=self.dead_nodes, edges=self.dead_edges)


def find_attainment(problem: BalanceProblem) -> Attainment:
    """Decide attainment of a problem by graph search, with a linear program only where the search does not decide.

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
    matrix = problem.manifold.reduced_incidence[active]
    if np.any(np.diff(matrix.indptr) > 2):
        in_ground = np.zeros(matrix.shape[1], dtype=bool)
        dead, direction = _linear_program(matrix)
        component = np.arange(matrix.shape[1])
    else:
        search = _Search(matrix)
        in_ground, component = search.in_ground, search.component
        dead, direction = _dead_rows(matrix, search)
    live = problem.active.copy()
    live[active[dead]] = False
    nodes = _dead_nodes(problem, matrix, dead, in_ground, component)
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


def without_edges(problem: BalanceProblem, dead: Mask) -> BalanceProblem:
    """The problem with the weights of some edges set to zero; like all zero weights they then constrain nothing."""
    if not dead.any():
        return problem
    at = problem.manifold
    if at.shared is not None:
        at = dataclasses.replace(at, shared=np.where(dead, -1, at.shared))
    return dataclasses.replace(problem, manifold=at, weight=np.where(dead, 0.0, problem.weight))


def prune(problem: BalanceProblem, attainment: Attainment) -> BalanceProblem:
    """The problem without its dead edges.

    Where the copies of a shared parameter die, scales that they held in place come free, and more can be dead.
    """
    while not attainment.attained:
        problem = without_edges(problem, problem.active & ~attainment.live)
        if problem.manifold.shared is None:
            break
        attainment = find_attainment(problem)
    return problem


class _Search:
    """Strongly connected components of the unknowns and the ground, from rows of at most one + and one - entry.

    A row with one entry is an edge from (+) or to (-) the ground: a pinned end, or a self-loop of degree other than 1.
    """

    def __init__(self, matrix: Sparse) -> None:
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        k = matrix.shape[1]
        self.head, self.tail = self._ends(matrix, k)
        graph = sparse.coo_array((np.ones(self.head.size), (self.tail, self.head)), shape=(k + 1, k + 1)).tocsr()
        _, labels = csgraph.connected_components(graph, directed=True, connection="strong")
        self.component = labels
        self.in_ground = labels[:k] == labels[k]
        self.same = labels[self.tail] == labels[self.head]

    @staticmethod
    def _ends(matrix: Sparse, ground: int) -> tuple[Index, Index]:
        head = np.full(matrix.shape[0], ground)
        tail = np.full(matrix.shape[0], ground)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        positive = matrix.data > 0
        head[row[positive]] = matrix.indices[positive]
        tail[row[~positive]] = matrix.indices[~positive]
        return head, tail


def _dead_rows(matrix: Sparse, search: _Search) -> tuple[Mask, Array]:
    """Which rows are dead, and a recession direction over the unknowns (zero if none is)."""
    outside = ~search.in_ground
    if not outside.any():
        return np.zeros(matrix.shape[0], dtype=bool), np.zeros(matrix.shape[1])
    columns = np.flatnonzero(outside)
    part = matrix[:, columns]
    touching = np.flatnonzero(np.diff(part.indptr) > 0)
    if _has_unit_gains(matrix[touching]):
        dead = ~search.same
        return dead, _levels(search, dead)[: matrix.shape[1]]
    # Nodes strongly connected with the ground take up or supply any flow, so they count as ground here.
    dead_part, direction_part = _linear_program(part[touching])
    dead = np.zeros(matrix.shape[0], dtype=bool)
    dead[touching] = dead_part
    direction = np.zeros(matrix.shape[1])
    direction[columns] = direction_part
    return dead, direction


def _has_unit_gains(matrix: Sparse) -> bool:
    """Whether the two entries of every row that has two cancel: such rows pass flow on without gain or loss."""
    two = np.diff(matrix.indptr) == 2
    sums = np.asarray(matrix.sum(axis=1)).reshape(-1)
    return bool(np.all(np.abs(sums[two]) <= 1e-12))


def _levels(search: _Search, dead: Mask) -> Array:
    """Log-scale direction that decreases along every dead edge: minus the longest chain of dead edges, from ground."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    tail, head = search.component[search.tail[dead]].tolist(), search.component[search.head[dead]].tolist()
    following: dict[int, set[int]] = {}
    waiting: dict[int, int] = {}
    for a, b in zip(tail, head, strict=True):
        if b not in following.setdefault(a, set()):
            following[a].add(b)
            waiting[b] = waiting.get(b, 0) + 1
    level = np.zeros(search.component.max() + 1)
    queue = [a for a in following if a not in waiting]
    for a in queue:
        for b in following.get(a, ()):
            level[b] = max(level[b], level[a] + 1)
            waiting[b] -= 1
            if waiting[b] == 0:
                queue.append(b)
    ground = search.component[-1]
    # A part that no dead edge ties to the ground has a free offset; an isolated live part then stays put.
    size = level.size
    links = sparse.coo_array((np.ones(len(tail)), (tail, head)), shape=(size, size))
    _, weak = csgraph.connected_components(links, directed=False)
    offset = np.where(weak == weak[ground], level[ground], 0.0)
    return (offset - level)[search.component]


def _linear_program(matrix: Sparse) -> tuple[Mask, Array]:
    """Largest set of rows that some direction d with ``A d <= 0`` makes negative, and that direction.

    Maximize ``sum s`` subject to ``A d + s <= 0``, ``0 <= s <= 1``. Directions can be added and stretched, so at the
    optimum every s is 0 or 1, and the rows with 1 are exactly those that some recession direction makes negative.
    """
    m, k = matrix.shape
    if m == 0 or k == 0:
        return np.zeros(m, dtype=bool), np.zeros(k)
    from scipy.optimize import linprog  # a heavy import that few networks need

    result: Any = linprog(
        np.concatenate([np.zeros(k), -np.ones(m)]),
        A_ub=sparse.hstack([sparse.csr_matrix(matrix), sparse.eye_array(m)], format="csr"),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * k + [(0.0, 1.0)] * m,
        method="highs",
    )
    dead = result.x[k:] > 0.5
    return dead, result.x[:k] if dead.any() else np.zeros(k)


def _dead_nodes(problem: BalanceProblem, matrix: Sparse, dead: Mask, in_ground: Mask, component: Index) -> list[int]:
    """Nodes outside the ground's component, in a strongly connected part that a dead edge touches."""
    if not dead.any():
        return []
    touched = np.unique(matrix[np.flatnonzero(dead)].indices)
    touched = touched[~in_ground[touched]]
    unknown = np.isin(component[: in_ground.size], component[touched]) & ~in_ground
    basis = problem.manifold.basis
    node = np.repeat(np.arange(basis.shape[0]), np.diff(basis.indptr))
    dead_nodes: list[int] = np.unique(node[unknown[basis.indices]]).tolist()
    return dead_nodes


def _reasons(problem: BalanceProblem, nodes: list[int]) -> dict[int, str]:
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    if not nodes:
        return {}
    at, active = problem.manifold, problem.active
    n = problem.n_nodes
    vertex = np.where(at.pinned, n, np.arange(n))
    links = (np.ones(int(active.sum())), (vertex[at.tail[active]], vertex[at.head[active]]))
    graph = sparse.coo_array(links, shape=(n + 1, n + 1)).tocsr()
    reached = np.zeros(n + 1, dtype=bool)
    reaching = np.zeros(n + 1, dtype=bool)
    reached[csgraph.breadth_first_order(graph, n, return_predecessors=False)] = True
    reaching[csgraph.breadth_first_order(graph.T.tocsr(), n, return_predecessors=False)] = True
    return {node: _reason(bool(reached[node]), bool(reaching[node])) for node in nodes}


def _reason(reached: bool, reaching: bool) -> str:
    if reached and reaching:
        return "its constraints let weights shrink while no other grows"
    if reached:
        return "it reaches no pinned node"
    if reaching:
        return "no pinned node reaches it"
    return "isolated from pinned nodes, and its edges lead one way only or their gains do not balance"
