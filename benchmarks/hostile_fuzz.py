"""Large networks of unusual kinds by the thousand: any size, spread, exponent, type and format, judged by the weights.

``python benchmarks/hostile_fuzz.py 2000 --log hostile-fuzz.json`` tries so many; a run that was stopped goes on where
the log ends. What is not as promised is printed, and kept in the log.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from hostile_networks import DTYPES, FORMATS, GAP, KINDS, TOL, answer
from results import read_json, write_json

EXPONENTS = (0.05, 0.5, 1.0, 2.0, 2.0, 2.0, 3.0, 20.0, 100.0)
LEAST, LARGEST = 4000, 300_000
_MOST_OF_DIA = 40_000


def drawn(seed: int, number: int, largest: int) -> dict[str, Any]:
    """What to try: half of the sizes are below the geometric mean of the ends."""
    rng = np.random.default_rng([seed, number])
    spec = {
        "family": str(rng.choice(list(KINDS))),
        "edges": int(np.exp(rng.uniform(np.log(LEAST), np.log(largest)))),
        "spread": float(rng.choice([0.5, 3.0, 10.0, 30.0, 100.0])),
        "p": float(rng.choice(EXPONENTS)),
        "seed": int(rng.integers(2**31)),
    }
    if rng.random() < 0.2:
        spec.update(dtype=str(rng.choice(DTYPES)), spread=min(spec["spread"], 3.0))
    if rng.random() < 0.2 and spec.get("dtype") != "float16":  # which SciPy does not convert
        spec["format"] = str(rng.choice(FORMATS))
    if spec["edges"] > _MOST_OF_DIA and spec.get("format") == "dia":  # an array with a row for each diagonal
        del spec["format"]
    return spec


def faults(found: dict[str, Any], time_limit: float) -> list[str]:
    """What is not as promised; an answer that is not converged is no error if it is said, and says why."""
    if found["status"] != "converged":
        is_late = found["status"] == "limit reached" and found["seconds"] >= time_limit
        return [f"unconverged: {'time' if is_late else found['status']}"]
    wrong = {
        "wrong: not balanced": not found["relative_imbalance"] <= TOL + found["rounding"],
        "wrong imbalance": not abs(found["relative_imbalance"] - found["relative_imbalance_reported"])
        <= TOL + found["rounding"],
        "loose": not found["relative_gap"] <= GAP,
        "warned": bool(found["warnings"]),
    }
    return [name for name, is_so in wrong.items() if is_so]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--largest", type=int, default=LARGEST, help="edges of the largest networks")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for each")
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    kept = read_json(asked.log) if asked.log and asked.log.exists() else {"tried": 0, "found": {}, "cases": []}
    tally: Counter[str] = Counter(kept["found"])
    for number in range(kept["tried"], asked.count):
        spec = drawn(asked.seed, number, asked.largest)
        try:
            found = faults(answer({**spec, "time_limit": asked.time_limit}), asked.time_limit)
        except Exception as error:  # crashes are what is looked for
            found = [f"crash {type(error).__name__}: {str(error)[:80]}"]
        tally.update(found or ["right"])
        if found:
            kept["cases"].append({"number": number, "found": found, **spec})
            print(number, found, json.dumps(spec), flush=True)
        if asked.log:
            write_json(asked.log, {**kept, "seed": asked.seed, "tried": number + 1, "found": dict(tally)})
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {asked.count}", end="", file=sys.stderr, flush=True)
    for fault, times in tally.most_common():
        print(f"{times:8d} {fault}")


if __name__ == "__main__":
    main()
