"""Checks of arguments: each names the argument, the value, and what it must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from balance_graph.errors import InvalidParameterError


def check_number(value: Any, name: str, error: type[ValueError] = InvalidParameterError) -> float:
    """A finite number as float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        message = f"{name} must be a number, got {value!r}"
        raise error(message)
    try:
        number = float(value)
    except OverflowError:  # an integer or fraction beyond the range of floats
        number = math.inf
    if not math.isfinite(number):
        message = f"{name} must be finite, got {value!r}"
        raise error(message)
    return number


def check_positive(value: Any, name: str, error: type[ValueError] = InvalidParameterError) -> float:
    """A positive finite number as float."""
    number = check_number(value, name, error)
    if number <= 0:
        message = f"{name} must be positive, got {value!r}"
        raise error(message)
    return number


def check_choice(value: Any, choices: Sequence[str], name: str) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)}; got {value!r}"
        raise InvalidParameterError(message)


def check_count(value: Any, name: str) -> None:
    """Refuse anything but a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        message = f"{name} must be a positive integer, got {value!r}"
        raise InvalidParameterError(message)
