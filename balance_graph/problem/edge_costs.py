"""What the edges of a problem cost, and their flows, at log-scales: shared parameters count once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.problem.cost_range import LEAST, MOST, are_in_range
from balance_graph.problem.log_domain import log_abs, log_sum, log_sum_by
from balance_graph.problem.manifold import Manifold, first_of_label
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.rows import Rows

# Edges looked at together: few enough for the nearest memory.
_TOGETHER = 1 << 14


@dataclass(frozen=True, eq=False)
class EdgeCosts:
    """The costs of edges, which scales move along a manifold.

    Attributes
    ----------
    manifold : Manifold
    weight, log_coefficient : (n_edges,) arrays
    regularizer : Regularizer
    exponent : (n_edges,) array or None
        Exponents of edges that have their own (NaN elsewhere).
    """

    manifold: Manifold
    weight: Array
    log_coefficient: Array
    regularizer: Regularizer
    exponent: Array | None

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return self.manifold.n_edges

    @cached_property
    def log_weight(self) -> Array:
        """``log|w|`` of each edge, ``-inf`` for a zero weight."""
        return log_abs(self.weight)

    @cached_property
    def _shares(self) -> tuple[Index, Array] | None:
        """First edge of each edge's parameter, and log of the number of edges that share it."""
        shared = self.manifold.shared
        if shared is None or not np.any(shared >= 0):
            return None
        first = first_of_label(shared)
        return first, np.log(np.bincount(first, minlength=self.n_edges)[first])

    @cached_property
    def _checked_regularizer(self) -> Regularizer:
        """The regularizer, once it is known to hold at the weights."""
        if self.regularizer.has_checks:
            self.regularizer.check(self.log_weight[self.weight != 0], "the weight of an edge")
        return self.regularizer

    @cached_property
    def rows(self) -> Rows:
        """The cost as rows, a shared parameter once."""
        rows = self._checked_regularizer.rows(self.log_weight, self.log_coefficient, self.exponent)
        if self._shares is None:
            return rows
        return rows.take(self._shares[0][rows.edge] == rows.edge)

    def log_cost(self, log_scales: Array) -> float:
        """Logarithm of the sum; ``-inf`` without weights."""
        if self._shares is not None:
            return log_sum(self.rows.log_costs(self._log_gains_of_rows(log_scales)))
        return log_sum(np.array([self._log_cost_of(part, log_scales) for part in self._parts()]))

    def _log_cost_of(self, part: slice, log_scales: Array) -> float:
        exponent = None if self.exponent is None else self.exponent[part]
        rows = self._checked_regularizer.rows(log_abs(self.weight[part]), self.log_coefficient[part], exponent)
        return log_sum(rows.log_costs(self.manifold.log_gains(log_scales, part)[rows.edge]))

    def _parts(self) -> Iterator[slice]:
        """Edges of which costs are computed at a time, where no more than their sum is wanted."""
        return (slice(first, first + _TOGETHER) for first in range(0, self.n_edges, _TOGETHER))

    @cached_property
    def as_given(self) -> tuple[Array, Array] | None:
        """Cost and slope of every edge at log-scales zero, from the weights themselves; shared ones split equally.

        None near the ends of the range of floats, where only logarithms are safe.
        """
        weight = self.weight.astype(np.float64)
        with np.errstate(over="ignore"):
            parts = self.regularizer.linear(weight, np.exp(self.log_coefficient), self.exponent)
        if parts is None or not all(are_in_range(part, weight != 0.0) for part in parts):
            return None
        count = 1.0 if self._shares is None else np.round(np.exp(self._shares[1]))
        return parts[0] / count, parts[1] / count

    def total_as_given(self) -> float | None:
        """The cost at log-scales zero from the weights themselves; None where only logarithms are safe."""
        if self._shares is not None or self.exponent is not None:
            return None if self.as_given is None else float(self.as_given[0].sum())
        total = 0.0
        for part in self._parts():
            weight = self.weight[part].astype(np.float64)
            log_coefficient = self.log_coefficient[part]
            with np.errstate(over="ignore"):
                coefficient = np.exp(log_coefficient) if log_coefficient.any() else 1.0
            costs = self.regularizer.linear(weight, coefficient, None)
            if costs is None:
                return None
            with np.errstate(over="ignore"):
                total += float(costs[0].sum())
        # Costs too small for floats are lost in a sum that is far from their end.
        return total if LEAST <= total <= MOST else None

    def log_flows(self, log_scales: Array) -> Array:
        """Logarithm of ``y_e = phi'_e(L_e)`` of every edge; edges that share a parameter split its flow equally."""
        return self._split(self.rows.log_slopes(self._log_gains_of_rows(log_scales))[0])

    def log_costs(self, log_scales: Array) -> Array:
        """Logarithm of the cost of every edge; edges that share a parameter split its cost equally."""
        return self._split(self.rows.log_costs(self._log_gains_of_rows(log_scales)))

    def _log_gains_of_rows(self, log_scales: Array) -> Array:
        return self.manifold.log_gains(log_scales)[self.rows.edge]

    def _split(self, of_rows: Array) -> Array:
        """Logarithms of rows, added up by edge; a shared parameter's (at its first edge) in equal parts to all."""
        logarithms = log_sum_by(self.rows.edge, of_rows, self.n_edges)
        if self._shares is None:
            return logarithms
        first, log_count = self._shares
        return logarithms[first] - log_count
