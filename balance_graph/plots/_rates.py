"""Predicted against measured rates of local balancing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from balance_graph._choices import check_choice
from balance_graph.errors import InvalidParameterError
from balance_graph.plots._axes import COLORS, QUIET, axes_or_new, draw_grid, draw_legend, from_matplotlib, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D", "v", "P")


def plot_rates(
    rates: Mapping[str, Sequence[tuple[float, float] | tuple[float, float, float]]],
    *,
    quantity: Literal["rate", "difference"] = "rate",
    ax: Axes | None = None,
) -> Axes:
    """Measured against predicted rates of local balancing: factors by which the error shrinks in a sweep.

    Parameters
    ----------
    rates : dict label -> sequence of (predicted, measured) or (predicted, measured, standard error)
        One label for each order, say; one entry for each network.
    quantity : {"rate", "difference"}
        ``"rate"``: the measured rate, on the diagonal where equal. ``"difference"``: measured over predicted, less 1,
        with bars of two standard errors.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        For an unknown quantity, or no rates at all.
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_osborne : Bounds on the way from the start.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from balance_graph.theory.rates import measured_rate, predicted_rate
    >>> problem = bg.compile_graph(bg.networks.chain(3, rng=0))
    >>> ax = bg.plots.plot_rates({"cyclic": [(predicted_rate(problem), measured_rate(problem))]})
    >>> ax.get_xlabel()
    'predicted rate'
    """
    if not rates or not all(len(entries) for entries in rates.values()):
        message = f"rates must map labels to pairs of a predicted and a measured rate, at least one; got {rates!r}"
        raise InvalidParameterError(message)
    check_choice(quantity, "quantity", ("rate", "difference"))
    ax = axes_or_new(ax, 5.0, 5.0)
    draw_grid(ax)
    line = [0.0, 1.0] if quantity == "rate" else [0.0, 0.0]
    ax.plot([0.0, 1.0], line, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1, label="equal")
    farthest = 0.0
    for k, (label, entries) in enumerate(rates.items()):
        predicted, measured, error = np.array([(*entry, 0.0)[:3] for entry in entries], dtype=float).T
        farthest = max(farthest, float(np.abs(measured / predicted - 1.0).max()))
        unit = np.ones_like(predicted) if quantity == "rate" else predicted
        ax.errorbar(
            predicted,
            measured / unit - (quantity == "difference"),
            yerr=2.0 * error / unit,
            linestyle="none",
            marker=_MARKERS[k % len(_MARKERS)],
            markersize=6.0 + 1.5 * (len(rates) - 1 - k) if quantity == "rate" else 5.0,
            markerfacecolor="none",
            color=COLORS[k % len(COLORS)],
            elinewidth=0.8,
            label=str(label),
            zorder=3,
        )
    ax.set(xlabel="predicted rate", xlim=(0.0, 1.0))
    if quantity == "rate":
        ax.set(ylabel="measured rate", ylim=(0.0, 1.0), aspect="equal")
    else:
        ax.set_ylabel("measured / predicted − 1")
        ax.yaxis.set_major_formatter(from_matplotlib("ticker").PercentFormatter(1.0))
    write_title(ax, f"factor of the error in a sweep: apart by at most {farthest:.2%}")
    draw_legend(ax, loc="upper left")
    return ax
