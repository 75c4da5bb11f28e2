"""Constraints that contradict each other or the weights, and those that come and go with a zero weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array
from balance_graph.errors import InvalidNetworkError
from balance_graph.problem.manifold import Manifold, first_of_label


def constrained(manifold: Manifold, weight: Array, *columns: Array) -> Manifold:
    """The architecture with those of its declared constraints on edges that hold at some weights: zero ones are inert.

    Raises
    ------
    InvalidNetworkError
        Where edges of one shared parameter differ in weight, or in one of the columns.
    """
    if manifold.declared is None:
        return manifold
    active = weight != 0
    fixed, shared = manifold.declared.fixed & active, np.where(active, manifold.declared.shared, -1)
    first = first_of_label(shared)
    for column in (weight, fixed, *columns):
        differ = (column != column[first]) & ~(np.isnan(column) & np.isnan(column[first]))
        if differ.any():
            k = int(np.argmax(differ))
            one, two = manifold.names_of(np.array([first[k], k]))
            message = (
                f"edges {one!r} and {two!r} are one shared parameter, but have {column[first[k]]} and {column[k]}; "
                "make them equal"
            )
            raise InvalidNetworkError(message)
    if _same(manifold.fixed, fixed, False) and _same(manifold.shared, shared, -1):
        return manifold
    other = replace(manifold, fixed=fixed if fixed.any() else None, shared=shared if np.any(shared >= 0) else None)
    check_groups(other)
    return other


def _same(one: NDArray[Any] | None, other: NDArray[Any], inert: float) -> bool:
    return bool(np.all(other == inert)) if one is None else np.array_equal(one, other)


def check_groups(manifold: Manifold) -> None:
    """Refuse a group that mixes pinned and free nodes, nodes of different degree, or that fixed edges contradict."""
    if manifold.group is None:
        return
    first = first_of_label(manifold.group)
    mixed = (manifold.pinned != manifold.pinned[first]) | (
        ~manifold.pinned & (manifold.degree != manifold.degree[first])
    )
    if mixed.any():
        node = int(np.flatnonzero(mixed)[0])
        one, two = manifold.nodes[first[node]], manifold.nodes[node]
        remedy = (
            "give nodes of equal `groups` the same `pinned` and `degree`, or a negative label to those that stay alone"
            if manifold.names is None
            else "give tied nodes the same role and activations of the same degree"
        )
        message = (
            f"nodes {one!r} and {two!r} are in one group but cannot share a scale: "
            f"{_describe(manifold, int(first[node]))} against {_describe(manifold, node)}; {remedy}"
        )
        raise InvalidNetworkError(message)
    _ = manifold.n_coordinates  # solving the ties finds the contradictions


def _describe(manifold: Manifold, node: int) -> str:
    return "pinned" if manifold.pinned[node] else f"degree {manifold.degree[node]:g}"
