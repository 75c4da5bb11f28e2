"""Where finished jobs are kept: a file for each until all are there, then a table of each kind."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import pandas as pd
from results import read_json, write_json, write_text

from low_precision.configuration import Job

KINDS = ("model", "file", "peers")
# Enough to draw and to compare.
_DIGITS = 6


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """Versions, and the machine in words; packages that are absent are None."""
    from importlib import metadata

    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    found = machine.description()
    return {
        **found,
        "packages": {name: version(name) for name in ("numpy", *packages)},
        "processor": platform.machine(),
    }


class Store:
    """Rows of finished jobs in a folder, by the job's key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, list[dict[str, Any]]] = {}
        for kind in KINDS:
            for row in read_table(folder, kind).to_dict("records"):
                self._rows.setdefault(row.pop("job"), []).append(row)
        for file in sorted(folder.glob("*.partial.json")):
            self._rows[file.name.removesuffix(".partial.json")] = read_json(file)

    def __contains__(self, job: Job) -> bool:
        return job.key in self._rows

    def add(self, job: Job, rows: list[dict[str, Any]]) -> None:
        """Keep a finished job; its file is whole or not there."""
        write_json(self._folder / f"{job.key}.partial.json", rows)
        self._rows[job.key] = rows

    def finish(self, jobs: Sequence[Job], about: dict[str, Any]) -> None:
        """Write the tables of these jobs, in this order, and remove the files of single jobs."""
        for kind in KINDS:
            chosen = [job.key for job in jobs if job.kind == kind and job.key in self._rows]
            rows = [{"job": key, **row} for key in chosen for row in self._rows[key]]
            if rows:
                text = pd.DataFrame(rows).to_csv(index=False, float_format=f"%.{_DIGITS}g", lineterminator="\n")
                write_text(self._folder / f"{kind}.csv", text)
        write_json(self._folder / "about.json", about)
        for file in self._folder.glob("*.partial.json"):
            file.unlink()


def read_table(folder: Path, kind: str) -> pd.DataFrame:
    """The table of a kind; empty where none was measured."""
    path = folder / f"{kind}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""]) if path.exists() else pd.DataFrame()
