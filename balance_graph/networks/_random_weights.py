"""Random weights and biases."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from balance_graph._types import Array

_BIAS_DEVIATION = 0.1


def he_weights(rng: np.random.Generator, shape: tuple[int, ...], fan_in: ArrayLike | None) -> Array:
    """Normal weights of variance 2 / fan-in; for kernels (None) the fan-in is all axes after the first."""
    fan = math.prod(shape[1:]) if fan_in is None else fan_in
    return rng.standard_normal(shape) * np.sqrt(2.0 / np.asarray(fan, dtype=float))


def random_biases(rng: np.random.Generator, count: int) -> Array:
    """Normal biases of standard deviation 0.1."""
    return _BIAS_DEVIATION * rng.standard_normal(count)
