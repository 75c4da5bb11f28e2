"""Partitions of edges as pandas frames that dask reads when they are asked for, and what must hold of their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from dask.delayed import Delayed, delayed

from balance_graph._types import Array, Index
from balance_graph.errors import InvalidNetworkError, InvalidParameterError

_SEARCHES = Lock()


class Columns(NamedTuple):
    """The names of the columns with the two ends of each edge, and its weight."""

    source: str
    target: str
    weight: str

    @classmethod
    def of(cls, source: str, target: str, weight: str) -> Columns:
        """Three columns; `InvalidParameterError` where two are one."""
        columns = cls(source, target, weight)
        if len(set(columns)) < len(columns):
            message = f"source, target and weight must be three columns, got {', '.join(map(repr, columns))}"
            raise InvalidParameterError(message)
        return columns


class Edges(NamedTuple):
    """The edges of one partition: the numbers of their nodes, and their weights in double precision."""

    tail: Index
    head: Index
    weight: Array


class Frame(NamedTuple):
    """One partition.

    Attributes
    ----------
    table : Delayed, or callable
        A pandas frame with the columns that passes read, or what reads it where it is needed.
    whole : Delayed
        That with all columns.
    name : str
        What messages call it.
    """

    table: Delayed | Callable[[], pd.DataFrame]
    whole: Delayed
    name: str


def parquet_frames(path: Any, columns: Columns) -> tuple[Frame, ...]:
    """One frame for each row group of a file, of several, or of all in a folder."""
    return tuple(
        Frame(
            partial(_read_group, str(file), group, list(columns)),
            delayed(_read_group)(str(file), group, None),
            f"row group {group} of {file}",
        )
        for file in _files(path)
        for group in range(_row_groups(file, columns))
    )


def _files(path: Any) -> list[Path]:
    try:
        given = [path] if isinstance(path, str | Path) else [Path(one) for one in path]
    except TypeError as error:
        message = f"from_parquet takes a path, or an iterable of paths; got {path!r}"
        raise InvalidParameterError(message) from error
    files = []
    for one in map(Path, given):
        found = sorted(one.rglob("*.parquet")) if one.is_dir() else [one]
        if not found:
            message = f"there is no file *.parquet in {one}"
            raise InvalidParameterError(message)
        files += found
    return files


def _row_groups(file: Path, columns: Columns) -> int:
    if not file.is_file():
        message = f"there is no file {file}"
        raise InvalidParameterError(message)
    try:
        with pq.ParquetFile(file) as about:
            names, count = list(about.schema_arrow.names), int(about.num_row_groups)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        message = f"{file} is no Parquet file: {error}"
        raise InvalidNetworkError(message) from error
    _check_names(names, columns, str(file))
    return count


def _read_group(file: str, group: int, columns: list[str] | None) -> pd.DataFrame:
    with pq.ParquetFile(file) as whole:
        # What pandas made an index of is a column here, so that it is found, and written again.
        return whole.read_row_group(group, columns=columns).to_pandas(ignore_metadata=True)


def dask_frames(frames: Any) -> tuple[Frame, ...]:
    """The partitions of a dask DataFrame, or a sequence of delayed frames as they are."""
    if hasattr(frames, "to_delayed"):
        frames = frames.to_delayed()
    if isinstance(frames, Sequence) and all(isinstance(one, Delayed) for one in frames):
        return tuple(Frame(one, one, f"partition {k}") for k, one in enumerate(frames))
    message = f"from_dask takes a dask DataFrame, or a sequence of delayed pandas frames; got {type(frames).__name__}"
    raise InvalidParameterError(message)


def _check_names(found: Sequence[Any], columns: Columns, where: str) -> None:
    missing = [name for name in columns if name not in found]
    if missing:
        message = (
            f"{where} has no column {missing[0]!r}; it has {', '.join(map(repr, found))}; say which are which by "
            "source=, target= and weight="
        )
        raise InvalidNetworkError(message)


def ends_of(frame: Any, columns: Columns, where: str) -> tuple[Any, Any]:
    """The two ends of each edge as the user names them: the columns, checked."""
    if not isinstance(frame, pd.DataFrame):
        message = f"{where} must be a pandas DataFrame, got {type(frame).__name__}"
        raise InvalidParameterError(message)
    _check_names(list(frame.columns), columns, where)
    for name in columns[:2]:
        lost = frame[name].isna()
        if lost.any():
            message = f"row {int(np.argmax(lost))} of {where} has no {name!r}; every edge needs two ends"
            raise InvalidNetworkError(message)
    return frame[columns.source].to_numpy(), frame[columns.target].to_numpy()


def nodes_of(frame: Any, where: str, columns: Columns) -> Any:
    """The nodes of one partition, each once."""
    return pd.unique(_together(ends_of(frame, columns, where)))


def nodes_of_both(one: Any, other: Any) -> Any:
    """The nodes of two partitions, each once."""
    return pd.unique(_together((one, other)))


def _together(arrays: Sequence[Any]) -> Any:
    """One array of all; integers stay integers, also where no type of NumPy's holds those of two."""
    kind = np.result_type(*arrays)
    loses_digits = kind.kind == "f" and any(one.dtype.kind in "iu" for one in arrays)
    return np.concatenate([one.astype(object) for one in arrays] if loses_digits else arrays)


def edges_of(frame: Any, columns: Columns, nodes: pd.Index, where: str) -> Edges:
    """The edges of one partition, their nodes numbered by an index of all."""
    ends = ends_of(frame, columns, where)
    tail, head = (_numbers(side, nodes, where) for side in ends)
    weight = _real(frame[columns.weight], f"column {columns.weight!r} of {where}")
    if not np.isfinite(weight).all():
        k = int(np.argmin(np.isfinite(weight)))
        edge = f"({name_of(ends[0][k])}, {name_of(ends[1][k])})"
        message = f"weight of edge {edge}, row {k} of {where}, is {weight[k]}; weights must be finite"
        raise InvalidNetworkError(message)
    # Copies of their own, of one type: loops are compiled for each layout, and for what must not be written.
    return Edges(np.array(tail, dtype=np.intp), np.array(head, dtype=np.intp), np.array(weight))


def _real(column: Any, where: str) -> Array:
    """A column of real numbers in double precision, NaN where there is none."""
    try:
        if column.dtype.kind == "c":
            raise TypeError(column.dtype)
        values: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        message = f"{where} must hold real numbers: {error}"
        raise InvalidNetworkError(message) from error
    return values


def _numbers(values: Any, nodes: pd.Index, where: str) -> Index:
    number: Index
    if isinstance(nodes, pd.RangeIndex) and values.dtype.kind in "iu":
        number = values.astype(np.intp, copy=False)
        unknown = (number < 0) | (number >= nodes.size)
    else:
        with _SEARCHES:  # the first search sets up a table, for which pandas has no lock
            nodes.get_indexer(values[:1])
        number = nodes.get_indexer(values).astype(np.intp, copy=False)
        unknown = number < 0
    if unknown.any():
        node = name_of(values[np.argmax(unknown)])
        message = f"{where} has the node {node}, which was not there before; edges must not change meanwhile"
        raise InvalidNetworkError(message)
    return number


def name_of(node: Any) -> str:
    """A node as the user would write it."""
    return repr(node.item() if isinstance(node, np.generic) else node)


def index_of(nodes: Any) -> pd.Index:
    """All nodes in order; a range where they are the numbers from 0 on, which need no search."""
    try:
        every = np.unique(nodes)
    except TypeError as error:
        message = f"nodes must be all numbers, or all text, for there to be an order of them: {error}"
        raise InvalidNetworkError(message) from error
    if every.dtype.kind in "iu" and every.size and every[0] == 0 and every[-1] == every.size - 1:
        return pd.RangeIndex(every.size)
    return pd.Index(every)
