"""Axes and their dress: figures without pyplot, a quiet grid, colors that the color-blind can tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balance_graph._optional import import_optional
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which the color-blind can tell apart.
BEFORE, AFTER = "#D55E00", "#0072B2"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DARK, QUIET, FAINT = "#333333", "#8A8A8A", "#D9D9D9"


def from_matplotlib(name: str) -> Any:
    """A submodule of matplotlib, or the advice to install it."""
    import_optional("matplotlib", extra="plot", purpose="plotting")
    return import_optional(f"matplotlib.{name}", extra="plot", purpose="plotting")


def new_figure(width: float, height: float, dpi: int = 150) -> Figure:
    """A figure of its own, unknown to pyplot; sizes in inches."""
    figure: Figure = from_matplotlib("figure").Figure(figsize=(width, height), layout="constrained", dpi=dpi)
    return figure


def file_suffixes() -> set[str]:
    """Suffixes, without the dot, of the picture files that matplotlib can write.

    Returns
    -------
    set of str

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_result : A picture to write.

    Examples
    --------
    >>> import balance_graph as bg
    >>> {"png", "pdf", "svg"} <= bg.plots.file_suffixes()
    True
    """
    return set(from_matplotlib("backend_bases").FigureCanvasBase.get_supported_filetypes())


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def panels_or_new(
    ax: Sequence[Axes] | NDArray[Any] | None,
    shape: tuple[int, int],
    size: tuple[float, float],
    dpi: int = 150,
    **layout: Any,
) -> Any:
    """The axes given, one for each panel and in any shape, or those of a new figure, as an array of the shape."""
    if ax is None:
        return np.asarray(new_figure(*size, dpi=dpi).subplots(*shape, squeeze=False, **layout))
    given = np.asarray(ax, dtype=object).ravel()
    if given.size != math.prod(shape):
        message = f"ax must hold {math.prod(shape)} axes, one for each panel; it holds {given.size}"
        raise InvalidParameterError(message)
    return given.reshape(shape)


def draw_grid(ax: Axes) -> None:
    """Grid behind, no box: the data carry the picture."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.tick_params(which="both", color=QUIET, labelcolor=DARK, labelsize=9)
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def write_title(ax: Axes, text: str) -> None:
    """What the picture says, on the left."""
    ax.set_title(text, fontsize=10.5, color=DARK, loc="left")


def draw_legend(ax: Axes, **options: Any) -> None:
    """A legend without a box, on white where lines would cross it."""
    ax.legend(**{"frameon": False, "fontsize": 9, "labelcolor": DARK, **options})


def write_note(ax: Axes, text: str) -> None:
    """What the picture leaves out, small and on the right."""
    ax.set_title(text, fontsize=8, color=QUIET, loc="right")


def draw_diagonal(ax: Axes, values: Array, label: str) -> None:
    """Equal logarithmic axes around the values that are not NaN, with the line of equality."""
    values = values[np.isfinite(values)]
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.1, 10.0)
    margin = 1.3 * (high / low) ** 0.05 if low > 0 and math.isfinite(high / low) else 1.3
    limits = (max(low / margin, 1e-307), min(high * margin, 1e307))
    ax.plot(limits, limits, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1, label=label)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        _log_axis(axis, math.log10(limits[1]) - math.log10(limits[0]))


def _log_axis(axis: Any, decades: float) -> None:
    """Ticks at powers of ten; below two decades also at 2 and 5, written out."""
    ticker = from_matplotlib("ticker")
    axis.set_minor_formatter(ticker.NullFormatter())
    if decades < 2.0:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
