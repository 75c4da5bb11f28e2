"""Continuation in temperature: towards a network whose weights differ by many orders through tamer ones.

At temperature theta the network has the weights ``|w|**theta`` and the coefficients ``a**theta``. Small theta makes all
weights alike, and the problem all but linear; at 1 it is the network itself. With log-scales u of its own, each stage
starts where the last one ended, ``u theta' / theta``: log-scales relative to theta hardly move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from balance_graph._types import Array
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import Status

# A network whose costs are within this factor of each other, as a logarithm, is as tame as any.
_TAMEST = 4.0
# The last stage has to bring all digits.
_MOST_OF_LAST = 40
# Factors of theta: the first, the largest, and the least that is worth a stage.
_FACTOR, _LARGEST, _LEAST = 4.0, 16.0, 1.01


Kind = TypeVar("Kind", bound=RowsPoint)


class Stages(NamedTuple):
    """What stages are like.

    Attributes
    ----------
    tame : float
        Logarithm of the ratio of the largest cost to the least in the first.
    near : float
        Largest ``|F|`` at which one ends.
    most : int
        Iterations after which one was too long.
    """

    tame: float
    near: float
    most: int


# By factorizations, and by many nested sets. Along a chain of equal flows little imbalances add up, so that large
# networks may have flows wrong by orders of magnitude where a stage ends farther off.
OF_ROWS, OF_SETS = Stages(_TAMEST, 0.3, 12), Stages(120.0, 1e-2, 20)


class Follow(Protocol):
    """Newton's iterations from a point: at most so many, to a largest ``|F|`` or (None) to the end."""

    def __call__(
        self, point: RowsPoint, most: int, near: float | None, given: Callable[[], Array] | None
    ) -> Status: ...


def follow_temperatures(
    quotient: Quotient,
    follow: Follow,
    left: Callable[[], int],
    point_of: Callable[[Quotient], Kind],
    stages: Stages = OF_ROWS,
) -> tuple[Kind, Status]:
    """The point at temperature 1 that the stages lead to, and how the last one ended.

    The factor between the temperatures of two stages follows from the iterations that the last one took. Where the
    first is too wild, tamer ones are tried.

    Parameters
    ----------
    quotient : Quotient
    follow : Follow
    left : callable
        Iterations that are left.
    point_of : callable
        What follows a stage.
    stages : Stages
    """
    spread = max(_log_spread(quotient), 1e-300)
    temperature = min(1.0, stages.tame / spread)
    reached, at, factor = 0.0, np.zeros(quotient.center.size), _FACTOR
    while True:
        # What is reached, in log-scales of the network itself.
        point = point_of(quotient.tempered(temperature, temperature * at))
        is_last = temperature == 1.0
        most = min(_MOST_OF_LAST if is_last else stages.most, left())
        before = left()
        if is_last:
            status = follow(point, most, None, None)
        else:
            status = follow(point, most, stages.near, lambda p=point, t=temperature: p.log_scales / t)  # type: ignore[misc]
        spent = before - left()
        if status is Status.INTERRUPTED or left() <= 0 or (is_last and status is Status.CONVERGED):
            break
        has_failed = status is not Status.CONVERGED
        if has_failed:
            factor = factor**0.5 if reached > 0.0 else factor
        else:
            reached, at, factor = temperature, point.log_scales / temperature, _next_factor(factor, spent)
        following = min(1.0, reached * factor) if reached > 0.0 else temperature / _FACTOR
        if has_failed and (factor < _LEAST or following * spread < _TAMEST):
            break
        temperature = following
    if is_last:
        return point, status
    # Where a stage on the way ended says nothing of the network itself.
    ended = status if status is Status.INTERRUPTED else Status.LIMIT if left() <= 0 else Status.STALLED
    return point_of(quotient.centered(point.log_scales / temperature)), ended


def _next_factor(factor: float, spent: int) -> float:
    """Longer stages where the last one was easy, shorter ones where it was not."""
    if spent <= 4:
        return min(factor * (2.0 if spent <= 2 else 1.3), _LARGEST)
    return factor if spent <= 6 else factor**0.7


def _log_spread(quotient: Quotient) -> float:
    """Logarithm of the ratio of the largest cost of a row to the least, as given."""
    logs = quotient.rows.log_costs(np.zeros(quotient.rows.edge.size))
    logs = logs[np.isfinite(logs)]
    return float(logs.max() - logs.min()) if logs.size else 0.0
