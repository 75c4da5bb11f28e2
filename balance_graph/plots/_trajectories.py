"""Runs of a solver as ways through the space of log-scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from balance_graph.plots._axes import COLORS, DARK, axes_or_new, draw_grid, draw_legend, from_matplotlib, write_title
from balance_graph.plots._runs import Runs, recorded_states

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_trajectories(runs: Runs | Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Ways of many runs through the space of log-scales, seen in the plane in which they are most spread out.

    Parameters
    ----------
    runs : result of `balance` or `solve`, History, sequence of them, or dict label -> one of them
        As for `plot_convergence`, of a solver with ``record=True``; in a dict also (n_states, n_nodes) arrays of
        log-scales. Labels that are the same up to a last word in parentheses share a color.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        For runs that kept no log-scales.
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_log_scales : Step by step, by name.
    plot_distances : How far from the end.

    Examples
    --------
    >>> import balance_graph as bg
    >>> problem = bg.compile_graph(bg.networks.layered([3, 4, 2], rng=0))
    >>> solver = bg.StochasticSolver(rng=0, record=True)
    >>> ax = bg.plots.plot_trajectories({"random": bg.solve(problem, solver)})
    >>> ax.get_xlabel()
    'first principal direction of the log-scales'
    """
    states = recorded_states(runs)
    ax = axes_or_new(ax, 5.6, 4.6)
    draw_grid(ax)
    # Centered on where the first run ends; the plane is that of the largest scatter of all states.
    end = next(iter(states.values()))[-1]
    everything = np.concatenate(list(states.values())) - end
    plane = np.linalg.svd(everything, full_matrices=False)[2][:2]
    if len(plane) < 2:
        plane = np.vstack([plane, np.zeros_like(plane)])
    colors = _colors(states)
    for label, points in states.items():
        x, y = plane @ (points - end).T
        color, family = colors[label]
        ax.plot(x, y, color=color, linewidth=0.9, alpha=0.75, marker=".", markersize=3.0, label=family, zorder=2)
        ax.scatter(x[:1], y[:1], s=18, facecolor="white", edgecolor=color, linewidth=1.0, zorder=3)
    ax.scatter([0.0], [0.0], s=130, marker="*", color=DARK, zorder=4, label="the balanced state")
    ax.set(xlabel="first principal direction of the log-scales", ylabel="second")
    farthest = max(float(np.abs(points[-1] - end).max()) for points in states.values())
    write_title(ax, f"{len(states)} runs, ends apart by at most {farthest:.1g}")
    draw_legend(ax)
    return ax


def plot_distances(runs: Runs | Mapping[str, ArrayLike], end: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Largest distance of a log-scale from the balanced state after each sweep, of many runs.

    Parameters
    ----------
    runs : runs, or dict label -> run or (n_states, n_nodes) array
        As for `plot_trajectories`.
    end : (n_nodes,) array
        Log-scales of the balanced state.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        For runs that kept no log-scales.
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_trajectories : The ways themselves.

    Examples
    --------
    >>> import balance_graph as bg
    >>> problem = bg.compile_graph(bg.networks.layered([3, 4, 2], rng=0))
    >>> run = bg.solve(problem, bg.StochasticSolver(rng=0, record=True))
    >>> ax = bg.plots.plot_distances(run, bg.solve(problem).log_scales)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('sweep', 'log')
    """
    states = recorded_states(runs)
    ax = axes_or_new(ax, 5.6, 4.6)
    draw_grid(ax)
    colors = _colors(states)
    for label, points in states.items():
        distance = np.abs(points - np.asarray(end)).max(axis=1)
        color, family = colors[label]
        ax.plot(np.where(distance > 0, distance, np.nan), color=color, linewidth=1.1, alpha=0.75, label=family)
    ax.set_yscale("log")
    ax.set(xlabel="sweep", ylabel="largest distance of a log-scale")
    ax.xaxis.set_major_locator(from_matplotlib("ticker").MaxNLocator(integer=True))
    write_title(ax, "distance from the balanced state")
    draw_legend(ax)
    return ax


def _colors(states: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Color of each run, and a label for the first of each family."""
    families: dict[str, str] = {}
    result: dict[str, tuple[str, str | None]] = {}
    for label in states:
        family = label.partition(" (")[0].replace("$", r"\$")
        known = family in families
        color = families.setdefault(family, COLORS[len(families) % len(COLORS)])
        result[label] = (color, None if known else family)
    return result
