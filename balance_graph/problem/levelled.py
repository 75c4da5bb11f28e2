"""The quotient where costs have levelled off, with what is left of their flows.

``log(1 + e^z) = z + log(1 + e^-z)``: beyond z = 0 such a cost is linear but for a term that falls as fast as the cost
rises before. Far out, flows in and out of an unknown are equal to all digits over a wide range of its scale, and what
decides the balance is what they lack of their limits. So rows beyond z = 0 are turned about: each is replaced by its
limit, a flow that nothing changes, and by the *deficit*, which flows the other way. Limits in and out cancel exactly,
most of them altogether. The equations that remain are the same, less what stands on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Mask, Sparse
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import FunctionRows

# Ratio of curvature to slope below which less is known of a row's flow than its limit says.
LEVEL = 1e-3
# Logarithm of a coefficient, from which on limits are counted in a unit of their own.
_LARGEST = 600.0
# What binary fractions that are taken as exact are multiples of; and what others are known to, relative to their size.
_SHORT, _ROUNDING = 2.0**-10, 1e-14


@dataclass(frozen=True, eq=False)
class Levelled(Quotient):
    """A quotient with some rows turned about; see the module's text.

    Attributes
    ----------
    as_given : Quotient
        With its rows as they are, around the same log-scales.
    is_turned : (n_rows,) boolean array
    """

    as_given: Quotient = field(kw_only=True)
    is_turned: Mask = field(kw_only=True)

    @classmethod
    def of(cls, quotient: Quotient, center: Array) -> Levelled | None:
        """Around log-scales of all nodes, with the rows beyond z = 0 there; None where none has levelled off."""
        if quotient.given.regularizer.mirror is None:  # asked first: large networks never need the rows
            return None
        here, rows = quotient.centered(center), quotient.rows
        assert isinstance(rows, FunctionRows)
        assert rows.regularizer.mirror is not None
        if not np.any(here.log_slopes(np.zeros(here.size))[1] < LEVEL):
            return None
        is_turned = here.base + rows.log_weight > 0.5 * rows.regularizer.mirror
        given = {one.name: getattr(here, one.name) for one in fields(here)}
        levelled = cls(**given, as_given=here, is_turned=is_turned)
        for name in ("attainment", "problem", "_moving"):
            if name in vars(here):
                vars(levelled)[name] = vars(here)[name]
        return levelled

    @cached_property
    def _rows(self) -> FunctionRows:
        rows = self.as_given.rows
        assert isinstance(rows, FunctionRows)
        return rows

    @cached_property
    def log_unit(self) -> float:
        """Logarithm of the unit of limits: 0, unless these come near the end of the range of floats."""
        return max(0.0, float(self._rows.log_coefficient.max(initial=0.0)) - _LARGEST)

    @cached_property
    def _limit(self) -> Array:
        """Of each row that is turned, the limit of its flow; 0 of others."""
        rows = self._rows
        sizes = np.exp(rows.log_coefficient - self.log_unit)
        return np.where(self.is_turned, rows.regularizer.steepest * sizes, 0.0)

    def limits(self, basis: Sparse | None = None) -> Array:
        """What limits add to the flow into each unknown, less what they take; exactly 0 where these are equal.

        In their unit, and in a basis of the unknowns, if one is given. Sums are rounded once: small limits count beside
        large ones that cancel.
        """
        matrix = self.as_given.matrix if basis is None else self.as_given.matrix @ basis
        parts = sparse.csc_array(sparse.diags_array(self._limit) @ matrix)
        parts.eliminate_zeros()
        # Limits of coefficients other than 1, and entries that are no short binary fractions, are known to rounding.
        is_rounded = (self._rows.log_coefficient[parts.indices] != 0.0) | (np.mod(parts.data, _SHORT) != 0.0)
        unsure = np.where(is_rounded, _ROUNDING * np.abs(parts.data), 0.0)
        left, error = (
            np.array([math.fsum(values[one:two]) for one, two in pairwise(parts.indptr.tolist())])
            for values in (parts.data, unsure)
        )
        return np.where(np.abs(left) <= error, 0.0, left)

    @cached_property
    def matrix(self) -> Sparse:
        """The matrix A of the rows, those that are turned negated."""
        sign = np.where(self.is_turned, -1.0, 1.0)
        return sparse.csr_array(sparse.diags_array(sign) @ self.as_given.matrix)

    def log_cost(self, displacement: Array) -> float:
        """Logarithm of the cost of the rows as they are."""
        return self.as_given.log_cost(displacement)

    def log_slopes(self, displacement: Array) -> tuple[Array, Array]:
        """Logarithm of each row's flow, or deficit, and its ratio of curvature to slope."""
        rows, mirror = self._rows, self._rows.regularizer.mirror
        assert mirror is not None
        log_weights = rows.log_weight + self.as_given.log_gains(displacement)
        at = np.where(self.is_turned, mirror - log_weights, log_weights)
        return rows.log_coefficient + rows.regularizer.log_slope(at), rows.regularizer.ratio(at)
