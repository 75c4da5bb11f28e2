"""Pictures of the results, one a suite: each takes the measures of its suite and returns a matplotlib figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from suites import ORDERS

Measure = dict[str, Any]
# Okabe and Ito's palette, which the color-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333", "#8A8A8A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DARK, QUIET, FAINT = "#333333", "#8A8A8A", "#D9D9D9"
# Imbalances below this are drawn here: it is the rounding of one subtraction.
_FLOOR = 1e-16
# A linear axis reads better than a logarithmic one for values within this factor of each other.
_CLOSE = 30.0


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", dpi=130)


def dress(ax: Axes, title: str, x: str, y: str = "") -> None:
    """Grid behind, no box, logarithmic axes with ticks at powers of ten."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.tick_params(which="both", color=QUIET, labelcolor=DARK, labelsize=9)
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_title(title, fontsize=10.5, color=DARK, loc="left")
    ax.set_xlabel(x, fontsize=9.5, color=DARK)
    ax.set_ylabel(y, fontsize=9.5, color=DARK)


def logarithmic(ax: Axes, which: str) -> None:
    """Powers of ten; at least a decade in view."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    low, high = axis.get_view_interval()
    if high < 10 * low:
        middle = math.sqrt(low * high)
        ax.set(**{f"{which}lim": (middle / 10**0.6, middle * 10**0.6)})
    axis.set_major_locator(LogLocator(numticks=12))
    axis.set_minor_formatter(NullFormatter())


def style(k: int) -> dict[str, Any]:
    return {"color": COLORS[k % len(COLORS)], "marker": MARKERS[(k // len(COLORS) + k) % len(MARKERS)]}


def present(measures: list[Measure], *keys: str) -> list[Measure]:
    return [one for one in measures if all(one.get(key) is not None for key in keys)]


def grouped(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def names(measures: list[Measure], key: str) -> list[str]:
    return list(dict.fromkeys(one[key] for one in measures))


def families(measures: list[Measure]) -> Figure:
    """Cost per family, as given and behind random scales."""
    order = names(measures, "family")[::-1]
    figure = new_figure(7.2, 1.5 + 0.32 * len(order))
    ax = figure.add_subplot()
    for rescaled, word, k in ((False, "weights as drawn", 0), (True, "behind random scales", 1)):
        done = [one for one in present(measures, "products") if bool(one.get("rescaled")) is rescaled]
        good = [one["status"] == "converged" for one in done]
        place = [order.index(one["family"]) + (0.13 if k == 0 else -0.13) for one in done]
        faces = [COLORS[k] if fine else "none" for fine in good]
        ax.scatter([one["products"] for one in done], place, s=42, c=faces, edgecolors=COLORS[k], marker=MARKERS[k])
        ax.scatter([], [], s=42, color=COLORS[k], marker=MARKERS[k], label=word)
    dress(ax, "Cost of a solve (hollow: not converged)", "products of the matrix with a vector")
    logarithmic(ax, "x")
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(-0.6, len(order) - 0.4)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=DARK)
    return figure


def _series(ax: Axes, measures: list[Measure], y: str) -> None:
    """A line per family over the number of edges; single precision stands apart, as a star."""
    order = names(measures, "family")
    for name in order:
        done = [one for one in present(measures, y) if one["family"] == name and one.get("dtype") != "float32"]
        look = {**style(order.index(name)), "linestyle": "-" if order.index(name) < len(COLORS) else "--"}
        ax.plot(
            [one["edges"] for one in done], [one[y] for one in done], label=name, linewidth=1.2, markersize=5, **look
        )
    for one in present(measures, y):
        if one.get("dtype") == "float32":
            look = {"color": style(order.index(one["family"]))["color"], "marker": "*"}
            ax.plot(one["edges"], one[y], markersize=13, linestyle="none", label=f"{one['family']}, float32", **look)


def _slope(ax: Axes, measures: list[Measure]) -> None:
    """The line of proportionality over three decades, below the cheapest of the largest."""
    done = present(measures, "seconds")
    if len(done) < 2:
        return
    anchor = max(done, key=lambda one: (one["size"], -one["seconds"]))
    low = max(min(one["edges"] for one in done), anchor["edges"] / 1000)
    ends = [low, anchor["edges"]]
    values = [0.4 * anchor["seconds"] * x / anchor["edges"] for x in ends]
    ax.plot(ends, values, color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)), label="proportional to edges")


def growth(measures: list[Measure]) -> Figure:
    """Seconds, products and memory over the number of edges."""
    figure = new_figure(11.5, 4.6)
    panels = figure.subplots(1, 3, sharex=True)
    _slope(panels[0], measures)
    for ax, key, title, y in zip(
        panels,
        ("seconds", "products", "peak_bytes_per_edge"),
        ("Time", "Cost", "Peak memory above the matrix"),
        ("seconds", "products", "bytes per edge"),
        strict=True,
    ):
        _series(ax, measures, key)
        dress(ax, title, "edges", y)
        logarithmic(ax, "x")
        if key != "peak_bytes_per_edge":
            logarithmic(ax, "y")
        else:
            ax.margins(y=0.1)
            ax.set_ylim(bottom=0)
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=5, frameon=False, fontsize=8.5, labelcolor=DARK)
    return figure


def depth(measures: list[Measure]) -> Figure:
    """Cost over the number of layers, at a constant number of edges."""
    figure = new_figure(6.4, 3.6)
    ax = figure.add_subplot()
    done = present(measures, "products")
    ax.plot([one["depth"] for one in done], [one["products"] for one in done], linewidth=1.4, markersize=6, **style(0))
    dress(ax, "Cost over depth, at a constant number of edges", "layers", "products")
    logarithmic(ax, "x")
    if done and max(one["products"] for one in done) < _CLOSE * min(one["products"] for one in done):
        ax.set_ylim(bottom=0)
    else:
        logarithmic(ax, "y")
    return figure


def local(measures: list[Measure]) -> Figure:
    """What each order costs to its tolerance, beside Newton."""
    sizes = names(measures, "size")
    order = names(measures, "family")[::-1]
    figure = new_figure(3.2 + 3.6 * len(sizes), 1.9 + 0.42 * len(order))
    panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    for ax, size in zip(panels, sizes, strict=True):
        for one in present(measures, "products"):
            if one["size"] == size:
                _order(ax, one, order)
        dress(ax, f"{grouped(size)} edges", "products")
        logarithmic(ax, "x")
        ax.set_yticks(range(len(order)), order)
        ax.set_ylim(-0.6, len(order) - 0.4)
    _local_legend(figure, panels[0])
    return figure


def _order(ax: Axes, one: Measure, order: list[str]) -> None:
    k = ORDERS.index(one["order"]) if one["task"] == "local" else len(ORDERS)
    color = COLORS[k] if k < len(ORDERS) else DARK
    place = order.index(one["family"]) + 0.3 - 0.12 * k
    face = color if one["status"] == "converged" else "none"
    ax.scatter(one["products"], place, s=40, color=face, edgecolors=color, marker=MARKERS[k])


def _local_legend(figure: Figure, ax: Axes) -> None:
    for k, word in enumerate((*ORDERS, "Newton")):
        ax.scatter([], [], s=40, color=COLORS[k] if k < len(ORDERS) else DARK, marker=MARKERS[k], label=word)
    ax.scatter([], [], s=40, color="none", edgecolors=QUIET, marker="o", label="hollow: not done at the limit")
    handles, words = ax.get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=4, frameon=False, fontsize=9, labelcolor=DARK)


def peers(measures: list[Measure]) -> Figure:
    """Imbalance over time: lower left is better."""
    done = present(measures, "seconds", "relative_imbalance")
    kinds = list(dict.fromkeys((one["family"], one["size"]) for one in measures))
    columns = min(2, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = new_figure(0.6 + 4.6 * columns, 1.4 + 3.0 * rows)
    in_legend = 2 if columns == 1 else 3
    everyone = names(measures, "peer")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for ax, (name, size) in zip(panels, kinds, strict=False):
        for one in done:
            if (one["family"], one["size"]) == (name, size):
                height = max(one["relative_imbalance"], _FLOOR)
                ax.scatter(one["seconds"], height, s=64, **style(everyone.index(one["peer"])))
        dress(ax, f"{name}, {grouped(size)} edges", "seconds", "relative imbalance")
        logarithmic(ax, "x")
        logarithmic(ax, "y")
        ax.margins(0.12)
    for k, word in enumerate(everyone):
        panels[0].scatter([], [], s=64, label=word, **style(k))
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, words, loc="outside lower center", ncols=in_legend, frameon=False, fontsize=9, labelcolor=DARK
    )
    return figure


def matrices(measures: list[Measure]) -> Figure:
    """Time and imbalance over the size, dense and sparse."""
    figure = new_figure(9.2, 4.0)
    panels = figure.subplots(1, 2)
    for ax, keys, title, y in (
        (panels[0], ("seconds", "seconds_gebal"), "Time", "seconds"),
        (panels[1], ("relative_imbalance", "relative_imbalance_gebal"), "Imbalance left", "relative imbalance"),
    ):
        for row, kind in enumerate(("dense", "sparse")):
            for column, (key, word) in enumerate(zip(keys, ("balance_matrix", "LAPACK gebal"), strict=True)):
                done = present([one for one in measures if one["kind"] == kind], key)
                look = {"color": COLORS[column], "marker": MARKERS[row], "linestyle": ("-", "--")[row]}
                values = [max(one[key], _FLOOR) for one in done]
                ax.plot(
                    [one["n"] for one in done], values, label=f"{word}, {kind}", markersize=5, linewidth=1.3, **look
                )
        dress(ax, title, "rows of the matrix", y)
        logarithmic(ax, "x")
        logarithmic(ax, "y")
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=4, frameon=False, fontsize=9, labelcolor=DARK)
    return figure


def blocks(measures: list[Measure]) -> Figure:
    """Passes over the weights, and time in forward passes, over the number of weights."""
    figure = new_figure(9.2, 4.0)
    panels = figure.subplots(1, 2, sharex=True)
    order = names(measures, "family")
    for ax, key, title in (
        (panels[0], "passes", "Passes over the weights"),
        (panels[1], "forward_passes", "Time in forward passes"),
    ):
        for name in order:
            for rescaled in (False, True):
                done = [one for one in present(measures, key) if one["family"] == name and one["rescaled"] is rescaled]
                look = {**style(order.index(name)), "linestyle": "--" if rescaled else "-"}
                words = name + (", rescaled" if rescaled else "")
                xs, ys = [one["edges"] for one in done], [one[key] for one in done]
                if done:
                    ax.plot(xs, ys, label=words, linewidth=1.3, markersize=5, **look)
        dress(ax, title, "weights")
        logarithmic(ax, "x")
        ax.margins(y=0.1)
        ax.set_ylim(bottom=0)
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=DARK)
    return figure


def many(measures: list[Measure]) -> Figure:
    """Time beside that of a cold solve, or of one network of as many edges."""
    done = present(measures, "ratio")
    figure = new_figure(9.2, 0.32 * len(done) + 1.4)
    ax = figure.subplots()
    kinds = list(dict.fromkeys(one.get("change", "side by side") for one in done))
    for k, one in enumerate(reversed(done)):
        kind = one.get("change", "side by side")
        ax.barh(k, one["ratio"], color=COLORS[kinds.index(kind)])
    ax.set_yticks(range(len(done)), [f"{one['family']}: {one.get('change', 'side by side')}" for one in reversed(done)])
    ax.axvline(1.0, color=DARK, linewidth=1.0)
    dress(ax, "Time beside that of a cold solve, or of one network of as many edges", "ratio")
    return figure


def hostile(measures: list[Measure]) -> Figure:
    """Time beside that of a tame network, by kind; hollow where the end is no balance."""
    done = [one for one in present(measures, "over_tame") if one["p"] == 2.0 and not {"dtype", "format"} & one.keys()]
    order = names(done, "family")[::-1]
    cases = list(dict.fromkeys((one["size"], one["change"]) for one in done))
    figure = new_figure(7.2, 1.8 + 0.32 * len(order))
    ax = figure.add_subplot()
    for k, (size, change) in enumerate(cases):
        here = [one for one in done if (one["size"], one["change"]) == (size, change)]
        faces = [COLORS[k % len(COLORS)] if one["status"] == "converged" else "none" for one in here]
        look = {"s": 36, "edgecolors": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)]}
        places = [order.index(one["family"]) for one in here]
        ax.scatter([one["over_tame"] for one in here], places, c=faces, **look)
        ax.scatter([], [], color=COLORS[k % len(COLORS)], label=f"{grouped(size)} edges, {change}", **look)
    ax.set_yticks(range(len(order)), order)
    dress(ax, "Time beside that of a tame network of as many edges", "ratio")
    logarithmic(ax, "x")
    ax.axvline(20.0, color=DARK, linewidth=1.0)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=DARK)
    return figure


PICTURES: dict[str, Callable[[list[Measure]], Figure]] = {
    "families": families,
    "growth": growth,
    "depth": depth,
    "local": local,
    "peers": peers,
    "matrices": matrices,
    "blocks": blocks,
    "many": many,
    "hostile": hostile,
}
