"""A trace that knows which tensors hold floats, integers or truth values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from balance_graph.models import Trace


def kind_of(array: Any) -> str:
    """``"f"`` for floating types (bfloat16 too), ``"b"`` for truth values, ``"i"`` for all else."""
    dtype = np.asarray(array).dtype
    if dtype.kind == "f" or dtype.name == "bfloat16":
        return "f"
    return "b" if dtype.kind == "b" else "i"


@dataclass
class TypedTrace(Trace):
    """The same, with the kinds of what the current operation returns."""

    result_kinds: tuple[str, ...] = ()
