"""Figures of several pictures: of one balancing, and of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
from numpy.typing import NDArray

from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import check_digraph
from balance_graph.graph.constraints import without_attributes
from balance_graph.graph.result import BalanceResult
from balance_graph.plots._axes import DARK, panels_or_new, write_title
from balance_graph.plots._balance import plot_balance
from balance_graph.plots._convergence import plot_convergence
from balance_graph.plots._network import plot_network
from balance_graph.plots._weights import plot_weights
from balance_graph.problem.regularizers import Regularizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_result(
    before: nx.DiGraph[Any],
    result: BalanceResult,
    regularizer: float | Regularizer | None = None,
    *,
    weight: str | None = None,
    ax: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Four pictures of one balancing: the network before, in-cost against out-cost, convergence, weights.

    Parameters
    ----------
    before : networkx.DiGraph
        The network as it was given to `balance`.
    result : BalanceResult
    regularizer : float or Regularizer, optional
        That of the result, which knows it.
    weight : str, optional
        Name of the weight attribute; the result knows it, too.
    ax : four matplotlib axes, optional
        Where to draw; by default on a new figure, which gets a heading.

    Returns
    -------
    (2, 2) array of matplotlib axes
        Save their figure with ``axes[0, 0].figure.savefig(path)``.

    Raises
    ------
    InvalidParameterError
        If the result was balanced for another regularizer or weight, or from a network of other edges.

    See Also
    --------
    plot_network, plot_balance, plot_convergence, plot_weights : Its panels.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> axes = bg.plots.plot_result(G, bg.balance(G))
    >>> axes[1, 1].get_xlabel()
    '|weight| before'
    """
    check_digraph(before)
    after, weight = result.compiled(regularizer, weight), result.weight
    if after.manifold.edges != list(before.edges):
        message = "before must be the network that was balanced to this result: the edges are not the same"
        raise InvalidParameterError(message)
    before, balanced = (without_attributes(network, result.ignored) for network in (before, result.graph))
    axes: NDArray[Any] = panels_or_new(ax, (2, 2), (11.0, 9.2))
    plot_network(before, result.regularizer, weight=weight, ax=axes[0, 0])
    plot_balance(before, balanced, result.regularizer, weight=weight, ax=axes[0, 1])
    plot_convergence(result, ax=axes[1, 0])
    plot_weights(before, balanced, weight=weight, ax=axes[1, 1])
    if ax is None:
        gap = f"{result.certificate.relative_gap:.1g}"
        _write_heading(axes, f"cost {_costs(result)}, certified within {gap} of the optimum")
    return axes


def plot_demo(
    before: nx.DiGraph[Any],
    runs: Mapping[float, Mapping[str, BalanceResult]],
    *,
    heading: str = "Balancing a trained network",
    ax: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """One row per exponent p: the network before, in-cost against out-cost, the local balancer on its way.

    Parameters
    ----------
    before : networkx.DiGraph
        The network as given.
    runs : dict p -> dict label -> BalanceResult
        Runs of the local balancer; the first of each p is the one whose balanced network is shown.
    heading : str
        Written on a new figure.
    ax : matplotlib axes, three for each exponent, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    array of matplotlib axes
        A row for each exponent, of three axes.

    Raises
    ------
    InvalidParameterError
        If a run was balanced for another exponent.

    See Also
    --------
    plot_result : One balancing.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([4, 6, 6, 2], rng=0)
    >>> runs = {p: {"cyclic": bg.balance(G, p, solver=bg.StochasticSolver("cyclic"))} for p in (2.0, 1.0)}
    >>> bg.plots.plot_demo(G, runs).shape
    (2, 3)
    """
    check_digraph(before)
    shape, size = (max(len(runs), 1), 3), (14.5, 4.5 * max(len(runs), 1) + 0.3)
    rows: NDArray[Any] = panels_or_new(
        ax, shape, size, dpi=110, width_ratios=(1.25, 1.0, 1.15)
    )  # wide: 1600 pixels are enough
    for (left, middle, right), (p, named) in zip(rows, runs.items(), strict=False):
        for run in named.values():
            run.compiled(p, "weight")  # refuses runs for another exponent
        result = next(iter(named.values()))
        plot_network(before, p, ax=left)
        plot_balance(before, result.graph, p, ax=middle)
        plot_convergence(named, ax=right)
        write_title(left, f"p = {p:g}: cost {_costs(result)}")
        write_title(right, "one node at a time, to the certified optimum")
    if ax is None:
        _write_heading(rows, heading)
    return rows


def _costs(result: BalanceResult) -> str:
    return f"{result.initial_cost:.6g} → {result.cost:.6g}"


def _write_heading(axes: NDArray[Any], text: str) -> None:
    axes[0, 0].figure.suptitle(text, fontsize=13, color=DARK, x=0.01, ha="left")
