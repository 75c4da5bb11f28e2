"""Costs that are one function of the log-weight, which may be no sum of powers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array
from balance_graph.errors import InvalidRegularizerError
from balance_graph.problem.regularizers import Regularizer
from balance_graph.problem.rows import FunctionRows

# Log-weights at which the functions of a `LogConvex` are compared with finite differences.
_SAMPLES = 129


class LogWeightCost(Regularizer):
    """Base of the costs that are one function of the log-weight, which may be no sum of powers.

    Subclasses give `log_value`, `log_slope`, `ratio` and `convex`.
    """

    @property
    def is_expressible(self) -> bool:
        """Whether `convex` knows the cost."""
        return True

    @property
    def steepest(self) -> float:
        """The limit of the slope, where there is a mirror."""
        return math.inf

    def convex(self, cp: Any, x: Any) -> Any:
        """The cost as a convex expression of `cp`, the module cvxpy, in its expression x of the log-weight."""
        raise NotImplementedError

    def log_value(self, log_weights: Array) -> Array:
        """Logarithm of the cost."""
        raise NotImplementedError

    def log_slope(self, log_weights: Array) -> Array:
        """Logarithm of the derivative of the cost by the log-weight."""
        raise NotImplementedError

    def ratio(self, log_weights: Array) -> Array:
        """Second derivative divided by the first."""
        raise NotImplementedError

    def rows(self, log_weight: Array, log_coefficient: Array, exponent: Array | None = None) -> FunctionRows:
        if exponent is not None and not np.all(np.isnan(exponent)):
            message = f"an edge has its own exponent, which only Lp allows, not {self!r}; drop the attribute"
            raise InvalidRegularizerError(message)
        edge = np.flatnonzero(log_weight > -np.inf)
        return FunctionRows(edge, log_coefficient[edge], log_weight[edge], self)


@dataclass(frozen=True, repr=False)
class LogConvex(LogWeightCost):
    """Any cost that is convex and increasing in the log-weight ``x = log|w|``.

    Parameters
    ----------
    value, slope, curvature : callable
        Vectorised functions of x: the cost, its first and its second derivative with respect to x. The cost must
        be non-negative (zero in the limit of a zero weight), the slope positive, the curvature non-negative; a
        curvature positive almost everywhere makes the balanced weights unique.
    expression : callable, optional
        The same cost as a convex cvxpy expression of a cvxpy expression x, such as
        ``lambda x: cp.logistic(2 * x)``. With it cvxpy solves the problem directly; without it, as a sequence of
        quadratic models.

    Raises
    ------
    InvalidRegularizerError
        If at a log-weight a function returns the wrong shape or a non-finite value, the signs are wrong, or the
        derivatives disagree with finite differences. Checked when made, for |w| from e^-8 to e^4, again at the weights
        of each network, and at those of its solution.

    See Also
    --------
    Cauchy, LogSum, Huber, PseudoHuber : ready made, and exact for weights of any size.

    Notes
    -----
    With ``w g'(w)`` non-decreasing, g is convex in the log-weight; Baldi et al., arXiv 2405.09688, section on general
    regularizers.

    Examples
    --------
    The cost ``log(1 + w**2)``, which is `Cauchy`:

    >>> import numpy as np
    >>> import balance_graph as bg
    >>> from scipy.special import expit
    >>> cauchy = bg.LogConvex(
    ...     value=lambda x: np.logaddexp(0, 2 * x),
    ...     slope=lambda x: 2 * expit(2 * x),
    ...     curvature=lambda x: 4 * expit(2 * x) * expit(-2 * x),
    ... )
    """

    has_checks: ClassVar[bool] = True

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]
    expression: Callable[[Any], Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("value", "slope", "curvature"):
            if not callable(getattr(self, name)):
                message = f"LogConvex: {name} must be a function of the log-weight, got {getattr(self, name)!r}"
                raise InvalidRegularizerError(message)
        self.check(np.linspace(-8.0, 4.0, _SAMPLES), "where every LogConvex is tried when it is made")

    def __repr__(self) -> str:
        names = [getattr(one, "__qualname__", repr(one)) for one in (self.value, self.slope, self.curvature)]
        return f"LogConvex({', '.join(names)})"

    @property
    def is_expressible(self) -> bool:
        return self.expression is not None

    def convex(self, cp: Any, x: Any) -> Any:  # noqa: ARG002
        assert self.expression is not None
        return self.expression(x)

    # Steps may try log-weights at which the functions do not hold. What is no number there counts as infinite, so that
    # the step is not taken; `check` judges where weights are and where they end.

    def log_value(self, log_weights: Array) -> Array:
        return self._logarithm("value", log_weights)

    def log_slope(self, log_weights: Array) -> Array:
        return self._logarithm("slope", log_weights)

    def _logarithm(self, name: str, log_weights: Array) -> Array:
        values = self._evaluated(name, log_weights)
        with np.errstate(divide="ignore"):
            return np.log(np.where(np.isnan(values), np.inf, np.maximum(values, 0.0)))

    def ratio(self, log_weights: Array) -> Array:
        slopes, curvatures = (self._evaluated(name, log_weights) for name in ("slope", "curvature"))
        with np.errstate(all="ignore"):
            ratio = curvatures / slopes
        # Where the slope has underflowed to zero the row weighs nothing, whatever the ratio.
        return np.where((slopes > 0.0) & (ratio > 0.0) & np.isfinite(ratio), ratio, 0.0)

    def _evaluated(self, name: str, log_weights: Array) -> Array:
        """One of ``"value"``, ``"slope"``, ``"curvature"`` at the log-weights; overflow gives inf, quietly."""
        with np.errstate(all="ignore"):
            result = np.asarray(getattr(self, name)(log_weights), dtype=float)
        if result.shape != log_weights.shape:
            message = f"LogConvex: {name} must return shape {log_weights.shape}, got {result.shape}"
            raise InvalidRegularizerError(message)
        return result

    def check(self, log_weights: Array, where: str) -> None:
        value, slope, curvature = (self._evaluated(name, log_weights) for name in ("value", "slope", "curvature"))
        for name, samples in (("value", value), ("slope", slope), ("curvature", curvature)):
            self._require(np.isfinite(samples), log_weights, name, samples, "must be finite", where)
            # Rounding of a function that is truly non-negative stays far below this share of its largest value.
            slack = 1e-9 * float(np.max(np.abs(samples), initial=0.0))
            self._require(samples >= -slack, log_weights, name, samples, "must not be negative", where)
        self._require(slope > 0, log_weights, "slope", slope, "must be positive", where)
        if log_weights.size > _SAMPLES:
            chosen = np.unique(np.linspace(0, log_weights.size - 1, _SAMPLES).astype(np.intp))
            order = np.argsort(log_weights, kind="stable")[chosen]
            log_weights, slope, curvature = log_weights[order], slope[order], curvature[order]
        self._check_derivative("slope", "value", log_weights, slope, where)
        self._check_derivative("curvature", "slope", log_weights, curvature, where)

    def _check_derivative(self, name: str, primitive: str, at: Array, claimed: Array, where: str) -> None:
        # The mean slope over a step lies between the slopes at its ends when the function is convex; for the second
        # derivative, which need not be monotone (Huber's jumps), the same is asked with a generous margin.
        step = 1e-4
        ahead, behind = self._evaluated(primitive, at + step), self._evaluated(primitive, at - step)
        around = np.stack([self._evaluated(name, at - step), claimed, self._evaluated(name, at + step)])
        # So near the end of the range of floats that a step leaves it, the derivative cannot be measured.
        known = np.isfinite(ahead) & np.isfinite(behind) & np.all(np.isfinite(around), axis=0)
        with np.errstate(all="ignore"):
            measured = (ahead - behind) / (2 * step)
            rounding = 8 * np.finfo(float).eps * np.abs(ahead) / step
            margin = 1e-3 * np.max(np.abs(around), axis=0) + rounding + 1e-12
            agree = (measured >= around.min(axis=0) - margin) & (measured <= around.max(axis=0) + margin)
        self._require(agree | ~known, at, name, claimed, f"is not the derivative of {primitive}", where)

    @staticmethod
    def _require(holds: NDArray[np.bool_], at: Array, name: str, samples: Array, what: str, where: str) -> None:
        if not np.all(holds):
            k = int(np.argmin(holds))
            message = (
                f"LogConvex: {name} {what}; at log-weight {at[k]:.6g}, {where}, it is {samples[k]:.6g}. Write the "
                "function so that it holds there (Cauchy, LogSum, Huber and PseudoHuber do at any size), or scale the "
                "network"
            )
            raise InvalidRegularizerError(message)
