"""What a benchmark ran on: versions and machine in words, for the JSON of its results."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import balance_graph

PACKAGES = ("numpy", "scipy", "networkx", "cvxpy", "clarabel", "scs", "numba")


def description() -> dict[str, object]:
    """Versions, processor and cores."""
    return {
        "balance_graph": balance_graph.__version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
