"""Regularizers: the cost g(|w|) of a weight, and its compilation to rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from numbers import Real
from typing import ClassVar

import numpy as np

from balance_graph._arguments import check_number, check_positive
from balance_graph._choices import folded
from balance_graph._types import Array
from balance_graph.errors import InvalidRegularizerError
from balance_graph.problem.rows import PowerRows, Rows


class Regularizer:
    """Base of the regularizers: `Lp`, `ElasticNet`, `Posynomial`, `Cauchy` and its like, `LogConvex`.

    See Also
    --------
    Lp, ElasticNet, Posynomial, Cauchy, LogSum, Huber, PseudoHuber, LogConvex : Those that there are.
    """

    def rows(self, log_weight: Array, log_coefficient: Array, exponent: Array | None = None) -> Rows:
        """Compile to rows.

        Parameters
        ----------
        log_weight : (n_edges,) array
            ``log|w|`` of every edge, ``-inf`` for a zero weight, which gets no row.
        log_coefficient : (n_edges,) array
            Logarithm of the positive coefficient of every edge.
        exponent : (n_edges,) array, optional
            The exponent of each edge where it has its own, NaN elsewhere.
        """
        raise NotImplementedError

    # Whether it is made of functions of the user, which may hold at some weights only.
    has_checks: ClassVar[bool] = False

    @property
    def mirror(self) -> float | None:
        """Of a cost that becomes linear in the log-weight y: x for which ``cost(y) - cost(x - y)`` is; else None."""
        return None

    def check(self, log_weights: Array, where: str) -> None:
        """Refuse functions of the user that do not hold at the log-weights; `where` those are, in words."""

    def linear(self, weight: Array, coefficient: Array | float, exponent: Array | None) -> tuple[Array, Array] | None:  # noqa: ARG002
        """Cost and slope of every edge outside the log domain, to the last digit; None where that is not known."""
        return None


class _SumOfPowers(Regularizer):
    """A regularizer whose ``terms`` are pairs (a, p): the cost of a weight is the sum of ``a |w|**p``."""

    terms: tuple[tuple[float, float], ...]

    def rows(self, log_weight: Array, log_coefficient: Array, exponent: Array | None = None) -> PowerRows:
        if exponent is not None and not np.all(np.isnan(exponent)):
            message = f"an edge has its own exponent, which only Lp allows, not {self!r}; write the terms out instead"
            raise InvalidRegularizerError(message)
        edge = np.flatnonzero(log_weight > -np.inf)
        parts = [
            (log_coefficient[edge] + math.log(a) + p * log_weight[edge], np.full(edge.size, p)) for a, p in self.terms
        ]
        amplitudes, exponents = (np.concatenate(column) for column in zip(*parts, strict=True))
        return PowerRows(np.tile(edge, len(parts)), amplitudes, exponents)

    def linear(self, weight: Array, coefficient: Array | float, exponent: Array | None) -> tuple[Array, Array] | None:
        # What overflows or cancels here is computed by way of logarithms instead.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            powers = [(a * coefficient * np.abs(weight) ** p, p) for a, p in self._powers(exponent)]
            return reduce(np.add, (cost for cost, _ in powers)), reduce(np.add, (p * cost for cost, p in powers))

    def _powers(self, exponent: Array | None) -> Sequence[tuple[float, float | Array]]:  # noqa: ARG002
        return self.terms


@dataclass(frozen=True)
class Lp(_SumOfPowers):
    """The cost ``|w|**p`` for any p > 0; a bare number p given as regularizer means the same.

    Parameters
    ----------
    p : float
        The exponent, positive and finite. An edge attribute ``exponent`` overrides it for its edge.

    Raises
    ------
    InvalidRegularizerError
        If `p` is not a positive finite number.

    See Also
    --------
    ElasticNet, Posynomial : Sums of powers.
    LogConvex : Any other function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.Lp(1.5)
    Lp(p=1.5)
    """

    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", check_positive(self.p, "Lp: the exponent p", InvalidRegularizerError))

    @property
    def terms(self) -> tuple[tuple[float, float], ...]:  # type: ignore[override]
        """The single power (1, p)."""
        return ((1.0, self.p),)

    def rows(self, log_weight: Array, log_coefficient: Array, exponent: Array | None = None) -> PowerRows:
        edge = np.flatnonzero(log_weight > -np.inf)
        p = np.full(edge.size, self.p)
        if exponent is not None:
            p = np.where(np.isnan(exponent[edge]), self.p, exponent[edge])
        return PowerRows(edge, log_coefficient[edge] + p * log_weight[edge], p)

    def _powers(self, exponent: Array | None) -> Sequence[tuple[float, float | Array]]:
        return ((1.0, self.p if exponent is None else np.where(np.isnan(exponent), self.p, exponent)),)


@dataclass(frozen=True)
class ElasticNet(_SumOfPowers):
    """The cost ``l1 |w| + l2 w**2``.

    Parameters
    ----------
    l1, l2 : float
        Non-negative and finite, not both zero.

    Raises
    ------
    InvalidRegularizerError
        If a coefficient is negative or not finite, or both are zero.

    See Also
    --------
    Lp : One power.
    Posynomial : Any sum of powers.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.ElasticNet(l1=0.1, l2=1.0)
    ElasticNet(l1=0.1, l2=1.0)
    """

    l1: float = field(kw_only=True)
    l2: float = field(kw_only=True)

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            value = check_number(getattr(self, name), f"ElasticNet: {name}", InvalidRegularizerError)
            if value < 0:
                message = f"ElasticNet: {name} must not be negative, got {value!r}"
                raise InvalidRegularizerError(message)
            object.__setattr__(self, name, value)
        if not self.terms:
            message = "ElasticNet: l1 and l2 are both zero, so every weight is free of cost; make one positive"
            raise InvalidRegularizerError(message)

    @property
    def terms(self) -> tuple[tuple[float, float], ...]:  # type: ignore[override]
        """The powers with a positive coefficient."""
        return tuple((a, p) for a, p in ((self.l1, 1.0), (self.l2, 2.0)) if a > 0)


@dataclass(frozen=True)
class Posynomial(_SumOfPowers):
    """The cost ``sum of a |w|**p`` over the given pairs (a, p).

    Parameters
    ----------
    terms : sequence of (a, p)
        Positive coefficients and positive exponents, at least one pair.

    Raises
    ------
    InvalidRegularizerError
        If there is no pair, or a number is not positive and finite.

    See Also
    --------
    Lp : One power.
    LogConvex : Any other function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.Posynomial([(1.0, 0.5), (0.2, 3.0)])
    Posynomial(terms=((1.0, 0.5), (0.2, 3.0)))
    """

    terms: tuple[tuple[float, float], ...]

    def __init__(self, terms: Sequence[tuple[float, float]]) -> None:
        try:
            pairs = [(a, p) for a, p in terms]
        except (TypeError, ValueError) as error:
            message = f"Posynomial: terms must be pairs (a, p), got {terms!r}"
            raise InvalidRegularizerError(message) from error
        if not pairs:
            message = "Posynomial: give at least one pair (a, p)"
            raise InvalidRegularizerError(message)
        checked = tuple(
            (
                check_positive(a, f"Posynomial: coefficient of term {k}", InvalidRegularizerError),
                check_positive(p, f"Posynomial: exponent of term {k}", InvalidRegularizerError),
            )
            for k, (a, p) in enumerate(pairs)
        )
        object.__setattr__(self, "terms", checked)


# Names that people try, in lower case without signs, and what to write instead.
_REGULARIZER_HINTS = {
    **dict.fromkeys(("l2", "ridge", "weightdecay", "frobenius"), "; write 2"),
    **dict.fromkeys(("l1", "lasso"), "; write 1"),
    "elasticnet": "; write ElasticNet(l1=..., l2=...)",
    **dict.fromkeys(("auto", "cvxpy", "newton", "stochastic", "flow"), "; did you mean solver=?"),
}


def same_cost(one: Regularizer, two: Regularizer) -> bool:
    """Whether two regularizers give every weight the same cost, however they are written."""
    if isinstance(one, _SumOfPowers) and isinstance(two, _SumOfPowers):
        return sorted(one.terms) == sorted(two.terms)
    return one == two


def as_regularizer(regularizer: float | Regularizer) -> Regularizer:
    """A number p means ``Lp(p)``; a regularizer is returned as it is."""
    if isinstance(regularizer, Regularizer):
        return regularizer
    if isinstance(regularizer, Real) and not isinstance(regularizer, bool):
        return Lp(regularizer)
    hint = _REGULARIZER_HINTS.get(folded(regularizer), "") if isinstance(regularizer, str) else ""
    known = "Lp, ElasticNet, Posynomial, Cauchy, LogSum, Huber, PseudoHuber, LogConvex"
    message = f"regularizer must be a number p > 0 or one of {known}; got {regularizer!r}{hint}"
    raise InvalidRegularizerError(message)
