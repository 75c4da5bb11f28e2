"""One run of Newton's method: the points that it follows one after another, and when one takes over from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from balance_graph._progress import Report
from balance_graph._threads import one_blas_thread
from balance_graph._time_limit import Deadline
from balance_graph._types import Array
from balance_graph.points.levelled_point import LevelledPoint
from balance_graph.points.nested_sets_point import NestedSetsPoint
from balance_graph.points.rows import RowsPoint
from balance_graph.problem.levelled import Levelled
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import Outcome, State, Status
from balance_graph.problem.unsuited import Unsuited, UnsuitedError
from balance_graph.solvers.continuation import OF_ROWS, OF_SETS, Kind, Stages, follow_temperatures
from balance_graph.solvers.newton_loop import NewtonLoop

if TYPE_CHECKING:
    from balance_graph.points.edges_point import EdgesPoint
    from balance_graph.points.terms import TermsPoint

# Terms that are no edges have no preconditioner beyond the diagonal: factorizations are quicker for longer.
_MANY_TERMS = 50_000
# Iterations after which another kind of point may get there sooner: 10 to 15 are the rule with factorizations, 3 to 15
# with passes over edges. Nested sets take over early where they are known.
_PATIENCE = {"rows": 40, "rows before sets": 16, "edges": 15}
# Relative rounding of the logarithm of a cost, with room for sums of many terms.
_NOISE = 1e-12
# Change of the logarithm of a flow up to which a last direction confirms what is balanced to many digits.
_SHORT = 1e-3
# Logarithm of the ratio of flows through unknowns beyond which the least are not seen beside the largest: 1 / eps.
_WIDE = 36.0
# Imbalance after local sweeps beyond which passes over edges lead nowhere where flows are so different.
_FAR = 3.0
_ENDS = (Status.CONVERGED, Status.INTERRUPTED)


class _Leg(NamedTuple):
    """What a run reached with one point."""

    log_scales: Array
    status: Status
    log_cost: float
    imbalance: float
    state: State | None


class NewtonRun:
    """One run of the solver: one budget of iterations, one history, whatever the points.

    Parameters
    ----------
    quotient : Quotient
    tol : float
    max_iterations : int
        Of all points together.
    deadline : Deadline
    report : Report
    """

    def __init__(self, quotient: Quotient, tol: float, max_iterations: int, deadline: Deadline, report: Report) -> None:
        self._quotient, self._max_iterations = quotient, max_iterations
        self._loop = NewtonLoop(tol, report, deadline)
        self._notes = dict[str, None]()
        self._leg: _Leg
        self._log_cost_at_start: float | None = None
        self._is_settled = False

    @property
    def outcome(self) -> Outcome:
        """What the last leg reached, with all that the run has done."""
        leg, loop, notes = self._leg, self._loop, tuple(self._notes)
        return Outcome(
            leg.log_scales, leg.status, loop.iterations, loop.history, notes, leg.state, self._log_cost_at_start
        )

    @property
    def given_start(self) -> Array | None:
        """Log-scales that were asked for as the start, if any."""
        return self._quotient.center if self._quotient.is_given_start else None

    @property
    def _left(self) -> int:
        return 0 if self._loop.deadline.is_past else self._max_iterations - self._loop.iterations

    def _patience(self, engine: str) -> int:
        if engine == "rows" and NestedSetsPoint.suits(self._quotient):
            engine = "rows before sets"
        return min(_PATIENCE[engine], self._left)

    def passes_only(self, start: Array | None) -> None:
        """By passes over edges, or over terms that are none; factorizations only where there is nothing to scale."""
        try:
            self.on_edges(self._left, start)
        except UnsuitedError as error:
            if error.reason is Unsuited.NOTHING:
                self.on_rows(self._quotient, self._left)
            else:
                self.on_terms(self._left, start)
        if not self._is_over:
            self._by_nested_sets()

    def edges_first(self) -> None:
        """By passes over edges; where they stall, by nested sets, or by factorizations from where the cost is lower."""
        quotient = self._quotient
        try:
            self.on_edges(self._patience("edges"), self.given_start, yields=True)
        except UnsuitedError as error:
            if error.reason is Unsuited.NOTHING or quotient.given.n_edges < _MANY_TERMS:
                self.on_rows(quotient, self._left)
                return
            self.on_terms(self._patience("edges"))
        if self._is_over or self._by_nested_sets():
            return
        self._note("inexact Newton stalled; exact Newton took over")
        starts = [quotient.centered(self._leg.log_scales), quotient]
        if not self._leg.log_cost < quotient.given.log_cost(quotient.center):
            starts.reverse()
        legs = []
        for start in starts:
            self.on_rows(start, self._patience("rows"))
            if self._is_over or self._by_temperatures():
                return
            legs.append(self._leg)
        self._leg = min(legs, key=lambda leg: leg.imbalance)
        self._go_on()

    def rows_first(self) -> None:
        """By factorizations; without headway, by nested sets, or by passes over edges that start elsewhere."""
        self.on_rows(self._quotient, self._patience("rows"))
        if self._is_over or self._by_nested_sets() or self._by_limits() or self._by_temperatures():
            return
        first = self._leg
        try:
            self.on_edges(self._patience("edges"))
        except UnsuitedError:
            self._go_on()
            return
        if self._leg.status in _ENDS or self._leg.log_cost < first.log_cost:
            self._note("exact Newton made no headway; inexact Newton took over")
        else:
            self._leg = first
        self._go_on()

    def rows_only(self, start: Array | None) -> None:
        """By factorizations; where they make no headway, in the basis of nested sets."""
        self.on_rows(self._quotient, self._patience("rows"), start)
        if not (self._is_over or self._by_nested_sets() or self._by_limits() or self._by_temperatures()):
            self._go_on()

    def _by_nested_sets(self) -> bool:
        """By nested sets, through tamer networks where these are many; whether the run is over.

        No start is too far for them. The better leg stays; where sets are not known, that is the one before.
        """
        if not NestedSetsPoint.suits(self._quotient):
            return False
        before, deadline = self._leg, self._loop.deadline
        # Few sets are near balance after the first sweeps, however wild the network.
        stages = OF_SETS if NestedSetsPoint.has_many_sets(self._quotient) else OF_SETS._replace(tame=np.inf)
        point, status = self._through_temperatures(
            lambda quotient: NestedSetsPoint(quotient, deadline=deadline), stages
        )
        self._reach(point, status)
        self._keep_better(before, *point.notes, f"Newton made no headway; balancing of {point.basis_name} took over")
        return self._is_over

    def _by_temperatures(self) -> bool:
        """By continuation in temperature, with factorizations; whether the run is over. Else the better leg stays."""
        before = self._leg
        point, status = self._through_temperatures(RowsPoint, OF_ROWS)
        self._reach(point, status)
        self._is_settled = status is Status.CONVERGED  # where that is not sound, no other way will make it so
        self._keep_better(before, *point.notes, "exact Newton made no headway; continuation in temperature took over")
        return self._is_over

    def _through_temperatures(self, point_of: Callable[[Quotient], Kind], stages: Stages) -> tuple[Kind, Status]:
        quotient, loop = self._quotient, self._loop

        def follow(point: RowsPoint, most: int, near: float | None, given: Callable[[], Array] | None) -> Status:
            return loop.follow(point, most, near, None if given is None else lambda: self._measured(given()))

        return follow_temperatures(quotient, follow, lambda: self._left, point_of, stages)

    def _keep_better(self, before: _Leg, *notes: str) -> None:
        """The last leg, with notes about it, if it is at an end or reached a lower cost; else the one before."""
        if self._leg.status in _ENDS or not before.log_cost <= self._leg.log_cost:
            self._note(*notes)
        else:
            self._leg = before._replace(status=Status.LIMIT) if self._loop.deadline.is_past else before

    def _measured(self, log_scales: Array) -> tuple[float, float]:
        """Logarithm of the cost of the network itself, and its relative imbalance."""
        problem = self._quotient.problem
        return problem.log_cost(log_scales), problem.relative_imbalance(log_scales)

    def _go_on(self) -> None:
        """On by factorizations from where the leg ended, with all iterations left; not where those have stalled."""
        leg = self._leg
        stalled = leg.status is Status.STALLED and leg.state is None
        if not (self._is_over or stalled):
            self.on_rows(self._quotient.centered(leg.log_scales), self._left)

    @property
    def _is_over(self) -> bool:
        return self._leg.status in _ENDS or self._left == 0 or self._is_settled

    def on_rows(self, quotient: Quotient, most: int, start: Array | None = None) -> None:
        """A leg of at most so many iterations by factorizations."""
        point = RowsPoint(quotient, start)
        status = self._loop.follow(point, most)
        self._note(*point.notes)
        self._reach(point, status)
        if self._leg.status is Status.CONVERGED and point.hidden_spread > _WIDE:
            self._confirm()

    def settle_levelled(self) -> None:
        """Where costs have levelled off, balance what their flows lack of their limits, whatever was reached before.

        There flows in and out of an unknown are equal to all digits, wherever it is.
        """
        if self._leg.status in (Status.CONVERGED, Status.STALLED):
            self._by_limits()

    def fall_back(self) -> None:
        """Where nothing cost less than the start, the start is the answer; where time was up, that is the reason."""
        leg, quotient = self._leg, self._quotient
        if leg.status in _ENDS:
            return
        at_start = quotient.problem.log_cost(quotient.center)
        if not _is_at_most(leg.log_cost, at_start):
            leg = leg._replace(log_scales=quotient.center, log_cost=at_start, state=None)
        self._leg = leg._replace(status=Status.LIMIT) if self._loop.deadline.is_past else leg

    def _by_limits(self) -> bool:
        """By what flows lack of their limits, with the rows that are far out turned about until they have been before.

        A row that ends where it would be turned may be so every other time.
        """
        before, seen = self._leg, set[bytes]()
        while self._left:
            levelled = Levelled.of(self._quotient, self._leg.log_scales)
            if levelled is None or levelled.is_turned.tobytes() in seen:
                break
            seen.add(levelled.is_turned.tobytes())
            point = LevelledPoint(levelled)
            self._reach(point, self._loop.follow(point, self._patience("rows")))
        if seen:
            self._keep_better(before, "costs have levelled off: what flows lack of their limits was balanced")
        return bool(seen) and self._is_over

    def _reach(self, point: RowsPoint, status: Status) -> None:
        """End a leg at a point; converged only where what was reached holds of the answer."""
        if status is Status.CONVERGED and not self._is_sound(point):
            status = Status.LIMIT if self._loop.deadline.is_past else Status.STALLED
        self._leg = _Leg(point.log_scales, status, point.log_cost, point.largest, None)

    def _is_sound(self, point: RowsPoint) -> bool:
        """Whether no long step is left, the cost is not above that at the start, and the answer is as balanced."""
        quotient = self._quotient
        if quotient.size == 0:
            return True
        at_start = quotient.log_cost(np.zeros(quotient.size))
        if not (point.reach <= _SHORT and _is_at_most(point.log_cost, at_start)):
            return False
        if quotient.gauges.size:  # the balance of what is held follows from that of all others, with their errors
            return True
        imbalance = quotient.problem.relative_imbalance(point.log_scales)
        return imbalance <= max(self._loop.tol, 4.0 * point.largest, 8.0 * point.rounding, _rounding_of_answer(point))

    def on_edges(self, most: int, start: Array | None = None, *, yields: bool = False) -> None:
        """A leg of at most so many iterations by passes over edges; if it yields, none where sets do better."""
        with _edges_point(self._quotient, start) as point:
            if start is not None:
                self._log_cost_at_start = point.log_cost_with_dead(start)
            self._by_passes(point, most, yields=yields)

    def on_terms(self, most: int, start: Array | None = None) -> None:
        """A leg of at most so many iterations by passes over terms of any kind."""
        from balance_graph.points.terms import TermsPoint  # compiled loops: slow to load

        with one_blas_thread():
            self._by_passes(TermsPoint(self._quotient if start is None else self._quotient.centered(start)), most)

    def _by_passes(self, point: EdgesPoint | TermsPoint, most: int, *, yields: bool = False) -> None:
        first = self._loop.iterations

        def gives_up() -> bool:
            is_far = yields and self._loop.iterations == first and point.largest > _FAR
            return is_far and point.log_spread > _WIDE and NestedSetsPoint.suits(self._quotient)

        status, reached = self._loop.follow(point, most, gives_up=gives_up), point.largest
        is_wide = point.log_spread > _WIDE
        self._note(*point.notes)
        log_scales, state, is_sound = point.answer(self._loop.tol, float(np.tanh(0.5 * reached)))
        if status is Status.CONVERGED and not is_sound:
            status = Status.STALLED
        self._leg = _Leg(log_scales, status, state.log_cost, reached, state)
        if status is Status.CONVERGED and is_wide:
            self._confirm()

    def _confirm(self) -> None:
        """Go on from a balanced place in the basis of nested sets, where these are known.

        Unknowns in balance can hide sets that are not: beside large flows in and out, theirs are rounding.
        """
        quotient = self._quotient
        if NestedSetsPoint.suits(quotient):
            point = NestedSetsPoint(quotient.centered(self._leg.log_scales), deadline=self._loop.deadline)
            self._reach(point, self._loop.follow(point, self._left))
            is_confirmed = self._leg.status is Status.CONVERGED
            self._note(*point.notes, f"{'' if is_confirmed else 'not '}confirmed in the basis of {point.basis_name}")

    def _note(self, *notes: str) -> None:
        self._notes.update(dict.fromkeys(notes))


def _is_at_most(log_cost: float, other: float) -> bool:
    """Whether a cost is not above another, but for rounding; one that is no number is."""
    return log_cost <= other + _NOISE * max(1.0, abs(other))


def _rounding_of_answer(point: RowsPoint) -> float:
    """Imbalance that rounding can make where flows are computed again from the weights and the log-scales."""
    rows, problem = point.quotient.rows, point.quotient.problem
    gains = problem.manifold.log_gain_sizes(point.log_scales)[rows.edge]
    ratio = rows.log_slopes(problem.log_gains(point.log_scales)[rows.edge])[1]
    sizes = (1.0 + ratio) * (np.abs(problem.log_weight[rows.edge]) + gains)
    return 4.0 * float(np.finfo(float).eps) * float(sizes.max(initial=0.0))


@contextmanager
def _edges_point(quotient: Quotient, start: Array | None) -> Iterator[EdgesPoint]:
    """A point on edge lists, and the second thread of its passes."""
    from balance_graph.points.edges_point import EdgesPoint  # compiled loops: slow to load

    with ThreadPoolExecutor(1) as pool, one_blas_thread():
        yield EdgesPoint(quotient, pool, start)
