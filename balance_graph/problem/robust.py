"""Robust costs of a weight: quadratic or linear where it is small, and growing more slowly where it is large.

All are computed from the log-weight by way of logarithms, so they are exact to rounding for weights of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from balance_graph._arguments import check_positive
from balance_graph._types import Array
from balance_graph.errors import InvalidRegularizerError
from balance_graph.problem.log_domain import times_exp
from balance_graph.problem.log_weight_cost import LogWeightCost

# Below this, log(1 + z) is z to the last digit.
_TINY = -37.0


class _Robust(LogWeightCost):
    """The cost and its derivatives from their logarithms."""

    def value(self, log_weights: Array) -> Array:
        """The cost; inf beyond the range of floats."""
        return _exp(self.log_value(np.asarray(log_weights, dtype=float)))

    def slope(self, log_weights: Array) -> Array:
        """Its derivative by the log-weight; inf beyond the range of floats."""
        return _exp(self.log_slope(np.asarray(log_weights, dtype=float)))

    def curvature(self, log_weights: Array) -> Array:
        """Its second derivative by the log-weight; inf beyond the range of floats."""
        at = np.asarray(log_weights, dtype=float)
        return times_exp(self.ratio(at), self.log_slope(at))


def _exp(log_values: Array) -> Array:
    return times_exp(np.ones_like(log_values), log_values)


class _Logistic(_Robust):
    """``log(1 + (|w| / s)**q)``: with ``z = q (x - log s)`` that is ``log(1 + e^z)``."""

    scale: float
    power: ClassVar[float]

    def __post_init__(self) -> None:
        _check(self, "scale")

    @property
    def mirror(self) -> float:
        return 2.0 * math.log(self.scale)

    @property
    def steepest(self) -> float:
        return self.power

    def _z(self, log_weights: Any) -> Any:
        return self.power * (log_weights - math.log(self.scale))

    def log_value(self, log_weights: Array) -> Array:
        z = self._z(log_weights)
        result: Array = np.where(z < _TINY, z, np.log(np.logaddexp(0.0, np.maximum(z, _TINY))))
        return result

    def log_slope(self, log_weights: Array) -> Array:
        result: Array = math.log(self.power) - np.logaddexp(0.0, -self._z(log_weights))
        return result

    def ratio(self, log_weights: Array) -> Array:
        result: Array = self.power * _expit(-self._z(log_weights))
        return result

    def convex(self, cp: Any, x: Any) -> Any:
        return cp.logistic(self._z(x))


@dataclass(frozen=True)
class Cauchy(_Logistic):
    """The cost ``log(1 + (w / scale)**2)``: quadratic for small weights, a logarithm for large ones.

    Parameters
    ----------
    scale : float
        Positive: the weight about which the cost turns from the one to the other.

    Raises
    ------
    InvalidRegularizerError
        If `scale` is not a positive finite number.

    See Also
    --------
    LogSum : The same for sizes instead of squares.
    LogConvex : Any other function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.balance(bg.networks.chain(weights=[1e-90, 4.0, 1e90]), bg.Cauchy()).converged
    True
    """

    scale: float = 1.0
    power: ClassVar[float] = 2.0


@dataclass(frozen=True)
class LogSum(_Logistic):
    """The cost ``log(1 + |w| / scale)``: linear for small weights, a logarithm for large ones.

    Parameters
    ----------
    scale : float
        Positive: the weight about which the cost turns from the one to the other.

    Raises
    ------
    InvalidRegularizerError
        If `scale` is not a positive finite number.

    See Also
    --------
    Cauchy : The same for squares instead of sizes.
    LogConvex : Any other function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.balance(bg.networks.chain(weights=[1.0, 4.0]), bg.LogSum(scale=0.1)).converged
    True
    """

    scale: float = 1.0
    power: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Huber(_Robust):
    """Huber's cost: ``w**2 / 2`` up to ``|w| = delta``, and ``delta (|w| - delta / 2)`` beyond.

    Parameters
    ----------
    delta : float
        Positive: where the cost turns from quadratic to linear.

    Raises
    ------
    InvalidRegularizerError
        If ``delta`` is not a positive finite number.

    See Also
    --------
    PseudoHuber : The same without a kink in the curvature.
    LogConvex : Any other function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> round(bg.cost(bg.networks.chain(weights=[0.5, 3.0]), bg.Huber(delta=1.0)), 12)
    2.625
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "delta")

    def log_value(self, log_weights: Array) -> Array:
        t = log_weights - math.log(self.delta)
        beyond = t + np.log1p(-0.5 * np.exp(-np.clip(t, 0.0, -2.0 * _TINY)))
        return 2.0 * math.log(self.delta) + np.where(t <= 0.0, 2.0 * t - math.log(2.0), beyond)

    def log_slope(self, log_weights: Array) -> Array:
        result: Array = log_weights + np.minimum(log_weights, math.log(self.delta))
        return result

    def ratio(self, log_weights: Array) -> Array:
        return np.where(log_weights <= math.log(self.delta), 2.0, 1.0)

    def convex(self, cp: Any, x: Any) -> Any:
        return 0.5 * cp.huber(cp.exp(x), self.delta)


@dataclass(frozen=True)
class PseudoHuber(_Robust):
    """The smooth sister of `Huber`: ``delta**2 (sqrt(1 + (w / delta)**2) - 1)``.

    Parameters
    ----------
    delta : float
        Positive: the weight about which the cost turns from quadratic to linear.

    Raises
    ------
    InvalidRegularizerError
        If ``delta`` is not a positive finite number.

    See Also
    --------
    Huber : Quadratic, then linear, with nothing between.
    LogConvex : Any other function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.balance(bg.networks.chain(weights=[1.0, 4.0]), bg.PseudoHuber(delta=2.0)).converged
    True
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "delta")

    def log_value(self, log_weights: Array) -> Array:
        # The difference of the root and 1 is (w / delta)^2 divided by their sum.
        t = log_weights - math.log(self.delta)
        result: Array = 2.0 * log_weights - np.logaddexp(0.0, 0.5 * np.logaddexp(0.0, 2.0 * t))
        return result

    def log_slope(self, log_weights: Array) -> Array:
        t = log_weights - math.log(self.delta)
        result: Array = 2.0 * log_weights - 0.5 * np.logaddexp(0.0, 2.0 * t)
        return result

    def ratio(self, log_weights: Array) -> Array:
        return 2.0 - _expit(2.0 * (log_weights - math.log(self.delta)))

    def convex(self, cp: Any, x: Any) -> Any:
        root = cp.norm(cp.vstack([np.ones(x.shape), cp.exp(x - math.log(self.delta))]), 2, axis=0)
        return self.delta**2 * (root - 1.0)


def _check(regularizer: Any, name: str) -> None:
    words = f"{type(regularizer).__name__}: {name}"
    object.__setattr__(regularizer, name, check_positive(getattr(regularizer, name), words, InvalidRegularizerError))


def _expit(z: Array) -> Array:
    with np.errstate(under="ignore"):
        result: Array = np.exp(-np.logaddexp(0.0, -z))
    return result
