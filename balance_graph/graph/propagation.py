"""How values propagate through a network, for any weights of its edges.

Edges inside a strongly connected component carry the value of the step before (zero at first); all other edges act at
once. A DAG is thus an ordinary feedforward network, and a layer with recurrent connections the usual recurrent one:
``h_t = f(W x_t + U h_{t-1})``, ``y_t = V h_t``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask
from balance_graph.graph.activations import Activation
from balance_graph.graph.compilation import compile_graph, node_activation, roles_of
from balance_graph.linear.links import links


class Matrices(NamedTuple):
    """Weights as matrices (head, tail): of the edges that act at once, and of those that take a step."""

    now: Any
    before: Any


@dataclass(frozen=True, eq=False)
class Propagation:
    """The architecture of a network, as far as values propagate through it.

    Attributes
    ----------
    size : int
        Number of nodes.
    tail, head : (n_edges,) integer arrays
    present : (n_edges,) boolean array
        Edges of nonzero weight; the others are none.
    delayed : (n_edges,) boolean array
        Edges that carry the value of the step before.
    inputs, biases, outputs : integer arrays
        Nodes by role.
    stages : list of lists of (Activation, integer array)
        Hidden and output nodes in an order in which they can be computed, those of one activation together.
    """

    size: int
    tail: Index
    head: Index
    present: Mask
    delayed: Mask
    inputs: Index
    biases: Index
    outputs: Index
    stages: list[list[tuple[Activation, Index]]]

    @classmethod
    def of(cls, G: nx.DiGraph[Any], weight: str = "weight") -> Propagation:  # noqa: N803
        """From a network as users give it."""
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        manifold = compile_graph(G, weight=weight).manifold
        tail, head, size = manifold.tail, manifold.head, manifold.n_nodes
        present = np.array([data[weight] != 0 for _, _, data in G.edges(data=True)], dtype=bool)
        network = links(tail[present], head[present], size)
        _, component = csgraph.connected_components(network, directed=True, connection="strong")
        delayed = np.asarray(component[tail] == component[head])
        role = np.array(list(roles_of(G).values()), dtype=object)
        functions = [node_activation(data, node) for node, data in G.nodes(data=True)]
        direct = present & ~delayed
        generations = _generations(tail[direct], head[direct], size)
        computed = np.isin(role, ["hidden", "output"])
        return cls(
            size=size,
            tail=tail,
            head=head,
            present=present,
            delayed=delayed,
            inputs=np.flatnonzero(role == "input"),
            biases=np.flatnonzero(role == "bias"),
            outputs=np.flatnonzero(role == "output"),
            stages=[_by_function(nodes[computed[nodes]], functions) for nodes in generations],
        )

    @property
    def is_recurrent(self) -> bool:
        """Whether some edge carries the value of the step before."""
        return bool(np.any(self.present & self.delayed))

    def matrices(self, weights: Array, *, dense: bool = False) -> Matrices:
        """The weights of the edges as matrices; dense ones must not meet infinite values, of which they make nan."""
        return Matrices(*(self._matrix(weights, chosen, dense) for chosen in (~self.delayed, self.delayed)))

    def _matrix(self, weights: Array, chosen: Mask, dense: bool) -> Any:
        edges = np.flatnonzero(self.present & chosen)
        entries = weights[edges], (self.head[edges], self.tail[edges])
        matrix = sparse.csr_array(entries, shape=(self.size, self.size))
        return matrix.toarray() if dense else matrix

    def run(self, matrices: Matrices, sequence: Array) -> Iterator[tuple[Array, Array]]:
        """Values of all nodes, and the weighted sums before their activations, after each step: (n_nodes, batch).

        Parameters
        ----------
        matrices : Matrices
        sequence : (steps, batch, n_inputs) array
        """
        rows = [[(function, nodes, matrices.now[nodes]) for function, nodes in stage] for stage in self.stages]
        state = np.zeros((self.size, sequence.shape[1]))
        for inputs in sequence:
            total = matrices.before @ state
            state = np.zeros_like(state)
            state[self.inputs] = inputs.T
            state[self.biases] = 1.0
            for stage in rows:
                for function, nodes, weights in stage:
                    total[nodes] += weights @ state
                    state[nodes] = function(total[nodes])
            yield state, total


def _generations(tail: Index, head: Index, size: int) -> list[Index]:
    """The nodes of a DAG by the number of edges on the longest path that ends there."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from(zip(tail.tolist(), head.tolist(), strict=True))
    return [np.sort(generation) for generation in nx.topological_generations(graph)]


def _by_function(nodes: Index, functions: list[Activation]) -> list[tuple[Activation, Index]]:
    """The nodes of one generation, grouped by activation."""
    groups: dict[int, list[int]] = {}
    for node in nodes.tolist():
        groups.setdefault(id(functions[node]), []).append(node)
    return [(functions[members[0]], np.array(members)) for members in groups.values()]
