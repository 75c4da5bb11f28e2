"""All runs of a profile, in several processes; what is finished is never repeated."""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from experiments.configuration import Experiment, Run
from experiments.store import Store, environment, write_table

_SECONDS_BETWEEN_LINES = 10.0
_CONSERVATION_SEEDS = 3


def run_experiments(experiments: Sequence[Experiment], folder: Path, processes: int) -> None:
    """Tune every arm, run what is compared, and write the tables.

    Tables of other experiments in the folder are kept.
    """
    store, where = Store(folder), environment()
    tuning = [run for experiment in experiments for run in experiment.tuning()]
    _run_missing("tuning", tuning, store, where, processes)
    compared = [run for experiment in experiments for run in experiment.compared(chosen(experiment, store.rows))]
    _run_missing("comparing", compared, store, where, processes)
    names = {experiment.name for experiment in experiments}
    others = [key for key, row in store.rows.items() if row["experiment"] not in names]
    store.finish([*(run.key for run in (*tuning, *compared)), *others])
    _measure_conservation(folder)


def _measure_conservation(folder: Path) -> None:
    from experiments.conservation import measured  # needs torch

    if not (folder / "conservation.csv").exists():
        write_table(folder / "conservation.csv", measured(_CONSERVATION_SEEDS))


def chosen(experiment: Experiment, rows: dict[str, dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """For each arm the rate and penalty with the lowest validation loss after the last epoch, over tuning seeds."""
    losses: dict[str, dict[tuple[float, float], list[float]]] = {}
    for run in experiment.tuning():
        row = rows[run.key]
        loss = math.inf if row["diverged"] else row["validation_loss"]
        losses.setdefault(run.arm.name, {}).setdefault((run.rate, run.penalty), []).append(loss)
    return {arm: min(trials, key=lambda trial: float(np.mean(trials[trial]))) for arm, trials in losses.items()}


def _run_missing(what: str, runs: Sequence[Run], store: Store, where: dict[str, Any], processes: int) -> None:
    missing = [run for run in {run.key: run for run in runs}.values() if run.key not in store.rows]
    print(f"{what}: {len(runs)} runs, {len(runs) - len(missing)} of them done before", flush=True)
    start = last = time.perf_counter()
    for done, result in enumerate(_results(missing, processes), 1):
        store.add(result, where)
        now = time.perf_counter()
        if now - last > _SECONDS_BETWEEN_LINES or done == len(missing):
            left = (now - start) / done * (len(missing) - done)
            print(f"  {done}/{len(missing)}, about {left / 60:.1f} minutes left", file=sys.stderr, flush=True)
            last = now


def _results(runs: Sequence[Run], processes: int) -> Iterator[dict[str, Any]]:
    from experiments.training import train  # needs torch

    if processes == 1 or len(runs) < 2:
        yield from map(train, runs)
        return
    # Fresh processes: threads of PyTorch do not survive a fork. Each has one thread of its own.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(train, run) for run in runs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
