"""The flows of a large network with one exponent: passes over the edges that need no exponential.

With edge costs ``a_e`` at a reference point and factors ``up = exp(p l)``, ``down = exp(-p c l)`` per node, the cost of
edge j -> i is ``a_e up_i down_j``, so in-costs, out-costs, and products with the Jacobian of the balance equations are
each one pass over the edges by head and one by tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.reduction import Reduction
from balance_graph.rows import PowerRows

# Node factors beyond e^this are folded back into the edge weights before they can overflow.
_RANGE = 200.0


@dataclass(frozen=True, eq=False)
class _Incidence:
    """Edges of the reduced problem: unknowns 0 .. n-1, ground n; logarithms of the edge costs at the center."""

    tail: Index
    head: Index
    log_value: Array
    degree: Array
    exponent: float

    @classmethod
    def of(cls, reduction: Reduction) -> _Incidence | None:
        """The edges, or None where rows are not single edges of one exponent between unknowns of ratio 1."""
        rows, matrix = reduction.rows, reduction.matrix
        if not isinstance(rows, PowerRows) or np.ptp(rows.exponent) > 0 or np.any(np.diff(matrix.indptr) > 2):
            return None
        n = reduction.size
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        positive = matrix.data > 0
        head, tail = np.full(matrix.shape[0], n), np.full(matrix.shape[0], n)
        head[row[positive]] = matrix.indices[positive]
        tail[row[~positive]] = matrix.indices[~positive]
        degree = np.ones(n + 1)
        degree[tail[row[~positive]]] = -matrix.data[~positive]
        # Self-loops of degree other than 1, and nodes in ratios, show as other numbers.
        regular = np.all(matrix.data[positive] == 1.0) and np.all(
            matrix.data[~positive] == -degree[tail[row[~positive]]]
        )
        both_ends = np.bincount(head, minlength=n + 1)[:n].all() and np.bincount(tail, minlength=n + 1)[:n].all()
        log_value = rows.log_costs(reduction.base)
        in_range = np.all(degree == 1.0) or np.abs(log_value).max(initial=0.0) < _RANGE
        if not (regular and both_ends and in_range):
            return None
        return cls(tail, head, log_value, degree, float(rows.exponent[0]))


class Flows:
    """In-costs, out-costs and derivatives of a large reduced problem, at a moving point.

    Attributes
    ----------
    size : int
        Number of unknowns.
    log_scales : (size,) array
        Displacement of the unknowns at the present point.
    """

    def __init__(self, edges: _Incidence) -> None:
        from balance_graph import _flow_kernels as kernels

        self._kernels = kernels
        self.size = edges.degree.size - 1
        self.degree, self.exponent = edges.degree, edges.exponent
        out_start, by_tail = kernels.group_by(edges.tail, self.size + 1)
        in_start, by_head = kernels.group_by(edges.head, self.size + 1)
        self._out = (out_start, edges.head[by_tail].astype(np.int32))
        self._in = (in_start, edges.tail[by_head].astype(np.int32))
        self._log_by_tail, self._log_by_head = edges.log_value[by_tail], edges.log_value[by_head]
        self.log_scales = self._start()
        self._recenter()

    @classmethod
    def of(cls, reduction: Reduction) -> Flows | None:
        """The flows of a reduced problem, or None where it does not have the form that the passes need."""
        edges = _Incidence.of(reduction)
        return None if edges is None else cls(edges)

    def _start(self) -> Array:
        """A start that does not depend on the scales that the weights come with, and has no drift along the depth.

        From the inputs on, log-scales can make every in-cost 1; from the outputs back, every out-cost. Either lets all
        that remains pile up at the far end. Each unknown takes the mean of the two, weighted by its distances to the
        ends: exact on a chain of equal layers. Degrees other than 1 would multiply along the depth beyond all bounds;
        with them the start is the scales as they are.
        """
        if np.any(self.degree != 1.0):
            return np.zeros(self.size)
        ones = np.ones(self.size + 1)
        forward, from_ground = self._kernels.one_sided_log_scales(
            *self._out, *self._in, self._log_by_head, -self.exponent * self.degree, -ones / self.exponent
        )
        backward, to_ground = self._kernels.one_sided_log_scales(
            *self._in, *self._out, self._log_by_tail, self.exponent * ones, 1.0 / (self.exponent * self.degree)
        )
        share = from_ground / np.maximum(from_ground + to_ground, 1)
        mean: Array = ((1.0 - share) * forward + share * backward)[:-1]
        return mean

    def _recenter(self) -> None:
        """Fold the log-scales into the edge values; the node factors become 1."""
        up = self.exponent * np.append(self.log_scales, 0.0)
        down = -self.degree * up
        self._out_value = _scaled(self._out, self._log_by_tail, down, up)
        self._in_value = _scaled(self._in, self._log_by_head, up, down)
        self._center = self.log_scales.copy()
        self.up = np.ones(self.size + 1)
        self.down = np.ones(self.size + 1)

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self.log_scales = self.log_scales + step
        up = self.exponent * (self.log_scales - self._center)
        if np.abs(self.degree[:-1] * up).max(initial=0.0) > _RANGE or np.abs(up).max(initial=0.0) > _RANGE:
            self._recenter()
        else:
            self.up[:-1] = np.exp(up)
            self.down[:-1] = np.exp(-self.degree[:-1] * up)

    def sweep(self) -> None:
        """Balance every unknown once, in order."""
        self._kernels.local_sweep(
            *self._out, self._out_value, *self._in, self._in_value, self.degree, self.up, self.down
        )
        self.log_scales = self._center + np.log(self.up[:-1]) / self.exponent
        self.move(np.zeros(self.size))

    def _in_pass(self, x: Array) -> Array:
        result = np.empty(self.size + 1)
        self._kernels.gather(*self._in, self._in_value, x, result)
        return result

    def _out_pass(self, x: Array) -> Array:
        result = np.empty(self.size + 1)
        self._kernels.gather(*self._out, self._out_value, x, result)
        return result

    def in_out(self) -> tuple[Array, Array, float]:
        """In-cost and out-cost of each unknown (without the factor p), and the logarithm of the total cost."""
        into = self.up * self._in_pass(self.down)
        out_of = self.down * self._out_pass(self.up)
        with np.errstate(over="ignore", divide="ignore"):
            return into[:-1], out_of[:-1], float(np.log(into.sum()))

    def jacobian(self, into: Array, out_of: Array) -> Any:
        """Product with the Jacobian of ``log in - log (c out)``: ``p ((1 + c) d - P_in c d - P_out d)``."""
        degree, padded = self.degree[:-1], np.zeros(self.size + 1)

        def product(step: Array) -> Array:
            padded[:-1] = degree * step
            from_tails = (self.up * self._in_pass(padded * self.down))[:-1] / into
            padded[:-1] = step
            from_heads = (self.down * self._out_pass(padded * self.up))[:-1] / out_of
            result: Array = self.exponent * ((1.0 + degree) * step - from_tails - from_heads)
            return result

        return product

    def laplacian(self, into: Array, out_of: Array) -> Sparse:
        """The symmetric matrix ``diag(in + c^2 out) - c Y - (c Y)^T`` of the present flows, in CSR form."""
        n = self.size
        outward = sparse.csr_array((self._out_value, self._out[1], self._out[0]), shape=(n + 1, n + 1))
        left = sparse.diags_array(self.degree * self.down)
        flows = sparse.csr_array(left @ outward @ sparse.diags_array(self.up))[:n, :n]
        flows.sum_duplicates()
        diagonal = into + self.degree[:-1] ** 2 * out_of
        return sparse.csr_array(sparse.diags_array(diagonal) - flows - flows.T)


def _scaled(edges: tuple[Index, Index], log_value: Array, by_row: Array, by_column: Array) -> Array:
    start, neighbor = edges
    row = np.repeat(by_row, np.diff(start))
    with np.errstate(over="ignore"):
        result: Array = np.exp(log_value + row + by_column[neighbor])
    return result
