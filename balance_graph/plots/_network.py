"""The network: nodes colored by their imbalance, edges as wide as their weights are large."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from balance_graph._types import Array
from balance_graph.graph.compilation import compile_graph
from balance_graph.plots._axes import DARK, FAINT, QUIET, axes_or_new, from_matplotlib, write_title
from balance_graph.plots._positions import positions_of
from balance_graph.plots._units import signed_imbalance
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.regularizers import Regularizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Positions = Mapping[Hashable, tuple[float, float]]

_SIGNED = "RdBu_r"
# Relative imbalances are colored up to the first of these that holds them all: comparable, and balanced looks balanced.
_LIMITS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
# Above this number of edges arrows take seconds and cannot be told apart.
_MAX_ARROWS = 500
_MAX_LABELS = 40
# Radius of a self-loop's ring, how far it is lifted above its node, both in diameters of the node; half of the widest
# line, in points.
_RING, _LIFT, _LINE = 0.375, 0.62, 1.2
# Names set below nodes smaller than this (in points) would run into the next node.
_LABELED = 16.0


def plot_network(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    positions: Positions | None = None,
    labels: bool | None = None,
    limit: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The network, its nodes colored by their signed relative imbalance ``(in - c out) / (in + c out)``.

    Pinned nodes (and those that fixed edges hold) are gray; tied nodes have the color of their group. Edges are as wide
    as their weights are large; those of zero weight are not drawn.

    Parameters
    ----------
    G : networkx.DiGraph
    regularizer : float or Regularizer
    weight : str
        Name of the weight attribute.
    positions : dict node -> (x, y), optional
        By default layers from left to right; for a recurrent network hidden nodes by springs between inputs and
        outputs.
    labels : bool, optional
        Whether to write the names of nodes; by default up to 40 of them, where there is room.
    limit : float, optional
        Relative imbalance of the strongest color; by default the first of 0.1, 0.2, 0.3, 0.5, 0.7 and 1 that holds all.
    colorbar : bool
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_balance : In-cost against out-cost of its units.

    Examples
    --------
    >>> import balance_graph as bg
    >>> ax = bg.plots.plot_network(bg.networks.layered([3, 5, 4, 2], rng=0))
    >>> ax.get_title(loc="left")
    'relative imbalance 0.87'
    """
    cm, colors = from_matplotlib("cm"), from_matplotlib("colors")
    problem = compile_graph(G, regularizer, weight=weight)
    place = positions_of(G, problem) if positions is None else np.array([positions[node] for node in G], dtype=float)
    place = place.reshape(-1, 2)
    ax = axes_or_new(ax, 7.0, 4.8)
    values = signed_imbalance(problem)
    bound = limit or next(bound for bound in _LIMITS if bound >= np.abs(values[np.isfinite(values)]).max(initial=0.0))
    shades = cm.ScalarMappable(colors.Normalize(-bound, bound), _SIGNED)
    size = _node_sizes(ax, place)
    _draw_edges(ax, problem, place, size)
    _draw_nodes(ax, place, values, size, shades)
    if len(G) <= _MAX_LABELS and size.min(initial=_LABELED) >= _LABELED if labels is None else labels:
        _write_labels(ax, G, place, values / bound, size)
    ax.set_axis_off()
    _make_room(ax, place, size, problem)
    write_title(ax, f"relative imbalance {problem.relative_imbalance(problem.unscaled):.2g}")
    if colorbar:
        _add_colorbar(ax, shades, "degree × out" if np.any(problem.manifold.degree != 1.0) else "out")
    return ax


def _node_sizes(ax: Axes, place: Array) -> Array:
    """Diameter of each node in points, such that neighbors in a column do not touch."""
    height = float(ax.get_window_extent().height * 72.0 / ax.figure.dpi)
    reach = max(float(np.ptp(place[:, 1])), 1e-9) if len(place) else 1.0
    _, column, counts = np.unique(place[:, 0].round(6), return_inverse=True, return_counts=True)
    spread = np.array([np.ptp(place[column == k, 1]) for k in range(counts.size)])
    gaps = np.where(counts > 1, spread / reach, 1.0) / np.maximum(counts - 1, 1)
    crowd = 1.3 * math.sqrt(max(len(place), 1))
    room = np.minimum(gaps[column], 1.0 / crowd) if counts.max(initial=1) <= crowd else gaps[column]
    return np.clip(0.72 * height * room, 2.5, 24.0)


def _draw_nodes(ax: Axes, place: Array, values: Array, size: Array, shades: Any) -> None:
    free = np.isfinite(values)
    gray = [FAINT] * np.count_nonzero(~free)
    for nodes, color, label in ((~free, gray, "pinned"), (free, shades.to_rgba(values[free]), "free")):
        x, y = place[nodes].T
        line = np.minimum(0.8, size[nodes] / 14)
        ax.scatter(
            x,
            y,
            size[nodes] ** 2,
            facecolor=color,
            edgecolor=DARK,
            linewidth=line,
            label=label,
            clip_on=False,
            zorder=4,
        )


def _draw_edges(ax: Axes, problem: BalanceProblem, place: Array, size: Array) -> None:
    manifold = problem.manifold
    order = np.flatnonzero(problem.active)
    order = order[np.argsort(problem.log_weight[order], kind="stable")]  # the strongest on top
    strength = np.exp(problem.log_weight[order] - problem.log_weight[order].max(initial=-745.0))
    tail, head = manifold.tail[order], manifold.head[order]
    loop = tail == head
    _draw_loops(ax, place[tail[loop]], strength[loop], size[tail[loop]])
    if order.size <= _MAX_ARROWS:
        _draw_arrows(ax, place, tail[~loop], head[~loop], strength[~loop], size)
    else:
        _draw_lines(ax, np.stack([place[tail[~loop]], place[head[~loop]]], axis=1), strength[~loop])


def _draw_lines(ax: Axes, segments: Array, strength: Array) -> None:
    collections = from_matplotlib("collections")
    crowd = (_MAX_ARROWS / strength.size) ** 0.25
    shade = [(0.25, 0.25, 0.25, crowd * (0.03 + 0.5 * value)) for value in strength.tolist()]
    ax.add_collection(collections.LineCollection(segments, linewidths=0.2 + 1.4 * strength, colors=shade, zorder=2))


def _draw_arrows(ax: Axes, place: Array, tail: Array, head: Array, strength: Array, size: Array) -> None:
    patches = from_matplotlib("patches")
    pairs = set(zip(tail.tolist(), head.tolist(), strict=True))
    for j, i, value in zip(tail.tolist(), head.tolist(), strength.tolist(), strict=True):
        arrow = patches.FancyArrowPatch(
            place[j],
            place[i],
            arrowstyle="-|>",
            mutation_scale=5.0 + 5.0 * value,
            linewidth=0.4 + 2.0 * value,
            color=(0.25, 0.25, 0.25, 0.25 + 0.55 * value),
            connectionstyle="arc3,rad=0.18" if (i, j) in pairs else "arc3",
            shrinkA=size[j] / 2,
            shrinkB=size[i] / 2 + 0.5,
            zorder=2,
        )
        ax.add_patch(arrow)


def _draw_loops(ax: Axes, place: Array, strength: Array, size: Array) -> None:
    """Self-loops as rings above their nodes."""
    transforms = from_matplotlib("transforms")
    for (x, y), value, width in zip(place.tolist(), strength.tolist(), size.tolist(), strict=True):
        ax.scatter(
            x,
            y,
            s=(2.0 * _RING * width) ** 2,
            facecolor="none",
            edgecolor=(0.25, 0.25, 0.25, 0.35 + 0.5 * value),
            linewidth=0.4 + 2.0 * value,
            transform=ax.transData + transforms.ScaledTranslation(0.0, _LIFT * width / 72.0, ax.figure.dpi_scale_trans),
            clip_on=False,
            zorder=3,
        )


def _make_room(ax: Axes, place: Array, size: Array, problem: BalanceProblem) -> None:
    """Limits of the axes that hold every node and the ring above it, and 7 percent of margin."""
    if not len(place):
        return
    manifold, points = problem.manifold, 72.0 / ax.figure.dpi
    extent = ax.get_window_extent()
    above = 0.5 * size + _LINE
    loops = manifold.tail[problem.active & (manifold.tail == manifold.head)]
    above[loops] = (_LIFT + _RING) * size[loops] + _LINE
    beside = 0.5 * size + _LINE
    x = _limits(place[:, 0], beside, beside, extent.width * points)
    y = _limits(place[:, 1], beside, above, extent.height * points)
    # By way of the data's limits, so that what else is drawn on these axes stays in sight.
    ax.update_datalim(np.column_stack([x, y]))
    ax.margins(0.0, 0.0)


def _limits(center: Array, below: Array, above: Array, length: float) -> tuple[float, float]:
    """Least limits of an axis of this length, in points, that hold what reaches so far below and above the centers."""
    margin = 0.07 * max(float(np.ptp(center)), 1e-9)
    low, high = float(center.min()) - margin, float(center.max()) + margin
    # Limits that grow widen what a point is worth, by a smaller part each time; what fits nowhere gets half the axis.
    down, up = np.minimum(below / length, 0.25), np.minimum(above / length, 0.25)
    for _ in range(60):
        span = high - low
        low, high = min(low, float((center - down * span).min())), max(high, float((center + up * span).max()))
    return low, high


def _write_labels(ax: Axes, G: nx.DiGraph[Any], place: Array, shade: Array, size: Array) -> None:  # noqa: N803
    for node, (x, y), value, width in zip(G, place.tolist(), shade.tolist(), size.tolist(), strict=True):
        text = "".join(c if c.isprintable() else "?" for c in str(node))
        text = text if len(text) <= 8 else f"{text[:7]}…"
        # Letters are about 0.6 as wide as high: the name fits in the node or is set below it.
        fits = 0.62 * 7.0 * len(text) <= width
        ax.annotate(
            text,
            (x, y),
            xytext=(0, 0 if fits else -0.5 * width - 1.5),
            textcoords="offset points",
            ha="center",
            va="center_baseline" if fits else "top",
            parse_math=False,
            fontsize=7,
            color="white" if fits and abs(value) > 0.65 else DARK,
            zorder=5,
        )


def _add_colorbar(ax: Axes, shades: Any, out: str) -> None:
    bar = ax.figure.colorbar(shades, ax=ax, shrink=0.75, aspect=28, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, color=QUIET, labelcolor=DARK)
    bar.set_label(f"(in − {out}) / (in + {out}); gray: pinned", fontsize=8.5, color=DARK)
