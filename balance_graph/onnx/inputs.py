"""Example inputs: those given, or random ones of the types and shapes that the model states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from balance_graph.errors import InvalidParameterError, UnsupportedError

# What dimensions of unknown size get, one after the other until the model runs: lengths of sequences first, then sizes
# of pictures. The first dimension, where it is unknown, is a batch of two.
SIZES = (5, 8, 16, 32, 48, 64, 96, 128, 224)
_BATCH = 2


def given_inputs(inputs: Sequence[Any], examples: Any) -> dict[str, Any]:
    """The examples by name, in the types that the model states."""
    names = [one.name for one in inputs]
    if isinstance(examples, Mapping):
        found = dict(examples)
    elif isinstance(examples, Sequence) and not isinstance(examples, str | bytes):
        found = dict(zip(names, examples, strict=False)) if len(examples) == len(names) else {}
    else:
        found = {}
    if set(found) != set(names):
        message = (
            f"example_inputs must be a dict or a sequence with an array for each of {names}, got {_shown(examples)}"
        )
        raise InvalidParameterError(message)
    return {one.name: np.asarray(found[one.name], dtype=_type_of(one)) for one in inputs}


def _shown(examples: Any) -> str:
    if isinstance(examples, Mapping):
        return f"a dict of {list(examples)}"
    return f"{type(examples).__name__}" + (f" of {len(examples)}" if isinstance(examples, Sequence) else "")


def random_inputs(inputs: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Guesses, one for each size of unknown dimensions; the same every time."""
    shapes = {one.name: _shape_of(one, _batches(inputs)) for one in inputs}
    is_fixed = all(isinstance(size, int) for shape in shapes.values() for size in shape)
    for size in SIZES[:1] if is_fixed else SIZES:
        rng = np.random.default_rng(0)
        yield {
            one.name: _random(rng, [size if known is None else known for known in shapes[one.name]], _type_of(one))
            for one in inputs
        }


def _batches(inputs: Sequence[Any]) -> set[str]:
    """Names of first dimensions."""
    return {dim.dim_param for one in inputs for dim in list(one.type.tensor_type.shape.dim)[:1] if dim.dim_param}


def _shape_of(one: Any, batches: set[str]) -> list[int | None]:
    """Sizes of dimensions; None where one is neither stated nor a batch."""
    result: list[int | None] = []
    for place, dim in enumerate(one.type.tensor_type.shape.dim):
        is_known = dim.HasField("dim_value") and dim.dim_value > 0
        is_batch = place == 0 or dim.dim_param in batches
        result.append(dim.dim_value if is_known else _BATCH if is_batch else None)
    return result


def _type_of(one: Any) -> np.dtype[Any]:
    kind = one.type.tensor_type.elem_type if one.type.HasField("tensor_type") else onnx.TensorProto.UNDEFINED
    if kind in {onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING}:
        message = f"input {one.name!r} is no tensor of numbers: such models are not read"
        raise UnsupportedError(message)
    found: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    return found


def _random(rng: np.random.Generator, shape: list[int], dtype: np.dtype[Any]) -> Any:
    """Normal numbers; ones and zeros for integers, which may be indices; True."""
    if dtype.kind == "b":
        return np.ones(shape, dtype=dtype)
    if dtype.kind in "iu":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)
