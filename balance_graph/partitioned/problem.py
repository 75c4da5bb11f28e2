"""The balance problem of a network whose edges lie in partitions: in files, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from dask.delayed import Delayed, delayed
from numpy.typing import ArrayLike

from balance_graph._showing import some_of
from balance_graph._types import Array, Mask
from balance_graph.certificate.blocks import log_cost_and_bound, log_cost_unmoved, log_costs_of_blocks
from balance_graph.certificate.bound import certify_problem
from balance_graph.errors import InvalidParameterError
from balance_graph.partitioned.flows import PartitionedFlows, PartitionedPoint
from balance_graph.partitioned.frames import Columns, dask_frames, name_of, parquet_frames
from balance_graph.partitioned.network import PartitionedNetwork
from balance_graph.partitioned.writing import scaled_frame, write_frames
from balance_graph.problem.block_attainment import BlockAttainment
from balance_graph.problem.block_problem import BlockProblem, exponent_of
from balance_graph.problem.blocks import DenseBlock, Extent
from balance_graph.problem.live_blocks import LiveBlocks
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.solution import Solution
from balance_graph.solvers.dense_blocks import point_of

# More than rounding takes of the logarithm of a sum of two.
_ROUNDING = 1e-15


class BalanceProblem(BlockProblem):
    """Minimize the cost of a network whose nodes fit in memory and whose edges need not: they are read in each pass.

    Made by `from_parquet` and `from_dask`; ``balance_graph.solve`` and ``balance_graph.certify`` take it. A partition
    is a table with a row for each edge. dask reads and adds up some at a time: in threads, or on a cluster where a
    client is set. Beyond these, a solve takes a few vectors as long as there are nodes.

    Attributes
    ----------
    nodes : pandas.Index
        The nodes as the edges name them, in order; log-scales of a solution are in this order, those of pinned nodes 0.
    n_nodes, n_edges : int
    pinned : (n_nodes,) boolean array
        Whether the scale of a node is 1.
    degree : (n_nodes,) array
    exponent : float

    See Also
    --------
    balance_graph.BalanceProblem : The same for edges that fit in memory, many times faster.
    balance_graph.BlockProblem : For dense layers.

    Notes
    -----
    A solve makes some tens of passes over the edges where paths are short, and hundreds where they are long: to find
    out what is attained takes up to one for each edge of the longest shortest path from or to a pinned node. Edges
    among nodes that no path joins to a pinned node, and back, are looked at in memory: strongly connected parts of them
    are balanced there, one node of each held (``solution.gauge_nodes``). Costs are of one power, and differ by less
    than a factor e^600. Edges that come twice count twice: the costs of their weights are added, not the weights.

    Examples
    --------
    >>> import balance_graph as bg, pandas as pd, tempfile
    >>> from pathlib import Path
    >>> from balance_graph.partitioned import BalanceProblem
    >>> folder = tempfile.TemporaryDirectory()
    >>> edges = pd.DataFrame({"source": ["i", "a", "b"], "target": ["a", "b", "o"], "weight": [1.0, 4.0, 16.0]})
    >>> edges.to_parquet(Path(folder.name, "edges.parquet"))
    >>> problem = BalanceProblem.from_parquet(Path(folder.name, "edges.parquet"))
    >>> solution = bg.solve(problem)
    >>> dict(zip(problem.nodes, solution.log_scales.round(6).tolist()))
    {'a': 1.386294, 'b': 1.386294, 'i': 0.0, 'o': 0.0}
    >>> problem.write_parquet(solution, Path(folder.name, "balanced"))
    >>> pd.read_parquet(Path(folder.name, "balanced"))["weight"].round(6).tolist()
    [4.0, 4.0, 4.0]
    >>> folder.cleanup()
    """

    def __init__(self, network: PartitionedNetwork, *, is_pruned: bool = False) -> None:
        self._network, self._is_pruned = network, is_pruned
        self.nodes, self.pinned = network.nodes, network.pinned
        self._survey = network.live_survey if is_pruned else network.survey
        blocks: list[Any] = [network.live_edges(self.pinned) if is_pruned else network.edges]
        if self._survey.loops.any():
            blocks.append(DenseBlock(-1, -1, [[np.exp(self._survey.log_loops / network.exponent)]]))
        super().__init__(blocks, self.nodes.size, regularizer=network.exponent, degree=network.degree)

    @classmethod
    def from_parquet(
        cls,
        path: str | Path | Iterable[str | Path],
        *,
        source: str = "source",
        target: str = "target",
        weight: str = "weight",
        pinned: Iterable[Any] | None = None,
        degree: float | Mapping[Any, float] = 1.0,
        regularizer: float | Regularizer = 2.0,
    ) -> BalanceProblem:
        """The problem of the edges in Parquet files, of which each row group is a partition.

        Parameters
        ----------
        path : path, or iterable of paths
            Files, and folders of which all files ``*.parquet`` are meant.
        source, target, weight : str
            The columns with the two ends of each edge, and with its weight. Nodes are integers or text; integers from
            0 on are read fastest. Other columns are kept when the balanced edges are written.
        pinned : iterable, optional
            The nodes whose scale is 1. Default: those that no edge reaches, and those that no edge leaves.
        degree : float or mapping
            Degree of homogeneity: of all nodes, or of those in the mapping, 1 for others.
        regularizer : float or Lp
            The exponent p.

        Returns
        -------
        BalanceProblem

        Raises
        ------
        InvalidParameterError
            If there is no such file or node, no node is pinned, or a degree is not positive.
        InvalidNetworkError
            For files that are no Parquet files, lack a column or an end of an edge, and weights that are not finite.
        UnsupportedError
            For other regularizers, self-loops of nodes of degree other than 1, and costs too far apart.
        """
        columns, exponent = Columns.of(source, target, weight), exponent_of(regularizer)
        frames = parquet_frames(path, columns)
        return cls(PartitionedNetwork(frames, columns, pinned=pinned, degree=degree, exponent=exponent))

    @classmethod
    def from_dask(
        cls,
        frames: Any,
        *,
        source: str = "source",
        target: str = "target",
        weight: str = "weight",
        pinned: Iterable[Any] | None = None,
        degree: float | Mapping[Any, float] = 1.0,
        regularizer: float | Regularizer = 2.0,
    ) -> BalanceProblem:
        """The problem of the edges in a dask DataFrame, or in frames that are delayed.

        Parameters
        ----------
        frames : dask.dataframe.DataFrame, or sequence of delayed pandas frames
            A row for each edge. They are computed anew in each pass: ``persist()`` what takes long to compute.
        source, target, weight, pinned, degree, regularizer
            As for `from_parquet`.

        Returns
        -------
        BalanceProblem

        Raises
        ------
        InvalidParameterError, InvalidNetworkError, UnsupportedError
            As for `from_parquet`.

        Examples
        --------
        >>> import balance_graph as bg, pandas as pd
        >>> from dask import delayed
        >>> from balance_graph.partitioned import BalanceProblem
        >>> one = pd.DataFrame({"source": [0, 1], "target": [1, 2], "weight": [8.0, 2.0]})
        >>> two = pd.DataFrame({"source": [3, 1], "target": [1, 4], "weight": [1.0, 3.0]})
        >>> problem = BalanceProblem.from_dask([delayed(one), delayed(two)])
        >>> problem
        BalanceProblem(5 nodes, 1 free, 4 edges in 2 partitions, Lp(p=2.0))
        >>> bg.solve(problem).converged
        True
        """
        columns, exponent = Columns.of(source, target, weight), exponent_of(regularizer)
        given = dask_frames(frames)
        return cls(PartitionedNetwork(given, columns, pinned=pinned, degree=degree, exponent=exponent))

    def __repr__(self) -> str:
        free, count = int((~self.pinned).sum()), self._network.partitions.n_partitions
        return (
            f"BalanceProblem({self.n_nodes} nodes, {free} free, {self.n_edges} edges in {count} "
            f"partition{'s' if count > 1 else ''}, {self.regularizer!r})"
        )

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return self._survey.n_edges

    @property
    def n_weights(self) -> int:
        """Number of edges."""
        return self.n_edges

    def checked_log_scales(self, values: ArrayLike, name: str) -> Array:
        """Log-scales of all nodes, in the order of `nodes`, as an array.

        Raises
        ------
        InvalidParameterError
            For a wrong number of them, numbers that are not finite, and others than 0 where a node is pinned.
        """
        log_scales = super().checked_log_scales(values, name)
        off = self.pinned & (log_scales != 0.0)
        if off.any():
            k = int(np.argmax(off))
            message = f"{name} has {log_scales[k]} for the pinned node {name_of(self.nodes[k])}; it must be 0"
            raise InvalidParameterError(message)
        return log_scales

    @cached_property
    def attainment(self) -> BlockAttainment:
        """Whether the minimum is attained, and what stands in the way."""
        network = self._network
        gauges = tuple(self.nodes[network.parts.held].tolist())
        if self._is_pruned or network.n_dead == 0:
            return BlockAttainment(network.free, gauges=gauges)
        return BlockAttainment(network.free, network.dead, gauges, self._why_not())

    def _why_not(self) -> str:
        network = self._network
        return (
            f"the minimum is not attained: the weights of {network.n_dead} of {self.n_edges} edges can shrink to zero "
            "for ever without changing the function, since these lie on no path from a pinned node to a pinned node, "
            f"and on no cycle; dead nodes: {some_of(network.dead) or 'none'}. Remedies: on_unattained='prune' sets "
            "those weights to 0 and balances the rest; or pin nodes at their ends"
        )

    @cached_property
    def live(self) -> LiveBlocks:
        """The edges of what is joined to pinned nodes."""
        network = self._network
        blocks = (network.live_edges(network.held), *self.blocks[1:])
        extents = tuple(Extent(*one.extent(self.exponent)) for one in blocks)
        return LiveBlocks.of(blocks, extents, network.joined, self.degree, self.exponent)

    @cached_property
    def without_dead(self) -> BalanceProblem:
        """The problem with the weights of dead edges zero: what is left after ``on_unattained="prune"``."""
        return BalanceProblem(self._network, is_pruned=True) if self.attainment.reason else self

    def point_from(self, start: Array | None) -> PartitionedPoint:
        """Where passes begin: parts apart are balanced, and held, as what is pinned."""
        network = self._network
        edges, is_apart = network.live_edges(network.held), network.parts.part > 0
        first = np.where(is_apart, network.balanced_apart, 0.0 if start is None else start)
        largest = edges.extent(self.exponent).log_largest
        flows = PartitionedFlows(edges, largest, self.exponent, self.degree, network.joined, first)
        return PartitionedPoint(flows, self._survey.log_loops)

    def log_bound(self, log_scales: Array) -> float:
        """Logarithm of a lower bound on the least cost: that of what is joined, and of the parts apart."""
        network, bound = self._network, None
        if network.joined.any():
            bound = log_cost_and_bound(self.live.costs, log_scales[network.joined])[1]
        if bound is None:
            bound = log_cost_unmoved(self.live.constant)[1]
        if network.parts.held.size:
            nodes, problem = network.apart
            bound = float(np.logaddexp(bound, certify_problem(problem, log_scales[nodes]).log_lower_bound))
            bound -= _ROUNDING * max(1.0, abs(bound))
        return bound

    def _sums(self, log_scales: Array) -> PartitionedFlows:
        edges, extent = self.blocks[0], self._extents[0]
        is_free: Mask = ~self.pinned & self._survey.touched
        return PartitionedFlows(edges, extent.log_largest, self.exponent, self.degree, is_free, log_scales)

    def log_cost(self, log_scales: Array) -> float:
        """Logarithm of the cost: one pass."""
        if self._survey.n_moved == 0:
            return self._survey.log_loops
        return float(np.logaddexp(self._sums(log_scales).log_cost, self._survey.log_loops))

    def log_sides(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of in-cost and degree times out-cost of each node, times p; -inf for pinned ones. One pass."""
        if self._survey.n_moved == 0:
            nothing = np.full(self.n_nodes, -np.inf)
            return nothing, nothing
        into, out_of = self._sums(log_scales).log_sides()
        return into + np.log(self.exponent), out_of + np.log(self.exponent)

    def scaled(self, log_scales: Array | Solution) -> tuple[Delayed, ...]:
        """The partitions with the weights after scaling, as delayed frames; other columns as they are.

        Parameters
        ----------
        log_scales : (n_nodes,) array, or Solution
            Zero where pinned. With a `Solution` of `solve`, the weights that it pruned are zero.

        Returns
        -------
        tuple of dask Delayed
            Each gives a pandas DataFrame. Single precision stays single precision. When it is computed,
            `UnsupportedError` is raised if a weight would become infinite or zero.
        """
        part = self._network.whole
        if isinstance(log_scales, Solution):  # it has pruned what is dead
            part, log_scales = self._network.parts.part, log_scales.log_scales
        values = self.checked_log_scales(log_scales, "log_scales")
        partitions = self._network.partitions
        columns, nodes = partitions.columns, partitions.shared_nodes
        shared = [delayed(one, traverse=False) for one in (values, self.degree, part)]
        return tuple(
            delayed(scaled_frame)(frame.whole, frame.name, columns, nodes, *shared) for frame in partitions.frames
        )

    def write_parquet(self, log_scales: Array | Solution, folder: str | Path) -> None:
        """Write the network after scaling, a file for each partition, which `from_parquet` reads.

        Parameters
        ----------
        log_scales : (n_nodes,) array, or Solution
            As for `scaled`.
        folder : path
            It appears when all is written.

        Raises
        ------
        InvalidParameterError
            If the folder is there already.
        UnsupportedError
            If a weight would become infinite or zero.
        """
        write_frames(self.scaled(log_scales), Path(folder))


@point_of.register
def _(problem: BalanceProblem, start: Array | None) -> tuple[PartitionedPoint, Mask]:
    return problem.point_from(start), np.ones(problem.n_nodes, dtype=bool)


@log_costs_of_blocks.register
def _(problem: BalanceProblem, log_scales: Array) -> tuple[float, float]:
    return problem.log_cost(log_scales), problem.log_bound(log_scales)
