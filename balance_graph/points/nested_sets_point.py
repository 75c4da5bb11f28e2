"""A point for flows of very different sizes: sweeps over nested sets, then Newton's method in their basis."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from balance_graph._time_limit import Deadline
from balance_graph._types import Array, Sparse
from balance_graph.linear.factorization import Solve, is_affordable
from balance_graph.linear.strong_rows import factorize_rows, strong_rows
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.nested_sets import NestedSets
from balance_graph.points.point import SUFFICIENT, Mark
from balance_graph.points.rows import RowsPoint
from balance_graph.points.strongest_rows import StrongestRows
from balance_graph.problem.quotient import Quotient

# Sweeps at the start, where sets are few and where they are many, and after a long step, and the largest imbalance of a
# set that ends them early. Many are solved in less time the earlier steps begin.
_FIRST, _FIRST_OF_MANY, _BETWEEN, _NEAR = 40, 12, 5, 0.3
# A step that changes the logarithm of some flow by more than this is a long one. Shorter ones leave the order of flows
# nearly as it is, so that the basis stays.
_LONG = 0.5
# Largest imbalance of a set from which on steps are made for the logarithms of the balance equations.
_FAR = 1.0
# Largest change of the logarithm of a flow in a step for the cost: its model holds for about 1, sweeps mend the rest.
_FURTHEST = 50.0
# How many times the range of the logarithms of flows such a step may change one of them.
_RANGES = 2.0
# Steps of that kind in a row that may bring no headway before one for the cost.
_PATIENCE = 3
# Multiplications per unknown that a factorization of strong rows is worth, by an upper estimate.
_CHEAP = 2e5
# Of the gradient, what a direction may leave: less the nearer the end, down to what brings no further digits.
_SHARE, _LEAST_SHARE = 1e-2, 1e-6
# What may always be left, as a share of the tolerance.
_ENOUGH = 0.03
# Conjugate gradient steps for one direction, without a factorization of strong rows and in all; exact factorizations
# take over where they do not suffice, or where the diagonal of the Hessian leaves the range of floats.
_FEW_STEPS, _MOST_STEPS, _LEAST_UNIT = 60, 1000, 1e-300


class NestedSetsPoint(RowsPoint):
    """A displacement of the unknowns, with the balance equations in the basis of nested sets.

    Directions are Newton's for the convex cost: near balance, the logarithms of the balance equations of sets are far
    from linear where much flows on either side of a border and little across. Far from balance, where the cost allows
    steps of a factor e alone, these logarithms lead there sooner, if roughly. A long step goes all the way, and what it
    makes worse is taken back by sweeps, each of which lowers the cost.

    Parameters
    ----------
    quotient : Quotient
        One that `suits`.
    displacement : (size,) array, optional
        Default: zero.
    deadline : Deadline, optional
        Sweeps and directions end early when it is past.
    """

    def __init__(
        self, quotient: Quotient, displacement: Array | None = None, *, deadline: Deadline | None = None
    ) -> None:
        self._sets = NestedSets(quotient) if NestedSets.suits(quotient) else StrongestRows(quotient)
        self._deadline = Deadline() if deadline is None else deadline
        self._of_unknowns = BalanceEquations(quotient.matrix)
        self._krylov_steps, self._few = 0, _FEW_STEPS
        self._strong: Solve | None = None
        self._in_vain, self._least_far = 0, np.inf
        self._length = 0.0  # largest change of the logarithm of a flow in the last move
        self._is_settled = False
        super().__init__(quotient, displacement)

    @staticmethod
    def suits(quotient: Quotient) -> bool:
        """Whether sets are known, or their like for rows that are no links."""
        return NestedSets.suits(quotient) or StrongestRows.suits(quotient)

    @staticmethod
    def has_many_sets(quotient: Quotient) -> bool:
        """Whether sets are known, and there are many of them."""
        return NestedSets.suits(quotient) and NestedSets.are_many_of(quotient)

    def _basis_here(self) -> Sparse | None:
        return self._sets.basis(self.log_slopes)

    @property
    def largest(self) -> float:
        """Largest ``|F|`` of a set or an unknown; inf so far out that rounding leaves nothing of it."""
        of_sets = super().largest
        return max(of_sets, float(np.abs(self._of_unknowns.imbalance(self.log_slopes)).max(initial=0.0)))

    def prepare(self) -> None:
        """Sweep, which brings all flows near to balance."""
        self._sweep(_FIRST_OF_MANY if self._sets.are_many else _FIRST)
        self._is_settled = False
        self.settle()

    def settle(self) -> None:
        """After a long step, sweep, and write the balance equations in the basis of this place."""
        is_long = self._length > _LONG
        if is_long:
            self._sweep(_BETWEEN)
        if is_long or not self._is_settled:
            super().settle()
            self._is_settled, self._strong = True, None
        if self.largest < self._least_far:
            self._least_far, self._in_vain = self.largest, 0

    def _sweep(self, most: int) -> None:
        self._place(self._sets.balanced(self.displacement, most, _NEAR, self._deadline))

    def direction(self, tol: float) -> Array | None:
        """Newton's direction for the cost, or None where the Hessian is singular or time is up."""
        if self._sets.are_many:
            for way in (self._far_direction, self._inexact_direction, self._refined_direction):
                with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range of floats is no direction
                    found = way(tol)
                if found is not None or self._deadline.is_past:
                    return found
        return self.equations.cost_direction(self.log_slopes, self.ratio)

    @property
    def _is_far(self) -> bool:
        """Whether balance is far off, and the logarithms of the balance equations may lead there, at little cost."""
        return self.largest > _FAR and self._in_vain < _PATIENCE and self._is_cheap

    def _far_direction(self, tol: float) -> Array | None:  # noqa: ARG002 - far from all tolerances
        """Newton's direction for the logarithms of the balance equations of sets, roughly.

        A set whose in-flow is far from its out-flow is balanced in one such step, where the cost allows steps of about
        1. What the step makes worse elsewhere is taken back by sweeps. None where it would lead far out of the range
        that flows have here: what was left out was not little then; and none where it would not do.
        """
        if not self._is_far:
            return None
        self._in_vain += 1
        direction = self.equations.rough_direction(self.log_slopes, self.ratio)
        if direction is None:
            return None
        change = float(np.abs(self.ratio * (self.equations.matrix @ direction)).max(initial=0.0))
        return direction if change <= _RANGES * float(np.ptp(self.log_slopes)) else None

    @cached_property
    def _is_cheap(self) -> bool:
        """Whether the network itself has a cheap factorization."""
        return is_affordable(self._pattern, _CHEAP * self.ratio.size)

    def _inexact_direction(self, tol: float) -> Array | None:
        """The direction by conjugate gradients, where they get there.

        In the basis of nested sets the diagonal is as good a preconditioner for any range of flows: some tens of steps
        are the rule. Where they do not suffice, few rows make up the Hessian nearly, and a factorization of these helps
        if it is cheap.
        """
        self._in_vain = 0
        root, log_diagonal, gradient = self.equations.hessian_root(self.log_slopes, self.ratio)
        unit = np.exp(0.5 * (log_diagonal - log_diagonal.max()))
        if not unit.min() > _LEAST_UNIT:
            return None
        size = float(np.abs(gradient).max(initial=0.0))
        goal = _goal(size, tol)
        left, solution = -unit * gradient, np.zeros_like(gradient)
        for solve, most in self._preconditioners(root):
            further, largest = self._gradients(root, left, unit, goal, solve, most)
            solution += further
            if largest <= goal or self._deadline.is_past:
                break
        # Components far below all others count nothing in the products by which steps are chosen, and may be wrong.
        left = root.T @ (root @ solution) + unit * gradient
        if largest > goal or not np.abs(left / unit).max(initial=0.0) <= max(_SHARE * size, 2.0 * goal):
            return None
        return self._limited(solution / unit)

    def _refined_direction(self, tol: float) -> Array | None:
        """The direction by a factorization of the large entries of the Hessian, where that is cheap."""
        if not self._is_cheap:
            return None
        found = self.equations.refined_direction(self.log_slopes, self.ratio, lambda size: _goal(size, tol))
        return None if found is None else self._limited(found)

    def _limited(self, direction: Array) -> Array | None:
        """As much of a direction as its model may hold for; None beyond the range of floats."""
        change = float(np.abs(self.ratio * (self.equations.matrix @ direction)).max(initial=0.0))
        return direction * (_FURTHEST / max(change, _FURTHEST)) if np.isfinite(change) else None

    def _preconditioners(self, root: Sparse) -> Iterator[tuple[Solve | None, int]]:
        """What to precondition with, None for the diagonal, and for how many steps: the least costly first."""
        if self._strong is not None:
            yield self._strong, _FEW_STEPS
        elif self._few:
            yield None, self._few
        self._strong = self._factors(root)
        yield self._strong, _MOST_STEPS

    def _factors(self, root: Sparse) -> Solve | None:
        """Approximate solves by a factorization of strong rows, where it is cheap: for expanders it is not."""
        rows = strong_rows(root)
        strong = self._sizes[rows]
        is_cheap = is_affordable(strong.T @ strong, _CHEAP * root.shape[0])
        self._few = 0 if is_cheap else _MOST_STEPS
        return factorize_rows(root, rows) if is_cheap else None

    def _gradients(
        self, root: Sparse, left: Array, unit: Array, goal: float, solve: Solve | None, most: int
    ) -> tuple[Array, float]:
        """Solution for what is left, which is overwritten by what is left then, and the largest of that."""
        from balance_graph.linear.conjugate_gradients import conjugate_gradients  # compiled loops: slow to load

        transposed = root.T.tocsr()
        solution, steps, largest = conjugate_gradients(
            lambda step, out: np.copyto(out, transposed @ (root @ step)),
            left,
            lambda residual: (residual if solve is None else solve(residual), None),
            weight=unit,
            tol=goal,
            max_steps=most,
            patience=lambda _: self._deadline.is_past,
        )
        self._krylov_steps += steps
        return solution, largest

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


def _goal(size: float, tol: float) -> float:
    """What a direction may leave of a gradient of some size."""
    return min(max(size * max(size, _LEAST_SHARE), _ENOUGH * tol), _SHARE * size)
