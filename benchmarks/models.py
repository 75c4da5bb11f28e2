"""Hypotheses: a ResNet-50 is balanced and certified in at most 5 times its export, a wide MLP in 10 forward passes.

ResNet-50 (25.6 million parameters, random weights, disturbed scales if asked for): from a module that was never read to
the certified optimum, beside `torch.export.export` alone, and beside that with the pass that makes it functional. The
MLP: four layers with 10^8 weights, to a relative imbalance of 1e-10, beside forward passes of a
batch of 32 on the same cores; the memory that is allocated meanwhile, beside that of the weights. Processor times.
Run: ``python benchmarks/models.py`` (needs torch); ``--weights 1e7`` for a smaller MLP, ``--spread 2`` for others.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

import balance_graph as bg
from balance_graph.models.balanced import balanced
from balance_graph.models.certificate import certify_cost
from balance_graph.models.state import state_of
from balance_graph.pytorch import apply, balance_module, read_module
from balance_graph.pytorch.costs import model_cost
from balance_graph.pytorch.reading import _CACHE

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from architectures import ResNet

BATCH = 32


def seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def resnet(rounds: int, spread: float) -> None:
    module = ResNet([64, 128, 256, 512], [3, 4, 6, 3], bottleneck=4, stem=64, classes=1000).eval()
    x = (torch.randn(1, 3, 32, 32),)
    model = read_module(module, x)
    scales = np.random.default_rng(0).standard_normal(model.structure.size)
    reports, times = [], {"export": list[float](), "functional": list[float](), "balance": list[float]()}

    def balance() -> None:
        _CACHE.pop(module, None)
        reports.append(balance_module(module, x))

    for _ in range(rounds):
        apply(read_module(module, x), spread * scales)
        times["export"].append(seconds(lambda: torch.export.export(module, x, strict=False)))
        times["functional"].append(seconds(lambda: torch.export.export(module, x, strict=False).run_decompositions({})))
        times["balance"].append(seconds(balance))
    base = statistics.median(times["export"])
    report = reports[-1]
    print(f"ResNet-50, {sum(p.numel() for p in module.parameters())} parameters, {torch.get_num_threads()} threads")
    print(f"export {base:.2f} s; with run_decompositions {statistics.median(times['functional']) / base:.1f} times")
    print(f"module to balanced and certified: {statistics.median(times['balance']) / base:.1f} times; at most 5")
    print(f"relative imbalance {report.relative_imbalance:.1e}, certified gap {report.certificate.relative_gap:.1e}")


def mlp(weights: float, spread: float) -> None:
    width = round((weights / 4) ** 0.5)
    layers = [part for i, o in pairwise([width] * 5) for part in (nn.Linear(i, o), nn.ReLU())]
    module, x = nn.Sequential(*layers[:-1]).eval(), torch.randn(BATCH, width)
    example = (x[:1],)
    model = read_module(module, example)
    apply(model, spread * np.random.default_rng(0).standard_normal(model.structure.size))
    balanced(model_cost(model, ((1.0, 2.0),)), bg.NewtonSolver(tol=0.5))  # loops are loaded
    with torch.no_grad():
        forward = statistics.median(seconds(lambda: module(x)) for _ in range(7))
    found = []
    tracemalloc.start()
    start = time.process_time()
    cost = model_cost(model, ((1.0, 2.0),))
    summed = time.process_time()
    found.append(balanced(cost, bg.NewtonSolver(tol=1e-10)))
    solved = time.process_time()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reached = state_of(cost, found[0].log_scales).relative_imbalances.max()
    apply(model, found[0].log_scales)
    certified = time.process_time()
    gap = certify_cost(model_cost(model, ((1.0, 2.0),)), bg.Lp(2.0)).relative_gap
    certified = time.process_time() - certified
    size = sum(p.numel() for p in module.parameters())
    print(f"MLP of {size:.3g} parameters, {torch.get_num_threads()} threads, forward of {BATCH}: {forward:.3f} s")
    print(f"balanced in {(solved - start) / forward:.1f} forward passes; at most 10 ({found[0].iterations} iterations)")
    print(f"  of these, looking at the weights first: {(summed - start) / forward:.1f}")
    print(f"relative imbalance {reached:.1e}; memory {peak / (4 * size):.1%} of the weights")
    print(f"certificate of the scaled module: {certified / forward:.1f} forward passes more, gap {gap:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=float, default=1e8)
    parser.add_argument("--spread", type=float, default=0.0)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    resnet(arguments.rounds, arguments.spread)
    mlp(arguments.weights, arguments.spread)


if __name__ == "__main__":
    main()
