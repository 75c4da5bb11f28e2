"""Partitions after scaling, and the files that they are written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

import numpy as np
import pandas as pd
from dask import compute
from dask.delayed import Delayed, delayed

from balance_graph._types import Array, Index
from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.partitioned.frames import Columns, edges_of, name_of
from balance_graph.problem.log_domain import times_exp


def scaled_frame(
    frame: pd.DataFrame, name: str, columns: Columns, nodes: pd.Index, log_scales: Array, degree: Array, part: Index
) -> pd.DataFrame:
    """A partition with its weights after scaling; those between parts are zero.

    Raises
    ------
    UnsupportedError
        If a weight would become infinite or zero: then the network would no longer compute the same.
    """
    (tail, head, old), weight = edges_of(frame, columns, nodes, name), columns.weight
    log_gains = log_scales[head] - degree[tail] * log_scales[tail]
    kind = frame[weight].dtype
    kind = kind if isinstance(kind, np.dtype) and kind.kind == "f" else np.dtype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        new = times_exp(old, log_gains).astype(kind)
    lives = (tail == head) | ((part[tail] == part[head]) & (part[tail] >= 0))
    lost = lives & (~np.isfinite(new) | ((new == 0.0) & (old != 0.0)))
    new[~lives] = 0.0
    if lost.any():
        k = int(np.argmax(lost))
        edge = f"({name_of(nodes[tail[k]])}, {name_of(nodes[head[k]])})"
        message = (
            f"edge {edge}: the weight {float(old[k])!r} times exp({log_gains[k]:.6g}) leaves the range of {kind}; keep "
            "the log-scales, or write weights of double precision"
        )
        raise UnsupportedError(message)
    return frame.assign(**{weight: new})


def write_frames(frames: Sequence[Delayed], folder: Path) -> None:
    """Write frames, a file each, to a folder that appears when all are complete.

    Raises
    ------
    InvalidParameterError
        If it is there already.
    """
    if folder.exists():
        message = f"{folder} is there already; the balanced edges go to a new folder"
        raise InvalidParameterError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    digits = len(str(len(frames) - 1))
    unfinished = folder.with_name(f"{folder.name}.{uuid4().hex}")
    unfinished.mkdir()
    files = (str(unfinished / f"edges-{k:0{digits}}.parquet") for k in range(len(frames)))
    try:
        compute(*(delayed(_write)(frame, file) for frame, file in zip(frames, files, strict=True)))
        unfinished.rename(folder)
    finally:
        rmtree(unfinished, ignore_errors=True)


def _write(frame: pd.DataFrame, file: str) -> None:
    has_names = any(name is not None for name in frame.index.names)
    frame.to_parquet(file, index=has_names)  # an index without a name numbers rows, no more
