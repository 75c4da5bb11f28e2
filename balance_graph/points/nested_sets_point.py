"""A point for flows of very different sizes: sweeps over nested sets, then Newton's method in their basis."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from balance_graph._types import Array, Sparse
from balance_graph.linear.factorization import is_affordable
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.nested_sets import NestedSets
from balance_graph.points.point import SUFFICIENT, Mark
from balance_graph.points.rows import RowsPoint
from balance_graph.points.strongest_rows import StrongestRows
from balance_graph.problem.quotient import Quotient

# Sweeps at the start and after a long step, and the largest imbalance of a set that ends them early.
_FIRST, _BETWEEN, _NEAR = 40, 5, 0.3
# A step that changes the logarithm of some flow by more than this is a long one.
_LONG = 0.5
# Multiplications per link up to which a factorization costs less than conjugate gradients.
_CHEAP = 200.0
# Of the gradient, what a direction may leave: less the nearer the end, down to what brings no further digits.
_SHARE, _LEAST_SHARE = 1e-2, 1e-6
# Conjugate gradient steps for one direction; factorizations take over where they do not suffice, or where the diagonal
# of the Hessian leaves the range of floats.
_MOST_STEPS, _LEAST_UNIT = 1000, 1e-300


class NestedSetsPoint(RowsPoint):
    """A displacement of the unknowns, with the balance equations in the basis of nested sets.

    Directions are Newton's for the convex cost: the logarithms of the balance equations of sets are far from linear
    where much flows on either side of a border and little across. A long step goes all the way, and what it makes worse
    is taken back by sweeps, each of which lowers the cost.

    Parameters
    ----------
    quotient : Quotient
        One that `suits`.
    displacement : (size,) array, optional
        Default: zero.
    """

    def __init__(self, quotient: Quotient, displacement: Array | None = None) -> None:
        self._sets = NestedSets(quotient) if NestedSets.suits(quotient) else StrongestRows(quotient)
        self._of_unknowns = BalanceEquations(quotient.matrix)
        self._krylov_steps = 0
        self._length = 0.0  # largest change of the logarithm of a flow in the last move
        super().__init__(quotient, displacement)

    @staticmethod
    def suits(quotient: Quotient) -> bool:
        """Whether sets are known, or their like for rows that are no links."""
        return NestedSets.suits(quotient) or StrongestRows.suits(quotient)

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

    def direction(self, tol: float) -> Array | None:  # noqa: ARG002 - as accurate as pays here
        """Newton's direction for the cost, or None where the Hessian is singular."""
        found = None if self._is_cheap else self._inexact_direction()
        return self.equations.cost_direction(self.log_slopes, self.ratio) if found is None else found

    @cached_property
    def _is_cheap(self) -> bool:
        """Whether a factorization costs no more than conjugate gradients do."""
        return not self._sets.are_many or is_affordable(self._pattern, _CHEAP * self.ratio.size)

    def _inexact_direction(self) -> Array | None:
        """The direction by conjugate gradients, where they get there.

        In the basis of nested sets the diagonal is as good a preconditioner for any range of flows: about a hundred
        steps are the rule.
        """
        from balance_graph.linear.conjugate_gradients import conjugate_gradients  # compiled loops: slow to load

        root, log_diagonal, gradient = self.equations.hessian_root(self.log_slopes, self.ratio)
        unit = np.exp(0.5 * (log_diagonal - log_diagonal.max()))
        if not unit.min() > _LEAST_UNIT:
            return None
        transposed = root.T.tocsr()
        size = float(np.abs(gradient).max(initial=0.0))
        goal = size * min(max(size, _LEAST_SHARE), _SHARE)
        solution, steps, left = conjugate_gradients(
            lambda step, out: np.copyto(out, transposed @ (root @ step)),
            -unit * gradient,
            lambda residual: (residual, None),
            weight=unit,
            tol=goal,
            max_steps=_MOST_STEPS,
        )
        self._krylov_steps += steps
        return solution / unit if left <= goal else None

    @property
    def basis_name(self) -> str:
        """What the basis consists of."""
        return self._sets.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done."""
        return (f"balancing of {self.basis_name}: {self._sets.sweeps} sweeps, {self._krylov_steps} Krylov steps",)

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
