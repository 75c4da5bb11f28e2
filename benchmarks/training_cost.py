"""Hypotheses: a sweep adds at most 5 % to a training step, measuring the imbalance at most 2 %.

A network with 10^6 parameters, batches of 256, AdamW. All are processor times in one process, each taken after a
step, which leaves no weight in the nearest memory; threads that wait sleep, so as not to count as work. Beside them is
what bare passes over the same memory take: one reading of the weights, and the least that a sweep does, two readings
of the weights and one multiplication of weights and both moments; and how far from balance a network is that is swept
after each step, and one that never is. Run: ``python benchmarks/training_cost.py`` (needs torch); ``--rounds 60`` for
more of them, ``--threads 2`` for so many.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn

from balance_graph.pytorch import ModuleBalancer, imbalance, read_module
from balance_graph.pytorch.reading import _CACHE

WIDTHS = (256, 640, 640, 512, 256, 10)
BATCH = 256


def network() -> nn.Sequential:
    layers = [part for one, two in pairwise(WIDTHS) for part in (nn.Linear(one, two), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    rounds = arguments.rounds
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    module = network()
    x, y = torch.randn(BATCH, WIDTHS[0]), torch.zeros(BATCH, dtype=torch.int64)
    optimizer = torch.optim.AdamW(module.parameters())
    example = (x[:1],)

    def step() -> None:
        y.random_(WIDTHS[-1])  # what can be learned would be soon, and steps be none
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()

    def read() -> None:
        _CACHE.pop(module, None)
        read_module(module, example, training=True)

    def read_weights() -> None:
        for parameter in module.parameters():
            torch.linalg.vector_norm(parameter.detach())

    def pass_over_all() -> None:
        read_weights()
        read_weights()
        for parameter in module.parameters():
            for tensor in (
                parameter.detach(),
                *(optimizer.state[parameter][name] for name in ("exp_avg", "exp_avg_sq")),
            ):
                tensor.mul_(1.0)

    step()
    sweep = ModuleBalancer(module, optimizer, example, mode="sweep")
    full = ModuleBalancer(module, optimizer, example)
    unswept = sweep.imbalance()
    tasks = {
        "sweep": sweep.step,
        "imbalance": sweep.imbalance,
        "imbalance of all units and layers": lambda: imbalance(module, example),
        "bare passes of a sweep": pass_over_all,
        "bare reading of the weights": read_weights,
    }
    rare = {"full": full.step, "reading": read}
    for task in (*tasks.values(), *rare.values()):
        task()
    times: dict[str, list[float]] = {name: [] for name in ("step", *tasks)}
    for _ in range(rounds):
        for name, task in tasks.items():
            times["step"].append(seconds(step))
            times[name].append(seconds(task))
    for name, task in rare.items():
        times[name] = [seconds(task) for _ in range(3)]
    base = statistics.median(times["step"])
    count = sum(p.numel() for p in module.parameters())
    print(
        f"{count} parameters, batch {BATCH}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, ", end=""
    )
    print(f"{base * 1e3:.1f} ms a step")
    limits = {"sweep": "5 %", "imbalance": "2 %"}
    for name in [*tasks, *rare]:
        limit = limits.get(name, "")
        median, least = statistics.median(times[name]) / base, min(times[name]) / min(times["step"])
        print(f"{name} / step: {median:.3f} (least / least {least:.3f}){'; at most ' + limit if limit else ''}")
    step()
    before = sweep.imbalance()
    sweep.step()
    print(f"largest imbalance: {unswept:.2g} at the start; with sweeps {before:.2g} after a step, ", end="")
    print(f"{sweep.imbalance():.2g} after the sweep that follows")


if __name__ == "__main__":
    main()
