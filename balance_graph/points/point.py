"""A state on the way to balance, and one iteration of Newton's method from it.

Every point, whatever it stores, answers the same questions; so there is one Newton iteration, and a point of another
kind (blocks of weights on another device, say) needs no other.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from balance_graph._types import Array

# A step is taken when it lowers max|F| by this share of what its length promises.
SUFFICIENT = 1e-4


class Mark(NamedTuple):
    """Largest ``|F|`` and logarithm of the cost of a point before it moves: what progress is measured by."""

    largest: float
    log_cost: float


class Point(Protocol):
    """A point on the way to ``F = log in - log out = 0``; it moves in place.

    Attributes
    ----------
    log_cost : float
        Logarithm of the cost of all live terms.
    largest : float
        Largest ``|F|``; inf where some are not finite.
    rounding : float
        What rounding leaves in F here.
    shortest : float
        The least share of the first length to which a step is shortened.
    notes : tuple of str
        What was chosen on the way.
    """

    shortest: float

    @property
    def log_cost(self) -> float: ...

    @property
    def largest(self) -> float: ...

    @property
    def rounding(self) -> float: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def prepare(self) -> None:
        """Take out what is rough, before the first iteration."""

    def goal(self, tol: float) -> float:
        """The relative imbalance to ask of the unknowns, so that all that is held is balanced to `tol` as well."""

    def direction(self, tol: float) -> Array | None:
        """Newton's direction, as accurate as serves a solution to `tol`; None where there is none to be had."""

    def longest(self, direction: Array) -> float:
        """The longest multiple of a direction, up to 1, that can be tried."""

    def move(self, step: Array) -> None:
        """Go a step, on trial."""

    def retreat(self) -> None:
        """Go back to before the last move."""

    def settle(self) -> None:
        """Stay after a move: what suits the new place is set up."""

    def accepts(self, before: Mark, length: float) -> bool:
        """Whether the last move, of so much of the direction, made progress."""

    def own_step(self, before: Mark) -> bool:
        """A step of the point's own, where no direction helped; whether it made progress."""

    def finish(self, tol: float) -> None:
        """What improves a balanced point at little cost."""


def advance(point: Point, tol: float) -> bool:
    """One iteration of Newton's method, safeguarded; whether it made progress."""
    before = Mark(point.largest, point.log_cost)
    return step_along(point, point.direction(tol), before) or point.own_step(before)


def step_along(point: Point, direction: Array | None, before: Mark) -> bool:
    """Move along a direction, the step halved until it makes progress; whether it did."""
    if direction is None:
        return False
    length = point.longest(direction)
    shortest = length * point.shortest
    while length >= shortest:
        point.move(length * direction)
        if point.accepts(before, length):
            point.settle()
            return True
        point.retreat()
        length *= 0.5
    return False
