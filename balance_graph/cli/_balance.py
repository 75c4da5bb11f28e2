"""``balance FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import balance_graph as bg
from balance_graph.cli._answer import DONE, NO, Answer, Document, complain
from balance_graph.cli._options import (
    FORMATS,
    add_command,
    add_ignore,
    add_network,
    as_options,
    read_file,
    weight_name,
)
from balance_graph.cli._output import check_figure_file, check_network_file, save_figure
from balance_graph.cli._report import (
    attainment_document,
    certificate_document,
    constraints_document,
    finite,
    plain_edges,
    plain_node,
)
from balance_graph.cli._terminal import ticker
from balance_graph.errors import NotAttainedError

if TYPE_CHECKING:
    import networkx as nx


def add_balance(commands: Any) -> None:
    """The sub-command."""
    command = add_command(commands, "balance", _balance, "balance a network")
    add_network(command)
    add_ignore(command)
    command.add_argument("--solver", choices=("auto", "cvxpy", "newton", "stochastic", "flow"), default="auto")
    command.add_argument("--rng", type=int, default=0, help="seed of the stochastic solver (default: 0)")
    command.add_argument("--output", metavar="FILE", help=f"write the balanced network: {FORMATS}")
    command.add_argument("--plot", metavar="FILE", help="save a picture: .png, .pdf, .svg, ...")
    command.add_argument(
        "--on-unattained", choices=("raise", "prune"), default="raise", help="prune: set dead weights to 0"
    )


def _balance(arguments: argparse.Namespace) -> Answer:
    from balance_graph.graph.compilation import compile_graph
    from balance_graph.graph.constraints import find_constraints, without_attributes
    from balance_graph.problem.attainment import find_attainment

    p, weight = arguments.p, weight_name(arguments)
    network = read_file(arguments, arguments.file)
    problem = compile_graph(network, p, weight=weight, ignore=arguments.ignore)  # refuses what is not a network
    output, plot = (Path(path) if path else None for path in (arguments.output, arguments.plot))
    if output:
        check_network_file(output, network, weight)
    if plot:
        check_figure_file(plot)
    constraints = find_constraints(without_attributes(network, arguments.ignore), problem)
    document: Document = {
        "file": arguments.file,
        "p": p,
        **constraints_document(constraints, arguments.ignore),
        **attainment_document(find_attainment(problem)),
    }
    try:
        result = _result(arguments, network)
    except NotAttainedError as error:
        return complain(as_options(str(error)), NO, kind=""), document, []
    if output:
        bg.write_network(result.graph, output, weight=weight)
    if plot:
        save_figure(bg.plots.plot_result(network, result)[0, 0].figure, plot)
    document |= _result_document(result) | {"output": arguments.output, "plot": arguments.plot}
    written = [f"written             {path}" for path in (output, plot) if path]
    return DONE if result.converged else NO, document, [as_options(result.summary()), *written]


def _result(arguments: argparse.Namespace, network: nx.DiGraph[Any]) -> bg.BalanceResult:
    solver = bg.StochasticSolver(rng=arguments.rng) if arguments.solver == "stochastic" else arguments.solver
    with ticker(arguments, "balancing") as line:
        result = bg.balance(
            network,
            arguments.p,
            solver=solver,
            weight=weight_name(arguments),
            on_unattained=arguments.on_unattained,
            ignore=arguments.ignore,
            progress=line.iteration if line else False,
        )
    if result.status is bg.Status.INTERRUPTED:
        raise KeyboardInterrupt
    return result


def _result_document(result: bg.BalanceResult) -> Document:
    scales = result.scales
    return {
        "status": result.status.value,
        "converged": result.converged,
        "solver": result.solver,
        "iterations": result.iterations,
        "seconds": result.seconds,
        "setup_seconds": result.setup_seconds,
        "initial_cost": finite(result.initial_cost),
        "cost": finite(result.cost),
        "log_cost": finite(result.solution.log_cost),
        "relative_imbalance": result.relative_imbalance,
        "certificate": certificate_document(result.certificate),
        "scales": [
            {"node": plain_node(node), "scale": finite(scales[node]), "log_scale": value}
            for node, value in result.log_scales.items()
        ],
        "pruned_edges": plain_edges(result.pruned_edges),
        "gauge_nodes": [plain_node(node) for node in result.gauge_nodes],
        "notes": list(result.solution.notes),
    }
