"""Newton's iterations from any kind of point, safeguarded: when they end, and what the history keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from balance_graph._progress import Report, silent
from balance_graph._time_limit import Deadline
from balance_graph.points.point import Point, advance
from balance_graph.problem.solution import History, Status


@dataclass
class NewtonLoop:
    """Newton's iterations from any points, one after another: one budget and one history.

    Attributes
    ----------
    tol : float
    report : Report
    history : History
    iterations : int
        So far.
    deadline : Deadline
        When no further iteration is to begin.
    """

    tol: float
    report: Report = silent
    deadline: Deadline = field(default_factory=Deadline)
    history: History = field(default_factory=History)
    iterations: int = 0

    def follow(
        self,
        point: Point,
        most: int,
        near: float | None = None,
        given: Callable[[], tuple[float, float]] | None = None,
        gives_up: Callable[[], bool] = lambda: False,
    ) -> Status:
        """Move a point to balance, in at most so many iterations; whatever the status, it is left at a valid place.

        Parameters
        ----------
        point : Point
        most : int
        near : float, optional
            Stop where the largest ``|F|`` is at most this, short of balance.
        given : callable, optional
            Logarithm of the cost, and relative imbalance, for the history; by default those of the point.
        gives_up : callable, optional
            Asked before each iteration whether the point leads nowhere; then it has stalled.
        """
        first, goal = self.iterations, point.goal(self.tol)
        try:
            point.prepare()
            while True:
                if not np.isfinite(point.largest):
                    return Status.STALLED
                imbalance = self._note(point, given, is_start=self.iterations == first)
                if near is not None and point.largest <= near:
                    return Status.CONVERGED
                if imbalance <= max(goal, point.rounding) and near is None:
                    point.finish(goal)
                    return Status.CONVERGED
                if self.iterations == first + most or self.deadline.is_past:
                    return Status.LIMIT
                if gives_up() or not advance(point, self.tol):
                    return Status.LIMIT if self.deadline.is_past else Status.STALLED
                self.iterations += 1
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        except ArithmeticError:  # a cost has left the range of floats, or flows drown in others
            return Status.STALLED

    def _note(self, point: Point, given: Callable[[], tuple[float, float]] | None, *, is_start: bool) -> float:
        """Add a state to the history; its relative imbalance."""
        log_cost, imbalance = (point.log_cost, float(np.tanh(0.5 * point.largest))) if given is None else given()
        if not (is_start and len(self.history)):  # where the point before has ended, one starts
            self.history.add(log_cost, imbalance)
        self.report(self.iterations, log_cost, imbalance)
        return imbalance
