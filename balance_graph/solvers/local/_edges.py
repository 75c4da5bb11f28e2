"""The edges of a quotient by their ends, where every row is one power of one edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import PowerRows
from balance_graph.solvers.local import _edge_kernels as kernels


class Entries(NamedTuple):
    """Edges among unknowns, at both their ends; see `_edge_kernels`."""

    start: Index
    neighbor: Index
    log_cost: Array


class GroundEdges(NamedTuple):
    """Edges with one end held: the other end, and the logarithm of the cost."""

    unknown: Index
    log_cost: Array


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges among unknowns, and between them and the ground, that is all that is held.

    Attributes
    ----------
    order : (size,) integer array
        The unknown of the quotient in each place; below, unknowns are numbered by their place.
    degree : (size,) array
        Degree of each unknown.
    exponent : float
    entries : Entries
        The edges among unknowns, with their costs at displacement zero.
    from_ground, to_ground : GroundEdges
    log_constant : float
        Logarithm of the cost of the live edges that nothing moves.
    """

    order: Index
    degree: Array
    exponent: float
    entries: Entries
    from_ground: GroundEdges
    to_ground: GroundEdges
    log_constant: float

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.degree.size

    @classmethod
    def of(cls, quotient: Quotient, *, by_color: bool = False) -> Edges | None:
        """The edges, unknowns in their order or color by color; None where the problem is not of this form."""
        ends = _ends(quotient)
        if ends is None:
            return None
        edges = cls._between(np.arange(quotient.size), *ends, quotient)
        if not by_color:
            return edges
        color = kernels.first_fit_colors(edges.entries.start[::4].copy(), edges.entries.neighbor)
        return cls._between(np.argsort(color, kind="stable"), *ends, quotient)

    @classmethod
    def _between(cls, order: Index, tail: Index, head: Index, degree: Array, quotient: Quotient) -> Edges:
        rows, n = quotient.rows, order.size
        assert isinstance(rows, PowerRows)
        place = np.append(np.argsort(order), n).astype(np.int32)
        tail, head, log_cost = place[tail], place[head], rows.log_costs(quotient.base)
        into, out_of = tail == n, head == n
        return cls(
            order=order,
            degree=degree[order],
            exponent=float(rows.exponent[0]),
            entries=Entries(*kernels.entries(tail, head, log_cost, n)),
            from_ground=GroundEdges(head[into], log_cost[into]),
            to_ground=GroundEdges(tail[out_of], log_cost[out_of]),
            log_constant=quotient.log_constant,
        )


def _ends(quotient: Quotient) -> tuple[Index, Index, Array] | None:
    """Tail and head of each row, `size` for the ground, and the degree of each unknown; None for other rows.

    Ratios between nodes and most self-loops show as other coefficients than those of edges; a self-loop that shows as
    the only degree of its node costs what an edge to the ground would.
    """
    rows, matrix = quotient.rows, quotient.matrix
    if not isinstance(rows, PowerRows) or rows.exponent.size == 0 or np.ptp(rows.exponent) > 0:
        return None
    tail, head, degree, are_edges = kernels.ends(matrix.indptr, matrix.indices, matrix.data, quotient.size)
    return (tail, head, degree) if are_edges else None
