"""Passes over all partitions, by dask: what is found in each, taken together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pandas as pd
from dask.delayed import Delayed, delayed

from balance_graph.errors import InvalidNetworkError
from balance_graph.partitioned.frames import Columns, Frame, edges_of, index_of, nodes_of, nodes_of_both

# Chains in which partitions are taken together, whatever the machine, so that sums are the same on all.
_CHAINS = 8

Total = TypeVar("Total")


class Partitions:
    """The edges of a network, a frame for each partition.

    Parameters
    ----------
    frames : sequence of Frame
    columns : Columns

    Attributes
    ----------
    nodes : pandas.Index
        All nodes, which a first pass has found.
    n_partitions : int
    """

    def __init__(self, frames: Sequence[Frame], columns: Columns) -> None:
        if not frames:
            message = "there are no edges: not one partition"
            raise InvalidNetworkError(message)
        self.frames, self.columns = tuple(frames), columns
        self.nodes: pd.Index = index_of(_folded(self.frames, nodes_of, nodes_of_both, columns))
        self.shared_nodes = delayed(self.nodes, traverse=False)

    @property
    def n_partitions(self) -> int:
        """How many there are."""
        return len(self.frames)

    def folded(self, found_in: Callable[..., Total], both: Callable[[Total, Total], Total], *arguments: Any) -> Total:
        """What is found in the `Edges` of each partition, taken together two by two, in the same order everywhere.

        Parameters
        ----------
        found_in : callable
            ``found_in(edges, *arguments)``.
        both : callable
            What is found in two partitions together.
        """
        return _folded(self.frames, _found_in_edges, both, self.columns, self.shared_nodes, found_in, *arguments)


def _folded(frames: Sequence[Frame], found_in: Any, both: Callable[[Total, Total], Total], *arguments: Any) -> Total:
    shared = [one if isinstance(one, Delayed) else delayed(one, traverse=False) for one in arguments]
    chains = [_chain(frames[k::_CHAINS], found_in, both, shared) for k in range(min(_CHAINS, len(frames)))]
    while len(chains) > 1:
        pairs = [chains[k : k + 2] for k in range(0, len(chains), 2)]
        chains = [delayed(both)(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    result: Total = chains[0].compute()
    return result


def _chain(frames: Sequence[Frame], found_in: Any, both: Any, shared: Sequence[Delayed]) -> Delayed:
    """One partition after another, each read in a task that waits for those before it."""
    total = delayed(None)
    for table, _, name in frames:
        total = delayed(_onward)(total, both, found_in, table, name, *shared)
    return total


def _onward(total: Any, both: Any, found_in: Any, table: Any, name: str, *arguments: Any) -> Any:
    found = found_in(table() if callable(table) else table, name, *arguments)
    return found if total is None else both(total, found)


def _found_in_edges(frame: Any, name: str, columns: Columns, nodes: pd.Index, found_in: Any, *arguments: Any) -> Any:
    return found_in(edges_of(frame, columns, nodes, name), *arguments)
