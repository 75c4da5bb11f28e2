"""In-cost against out-cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from balance_graph._types import Array
from balance_graph.graph.compilation import compile_graph
from balance_graph.plots._axes import (
    AFTER,
    BEFORE,
    QUIET,
    axes_or_new,
    draw_diagonal,
    draw_grid,
    draw_legend,
    write_note,
    write_title,
)
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.regularizers import Regularizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_balance(
    before: nx.DiGraph[Any],
    after: nx.DiGraph[Any] | None = None,
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """In-cost against degree times out-cost of each free unit, on logarithmic axes: balanced units lie on the diagonal.

    Parameters
    ----------
    before, after : networkx.DiGraph
        The network as given, and balanced; lines join the two states of a unit. Tied nodes are one unit.
        Units with a cost of 0, or beyond floats, are counted above the axes.
    regularizer : float or Regularizer
    weight : str
        Name of the weight attribute.
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
    plot_network : Where the units are.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> ax = bg.plots.plot_balance(G, bg.balance(G).graph)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('out-cost', 'in-cost')
    """
    ax = axes_or_new(ax, 5.0, 5.0)
    problems = [compile_graph(graph, regularizer, weight=weight) for graph in (before, after) if graph is not None]
    points = [_points(problem) for problem in problems]
    draw_grid(ax)
    if after is not None and points[0].shape == points[1].shape:
        ends = np.stack(points)
        ax.plot(ends[:, 0], ends[:, 1], color=QUIET, linewidth=0.6, alpha=0.5, zorder=2)
    size = float(np.clip(4000 / max(points[0].shape[1], 1), 8, 42))
    for (x, y), color, label in zip(points, (BEFORE, AFTER), ("before", "after"), strict=False):
        shown = np.isfinite(x)
        ax.scatter(x[shown], y[shown], s=size, color=color, edgecolor="white", linewidth=0.5, label=label, zorder=3)
    draw_diagonal(ax, np.concatenate(points, axis=None), "balanced")
    linear = bool(np.all(problems[0].manifold.degree == 1.0))
    ax.set(xlabel="out-cost" if linear else "degree × out-cost", ylabel="in-cost")
    imbalances = " → ".join(f"{problem.relative_imbalance(problem.unscaled):.2g}" for problem in problems)
    write_title(ax, f"relative imbalance {imbalances}")
    draw_legend(ax)
    write_note(ax, _hidden(points))
    return ax


def _points(problem: BalanceProblem) -> Array:
    """Degree times out-cost, and in-cost, of each unit, shape (2, n); NaN where logarithmic axes cannot show them."""
    log_in, log_out = problem.log_sides(problem.unscaled)
    with np.errstate(over="ignore", under="ignore"):
        points = np.exp(np.stack([log_out, log_in]))
    return np.where(np.all((points > 0) & np.isfinite(points), axis=0), points, np.nan)


def _hidden(points: Sequence[Array]) -> str:
    """What logarithmic axes cannot show."""
    if not points[0].size:
        return "no free nodes"
    count = max(int(np.isnan(x).sum()) for x, _ in points)
    return f"{count} unit{'s' * (count > 1)} not shown" if count else ""
