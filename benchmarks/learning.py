"""Does balance help learning? ``python benchmarks/learning.py run --profile short``, then ``... draw``.

`run` trains what the profile asks for: "smoke" to see that all works (a minute), "short" (ten minutes on a quiet
machine with two cores; its results are in results/learning), "full" (about an hour and a half there, by the time of
single runs; what is complete of it is in results/learning-full). Finished runs are never repeated, also after an
interruption. `draw` writes docs/learning.md and its pictures from the tables alone. `compare` tells whether another
folder of results shows the same effects. Running needs the extra "experiments"; drawing needs no torch.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "learning"
FOLDERS = {
    "smoke": HERE / "results" / "quick" / "learning",
    "short": RESULTS,
    "full": HERE / "results" / "learning-full",
}
EARLIER = HERE / "results" / "learning-earlier"  # the profile "short" with other seeds


def run(arguments: argparse.Namespace) -> None:
    from experiments.profiles import PROFILES
    from experiments.runner import run_experiments

    experiments = PROFILES[arguments.profile]
    names = arguments.only.split(",") if arguments.only else [one.name for one in experiments]
    unknown = set(names) - {one.name for one in experiments}
    if unknown:
        sys.exit(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in experiments)}")
    folder = arguments.results or FOLDERS[arguments.profile]
    start = time.perf_counter()
    try:
        chosen = [replace(one, first_seed=arguments.first_seed) for one in experiments if one.name in names]
        run_experiments(chosen, folder, arguments.processes)
    except KeyboardInterrupt:
        sys.exit(f"\ninterrupted; finished runs are kept in {folder}, the same command goes on")
    print(f"{time.perf_counter() - start:.0f} s; now: python benchmarks/learning.py draw --results {folder}")


def shown() -> list[Path]:
    """The folders whose tables make the page: of an experiment that both have, the longer one is shown."""
    return [folder for folder in (RESULTS, FOLDERS["full"]) if (folder / "runs.csv").exists()]


def draw(arguments: argparse.Namespace) -> None:
    from experiments.report import draw_report

    folders, earlier = ([arguments.results], None) if arguments.results else (shown(), EARLIER)
    draw_report(folders, earlier, arguments.docs)


def compare(arguments: argparse.Namespace) -> None:
    from experiments.findings import Results
    from experiments.repeats import different, repeats

    pairs = repeats(Results(*shown()), Results(arguments.results))
    others = different(pairs)
    print("\n".join([*others, f"{len(pairs) - len(others)} of {len(pairs)} effects have the same sign"]))
    sys.exit(1 if others else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run", help="train")
    running.add_argument("--profile", choices=("smoke", "short", "full"), default="short")
    running.add_argument("--only", default="", help="experiments, with commas")
    running.add_argument("--processes", type=int, default=2)
    running.add_argument("--first-seed", type=int, default=0, help="other seeds, to see what repeats")
    running.set_defaults(command=run)
    drawing = commands.add_parser("draw", help="write the page and its pictures")
    drawing.add_argument("--docs", type=Path, default=HERE.parent / "docs", help="folder to write to")
    drawing.set_defaults(command=draw)
    comparing = commands.add_parser("compare", help="with the results that the page shows")
    comparing.set_defaults(command=compare)
    for command in (running, drawing, comparing):
        command.add_argument("--results", type=Path, required=command is comparing, help="folder of the tables")
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    main()
