"""Networks of dense blocks, what is read of them, and units of cost: a forward pass, and a pass over the weights."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from clock import timed

import balance_graph as bg

_LAYERS, _BATCH = 4, 32
_SPREAD = 3.0  # of the logarithms of random scales: weights reach over some 25 powers of e


class Counted:
    """A block that counts the weights that are read of it."""

    def __init__(self, block: bg.DenseBlock) -> None:
        self.block, self.tail, self.head, self.read = block, block.tail, block.head, 0

    def extent(self, exponent: float) -> Any:
        self.read += self.block.weights.size
        return self.block.extent(exponent)

    def products(self, exponent: float, log_unit: float, rows: np.ndarray, columns: np.ndarray) -> Any:
        self.read += self.block.weights.size
        return self.block.products(exponent, log_unit, rows, columns)


@dataclass(frozen=True)
class Layers:
    """Blocks from layer to layer, whose first and last units are pinned."""

    blocks: list[Counted]
    n_unknowns: int

    def problem(self) -> bg.BlockProblem:
        return bg.BlockProblem(self.blocks, self.n_unknowns)

    @property
    def n_weights(self) -> int:
        return sum(one.block.weights.size for one in self.blocks)

    @property
    def n_bytes(self) -> int:
        return sum(one.block.weights.nbytes for one in self.blocks)

    @property
    def passes(self) -> float:
        """Passes over all weights so far."""
        return sum(one.read for one in self.blocks) / self.n_weights

    def forward_seconds(self) -> float:
        """Time of a forward pass of a batch, by NumPy's products in single precision."""
        weights = [one.block.weights.astype(np.float32, copy=False) for one in self.blocks]

        def forward() -> np.ndarray:
            x = np.ones((_BATCH, weights[0].shape[0]), dtype=np.float32)
            for w in weights:
                x = np.maximum(x @ w, 0.0) * np.float32(1e-3)
            return x

        with np.errstate(over="ignore", invalid="ignore"):
            return statistics.median(timed(forward)[0] for _ in range(3))

    def pass_seconds(self) -> float:
        """Time of both products with all blocks."""
        both = [(one.block, np.ones(one.tail.size), np.ones(one.head.size)) for one in self.blocks]
        return statistics.median(timed(lambda: [b.products(2.0, 0.0, x, y) for b, x, y in both])[0] for _ in range(3))

    def judge(self, log_scales: np.ndarray) -> tuple[float, float]:
        """Largest relative imbalance and logarithm of the cost, with NumPy alone, some rows at a time."""
        into, out_of = np.zeros(self.n_unknowns + 1), np.zeros(self.n_unknowns + 1)
        at, cost = np.append(log_scales, 0.0), 0.0
        for one in self.blocks:
            up = np.exp(at[one.head])
            for i in range(0, one.tail.size, 100):
                tail = one.tail[i : i + 100]
                costs = (one.block.weights[i : i + 100].astype(np.float64) * np.exp(-at[tail])[:, None] * up) ** 2
                out_of[tail] += costs.sum(axis=1)
                into[one.head] += costs.sum(axis=0)
                cost += float(costs.sum())
        one, two = into[:-1], out_of[:-1]
        return float((np.abs(one - two) / (one + two)).max()), float(np.log(cost))


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    weights = _normal(rng, shape)
    weights *= 3.0
    return np.exp(weights, out=weights)


def _sparse(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    weights = _normal(rng, shape)
    weights[rng.random(shape, dtype=np.float32) < 0.9] = 0.0
    return weights


FAMILIES: dict[str, tuple[Callable[..., np.ndarray], str]] = {
    "dense layers": (_normal, "float32"),
    "dense layers in float16": (_normal, "float16"),
    "heavy-tailed layers": (_heavy, "float32"),
    "nine of ten weights zero": (_sparse, "float32"),
}


def layers(name: str, n_weights: int, *, rescaled: bool = False, seed: int = 0) -> Layers:
    """Four square blocks of a family, as wide as the number of weights asks for."""
    draw, dtype = FAMILIES[name]
    width, rng = round((n_weights / _LAYERS) ** 0.5), np.random.default_rng(seed)
    scales = [np.ones(width, dtype=np.float32) for _ in range(_LAYERS + 1)]
    if rescaled:
        scales[1:-1] = [np.exp(_SPREAD * rng.standard_normal(width, dtype=np.float32)) for _ in scales[1:-1]]
    units = [-1, *(np.arange(k * width, (k + 1) * width) for k in range(_LAYERS - 1)), -1]
    blocks = []
    for k in range(_LAYERS):
        weights = draw(rng, (width, width))
        weights *= scales[k + 1]
        weights /= scales[k][:, None]
        blocks.append(Counted(bg.DenseBlock(units[k], units[k + 1], weights.astype(dtype, copy=False))))
    return Layers(blocks, (_LAYERS - 1) * width)
