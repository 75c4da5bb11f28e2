"""What the architecture alone says of the live part of a large network: all but the costs of its edges.

It depends on the weights only through which of them are zero. So it is found once and kept with the manifold, where
problems that differ in their weights alone find it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.manifold import numbered
from balance_graph.problem.numbering import LeftOut, Numbering


class Places(NamedTuple):
    """An edge list without its values: the edges of row i are ``start[i] : start[i + 1]``."""

    start: Index
    column: Index


@dataclass(frozen=True, eq=False)
class LivePattern:
    """Unknowns, edges and distances of a live network.

    Attributes
    ----------
    active : (n_edges,) boolean array or None
        Edges of nonzero weight; None where all are.
    unknown, size, part, held
        See `Numbering`.
    degree : (size + 1,) array
        Degree of each unknown, 1 for the ground.
    outward, inward : Places
        Edges by tail and by head.
    from_ground, to_ground : (size + 1,) integer arrays
        Distances along and against the edges, -1 where there is no way.
    order_along, order_against : integer arrays
        Orders of visits from the ground, see `visits`.
    left_out : LeftOut
        What is not among the edges.
    kept : dict
        What methods have found about the pattern.
    """

    active: Mask | None
    unknown: Index
    size: int
    part: Index | None
    held: Index
    degree: Array
    outward: Places
    inward: Places
    from_ground: Index
    to_ground: Index
    order_along: Index
    order_against: Index
    left_out: LeftOut
    kept: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def kept_with(cls, problem: BalanceProblem) -> LivePattern | None:
        """The pattern kept with the architecture of a problem, if the same weights were zero."""
        pattern: LivePattern | None = problem.manifold.kept.get(cls)
        return pattern if pattern is not None and pattern.fits(problem) else None

    def fits(self, problem: BalanceProblem) -> bool:
        """Whether the weights of a problem of the same architecture are zero where they were."""
        if self.active is None:
            return bool(np.all(problem.weight))
        return np.array_equal(self.active, problem.active)

    def keep_with(self, problem: BalanceProblem) -> None:
        """Keep the pattern with the architecture of a problem, in the place of an earlier one."""
        problem.manifold.kept[LivePattern] = self

    def numbering_of(self, problem: BalanceProblem) -> Numbering:
        """The numbering of a problem that has this pattern."""
        numbering = Numbering(problem, self.unknown, self.size, self.part, self.held)
        vars(numbering)["degree"] = self.degree
        return numbering

    def without(self, drop: Mask, numbering: Numbering, outward: Places, inward: Places) -> LivePattern:
        """The pattern without some unknowns, with the shorter lists."""
        keep = ~drop
        number = numbered(keep)
        along, against = (number[order] for order in (self.order_along, self.order_against))
        return replace(
            self,
            unknown=numbering.unknown,
            size=numbering.size,
            part=numbering.part,
            held=numbering.held,
            degree=self.degree[keep],
            outward=outward,
            inward=inward,
            from_ground=self.from_ground[keep],
            to_ground=self.to_ground[keep],
            order_along=along[along >= 0],
            order_against=against[against >= 0],
        )
