"""A point of the exact method: every row kept as a logarithm, directions by factorizations."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Sparse
from balance_graph.linear.factorization import is_affordable
from balance_graph.points.clusters import EVERY, Links, cluster_basis, in_basis
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.point import SUFFICIENT, Mark, step_along
from balance_graph.points.strongest_rows import strongest_shifts
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import PowerRows

# Rows whose slope levels off are given at least this ratio of curvature to slope in the convex model: their true
# curvature holds only nearby, and steps along it would be far too long.
_FLAT = 0.25
# Of the progress that a length promises, what is asked where the least ``max|F|`` need not be where the cost is least.
_FAIR = 0.1
# Where F and all changes of the logarithms of flows are this small, a step that lowers the cost as its slope promises
# may raise the largest of F: the next steps take that back.
_NEAR, _REACH = 1.0, 3.0
# Rounding in F from which on flows are not known at all.
_UNKNOWN = 1e-3
# Rounding of the logarithm of a cost, relative to its size or to 1.
_EPS = 8.0 * float(np.finfo(float).eps)


def rounding_of(log_slopes: Array) -> float:
    """What rounding leaves in F: a few units in the last place of the largest logarithm of a flow.

    At most 1e-3: flows of which hardly a digit is known cannot be called balanced.
    """
    return min(_rounding(log_slopes), _UNKNOWN)


def _rounding(log_slopes: Array) -> float:
    finite = log_slopes[np.isfinite(log_slopes)]
    return 4.0 * float(np.finfo(float).eps) * float(np.abs(finite).max(initial=1.0))


class RowsPoint:
    """A displacement of the unknowns, with its flows and the balance equations in a basis that suits them.

    Parameters
    ----------
    quotient : Quotient
    displacement : (size,) array, optional
        Default: zero.
    log_ratio : float
        Which clusters have shifts of their own: see `cluster_basis`.

    Attributes
    ----------
    displacement : (size,) array
    log_slopes, ratio : arrays
        Logarithm of each row's slope, and its ratio of curvature to slope.
    equations : BalanceEquations
        In the basis of the last settled place.
    imbalance : array
        F, in that basis.
    reach : float
        Largest change of the logarithm of a flow in Newton's direction at the end: 0 before. Where a balanced point has
        a long one, some unknown is not seen in the balance of any other, and its scale is not known.
    """

    # Shorter steps than this make slower progress than the convex Newton step does.
    shortest = 1.0 / 256.0

    def __init__(self, quotient: Quotient, displacement: Array | None = None, *, log_ratio: float = EVERY) -> None:
        self.quotient, self._log_ratio = quotient, log_ratio
        self._convex_steps, self.reach = 0, 0.0
        self._place(np.zeros(quotient.size) if displacement is None else displacement)
        self.settle()

    def _place(self, displacement: Array) -> None:
        self.displacement = displacement
        self._log_cost: float | None = None
        self.log_slopes, self.ratio = self.quotient.log_slopes(displacement)

    def settle(self) -> None:
        """Write the balance equations in the basis of the clusters at this place."""
        self._basis = self._basis_here()
        self.equations = BalanceEquations(self._in_basis(), self._is_affordable)
        self.imbalance = self.equations.imbalance(self.log_slopes)

    def _basis_here(self) -> Sparse | None:
        at = self._links
        if not (self._is_power or self._has_all_clusters):  # of powers, the answer is confirmed in such a basis
            shifts = strongest_shifts(self.quotient.matrix, self.log_slopes)
            if shifts is not None:
                return shifts
        return None if at is None else cluster_basis(at, self.log_slopes, self._log_ratio)

    @cached_property
    def _has_all_clusters(self) -> bool:
        """Whether every set can move as one: rows are links, whose ends move alike."""
        at = self._links
        return self.quotient.size < 2 or (at is not None and bool(np.all(np.isnan(at.gain) | (at.gain == 1.0))))

    def _in_basis(self) -> Sparse:
        matrix = self.quotient.matrix
        return matrix if self._basis is None else in_basis(matrix, self._basis)

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost of all live rows."""
        if self._log_cost is None:
            self._log_cost = self.quotient.log_cost(self.displacement)
        return self._log_cost

    @property
    def log_scales(self) -> Array:
        """Log-scales of all nodes."""
        return self.quotient.expand(self.displacement)

    @property
    def largest(self) -> float:
        """Largest ``|F|``; inf so far out that rounding leaves nothing of it."""
        if _rounding(self.log_slopes) >= _UNKNOWN:
            return np.inf
        return float(np.abs(self.imbalance).max(initial=0.0))

    @property
    def rounding(self) -> float:
        """What rounding leaves in F: of the logarithms of flows, and of the displacements that they come from."""
        # These may cancel, and their rounding does not; of further rows, no displacement moves any.
        moved = self.ratio[: self._sizes.shape[0]] * (self._sizes @ np.abs(self.displacement))
        return max(rounding_of(self.log_slopes), min(np.finfo(float).eps * float(moved.max(initial=0.0)), _UNKNOWN))

    @property
    def hidden_spread(self) -> float:
        """Where not all clusters have shifts of their own, the logarithm of the ratio of the largest flow to the least.

        0 where they have: no flow is hidden behind larger ones.
        """
        if self._has_all_clusters:
            return 0.0
        flows = self.log_slopes[np.isfinite(self.log_slopes)]
        return float(np.ptp(flows)) if flows.size else 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """How often the convex method had to help."""
        return (f"convex Newton steps: {self._convex_steps}",) if self._convex_steps else ()

    def prepare(self) -> None:
        """Nothing: factorizations take any start."""

    def goal(self, tol: float) -> float:
        """The tolerance itself."""
        return tol

    def direction(self, tol: float) -> Array | None:  # noqa: ARG002 - a factorization has one accuracy
        """Newton's direction for F = 0, or None where the Jacobian is singular."""
        return self.equations.newton_direction(self.log_slopes, self.ratio)

    def longest(self, direction: Array) -> float:  # noqa: ARG002 - nothing leaves the range of logarithms
        """All of it."""
        return 1.0

    def move(self, step: Array) -> None:
        """Go a step in the basis of the last settled place."""
        self._before = self.displacement, self.log_slopes, self.ratio, self.imbalance
        self._along = self.equations.matrix @ step
        self._place(self._displaced(step))
        self.imbalance = self.equations.imbalance(self.log_slopes)

    def retreat(self) -> None:
        """Go back to before the last move."""
        self.displacement, self.log_slopes, self.ratio, self.imbalance = self._before
        self._log_cost = None

    def accepts(self, before: Mark, length: float) -> bool:
        """Whether ``max|F|`` has come down by a share of what the length promises.

        Where slopes level off (rows that are no powers), F also vanishes far out, where nothing is optimal; and where
        rows are no edges, ``max|F|`` can have minima of its own. There a step must make fair progress, and not raise
        the cost either.
        """
        if not self._is_monotone:
            return self.largest <= (1.0 - _FAIR * length) * before.largest and not self._costs_more(before)
        return self.largest <= (1.0 - SUFFICIENT * length) * before.largest or self._costs_less(before)

    def own_step(self, before: Mark) -> bool:
        """A step that lowers the convex cost; False where it can no longer be told from noise."""
        self._convex_steps += 1
        ratio = self.ratio if self._is_power else np.maximum(self.ratio, _FLAT)
        direction = self.equations.convex_direction(self.log_slopes, ratio)
        if direction is None or np.abs(direction).max(initial=0.0) <= self.rounding:
            return False
        length = 1.0 if self._is_power else self._safe_length(direction, before)
        if length == 0.0:
            return False
        self.move(length * direction)
        self.settle()
        return True

    def _safe_length(self, direction: Array, before: Mark) -> float:
        """How far to go where the model holds only nearby: as far as doubling lowers the cost; 0 where nothing does."""
        length, log_cost = 1.0, self._log_cost_after(direction)
        while self._log_cost_after(length * direction) > before.log_cost + _EPS * max(1.0, abs(before.log_cost)):
            length *= 0.5
            if length < self.shortest:
                return 0.0
        while length >= 1.0 and (further := self._log_cost_after(2.0 * length * direction)) < log_cost:
            length, log_cost = 2.0 * length, further
        return length

    def _log_cost_after(self, step: Array) -> float:
        return self.quotient.log_cost(self._displaced(step))

    def _displaced(self, step: Array) -> Array:
        return self.displacement + (step if self._basis is None else self._basis @ step)

    def finish(self, tol: float) -> None:
        """Try one further Newton step, which costs little and mostly brings all digits."""
        direction = self.direction(tol)
        self.reach = np.inf
        if direction is not None:
            ratio = np.maximum(self.ratio, _FLAT)
            self.reach = float(np.abs(ratio * (self.equations.matrix @ direction)).max(initial=0.0))
        step_along(self, direction, Mark(self.largest, self.log_cost))

    def _costs_less(self, before: Mark) -> bool:
        """Whether the cost has come down by a fair share of what its slope promises, which is no noise."""
        if self.largest > _NEAR or np.abs(self._before[2] * self._along).max(initial=0.0) > _REACH:
            return False
        promised = float(np.exp(self._before[1] - before.log_cost) @ self._along)
        noise = _EPS * max(1.0, abs(before.log_cost))
        return _FAIR * promised < -noise and self.log_cost - before.log_cost < _FAIR * promised

    def _costs_more(self, before: Mark) -> bool:
        """Whether the cost is higher than before, by more than the rounding of its logarithm."""
        return self.log_cost > before.log_cost + _EPS * max(1.0, abs(before.log_cost))

    @cached_property
    def _is_affordable(self) -> bool:
        """Whether the equations can be factorized, by their pattern in the basis of single unknowns."""
        return is_affordable(self._pattern)

    @cached_property
    def _pattern(self) -> Sparse:
        """Which unknowns meet in some row."""
        return sparse.csr_array(self._sizes.T @ self._sizes)

    @cached_property
    def _sizes(self) -> Sparse:
        return abs(self.quotient.matrix)

    @cached_property
    def _links(self) -> Links | None:
        return Links.of(self.quotient.matrix)

    @cached_property
    def _is_monotone(self) -> bool:
        """Whether F is that of powers on edges: each row at most one + and one - entry."""
        matrix = self.quotient.matrix
        positive = np.bincount(np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.data > 0)
        negative = np.diff(matrix.indptr)[: positive.size] - positive
        return self._is_power and bool(max(positive.max(initial=0), negative.max(initial=0)) <= 1)

    @property
    def _is_power(self) -> bool:
        return isinstance(self.quotient.rows, PowerRows)
