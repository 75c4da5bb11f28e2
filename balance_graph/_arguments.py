"""Checks of arguments: each names the argument, the value, and what it must be."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

from balance_graph.errors import InvalidParameterError

# What names a source of random numbers: a seed, a generator of numpy, old or new, or None for fresh ones.
Rng: TypeAlias = int | np.random.Generator | np.random.RandomState | None

# Python and numpy count a bool and a duration among the integers.
_NO_NUMBERS = (bool, np.timedelta64)
VANISHES = "is not zero, but smaller than the smallest float"


def is_real(value: Any) -> bool:
    """Whether it is a real number, whatever its type (of Python, of numpy, `Fraction`, `Decimal`); a bool is none."""
    return type(value) in (float, int) or (isinstance(value, (Real, Decimal)) and not isinstance(value, _NO_NUMBERS))


def nearest_float(value: Any) -> float:
    """The float nearest to a real number: infinite beyond their range, nan for a signaling NaN."""
    if type(value) is float:
        return value
    try:
        with np.errstate(all="ignore"):  # an extended float beyond the range of floats
            return float(value)
    except OverflowError:  # an integer or fraction beyond the range of floats
        return math.inf
    except ValueError:
        return math.nan


def vanishes(value: Any, number: float) -> bool:
    """Whether a number that is not zero has become the float zero."""
    return number == 0.0 and bool(value != 0)


def check_number(value: Any, name: str, error: type[ValueError] = InvalidParameterError) -> float:
    """A finite number as float."""
    if not is_real(value):
        message = f"{name} must be a number, got {value!r}"
        raise error(message)
    number = nearest_float(value)
    if vanishes(value, number):
        message = f"{name} is {value!r}, which {VANISHES}"
        raise error(message)
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


def check_count(value: Any, name: str) -> None:
    """Refuse anything but a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        message = f"{name} must be a positive integer, got {value!r}"
        raise InvalidParameterError(message)


def check_rng(rng: Any, name: str = "rng") -> None:
    """Refuse what names no source of random numbers."""
    seed = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0
    if not (rng is None or seed or isinstance(rng, (np.random.Generator, np.random.RandomState))):
        message = f"{name} must be a non-negative int, a numpy Generator or RandomState, or None, got {rng!r}"
        raise InvalidParameterError(message)


def generator_of(rng: Rng) -> np.random.Generator:
    """The generator that an int, a generator, a RandomState (which is advanced) or None means."""
    check_rng(rng)
    if isinstance(rng, np.random.RandomState):
        return np.random.default_rng(rng.randint(2**31, size=4))
    return np.random.default_rng(rng)
