"""A point of the exact method for flows of very different sizes: sweeps over nested sets, then Newton in their basis."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array, Sparse
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.nested_sets import NestedSets
from balance_graph.points.point import SUFFICIENT, Mark
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.quotient import Quotient

# Sweeps at the start and after a long step, and the largest imbalance of a set that ends them early.
_FIRST, _BETWEEN, _NEAR = 40, 5, 0.3
# A step that changes the logarithm of some flow by more than this is a long one.
_LONG = 0.5


class NestedSetsPoint(RowsPoint):
    """A displacement of the unknowns, with the balance equations in the basis of nested sets.

    Directions are Newton's for the convex cost: the logarithms of the balance equations of sets are far from linear
    where much flows on either side of a border and little across. A long step goes all the way, and what it makes worse
    is taken back by sweeps, each of which lowers the cost.

    Parameters
    ----------
    quotient : Quotient
        One that suits: see `NestedSets.suits`.
    displacement : (size,) array, optional
        Default: zero.
    """

    def __init__(self, quotient: Quotient, displacement: Array | None = None) -> None:
        self._sets = NestedSets(quotient)
        self._of_unknowns = BalanceEquations(quotient.matrix)
        self._length = 0.0  # largest change of the logarithm of a flow in the last move
        super().__init__(quotient, displacement)

    def _basis_here(self) -> Sparse | None:
        return self._sets.basis(self.log_slopes)

    @property
    def largest(self) -> float:
        """Largest ``|F|`` of a set or an unknown; inf so far out that rounding leaves nothing of it."""
        of_sets = super().largest
        return max(of_sets, float(np.abs(self._of_unknowns.imbalance(self.log_slopes)).max(initial=0.0)))

    def prepare(self) -> None:
        """Sweep, which brings all flows near to balance."""
        self._sweep(_FIRST)
        super().settle()

    def settle(self) -> None:
        """Sweep after a long step, and write the balance equations in the basis of this place."""
        if self._length > _LONG:
            self._sweep(_BETWEEN)
        super().settle()

    def _sweep(self, most: int) -> None:
        self._place(self._sets.balanced(self.displacement, most, _NEAR))

    def direction(self, tol: float) -> Array | None:  # noqa: ARG002 - a factorization has one accuracy
        """Newton's direction for the cost, or None where the Hessian is singular."""
        return self.equations.cost_direction(self.log_slopes, self.ratio)

    def move(self, step: Array) -> None:
        """Go a step in the basis of the last settled place."""
        super().move(step)
        self._length = float(np.abs(self.ratio * self._along).max(initial=0.0))

    def accepts(self, before: Mark, length: float) -> bool:
        """Long steps as they are; of others, what comes as near as Newton's method does."""
        largest = self.largest
        if not np.isfinite(largest):
            return False
        is_near = largest <= max((1.0 - SUFFICIENT * length) * before.largest, self._length**2)
        return self._length > _LONG or is_near

    def own_step(self, before: Mark) -> bool:  # noqa: ARG002 - a point is asked with what was before
        """None: the direction is that of the convex cost already."""
        return False
