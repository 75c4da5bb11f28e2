"""Cost and imbalance along the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from balance_graph._choices import check_choice
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.result import BalanceResult
from balance_graph.plots._axes import (
    COLORS,
    DARK,
    QUIET,
    axes_or_new,
    draw_grid,
    draw_legend,
    from_matplotlib,
    write_title,
)
from balance_graph.plots._runs import Run, Runs, history_of, named_runs
from balance_graph.problem.solution import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHED = (0, (3, 2))


def plot_convergence(
    runs: Runs,
    *,
    quantity: Literal["both", "excess", "imbalance"] = "both",
    lower_bound: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Cost above the certified lower bound, and relative imbalance, after each sweep or iteration of one or more runs.

    Parameters
    ----------
    runs : result of `balance` or `solve`, History, sequence of them, or dict label -> one of them
        Runs on the same network.
    quantity : {"both", "excess", "imbalance"}
        ``"excess"``: ``cost / lower_bound - 1``. Its floor is the certified gap, drawn as a dotted line.
        ``"imbalance"``: largest relative imbalance.
    lower_bound : float, optional
        By default the best certified bound among the runs; without any, the least cost that a run reached.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        For an unknown quantity, no run at all, runs for different regularizers, or a lower bound that is not positive.

    See Also
    --------
    plot_trajectories : The ways of the runs through the space of log-scales.
    plot_log_scales : The log-scale of each unit, step by step.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> runs = {order: bg.balance(G, solver=bg.StochasticSolver(order, rng=0)) for order in ("random", "cyclic")}
    >>> ax = bg.plots.plot_convergence(runs)
    >>> ax.get_xlabel()
    'sweep'
    """
    check_choice(quantity, "quantity", ("both", "excess", "imbalance"))
    named = named_runs(runs)
    log_bound, bound_label = _log_bound(list(named.values()), lower_bound)
    ax = axes_or_new(ax, 6.0, 4.2)
    draw_grid(ax)
    for k, (label, run) in enumerate(named.items()):
        _draw_run(ax, history_of(run), label, COLORS[k % len(COLORS)], quantity, log_bound)
    ax.set_yscale("log")
    ax.set(xlabel=_time_unit(named.values()), ylabel=_value_label(quantity, bound_label))
    gaps = [run.certificate.relative_gap for run in named.values() if isinstance(run, BalanceResult)]
    if quantity != "imbalance" and lower_bound is None and gaps and min(gaps) > 0:
        ax.axhline(min(gaps), color=QUIET, linewidth=1.0, linestyle=":", label=f"certified gap {min(gaps):.1g}")
    if quantity == "both":
        ax.plot([], [], color=DARK, linewidth=1.0, linestyle=_DASHED, label="relative imbalance")
    ax.margins(x=0.02)
    ticker = from_matplotlib("ticker")
    ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    write_title(ax, "to the certified optimum" if gaps else "cost and imbalance along the way")
    draw_legend(ax, loc="upper right")
    return ax


def _log_bound(runs: Sequence[Run], lower_bound: float | None) -> tuple[float, str]:
    """Logarithm of the reference that excess is measured from, and its name."""
    if lower_bound is not None:
        if not (math.isfinite(lower_bound) and lower_bound > 0):
            message = f"lower_bound must be positive and finite, got {lower_bound!r}"
            raise InvalidParameterError(message)
        return math.log(lower_bound), "lower bound"
    certificates = [run.certificate for run in runs if isinstance(run, BalanceResult)]
    bound = max((certificate.lower_bound for certificate in certificates), default=0.0)
    if 0 < bound < math.inf:
        return math.log(bound), "certified lower bound"
    return min(min(history_of(run).log_cost, default=-math.inf) for run in runs), "least cost reached"


def _draw_run(ax: Axes, history: History, label: str, color: str, quantity: str, log_bound: float) -> None:
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(history) <= 12 else {}
    if quantity != "imbalance":
        with np.errstate(invalid="ignore", over="ignore"):
            excess = np.expm1(np.array(history.log_cost) - log_bound)
        ax.plot(np.where(excess > 0, excess, np.nan), color=color, linewidth=1.8, label=label, **marker)
    if quantity != "excess":
        style = {"linestyle": _DASHED} if quantity == "both" else {"label": label}
        values = np.array(history.imbalance)
        ax.plot(np.where(values > 0, values, np.nan), color=color, linewidth=1.1, alpha=0.85, **style, **marker)


def _time_unit(runs: Any) -> str:
    solvers = {getattr(run, "solver", "stochastic") for run in runs}
    if solvers == {"stochastic"}:
        return "sweep"
    return "sweep or iteration" if "stochastic" in solvers else "iteration"


def _value_label(quantity: str, bound_label: str) -> str:
    return "relative imbalance" if quantity == "imbalance" else f"cost / {bound_label} − 1"
