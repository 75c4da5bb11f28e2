"""Draw the page of results, docs/benchmarks.md, and its pictures: ``python benchmarks/draw.py [--results FOLDER]``.

A suite without complete results is drawn from those of an interrupted run, and left out where there are none.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

from page import page
from results import read_json, write_bytes, write_text
from suites import SUITES

HERE = Path(__file__).parent


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Results of all suites, in order."""
    files = [(folder / f"{name}.json", folder / f"{name}.partial.json") for name in SUITES]
    found = [final if final.exists() else partial for final, partial in files]
    return [read_json(file) for file in found if file.exists()]


def draw_pictures(records: list[dict[str, Any]], folder: Path) -> None:
    from pictures import PICTURES  # matplotlib is not needed for the text

    for record in records:
        image = io.BytesIO()
        # No date and no version inside: equal results make equal files.
        PICTURES[record["suite"]](record["measures"]).savefig(image, format="png", metadata={"Software": None})
        write_bytes(folder / f"{record['suite']}.png", image.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder to read")
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs", help="folder to write to")
    arguments = parser.parse_args()
    records = read_records(arguments.results)
    if not records:
        parser.exit(1, f"no results in {arguments.results}; first run benchmarks/run.py\n")
    draw_pictures(records, arguments.docs / "_static" / "benchmarks")
    write_text(arguments.docs / "benchmarks.md", page(records))


if __name__ == "__main__":
    main()
