"""One point on the way to balance, and the safe steps from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from balance_graph._types import Array
from balance_graph.points.clusters import cluster_basis, in_basis
from balance_graph.points.equations import BalanceEquations
from balance_graph.problem.reduction import Reduction
from balance_graph.problem.rows import PowerRows

# A step is taken when it lowers max|F| by this share of what its length promises.
_SUFFICIENT = 1e-4
# Shorter steps than this make slower progress than the convex Newton step does.
_SHORTEST = 1.0 / 256.0
# Rows whose slope levels off are given at least this ratio of curvature to slope in the convex model: their true
# curvature holds only nearby, and steps along it would be far too long.
_FLAT = 0.25
# Rounding of the logarithm of a cost, relative to its size or to 1.
_EPS = 8.0 * float(np.finfo(float).eps)


def rounding_of(log_slopes: Array) -> float:
    """What rounding leaves in F: a few units in the last place of the largest logarithm of a flow.

    At most 1e-3: flows of which hardly a digit is known cannot be called balanced.
    """
    finite = log_slopes[np.isfinite(log_slopes)]
    return min(4.0 * float(np.finfo(float).eps) * float(np.abs(finite).max(initial=1.0)), 1e-3)


@dataclass(frozen=True, eq=False)
class Iterate:
    """A displacement with its flows and the balance equations in a basis that suits them."""

    reduction: Reduction
    displacement: Array
    log_slopes: Array
    ratio: Array
    basis: Any
    equations: BalanceEquations
    imbalance: Array

    @classmethod
    def at(cls, reduction: Reduction, displacement: Array) -> Iterate:
        log_slopes, ratio = reduction.log_slopes(displacement)
        basis = cluster_basis(reduction.matrix, log_slopes)
        matrix = reduction.matrix
        if basis is not None:
            matrix = in_basis(matrix, basis)
        equations = BalanceEquations(matrix)
        return cls(reduction, displacement, log_slopes, ratio, basis, equations, equations.imbalance(log_slopes))

    @property
    def largest(self) -> float:
        """Largest ``|F|``."""
        return float(np.abs(self.imbalance).max(initial=0.0))

    @property
    def rounding(self) -> float:
        """What rounding leaves in F."""
        return rounding_of(self.log_slopes)

    def _moved(self, direction: Array) -> Array:
        return self.displacement + (direction if self.basis is None else self.basis @ direction)

    def newton_step(self) -> Iterate | None:
        """The state after a Newton step that lowers ``max|F|`` in this state's basis, or None.

        Where slopes level off (rows that are no powers), F also vanishes far out, where nothing is optimal; there a
        step must not raise the cost either.
        """
        direction = self.equations.newton_direction(self.log_slopes, self.ratio)
        length = 1.0
        while direction is not None and length >= _SHORTEST:
            moved = self._moved(length * direction)
            trial, _ = self.reduction.log_slopes(moved)
            lower = (
                np.abs(self.equations.imbalance(trial)).max(initial=0.0) <= (1 - _SUFFICIENT * length) * self.largest
            )
            if lower and (self._is_power or not self._raises_cost(moved)):
                return Iterate.at(self.reduction, moved)
            length *= 0.5
        return None

    def convex_step(self) -> Iterate | None:
        """The state after a step that lowers the convex cost, or None where it can no longer be told from noise."""
        ratio = self.ratio if self._is_power else np.maximum(self.ratio, _FLAT)
        direction = self.equations.convex_direction(self.log_slopes, ratio)
        if direction is None or np.abs(direction).max(initial=0.0) <= self.rounding:
            return None
        length = 1.0 if self._is_power else self._safe_length(direction)
        return None if length == 0.0 else Iterate.at(self.reduction, self._moved(length * direction))

    def _safe_length(self, direction: Array) -> float:
        """How far to go where the model holds only nearby: as far as doubling lowers the cost; 0 where nothing does."""
        length, log_cost = 1.0, self.reduction.log_cost(self._moved(direction))
        while self._raises_cost(self._moved(length * direction)):
            length *= 0.5
            if length < _SHORTEST:
                return 0.0
        while length >= 1.0 and (further := self.reduction.log_cost(self._moved(2.0 * length * direction))) < log_cost:
            length, log_cost = 2.0 * length, further
        return length

    def _raises_cost(self, displacement: Array) -> bool:
        """Whether the cost is higher there, by more than the rounding of its logarithm."""
        log_cost = self.reduction.log_cost(self.displacement)
        return self.reduction.log_cost(displacement) > log_cost + _EPS * max(1.0, abs(log_cost))

    @property
    def _is_power(self) -> bool:
        return isinstance(self.reduction.rows, PowerRows)
