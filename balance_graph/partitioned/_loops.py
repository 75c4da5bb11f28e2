"""The compiled loops over partitions, made ready by one thread of a process before others use them."""

from __future__ import annotations

from functools import cache
from threading import Lock
from types import ModuleType

import numpy as np

_FIRST = Lock()


def compiled_loops() -> ModuleType:
    """The module of loops, compiled: threads that compile one side by side have been seen to get wrong results."""
    with _FIRST:
        return _ready()


@cache
def _ready() -> ModuleType:
    from balance_graph.partitioned import _kernels as kernels  # compiled loops: slow to load
    from balance_graph.partitioned.frames import Edges

    edges = Edges(np.zeros(1, dtype=np.intp), np.ones(1, dtype=np.intp), np.ones(1))
    part, marks, values = np.zeros(2, dtype=np.int32), np.zeros((2, 2), dtype=np.bool_), np.zeros((4, 2))
    kernels.find_extent(edges, part, *marks)
    kernels.add_products(edges, part, 2.0, (1.0, 1.0), *values)
    kernels.mark_reached(edges, *marks)
    return kernels
