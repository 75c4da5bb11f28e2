"""How a model is to be balanced, as asked for and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from balance_graph._arguments import check_number
from balance_graph.errors import InvalidParameterError
from balance_graph.models.optimum import LOG_BOUND
from balance_graph.problem.regularizers import Regularizer, as_regularizer

COSTED = {"weights": "weight", "biases": "bias", "norms": "norm"}


@dataclass(frozen=True)
class Request:
    """Arguments that balancing takes, whatever the framework.

    Attributes
    ----------
    regularizer : Regularizer
    powers : tuple of (a, p)
        The regularizer as a sum of ``a |w|^p``.
    costed : tuple of str
    roles : tuple of str
        Roles of the parameters that have a cost.
    bound : float
        On the size of each log-scale.
    tolerance : float or None
        How far outputs may move; None to follow their types.
    """

    regularizer: Regularizer
    powers: tuple[tuple[float, float], ...]
    costed: tuple[str, ...]
    roles: tuple[str, ...]
    bound: float
    tolerance: float | None

    @classmethod
    def of(
        cls, regularizer: float | Regularizer, costed: Sequence[str], bound: float | None, tolerance: float | None
    ) -> Request:
        """Refuse what is out of range with `InvalidParameterError`."""
        chosen, limit = as_regularizer(regularizer), _checked_bound(bound)
        if tolerance is not None and not check_number(tolerance, "tolerance", InvalidParameterError) >= 0:
            message = f"tolerance must not be negative, got {tolerance!r}"
            raise InvalidParameterError(message)
        allowed = None if tolerance is None else float(tolerance)
        return cls(chosen, powers_of(chosen), tuple(costed), roles_of(costed), limit, allowed)


def _checked_bound(bound: float | None) -> float:
    if bound is None:
        return LOG_BOUND
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not bound > 0:
        message = f"bound must be a positive number, the largest size of a log-scale, or math.inf; got {bound!r}"
        raise InvalidParameterError(message)
    return float(bound)


def powers_of(regularizer: Regularizer) -> tuple[tuple[float, float], ...]:
    """Coefficients and exponents of a sum of powers; other costs cannot be summed once for all scales."""
    terms = getattr(regularizer, "terms", None)
    if terms is None:
        message = (
            f"a module is balanced for sums of powers: a number p, Lp, ElasticNet or Posynomial; {regularizer!r} "
            "would need the cost of every single weight again at all scales"
        )
        raise InvalidParameterError(message)
    return tuple(terms)


def roles_of(costed: Sequence[str]) -> tuple[str, ...]:
    """Roles of parameters, from the words for what has a cost."""
    if isinstance(costed, str) or not costed or not set(costed) <= set(COSTED):
        message = f"costed must be one or more of {tuple(COSTED)}, as a tuple; got {costed!r}"
        raise InvalidParameterError(message)
    return tuple(COSTED[word] for word in costed)
