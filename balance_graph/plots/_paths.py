"""Paths through a network, with the scale of every unit, and multiplier and log-gain of every edge, on them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import check_digraph, node_activation, roles_of
from balance_graph.plots._axes import COLORS, DARK, FAINT, QUIET, axes_or_new, from_matplotlib, write_title
from balance_graph.problem.log_domain import exp_or_inf

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Path = Sequence[Hashable]
Nodes = list[Hashable]
_RADIUS = 0.17


def plot_paths(
    G: nx.DiGraph[Any],  # noqa: N803
    log_scales: Mapping[Hashable, float],
    paths: Sequence[Path],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Paths with the scale of each unit, multiplier and log-gain of each edge, and sums (the paper's Fig. 2 to 5).

    The sum weights each log-gain by the product of the degrees after it; with all degrees 1 it is the plain sum. From
    pinned node to pinned node it is zero, and along all paths with the same ends it is the same.

    Parameters
    ----------
    G : networkx.DiGraph
    log_scales : dict node -> log-scale
        As in the result of `balance`; nodes without one are pinned.
    paths : sequence of paths
        Each a sequence of nodes joined by edges; a cycle ends where it starts.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        If two successive nodes of a path are not joined by an edge.

    See Also
    --------
    plot_manifold : The space in which all paths agree.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[1.0, 4.0, 2.0])
    >>> ax = bg.plots.plot_paths(G, bg.balance(G).log_scales, [list(G)])
    >>> ax.get_title(loc="left")
    'log-gains: 0.693 − 0.693 + 0 = 0'
    """
    check_digraph(G)
    ways = [list(path) for path in paths]
    _check_paths(G, ways)
    gains = _log_gains(G, log_scales, ways)
    place = _places(ways)
    sums = [_sum_text(G, gains, way) for way in ways]
    lines = len(ways) if len(ways) > 1 else 0
    heights = [y for _, y in place.values()]
    ax = axes_or_new(ax, 1.7 * len({x for x, _ in place.values()}) + 0.6, 1.9 + np.ptp(heights) + 0.25 * lines)
    _draw_gains(ax, place, gains, ways)
    _draw_units(ax, place, log_scales)
    ax.set_aspect("equal")
    ax.set_xlim(-0.6, max(x for x, _ in place.values()) + 0.6)
    ax.set_ylim(min(heights) - 0.75, max(heights) + 0.55)
    ax.set_axis_off()
    if lines:
        _write_sums(ax, ways, sums)
    else:
        write_title(ax, f"log-gains: {sums[0]}")
    return ax


def _check_paths(G: nx.DiGraph[Any], paths: list[Nodes]) -> None:  # noqa: N803
    for path in paths:
        for edge in pairwise(path):
            if not G.has_edge(*edge):
                message = f"path {path!r}: there is no edge {edge!r}; successive nodes must be joined by an edge"
                raise InvalidParameterError(message)
    if not paths or any(len(path) < 2 for path in paths):
        message = f"paths must be sequences of two nodes or more, at least one; got {paths!r}"
        raise InvalidParameterError(message)


def _degree(G: nx.DiGraph[Any], node: Hashable, log_scales: Mapping[Hashable, float]) -> float:  # noqa: N803
    """Degree of a node; 1 where it is pinned, for then it does not count."""
    degree = node_activation(G.nodes[node], node).degree
    return 1.0 if node not in log_scales or degree is None else float(degree)


def _log_gains(
    G: nx.DiGraph[Any],  # noqa: N803
    log_scales: Mapping[Hashable, float],
    paths: list[Nodes],
) -> dict[tuple[Hashable, Hashable], float]:
    edges = dict.fromkeys(edge for path in paths for edge in pairwise(path))
    return {(j, i): log_scales.get(i, 0.0) - _degree(G, j, log_scales) * log_scales.get(j, 0.0) for j, i in edges}


def _sum_text(
    G: nx.DiGraph[Any],  # noqa: N803
    gains: Mapping[tuple[Hashable, Hashable], float],
    path: Nodes,
) -> str:
    """The weighted sum of the log-gains along a path, written out."""
    roles = roles_of(G)
    terms, total, factor = [], 0.0, 1.0
    for j, i in reversed(list(pairwise(path))):
        gain = gains[j, i]
        terms.append((factor, gain))
        total += factor * gain
        degree = node_activation(G.nodes[j], j).degree
        factor *= float(degree) if roles[j] == "hidden" and degree is not None else 1.0
    texts = [("" if factor == 1.0 else f"{factor:g}·") + _number(abs(gain)) for factor, gain in reversed(terms)]
    signs = [gain < 0 and _number(gain) != "0" for _, gain in reversed(terms)]
    first, *others = zip(signs, texts, strict=True)
    text = ("−" if first[0] else "") + first[1] + "".join((" − " if minus else " + ") + one for minus, one in others)
    # Sums of a few log-gains that cancel leave at most a few units of rounding.
    return f"{text} = {_number(0.0 if abs(total) < 1e-8 else total)}"


def _number(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "−")


def _places(paths: list[Nodes]) -> dict[Hashable, tuple[float, float]]:
    """The first path in a row; nodes that only later paths visit in rows below and above, between their neighbors."""
    place: dict[Hashable, tuple[float, float]] = {}
    rows = [0.0, *(sign * row for row in range(1, len(paths) + 1) for sign in (-1.3, 1.3))]
    used = 0
    for path in paths:
        new = [node for node in dict.fromkeys(path) if node not in place]
        if not new:
            continue
        for node in new:
            place[node] = (_column(path, node, place), rows[used])
        used += 1
    middle = len(paths) > 1 and used == 2
    # Two branches lie above and below the nodes that they share.
    return _parted(place, paths) if middle else place


def _column(path: Nodes, node: Hashable, place: Mapping[Hashable, tuple[float, float]]) -> float:
    """Where a node goes: evenly between the nodes of the path that have their place."""
    at = path.index(node)
    known = [(k, place[other][0]) for k, other in enumerate(path) if other in place and place[other][1] == 0.0]
    before = [(k, x) for k, x in known if k < at]
    after = [(k, x) for k, x in known if k > at]
    if before and after:
        (k, x), (m, z) = before[-1], after[0]
        return x + (z - x) * (at - k) / (m - k)
    if before:
        return before[-1][1] + at - before[-1][0]
    return after[0][1] - (after[0][0] - at) if after else float(at)


def _parted(place: dict[Hashable, tuple[float, float]], paths: list[Nodes]) -> dict[Hashable, tuple[float, float]]:
    shared = set(paths[0]).intersection(*map(set, paths))
    lower = {node for node, (_, y) in place.items() if y < 0}
    return {node: (x, 0.0 if node in shared else -0.65 if node in lower else 0.65) for node, (x, _) in place.items()}


def _draw_gains(
    ax: Axes,
    place: Mapping[Hashable, tuple[float, float]],
    gains: Mapping[tuple[Hashable, Hashable], float],
    paths: list[Nodes],
) -> None:
    patches = from_matplotlib("patches")
    for (j, i), gain in gains.items():
        owner = next(k for k, path in enumerate(paths) if (j, i) in pairwise(path))
        start, end = np.array(place[j]), np.array(place[i])
        between = (x for x, y in place.values() if y == start[1] and start[0] < x < end[0])
        direct = start[1] != end[1] or (end[0] > start[0] and next(between, None) is None)
        bent = 0.0 if direct else -0.35
        color = COLORS[owner % len(COLORS)]
        ax.add_patch(
            patches.FancyArrowPatch(
                tuple(start),
                tuple(end),
                arrowstyle="-|>",
                mutation_scale=13,
                linewidth=1.6,
                color=color,
                connectionstyle=f"arc3,rad={bent}",
                shrinkA=17,
                shrinkB=17,
                zorder=2,
            )
        )
        along = end - start
        normal = np.array([-along[1], along[0]]) / max(np.hypot(*along), 1e-9)
        middle = 0.5 * (start + end) - 0.5 * bent * np.hypot(*along) * normal
        # Outside the bend, or above: away by the reach of the text in that direction.
        side = 1.0 if bent else np.sign(normal[1] or 1.0)
        away = side * (0.3 * abs(normal[0]) + 0.17 * abs(normal[1]) + 0.03) * normal
        ax.annotate(
            f"M = {exp_or_inf(gain):.3g}\nL = {_number(gain)}",
            tuple(middle + away),
            ha="center",
            va="center",
            fontsize=8,
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            zorder=3,
        )


def _draw_units(
    ax: Axes,
    place: Mapping[Hashable, tuple[float, float]],
    log_scales: Mapping[Hashable, float],
) -> None:
    patches = from_matplotlib("patches")
    for node, (x, y) in place.items():
        free = node in log_scales
        face = "white" if free else FAINT
        ax.add_patch(patches.Circle((x, y), _RADIUS, facecolor=face, edgecolor=DARK, linewidth=1.0, zorder=4))
        ax.annotate(str(node), (x, y), ha="center", va="center", fontsize=8, color=DARK, parse_math=False, zorder=5)
        scale = f"Λ = {exp_or_inf(log_scales[node]):.3g}" if free else "Λ = 1"
        ax.annotate(
            scale, (x, y - _RADIUS - 0.05), ha="center", va="top", fontsize=8, color=DARK if free else QUIET, zorder=5
        )


def _write_sums(ax: Axes, paths: list[Nodes], sums: list[str]) -> None:
    lines = [f"{' → '.join(map(str, path))}:  {text}" for path, text in zip(paths, sums, strict=True)]
    ax.set_title("\n".join(lines), fontsize=9, color=DARK, loc="left", parse_math=False)
