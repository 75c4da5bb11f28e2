"""Checks of the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balance_graph._arguments import VANISHES
from balance_graph._foreign import described
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.activations import Activation
from balance_graph.graph.activations import activation as parse_activation


def is_list(values: Any) -> bool:
    """Whether it is a sequence or an array, and not text."""
    if isinstance(values, np.ndarray):
        return values.ndim > 0
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def positive_int(value: Any, name: str, *, least: int = 1) -> int:
    """An int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        message = f"{name} must be an int of at least {least}, got {value!r}"
        raise InvalidParameterError(message)
    return int(value)


def checked_widths(widths: Any, name: str = "widths") -> list[int]:
    """Two positive ints or more."""
    if not is_list(widths) or len(widths) < 2:
        message = f"{name} must list at least 2 positive ints, that of the input first, got {widths!r}"
        raise InvalidParameterError(message)
    return [positive_int(width, f"{name}[{k}]") for k, width in enumerate(widths)]


def checked_counts(inputs: Any, hidden: Any, outputs: Any) -> tuple[int, int, int]:
    """Numbers of inputs, hidden nodes (may be none) and outputs."""
    return positive_int(inputs, "inputs"), positive_int(hidden, "hidden", least=0), positive_int(outputs, "outputs")


def checked_probability(value: Any) -> float:
    """A number from 0 to 1."""
    if isinstance(value, int | float | np.number) and 0 <= value <= 1:
        return float(value)
    message = f"probability must be a number from 0 to 1, got {value!r}"
    raise InvalidParameterError(message)


def checked_activations(activation: Any, hidden: int) -> list[str | Activation]:
    """One known activation for each of the hidden layers."""
    if not is_list(activation):
        parse_activation(activation)
        return [activation] * hidden
    for one in activation:
        parse_activation(one)
    if len(activation) != hidden:
        message = (
            f"{len(activation)} activations for {hidden} hidden layers; give one per hidden layer, or a single one"
        )
        raise InvalidParameterError(message)
    return list(activation)


def checked_array(values: Any, name: str) -> Array:
    """An array of real numbers, as floats."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a torch tensor that requires grad
        message = f"{name} is not an array of numbers: {error}"
        raise InvalidParameterError(message) from error
    if array.dtype.kind not in "iuf":
        message = f"{name} must hold real numbers, got an array of dtype {array.dtype}"
        raise InvalidParameterError(message)
    with np.errstate(all="ignore"):  # an extended float beyond the range becomes inf, and is refused as such
        floats = array.astype(float)
    if np.count_nonzero(floats) < np.count_nonzero(array):
        message = f"{name} of dtype {array.dtype} holds a number which {VANISHES}; set it to 0"
        raise InvalidParameterError(message)
    return floats


def checked_matrices(weights: Any) -> list[Array]:
    """Weights of successive layers, each of shape (fan_in, fan_out)."""
    if not is_list(weights) or len(weights) == 0:
        message = f"weights must list one array of shape (fan_in, fan_out) per layer, got {described(weights)}"
        raise InvalidParameterError(message)
    matrices = [checked_array(values, f"weights[{k}]") for k, values in enumerate(weights)]
    for k, matrix in enumerate(matrices):
        if matrix.ndim != 2 or 0 in matrix.shape:
            message = f"weights[{k}] must have shape (fan_in, fan_out) with both positive, got shape {matrix.shape}"
            raise InvalidParameterError(message)
        if k and matrix.shape[0] != matrices[k - 1].shape[1]:
            message = (
                f"weights[{k}] of shape {matrix.shape} does not follow weights[{k - 1}] of shape "
                f"{matrices[k - 1].shape}: fan_in {matrix.shape[0]} is not the {matrices[k - 1].shape[1]} units of "
                f"layer {k}; shapes are (fan_in, fan_out), transpose the array if it is the other way round"
            )
            raise InvalidParameterError(message)
    return matrices


def checked_vectors(biases: Any, matrices: list[Array]) -> list[Array | None]:
    """Biases of each layer, of shape (fan_out,), or None."""
    if biases is None:
        return [None] * len(matrices)
    if not is_list(biases) or len(biases) != len(matrices):
        count = len(biases) if is_list(biases) else repr(biases)
        message = f"{count} biases for {len(matrices)} layers; give a list with one array or None per layer"
        raise InvalidParameterError(message)
    vectors = [None if values is None else checked_array(values, f"biases[{k}]") for k, values in enumerate(biases)]
    for k, (vector, matrix) in enumerate(zip(vectors, matrices, strict=True)):
        if vector is not None and vector.shape != matrix.shape[1:]:
            message = f"biases[{k}] must have shape {matrix.shape[1:]}, the fan_out of weights[{k}]; got {vector.shape}"
            raise InvalidParameterError(message)
    return vectors
