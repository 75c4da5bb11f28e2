"""Solutions with the Hessian of blocks and terms, preconditioned by blocks of rank one."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.linear.conjugate_gradients import Precondition
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.scattered import ScatteredHessian

# With more blocks, to correct for all of them at once would cost more than it saves.
_MOST_BLOCKS = 2000


class BlockHessian(HessianSolver):
    """Conjugate gradients preconditioned by blocks of rank one: each with the row and column sums of the true block.

    In a dense block of independent weights what is left of it is small: eigenvalues go with one over the square root
    of its width, times the size of the diagonal.

    Parameters
    ----------
    flows : BlockFlows
    """

    def __init__(self, flows: BlockFlows) -> None:
        super().__init__(flows, None)
        self._block_flows, self._scattered = flows, ScatteredHessian(flows.ends)
        self._two_sided = [k for k, moves_both in enumerate(flows.ends.move_both) if moves_both]

    @property
    def name(self) -> str:
        """What it is preconditioned by."""
        return "preconditioned by blocks of rank one"

    def here(self) -> Precondition:
        """The approximate inverse at the present flows."""
        return self._approximate_inverse(self._block_flows.diagonal(), 0.0)

    def _approximate_inverse(self, diagonal: Array, imbalance: float) -> Precondition:
        from scipy.linalg import lapack

        plain = super()._approximate_inverse(diagonal, imbalance)
        if len(self._two_sided) > _MOST_BLOCKS:
            return plain
        solve = self._scattered.inverse(self._block_flows.placed.curvatures, diagonal)
        if not self._two_sided:
            return lambda residual: (solve @ residual, None)
        # With U the two ends of each block, M = D + U K U^T, and by Woodbury's identity
        # M^-1 = D^-1 - D^-1 U (K^-1 + U^T D^-1 U)^-1 U^T D^-1. K^-1 is the cost of a block, between its two ends.
        ends, totals = self._ends_of_blocks()
        across = sparse.csr_array(ends.T)
        solved = solve @ ends
        inner = (across @ solved).toarray()
        number = np.arange(totals.size)
        inner[number, number ^ 1] += totals
        factors, pivots, failure = lapack.dgetrf(inner)
        if failure:
            return plain

        def corrected(residual: Array) -> tuple[Array, None]:
            first = solve @ residual
            return first - solved @ lapack.dgetrs(factors, pivots, across @ first)[0], None

        return corrected

    @cached_property
    def _sides(self) -> tuple[Index, Sparse]:
        """The ends of two-sided blocks, and which side each is of: a column for the rows, and one for the columns."""
        ends = self._block_flows.ends
        at = [side for k in self._two_sided for side in ends.at[k]]
        sizes = [side.stop - side.start for side in at]
        number = np.concatenate([np.arange(side.start, side.stop) for side in at])
        entries = np.ones(number.size), (number, np.repeat(np.arange(len(at)), sizes))
        return number, sparse.csr_array(sparse.coo_array(entries, shape=(ends.matrix.shape[0], len(at))))

    def _ends_of_blocks(self) -> tuple[Sparse, Array]:
        """Curvatures by scale, a column for each side of a block; and their sums over the side, that of the other."""
        number, sides = self._sides
        curvatures = self._block_flows.placed.curvatures
        spread = sparse.csr_array((curvatures[number], sides.indices, sides.indptr), shape=sides.shape)
        return self._block_flows.ends.transposed @ spread, curvatures @ sides
