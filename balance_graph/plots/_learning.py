"""Error and imbalance during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balance_graph.errors import InvalidParameterError
from balance_graph.plots._axes import COLORS, draw_grid, draw_legend, panels_or_new, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_learning(
    runs: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    steps_apart: float = 1.0,
    unit: str = "step",
    ax: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Error and relative imbalance along runs of training, side by side.

    Parameters
    ----------
    runs : dict label -> (errors, imbalances)
        Two sequences of numbers, from the start on.
    steps_apart : float
        Steps between two of the numbers.
    unit : str
        Label of the horizontal axes.
    ax : two matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    array of two matplotlib axes

    Raises
    ------
    InvalidParameterError
        For series of different lengths, or none.
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_convergence : Runs of a solver.

    Examples
    --------
    >>> import balance_graph as bg
    >>> axes = bg.plots.plot_learning({"without": ([1.0, 0.5], [0.3, 0.3]), "with": ([1.0, 0.6], [0.3, 0.1])})
    >>> [ax.get_ylabel() for ax in axes]
    ['error', 'relative imbalance']
    """
    series = {str(label): [np.asarray(one, dtype=float) for one in pair] for label, pair in runs.items()}
    if not series or any(len(pair) != 2 or pair[0].shape != pair[1].shape for pair in series.values()):
        message = "runs must map labels to two sequences of equal length: errors, and relative imbalances"
        raise InvalidParameterError(message)
    axes: NDArray[Any] = panels_or_new(ax, (1, 2), (10.0, 3.9))[0]
    for which, (panel, label) in enumerate(zip(axes, ("error", "relative imbalance"), strict=True)):
        draw_grid(panel)
        for k, (name, pair) in enumerate(series.items()):
            values = pair[which]
            steps = steps_apart * np.arange(values.size)
            style = "-" if k % 2 == 0 else (0, (5, 2))
            shown = np.where(values > 0, values, np.nan)
            panel.plot(steps, shown, color=COLORS[k % len(COLORS)], linewidth=1.7, linestyle=style, label=name)
        panel.set_yscale("log")
        panel.set(xlabel=unit, ylabel=label)
        write_title(panel, f"{label} while learning")
    draw_legend(axes[1])
    return axes
