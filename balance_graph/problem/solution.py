"""What a solver returns: log-scales, how it ended, and the way there."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from balance_graph._showing import html_table, some_of
from balance_graph._types import Array, Index
from balance_graph.errors import InvalidParameterError
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.regularizers import Regularizer, same_cost


class Status(StrEnum):
    """How a solver ended; the value is a word, `advice` says what to do about it."""

    CONVERGED = "converged"
    NOTHING_TO_SCALE = "nothing to scale"
    INACCURATE = "inaccurate"
    STALLED = "stalled"
    LIMIT = "limit reached"
    INTERRUPTED = "interrupted"

    @property
    def advice(self) -> str:
        """What the status means for the result, and what to try next."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "the relative imbalance is within the tolerance, or as small as rounding allows",
    Status.NOTHING_TO_SCALE: "no free node has a nonzero weight that scaling could change",
    Status.INACCURATE: "the backend stopped short of the tolerance; use polish=True, loosen tol, or solver='newton'",
    Status.STALLED: "no step lowers the imbalance further at this precision; loosen tol, or look at the certificate",
    Status.LIMIT: (
        "the limit came first; raise that of the backend, max_iterations, max_sweeps or max_steps, or use "
        "solver='newton'"
    ),
    Status.INTERRUPTED: "interrupted by the user; any state reached computes the same function",
}


@dataclass(repr=False)
class History:
    """Cost and relative imbalance at the start and after each iteration or sweep.

    Attributes
    ----------
    log_cost : list of float
        Logarithm of the cost.
    imbalance : list of float
        Largest relative imbalance.
    log_scales : list of arrays
        Log-scales of all nodes; filled only where the solver was asked to record them.
    times : list of float
        Time of the balancing flow; filled only by `FlowSolver` with ``record=True``.
    path_deviation : list of float
        Largest relative deviation of a conserved path product; filled with the times.

    See Also
    --------
    plots.plot_convergence : Draws it.
    """

    log_cost: list[float] = field(default_factory=list)
    imbalance: list[float] = field(default_factory=list)
    log_scales: list[Array] = field(default_factory=list, repr=False)
    times: list[float] = field(default_factory=list, repr=False)
    path_deviation: list[float] = field(default_factory=list, repr=False)

    @property
    def cost(self) -> list[float]:
        """The costs."""
        return [exp_or_inf(value) for value in self.log_cost]

    def add(self, log_cost: float, imbalance: float) -> None:
        """Append one state."""
        self.log_cost.append(float(log_cost))
        self.imbalance.append(float(imbalance))

    def followed_by(self, later: History) -> History:
        """The history joined with a later one, whose first state is the last of this one."""
        if len(self) == 0:
            return later
        return History(
            self.log_cost + later.log_cost[1:],
            self.imbalance + later.imbalance[1:],
            self.log_scales + later.log_scales[1:],
            # Each run counts time in a unit of its own; the later one starts where the earlier ends.
            self.times + [self.times[-1] + time for time in later.times[1:]] if self.times else [],
            self.path_deviation + later.path_deviation[1:],
        )

    def __len__(self) -> int:
        return len(self.imbalance)

    def __repr__(self) -> str:
        if not len(self):
            return "History(no states)"
        states = "1 state" if len(self) == 1 else f"{len(self)} states"
        cost = f"cost {exp_or_inf(self.log_cost[0]):.6g} -> {exp_or_inf(self.log_cost[-1]):.6g}"
        recorded = ", log-scales recorded" if self.log_scales else ""
        return f"History({states}, {cost}, imbalance {self.imbalance[0]:.2g} -> {self.imbalance[-1]:.2g}{recorded})"


# Less is not worth a word.
_SHOWN = 0.05
# Lines of a summary are no longer than this: what a terminal, and a page, shows without breaking them.
_WIDTH = 88


class State(NamedTuple):
    """A network at log-scales, measured from the weights as given.

    Attributes
    ----------
    log_cost : float
        Logarithm of the cost of what is live.
    relative_imbalance : float
        The largest, over all unknowns; those that are held count like all others.
    dead : integer array
        Dead edges.
    gauges : integer array
        One node of each part whose common scale no weight depends on.
    """

    log_cost: float
    relative_imbalance: float
    dead: Index
    gauges: Index


@dataclass(frozen=True, repr=False)
class Outcome:
    """What a solver found for a quotient.

    Attributes
    ----------
    log_scales : (n_nodes,) array
    status : Status
    iterations : int
    history : History
        With log-scales of all nodes, where they are recorded.
    notes : tuple of str
    state : State or None
        The network there, where the solver has measured it from the weights as given.
    log_cost_at_start : float or None
        Logarithm of the cost at the center of the quotient, dead edges included, where the solver has summed it.
    """

    log_scales: Array
    status: Status
    iterations: int
    history: History
    notes: tuple[str, ...] = ()
    state: State | None = None
    log_cost_at_start: float | None = None

    def __repr__(self) -> str:
        return f"Outcome({self.log_scales.size} nodes, {self.status}, {self.iterations} iterations)"


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """The balanced state of a `BalanceProblem`, in array order.

    Attributes
    ----------
    log_scales : (n_nodes,) array
        Zero where pinned.
    cost, log_cost, initial_cost : float
        Cost reached, its logarithm, and the cost at the start (dead edges included); inf beyond the range of floats.
    relative_imbalance : float
        Largest ``|in - c out| / (in + c out)`` over the unknowns.
    status : Status
    iterations : int
        Newton iterations, sweeps, steps of an integrator, or iterations of the cvxpy backend; those of all attempts.
    seconds : float
        Wall time of the solve, without ``setup_seconds``.
    setup_seconds : float
        Wall time of what comes once: importing packages, and compiling loops where they are not on disk yet.
    history : History
    solver : str
    regularizer : Regularizer
        What was balanced for.
    pruned_edges : tuple of (node, node)
        Dead edges whose weights are to be set to zero: `BalanceProblem.pruned` does it.
    pruned_rows : integer array
        Their places in the order of ``problem.manifold.edges``.
    gauge_nodes : tuple
        One node of each part of the network whose common scale no weight depends on: that scale is arbitrary.
    pruned_nodes : tuple
        Of dense blocks, whose dead weights are not listed: the unknowns all of whose weights are to be set to zero.
    notes : tuple of str
        What the solver chose on the way.

    See Also
    --------
    solve : Returns it.
    """

    log_scales: Array = field(repr=False)
    log_cost: float
    initial_cost: float
    relative_imbalance: float
    status: Status
    iterations: int
    seconds: float
    history: History = field(repr=False)
    solver: str
    regularizer: Regularizer
    pruned_edges: tuple[tuple[Hashable, Hashable], ...] = ()
    pruned_rows: Index = field(default_factory=lambda: np.zeros(0, dtype=np.intp), repr=False)
    gauge_nodes: tuple[Hashable, ...] = ()
    pruned_nodes: tuple[Hashable, ...] = ()
    notes: tuple[str, ...] = ()
    setup_seconds: float = 0.0

    @property
    def cost(self) -> float:
        """The cost at the log-scales."""
        return exp_or_inf(self.log_cost)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was met; with nothing to scale it is."""
        return self.status in (Status.CONVERGED, Status.NOTHING_TO_SCALE)

    def summary(self) -> str:
        """The solution in a few lines of text."""
        unit = {"stochastic": "sweeps", "flow": "steps"}.get(self.solver, "iterations")
        once = f" after {self.setup_seconds:.2g} s of imports and compilation" if self.setup_seconds >= _SHOWN else ""
        effort = f"{self.solver}, {self.iterations} {unit}, {self.seconds:.3g} s{once}"
        lines = [
            f"{self.status} ({effort})",
            *textwrap.wrap(self.status.advice, _WIDTH),
            f"cost                {self.initial_cost:.12g} -> {self.cost:.12g}",
            f"regularizer         {self.regularizer!r}",
            f"relative imbalance  {self.relative_imbalance:.3g}",
        ]
        if self.pruned_edges:
            lines.append(f"pruned edges        {len(self.pruned_edges)}: {some_of(self.pruned_edges)}")
        if self.pruned_nodes:
            lines.append(f"pruned nodes        {len(self.pruned_nodes)}: {some_of(self.pruned_nodes)}")
        if self.gauge_nodes:
            lines.append(f"gauges fixed at     {some_of(self.gauge_nodes)}")
        lines.extend(self.notes)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(
            "Solution",
            {
                "status": f"{self.status} ({self.solver}): {self.status.advice}",
                "cost": f"{self.initial_cost:.12g} → {self.cost:.12g}",
                "relative imbalance": f"{self.relative_imbalance:.3g}",
                "pruned edges": some_of(self.pruned_edges),
                "gauges fixed at": some_of(self.gauge_nodes),
                "notes": "; ".join(self.notes),
            },
        )

    def __repr__(self) -> str:
        pruned = f", {len(self.pruned_edges)} pruned edges" if self.pruned_edges else ""
        return (
            f"Solution({self.log_scales.size} nodes, status={self.status.value!r}, solver={self.solver!r}, "
            f"cost={self.cost:.12g}, initial_cost={self.initial_cost:.12g}, "
            f"relative_imbalance={self.relative_imbalance:.2g}{pruned})"
        )


def check_solution(solution: Solution, n_nodes: int, n_edges: int, regularizer: Regularizer) -> None:
    """Refuse a solution of another problem: of other nodes or edges, or another regularizer."""
    if not isinstance(solution, Solution):
        message = f"solution must be what solve(problem) returned, got {solution!r}"
        raise InvalidParameterError(message)
    if solution.log_scales.shape != (n_nodes,) or solution.pruned_rows.max(initial=-1) >= n_edges:
        message = f"the solution is one of another problem, of {solution.log_scales.size} nodes, not {n_nodes}"
        raise InvalidParameterError(message)
    if not same_cost(solution.regularizer, regularizer):
        message = (
            f"the solution is balanced for {solution.regularizer!r}, the problem asks for {regularizer!r}; solve the "
            "problem, or build it with the regularizer of the solution"
        )
        raise InvalidParameterError(message)
