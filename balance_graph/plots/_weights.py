"""Weights before and after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import check_digraph
from balance_graph.plots._axes import (
    COLORS,
    QUIET,
    axes_or_new,
    draw_diagonal,
    draw_grid,
    draw_legend,
    write_note,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_weights(
    before: nx.DiGraph[Any],
    after: nx.DiGraph[Any],
    *,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """Magnitude of each weight after balancing against that before, on logarithmic axes: above the diagonal it grew.

    Parameters
    ----------
    before, after : networkx.DiGraph
        Two networks with the same edges; weights that are zero in either are counted, not drawn.
    weight : str
        Name of the weight attribute.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        If the edges differ.

    See Also
    --------
    plot_balance : What the weights of each unit cost.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> ax = bg.plots.plot_weights(G, bg.balance(G).graph)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('|weight| before', '|weight| after')
    """
    for network in (before, after):
        check_digraph(network)
    if set(before.edges) != set(after.edges):
        message = "plot_weights compares two networks with the same edges; these differ in their edges"
        raise InvalidParameterError(message)
    pairs = np.abs([[data[weight], after.edges[u, v][weight]] for u, v, data in before.edges(data=True)])
    points = pairs.reshape(-1, 2).astype(float).T
    ax = axes_or_new(ax, 5.0, 5.0)
    draw_grid(ax)
    shown = np.all(points > 0, axis=0)
    x, y = points[:, shown]
    size = float(np.clip(6000 / max(x.size, 1), 4, 36))
    grown = y > x
    for chosen, color, label in ((grown, COLORS[0], "grew"), (y < x, COLORS[1], "shrank"), (y == x, QUIET, "kept")):
        if chosen.any():
            text = f"{label}: {np.count_nonzero(chosen)}"
            ax.scatter(x[chosen], y[chosen], s=size, color=color, alpha=0.5, linewidth=0, label=text, zorder=3)
    draw_diagonal(ax, points[:, shown].ravel(), "unchanged")
    ax.set(xlabel="|weight| before", ylabel="|weight| after")
    write_title(ax, f"{x.size} weights")
    draw_legend(ax, markerscale=min(3.0, 6.0 / math.sqrt(size)))
    zeros = shown.size - int(np.count_nonzero(shown))
    write_note(ax, f"{zeros} of weight 0 not shown" if zeros else "")
    return ax
