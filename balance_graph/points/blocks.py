"""Flows of dense blocks, by products with them; the weights may live anywhere."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Array
from balance_graph.linear.conjugate_gradients import Precondition
from balance_graph.points.flows import FlowsPoint
from balance_graph.points.hessian import HessianSolver
from balance_graph.problem.block_costs import BlockCosts, LiveBlocks

# From these numbers of blocks on, their common corrections would cost more than they save.
_MOST_BLOCKS = 2000


class BlockFlows:
    """In-costs, out-costs and derivatives of live blocks at a moving place; see `points.flows`.

    Sums are taken afresh from the weights at each move: one pass. A product is another.

    Parameters
    ----------
    blocks : LiveBlocks
    log_scales : (size,) array
    """

    def __init__(self, blocks: LiveBlocks, log_scales: Array) -> None:
        self.blocks, self.size = blocks, blocks.size
        self.degree, self.exponent = blocks.degree, blocks.exponent
        self._place(log_scales)

    def _place(self, log_scales: Array) -> None:
        self.log_scales, self.costs = log_scales, self.blocks.at(log_scales)
        self.into, self.out_of = self.costs.into, self.costs.out_of

    @property
    def log_cost(self) -> float:
        """Logarithm of the cost of all that is live."""
        return self.costs.log_cost

    def longest(self, step: Array) -> float:  # noqa: ARG002 - costs are computed afresh, each block in its unit
        """All of it."""
        return 1.0

    def move(self, step: Array) -> None:
        """Add a step to the log-scales."""
        self._place(self.log_scales + step)

    def sweep(self, most: int, enough: float) -> None:
        """Move all unknowns at once, by half of what would balance each alone: costs are convex, so none can rise."""
        for _ in range(most):
            imbalance = self.imbalance()
            if not np.log(enough) < np.abs(imbalance).max(initial=0.0) < np.inf:
                break
            self._place(self.log_scales - 0.5 * imbalance / (self.exponent * (1.0 + self.degree[:-1])))

    def imbalance(self) -> Array:
        """``log in - log (c out)`` of each unknown; inf where flows drown in others."""
        if not self.costs.is_sound:
            return np.full(self.size, np.inf)
        imbalance: Array = np.log(self.into[:-1] / (self.degree * self.out_of)[:-1])
        return imbalance

    def diagonal(self) -> Array:
        """Diagonal of the Hessian of the cost over p^2: ``in + c^2 out``."""
        diagonal: Array = (self.into + self.degree**2 * self.out_of)[:-1]
        return diagonal

    def product(self, diagonal: Array, step: Array, out: Array) -> None:
        """Product with the Hessian of the cost over p^2, ``diag(in + c^2 out) - Y c - (Y c)^T``, into `out`."""
        heads = np.append(step, 0.0)
        from_tails, from_heads = self.costs.products(self.degree * heads, heads)
        out[:] = diagonal * step - (from_tails + self.degree * from_heads)[:-1]


class BlockHessian(HessianSolver):
    """Conjugate gradients preconditioned by blocks of rank one: each with the out- and in-costs of the true block.

    In a dense block of independent weights, what is left of it is small: eigenvalues go with one over the square root
    of its width, times the size of the diagonal. Rows and columns of a common scale are in the rank-one block already.

    Parameters
    ----------
    flows : BlockFlows
    """

    def __init__(self, flows: BlockFlows) -> None:
        super().__init__(flows, None)
        self._block_flows = flows

    @property
    def name(self) -> str:
        """What it is preconditioned by."""
        return "preconditioned by blocks of rank one"

    def _approximate_inverse(self, diagonal: Array, imbalance: float) -> Precondition:
        from scipy.linalg import lapack

        parts = self._block_flows.costs.parts
        if len(parts) > _MOST_BLOCKS:
            return super()._approximate_inverse(diagonal, imbalance)
        ends = _ends_of_parts(self._block_flows)
        # With U the ends of the blocks, M = D - U K U^T, and by Woodbury's identity
        # M^-1 = D^-1 + D^-1 U (K^-1 - U^T D^-1 U)^-1 U^T D^-1. K^-1 is the cost of a block, between its two ends.
        scaled = sparse.csr_array(ends / diagonal[:, None])
        inner = -(ends.T @ scaled).toarray()
        number = np.arange(2 * len(parts))
        inner[number, number ^ 1] += np.repeat([float(part.into.sum()) for part in parts], 2)
        factors, pivots, failure = lapack.dgetrf(inner)
        if failure:
            return super()._approximate_inverse(diagonal, imbalance)
        across = sparse.csr_array(scaled.T)

        def solve(residual: Array) -> tuple[Array, None]:
            return residual / diagonal + scaled @ lapack.dgetrs(factors, pivots, across @ residual)[0], None

        return solve


def _ends_of_parts(flows: BlockFlows) -> sparse.csr_array:
    """For each block a column of degree times out-cost, and one of in-cost, of each unknown."""
    rows, columns, values = [], [], []
    for k, part in enumerate(flows.costs.parts):
        for label, value, column in ((part.at.tail, part.out_of, 2 * k), (part.at.head, part.into, 2 * k + 1)):
            own = label < flows.size
            rows.append(label[own])
            columns.append(np.full(rows[-1].size, column))
            values.append(value[own] * flows.degree[rows[-1]] if column % 2 == 0 else value[own])
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return sparse.coo_array(entries, shape=(flows.size, 2 * len(flows.costs.parts))).tocsr()


class BlocksPoint(FlowsPoint):
    """A point of dense blocks.

    Parameters
    ----------
    blocks : LiveBlocks
    log_scales : (size,) array
    """

    def __init__(self, blocks: LiveBlocks, log_scales: Array) -> None:
        flows = BlockFlows(blocks, log_scales)
        self._block_flows = flows
        super().__init__(flows, BlockHessian(flows))

    @property
    def costs(self) -> BlockCosts:
        """What the weights cost where the point is."""
        return self._block_flows.costs
