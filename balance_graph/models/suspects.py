"""When scaling changed what a model computes: the error that names the units which do so alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from balance_graph._types import Array
from balance_graph.errors import FunctionChangedError
from balance_graph.models.report import layer_of


def function_changed(
    names: Sequence[str],
    log_scales: Array,
    change_of: Callable[[Array], float],
    measured: tuple[float, float],
    consequence: str,
) -> FunctionChangedError:
    """The error, with the units of the layers that change the outputs when they alone are scaled.

    Parameters
    ----------
    names : sequence of str
        Of the free scales.
    log_scales : array
        Those that changed the outputs.
    change_of : callable
        The change of the outputs at other log-scales.
    measured : (change, allowed)
    consequence : str
        What became of the model, for the message.

    Returns
    -------
    FunctionChangedError
    """
    change, allowed = measured
    layers = np.array([layer_of(name) for name in names])
    suspected: list[str] = []
    for layer in dict.fromkeys(layers.tolist()):
        if not change_of(np.where(layers == layer, log_scales, 0.0)) <= allowed:
            suspected += [name for name in names if layer_of(name) == layer]
    listed = ", ".join(suspected[:5]) + (f", ... ({len(suspected)} in all)" if len(suspected) > 5 else "")
    message = (
        f"scaling changed the outputs by {change:.3g} of the largest, more than the {allowed:.2g} that rounding "
        f"explains; {consequence}. Units that change them alone: {listed or 'none, only all together'}. "
        "Either a rule of an operation is wrong, or the model multiplies rounding errors (tolerance= allows more)"
    )
    return FunctionChangedError(message, change=change, tolerance=allowed, units=suspected)
