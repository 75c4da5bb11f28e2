"""The flows of a dense matrix: products with it take the place of passes over edge lists."""

from __future__ import annotations

import numpy as np

from balance_graph._types import Array
from balance_graph.problem.cost_range import TWO_FACTORS


class DenseFlows:
    """In-costs, out-costs and derivatives of the network whose edge i -> j costs ``costs[i, j]``; see `points.flows`.

    The last node is held: it is the ground.

    Parameters
    ----------
    costs : (n, n) array
        Nonnegative, with a zero diagonal, and no zero row or column. Overwritten.
    exponent : float
    """

    def __init__(self, costs: Array, exponent: float) -> None:
        self.size, self.exponent, self.log_unit = costs.shape[0] - 1, exponent, 0.0
        self.degree = np.ones(self.size + 1)
        # One step of all nodes at once takes out most of what scales did to rows and columns.
        up = np.sqrt(costs.sum(axis=1) / costs.sum(axis=0))
        costs *= 1.0 / up[:, None]
        costs *= up
        self._costs = costs
        # Directions need few digits: in single precision their products take half the time.
        self._rough = costs.astype(np.float32)
        self._center = np.log(up[:-1] / up[-1]) / exponent
        self._place(np.ones(self.size + 1))

    def _place(self, up: Array) -> None:
        """Set the factors ``exp(p l)`` beyond the center, of the held node as well: only ratios count."""
        self._up, self._down = up / up[-1], up[-1] / up
        self.log_scales = self._center + np.log(self._up[:-1]) / self.exponent
        self.into, self.out_of = self._up * (self._down @ self._costs), self._down * (self._costs @ self._up)

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost."""
        return float(np.log(self.into.sum()))

    def longest(self, step: Array) -> float:
        """The longest multiple of a step, up to 1, that keeps the factors in range."""
        largest = float(np.abs(self.log_scales - self._center).max() + np.abs(step).max()) * self.exponent
        return min(1.0, TWO_FACTORS / max(largest, 1e-300))

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self._place(np.exp(self.exponent * np.append(self.log_scales - self._center + step, 0.0)))

    def sweep(self, most: int, enough: float) -> None:
        """Move all nodes at once, by half of what would balance each alone."""
        for _ in range(most):
            ratio = self.out_of / self.into
            if max(ratio.max(), 1.0 / ratio.min()) <= enough:
                break
            self._place(self._up * ratio**0.25)

    def balance_held(self) -> None:
        """Balance the held node alone, which is left with the sum of all errors: its neighbors share them."""
        up = self._up.copy()
        up[-1] *= np.sqrt(self.out_of[-1] / self.into[-1])
        self._place(up)

    def imbalance(self) -> Array:
        """``log in - log out`` of each unknown."""
        difference: Array = np.log(self.into[:-1] / self.out_of[:-1])
        return difference

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost over p^2."""
        total: Array = (self.into + self.out_of)[:-1]
        return total

    def product(self, diagonal: Array, step: Array, out: Array) -> None:
        """Product with the Hessian of the cost over p^2, to single precision, into `out`."""
        padded = np.append(step, 0.0)
        from_tails = self._up * ((self._down * padded).astype(np.float32) @ self._rough)
        from_heads = self._down * (self._rough @ (self._up * padded).astype(np.float32))
        np.subtract(diagonal * step, (from_tails + from_heads)[:-1], out=out)
