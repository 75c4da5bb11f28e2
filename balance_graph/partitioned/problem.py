"""The balance problem of a network whose edges lie in partitions: in files, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from dask.delayed import Delayed, delayed
from numpy.typing import ArrayLike

from balance_graph._showing import some_of
from balance_graph._types import Array, Index, Mask
from balance_graph.certificate.blocks import log_cost_and_bound, log_cost_unmoved, log_costs_of_blocks
from balance_graph.certificate.bound import certify_problem
from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.partitioned.edges import PartitionedEdges, Survey
from balance_graph.partitioned.flows import PartitionedFlows, PartitionedPoint
from balance_graph.partitioned.frames import (
    Columns,
    Frame,
    dask_frames,
    name_of,
    parquet_frames,
)
from balance_graph.partitioned.named_nodes import check_loops, degrees_of, pinned_of
from balance_graph.partitioned.parts import Parts, matrix_of
from balance_graph.partitioned.passes import Partitions
from balance_graph.partitioned.writing import scaled_frame, write_frames
from balance_graph.problem.balance_problem import BalanceProblem as InMemory
from balance_graph.problem.block_attainment import BlockAttainment
from balance_graph.problem.block_problem import BlockProblem, exponent_of
from balance_graph.problem.blocks import DenseBlock, Extent
from balance_graph.problem.live_blocks import LiveBlocks
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.solution import Solution
from balance_graph.solvers.conductor import solve
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

    def __init__(
        self,
        frames: Sequence[Frame],
        columns: Columns,
        *,
        pinned: Iterable[Any] | None = None,
        degree: float | Mapping[Any, float] = 1.0,
        regularizer: float | Regularizer = 2.0,
    ) -> None:
        exponent = exponent_of(regularizer)
        self._partitions = Partitions(frames, columns)
        self.nodes = self._partitions.nodes
        whole = np.zeros(self.nodes.size, dtype=np.int32)
        self._survey = Survey.of_all(self._partitions, whole, exponent)
        degrees = degrees_of(degree, self.nodes)
        check_loops(self._survey.loops & (degrees != 1.0), self.nodes, degrees)
        self.pinned = pinned_of(pinned, self.nodes, self._survey)
        blocks: list[Any] = [PartitionedEdges(self._partitions, self._survey, whole, self.pinned)]
        if self._survey.loops.any():
            blocks.append(DenseBlock(-1, -1, [[np.exp(self._survey.log_loops / exponent)]]))
        super().__init__(blocks, self.nodes.size, regularizer=regularizer, degree=degrees)

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
        columns = Columns(source, target, weight)
        frames = parquet_frames(path, columns)
        return cls(frames, columns, pinned=pinned, degree=degree, regularizer=regularizer)

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
        columns = Columns(source, target, weight)
        return cls(dask_frames(frames), columns, pinned=pinned, degree=degree, regularizer=regularizer)

    def __repr__(self) -> str:
        free, count = int((~self.pinned).sum()), self._partitions.n_partitions
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
    def _parts(self) -> Parts:
        parts = Parts.of(self._partitions, self.pinned)
        bad = (parts.part > 0) & (self.degree != 1.0)
        if bad.any():
            k = int(np.argmax(bad))
            message = (
                f"node {name_of(self.nodes[k])} of degree {self.degree[k]:g} lies on a cycle that no path joins to a "
                "pinned node, and back: whether such cycles can be balanced is a problem of its own; pin a node of it"
            )
            raise UnsupportedError(message)
        return parts

    @cached_property
    def _live_survey(self) -> Survey:
        """That of the edges within parts."""
        part = self._parts.part
        return self._survey if not part.any() else Survey.of_all(self._partitions, part, self.exponent)

    @cached_property
    def _held(self) -> Mask:
        """Nodes whose scale is 1: those that are pinned, and gauges."""
        held = self.pinned.copy()
        held[self._parts.held] = True
        return held

    @cached_property
    def attainment(self) -> BlockAttainment:
        """Whether the minimum is attained, and what stands in the way."""
        parts, n_dead = self._parts, self._survey.n_moved - self._live_survey.n_moved
        return BlockAttainment(
            live=(parts.part >= 0) & self._live_survey.touched & ~self._held,
            dead=self._names((parts.part < 0) & self._survey.touched),
            gauges=tuple(self.nodes[parts.held].tolist()),
            reason=self._why_not(n_dead) if n_dead else "",
        )

    def _names(self, chosen: Mask) -> tuple[Any, ...]:
        return tuple(self.nodes[np.flatnonzero(chosen)].tolist())

    def _why_not(self, n_dead: int) -> str:
        dead = self._names((self._parts.part < 0) & self._survey.touched)
        return (
            f"the minimum is not attained: the weights of {n_dead} of {self.n_edges} edges can shrink to zero for ever "
            "without changing the function, since these lie on no path from a pinned node to a pinned node, and on no "
            f"cycle; dead nodes: {some_of(dead) or 'none'}. Remedies: on_unattained='prune' sets those weights to 0 "
            "and balances the rest; or pin nodes at their ends"
        )

    @cached_property
    def live(self) -> LiveBlocks:
        """The edges of what is joined to pinned nodes."""
        blocks = (self._live_edges(self._held), *self.blocks[1:])
        extents = tuple(Extent(*one.extent(self.exponent)) for one in blocks)
        return LiveBlocks.of(blocks, extents, self.joined, self.degree, self.exponent)

    @cached_property
    def without_dead(self) -> BalanceProblem:
        """The problem with the weights of dead edges zero: what is left after ``on_unattained="prune"``."""
        if not self.attainment.reason:
            return self
        other = copy(self)
        other.__dict__ |= {"_survey": self._live_survey, "blocks": (self._live_edges(self.pinned), *self.blocks[1:])}
        other.__dict__["_extents"] = tuple(Extent(*one.extent(self.exponent)) for one in other.blocks)
        for name in {"whole", "attainment", "live", "joined"} & vars(other).keys():
            del other.__dict__[name]
        return other

    def _live_edges(self, held: Mask) -> PartitionedEdges:
        return PartitionedEdges(self._partitions, self._live_survey, self._parts.part, held)

    @cached_property
    def apart(self) -> tuple[Index, InMemory]:
        """The nodes of the parts apart, and the problem of these, which fits in memory: one node of each is pinned."""
        nodes = np.flatnonzero(self._parts.part > 0)
        matrix = matrix_of(self._parts.apart, nodes, self.exponent)
        held = np.isin(nodes, self._parts.held)
        return nodes, InMemory.from_sparse(matrix, pinned=held, regularizer=self.exponent)

    @cached_property
    def _balanced_apart(self) -> Array:
        """Log-scales that balance the parts apart; 0 for all other nodes."""
        log_scales = np.zeros(self.n_nodes)
        if self._parts.held.size:
            nodes, problem = self.apart
            log_scales[nodes] = solve(problem, "newton").log_scales
        return log_scales

    @cached_property
    def joined(self) -> Mask:
        """Nodes to scale that paths join to pinned nodes, and back."""
        joined: Mask = self.attainment.live & (self._parts.part == 0)
        return joined

    def point_from(self, start: Array | None) -> PartitionedPoint:
        """Where passes begin: parts apart are balanced, and held, as what is pinned."""
        edges = self._live_edges(self._held)
        first = np.where(self._parts.part > 0, self._balanced_apart, 0.0 if start is None else start)
        largest = edges.extent(self.exponent).log_largest
        flows = PartitionedFlows(edges, largest, self.exponent, self.degree, self.joined, first)
        return PartitionedPoint(flows, self.log_cost_of_loops)

    def log_bound(self, log_scales: Array) -> float:
        """Logarithm of a lower bound on the least cost: that of what is joined, and of the parts apart."""
        bound = log_cost_and_bound(self.live.costs, log_scales[self.joined])[1] if self.joined.any() else None
        if bound is None:
            bound = log_cost_unmoved(self.live.constant)[1]
        if self._parts.held.size:
            nodes, problem = self.apart
            bound = float(np.logaddexp(bound, certify_problem(problem, log_scales[nodes]).log_lower_bound))
            bound -= _ROUNDING * max(1.0, abs(bound))
        return bound

    def _sums(self, log_scales: Array) -> PartitionedFlows:
        edges, extent = self.blocks[0], self._extents[0]
        is_free = ~self.pinned & (extent.rows | extent.columns)
        return PartitionedFlows(edges, extent.log_largest, self.exponent, self.degree, is_free, log_scales)

    @property
    def log_cost_of_loops(self) -> float:
        """Logarithm of the cost of self-loops, which no scale moves."""
        return self._survey.log_loops

    def log_cost(self, log_scales: Array) -> float:
        """Logarithm of the cost: one pass."""
        if self._survey.n_moved == 0:
            return self.log_cost_of_loops
        return float(np.logaddexp(self._sums(log_scales).log_cost, self.log_cost_of_loops))

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
        part: Index = np.zeros(self.n_nodes, dtype=np.int32)
        if isinstance(log_scales, Solution):  # it has pruned what is dead
            part, log_scales = self._parts.part, log_scales.log_scales
        values = self.checked_log_scales(log_scales, "log_scales")
        columns, nodes = self._partitions.columns, self._partitions.shared_nodes
        shared = [delayed(one, traverse=False) for one in (values, self.degree, part)]
        return tuple(
            delayed(scaled_frame)(frame.whole, frame.name, columns, nodes, *shared) for frame in self._partitions.frames
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
def _(problem: BalanceProblem, start: Array | None) -> PartitionedPoint:
    return problem.point_from(start)


@log_costs_of_blocks.register
def _(problem: BalanceProblem, log_scales: Array) -> tuple[float, float]:
    return problem.log_cost(log_scales), problem.log_bound(log_scales)
