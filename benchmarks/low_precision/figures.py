"""The pictures of the page, drawn from the tables."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pictures import COLORS, DARK, QUIET, dress, logarithmic, new_figure

from low_precision.configuration import ARMS, NONE, ROUNDINGS, STATES
from low_precision.findings import KEPT, Results

_LOOKS = dict(
    zip(
        ARMS,
        zip((QUIET, *(COLORS[k] for k in (5, 0, 2, 3, 1, 4))), ("X", "v", "o", "^", "D", "s", "P"), strict=True),
        strict=True,
    )
)
# The state in the lowest row.
_LAST = list(STATES)[-1]
_WORDS = {"healthy": "as trained", "disturbed": "disturbed"}
# Decibels in view where scales were disturbed; a few intervals of few seeds go on.
_VIEW = (-10, 60)


def png(figure: Figure) -> bytes:
    """No date and no version inside: equal results make equal files."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def gains(results: Results) -> Figure:
    """What each arm adds to the signal-to-noise ratio at 8 bits, case by case: mean over seeds and 95 % interval."""
    cases, arms = results.cases[::-1], [arm for arm in results.arms if arm != NONE]
    figure = new_figure(9.5, 2.2 + 0.8 * len(cases))
    roundings = [one for one in ROUNDINGS if one.bits == 8]
    panels = figure.subplots(len(STATES), len(roundings), sharey=True, sharex="row", squeeze=False)
    for row, state in zip(panels, STATES, strict=True):
        for ax, rounding in zip(row, roundings, strict=True):
            for k, arm in enumerate(arms):
                for one in results.gains(state, rounding.key, arm):
                    place = cases.index(one.case) + 0.36 - 0.72 * k / max(1, len(arms) - 1)
                    _point(ax, (one.low, one.difference, one.high), place, arm)
            ax.axvline(0.0, color=DARK, linewidth=1.0)
            dress(ax, f"{rounding.title}, {_WORDS[state]}", "dB gained" if state == _LAST else "")
            ax.set_yticks(range(len(cases)), cases)
            ax.set_ylim(-0.6, len(cases) - 0.4)
            if state == "healthy":
                ax.set_xscale("symlog", linthresh=2.0)
                ax.set_xticks([-20, -5, -2, -1, 0, 1, 2, 5, 20], ["-20", "-5", "-2", "-1", "0", "1", "2", "5", "20"])
                ax.minorticks_off()
            else:
                ax.set_xlim(*_VIEW)
    return _legend(figure, panels[0][0], arms)


def _point(ax: Axes, values: tuple[float, float, float], place: float, arm: str) -> None:
    color, marker = _LOOKS[arm]
    ax.plot([values[0], values[2]], [place, place], color=color, linewidth=1.1)
    ax.plot(values[1], place, color=color, marker=marker, markersize=4.5, linestyle="none")


def _legend(figure: Figure, ax: Axes, arms: list[str]) -> Figure:
    for arm in arms:
        color, marker = _LOOKS[arm]
        word = f"balanced, {arm}" if arm.startswith("p") else "nothing done" if arm == NONE else arm
        ax.plot([], [], color=color, marker=marker, linestyle="none", label=word)
    handles, words = ax.get_legend_handles_labels()
    figure.legend(
        handles,
        words,
        loc="outside lower center",
        ncols=4 if figure.get_figwidth() < 10 else 7,
        frameon=False,
        fontsize=9,
        labelcolor=DARK,
    )
    return figure


def accuracy(results: Results) -> Figure:
    """Test accuracy of the trained networks: each, faint, and the mean of all."""
    arms = results.arms[::-1]
    figure = new_figure(11.0, 1.5 + 0.62 * len(arms))
    panels = figure.subplots(len(STATES), len(ROUNDINGS), sharey=True, sharex=True, squeeze=False)
    for row, state in zip(panels, STATES, strict=True):
        for ax, rounding in zip(row, ROUNDINGS, strict=True):
            chosen = results.models[results.models.state == state]
            _accuracies(ax, chosen, f"accuracy_{rounding.key}", arms)
            dress(ax, f"{rounding.title}, {_WORDS[state]}", "test accuracy, %" if state == _LAST else "")
            ax.set_yticks(range(len(arms)), ["nothing done" if arm == NONE else arm for arm in arms])
    return figure


def _accuracies(ax: Axes, table: pd.DataFrame, column: str, arms: list[str]) -> None:
    ax.axvline(100 * table[table.arm == NONE].groupby("case").accuracy.mean().mean(), color=DARK, linewidth=1.0)
    for place, arm in enumerate(arms):
        color, marker = _LOOKS[arm]
        means = 100 * table[table.arm == arm].groupby("case")[column].mean()
        ax.plot(means, [place] * len(means), color=color, marker=marker, markersize=4, alpha=0.35, linestyle="none")
        ax.plot(means.mean(), place, color=color, marker=marker, markersize=9, markeredgecolor=DARK, linestyle="none")


def peers(results: Results) -> Figure:
    """Behind disturbed scales: squares over the certified optimum, channels that were scaled, bits lost."""
    rows = results.peers[results.peers.state == "disturbed"]
    order = list(dict.fromkeys(rows.architecture))[::-1]
    figure = new_figure(11.0, 1.9 + 0.5 * len(order))
    panels = figure.subplots(1, 3, sharey=True)
    measures = {
        "cost_2": ("Squares (hollow: function changed)", "times the certified optimum"),
        "scaled": ("Channels that were scaled", "% of all channels"),
        "bits_lost": ("Bits lost", "bits, mean over channels"),
    }
    for ax, (measure, (title, unit)) in zip(panels, measures.items(), strict=True):
        for one in rows.itertuples():
            _peer(ax, one, measure, order)
        dress(ax, title, unit)
        ax.set_yticks(range(len(order)), order)
        ax.set_ylim(-0.6, len(order) - 0.4)
    logarithmic(panels[0], "x")
    return _legend(figure, panels[0], results.arms)


def _peer(ax: Axes, one: Any, measure: str, order: list[str]) -> None:
    color, marker = _LOOKS[one.arm]
    value = getattr(one, measure) * (100 / one.channels if measure == "scaled" else 1)
    place = order.index(one.architecture) + 0.3 - 0.6 * ARMS.index(one.arm) / (len(ARMS) - 1)
    face = color if one.change < KEPT else "white"
    ax.plot(value, place, color=color, marker=marker, markersize=6, markerfacecolor=face, linestyle="none")
