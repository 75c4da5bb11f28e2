"""Which unknown of a large network each node belongs to, which edges that leaves, and the way back to nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.problem import network_kernels as kernels
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.cost_range import CostRange
from balance_graph.problem.log_domain import log_abs, log_sum
from balance_graph.problem.manifold import numbered
from balance_graph.problem.unsuited import Unsuited, UnsuitedError

_NONE = np.empty(0, dtype=np.intp)


class LeftOut(NamedTuple):
    """What is not among the edges that scales move.

    Attributes
    ----------
    still : integer array
        Live edges that no scale moves.
    dead : integer array
        Edges of nonzero weight whose cost tends to zero.
    gauges : integer array
        One node of every group that is held, or left out, though not pinned, and has live edges (a self-loop, say).
        Their common scales are arbitrary: no weight depends on them.
    """

    still: Index
    dead: Index
    gauges: Index


NOTHING_LEFT_OUT = LeftOut(_NONE, _NONE, _NONE)


@dataclass(frozen=True, eq=False)
class Numbering:
    """Which unknown each node of a problem belongs to, and which part of the network.

    Attributes
    ----------
    problem : BalanceProblem
    unknown : (n_nodes,) integer array
        `size` for the ground.
    size : int
        Number of unknowns.
    part : (n_nodes,) integer array, or None where all nodes are in one part
        Edges between parts are dead.
    held : integer array
        One node of every unknown that is held though it is not pinned.
    """

    problem: BalanceProblem
    unknown: Index
    size: int
    part: Index | None
    held: Index

    @classmethod
    def of(cls, problem: BalanceProblem) -> Numbering:
        """All unknowns.

        Raises
        ------
        UnsuitedError
            Where log-scales of nodes that move together are not equal.
        """
        manifold = problem.manifold
        if manifold.subspace is not None:
            raise UnsuitedError(Unsuited.SHARED)
        if np.any(manifold.ratio != 1.0):
            raise UnsuitedError(Unsuited.RATIOS)
        unknown = np.where(manifold.coordinate < 0, manifold.n_coordinates, manifold.coordinate).astype(np.uint32)
        return cls(problem, unknown, manifold.n_coordinates, None, _NONE)

    def holding(self, held: Index, drop: Mask, part: Index | None) -> Numbering:
        """The unknowns of some nodes held, others dropped: all of these become ground."""
        free = np.append(~drop, False)
        free[self.unknown[held]] = False  # those held before are ground already
        size = int(free.sum())
        number = numbered(free)
        number[~free] = size
        return replace(self, unknown=number.astype(np.uint32)[self.unknown], size=size, part=part, held=held)

    @cached_property
    def degree(self) -> Array:
        """Degree of each unknown, 1 for the ground.

        Raises
        ------
        UnsuitedError
            Where nodes of one unknown differ, or have edges among themselves that a scale moves.
        """
        manifold, unknown = self.problem.manifold, self.unknown
        degree = np.ones(self.size + 1)
        if np.all(manifold.degree[unknown < self.size] == 1.0):
            return degree
        degree[unknown] = manifold.degree
        degree[-1] = 1.0
        if np.any((degree[unknown] != manifold.degree) & (unknown < self.size)):
            raise UnsuitedError(Unsuited.DEGREES)
        within = (unknown[manifold.tail] == unknown[manifold.head]) & (unknown[manifold.tail] < self.size)
        if np.any(manifold.degree[manifold.tail[within]] != 1.0):
            raise UnsuitedError(Unsuited.SELF_LOOP)
        return degree

    @cached_property
    def ends(self) -> tuple[Index, Index]:
        """Tails and heads as unsigned numbers: of 32 bits unless there are very many, so that one set of loops does."""
        tail, head = self.problem.manifold.tail, self.problem.manifold.head
        if tail.size < 2**31:
            tail, head = tail.astype(np.int32, copy=False), head.astype(np.int32, copy=False)
        return tail.view(f"u{tail.itemsize}"), head.view(f"u{head.itemsize}")

    @property
    def exponent(self) -> float:
        """Exponent of the cost of every edge."""
        return float(self.problem.regularizer.p)  # type: ignore[attr-defined]

    @cached_property
    def edges(self) -> kernels.GivenEdges:
        """The edges as compiled loops read them."""
        weight, log_coefficient = self.problem.weight, self.problem.log_coefficient
        if weight.dtype not in (np.float32, np.float64):
            weight = weight.astype(np.float64)
        return kernels.GivenEdges(
            *self.ends,
            unknown=self.unknown,
            part=np.zeros(1, dtype=np.int32) if self.part is None else self.part,
            weight=np.ascontiguousarray(weight),
            log_coefficient=log_coefficient if log_coefficient.any() else np.empty(0),
            exponent=self.exponent,
        )

    @cached_property
    def cost_range(self) -> CostRange:
        """The range of the costs of the edges."""
        if self.edges.log_coefficient.size:
            return CostRange(*kernels.range_of_log_costs(self.edges))
        least, largest, _ = kernels.range_of_sizes(self.edges.weight)
        if largest == 0.0:
            return CostRange(math.inf, -math.inf)
        return CostRange(self.exponent * math.log(least), self.exponent * math.log(largest))

    def left_out(self, n_moved: int) -> LeftOut:
        """What is not among the edges that scales move, which are so many."""
        coordinate = self.problem.manifold.coordinate
        loose = (self.unknown == self.size) & (coordinate >= 0)
        if n_moved == self.problem.n_edges and not loose.any():
            return NOTHING_LEFT_OUT
        still, dead, touched = kernels.edges_left_out(self.edges)
        nodes = np.flatnonzero(loose & touched)
        return LeftOut(still, dead, nodes[np.unique(coordinate[nodes], return_index=True)[1]])

    def log_cost_of(self, edges: Index, log_scales: Array | None = None) -> float:
        """Logarithm of the cost of some edges, as given or at log-scales of all nodes."""
        problem, manifold = self.problem, self.problem.manifold
        log_weights = log_abs(problem.weight[edges])
        if log_scales is not None:
            tail = manifold.tail[edges]
            log_weights = log_weights + log_scales[manifold.head[edges]] - manifold.degree[tail] * log_scales[tail]
        return log_sum(self.exponent * log_weights + problem.log_coefficient[edges])

    def expand(self, values: Array) -> Array:
        """Log-scales of all nodes from those of the unknowns."""
        return np.append(values, 0.0)[self.unknown]

    def restrict(self, log_scales: Array) -> Array:
        """Log-scales of the unknowns from those of all nodes; in each part relative to the one that is held."""
        values = np.zeros(self.size + 1)
        values[self.unknown] = log_scales - self._held_scales(log_scales)
        return values[:-1]

    def _held_scales(self, log_scales: Array) -> Array | float:
        """Log-scale of the unknown that is held in the part of each node; 0 where that is pinned."""
        if self.held.size == 0:
            return 0.0
        part = np.zeros(log_scales.size, dtype=np.int32) if self.part is None else self.part
        shift = np.zeros(int(part.max()) + 1)
        shift[part[self.held]] = log_scales[self.held]
        return shift[part]
