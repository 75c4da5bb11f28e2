"""``demo``: a trained network balanced by three routes."""

from __future__ import annotations

import argparse
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import balance_graph as bg
from balance_graph.cli._answer import DONE, NO, Answer, Document
from balance_graph.cli._options import add_command
from balance_graph.cli._output import check_figure_file, save_figure
from balance_graph.cli._terminal import ticker
from balance_graph.errors import MissingDependencyError

if TYPE_CHECKING:
    import networkx as nx

    from balance_graph._types import Array, Order

    Results = dict[float, dict[str, bg.BalanceResult]]

_EXPONENTS = (2.0, 1.0)
# The three routes of the demo agree to about 1e-12; a real disagreement is far above this.
_AGREE = 1e-9
_TABLE = "{:>2}  {:<10} {:>10} {:>16} {:>9} {:>8} {:>8} {:>8} {:>8} {:>10}"
_WIDTH = 100
_FIGURE = "balance_demo.png"


def add_demo(commands: Any) -> None:
    """The sub-command."""
    text = "balance a trained network by three routes, which agree; a table and a picture"
    command = add_command(commands, "demo", _demo, text)
    text = "where to save the picture (default: a new folder for temporary files, so that nothing is left here)"
    command.add_argument("--figure", metavar="PATH", help=text)
    command.add_argument("--no-figure", action="store_true", help="save no picture")


def _demo(arguments: argparse.Namespace) -> Answer:
    path, note = _figure_path(arguments)
    network = bg.networks.digits()
    trial = _Trial.of(network)
    with ticker(arguments, "demo") as line:
        results = _results(network, line.say if line else lambda _: None)
    rows = [
        _row(p, route, result, network, routes["Newton"], trial)
        for p, routes in results.items()
        for route, result in routes.items()
    ]
    agree = _agree(rows, trial.accuracy)
    sentences = _sentences(rows, trial) if agree else ["The routes do not agree: see the table."]
    if path:
        save_figure(_picture(network, results), path)
    free = int(bg.compile_graph(network).manifold.free_nodes.size)
    size = {"nodes": len(network), "edges": network.number_of_edges(), "free_nodes": free}
    document = {
        "network": size,
        "images": len(trial.labels),
        "accuracy_before": trial.accuracy,
        "agree": agree,
        "figure": str(path) if path else None,
        "note": note,
        "sentences": sentences,
        "rows": rows,
    }
    wrapped = [line for text in sentences for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ")]
    picture = f"Picture: {path}" if path else f"No picture: {note}."
    return DONE if agree else NO, document, [*_table(size, rows), "", *wrapped, "", picture]


def _figure_path(arguments: argparse.Namespace) -> tuple[Path | None, str | None]:
    """Where the picture goes, or why there is none."""
    if arguments.no_figure:
        return None, "not asked for"
    path = Path(arguments.figure or Path(tempfile.gettempdir()) / _FIGURE)
    try:
        check_figure_file(path)
    except MissingDependencyError as error:
        return None, str(error)
    return path if arguments.figure else Path(tempfile.mkdtemp(prefix="balance-graph-")) / _FIGURE, None


# ---- runs ----------------------------------------------------------------------------------------------------------


class _Trial(NamedTuple):
    """Images, what they show, and what the network as given makes of them."""

    images: Array
    labels: Any
    outputs: Array

    @classmethod
    def of(cls, network: nx.DiGraph[Any]) -> _Trial:
        images, labels = bg.networks.digits_images()
        return cls(images, labels, bg.evaluate(network, images))

    @property
    def accuracy(self) -> float:
        return self.accuracy_of(self.outputs)

    def accuracy_of(self, outputs: Array) -> float:
        return float((outputs.argmax(axis=1) == self.labels).mean())


def _results(network: nx.DiGraph[Any], say: Callable[[str], None]) -> Results:
    solvers: dict[str, Any] = {
        "cvxpy": bg.CvxpySolver(),
        "Newton": bg.NewtonSolver(),
        "stochastic": bg.StochasticSolver(rng=0),
    }
    # Once before it counts: that imports cvxpy and compiles the loops, so that the table shows the time of balancing.
    for route, solver in solvers.items():
        say(f"getting {route} ready")
        bg.balance(network, solver=solver)
    say("balancing")
    return {p: {route: bg.balance(network, p, solver=solver) for route, solver in solvers.items()} for p in _EXPONENTS}


def _row(
    p: float,
    route: str,
    result: bg.BalanceResult,
    network: nx.DiGraph[Any],
    newton: bg.BalanceResult,
    trial: _Trial,
) -> Document:
    outputs = bg.evaluate(result.graph, trial.images)
    return {
        "p": p,
        "route": route,
        "initial_cost": result.initial_cost,
        "cost": result.cost,
        "relative_imbalance": result.relative_imbalance,
        "relative_gap": result.certificate.relative_gap,
        "weights_difference": _largest_difference(network, result.graph, newton.graph),
        "outputs_change": float(abs(outputs - trial.outputs).max() / abs(trial.outputs).max()),
        "accuracy": trial.accuracy_of(outputs),
        "seconds": result.seconds,
        "iterations": result.iterations,
        "converged": result.converged,
    }


def _largest_difference(network: nx.DiGraph[Any], one: nx.DiGraph[Any], two: nx.DiGraph[Any]) -> float:
    """Largest relative difference of a nonzero weight."""
    import numpy as np

    pairs = np.array([(one.edges[edge]["weight"], two.edges[edge]["weight"]) for edge in network.edges])
    pairs = pairs[pairs[:, 1] != 0]
    return float(np.abs(pairs[:, 0] / pairs[:, 1] - 1.0).max(initial=0.0))


def _agree(rows: list[Document], accuracy: float) -> bool:
    largest = max(_largest(rows, key) for key in ("weights_difference", "outputs_change", "relative_gap"))
    return largest <= _AGREE and all(row["converged"] and row["accuracy"] == accuracy for row in rows)


def _largest(rows: list[Document], key: str) -> float:
    return max(float(row[key]) for row in rows)


# ---- table, sentences, picture -------------------------------------------------------------------------------------


def _table(size: Document, rows: list[Document]) -> list[str]:
    heads = [
        ("", "", "cost", "cost", "relative", "cert.", "weights", "outputs", "", "iterations"),
        ("p", "route", "before", "after", "imbalance", "gap", "differ", "change", "seconds", "or sweeps"),
    ]
    return [
        f"A trained classifier of handwritten digits: {size['nodes']} nodes, {size['free_nodes']} of them free, "
        f"{size['edges']} weights.",
        "",
        *(_TABLE.format(*head).rstrip() for head in heads),
        *(_table_row(row) for row in rows),
    ]


def _table_row(row: Document) -> str:
    keys = ("relative_imbalance", "relative_gap", "weights_difference", "outputs_change")
    return _TABLE.format(
        f"{row['p']:g}",
        row["route"],
        f"{row['initial_cost']:.6f}",
        f"{row['cost']:.12f}",
        *(f"{row[key]:.1e}" if row[key] else "0" for key in keys),
        f"{row['seconds']:.3f}",
        row["iterations"],
    )


def _sentences(rows: list[Document], trial: _Trial) -> list[str]:
    """What the table means, in numbers taken from it."""
    saved = {row["p"]: 1.0 - row["cost"] / row["initial_cost"] for row in rows}
    savings = " and ".join(f"{share:.1%} for p = {p:g}" for p, share in saved.items())
    images = len(trial.labels)
    return [
        "Same answer: the three routes reach one network; no weight differs by more than "
        f"{_largest(rows, 'weights_difference'):.0e} of itself. (cvxpy solves the convex problem and is polished by "
        "Newton steps on the balance equations.)",
        f"Optimal: the cost fell by {savings}, and a certificate proves that no scaling of this network costs less, "
        f"to within {_largest(rows, 'relative_gap'):.0e} of the cost.",
        f"Same function: the outputs on {images} real images move by at most {_largest(rows, 'outputs_change'):.0e} of "
        f"the largest; {round(trial.accuracy * images)} of {images} are recognized before and after.",
        "Local: the stochastic route balances one random node at a time and sees only the weights at that node. "
        "(p is the exponent of the cost |w|^p; a sweep is as many steps as there are free nodes. Seconds are of "
        "balancing alone: importing cvxpy and compiling loops came before.)",
    ]


def _picture(network: nx.DiGraph[Any], results: Results) -> Any:
    orders: tuple[Order, ...] = ("cyclic", "greedy")
    runs = {
        p: {"random order": routes["stochastic"]}
        | {f"{order} order": bg.balance(network, p, solver=bg.StochasticSolver(order)) for order in orders}
        for p, routes in results.items()
    }
    heading = "Balancing a trained classifier of handwritten digits"
    return bg.plots.plot_demo(network, runs, heading=heading)[0, 0].figure
