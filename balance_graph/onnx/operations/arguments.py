"""Arguments of ONNX operations: attributes in older opsets, constant inputs in later ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from balance_graph.models import Tensor, View, rule
from balance_graph.models.registry import AnyRule
from balance_graph.models.rules.layers import known


class NotUnderstoodError(Exception):
    """An operation with arguments that no rule reads: it is refused as if it were unknown."""


def operation(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Register the rule of ONNX operations of the default domain."""
    return rule(*(f"onnx::{name}" for name in names))


def numbers(operand: Any) -> list[Any] | None:
    """The numbers of an input, or of the attribute of its name that it was before; None where it is absent.

    Raises
    ------
    NotUnderstoodError
        If the input depends on others.
    """
    if operand is None:
        return None
    value = known(operand) if isinstance(operand, Tensor | View) else operand
    if value is None:
        reason = "an argument depends on inputs"
        raise NotUnderstoodError(reason)
    found: list[Any] = np.atleast_1d(value).tolist()
    return found


def number(operand: Any) -> Any:
    """The one number; None where it is absent."""
    found = numbers(operand)
    return found[0] if found else None


def axes_of(ndim: int, axes: list[Any] | None) -> list[int] | None:
    """Axes counted from the front."""
    return None if axes is None else [int(axis) % ndim for axis in axes]
