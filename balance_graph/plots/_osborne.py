"""Proven bounds on Osborne's iteration beside counted steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balance_graph.plots._axes import COLORS, DARK, axes_or_new, draw_grid, draw_legend, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from balance_graph.theory.osborne import OsborneComparison


def plot_osborne(comparison: OsborneComparison, *, ax: Axes | None = None) -> Axes:
    """Steps of Osborne's iteration to each accuracy, counted (solid) and proven to be enough (dashed).

    Parameters
    ----------
    comparison : OsborneComparison
        From `balance_graph.theory.osborne.compare_bounds`.
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
    plot_rates : Rates near the optimum.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from balance_graph.theory.osborne import compare_bounds, gibbs_kernel
    >>> ax = bg.plots.plot_osborne(compare_bounds(gibbs_kernel(8)))
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    ax = axes_or_new(ax, 5.6, 4.4)
    draw_grid(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    accuracies = comparison.accuracies
    for k, (order, counts) in enumerate(comparison.counts.items()):
        color = COLORS[k % len(COLORS)]
        shown = counts > 0  # none needed: nothing to show on a logarithmic axis
        ax.plot(accuracies[shown], counts[shown], color=color, linewidth=1.8, marker="o", markersize=4, label=order)
        # Greedy and random order have the same bound: dashes of different lengths show both.
        bound = comparison.bounds[order]
        ax.plot(accuracies, bound, color=color, linewidth=1.3, linestyle=(2.0 * k, (4, 3 + 2 * k)))
    ax.plot([], [], color=DARK, linewidth=1.3, linestyle=(0, (4, 3)), label="proven to be enough")
    ax.invert_xaxis()
    ax.set(xlabel="accuracy", ylabel="steps")
    write_title(ax, f"n = {comparison.n}, log κ = {comparison.log_condition:.3g}, diameter {comparison.diameter}")
    draw_legend(ax, loc="upper left")
    return ax
