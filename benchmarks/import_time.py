"""Hypothesis: importing balance_graph adds at most 0.25 s to importing networkx, numpy and scipy.sparse.

Each measurement is a new process. Run: ``python benchmarks/import_time.py``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import machine

RESULTS = Path(__file__).parent / "results" / "import_time.json"
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
# The package imports a name when it is first asked for.
OURS = "from balance_graph import balance"
BASE = "networkx, numpy, scipy.sparse"


def seconds(code: str) -> float:
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    seconds(f"import {BASE}; " + TIMED.format(OURS))  # fill the file cache
    pairs = [
        (seconds(TIMED.format(f"import {BASE}")), seconds(f"import {BASE}; " + TIMED.format(OURS))) for _ in range(15)
    ]
    results = {
        "hypothesis": "at most 0.25 s on top of networkx, numpy, scipy.sparse",
        **machine.description(),
        "seconds_base_median": round(statistics.median(base for base, _ in pairs), 3),
        "seconds_added_median": round(statistics.median(added for _, added in pairs), 3),
        "ratio_median": round(statistics.median(added / base for base, added in pairs), 3),
    }
    print(results)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
