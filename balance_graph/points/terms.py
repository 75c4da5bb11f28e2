"""Flows of terms of any kind, by products with the sparse matrix A: nothing is factorized."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array
from balance_graph.points.flows import FlowsPoint
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.rows import rounding_of
from balance_graph.problem.cost_range import TWO_FACTORS
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import State


class TermFlows:
    """In- and out-flows of the unknowns of a quotient, and derivatives; see `points.flows`.

    The slope ``phi'`` of each row is its flow, whatever the row: so exponents may differ, and costs need not be powers.
    They are computed afresh from the log-scales at each move, in units of the largest.

    Parameters
    ----------
    quotient : Quotient
    displacement : (size,) array
    """

    # Flows are slopes, and curvatures are their derivatives: no factor p is left out.
    exponent = 1.0

    def __init__(self, quotient: Quotient, displacement: Array) -> None:
        self._quotient, self.size = quotient, quotient.size
        self.degree = np.ones(self.size + 1)
        self.into, self.out_of = np.zeros(self.size + 1), np.zeros(self.size + 1)
        positive = quotient.matrix.maximum(0.0)
        self._in = sparse.csr_array(positive.T)
        self._out = sparse.csr_array((positive - quotient.matrix).T)
        self._transposed = sparse.csr_array(quotient.matrix.T)
        self._place(displacement)

    def _place(self, displacement: Array) -> None:
        self.log_scales = displacement
        self.log_slopes, ratio = self._quotient.log_slopes(displacement)
        flows = np.exp(self.log_slopes - self.log_slopes.max(initial=-np.inf))
        self._rates, self._curvatures = ratio, flows * ratio
        self.into[:-1], self.out_of[:-1] = self._in @ flows, self._out @ flows

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost of all that is live."""
        return self._quotient.log_cost(self.log_scales)

    def longest(self, step: Array) -> float:
        """As long as no term changes by more than floats can tell apart."""
        change = float(np.abs(self._rates * (self._quotient.matrix @ step)).max(initial=0.0))
        return 1.0 if change <= TWO_FACTORS else TWO_FACTORS / change

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self._place(self.log_scales + step)

    @cached_property
    def _squares(self) -> sparse.csr_array:
        return self._transposed.multiply(self._transposed).tocsr()

    @cached_property
    def _most_in_a_row(self) -> int:
        return int(np.diff(self._quotient.matrix.indptr).max(initial=1))

    def sweep(self, most: int, enough: float) -> None:
        """Move all unknowns at once, by as much of what would balance each alone as surely lowers the cost.

        That is one over the number of unknowns in a row: a row sees the mean of the moves, and costs are convex.
        """
        for _ in range(most):
            imbalance = self.imbalance()
            if not np.log(enough) < np.abs(imbalance).max(initial=0.0) < np.inf:  # balanced, or flows that drown
                break
            slope = self.diagonal() / (np.sqrt(self.into[:-1]) * np.sqrt(self.out_of[:-1]))
            self._place(self.log_scales - imbalance / (np.maximum(slope, 1e-3) * self._most_in_a_row))

    def imbalance(self) -> Array:
        """``log in - log out`` of each unknown; not finite where its flows drown in others."""
        with np.errstate(divide="ignore", invalid="ignore"):
            difference: Array = np.log(self.into[:-1] / self.out_of[:-1])
        return difference

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost."""
        diagonal: Array = self._squares @ self._curvatures
        return diagonal

    def product(self, diagonal: Array, step: Array, out: Array) -> None:  # noqa: ARG002
        """Product with the Hessian of the cost, into `out`."""
        out[:] = self._transposed @ (self._curvatures * (self._quotient.matrix @ step))


class TermsPoint(FlowsPoint):
    """A point of any quotient, in passes over its rows.

    Parameters
    ----------
    quotient : Quotient
    """

    def __init__(self, quotient: Quotient) -> None:
        self._quotient = quotient
        flows = TermFlows(quotient, np.zeros(quotient.size))
        self._term_flows = flows
        super().__init__(flows, HessianSolver(flows, None), holds=bool(quotient.gauges.size))

    def answer(self, tol: float, reached: float) -> tuple[Array, State, bool]:
        """Log-scales of all nodes, their state, and whether it is as balanced as the flows said."""
        log_scales = self._quotient.expand(self.flows.log_scales)
        state = self._quotient.state(log_scales)
        rounding = rounding_of(self._term_flows.log_slopes)
        return log_scales, state, state.relative_imbalance <= max(2.0 * reached, rounding, tol if self._holds else 0.0)
