"""The edges of all partitions as one block of weights: what `balance_graph.Block` asks for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.partitioned._loops import compiled_loops
from balance_graph.partitioned.frames import Edges
from balance_graph.partitioned.passes import Partitions
from balance_graph.problem.blocks import Extent, factors_of_unit
from balance_graph.problem.log_domain import log_abs, log_sum


class Survey(NamedTuple):
    """What one pass over edges finds.

    Attributes
    ----------
    n_edges, n_moved : int
        Number of edges, and of those that scales move: within one part, of weights other than zero, no self-loops.
    least, largest : float
        Sizes of the weights of these; inf and 0 where there are none.
    rows, columns : (n_nodes,) boolean arrays
        Nodes that one of these leaves, and reaches.
    sources, targets, loops : (n_nodes,) boolean arrays
        Nodes that any edge leaves, and reaches, and those with a self-loop.
    log_loops : float
        Logarithm of the cost of self-loops.
    """

    n_edges: int
    n_moved: int
    least: float
    largest: float
    rows: Mask
    columns: Mask
    sources: Mask
    targets: Mask
    loops: Mask
    log_loops: float

    @property
    def touched(self) -> Mask:
        """Nodes with edges that scales move."""
        return self.rows | self.columns

    @classmethod
    def of_all(cls, partitions: Partitions, part: Index, exponent: float) -> Survey:
        """That of all edges: one pass."""
        return partitions.folded(cls._of, cls._and_of, part, exponent)

    @classmethod
    def _of(cls, edges: Edges, part: Index, exponent: float) -> Survey:
        rows, columns, sources, targets, own = (np.zeros(part.size, dtype=np.bool_) for _ in range(5))
        n_moved, least, largest = compiled_loops().find_extent(edges, part, rows, columns)
        sources[edges.tail] = targets[edges.head] = True
        is_loop = (edges.tail == edges.head) & (edges.weight != 0.0)
        own[edges.tail[is_loop]] = True
        log_loops = log_sum(exponent * log_abs(edges.weight[is_loop]))
        n_edges = edges.tail.size
        return cls(n_edges, n_moved, least, largest, rows, columns, sources, targets, own, log_loops)

    def _and_of(self, other: Survey) -> Survey:
        return Survey(
            n_edges=self.n_edges + other.n_edges,
            n_moved=self.n_moved + other.n_moved,
            least=min(self.least, other.least),
            largest=max(self.largest, other.largest),
            rows=self.rows | other.rows,
            columns=self.columns | other.columns,
            sources=self.sources | other.sources,
            targets=self.targets | other.targets,
            loops=self.loops | other.loops,
            log_loops=float(np.logaddexp(self.log_loops, other.log_loops)),
        )


class PartitionedEdges:
    """The edges of all partitions as a block with a row and a column for each node.

    Parameters
    ----------
    partitions : Partitions
    survey : Survey
    part : (n_nodes,) integer array
        Edges from one part to another take no part, nor do those of nodes of no part, -1.
    held : (n_nodes,) boolean array
        Nodes whose scale is 1.
    """

    def __init__(self, partitions: Partitions, survey: Survey, part: Index, held: Mask) -> None:
        self._partitions, self._survey, self._part = partitions, survey, part
        self.tail = self.head = np.where(held, -1, np.arange(held.size))

    def extent(self, exponent: float) -> Extent:
        """The range of the costs, which the survey has found."""
        survey = self._survey
        if survey.n_moved == 0:
            return Extent(math.inf, -math.inf, survey.rows, survey.columns)
        low, high = (exponent * math.log(size) for size in (survey.least, survey.largest))
        return Extent(low, high, survey.rows, survey.columns)

    def products(self, exponent: float, log_unit: float, rows: Array, columns: Array) -> tuple[Array, Array]:
        """``C @ columns`` and ``rows @ C``, with the costs C in units of ``exp(log_unit)``: one pass."""
        *factors, rest = factors_of_unit(exponent, log_unit)
        arguments = self._part, exponent, tuple(factors), np.ascontiguousarray(rows), np.ascontiguousarray(columns)
        by_row, by_column = self._partitions.folded(_products, _sums, *arguments)
        return by_row * rest, by_column * rest


def _products(
    edges: Edges, part: Index, exponent: float, factors: tuple[float, float], rows: Array, columns: Array
) -> tuple[Array, Array]:
    by_row, by_column = np.zeros(rows.size), np.zeros(columns.size)
    compiled_loops().add_products(edges, part, exponent, factors, rows, columns, by_row, by_column)
    return by_row, by_column


def _sums(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    return one[0] + other[0], one[1] + other[1]
