"""Newton's method on a model's cost, in as few passes over its weights as may be."""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import sparse

from balance_graph._types import Array
from balance_graph.linear.conjugate_gradients import Precondition
from balance_graph.models.flows import ModelFlows
from balance_graph.models.scattered import ScatteredHessian
from balance_graph.points.flows import FlowsPoint
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.point import Mark

# From these numbers of blocks on, their common corrections would cost more than they save.
_MOST_BLOCKS = 2000
# Secants are kept from so many steps; a step along them that leaves more than this share of the imbalance was not good.
_SECANTS, _GOOD = 8, 0.3


class ModelHessian(HessianSolver):
    """Conjugate gradients preconditioned by blocks of rank one: each with the row and column sums of the true block.

    In a dense block of independent weights what is left of it is small: eigenvalues go with one over the square root
    of its width, times the size of the diagonal.

    Parameters
    ----------
    flows : ModelFlows
    """

    def __init__(self, flows: ModelFlows) -> None:
        super().__init__(flows, None)
        self._model_flows, self._scattered = flows, ScatteredHessian(flows.ends)

    @property
    def name(self) -> str:
        """What it is preconditioned by."""
        return "preconditioned by blocks of rank one"

    def here(self) -> Precondition:
        """The approximate inverse at the present flows."""
        return self._approximate_inverse(self._model_flows.diagonal(), 0.0)

    def _approximate_inverse(self, diagonal: Array, imbalance: float) -> Precondition:
        from scipy.linalg import lapack

        flows, plain = self._model_flows, super()._approximate_inverse(diagonal, imbalance)
        both = [k for k in range(len(flows.placed)) if flows.ends.moves_both(k)]
        if len(both) > _MOST_BLOCKS:
            return plain

        solve = self._scattered.inverse(flows.curvatures)
        if not both:
            return lambda residual: (solve @ residual, None)
        # With U the two ends of each block, M = D + U K U^T, and by Woodbury's identity
        # M^-1 = D^-1 - D^-1 U (K^-1 + U^T D^-1 U)^-1 U^T D^-1. K^-1 is the cost of a block, between its two ends.
        ends, totals = _ends_of_blocks(flows, both)
        solved = sparse.csr_array(solve @ ends)
        inner = (ends.T @ solved).toarray()
        number = np.arange(2 * len(both))
        inner[number, number ^ 1] += np.repeat(totals, 2)
        factors, pivots, failure = lapack.dgetrf(inner)
        if failure:
            return plain
        across = sparse.csr_array(ends.T)

        def corrected(residual: Array) -> tuple[Array, None]:
            first = solve @ residual
            return first - solved @ lapack.dgetrs(factors, pivots, across @ first)[0], None

        return corrected


def _ends_of_blocks(flows: ModelFlows, both: list[int]) -> tuple[sparse.csr_array, Array]:
    """For each block a column for its rows and one for its columns, the curvatures by scale; and their totals."""
    ends = flows.ends
    number, column, values = [], [], []
    for place, k in enumerate(both):
        for side, at in enumerate(ends.at[k]):
            number.append(np.arange(at.start, at.stop))
            column.append(np.full(at.stop - at.start, 2 * place + side))
            values.append(flows.curvatures[at])
    entries = np.concatenate(values), (np.concatenate(number), np.concatenate(column))
    spread = sparse.csr_array(sparse.coo_array(entries, shape=(ends.matrix.shape[0], 2 * len(both))))
    totals = np.array([flows.curvatures[ends.at[k][0]].sum() for k in both])
    return sparse.csr_array(ends.transposed @ spread), totals


class ModelPoint(FlowsPoint):
    """A model's log-scales on the way to balance.

    A step costs one pass over the weights, whatever its direction; a product of conjugate gradients costs another. So
    directions come from the preconditioner and from what the last steps have shown of the Hessian (secants, as in
    L-BFGS) while those are good, and from conjugate gradients after one that was not.

    Parameters
    ----------
    flows : ModelFlows
    """

    def __init__(self, flows: ModelFlows) -> None:
        self._model_flows = flows
        self._model_hessian = ModelHessian(flows)
        self._secants: deque[tuple[Array, Array]] = deque(maxlen=_SECANTS)
        self._before = flows.__dict__.copy()
        self._last, self._is_good = np.inf, True
        super().__init__(flows, self._model_hessian)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done on the way."""
        return (f"inexact Newton: {self._model_flows.passes} passes over the weights, {self.hessian.name}",)

    def direction(self, tol: float) -> Array | None:
        """From secants if the last step was good, else Newton's direction."""
        largest = self.largest
        self._is_good, self._last = self._is_good and largest <= _GOOD * self._last, largest
        if not self._is_good:
            self._is_good = True
            return super().direction(tol)
        if self._imbalance is None or not np.isfinite(largest):
            return None
        return self._along_secants(-self.hessian.weight * self._imbalance)

    def _along_secants(self, right: Array) -> Array:
        """The two loops of L-BFGS: Nocedal, Mathematics of Computation 35, 1980."""
        kept = []
        for step, change in reversed(self._secants):
            share = float(step @ right) / float(step @ change)
            right = right - share * change
            kept.append(share)
        direction, _ = self._model_hessian.here()(right)
        for (step, change), share in zip(self._secants, reversed(kept), strict=True):
            direction = direction + (share - float(change @ direction) / float(step @ change)) * step
        return direction

    def move(self, step: Array) -> None:
        """Go a step, on trial."""
        self._before = self._model_flows.__dict__.copy()
        super().move(step)

    def retreat(self) -> None:
        """Go back to before the last move, at no cost."""
        passes = self._model_flows.passes
        self._model_flows.__dict__.update(self._before)
        self._model_flows.passes = passes
        self._imbalance, self._is_good = None, False

    def settle(self) -> None:
        """Keep what the step has shown of the Hessian."""
        before, now = self._before, self._model_flows
        change = float(np.exp(before["log_unit"] - now.log_unit))
        difference = (now.into - now.out_of)[:-1] - change * (before["into"] - before["out_of"])[:-1]
        self._secants = deque(((step, change * other) for step, other in self._secants), maxlen=_SECANTS)
        if np.isfinite(difference).all() and float(self._step @ difference) > 0.0:
            self._secants.append((self._step, difference))
        super().settle()

    def own_step(self, before: Mark) -> bool:
        """Local sweeps, after which secants are of another place."""
        self._secants.clear()
        self._last, self._is_good = np.inf, True
        return super().own_step(before)
