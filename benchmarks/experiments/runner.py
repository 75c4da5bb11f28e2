"""All runs of a profile, in several processes, one experiment after another; what is finished is never repeated."""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from experiments.configuration import Experiment, Run
from experiments.store import Store, environment, write_table

_Pool: TypeAlias = ProcessPoolExecutor | None
_SECONDS_BETWEEN_LINES = 10.0
_CONSERVATION_SEEDS = 3


def run_experiments(experiments: Sequence[Experiment], folder: Path, processes: int) -> None:
    """Of each experiment tune every arm, run what is compared, and put it into the tables once it is complete.

    Tables of other experiments in the folder are kept.
    """
    store, where = Store(folder), environment()
    _measure_conservation(folder)
    with _workers(processes) as pool:
        for number, experiment in enumerate(experiments, 1):
            print(f"{experiment.title} ({number} of {len(experiments)})", flush=True)
            tuning = experiment.tuning()
            _run_missing("tuning", tuning, store, where, pool)
            compared = experiment.compared(chosen(experiment, store.rows))
            _run_missing("comparing", compared, store, where, pool)
            store.finish(experiment.name, [run.key for run in (*tuning, *compared)])


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


def _run_missing(what: str, runs: Sequence[Run], store: Store, where: dict[str, Any], pool: _Pool) -> None:
    missing = [run for run in {run.key: run for run in runs}.values() if run.key not in store.rows]
    print(f"  {what}: {len(runs)} runs, {len(runs) - len(missing)} of them done before", flush=True)
    start = last = time.perf_counter()
    for done, result in enumerate(_results(missing, pool), 1):
        store.add(result, where)
        now = time.perf_counter()
        if now - last > _SECONDS_BETWEEN_LINES or done == len(missing):
            left = (now - start) / done * (len(missing) - done)
            print(f"    {done}/{len(missing)}, about {left / 60:.1f} minutes left", file=sys.stderr, flush=True)
            last = now


@contextmanager
def _workers(processes: int) -> Iterator[_Pool]:
    """Processes that stay for all experiments, since each reads PyTorch and the data anew; none for one process."""
    if processes == 1:
        yield None
        return
    # Fresh processes: threads of PyTorch do not survive a fork. Each has one thread of its own.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _results(runs: Sequence[Run], pool: _Pool) -> Iterator[dict[str, Any]]:
    from experiments.training import train  # needs torch

    if pool is None:
        yield from map(train, runs)
    else:
        for future in as_completed([pool.submit(train, run) for run in runs]):
            yield future.result()
