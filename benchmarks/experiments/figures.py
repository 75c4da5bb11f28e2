"""The pictures of the page, drawn from the tables."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import balance_graph as bg
from experiments.comparisons import Comparison, log_slope

_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888")
_STAGES = {"untuned": "#ee6677", "tuned": "#4477aa"}
_ALONG = ("plain", "start p=1", "random as p=1", "disturbed", "disturbed widely", "disturbed widely, start p=2")
_AT_RATES = ("plain", "start p=1", "start p=2", "random as p=1", "random as p=2")


def png(figure: Figure) -> bytes:
    """No date and no version inside: equal results make equal files."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()


def rates(runs: pd.DataFrame, experiments: Sequence[tuple[str, str]]) -> Figure:
    """Validation loss after the last epoch against the learning rate, in tuning runs."""
    figure = _figure(len(experiments), 3.6)
    for ax, (name, title) in zip(_axes(figure, len(experiments)), experiments, strict=True):
        chosen = runs[(runs.experiment == name) & (runs.stage == "tuning")]
        for k, arm in enumerate(_AT_RATES):
            losses = chosen[chosen.arm == arm].groupby("rate").validation_loss.mean()
            if len(losses):
                ax.plot(losses.index, losses, "o-", color=_COLORS[k], markersize=4, label=arm)
        ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="validation loss", title=title)
        _grid(ax)
    figure.axes[-1].legend(fontsize=8, frameon=False)
    return figure


def effects(comparisons: dict[str, list[Comparison]], experiment: str, titles: dict[str, str]) -> Figure:
    """Every arm against its reference: the difference and its interval, tuned and untuned."""
    chosen = {measure: [one for one in found if one.experiment == experiment] for measure, found in comparisons.items()}
    names = list(dict.fromkeys((one.arm, one.reference) for one in next(iter(chosen.values()))))
    labels = [arm if reference == "plain" else f"{arm} / {reference}" for arm, reference in names]
    figure = _figure(len(chosen), 1.2 + 0.32 * len(names))
    for ax, (measure, found) in zip(_axes(figure, len(chosen), sharey=True), chosen.items(), strict=True):
        for one in found:
            height = names.index((one.arm, one.reference)) + (0.15 if one.stage == "tuned" else -0.15)
            color, is_real = _STAGES[one.stage], one.sign != 0
            ax.plot([one.low, one.high], [height, height], color=color, linewidth=1.5)
            ax.plot(one.difference, height, "o", color=color, markerfacecolor=color if is_real else "white")
        ax.axvline(0.0, color="#888888", linewidth=0.8)
        ax.set_title(titles[measure], fontsize=10)
        ax.set_yticks(range(len(names)), labels, fontsize=8)
        _grid(ax)
    figure.axes[0].invert_yaxis()
    for stage, color in _STAGES.items():
        figure.axes[-1].plot([], [], "o-", color=color, label=stage)
    figure.axes[-1].legend(fontsize=8, frameon=False)
    return figure


def along(runs: pd.DataFrame, epochs: pd.DataFrame, experiment: str, stage: str) -> Figure:
    """Loss, accuracy and imbalance along training, means over seeds; by the library's own plot."""
    chosen = runs[(runs.experiment == experiment) & (runs.stage == stage)]
    history: dict[str, Any] = {}
    for arm in _ALONG:
        rows = epochs[epochs.key.isin(chosen[chosen.arm == arm].key)]
        if len(rows):
            means = rows.groupby("epoch")[["training_loss", "test_accuracy", "imbalance_2"]].mean().reset_index()
            means.columns = ["step", "loss", "accuracy", "imbalance"]
            history[arm] = means
    return bg.plots.plot_training(history, unit="epoch").flat[0].figure


def staying(runs: pd.DataFrame, experiments: Sequence[tuple[str, str]]) -> Figure:
    """The imbalance that training leaves, against the rate: from a balanced start, and from a plain one."""
    figure = _figure(2, 3.6)
    for ax, arm in zip(_axes(figure, 2, sharey=True), ("start p=2", "plain"), strict=True):
        for k, (name, title) in enumerate(experiments):
            chosen = runs[(runs.experiment == name) & (runs.stage == "tuning") & (runs.arm == arm)]
            means = chosen.groupby("rate").imbalance_2.mean()
            ax.plot(means.index, means, "o-", color=_COLORS[k % len(_COLORS)], markersize=4, label=title)
        ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="mean imbalance of units", title=arm)
        _grid(ax)
    figure.axes[-1].legend(fontsize=7, frameon=False)
    return figure


def conservation(table: pd.DataFrame) -> Figure:
    """Drift against the step, and rates of decay against the prediction."""
    figure = _figure(2, 3.4)
    left, right = _axes(figure, 2)
    drifts = table[table.what == "drift"]
    for seed, rows in drifts.groupby("seed"):
        fitted = log_slope(rows.step, rows.value)
        left.plot(rows.step, rows.value, "o-", color=_COLORS[int(seed) % len(_COLORS)], label=f"slope {fitted:.3f}")
    left.set(xscale="log", yscale="log", xlabel="step", ylabel="mean drift of in² - out²")
    left.legend(fontsize=8, frameon=False)
    decays = table[table.what == "decay"]
    right.plot(decays.penalty, decays.value, "o", color=_COLORS[0])
    right.axhline(1.0, color="#888888", linewidth=0.8)
    right.set(xscale="log", ylim=(0.9, 1.1), xlabel="penalty λ", ylabel="rate of decay / 2λ")
    for ax in (left, right):
        _grid(ax)
    return figure


def prediction(found: pd.DataFrame) -> Figure:
    """Rank correlations with the validation loss: every experiment a point, by predictor."""
    figure = _figure(2, 3.4)
    labels = list(dict.fromkeys(found.predictor))
    titles = {"within": "along a run", "across": "across runs, at their ends"}
    for ax, (column, title) in zip(_axes(figure, 2, sharey=True), titles.items(), strict=True):
        for stage, color in _STAGES.items():
            rows = found[found.stage == stage]
            places = np.array([labels.index(one) for one in rows.predictor]) + (0.12 if stage == "tuned" else -0.12)
            ax.plot(places, rows[column], "o", color=color, alpha=0.7, label=stage)
        ax.axhline(0.0, color="#888888", linewidth=0.8)
        ax.set_xticks(range(len(labels)), labels)
        ax.set(ylim=(-1.05, 1.05), title=title, ylabel="rank correlation")
        _grid(ax)
    figure.axes[-1].legend(fontsize=8, frameon=False)
    return figure


def _figure(columns: int, height: float) -> Figure:
    return Figure(figsize=(1.0 + 3.9 * columns, height), layout="constrained")


def _axes(figure: Figure, columns: int, sharey: bool = False) -> list[Any]:
    return list(figure.subplots(1, columns, squeeze=False, sharey=sharey)[0])


def _grid(ax: Any) -> None:
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
