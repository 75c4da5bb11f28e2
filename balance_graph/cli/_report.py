"""Values as documents say them, without NaN and tuples, and as lines say them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import balance_graph as bg
from balance_graph.cli._answer import Document

_LISTED = 8


# ---- for machines --------------------------------------------------------------------------------------------------


def finite(value: float) -> float | None:
    """The number, or None where JSON has none."""
    return float(value) if math.isfinite(value) else None


def plain_node(node: Any) -> Any:
    """The node as node-link JSON writes it: a list for a tuple."""
    return [plain_node(part) for part in node] if isinstance(node, tuple) else node


def plain_edges(edges: Iterable[tuple[Hashable, Hashable]]) -> list[list[Any]]:
    """The ends of each edge."""
    return [plain_node(edge) for edge in edges]


def reasons_document(reasons: Iterable[tuple[Hashable, str]]) -> list[Document]:
    """Nodes, each with its reason."""
    return [{"node": plain_node(node), "reason": reason} for node, reason in reasons]


def certificate_document(certificate: bg.Certificate) -> Document:
    """The bound and the gaps."""
    return {name: finite(getattr(certificate, name)) for name in ("lower_bound", "gap", "relative_gap")}


def constraints_document(constraints: Iterable[bg.Constraint], ignored: Sequence[str]) -> Document:
    """What attributes do to the network, and which were read as if they were not there."""
    rows = [{"attribute": one.attribute, "count": one.count, "effect": one.effect} for one in constraints]
    return {"constraints": rows, "ignored": list(ignored)}


def attainment_document(found: bg.Attainment) -> Document:
    """Whether the minimum is attained, and what is dead."""
    return {
        "attained": found.attained,
        "dead_nodes": reasons_document((node, found.reasons[node]) for node in found.dead_nodes),
        "dead_edges": plain_edges(found.dead_edges),
    }


# ---- for people ----------------------------------------------------------------------------------------------------


def some(items: Sequence[Any]) -> str:
    """The first few of them."""
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(map(repr, items[:_LISTED])) + more


def count(number: int, noun: str) -> str:
    """``1 edge``, ``2 edges``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def dead_lines(found: bg.Attainment) -> list[str]:
    """What is dead, with the reasons."""
    lines = [f"dead node           {node!r}: {found.reasons[node]}" for node in found.dead_nodes[:_LISTED]]
    more = len(found.dead_nodes) - _LISTED
    lines += [f"                    and {more} more"] if more > 0 else []
    return [*lines, f"dead edges          {len(found.dead_edges)}: {some(found.dead_edges)}"]
