"""The linear manifold of a network with two free units: level lines of the cost, and ways across it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import compile_graph
from balance_graph.graph.operations import balance_node
from balance_graph.plots._axes import (
    COLORS,
    DARK,
    FAINT,
    QUIET,
    axes_or_new,
    draw_grid,
    draw_legend,
    new_figure,
    write_title,
)
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.regularizers import Regularizer
from balance_graph.solvers.conductor import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID = 161
_LEVELS = 12
_PLACES = ("o", "s", "D", "^")


def plot_level_lines(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    trajectories: Mapping[str, ArrayLike] | None = None,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """Level lines of the cost of a network with two free units over their log-scales, and ways through them.

    Parameters
    ----------
    G : networkx.DiGraph
        With two unknowns: two free nodes, or groups of tied ones.
    regularizer : float or Regularizer
    trajectories : dict label -> (n_states, 2) array
        Log-scales of the two unknowns, state after state.
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
        For any other number of unknowns.

    See Also
    --------
    plot_manifold : The same in the space of log-gains.

    Examples
    --------
    >>> import balance_graph as bg
    >>> ax = bg.plots.plot_level_lines(bg.networks.chain(2, rng=0))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('log-scale of h1.0', 'log-scale of h2.0')
    """
    problem = _with_two_unknowns(G, regularizer, weight)
    end = _unknowns(problem, solve(problem).log_scales)
    ways = _checked_ways(trajectories)
    ax = axes_or_new(ax, 5.4, 4.8)
    draw_grid(ax)
    ax.grid(visible=False)
    x, y = _square(end, ways)
    excess = _excess(problem, end, x, y)
    ax.contour(x, y, excess, levels=_levels(excess), colors=QUIET, linewidths=0.7, zorder=1)
    for k, (label, way) in enumerate(ways.items()):
        color = COLORS[k % len(COLORS)]
        ax.plot(way[:, 0], way[:, 1], color=color, linewidth=1.6, label=label, zorder=3)
        marker = _PLACES[k % len(_PLACES)]
        ax.scatter(way[1:, 0], way[1:, 1], s=16, color=color, marker=marker, zorder=4)
    starts = np.unique(np.array([way[0] for way in ways.values()]).reshape(-1, 2), axis=0)
    ax.scatter(
        starts[:, 0],
        starts[:, 1],
        s=36,
        facecolor="white",
        edgecolor=DARK,
        zorder=5,
        label="start" if len(starts) else None,
    )
    ax.scatter(end[0], end[1], s=130, marker="*", color=DARK, zorder=5, label="balanced")
    names = _names(problem)
    ax.set(xlabel=f"log-scale of {names[0]}", ylabel=f"log-scale of {names[1]}", aspect="equal")
    write_title(ax, "level lines of the cost")
    draw_legend(ax, frameon=True, framealpha=0.85, edgecolor="none")
    return ax


def plot_balancing_order(
    G: nx.DiGraph[Any],  # noqa: N803
    first: Hashable,
    second: Hashable,
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """Balancing one node and then another, in both orders, over the level lines of the cost.

    Parameters
    ----------
    G : networkx.DiGraph
        With these two as its only free nodes.
    first, second : nodes
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
    InvalidParameterError
        If the network has other free nodes than the two.
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_level_lines : Ways of your own.

    Examples
    --------
    >>> import balance_graph as bg
    >>> ax = bg.plots.plot_balancing_order(bg.networks.chain(2, rng=0), "h1.0", "h2.0")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['h1.0, then h2.0', 'h2.0, then h1.0', 'start', 'balanced']
    """
    problem = _with_two_unknowns(G, regularizer, weight)
    names = _names(problem)
    if {str(first), str(second)} != set(names):
        message = f"first and second must be the two free nodes {names[0]} and {names[1]}; got {first!r}, {second!r}"
        raise InvalidParameterError(message)
    ways = {}
    for order in ((first, second), (second, first)):
        graph, states = G, [np.zeros(2)]
        for node in order:
            graph, scale = balance_node(graph, node, regularizer, weight=weight)
            states.append(states[-1] + np.log(scale) * np.array([str(node) == name for name in names]))
        ways[f"{order[0]}, then {order[1]}"] = np.array(states)
    ax = plot_level_lines(G, regularizer, trajectories=ways, weight=weight, ax=ax)
    ends = [way[-1] for way in ways.values()]
    write_title(ax, f"the two ends are {np.linalg.norm(ends[0] - ends[1]):.2g} apart")
    return ax


def plot_manifold(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    trajectories: Mapping[str, ArrayLike] | None = None,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """The linear manifold of a network with two free units and three edges: a plane in the space of log-gains.

    Parameters
    ----------
    G : networkx.DiGraph
        With two unknowns and three edges, such as a chain of two units.
    regularizer : float or Regularizer
    trajectories : dict label -> (n_states, 2) array
        Log-scales of the two unknowns, state after state.
    weight : str
        Name of the weight attribute.
    ax : matplotlib axes with projection "3d", optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        For any other number of unknowns or edges.

    See Also
    --------
    plot_level_lines : The same in the plane of log-scales.

    Examples
    --------
    >>> import balance_graph as bg
    >>> ax = bg.plots.plot_manifold(bg.networks.chain(2, rng=0))
    >>> ax.get_zlabel()
    'L of h2.0 → y0'
    """
    problem = _with_two_unknowns(G, regularizer, weight)
    if problem.n_edges != 3:
        message = f"a picture in space needs 3 edges, one for each axis; this network has {problem.n_edges}"
        raise InvalidParameterError(message)
    end = _unknowns(problem, solve(problem).log_scales)
    ways = _checked_ways(trajectories)
    incidence = problem.manifold.reduced_incidence.toarray()
    axes: Any = new_figure(6.2, 5.4).add_subplot(projection="3d") if ax is None else ax
    x, y = _square(end, ways)
    corners = np.array([(x[0], y[0]), (x[-1], y[0]), (x[-1], y[-1]), (x[0], y[-1])]) @ incidence.T
    axes.plot_trisurf(*corners.T, triangles=[[0, 1, 2], [0, 2, 3]], color=FAINT, alpha=0.35, shade=False)
    for line in _contours(x, y, _excess(problem, end, x, y)):
        axes.plot(*(line @ incidence.T).T, color=QUIET, linewidth=0.7)
    for k, (label, way) in enumerate(ways.items()):
        axes.plot(*(way @ incidence.T).T, color=COLORS[k % len(COLORS)], linewidth=1.8, marker=".", label=label)
    for point, name, style in (
        (np.zeros(2), "as given", {"s": 40, "marker": "o"}),
        (end, "balanced", {"s": 130, "marker": "*"}),
    ):
        axes.scatter(*(incidence @ point), color=DARK, depthshade=False, label=name, **style)
    edges = [f"L of {j} → {i}" for j, i in problem.manifold.edges]
    axes.set(xlabel=edges[0], ylabel=edges[1], zlabel=edges[2])
    axes.tick_params(labelsize=8, colors=DARK)
    _look_at(axes, incidence)
    write_title(axes, "log-gains that scalings reach: a plane")
    draw_legend(axes, loc="upper left")
    return ax if ax is not None else axes


def _look_at(axes: Any, incidence: Array) -> None:
    """Equal units on all axes, seen from a little beside the plane's normal."""
    normal = np.cross(incidence[:, 0], incidence[:, 1])
    normal *= np.sign(normal[2] or 1.0) / max(float(np.linalg.norm(normal)), 1e-300)
    axes.set_box_aspect(np.ptp([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()], axis=1), zoom=0.82)
    axes.view_init(elev=np.degrees(np.arcsin(normal[2])) - 14.0, azim=np.degrees(np.arctan2(*normal[1::-1])) + 22.0)


def _with_two_unknowns(G: nx.DiGraph[Any], regularizer: float | Regularizer, weight: str) -> BalanceProblem:  # noqa: N803
    problem = compile_graph(G, regularizer, weight=weight)
    count = problem.manifold.basis.shape[1]
    if count != 2:
        message = f"level lines need two free nodes (or groups of tied ones); this network has {count}"
        raise InvalidParameterError(message)
    return problem


def _names(problem: BalanceProblem) -> list[str]:
    """One node of each unknown."""
    columns = problem.manifold.basis.tocsc()
    return [str(problem.nodes[columns.indices[start]]) for start in columns.indptr[:-1]]


def _unknowns(problem: BalanceProblem, log_scales: Array) -> Array:
    found: Array = np.linalg.lstsq(problem.manifold.basis.toarray(), log_scales, rcond=None)[0]
    return found


def _checked_ways(trajectories: Mapping[str, ArrayLike] | None) -> dict[str, Array]:
    ways = {str(label): np.asarray(way, dtype=float) for label, way in (trajectories or {}).items()}
    for label, way in ways.items():
        if way.ndim != 2 or way.shape[1] != 2 or not len(way):
            message = f"trajectory {label!r} must have two columns, the log-scales of the unknowns; got {way.shape}"
            raise InvalidParameterError(message)
    return ways


def _square(end: Array, ways: Mapping[str, Array]) -> tuple[Array, Array]:
    """A square that holds the ways, the balanced state and the start, as two axes."""
    points = np.concatenate([end[None], np.zeros((1, 2)), *ways.values()])
    center = 0.5 * (points.min(axis=0) + points.max(axis=0))
    half = 0.65 * max(float(np.ptp(points, axis=0).max()), 0.8)
    return np.linspace(center[0] - half, center[0] + half, _GRID), np.linspace(
        center[1] - half, center[1] + half, _GRID
    )


def _excess(problem: BalanceProblem, end: Array, x: Array, y: Array) -> Array:
    """Logarithm of the cost over its least value on a grid, rows along y."""
    basis = problem.manifold.basis.toarray()
    least = problem.log_cost(basis @ end)
    return np.array([[problem.log_cost(basis @ np.array([u, v])) - least for u in x] for v in y])


def _levels(excess: Array) -> Array:
    """Levels that grow as squares: near the minimum the lines are then about evenly spaced."""
    roots: Array = np.linspace(0.0, np.sqrt(max(float(excess.max()), 1e-12)), _LEVELS + 1)[1:-1]
    return roots**2


def _contours(x: Array, y: Array, excess: Array) -> list[Array]:
    """Level lines as points, drawn nowhere."""
    lines = new_figure(1.0, 1.0).add_subplot().contour(x, y, excess, levels=_levels(excess))
    return [segment for level in lines.allsegs for segment in level if len(segment) > 1]
