"""Activation functions: the homogeneous classes, and one that is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balance_graph.graph.activations import Activation, activation
from balance_graph.plots._axes import (
    COLORS,
    DARK,
    QUIET,
    axes_or_new,
    draw_grid,
    draw_legend,
    panels_or_new,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLASSES = (
    ("BiLU: degree 1", ("linear", "relu", "leaky_relu(0.3)", "abs")),
    ("BiPU: degree c", ("relu2", "bipu(2,1,-1)", "bipu(0.5)", "bipu(3,1,0.5)")),
)
# Dashes tell curves apart where they lie on each other, as all ReLU-like ones do above zero.
_DASHES = ("-", (0, (6, 2)), (0, (2, 2)), (0, (5, 2, 1, 2)))


def plot_activations(
    activations: Sequence[str | Activation], *, reach: float = 2.0, scale: float | None = None, ax: Axes | None = None
) -> Axes:
    """Graphs of activation functions, with their degrees of homogeneity.

    Parameters
    ----------
    activations : sequence of str or Activation
    reach : float
        Inputs are drawn from ``-reach`` to `reach`.
    scale : float, optional
        Draw also ``f(scale z) / scale``, dashed: it is f itself if and only if f has degree 1.
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
    plot_activation_classes : The classes of the paper.

    Examples
    --------
    >>> import balance_graph as bg
    >>> ax = bg.plots.plot_activations(["relu", "tanh"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['relu: degree 1', 'tanh: not homogeneous']
    """
    ax = axes_or_new(ax, 4.6, 4.0)
    draw_grid(ax)
    ax.axhline(0.0, color=QUIET, linewidth=0.8)
    ax.axvline(0.0, color=QUIET, linewidth=0.8)
    z = np.linspace(-reach, reach, 401)
    for k, one in enumerate(activations):
        f = activation(one) if isinstance(one, str) else one
        name = one if isinstance(one, str) else f.name
        label = f"{name}: " + ("not homogeneous" if f.degree is None else f"degree {f.degree:g}")
        color = COLORS[k % len(COLORS)]
        dash = "-" if scale else _DASHES[k % len(_DASHES)]
        ax.plot(z, f(z), color=color, linewidth=2.0, linestyle=dash, label=label)
        if scale:
            ax.plot(z, f(scale * z) / scale, color=color, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.set(xlabel="input z", ylabel="f(z)")
    draw_legend(ax, loc="upper left")
    return ax


def plot_activation_classes(*, ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """The two homogeneous classes of the paper (its Fig. 1), and activations that are not homogeneous.

    Parameters
    ----------
    ax : three matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    array of three matplotlib axes

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.

    See Also
    --------
    plot_activations : Those of your choice.

    Examples
    --------
    >>> import balance_graph as bg
    >>> axes = bg.plots.plot_activation_classes()
    >>> [ax.get_title(loc="left") for ax in axes]
    ['BiLU: degree 1', 'BiPU: degree c', 'neither']
    """
    axes: NDArray[Any] = panels_or_new(ax, (1, 3), (11.0, 4.2))[0]
    for panel, (title, names) in zip(axes, _CLASSES, strict=False):
        plot_activations(names, ax=panel)
        panel.set_ylim(-3.6, 4.2)
        draw_legend(panel, loc="lower right")
        write_title(panel, title)
    last = axes[-1]
    plot_activations(("tanh", "softplus", "relu"), scale=3.0, ax=last)
    last.plot([], [], color=DARK, linewidth=1.2, linestyle=(0, (4, 2)), label="f(3z) / 3")
    last.set_ylim(-1.6, 3.2)
    draw_legend(last, loc="upper left")
    write_title(last, "neither")
    return axes
