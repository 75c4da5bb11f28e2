"""Newton's method on the cost of blocks and terms, in as few passes over the weights as may be."""

from __future__ import annotations

from collections import deque

import numpy as np

from balance_graph._types import Array
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.block_hessian import BlockHessian
from balance_graph.points.flows import FlowsPoint
from balance_graph.points.point import Mark

# Secants are kept from so many steps; a step along them that leaves more than this share of the imbalance was not good.
_SECANTS, _GOOD = 8, 0.3


class BlocksPoint(FlowsPoint):
    """Log-scales of blocks and terms on the way to balance.

    A step costs one pass over the weights, whatever its direction; a product of conjugate gradients costs another. So
    directions come from the preconditioner and from what the last steps have shown of the Hessian (secants, as in
    L-BFGS) while those are good, and from conjugate gradients after one that was not.

    Parameters
    ----------
    flows : BlockFlows
    """

    def __init__(self, flows: BlockFlows) -> None:
        self._block_flows, self._block_hessian = flows, BlockHessian(flows)
        self._secants: deque[tuple[Array, Array]] = deque(maxlen=_SECANTS)
        self._before = flows.placed
        self._last, self._is_good, self._is_newton = np.inf, True, False
        super().__init__(flows, self._block_hessian)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done on the way."""
        return (f"inexact Newton: {self._block_flows.passes} passes over the weights, {self.hessian.name}",)

    def direction(self, tol: float) -> Array | None:
        """From secants if the last step was good, else Newton's direction."""
        largest = self.largest
        self._is_good, self._last = self._is_good and largest <= _GOOD * self._last, largest
        self._is_newton = not self._is_good
        if self._is_newton:
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
        direction, _ = self._block_hessian.here()(right)
        for (step, change), share in zip(self._secants, reversed(kept), strict=True):
            direction = direction + (share - float(change @ direction) / float(step @ change)) * step
        return direction

    def move(self, step: Array) -> None:
        """Go a step, on trial."""
        self._before = self._block_flows.placed
        super().move(step)

    def retreat(self) -> None:
        """Go back to before the last move, at no cost."""
        self._block_flows.back_to(self._before)
        self._imbalance, self._is_good = None, False

    def settle(self) -> None:
        """Keep what the step has shown of the Hessian."""
        before, now = self._before, self._block_flows.placed
        change = float(np.exp(before.log_unit - now.log_unit))
        difference = (now.into - now.out_of) - change * (before.into - before.out_of)
        self._secants = deque(((step, change * other) for step, other in self._secants), maxlen=_SECANTS)
        if np.isfinite(difference).all() and float(self._step @ difference) > 0.0:
            self._secants.append((self._step, difference))
        super().settle()

    def own_step(self, before: Mark) -> bool:
        """Newton's direction in the next iteration, where this one's came from secants; else local sweeps."""
        self._secants.clear()
        self._last, self._is_good = np.inf, self._is_newton
        return super().own_step(before) if self._is_newton else True
