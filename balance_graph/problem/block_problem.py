"""The balance problem of dense blocks of weights, which are never turned into edges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from balance_graph._arguments import check_count
from balance_graph._types import Array
from balance_graph.errors import InvalidNetworkError, InvalidParameterError, UnsupportedError
from balance_graph.problem._sparse_arguments import log_scales_array, node_array
from balance_graph.problem.block_attainment import BlockAttainment, find_block_attainment
from balance_graph.problem.blocks import Block, DenseBlock, Extent
from balance_graph.problem.cost_range import SPREAD
from balance_graph.problem.live_blocks import LiveBlocks
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.placed_costs import PlacedCosts
from balance_graph.problem.regularizers import Lp, Regularizer, as_regularizer
from balance_graph.problem.two_sides import TwoSides


class BlockProblem(TwoSides):
    """Minimize the cost of a network given as dense blocks of weights: layers, as models keep them.

    The cost is the sum of ``|w|**p * exp(p * (l[head] - c[tail] * l[tail]))`` over all weights of all blocks. These are
    read where they lie, in passes; beyond them a solve takes a few vectors. `solve` and `certify` take the problem.

    Parameters
    ----------
    blocks : sequence of `Block`, or of triples (tail, head, weights)
        ``tail[i]`` and ``head[j]`` are the unknowns of row i and column j of the matrix `weights`, or -1 where pinned
        (inputs, outputs, the one row of biases): see `DenseBlock`. Best in the order from inputs to outputs.
    n_unknowns : int
        Unknowns are 0 .. n_unknowns - 1.
    regularizer : float or Lp
        The exponent p.
    degree : float or (n_unknowns,) array
        Degree of homogeneity c of each unknown.

    Attributes
    ----------
    blocks : tuple of Block
    n_nodes : int
        Number of unknowns.
    n_weights : int
        Number of entries of all blocks.
    exponent : float
    degree : (n_nodes,) array

    Raises
    ------
    InvalidParameterError
        For wrong shapes, and unknowns out of range.
    InvalidNetworkError
        For weights that are not finite.
    UnsupportedError
        For a regularizer that is not one power, and where costs of one block differ by more than a factor e^600.

    See Also
    --------
    solve : Balances it.
    BalanceProblem : The same for sparse matrices.

    Examples
    --------
    Two layers without biases, the hidden units being the unknowns:

    >>> import balance_graph as bg, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> first, second = rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=(4, 2)).astype("float32")
    >>> hidden = np.arange(4)
    >>> problem = bg.BlockProblem([(-1, hidden, first), (hidden, -1, second)], 4)
    >>> solution = bg.solve(problem)
    >>> bool(solution.converged), bool(bg.certify(problem, solution.log_scales).relative_gap < 1e-11)
    (True, True)
    """

    def __init__(
        self,
        blocks: Sequence[Any],
        n_unknowns: int,
        *,
        regularizer: float | Regularizer = 2.0,
        degree: ArrayLike = 1.0,
    ) -> None:
        check_count(n_unknowns, "n_unknowns")
        self._n_unknowns = int(n_unknowns)
        self.exponent = exponent_of(regularizer)
        self.degree = node_array(degree, self.n_nodes, "degree", what="unknown")
        self.blocks: tuple[Block, ...] = tuple(_as_block(block, k) for k, block in enumerate(blocks))
        for k, block in enumerate(self.blocks):
            _check_range(block, k, self.n_nodes)
        self._extents: tuple[Extent, ...] = tuple(Extent(*block.extent(self.exponent)) for block in self.blocks)
        for k, extent in enumerate(self._extents):
            if not extent.log_largest < np.inf:
                message = f"block {k} has a weight that is not finite; weights must be finite"
                raise InvalidNetworkError(message)
            check_spread(extent, f"block {k}")

    @property
    def regularizer(self) -> Lp:
        """The cost of a weight."""
        return Lp(self.exponent)

    def __repr__(self) -> str:
        return (
            f"BlockProblem({self.n_nodes} unknowns, {len(self.blocks)} blocks, {self.n_weights} weights, "
            f"Lp(p={self.exponent:g}))"
        )

    @property
    def n_nodes(self) -> int:
        """Number of unknowns."""
        return self._n_unknowns

    @property
    def n_weights(self) -> int:
        """Number of entries of all blocks."""
        return sum(len(block.tail) * len(block.head) for block in self.blocks)

    def checked_log_scales(self, values: ArrayLike, name: str) -> Array:
        """Log-scales of all unknowns as an array; `InvalidParameterError` where they are none."""
        return log_scales_array(values, self.n_nodes, name)

    def _between(self, live: Any) -> LiveBlocks:
        return LiveBlocks.of(self.blocks, self._extents, live, self.degree, self.exponent)

    @cached_property
    def whole(self) -> LiveBlocks:
        """All blocks, dead weights included."""
        return self._between(np.ones(self.n_nodes, dtype=bool))

    @cached_property
    def attainment(self) -> BlockAttainment:
        """Whether the minimum is attained, and which unknowns are in the way."""
        return find_block_attainment(self.whole.blocks, self.n_nodes, self.exponent)

    @cached_property
    def live(self) -> LiveBlocks:
        """The blocks without dead weights."""
        live = self.attainment.live
        return self.whole if live.all() else self._between(live)

    @property
    def without_dead(self) -> BlockProblem:
        """What solutions that prune are certified for: this problem, for dead weights of dense blocks stay."""
        return self

    def _at(self, log_scales: Array) -> PlacedCosts:
        return PlacedCosts(self.whole.costs, log_scales)

    def log_cost(self, log_scales: Array) -> float:
        """Logarithm of the cost; ``-inf`` for a network without weights. One pass over the weights."""
        return self._at(log_scales).log_cost

    def cost(self, log_scales: Array) -> float:
        """The cost; inf where it exceeds the range of floats. One pass over the weights."""
        return exp_or_inf(self.log_cost(log_scales))

    def log_sides(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of in-cost and degree times out-cost of each unknown, times p. One pass over the weights."""
        return self._at(log_scales).log_sides()


def exponent_of(regularizer: float | Regularizer) -> float:
    """The exponent of a regularizer of one power; `UnsupportedError` for others."""
    cost = as_regularizer(regularizer)
    if not isinstance(cost, Lp):
        message = f"blocks take one power, a number or Lp(p); got {cost!r}; give the network to from_sparse for others"
        raise UnsupportedError(message)
    return cost.p


def _as_block(block: Any, k: int) -> Block:
    if isinstance(block, Block):
        return block
    if isinstance(block, tuple | list) and len(block) == 3:
        return DenseBlock(*block)
    message = f"block {k} must be (tail, head, weights), a DenseBlock, or have what Block names; got {block!r}"
    raise InvalidParameterError(message)


def _check_range(block: Block, k: int, n: int) -> None:
    for name, unknowns in (("tail", block.tail), ("head", block.head)):
        bad = (unknowns < -1) | (unknowns >= n)
        if bad.any():
            at = int(np.argmax(bad))
            message = f"{name}[{at}] of block {k} is {unknowns[at]}; unknowns are 0 .. {n - 1}, or -1 for pinned"
            raise InvalidParameterError(message)


def check_spread(extent: Extent, what: str) -> None:
    """Refuse costs that are too far apart, saying of what they are."""
    if extent.log_largest - extent.log_least > SPREAD:
        message = (
            f"costs of {what} reach from e^{extent.log_least:.0f} to e^{extent.log_largest:.0f}, beyond what "
            "sums of floats can tell; set weights to zero that are none, or give the network to from_sparse"
        )
        raise UnsupportedError(message)
