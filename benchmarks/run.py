"""Measure everything: ``python benchmarks/run.py [--quick] [--only families,growth] [--family "20 layers"]``.

Each measurement runs in a process of its own. What is done stands in ``NAME.partial.json`` at all times and becomes
``NAME.json`` when the suite is complete, so that an interrupted run neither loses results nor hides earlier ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import takewhile
from pathlib import Path
from typing import Any

import machine
from measure import measured
from results import plain, read_json, write_json
from suites import SUITES, Suite, label

RESULTS = Path(__file__).parent / "results"
UNIT = "one product of the matrix, in SciPy's CSR format and float64, with a vector, in one thread"


def record(suite: Suite, measures: list[dict[str, Any]], quick: bool, complete: bool) -> dict[str, Any]:
    return {
        "suite": suite.name,
        "title": suite.title,
        "quick": quick,
        "complete": complete,
        "hypotheses": [hypothesis.record(measures) for hypothesis in suite.hypotheses],
        "product": UNIT,
        **machine.description(),
        "measures": measures,
    }


def run_suite(suite: Suite, folder: Path, quick: bool, families: list[str], goes_on: bool) -> None:
    partial, final = folder / f"{suite.name}.partial.json", folder / f"{suite.name}.json"
    specs = [spec for spec in suite.specs(quick) if not families or spec.get("family") in families]
    measures = kept(partial, specs) if goes_on else []
    for k, spec in enumerate(specs[len(measures) :], len(measures) + 1):
        print(f"[{k}/{len(specs)}] {suite.name}: {label(spec)}", end=" ... ", flush=True)
        measures.append({**spec, **measured(spec)})
        print(brief(measures[-1]), flush=True)
        write_json(partial, record(suite, measures, quick, complete=False))
    if measures:
        write_json(final, record(suite, measures, quick, complete=True))
        partial.unlink()
    for hypothesis in suite.hypotheses:
        print(verdict(hypothesis.record(measures)), flush=True)


def kept(partial: Path, specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an interrupted run has measured, as far as it is what is to be measured now."""
    measures: list[dict[str, Any]] = read_json(partial)["measures"] if partial.exists() else []
    pairs = zip(measures, (plain(spec) for spec in specs), strict=False)
    return [one for one, _ in takewhile(lambda pair: asked(pair[1]) <= pair[0].items(), pairs)]


def asked(spec: dict[str, Any]) -> Any:
    """What a measure has from its spec: `edges` alone is replaced, by the number that the network came to have."""
    return {key: value for key, value in spec.items() if key != "edges"}.items()


def brief(measure: dict[str, Any]) -> str:
    """What came out, on one line."""
    parts = [
        f"{measure[key]:{form}} {word}"
        for key, form, word in (
            ("seconds", ".3g", "s"),
            ("products", ".0f", "products"),
            ("passes", ".0f", "passes"),
            ("forward_passes", ".3g", "forward passes"),
            ("over_tame", ".3g", "times a tame one"),
            ("relative_imbalance", ".0e", "imbalance"),
            ("peak_bytes_per_edge", ".0f", "bytes per edge"),
        )
        if measure.get(key) is not None
    ]
    return ", ".join(parts + ([f"FAILED: {measure['failed']}"] if "failed" in measure else []))


def verdict(found: dict[str, Any]) -> str:
    word = {True: "holds", False: "BROKEN", None: "not tested"}[found["holds"]]
    return f"  {word}: {found['text']}" + "".join(f"\n    not: {name}" for name in found["exceptions"])


def chosen(text: str) -> list[Suite]:
    names = text.split(",") if text else list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        sys.exit(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    return [SUITES[name] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help=f"suites, with commas: {','.join(SUITES)}")
    parser.add_argument("--family", action="append", default=[], help="measure this family only; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    parser.add_argument("--go-on", action="store_true", help="from where an interrupted run ended")
    parser.add_argument("--results", type=Path, help="folder (default: benchmarks/results, results/quick with --quick)")
    arguments = parser.parse_args()
    folder = arguments.results or (RESULTS / "quick" if arguments.quick else RESULTS)
    start = time.perf_counter()
    try:
        for suite in chosen(arguments.only):
            run_suite(suite, folder, arguments.quick, arguments.family, arguments.go_on)
    except KeyboardInterrupt:
        sys.exit(f"\ninterrupted; what was measured is kept in {folder}/*.partial.json")
    print(f"{time.perf_counter() - start:.0f} s; now: python benchmarks/draw.py --results {folder}")


if __name__ == "__main__":
    main()
