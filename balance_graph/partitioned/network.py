"""A network whose edges lie in partitions: what passes over them have found, and which parts it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.partitioned.edges import PartitionedEdges, Survey
from balance_graph.partitioned.frames import Columns, Frame
from balance_graph.partitioned.named_nodes import degrees_of, pinned_of, refuse_degrees
from balance_graph.partitioned.parts import Parts, matrix_of
from balance_graph.partitioned.passes import Partitions
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import check_spread
from balance_graph.solvers.conductor import solve


class PartitionedNetwork:
    """The edges of a network, and what is said and found of its nodes.

    Parameters
    ----------
    frames : sequence of Frame
    columns : Columns
    pinned, degree
        As for `from_parquet`.
    exponent : float

    Attributes
    ----------
    partitions : Partitions
    nodes : pandas.Index
    pinned : (n_nodes,) boolean array
    degree : (n_nodes,) array
    exponent : float
    survey : Survey
        Of all edges.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        columns: Columns,
        *,
        pinned: Iterable[Any] | None,
        degree: float | Mapping[Any, float],
        exponent: float,
    ) -> None:
        self.partitions, self.exponent = Partitions(frames, columns), exponent
        self.nodes = self.partitions.nodes
        self.survey = Survey.of_all(self.partitions, self.whole, exponent)
        self.degree = degrees_of(degree, self.nodes)
        refuse_degrees(
            self.survey.loops,
            self.nodes,
            self.degree,
            "has a self-loop, whose weight its own scale would change; partitions take self-loops of degree 1 alone: "
            "leave it out, or give the network to from_sparse",
        )
        self.pinned = pinned_of(pinned, self.nodes, self.survey)
        check_spread(self.edges.extent(exponent), "the edges")

    @property
    def whole(self) -> Index:
        """One part, of all nodes."""
        return np.zeros(self.nodes.size, dtype=np.int32)

    @property
    def edges(self) -> PartitionedEdges:
        """All of them."""
        return PartitionedEdges(self.partitions, self.survey, self.whole, self.pinned)

    @cached_property
    def parts(self) -> Parts:
        """Which edges can keep a weight at the minimum."""
        parts = Parts.of(self.partitions, self.pinned)
        refuse_degrees(
            parts.part > 0,
            self.nodes,
            self.degree,
            "lies on a cycle that no path joins to a pinned node, and back: whether such cycles can be balanced is a "
            "problem of its own; pin a node of it",
        )
        return parts

    @cached_property
    def live_survey(self) -> Survey:
        """Of the edges within parts."""
        part = self.parts.part
        return self.survey if not part.any() else Survey.of_all(self.partitions, part, self.exponent)

    def live_edges(self, held: Mask) -> PartitionedEdges:
        """The edges within parts, some nodes held."""
        return PartitionedEdges(self.partitions, self.live_survey, self.parts.part, held)

    @cached_property
    def held(self) -> Mask:
        """Nodes whose scale is 1: those that are pinned, and one of each part apart."""
        held = self.pinned.copy()
        held[self.parts.held] = True
        return held

    @cached_property
    def free(self) -> Mask:
        """Nodes to scale."""
        free: Mask = (self.parts.part >= 0) & self.live_survey.touched & ~self.held
        return free

    @property
    def joined(self) -> Mask:
        """Nodes to scale that paths join to pinned nodes, and back."""
        joined: Mask = self.free & (self.parts.part == 0)
        return joined

    @property
    def dead(self) -> tuple[Any, ...]:
        """Names of the nodes all of whose edges are dead."""
        dead = (self.parts.part < 0) & self.survey.touched
        return tuple(self.nodes[np.flatnonzero(dead)].tolist())

    @property
    def n_dead(self) -> int:
        """Number of dead edges."""
        return self.survey.n_moved - self.live_survey.n_moved

    @cached_property
    def apart(self) -> tuple[Index, BalanceProblem]:
        """The nodes of the parts apart, and the problem of these, which fits in memory: one node of each is pinned."""
        nodes = np.flatnonzero(self.parts.part > 0)
        matrix = matrix_of(self.parts.apart, nodes, self.exponent)
        held = np.isin(nodes, self.parts.held)
        return nodes, BalanceProblem.from_sparse(matrix, pinned=held, regularizer=self.exponent)

    @cached_property
    def balanced_apart(self) -> Array:
        """Log-scales that balance the parts apart; 0 for all other nodes."""
        log_scales = np.zeros(self.nodes.size)
        if self.parts.held.size:
            nodes, problem = self.apart
            log_scales[nodes] = solve(problem, "newton").log_scales
        return log_scales
