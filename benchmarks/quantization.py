"""Does balance help quantization? ``python benchmarks/quantization.py run``, then ``... draw``.

`run` compares peers on architectures, trains networks on data that ship with packages and rounds their weights, and
those of trained ONNX files, as they are and with disturbed scales, before and after balancing. It takes ten minutes on
a quiet machine with two cores; ``--quick`` under a minute, to see that all works. What is finished is never repeated,
also after an interruption. Parts whose packages are absent are left out, and named. `draw` writes docs/quantization.md
and its pictures from the tables alone. Running needs the extra "experiments" and::

    pip install --no-deps brevitas==0.13.4 rapidocr-onnxruntime==1.4.4
    pip install dependencies==2.0.1 unfoldNd onnx onnxruntime
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "quantization"
QUICK = HERE / "results" / "quick" / "quantization"


def run(arguments: argparse.Namespace) -> None:
    from low_precision.runner import run_jobs

    folder = arguments.results or (QUICK if arguments.quick else RESULTS)
    start = time.perf_counter()
    try:
        run_jobs("quick" if arguments.quick else "short", folder, arguments.processes)
    except KeyboardInterrupt:
        sys.exit(f"\ninterrupted; what is finished is kept in {folder}, the same command goes on")
    print(f"{time.perf_counter() - start:.0f} s; now: python benchmarks/quantization.py draw --results {folder}")


def draw(arguments: argparse.Namespace) -> None:
    from low_precision.report import draw_report

    draw_report(arguments.results or RESULTS, arguments.docs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run", help="measure")
    running.add_argument("--quick", action="store_true", help="small sizes, few seeds")
    running.add_argument("--processes", type=int, default=2)
    running.set_defaults(command=run)
    drawing = commands.add_parser("draw", help="write the page and its pictures")
    drawing.add_argument("--docs", type=Path, default=HERE.parent / "docs", help="folder to write to")
    drawing.set_defaults(command=draw)
    for command in (running, drawing):
        command.add_argument("--results", type=Path, help="folder of the tables")
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    main()
