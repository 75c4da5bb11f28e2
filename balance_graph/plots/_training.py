"""Loss, accuracy and imbalance along training, as loggers record them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.plots._axes import COLORS, draw_grid, draw_legend, from_matplotlib, panels_or_new, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records: TypeAlias = Sequence[Mapping[str, Any]]

# What is drawn, under which names it may be recorded, and whether its axis is logarithmic.
_QUANTITIES = {
    "loss": (("loss",), True),
    "accuracy": (("accuracy",), False),
    "relative imbalance": (("imbalance", "imbalance/total"), True),
}


def plot_training(
    history: Records | Any | Mapping[str, Records | Any],
    *,
    unit: str = "step",
    ax: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Loss, accuracy and relative imbalance along one or more runs of training, side by side.

    Parameters
    ----------
    history : sequence of dict, pandas.DataFrame, or dict label -> one of them
        A record for each time something was logged, in order: ``"loss"``, ``"accuracy"``, and ``"imbalance"`` or what
        `balance_graph.pytorch.imbalance` gives by ``as_dict()``, of which ``"imbalance/total"`` is drawn. A record may
        lack any of them; what none has gets no axes. ``"step"`` is where it is drawn, by default its number.
    unit : str
        Label of the horizontal axes.
    ax : matplotlib axes, one for each of the three that was recorded, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    array of matplotlib axes
        One for each of the three that was recorded. Loss and imbalance are drawn on logarithmic axes, where
        values of 0 and less are left out.

    Raises
    ------
    InvalidParameterError
        If there are no records, none of the three is in them, or one is no number.

    See Also
    --------
    plot_learning : Error and imbalance from two sequences of numbers.

    Examples
    --------
    >>> import balance_graph as bg
    >>> history = [{"loss": 1.0 / k, "accuracy": 1 - 0.5 / k, "imbalance/total": 0.1**k} for k in range(1, 6)]
    >>> axes = bg.plots.plot_training(history, unit="epoch")
    >>> [ax.get_ylabel() for ax in axes]
    ['loss', 'accuracy', 'relative imbalance']
    """
    runs = {label: _records(run) for label, run in _named(history).items()}
    names = {quantity: _name(quantity, runs.values()) for quantity in _QUANTITIES}
    shown = [quantity for quantity, name in names.items() if name]
    if not shown:
        message = f"history must record 'loss', 'accuracy' or 'imbalance' at least once; got {_keys(runs)}"
        raise InvalidParameterError(message)
    axes: NDArray[Any] = panels_or_new(ax, (1, len(shown)), (1.2 + 3.9 * len(shown), 3.6))[0]
    for panel, quantity in zip(axes, shown, strict=True):
        _draw(panel, quantity, {label: _series(run, names[quantity]) for label, run in runs.items()}, unit)
    if len(runs) > 1:
        draw_legend(axes[-1])
    return axes


def _named(history: Any) -> dict[str, Any]:
    if isinstance(history, Mapping) and not hasattr(history, "to_dict"):
        return {str(label).replace("$", r"\$"): run for label, run in history.items()}  # no mathematics in labels
    return {"": history}


def _records(run: Any) -> list[Mapping[str, Any]]:
    """The records of a run; those of a frame are its rows."""
    records = run.to_dict("records") if hasattr(run, "to_dict") else run
    is_sequence = isinstance(records, Sequence) and not isinstance(records, str)
    if not is_sequence or not records or not all(isinstance(record, Mapping) for record in records):
        message = f"history must be a sequence of dicts or a frame, or several of them by name; got {records!r:.100}"
        raise InvalidParameterError(message)
    return list(records)


def _name(quantity: str, runs: Any) -> str:
    """Under which name the quantity is recorded; empty if it is not."""
    recorded = {key for run in runs for record in run for key in record}
    return next((name for name in _QUANTITIES[quantity][0] if name in recorded), "")


def _keys(runs: Mapping[str, Records]) -> str:
    return ", ".join(sorted({repr(key) for run in runs.values() for record in run for key in record})) or "no records"


def _series(run: Records, name: str) -> tuple[Array, Array]:
    """Places and values of the records that have one."""
    pairs = [(record.get("step", k), record[name]) for k, record in enumerate(run) if record.get(name) is not None]
    try:
        places, values = np.array(pairs, dtype=float).reshape(-1, 2).T
    except (TypeError, ValueError) as error:
        message = f"history: {name!r} and 'step' must be numbers in every record that has them"
        raise InvalidParameterError(message) from error
    there = np.isfinite(places) & np.isfinite(values)
    return places[there], values[there]


def _draw(ax: Axes, quantity: str, runs: Mapping[str, tuple[Array, Array]], unit: str) -> None:
    draw_grid(ax)
    is_logarithmic = _QUANTITIES[quantity][1]
    for k, (label, (places, values)) in enumerate(runs.items()):
        style = "-" if k % 2 == 0 else (0, (5, 2))
        seen = np.where(values > 0, values, np.nan) if is_logarithmic else values
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if places.size <= 12 else {}
        ax.plot(places, seen, color=COLORS[k % len(COLORS)], linewidth=1.7, linestyle=style, label=label, **marker)
    if is_logarithmic:
        ax.set_yscale("log")
    else:
        ax.yaxis.set_major_formatter(from_matplotlib("ticker").PercentFormatter(1.0))
    ax.set(xlabel=unit, ylabel=quantity)
    ax.margins(x=0.02)
    write_title(ax, f"{quantity} while training")
