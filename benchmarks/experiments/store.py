"""Where finished runs are kept: a file for each until all of its experiment are there, then two tables."""

from __future__ import annotations

import gzip
import io
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import pandas as pd
from results import read_json, write_bytes, write_json, write_text

# Significant digits. Enough to draw and to compare; all of a float would be most of the file.
_DIGITS = 5
_EPOCH_COLUMNS = (
    *("key", "epoch", "training_loss", "validation_loss", "validation_accuracy", "test_accuracy", "imbalance_1"),
    *("imbalance_2", "cost_2", "sharpness", "gradient_norm", "seconds"),
)


def environment() -> dict[str, Any]:
    """Versions, and the machine in words."""
    import torch

    found = machine.description()
    packages = {name: found["packages"][name] for name in ("numpy", "scipy")}
    return {**found, "packages": {**packages, "torch": torch.__version__}, "processor": platform.machine()}


class Store:
    """Finished runs of a folder, by key.

    Attributes
    ----------
    rows : dict of str to dict
        The row of each run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows: dict[str, dict[str, Any]] = {}
        self._epochs: dict[str, list[dict[str, Any]]] = {}
        self._complete: dict[str, list[str]] = {}  # the keys of each experiment that is in the tables
        self._environments: list[Any] = []
        if (folder / "runs.csv").exists():
            self._read_tables()
        for file in sorted(folder.glob("*.partial.json")):
            found = read_json(file)
            self.rows[found["row"]["key"]], self._epochs[found["row"]["key"]] = found["row"], found["epochs"]

    def _read_tables(self) -> None:
        self._environments = read_json(self._folder / "about.json")
        for row in _records(read_runs(self._folder)):
            self.rows[row["key"]] = row
            self._complete.setdefault(row["experiment"], []).append(row["key"])
        for row in _records(read_epochs(self._folder)):
            self._epochs.setdefault(row["key"], []).append(row)

    def add(self, result: dict[str, Any], where: dict[str, Any]) -> None:
        """Keep a finished run, with the digits that its table will have; its file is whole or not there."""
        if where not in self._environments:
            self._environments.append(where)
        row = {**_rounded(result["row"]), "environment": self._environments.index(where)}
        key = row["key"]
        self.rows[key], self._epochs[key] = row, [{"key": key, **epoch} for epoch in result["epochs"]]
        write_json(self._folder / f"{key}.partial.json", {"row": row, "epochs": self._epochs[key]})
        if not (self._folder / "about.json").exists() or read_json(self._folder / "about.json") != self._environments:
            write_json(self._folder / "about.json", self._environments)

    def finish(self, experiment: str, keys: Sequence[str]) -> None:
        """Put a complete experiment into the tables, its runs in this order, and remove their files."""
        self._complete[experiment] = list(keys)
        keys = [key for of_one in self._complete.values() for key in of_one]
        runs = pd.DataFrame([self.rows[key] for key in keys])
        epochs = [epoch for key in keys for epoch in self._epochs.get(key, [])]
        write_table(self._folder / "runs.csv", runs)
        table = _text(pd.DataFrame(epochs, columns=list(_EPOCH_COLUMNS))).encode()
        content = io.BytesIO()
        with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as file:  # equal tables make equal files
            file.write(table)
        write_bytes(self._folder / "epochs.csv.gz", content.getvalue())
        for key in keys:
            (self._folder / f"{key}.partial.json").unlink(missing_ok=True)


def read_runs(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "runs.csv")


def read_epochs(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "epochs.csv.gz")


def read_conservation(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "conservation.csv")


def write_table(path: Path, table: pd.DataFrame) -> None:
    write_text(path, _text(table))


def _text(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format=f"%.{_DIGITS}g", lineterminator="\n")


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """So that what is chosen by these numbers is the same before and after they are written."""
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) and name != "rate" else value
        for name, value in row.items()
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None where nothing was measured."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in table.to_dict("records")
    ]
