"""The command line, ``balance-graph`` or ``python -m balance_graph``.

Sub-commands: ``demo``, ``balance FILE``, ``inspect FILE``, ``compare FILE FILE``. A network file is node-link JSON,
GraphML or a CSV edge list (`balance_graph.read_network`).

Exit codes: 0 done; 1 the answer is no (not attained, not balanced to the tolerance, not equivalent, the demo's routes
disagree); 2 bad input, with one line on the standard error that starts with ``balance-graph: error:``; 130 interrupted;
141 the reader of the output went away.

``--json`` prints one JSON document, and nothing else, on the standard output, also where the exit code is 1 (on 2 it
prints none). A node is written as in node-link JSON: text, a number, a bool, or a list for a tuple. A number that is
not finite (a cost or scale beyond the range of floats) is ``null``; its logarithm beside it is not. Every document has
``command`` and ``version``. Further keys:

``demo``
    ``network`` {``nodes``, ``edges``, ``free_nodes``}, ``images``, ``accuracy_before``, ``agree`` (bool), ``figure``
    (path or null), ``note`` (why there is none, or null), ``sentences``, ``rows``: one per exponent and route with
    ``p``, ``route``, ``initial_cost``, ``cost``, ``relative_imbalance``, ``relative_gap``, ``weights_difference``
    (largest relative difference of a weight from Newton's), ``outputs_change`` (largest, relative to the largest
    output), ``accuracy``, ``seconds``, ``iterations``, ``converged``.
``balance``
    ``file``, ``p``, ``attained``, ``dead_nodes`` [{``node``, ``reason``}], ``dead_edges`` [[tail, head]]. Where the
    minimum is attained or ``--on-unattained prune`` is given, also ``status``, ``converged``, ``solver``,
    ``iterations``, ``seconds``, ``initial_cost``, ``cost``, ``log_cost``, ``relative_imbalance``, ``certificate``
    {``lower_bound``, ``gap``, ``relative_gap``}, ``scales`` [{``node``, ``scale``, ``log_scale``}], ``pruned_edges``,
    ``gauge_nodes``, ``notes``, ``output``, ``plot`` (paths or null).
``inspect``
    ``file``, ``p``, ``nodes``, ``edges``, ``zero_edges``, ``roles`` {role: count}, ``activations`` {name: count},
    ``free_nodes``, ``tied_groups``, ``fixed_edges``, ``shared_parameters`` (counts), ``unscalable`` [{``node``,
    ``reason``}], ``dimension``, ``gauge_nodes``, ``cost``, ``log_cost``, ``relative_imbalance``, ``worst_node``,
    ``balanced``, ``certificate``, ``attained``, ``unique``, ``dead_nodes``, ``dead_edges``.
``compare``
    ``files`` [2], ``equivalent``, ``tol``, ``difference`` (text, null where equivalent).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import os
import secrets
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph import plots
from balance_graph.errors import (
    BalanceGraphError,
    InvalidParameterError,
    MissingDependencyError,
    NetworkFileError,
    NotAttainedError,
)
from balance_graph.graph import compile_graph, node_activation, roles_of
from balance_graph.problem import BalanceProblem
from balance_graph.solution import Status

__all__ = ["main"]

DONE, NO, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

Node = Hashable
Document = dict[str, Any]
# What a command has to say: its exit code, the document for machines, the lines for people.
Answer = tuple[int, Document, list[str]]

# The three routes of the demo agree to about 1e-12; a real disagreement is far above this.
_AGREE = 1e-9
_LISTED = 8


# ---- the door ------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        See the documentation of the module.

    Examples
    --------
    >>> from balance_graph.cli import main
    >>> main(["--version"])
    balance-graph 0.1.0
    0
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as leaving:  # argparse leaves by itself after --help, --version and errors
        return int(leaving.code or DONE)
    try:
        code, document, lines = arguments.command(arguments)
        _print_answer(arguments, document, lines)
    except BrokenPipeError:
        return _broken_pipe()
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED, kind="")
    except MemoryError:
        return _complain("not enough memory for this network", BAD_INPUT)
    except (BalanceGraphError, OSError) as error:
        return _complain(str(error), BAD_INPUT)
    return int(code)


def _print_answer(arguments: argparse.Namespace, document: Document, lines: list[str]) -> None:
    """One document or a few lines, flushed here so that a failure to write is met here."""
    if arguments.json:
        head = {"command": arguments.name, "version": bg.__version__}
        text = json.dumps({**head, **document}, indent=2, allow_nan=False)
    elif arguments.quiet or not lines:
        return
    else:
        # Names of nodes may hold what the terminal cannot show.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        text = "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
    print(text, flush=True)


def _complain(message: str, code: int, kind: str = "error: ") -> int:
    """One line on the standard error, whatever the message holds."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message.replace("\n", " "))
    with contextlib.suppress(OSError):
        print(f"balance-graph: {kind}{line}", file=sys.stderr, flush=True)
    return code


def _broken_pipe() -> int:
    """The reader is gone: let the interpreter's last flush go nowhere instead of failing."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


# ---- arguments -----------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Errors in one line, the same for all sub-commands."""

    def error(self, message: str) -> NoReturn:
        hint = f"{self.prog} --help tells more"
        raise SystemExit(_complain(f"{message}; {hint}", BAD_INPUT))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="balance-graph",
        description="Balance weighted networks: the unique balanced state, certified.",
        epilog="exit codes: 0 done, 1 the answer is no, 2 bad input, 130 interrupted",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"balance-graph {bg.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for add in (_add_demo, _add_balance, _add_inspect, _add_compare):
        add(commands)
    return parser


def _add(commands: Any, name: str, run: Callable[[argparse.Namespace], Answer], text: str, keys: str) -> Any:
    """A sub-command with the options that all have."""
    command = commands.add_parser(
        name, help=text, description=text, epilog=f"keys of --json: {keys}; null is a number that is not finite"
    )
    command.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    command.add_argument("--quiet", action="store_true", help="no text and no progress, only the exit code and files")
    command.set_defaults(command=run, name=name)
    return command


def _add_weight(command: Any) -> None:
    command.add_argument("--weight", default="weight", metavar="NAME", help="edge attribute that holds the weight")


def _add_p(command: Any) -> None:
    command.add_argument("--p", type=float, default=2.0, help="exponent of the cost |w|^p (default: 2)")


def _add_demo(commands: Any) -> None:
    text = "balance a trained network by three routes, which agree; a table and a picture"
    keys = "network, images, accuracy_before, agree, figure, note, sentences, rows"
    command = _add(commands, "demo", _demo, text, keys)
    command.add_argument("--figure", default="balance_demo.png", metavar="PATH", help="where to save the picture")
    command.add_argument("--no-figure", action="store_true", help="save no picture")


def _add_balance(commands: Any) -> None:
    keys = (
        "file, p, attained, dead_nodes, dead_edges, status, converged, solver, iterations, seconds, initial_cost, "
        "cost, log_cost, relative_imbalance, certificate, scales, pruned_edges, gauge_nodes, notes, output, plot"
    )
    command = _add(commands, "balance", _balance, "balance a network", keys)
    command.add_argument("file", metavar="FILE", help="network: .json, .graphml or .csv")
    _add_p(command)
    command.add_argument("--solver", choices=("auto", "cvxpy", "newton", "stochastic"), default="auto")
    command.add_argument("--rng", type=int, default=0, help="seed of the stochastic solver (default: 0)")
    command.add_argument("--output", metavar="FILE", help="write the balanced network: .json, .graphml or .csv")
    command.add_argument("--plot", metavar="FILE", help="save a picture: .png, .pdf, .svg, ...")
    command.add_argument(
        "--on-unattained", choices=("raise", "prune"), default="raise", help="prune: set dead weights to 0"
    )
    _add_weight(command)


def _add_inspect(commands: Any) -> None:
    keys = (
        "file, p, nodes, edges, zero_edges, roles, activations, free_nodes, tied_groups, fixed_edges, "
        "shared_parameters, unscalable, dimension, gauge_nodes, cost, log_cost, relative_imbalance, worst_node, "
        "balanced, certificate, attained, unique, dead_nodes, dead_edges"
    )
    text = "tell the roles, the balance, whether the minimum is attained, what cannot be scaled and why"
    command = _add(commands, "inspect", _inspect, text, keys)
    command.add_argument("file", metavar="FILE", help="network: .json, .graphml or .csv")
    _add_p(command)
    _add_weight(command)


def _add_compare(commands: Any) -> None:
    text = "tell whether two networks are the same up to scaling, and where they differ"
    command = _add(commands, "compare", _compare, text, "files, equivalent, tol, difference")
    command.add_argument("files", metavar="FILE", nargs=2, help="networks: .json, .graphml or .csv")
    command.add_argument("--tol", type=float, default=1e-9, help="in the logarithm of a weight (default: 1e-9)")
    _add_weight(command)


def _wants_progress(arguments: argparse.Namespace) -> bool:
    return not arguments.quiet and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


# ---- values for machines -------------------------------------------------------------------------------------------


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(node: Any) -> Any:
    return [_plain(part) for part in node] if isinstance(node, tuple) else node


def _plain_edges(edges: Iterable[tuple[Node, Node]]) -> list[list[Any]]:
    return [[_plain(tail), _plain(head)] for tail, head in edges]


def _certificate(certificate: bg.Certificate) -> Document:
    return {name: _finite(getattr(certificate, name)) for name in ("lower_bound", "gap", "relative_gap")}


def _reasons(reasons: Iterable[tuple[Node, str]]) -> list[Document]:
    return [{"node": _plain(node), "reason": reason} for node, reason in reasons]


def _attainment(found: bg.Attainment) -> Document:
    return {
        "attained": found.attained,
        "dead_nodes": _reasons((node, found.reasons[node]) for node in found.dead_nodes),
        "dead_edges": _plain_edges(found.dead_edges),
    }


# ---- values for people ---------------------------------------------------------------------------------------------


def _some(items: Sequence[Any]) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(map(repr, items[:_LISTED])) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _dead_lines(found: bg.Attainment) -> list[str]:
    lines = [f"dead node           {node!r}: {found.reasons[node]}" for node in found.dead_nodes[:_LISTED]]
    more = len(found.dead_nodes) - _LISTED
    lines += [f"                    and {more} more"] if more > 0 else []
    return [*lines, f"dead edges          {len(found.dead_edges)}: {_some(found.dead_edges)}"]


# ---- files ---------------------------------------------------------------------------------------------------------


def _check_folder(path: Path) -> None:
    """Refuse a path that cannot be written, before the long work."""
    if path.is_dir():
        message = f"{path}: cannot be written: it is a folder"
    elif not path.parent.is_dir():
        message = f"{path}: cannot be written: its folder does not exist; create it first"
    elif not os.access(path.parent, os.W_OK):
        message = f"{path}: cannot be written: no permission in its folder"
    else:
        return
    raise NetworkFileError(message)


def _check_output(path: Path, network: nx.DiGraph[Any]) -> None:
    """Refuse an output that cannot hold the network: balancing changes weights only, so the input is tried."""
    _check_folder(path)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / f"trial{path.suffix}"
        try:
            bg.write_network(network, trial)
        except NetworkFileError as error:
            raise NetworkFileError(str(error).replace(str(trial), str(path), 1)) from error


def _check_figure(path: Path) -> None:
    """Refuse a picture that matplotlib cannot write, or that has no place."""
    known = sorted(plots.file_suffixes())
    if path.suffix.lower().removeprefix(".") not in known:
        message = f"{path}: the suffix {path.suffix!r} names no picture; use .{', .'.join(known)}"
        raise InvalidParameterError(message)
    _check_folder(path)


def _save_figure(figure: Any, path: Path) -> None:
    """Write beside the place and move there in one step, so that a picture is whole or not there."""
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        with warnings.catch_warnings():
            # Names in scripts that the font lacks are drawn as boxes; that is no news for the standard error.
            warnings.filterwarnings("ignore", "Glyph")
            figure.savefig(draft)
        draft.replace(target)
    except BaseException:  # KeyboardInterrupt included: leave no litter
        draft.unlink(missing_ok=True)
        raise


# ---- balance -------------------------------------------------------------------------------------------------------


def _balance(arguments: argparse.Namespace) -> Answer:
    network = bg.read_network(arguments.file)
    compile_graph(network, arguments.p, weight=arguments.weight)  # refuses what is not a network
    output, plot = (Path(path) if path else None for path in (arguments.output, arguments.plot))
    if output:
        _check_output(output, network)
    if plot:
        _check_figure(plot)
    found = bg.attainment(network, arguments.p, weight=arguments.weight)
    document: Document = {"file": arguments.file, "p": arguments.p, **_attainment(found)}
    try:
        result = _balanced(arguments, network)
    except NotAttainedError as error:
        message = str(error).replace("on_unattained='prune'", "--on-unattained prune")
        return _complain(message, NO, kind=""), document, []
    if output:
        bg.write_network(result.graph, output)
    if plot:
        figure = plots.plot_result(network, result, arguments.p, weight=arguments.weight)
        _save_figure(figure, plot)
    document |= _result_document(result) | {"output": arguments.output, "plot": arguments.plot}
    written = [f"written             {path}" for path in (output, plot) if path]
    return DONE if result.converged else NO, document, [result.summary(), *written]


def _balanced(arguments: argparse.Namespace, network: nx.DiGraph[Any]) -> bg.BalanceResult:
    solver = bg.StochasticSolver(rng=arguments.rng) if arguments.solver == "stochastic" else arguments.solver
    result = bg.balance(
        network,
        arguments.p,
        solver=solver,
        weight=arguments.weight,
        on_unattained=arguments.on_unattained,
        progress=_wants_progress(arguments),
    )
    if result.status is Status.INTERRUPTED:
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
        "initial_cost": _finite(result.initial_cost),
        "cost": _finite(result.cost),
        "log_cost": _finite(result.solution.log_cost),
        "relative_imbalance": result.relative_imbalance,
        "certificate": _certificate(result.certificate),
        "scales": [
            {"node": _plain(node), "scale": _finite(scales[node]), "log_scale": value}
            for node, value in result.log_scales.items()
        ],
        "pruned_edges": _plain_edges(result.pruned_edges),
        "gauge_nodes": [_plain(node) for node in result.gauge_nodes],
        "notes": list(result.solution.notes),
    }


# ---- inspect -------------------------------------------------------------------------------------------------------


def _inspect(arguments: argparse.Namespace) -> Answer:
    network = bg.read_network(arguments.file)
    problem = compile_graph(network, arguments.p, weight=arguments.weight)
    found = bg.attainment(network, arguments.p, weight=arguments.weight)
    held = _unscalable(network, problem)
    document: Document = {
        "file": arguments.file,
        "p": arguments.p,
        **_counts(network, problem),
        "unscalable": _reasons(held),
        "dimension": problem.manifold.dimension,
        "gauge_nodes": [_plain(node) for node in _gauge_nodes(problem)],
        **_balance_of(problem),
        "certificate": _certificate(bg.certify(network, arguments.p, weight=arguments.weight)),
        **_attainment(found),
        "unique": found.unique,
    }
    return DONE if found.attained else NO, document, _inspect_lines(document, held, problem, found)


def _counts(network: nx.DiGraph[Any], problem: BalanceProblem) -> Document:
    at = problem.manifold
    units = [node for node, role in roles_of(network).items() if role in ("hidden", "output")]
    names = Counter(str(node_activation(network.nodes[node], node)) for node in units)
    roles = Counter(roles_of(network).values())
    return {
        "nodes": problem.n_nodes,
        "edges": problem.n_edges,
        "zero_edges": problem.n_edges - int(np.count_nonzero(problem.active)),
        "roles": {role: roles[role] for role in ("input", "bias", "hidden", "output")},
        "activations": dict(names.most_common()),
        "free_nodes": int(at.free_nodes.size),
        "tied_groups": _groups(None if at.group is None else np.where(at.pinned, -1, at.group)),
        "fixed_edges": 0 if at.fixed is None else int(np.count_nonzero(at.fixed)),
        "shared_parameters": _groups(at.shared),
    }


def _groups(labels: Any) -> int:
    """Number of labels that two or more carry."""
    if labels is None:
        return 0
    return int(np.count_nonzero(np.bincount(labels[labels >= 0]) > 1))


def _unscalable(network: nx.DiGraph[Any], problem: BalanceProblem) -> list[tuple[Node, str]]:
    """Every node whose scale is held at 1, with the reason."""
    at, roles = problem.manifold, roles_of(network)
    moved = np.zeros(problem.n_nodes, dtype=bool)
    moved[at.basis.tocoo().row] = True
    reasons = []
    for k, node in enumerate(network):
        if roles[node] != "hidden":
            reasons.append((node, f"its role is {roles[node]}"))
        elif at.pinned[k]:
            reasons.append((node, f"its activation {node_activation(network.nodes[node], node)} is not homogeneous"))
        elif not moved[k]:
            reasons.append((node, "fixed edges or shared weights hold it"))
    return reasons


def _gauge_nodes(problem: BalanceProblem) -> list[Node]:
    """One node of each group that can be scaled together without changing a weight."""
    at = problem.manifold
    columns = at.basis.tocsc()
    return [at.nodes[columns.indices[columns.indptr[k]]] for k in at.gauges.tolist()]


def _balance_of(problem: BalanceProblem) -> Document:
    zeros = np.zeros(problem.n_nodes)
    each = problem.relative_imbalances(zeros)
    basis = problem.manifold.basis.tocsc()
    worst = basis.indices[basis.indptr[int(np.argmax(each))]] if each.size else None
    return {
        "cost": _finite(problem.cost(zeros)),
        "log_cost": _finite(problem.log_cost(zeros)),
        "relative_imbalance": problem.relative_imbalance(zeros),
        "worst_node": None if worst is None else _plain(problem.nodes[worst]),
        "balanced": problem.relative_imbalance(zeros) <= 1e-9,
    }


def _inspect_lines(
    document: Document, held: list[tuple[Node, str]], problem: BalanceProblem, found: bg.Attainment
) -> list[str]:
    roles = ", ".join(f"{count} {role}" for role, count in document["roles"].items() if count)
    functions = ", ".join(f"{name} {count}" for name, count in document["activations"].items())
    lines = [
        f"nodes               {document['nodes']}: {roles}",
        f"activations         {functions or 'none'}",
        f"edges               {document['edges']}" + _edge_kinds(document),
        f"free nodes          {document['free_nodes']}" + (f", {_tied(document)}" if document["tied_groups"] else ""),
        *_held_lines(held),
        f"manifold            dimension {document['dimension']}, {_gauges(_gauge_nodes(problem))}",
        *_balance_lines(document),
        f"attained            {'yes' if found.attained else 'no'}; log-scales {'' if found.unique else 'not '}unique",
    ]
    return lines if found.attained else [*lines, *_dead_lines(found)]


def _tied(document: Document) -> str:
    return _count(document["tied_groups"], "group") + " of tied nodes"


def _edge_kinds(document: Document) -> str:
    kinds = ("zero_edges", "of weight 0"), ("fixed_edges", "fixed"), ("shared_parameters", "shared parameters")
    texts = [f"{document[key]} {text}" for key, text in kinds if document[key]]
    return f" ({', '.join(texts)})" if texts else ""


def _held_lines(held: list[tuple[Node, str]]) -> list[str]:
    groups: dict[str, list[Node]] = {}
    for node, reason in held:
        groups.setdefault(reason, []).append(node)
    return [f"cannot be scaled    {len(nodes)}, {reason}: {_some(nodes)}" for reason, nodes in groups.items()]


def _gauges(nodes: list[Node]) -> str:
    return f"{_count(len(nodes), 'gauge')} at {_some(nodes)}" if nodes else "no gauge"


def _balance_lines(document: Document) -> list[str]:
    cost, gap = document["cost"], document["certificate"]["relative_gap"]
    shown = f"{cost:.12g}" if cost is not None else f"exp({document['log_cost']})"
    verdict = "balanced" if document["balanced"] else f"largest at node {document['worst_node']!r}"
    return [
        f"cost (p = {document['p']:g})".ljust(20) + shown,
        f"relative imbalance  {document['relative_imbalance']:.3g}, {verdict}",
        f"certified           scaling can lower the cost by at most {_share(gap)}",
    ]


def _share(value: float) -> str:
    return f"{value:.2%}" if value >= 1e-3 else f"{value:.2g} of itself"


# ---- compare -------------------------------------------------------------------------------------------------------


def _compare(arguments: argparse.Namespace) -> Answer:
    one, two = (bg.read_network(file) for file in arguments.files)
    same = bg.equivalent(one, two, tol=arguments.tol, weight=arguments.weight)
    difference = None if same else _first_difference(one, two, arguments.weight)
    document = {"files": list(arguments.files), "equivalent": same, "tol": arguments.tol, "difference": difference}
    verdict = "equivalent: the same up to scaling" if same else f"not equivalent: {difference}"
    return DONE if same else NO, document, [verdict]


def _first_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    """Where two networks that are not equivalent part: nodes, edges, what can be scaled, signs, weights."""
    for mine, theirs, noun in ((one.nodes, two.nodes, "node"), (one.edges, two.edges, "edge")):
        for here, there, name in ((mine, theirs, "first"), (theirs, mine, "second")):
            missing = [item for item in here if item not in there]
            if missing:
                return f"{noun} {missing[0]!r} is in the {name} network only ({len(missing)} such)"
    return (
        _node_difference(one, two, weight)
        or _sign_difference(one, two, weight)
        or _constraint_difference(one, two, weight)
        or _weight_difference(one, two, weight)
    )


def _node_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    kinds = [_node_kinds(network, weight) for network in (one, two)]
    for node in one:
        if kinds[0][node] != kinds[1][node]:
            return f"node {node!r} is {kinds[0][node]} against {kinds[1][node]}"
    return ""


def _node_kinds(network: nx.DiGraph[Any], weight: str) -> dict[Node, str]:
    at = compile_graph(network, weight=weight).manifold
    pairs = zip(at.pinned.tolist(), at.degree.tolist(), strict=True)
    kinds = ["pinned" if pinned else f"free of degree {degree:g}" for pinned, degree in pairs]
    return dict(zip(network, kinds, strict=True))


def _sign_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    for edge in one.edges:
        value, other = one.edges[edge][weight], two.edges[edge][weight]
        if np.sign(value) != np.sign(other):
            return f"edge {edge!r} has weight {value!r} against {other!r}; scaling keeps signs"
    return ""


def _constraint_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    """First node or edge with other companions: nodes tied with it, edges that share its parameter; or fixed."""
    edges = list(_active_part(one, weight).edges)
    for name, noun, members in (("group", "node", list(one)), ("shared", "edge", edges), ("fixed", "edge", edges)):
        before, after = (_companions(network, name, noun, members) for network in (one, two))
        for item in members:
            if before[item] != after[item]:
                return f"{noun} {item!r} differs in {name!r}: not the same constraint"
    return ""


def _companions(network: nx.DiGraph[Any], name: str, noun: str, members: list[Any]) -> dict[Any, Any]:
    """First member with the same label (labels may differ); for fixed, whether it is."""
    owners: Any = network.nodes if noun == "node" else network.edges
    labels = {item: owners[item].get(name) for item in members}
    if name == "fixed":
        return {item: bool(label) for item, label in labels.items()}
    first: dict[Any, Any] = {}
    return {item: item if label is None else first.setdefault(label, item) for item, label in labels.items()}


def _weight_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    """The edge whose ratio of weights is furthest from what a scaling can do."""
    active = _active_part(one, weight)
    manifold = bg.manifold(active, weight=weight)
    pairs = [(two.edges[edge][weight], active.edges[edge][weight]) for edge in active.edges]
    log_ratios = np.array([math.log(abs(other)) - math.log(abs(mine)) for other, mine in pairs])
    left = np.abs(log_ratios - manifold.project(log_ratios))
    tail, head = manifold.edges[int(np.argmax(left))]
    mine, other = one.edges[tail, head][weight], two.edges[tail, head][weight]
    return (
        f"the weights differ by more than a scaling, most at edge {(tail, head)!r}: {mine!r} against {other!r}, a "
        f"factor of {math.exp(min(float(left.max()), 700.0)):.12g} from the nearest scaling"
    )


def _active_part(network: nx.DiGraph[Any], weight: str) -> nx.DiGraph[Any]:
    """The network without edges of weight zero, which constrain nothing; roles as they were with them."""
    part = network.copy()
    nx.set_node_attributes(part, roles_of(network), "role")
    part.remove_edges_from([edge for edge in network.edges if network.edges[edge][weight] == 0])
    return part


# ---- demo ----------------------------------------------------------------------------------------------------------

_EXPONENTS = (2.0, 1.0)
_TABLE = "{:>2}  {:<10} {:>10} {:>16} {:>9} {:>8} {:>8} {:>8} {:>8} {:>10}"


def _demo(arguments: argparse.Namespace) -> Answer:
    path, note = _demo_figure(arguments)
    network = bg.networks.digits()
    images, labels = bg.networks.digits_images()
    before = bg.evaluate(network, images)
    _warm_up()
    results = {p: _routes(network, p) for p in _EXPONENTS}
    rows = [
        _row(p, route, result, network, routes["Newton"], images, labels, before)
        for p, routes in results.items()
        for route, result in routes.items()
    ]
    accuracy = _accuracy(before, labels)
    agree = _agrees(rows, accuracy)
    sentences = _sentences(rows, accuracy, len(labels)) if agree else ["The routes do not agree: see the table."]
    if path:
        _save_figure(_demo_picture(network, results), path)
    free = int(compile_graph(network).manifold.free_nodes.size)
    size = {"nodes": len(network), "edges": network.number_of_edges(), "free_nodes": free}
    document = {
        "network": size,
        "images": len(labels),
        "accuracy_before": accuracy,
        "agree": agree,
        "figure": str(path) if path else None,
        "note": note,
        "sentences": sentences,
        "rows": rows,
    }
    picture = [f"Picture: {path}"] if path else [f"No picture: {note}."]
    return DONE if agree else NO, document, [*_demo_lines(size, rows), "", *sentences, "", *picture]


def _demo_figure(arguments: argparse.Namespace) -> tuple[Path | None, str | None]:
    """Where the picture goes, or why there is none."""
    if arguments.no_figure:
        return None, "not asked for"
    path = Path(arguments.figure)
    try:
        _check_figure(path)
    except MissingDependencyError as error:
        return None, str(error)
    return path, None


def _warm_up() -> None:
    """Import cvxpy and compile the loops on a small network, so that the table shows the time of balancing."""
    for solver in ("cvxpy", "newton", "stochastic"):
        bg.balance(bg.networks.chain(3, rng=0), solver=solver)


def _routes(network: nx.DiGraph[Any], p: float) -> dict[str, bg.BalanceResult]:
    solvers: dict[str, Any] = {
        "cvxpy": bg.CvxpySolver(),
        "Newton": bg.NewtonSolver(),
        "stochastic": bg.StochasticSolver(rng=0),
    }
    return {route: bg.balance(network, p, solver=solver) for route, solver in solvers.items()}


def _row(
    p: float, route: str, result: bg.BalanceResult, network: nx.DiGraph[Any], newton: bg.BalanceResult, *data: Any
) -> Document:
    images, labels, before = data
    after = bg.evaluate(result.graph, images)
    return {
        "p": p,
        "route": route,
        "initial_cost": result.initial_cost,
        "cost": result.cost,
        "relative_imbalance": result.relative_imbalance,
        "relative_gap": result.certificate.relative_gap,
        "weights_difference": _largest_difference(network, result.graph, newton.graph),
        "outputs_change": float(np.abs(after - before).max() / np.abs(before).max()),
        "accuracy": _accuracy(after, labels),
        "seconds": result.seconds,
        "iterations": result.iterations,
        "converged": result.converged,
    }


def _largest_difference(network: nx.DiGraph[Any], one: nx.DiGraph[Any], two: nx.DiGraph[Any]) -> float:
    """Largest relative difference of a nonzero weight."""
    pairs = np.array([(one.edges[edge]["weight"], two.edges[edge]["weight"]) for edge in network.edges])
    pairs = pairs[pairs[:, 1] != 0]
    return float(np.abs(pairs[:, 0] / pairs[:, 1] - 1.0).max(initial=0.0))


def _accuracy(outputs: Any, labels: Any) -> float:
    return float(np.mean(outputs.argmax(axis=1) == labels))


def _agrees(rows: list[Document], accuracy: float) -> bool:
    largest = max(max(row["weights_difference"], row["outputs_change"], row["relative_gap"]) for row in rows)
    return largest <= _AGREE and all(row["converged"] and row["accuracy"] == accuracy for row in rows)


def _demo_lines(size: Document, rows: list[Document]) -> list[str]:
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


def _sentences(rows: list[Document], accuracy: float, images: int) -> list[str]:
    """What the table means, in numbers taken from it."""
    differ, change, gap = (
        max(row[key] for row in rows) for key in ("weights_difference", "outputs_change", "relative_gap")
    )
    saved = {row["p"]: 1.0 - row["cost"] / row["initial_cost"] for row in rows}
    savings = " and ".join(f"{share:.1%} for p = {p:g}" for p, share in saved.items())
    right = round(accuracy * images)
    return [
        f"Same answer: the three routes reach one network; no weight differs by more than {differ:.0e} of itself.",
        "  (cvxpy solves the convex problem and is polished by Newton steps on the balance equations.)",
        f"Optimal: the cost fell by {savings}, and a certificate proves that no",
        f"  scaling of this network costs less, to within {gap:.0e} of the cost.",
        f"Same function: the outputs on {images} real images move by at most {change:.0e} of the largest;",
        f"  {right} of {images} are recognized before and after.",
        "Local: the stochastic route balances one random node at a time and sees only the weights at that node.",
        "  (p is the exponent of the cost |w|^p; a sweep is as many steps as there are free nodes. Seconds are of",
        "  balancing alone: importing cvxpy and compiling loops came before.)",
    ]


def _demo_picture(network: nx.DiGraph[Any], results: dict[float, dict[str, bg.BalanceResult]]) -> Any:
    orders = ("cyclic", "greedy")
    runs = {
        p: {"random order": routes["stochastic"]}
        | {f"{order} order": bg.balance(network, p, solver=bg.StochasticSolver(order)) for order in orders}
        for p, routes in results.items()
    }
    return plots.plot_demo(network, runs, heading="Balancing a trained classifier of handwritten digits")
