"""What the user says of nodes by their names: which are pinned, and of what degree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from balance_graph._arguments import check_positive
from balance_graph._types import Array, Index, Mask
from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.partitioned.edges import Survey
from balance_graph.partitioned.frames import name_of


def degrees_of(degree: float | Mapping[Any, float], nodes: pd.Index) -> Array:
    """The degree of each node."""
    degrees = np.ones(nodes.size)
    if not isinstance(degree, Mapping):
        degrees[:] = check_positive(degree, "degree")
        return degrees
    for node, number in zip(degree, _numbers_of(degree, nodes, "degree"), strict=True):
        degrees[number] = check_positive(degree[node], f"degree of node {node!r}")
    return degrees


def pinned_of(pinned: Iterable[Any] | None, nodes: pd.Index, survey: Survey) -> Mask:
    """Which nodes are pinned."""
    if pinned is None:
        is_pinned = ~(survey.sources & survey.targets)
    else:
        is_pinned = np.zeros(nodes.size, dtype=bool)
        is_pinned[_numbers_of(pinned, nodes, "pinned")] = True
    if not is_pinned.any():
        message = (
            "no node is pinned, and every one has edges in and out; name one by pinned=[...]: its scale is arbitrary "
            "where all nodes lie on cycles with it"
        )
        raise InvalidParameterError(message)
    return is_pinned


def _numbers_of(names: Iterable[Any], nodes: pd.Index, what: str) -> Index:
    """The numbers of some nodes."""
    if isinstance(names, str | bytes):
        message = f"{what} must be an iterable of nodes, got {names!r}"
        raise InvalidParameterError(message)
    named = list(names)
    number: Index = nodes.get_indexer(pd.Index(named)) if named else np.zeros(0, dtype=np.intp)
    if number.min(initial=0) < 0:
        message = f"{what} names {named[int(np.argmin(number))]!r}, which no edge has as an end"
        raise InvalidParameterError(message)
    return number


def refuse_degrees(chosen: Mask, nodes: pd.Index, degrees: Array, why: str) -> None:
    """Refuse degrees other than 1 of some nodes: the first is named."""
    bad = chosen & (degrees != 1.0)
    if bad.any():
        k = int(np.argmax(bad))
        message = f"node {name_of(nodes[k])} of degree {degrees[k]:g} {why}"
        raise UnsupportedError(message)
