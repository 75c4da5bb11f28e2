"""The log-scale of each unit, step by step, by name."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from balance_graph.errors import InvalidParameterError
from balance_graph.graph.result import BalanceResult
from balance_graph.plots._axes import COLORS, axes_or_new, draw_grid, from_matplotlib, write_title
from balance_graph.plots._runs import Run, recorded_states

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_NAMES = 20
# Names closer than this share of the axis would be printed over each other.
_APART = 0.045


def plot_log_scales(run: Run, *, nodes: Iterable[Hashable] | None = None, ax: Axes | None = None) -> Axes:
    """The log-scale of each unit after every sweep or step of a run, with the name of the unit at its end.

    Parameters
    ----------
    run : result of `balance` or `solve`, or History
        Of a solver with ``record=True``.
    nodes : iterable of nodes, optional
        Which to draw: nodes of the graph for a result of `balance`, numbers of nodes for others. By default all whose
        scale changes; up to 20 are named.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        If the run kept no log-scales, or has no node of a name given.

    See Also
    --------
    plot_trajectories : The same ways in the plane in which they are most spread out.
    plot_convergence : Cost and imbalance along the way.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[1.0, 4.0, 0.5, 3.0])
    >>> result = bg.balance(G, solver=bg.StochasticSolver("cyclic", record=True))
    >>> ax = bg.plots.plot_log_scales(result)
    >>> [text.get_text() for text in ax.texts]
    ['h1.0', 'h2.0', 'h3.0']
    """
    states = next(iter(recorded_states([run]).values()))
    names: list[Hashable] = list(run.graph) if isinstance(run, BalanceResult) else list(range(states.shape[1]))
    if nodes is None:
        chosen = [k for k in range(len(names)) if np.ptp(states[:, k]) > 0]
    else:
        places = {name: k for k, name in enumerate(names)}
        asked = list(nodes)
        if unknown := [name for name in asked if name not in places]:
            message = f"nodes: the run has no node {unknown[0]!r}"
            raise InvalidParameterError(message)
        chosen = [places[name] for name in asked]
    ax = axes_or_new(ax, 6.4, 4.2)
    draw_grid(ax)
    for k, node in enumerate(chosen):
        ax.plot(states[:, node], color=COLORS[k % len(COLORS)], linewidth=1.6)
    if len(chosen) <= _MAX_NAMES:
        _write_names(ax, states[-1, chosen], [str(names[node]) for node in chosen])
    ax.set(xlabel="sweep or step", ylabel="log-scale")
    ax.xaxis.set_major_locator(from_matplotlib("ticker").MaxNLocator(integer=True))
    write_title(ax, f"{len(chosen)} units on their way")
    return ax


def _write_names(ax: Axes, ends: np.ndarray[tuple[int], np.dtype[np.float64]], names: list[str]) -> None:
    """Each name right of where its line ends, moved up where another would be in the way."""
    bottom, top = ax.get_ylim()
    height = -np.inf
    places = {}
    for k in np.argsort(ends, kind="stable").tolist():
        height = max(float(ends[k]), height + _APART * (top - bottom))
        places[k] = height
    for k, name in enumerate(names):
        ax.annotate(
            name,
            (1.0, places[k]),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            color=COLORS[k % len(COLORS)],
            va="center",
            fontsize=8,
            parse_math=False,
        )
