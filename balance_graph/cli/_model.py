"""``model FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balance_graph.cli._answer import DONE, NO, Answer, Document, complain
from balance_graph.cli._options import add_command
from balance_graph.cli._output import check_folder
from balance_graph.cli._report import certificate_document, finite
from balance_graph.errors import FunctionChangedError

if TYPE_CHECKING:
    from balance_graph.onnx import ModelReport


def add_model(commands: Any) -> None:
    """The sub-command."""
    command = add_command(commands, "model", _model, "balance a neural network in an ONNX file")
    command.add_argument("file", metavar="FILE", help="model: .onnx")
    command.add_argument("--p", type=float, default=2.0, help="exponent of the cost |w|^p (default: 2)")
    command.add_argument("-o", "--output", metavar="FILE", help="write the balanced model: .onnx")


def _model(arguments: argparse.Namespace) -> Answer:
    from balance_graph.onnx import balance_model

    if arguments.output:
        check_folder(Path(arguments.output))
    document: Document = {"file": arguments.file, "p": arguments.p}
    try:
        report = balance_model(arguments.file, arguments.p, output=arguments.output)
    except FunctionChangedError as error:
        document |= {
            "function_kept": False,
            "output_change": finite(error.change),
            "tolerance": error.tolerance,
            "units_suspected": list(error.units),
        }
        return complain(str(error), NO, kind=""), document, []
    written = [f"written             {arguments.output}"] if arguments.output else []
    document |= _document(report) | {"output": arguments.output}
    return DONE if report.converged else NO, document, [report.summary(), *written]


def _document(report: ModelReport) -> Document:
    return {
        "function_kept": True,
        "output_change": report.output_change,
        "tolerance": report.tolerance,
        "units_suspected": [],
        "converged": report.converged,
        "initial_cost": finite(report.initial_cost),
        "cost": finite(report.cost),
        "initial_relative_imbalance": report.initial_relative_imbalance,
        "relative_imbalance": report.relative_imbalance,
        "certificate": certificate_document(report.certificate),
        "free_scales": report.log_scales.size,
        "runtime": report.runtime,
        "unknown": {name: list(nodes) for name, nodes in report.unknown.items()},
        "units": [
            {
                "name": unit.name,
                "status": unit.status,
                "reason": unit.reason,
                "scale": finite(unit.scale),
                "parameters": list(unit.parameters),
            }
            for unit in report.units
        ],
    }
