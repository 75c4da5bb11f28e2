"""The log-scales that runs visit, within the intervals that they cannot leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from balance_graph.plots._axes import AFTER, BEFORE, DARK, FAINT, axes_or_new, draw_grid, draw_legend, write_title
from balance_graph.problem.balance_problem import BalanceProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_scale_bounds(
    problem: BalanceProblem, states: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, ax: Axes | None = None
) -> Axes:
    """The interval that each log-scale cannot leave, the part of it that a run visits, and where the run ends.

    Parameters
    ----------
    problem : BalanceProblem
    states : (n_states, n_nodes) array
        Log-scales along a run.
    lower, upper : (n_nodes,) arrays
        From `balance_graph.theory.bounds.scale_bounds`.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_log_scales : The scales, step by step.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from balance_graph.theory.bounds import scale_bounds
    >>> problem = bg.compile_graph(bg.networks.chain(3, rng=0))
    >>> run = bg.solve(problem, bg.StochasticSolver(rng=0, record=True))
    >>> ax = bg.plots.plot_scale_bounds(problem, run.history.log_scales, *scale_bounds(problem))
    >>> ax.get_ylabel()
    'log-scale'
    """
    free = problem.manifold.free_nodes
    visited = np.asarray(states, dtype=float)[:, free]
    low, high = (np.asarray(one, dtype=float)[free] for one in (lower, upper))
    ax = axes_or_new(ax, min(max(5.6, 0.42 * free.size), 12.0), 4.0)
    draw_grid(ax)
    x = np.arange(free.size)
    ax.bar(x, high - low, bottom=low, width=0.7, color=FAINT, label="bounds", zorder=2)
    ax.bar(x, np.ptp(visited, axis=0), bottom=visited.min(axis=0), width=0.28, color=AFTER, label="visited", zorder=3)
    ax.scatter(x, visited[0], s=22, facecolor="white", edgecolor=DARK, zorder=4, label="start")
    ax.scatter(x, visited[-1], s=22, color=BEFORE, edgecolor="white", linewidth=0.5, zorder=5, label="end")
    ax.set_xticks(
        x, [str(problem.nodes[k]) for k in free.tolist()], rotation=90 if free.size > 8 else 0, parse_math=False
    )
    ax.set(xlabel="unit", ylabel="log-scale")
    ax.grid(visible=False, axis="x")
    write_title(ax, "no balancing leaves these intervals")
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom - 0.18 * (top - bottom), top)
    draw_legend(ax, ncols=4, loc="lower left")
    return ax
