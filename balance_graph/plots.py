"""Pictures of balancing: networks, in-cost against out-cost, the way to the optimum, weights. Needs matplotlib.

Each function draws on the axes it is given, or on those of a new figure, and returns the axes; the figure is then
``axes.figure``. No function touches the global state of pyplot, so nothing needs to be closed and no display is needed.
In-costs and out-costs are in units of the cost's slope, as in `balance_graph.imbalance`: for L_p, p times their sums.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from balance_graph._balance import BalanceResult
from balance_graph._optional import import_optional
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph import compile_graph, roles_of
from balance_graph.problem import BalanceProblem, log_sum_by
from balance_graph.regularizers import Regularizer
from balance_graph.solution import History, Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "file_suffixes",
    "plot_balance",
    "plot_convergence",
    "plot_demo",
    "plot_network",
    "plot_result",
    "plot_weights",
]

Run = BalanceResult | Solution | History
Positions = Mapping[Hashable, tuple[float, float]]

# Okabe and Ito's palette, which the color-blind can tell apart.
_BEFORE, _AFTER = "#D55E00", "#0072B2"
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DARK, _QUIET, _FAINT = "#333333", "#8A8A8A", "#D9D9D9"
_SIGNED = "RdBu_r"
# Relative imbalances are colored up to the first of these that holds them all: comparable, and balanced looks balanced.
_LIMITS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
# Above this number of edges arrows take seconds and cannot be told apart.
_MAX_ARROWS = 500
_MAX_LABELS = 40
# Names set below nodes smaller than this (in points) would run into the next node.
_LABELED = 16.0


# ---- axes ----------------------------------------------------------------------------------------------------------


def _matplotlib(*modules: str) -> list[Any]:
    """Submodules of matplotlib, or the advice to install it."""
    import_optional("matplotlib", extra="plot", purpose="plotting")
    return [import_optional(f"matplotlib.{name}", extra="plot", purpose="plotting") for name in modules]


def _new_figure(width: float, height: float) -> Figure:
    (figure,) = _matplotlib("figure")
    new: Figure = figure.Figure(figsize=(width, height), layout="constrained", dpi=150)
    return new


def file_suffixes() -> set[str]:
    """Suffixes, without the dot, of the picture files that matplotlib can write."""
    (backends,) = _matplotlib("backend_bases")
    return set(backends.FigureCanvasBase.get_supported_filetypes())


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    _matplotlib()
    return _new_figure(width, height).add_subplot() if ax is None else ax


def _plain(ax: Axes) -> None:
    """Grid behind, no box: the data carry the picture."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_QUIET)
    ax.tick_params(which="both", color=_QUIET, labelcolor=_DARK, labelsize=9)
    ax.grid(color=_FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=10.5, color=_DARK, loc="left")


def _legend(ax: Axes, **options: Any) -> None:
    ax.legend(frameon=False, fontsize=9, labelcolor=_DARK, **options)


def _note(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=8, color=_QUIET, loc="right")


def _log_axis(axis: Any, decades: float) -> None:
    """Ticks at powers of ten; below two decades also at 2 and 5, written out."""
    (ticker,) = _matplotlib("ticker")
    axis.set_minor_formatter(ticker.NullFormatter())
    if decades < 2.0:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(ticker.FormatStrFormatter("%g"))


def _diagonal(ax: Axes, values: Array, label: str) -> None:
    """Equal logarithmic axes around the values, with the line of equality."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.1, 10.0)
    margin = 1.3 * (high / low) ** 0.05 if low > 0 and math.isfinite(high / low) else 1.3
    limits = (max(low / margin, 1e-307), min(high * margin, 1e307))
    ax.plot(limits, limits, color=_QUIET, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1, label=label)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        _log_axis(axis, math.log10(limits[1]) - math.log10(limits[0]))


# ---- in-cost against out-cost --------------------------------------------------------------------------------------


def plot_balance(
    before: nx.DiGraph[Any],
    after: nx.DiGraph[Any] | None = None,
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """In-cost against degree times out-cost of each free unit, on logarithmic axes: balanced units lie on the diagonal.

    Parameters
    ----------
    before, after : networkx.DiGraph
        The network as given, and balanced; lines join the two states of a unit. Tied nodes are one unit.
        Units with a cost of 0, or beyond floats, are counted above the axes.
    regularizer : float or Regularizer
    weight : str
        Name of the weight attribute.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> ax = bg.plots.plot_balance(G, bg.balance(G).graph)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('out-cost', 'in-cost')
    """
    ax = _axes(ax, 5.0, 5.0)
    problems = [compile_graph(graph, regularizer, weight=weight) for graph in (before, after) if graph is not None]
    points = [_in_and_out(problem) for problem in problems]
    shown = [np.all((p > 0) & np.isfinite(p), axis=0) for p in points]
    _plain(ax)
    if after is not None and points[0].shape == points[1].shape:
        both = shown[0] & shown[1]
        ends = np.stack([points[0][:, both], points[1][:, both]])
        ax.plot(ends[:, 1], ends[:, 0], color=_QUIET, linewidth=0.6, alpha=0.5, zorder=2)
    size = float(np.clip(4000 / max(points[0].shape[1], 1), 8, 42))
    for p, show, color, label in zip(points, shown, (_BEFORE, _AFTER), ("before", "after"), strict=False):
        ax.scatter(p[1, show], p[0, show], s=size, color=color, edgecolor="white", linewidth=0.5, label=label, zorder=3)
    _diagonal(ax, np.concatenate([p[:, show].ravel() for p, show in zip(points, shown, strict=True)]), "balanced")
    linear = bool(np.all(problems[0].manifold.degree == 1.0))
    ax.set(xlabel="out-cost" if linear else "degree × out-cost", ylabel="in-cost")
    _title(ax, f"relative imbalance {_arrow([_largest(problem) for problem in problems])}")
    _legend(ax)
    _note(ax, _hidden(shown))
    return ax


def _in_and_out(problem: BalanceProblem) -> Array:
    """In-cost and degree times out-cost of each unknown, shape (2, n): nodes that move together count as one."""
    log_in, log_out = _log_in_out(problem)
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(np.stack([log_in, log_out]))


def _log_in_out(problem: BalanceProblem) -> tuple[Array, Array]:
    """Their logarithms."""
    into, out_of = problem.log_in_out(np.zeros(problem.n_nodes))
    basis = problem.manifold.basis.tocoo()
    node, unknown, width = basis.row, basis.col, basis.shape[1]
    size, positive = np.log(np.abs(basis.data)), basis.data > 0
    return (
        log_sum_by(unknown, size + np.where(positive, into[node], out_of[node]), width),
        log_sum_by(unknown, size + np.where(positive, out_of[node], into[node]), width),
    )


def _largest(problem: BalanceProblem) -> float:
    return problem.relative_imbalance(np.zeros(problem.n_nodes))


def _arrow(values: Sequence[float]) -> str:
    return " → ".join(f"{value:.2g}" for value in values)


def _hidden(shown: Sequence[Any]) -> str:
    """What logarithmic axes cannot show."""
    if not shown[0].size:
        return "no free nodes"
    count = max(int(np.count_nonzero(~show)) for show in shown)
    return f"{count} unit{'s' * (count > 1)} not shown" if count else ""


# ---- convergence ---------------------------------------------------------------------------------------------------


def plot_convergence(
    runs: Run | Sequence[Run] | Mapping[str, Run],
    *,
    quantity: str = "both",
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
        For an unknown quantity, no run at all, or a lower bound that is not positive.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> runs = {order: bg.balance(G, solver=bg.StochasticSolver(order, rng=0)) for order in ("random", "cyclic")}
    >>> ax = bg.plots.plot_convergence(runs)
    >>> ax.get_xlabel()
    'sweep'
    """
    if quantity not in {"both", "excess", "imbalance"}:
        message = f"quantity must be 'both', 'excess' or 'imbalance', got {quantity!r}"
        raise InvalidParameterError(message)
    named = _named_runs(runs)
    log_bound, bound_label = _log_bound(list(named.values()), lower_bound)
    ax = _axes(ax, 6.0, 4.2)
    _plain(ax)
    for k, (label, run) in enumerate(named.items()):
        _draw_run(ax, _history(run), label, _COLORS[k % len(_COLORS)], quantity, log_bound)
    ax.set_yscale("log")
    ax.set(xlabel=_time_unit(named.values()), ylabel=_quantity_label(quantity, bound_label))
    gaps = [run.certificate.relative_gap for run in named.values() if isinstance(run, BalanceResult)]
    if quantity != "imbalance" and lower_bound is None and gaps and min(gaps) > 0:
        ax.axhline(min(gaps), color=_QUIET, linewidth=1.0, linestyle=":", label=f"certified gap {min(gaps):.1g}")
    if quantity == "both":
        ax.plot([], [], color=_DARK, linewidth=1.0, linestyle=(0, (3, 2)), label="relative imbalance")
    ax.margins(x=0.02)
    (ticker,) = _matplotlib("ticker")
    ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _title(ax, "to the certified optimum" if gaps else "cost and imbalance along the way")
    _legend(ax, loc="upper right")
    return ax


def _named_runs(runs: Run | Sequence[Run] | Mapping[str, Run]) -> dict[str, Run]:
    if isinstance(runs, Mapping):
        named = {str(label).replace("$", r"\$"): run for label, run in runs.items()}  # no mathematics in labels
    else:
        listed = [runs] if isinstance(runs, Run) else list(runs)
        labels = [getattr(run, "solver", "run") for run in listed]
        named = {
            label if labels.count(label) == 1 else f"{label} {k + 1}": run
            for k, (label, run) in enumerate(zip(labels, listed, strict=True))
        }
    if not named or not all(isinstance(run, Run) for run in named.values()):
        message = f"runs must be results, solutions or histories, at least one; got {runs!r}"
        raise InvalidParameterError(message)
    return named


def _history(run: Run) -> History:
    return run if isinstance(run, History) else run.history


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
    return min(min(_history(run).log_cost, default=-math.inf) for run in runs), "least cost reached"


def _draw_run(ax: Axes, history: History, label: str, color: str, quantity: str, log_bound: float) -> None:
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(history) <= 12 else {}
    if quantity != "imbalance":
        with np.errstate(invalid="ignore", over="ignore"):
            excess = np.expm1(np.array(history.log_cost) - log_bound)
        ax.plot(np.where(excess > 0, excess, np.nan), color=color, linewidth=1.8, label=label, **marker)
    if quantity != "excess":
        dash = (0, (3, 2)) if quantity == "both" else "-"
        values = np.array(history.imbalance)
        name = label if quantity == "imbalance" else None
        shown = np.where(values > 0, values, np.nan)
        ax.plot(shown, color=color, linewidth=1.1, linestyle=dash, label=name, alpha=0.85, **marker)


def _time_unit(runs: Any) -> str:
    solvers = {getattr(run, "solver", "stochastic") for run in runs}
    if solvers == {"stochastic"}:
        return "sweep"
    return "sweep or iteration" if "stochastic" in solvers else "iteration"


def _quantity_label(quantity: str, bound_label: str) -> str:
    excess = f"cost / {bound_label} − 1"
    return {"both": excess, "excess": excess, "imbalance": "relative imbalance"}[quantity]


# ---- the network ---------------------------------------------------------------------------------------------------


def plot_network(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    positions: Positions | None = None,
    labels: bool | None = None,
    limit: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The network, its nodes colored by their signed relative imbalance ``(in - c out) / (in + c out)``.

    Pinned nodes (and those that fixed edges hold) are gray; tied nodes have the color of their group. Edges are as wide
    as their weights are large; those of zero weight are not drawn.

    Parameters
    ----------
    G : networkx.DiGraph
    regularizer : float or Regularizer
    weight : str
        Name of the weight attribute.
    positions : dict node -> (x, y), optional
        By default layers from left to right; for a recurrent network hidden nodes by springs between inputs and
        outputs.
    labels : bool, optional
        Whether to write the names of nodes; by default up to 40 of them, where there is room.
    limit : float, optional
        Relative imbalance of the strongest color; by default the first of 0.1, 0.2, 0.3, 0.5, 0.7 and 1 that holds all.
    colorbar : bool
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import balance_graph as bg
    >>> ax = bg.plots.plot_network(bg.networks.layered([3, 5, 4, 2], rng=0))
    >>> ax.get_title(loc="left")
    'relative imbalance 0.87'
    """
    cm, colors = _matplotlib("cm", "colors")
    problem = compile_graph(G, regularizer, weight=weight)
    place = _positions(G, problem) if positions is None else np.array([positions[node] for node in G], dtype=float)
    place = place.reshape(-1, 2)
    ax = _axes(ax, 7.0, 4.8)
    values = _signed_imbalance(problem)
    bound = limit or next(bound for bound in _LIMITS if bound >= np.abs(values[np.isfinite(values)]).max(initial=0.0))
    shades = cm.ScalarMappable(colors.Normalize(-bound, bound), _SIGNED)
    size = _node_sizes(ax, place)
    _draw_edges(ax, problem, place, size)
    _draw_nodes(ax, place, values, size, shades)
    if len(G) <= _MAX_LABELS and size.min(initial=_LABELED) >= _LABELED if labels is None else labels:
        _write_labels(ax, G, place, values / bound, size)
    ax.set_axis_off()
    ax.margins(0.07, 0.07)
    _title(ax, f"relative imbalance {_largest(problem):.2g}")
    if colorbar:
        _add_colorbar(ax, shades, "degree × out" if np.any(problem.manifold.degree != 1.0) else "out")
    return ax


def _signed_imbalance(problem: BalanceProblem) -> Array:
    """Signed relative imbalance of each node's unknown (the largest, should a node belong to several); NaN if held."""
    log_in, log_out = _log_in_out(problem)
    with np.errstate(invalid="ignore"):
        signed = np.tanh(0.5 * np.where(log_in == log_out, 0.0, log_in - log_out))
    basis = problem.manifold.basis.tocoo()
    values = np.full(problem.n_nodes, np.nan)
    order = np.argsort(np.abs(signed[basis.col]), kind="stable")
    values[basis.row[order]] = signed[basis.col[order]]
    return values


def _positions(G: nx.DiGraph[Any], problem: BalanceProblem) -> Array:  # noqa: N803
    if not len(G):
        return np.zeros((0, 2))
    roles = list(roles_of(G).values())
    if nx.is_directed_acyclic_graph(G):
        return _in_columns(_layers(G, roles), problem)
    return _with_springs(G, roles, problem)


def _layers(G: nx.DiGraph[Any], roles: Sequence[str]) -> list[list[int]]:  # noqa: N803
    """Topological generations; inputs and biases are the first, outputs the last."""
    index = {node: k for k, node in enumerate(G)}
    level = {index[node]: k for k, nodes in enumerate(nx.topological_generations(G)) for node in nodes}
    last = max(level.values())
    for k, role in enumerate(roles):
        level[k] = {"input": 0, "bias": 0, "output": last}.get(role, level[k])
    return [[k for k in range(len(G)) if level[k] == layer] for layer in range(last + 1)]


def _in_columns(layers: list[list[int]], problem: BalanceProblem) -> Array:
    """Columns of equal distance; each node near the mean height of what feeds it, so that fewer edges cross."""
    at = problem.manifold
    place = np.zeros((problem.n_nodes, 2))
    widest = max(map(len, layers))
    for column, nodes in enumerate(layers):
        if not nodes:
            continue
        heights = [_mean_height(place, at.tail[at.head == k]) for k in nodes] if column else [0.0] * len(nodes)
        order = np.argsort(-np.round(heights, 9), kind="stable")
        # Between equal distances and equal columns: short layers neither shrink to a knot nor tear apart.
        half = (len(nodes) / widest) ** 0.3 if len(nodes) > 1 else 0.0
        place[np.array(nodes)[order]] = np.column_stack(
            [np.full(len(nodes), float(column)), np.linspace(half, -half, len(nodes))]
        )
    return place


def _mean_height(place: Array, tails: Array) -> float:
    return float(place[tails, 1].mean()) if tails.size else -1.0


def _with_springs(G: nx.DiGraph[Any], roles: Sequence[str], problem: BalanceProblem) -> Array:  # noqa: N803
    """Hidden nodes by springs, inputs and biases in a column on the left, outputs on the right."""
    inner = [k for k, role in enumerate(roles) if role == "hidden"]
    numbered = nx.relabel_nodes(G, {node: k for k, node in enumerate(G)}).to_undirected()
    wide = 2.5 / math.sqrt(max(len(inner), 1))
    springs = nx.spring_layout(numbered.subgraph(inner), k=wide, iterations=200, weight=None, seed=0)
    place = np.zeros((problem.n_nodes, 2))
    place[inner] = [springs[k] for k in inner]
    for chosen, x in (({"input", "bias"}, -1.7), ({"output"}, 1.7)):
        side = [k for k, role in enumerate(roles) if role in chosen]
        if side:
            half = min(1.0, 0.3 * (len(side) - 1))
            place[side] = np.column_stack([np.full(len(side), x), np.linspace(half, -half, len(side))])
    return place


def _node_sizes(ax: Axes, place: Array) -> Array:
    """Diameter of each node in points, such that neighbors in a column do not touch."""
    height = ax.get_window_extent().height * 72.0 / ax.figure.dpi
    reach = max(float(np.ptp(place[:, 1])), 1e-9) if len(place) else 1.0
    _, column, counts = np.unique(place[:, 0].round(6), return_inverse=True, return_counts=True)
    spread = np.array([np.ptp(place[column == k, 1]) for k in range(counts.size)])
    gaps = np.where(counts > 1, spread / reach, 1.0) / np.maximum(counts - 1, 1)
    crowd = 1.3 * math.sqrt(max(len(place), 1))
    room = np.minimum(gaps[column], 1.0 / crowd) if counts.max(initial=1) <= crowd else gaps[column]
    return np.clip(0.72 * height * room, 2.5, 24.0)


def _draw_nodes(ax: Axes, place: Array, values: Array, size: Array, shades: Any) -> None:
    free = np.isfinite(values)
    gray = [_FAINT] * np.count_nonzero(~free)
    for nodes, color, label in ((~free, gray, "pinned"), (free, shades.to_rgba(values[free]), "free")):
        x, y = place[nodes].T
        line = np.minimum(0.8, size[nodes] / 14)
        ax.scatter(x, y, size[nodes] ** 2, facecolor=color, edgecolor=_DARK, linewidth=line, label=label, zorder=4)


def _draw_edges(ax: Axes, problem: BalanceProblem, place: Array, size: Array) -> None:
    at = problem.manifold
    order = np.flatnonzero(problem.active)
    order = order[np.argsort(problem.log_weight[order], kind="stable")]  # the strongest on top
    strength = np.exp(problem.log_weight[order] - problem.log_weight[order].max(initial=-745.0))
    tail, head = at.tail[order], at.head[order]
    loop = tail == head
    _draw_loops(ax, place[tail[loop]], strength[loop], size[tail[loop]])
    draw = _draw_arrows if order.size <= _MAX_ARROWS else _draw_lines
    draw(ax, place, tail[~loop], head[~loop], strength[~loop], size)


def _draw_lines(ax: Axes, place: Array, tail: Array, head: Array, strength: Array, size: Array) -> None:  # noqa: ARG001
    (collections,) = _matplotlib("collections")
    crowd = (_MAX_ARROWS / strength.size) ** 0.25
    shade = [(0.25, 0.25, 0.25, crowd * (0.03 + 0.5 * value)) for value in strength.tolist()]
    segments = np.stack([place[tail], place[head]], axis=1)
    ax.add_collection(collections.LineCollection(segments, linewidths=0.2 + 1.4 * strength, colors=shade, zorder=2))


def _draw_arrows(ax: Axes, place: Array, tail: Array, head: Array, strength: Array, size: Array) -> None:
    (patches,) = _matplotlib("patches")
    pairs = set(zip(tail.tolist(), head.tolist(), strict=True))
    for j, i, value in zip(tail.tolist(), head.tolist(), strength.tolist(), strict=True):
        arrow = patches.FancyArrowPatch(
            place[j],
            place[i],
            arrowstyle="-|>",
            mutation_scale=5.0 + 5.0 * value,
            linewidth=0.4 + 2.0 * value,
            color=(0.25, 0.25, 0.25, 0.25 + 0.55 * value),
            connectionstyle="arc3,rad=0.18" if (i, j) in pairs else "arc3",
            shrinkA=size[j] / 2,
            shrinkB=size[i] / 2 + 0.5,
            zorder=2,
        )
        ax.add_patch(arrow)


def _draw_loops(ax: Axes, place: Array, strength: Array, size: Array) -> None:
    """Self-loops as rings above their nodes."""
    (transforms,) = _matplotlib("transforms")
    for (x, y), value, width in zip(place.tolist(), strength.tolist(), size.tolist(), strict=True):
        ax.scatter(
            x,
            y,
            s=(0.75 * width) ** 2,
            facecolor="none",
            edgecolor=(0.25, 0.25, 0.25, 0.35 + 0.5 * value),
            linewidth=0.4 + 2.0 * value,
            transform=ax.transData + transforms.ScaledTranslation(0.0, width / 116.0, ax.figure.dpi_scale_trans),
            zorder=3,
        )


def _write_labels(ax: Axes, G: nx.DiGraph[Any], place: Array, shade: Array, size: Array) -> None:  # noqa: N803
    for node, (x, y), value, width in zip(G, place.tolist(), shade.tolist(), size.tolist(), strict=True):
        text = "".join(c if c.isprintable() else "?" for c in str(node))
        text = text if len(text) <= 8 else f"{text[:7]}…"
        # Letters are about 0.6 as wide as high: the name fits in the node or is set below it.
        fits = 0.62 * 7.0 * len(text) <= width
        ax.annotate(
            text,
            (x, y),
            xytext=(0, 0 if fits else -0.5 * width - 1.5),
            textcoords="offset points",
            ha="center",
            va="center_baseline" if fits else "top",
            parse_math=False,
            fontsize=7,
            color="white" if fits and abs(value) > 0.65 else _DARK,
            zorder=5,
        )


def _add_colorbar(ax: Axes, shades: Any, out: str) -> None:
    bar = ax.figure.colorbar(shades, ax=ax, shrink=0.75, aspect=28, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, color=_QUIET, labelcolor=_DARK)
    bar.set_label(f"(in − {out}) / (in + {out}); gray: pinned", fontsize=8.5, color=_DARK)


# ---- weights -------------------------------------------------------------------------------------------------------


def plot_weights(
    before: nx.DiGraph[Any],
    after: nx.DiGraph[Any],
    *,
    weight: str = "weight",
    ax: Axes | None = None,
) -> Axes:
    """Magnitude of each weight after balancing against that before, on logarithmic axes: above the diagonal it grew.

    Parameters
    ----------
    before, after : networkx.DiGraph
        Two networks with the same edges; weights that are zero in either are counted, not drawn.
    weight : str
        Name of the weight attribute.
    ax : matplotlib axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    InvalidParameterError
        If the edges differ.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> ax = bg.plots.plot_weights(G, bg.balance(G).graph)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('|weight| before', '|weight| after')
    """
    if set(before.edges) != set(after.edges):
        message = "plot_weights compares two networks with the same edges; these differ in their edges"
        raise InvalidParameterError(message)
    pairs = np.abs([[data[weight], after.edges[u, v][weight]] for u, v, data in before.edges(data=True)])
    points = pairs.reshape(-1, 2).astype(float).T
    ax = _axes(ax, 5.0, 5.0)
    _plain(ax)
    shown = np.all(points > 0, axis=0)
    x, y = points[:, shown]
    size = float(np.clip(6000 / max(x.size, 1), 4, 36))
    grown = y > x
    for chosen, color, label in ((grown, _COLORS[0], "grew"), (y < x, _COLORS[1], "shrank"), (y == x, _QUIET, "kept")):
        if chosen.any():
            text = f"{label}: {np.count_nonzero(chosen)}"
            ax.scatter(x[chosen], y[chosen], s=size, color=color, alpha=0.5, linewidth=0, label=text, zorder=3)
    _diagonal(ax, points[:, shown].ravel(), "unchanged")
    ax.set(xlabel="|weight| before", ylabel="|weight| after")
    _title(ax, f"{x.size} weights")
    _legend(ax, markerscale=min(3.0, 6.0 / math.sqrt(size)))
    zeros = shown.size - int(np.count_nonzero(shown))
    _note(ax, f"{zeros} of weight 0 not shown" if zeros else "")
    return ax


# ---- figures -------------------------------------------------------------------------------------------------------


def plot_result(
    before: nx.DiGraph[Any],
    result: BalanceResult,
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
) -> Figure:
    """One figure of one balancing: the network before, in-cost against out-cost, convergence, weights.

    Parameters
    ----------
    before : networkx.DiGraph
        The network as it was given to `balance`.
    result : BalanceResult
    regularizer : float or Regularizer
        As given to `balance`.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    matplotlib figure
        Save it with ``figure.savefig(path)``.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> figure = bg.plots.plot_result(G, bg.balance(G))
    >>> len(figure.axes)  # four, and the color bar
    5
    """
    figure = _new_figure(11.0, 9.2)
    axes = figure.subplots(2, 2)
    plot_network(before, regularizer, weight=weight, ax=axes[0, 0])
    plot_balance(before, result.graph, regularizer, weight=weight, ax=axes[0, 1])
    plot_convergence(result, ax=axes[1, 0])
    plot_weights(before, result.graph, weight=weight, ax=axes[1, 1])
    _heading(figure, f"cost {_costs(result)}, certified within {result.certificate.relative_gap:.1g} of the optimum")
    return figure


def plot_demo(
    before: nx.DiGraph[Any],
    runs: Mapping[float, Mapping[str, BalanceResult]],
    *,
    heading: str = "Balancing a trained network",
) -> Figure:
    """One row per exponent p: the network before, in-cost against out-cost, the local balancer on its way.

    Parameters
    ----------
    before : networkx.DiGraph
        The network as given.
    runs : dict p -> dict label -> BalanceResult
        Runs of the local balancer; the first of each p is the one whose balanced network is shown.
    heading : str

    Returns
    -------
    matplotlib figure

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> runs = {p: {"cyclic": bg.balance(G, p, solver=bg.StochasticSolver("cyclic"))} for p in (2.0, 1.0)}
    >>> figure = bg.plots.plot_demo(G, runs)
    >>> len(figure.axes)  # three a row, and its color bar
    8
    """
    figure = _new_figure(14.5, 4.5 * max(len(runs), 1) + 0.3)
    rows = figure.subplots(max(len(runs), 1), 3, squeeze=False, width_ratios=(1.25, 1.0, 1.15))
    for (left, middle, right), (p, named) in zip(rows, runs.items(), strict=False):
        result = next(iter(named.values()))
        plot_network(before, p, ax=left)
        plot_balance(before, result.graph, p, ax=middle)
        plot_convergence(named, ax=right)
        _title(left, f"p = {p:g}: cost {_costs(result)}")
        _title(right, "one node at a time, to the certified optimum")
    _heading(figure, heading)
    return figure


def _costs(result: BalanceResult) -> str:
    return f"{result.initial_cost:.6g} → {result.cost:.6g}"


def _heading(figure: Figure, text: str) -> None:
    figure.suptitle(text, fontsize=13, color=_DARK, x=0.01, ha="left")
