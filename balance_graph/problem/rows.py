"""The cost of a network as rows, in the log domain.

A power ``a |w|**p`` is one row; a sum of powers is several rows on the same edge; a general convex function of the
log-weight is one row. For the log-gain L of its edge a row gives the logarithm of its cost, the logarithm of its slope
``phi'(L)`` and the ratio ``phi''(L) / phi'(L)``, which for a power is the exponent. Nothing else about a regularizer is
known downstream, and nothing is exponentiated here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array, Index


class LogCost(Protocol):
    """A cost as a function of the log-weight: what `FunctionRows` needs of a regularizer."""

    @property
    def is_expressible(self) -> bool:
        """Whether `convex` knows the cost."""

    @property
    def mirror(self) -> float | None:
        """Where the cost levels off: x with ``cost(y) - cost(x - y)`` linear in y, of slope `steepest`."""

    @property
    def steepest(self) -> float:
        """The limit of the slope, where there is a mirror."""

    def convex(self, cp: Any, x: Any) -> Any:
        """The cost as a convex expression of cvxpy, which is passed, in its expression x of the log-weight."""

    def log_value(self, log_weights: Array) -> Array:
        """Logarithm of the cost."""

    def log_slope(self, log_weights: Array) -> Array:
        """Logarithm of the slope."""

    def ratio(self, log_weights: Array) -> Array:
        """The curvature divided by the slope."""

    def check(self, log_weights: Array, where: str) -> None:
        """Refuse what is no convex and increasing function at the log-weights."""


@dataclass(frozen=True)
class PowerRows:
    """Rows ``exp(log_amplitude + exponent * L)``: one per power and edge."""

    edge: Index
    log_amplitude: Array
    exponent: Array

    def log_costs(self, log_gains: Array) -> Array:
        """Logarithm of each row's cost at the log-gain of its edge."""
        return self.log_amplitude + self.exponent * log_gains

    def log_slopes(self, log_gains: Array) -> tuple[Array, Array]:
        """Logarithm of each row's slope, and the ratio of curvature to slope."""
        return self.log_costs(log_gains) + np.log(self.exponent), self.exponent

    def check(self, log_gains: Array, where: str) -> None:
        """Powers hold everywhere."""

    def dual_gaps(self, log_gains: Array, change: Array, log_unit: float) -> Array:
        """Bound on ``phi(L) + phi*(y (1 + change)) - y (1 + change) L`` of each row, in units of exp(log_unit)."""
        # (y / p) h(u), and y / p is the row's cost.
        return np.exp(self.log_costs(log_gains) - log_unit) * entropy(change)

    def tempered(self, temperature: float) -> PowerRows:
        """The rows of weights and coefficients to a power: ``exp(temperature * log_amplitude + exponent * L)``."""
        return replace(self, log_amplitude=temperature * self.log_amplitude)

    def take(self, selection: NDArray[Any]) -> PowerRows:
        """The selected rows."""
        return PowerRows(self.edge[selection], self.log_amplitude[selection], self.exponent[selection])

    def renumbered(self, edge: Index) -> PowerRows:
        """The same rows on edges of other numbers."""
        return replace(self, edge=edge)


@dataclass(frozen=True)
class FunctionRows:
    """Rows ``exp(log_coefficient) * value(log_weight + L)`` of a function of the log-weight: one per edge."""

    edge: Index
    log_coefficient: Array
    log_weight: Array
    regularizer: LogCost

    def log_costs(self, log_gains: Array) -> Array:
        """Logarithm of each row's cost at the log-gain of its edge."""
        return self.log_coefficient + self.regularizer.log_value(self.log_weight + log_gains)

    def log_slopes(self, log_gains: Array) -> tuple[Array, Array]:
        """Logarithm of each row's slope, and the ratio of curvature to slope."""
        log_weights = self.log_weight + log_gains
        return self.log_coefficient + self.regularizer.log_slope(log_weights), self.regularizer.ratio(log_weights)

    def check(self, log_gains: Array, where: str) -> None:
        """Refuse a cost that is not convex and increasing at the log-gains."""
        self.regularizer.check(self.log_weight + log_gains, where)

    def dual_gaps(self, log_gains: Array, change: Array, log_unit: float) -> Array:
        """Bound on ``phi(L) + phi*(y (1 + change)) - y (1 + change) L`` of each row, in units of exp(log_unit)."""
        # The gap is the integral of L'(s) - L from the flow y to y (1 + u), with L' the inverse of the slope: at most
        # the change of flow times the distance to any log-gain whose slope lies beyond y (1 + u).
        log_slopes, ratio = self.log_slopes(log_gains)
        target = log_slopes + np.log1p(change)
        distance = np.log1p(change) / np.maximum(ratio, 1e-3)
        for tried in range(90):
            beyond, _ = self.log_slopes(log_gains + distance)
            short = np.where(change > 0, beyond < target, beyond > target) & (change != 0)
            if not short.any():
                return np.abs(change * distance) * np.exp(log_slopes - log_unit)
            further = (1.25 if tried < 40 else 2.0) * distance + np.copysign(1e-12, change)
            distance = np.where(short, further, distance)
        return np.full(change.size, np.inf)

    def tempered(self, temperature: float) -> FunctionRows:
        """The rows of weights and coefficients to a power."""
        return replace(
            self, log_coefficient=temperature * self.log_coefficient, log_weight=temperature * self.log_weight
        )

    def take(self, selection: NDArray[Any]) -> FunctionRows:
        """The selected rows."""
        return FunctionRows(
            self.edge[selection], self.log_coefficient[selection], self.log_weight[selection], self.regularizer
        )

    def renumbered(self, edge: Index) -> FunctionRows:
        """The same rows on edges of other numbers."""
        return replace(self, edge=edge)


Rows: TypeAlias = PowerRows | FunctionRows


def entropy(u: Array) -> Array:
    """``h(u) = (1 + u) log(1 + u) - u``, by its series where the difference would cancel."""
    series = u * u * (0.5 + u * (-1 / 6 + u * (1 / 12 + u * (-1 / 20 + u * (1 / 30 - u / 42)))))
    return np.where(np.abs(u) < 1e-2, series, (1.0 + u) * np.log1p(u) - u)
