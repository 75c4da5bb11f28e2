"""The local balancer: one unit at a time is balanced against its neighbors (Osborne's iteration)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from balance_graph._arguments import Rng, check_count, check_positive, check_rng, generator_of
from balance_graph._choices import check_choice
from balance_graph._progress import Report, silent
from balance_graph._time_limit import Deadline, check_time_limit
from balance_graph._types import Index, Order
from balance_graph.errors import UnsupportedError
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import History, Outcome, Status
from balance_graph.solvers.local.log_sweeps import LogMeasure, LogSweep, LogSweeps

if TYPE_CHECKING:
    from balance_graph.solvers.local._edge_sweeps import EdgeSweeps

ORDERS: tuple[Order, ...] = ("random", "shuffled", "cyclic", "greedy", "colored")
# From here on, sweeps over edge lists repay setting the lists up and loading the compiled loops.
_EDGES = 1000


@dataclass(frozen=True)
class StochasticSolver:
    """Local balancing in a chosen order; Baldi et al.'s stochastic balancing algorithm for ``order="random"``.

    One *step* balances one free node (or group of tied nodes) exactly, by the unique minimizer of the cost along its
    scale; a *sweep* is as many steps as there are unknowns.

    Parameters
    ----------
    order : {"random", "shuffled", "cyclic", "greedy", "colored"}
        ``"random"``: each step draws a node uniformly, with replacement. ``"shuffled"``: a new permutation every sweep.
        ``"cyclic"``: always in the order of the network. ``"greedy"``: the node of largest relative imbalance, from a
        heap. ``"colored"``: all nodes of one color class of the graph at once; nodes of a class are not adjacent, so
        this equals some cyclic order.
    tol : float
        Stop when the largest relative imbalance after a sweep is at most this, or what rounding allows.
    max_sweeps : int
        Limit on sweeps.
    rng : int, numpy Generator, RandomState or None
        Seed of the random orders; the same seed gives the same result.
    record : bool
        Keep the log-scales after every sweep in ``history.log_scales``.
    time_limit : float, optional
        Seconds after which no sweep begins: the run then ends with the state reached, as ``limit reached``. For
        regularizers that only Python can evaluate, the sweep at work ends early as well.

    Raises
    ------
    UnsupportedError
        When solving a network whose shared weights do not reduce to tied nodes: no unit can be scaled alone there.

    See Also
    --------
    CvxpySolver, NewtonSolver, FlowSolver : The other ways.
    balance_node : One step of it.

    Notes
    -----
    Converges linearly, from everywhere, to the unique optimum (Baldi et al., arXiv 2405.09688). An interrupt
    (Ctrl-C) ends the run between sweeps with the state reached: any state computes the same function.

    ``history`` has the cost and the largest relative imbalance of the state after every sweep; both are of that state,
    not of what the steps met on their way. Large networks with one exponent are swept without logarithms, from costs
    that are multiplied by one factor per unit; no state is called balanced before it has been measured with costs made
    afresh from the weights as given.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([3, 4, 2], rng=0)
    >>> bg.balance(G, solver=bg.StochasticSolver(order="cyclic")).converged
    True
    """

    order: Order = "random"
    tol: float = 1e-12
    max_sweeps: int = 10_000
    rng: Rng = None
    record: bool = False
    time_limit: float | None = None

    name = "stochastic"

    def __post_init__(self) -> None:
        check_choice(self.order, "StochasticSolver: order", ORDERS)
        check_positive(self.tol, "StochasticSolver: tol")
        check_count(self.max_sweeps, "StochasticSolver: max_sweeps")
        check_rng(self.rng, "StochasticSolver: rng")
        check_time_limit(self.time_limit, "StochasticSolver: time_limit")

    def run(self, quotient: Quotient, *, report: Report = silent) -> Outcome:
        """Balance a reduced problem from its center."""
        deadline = Deadline(self.time_limit)
        check_tied(quotient.problem)
        sweeps = _sweeps(quotient, self.order, generator_of(self.rng), self.tol, deadline)
        history = History()
        count = 0
        converged = self._note(quotient, sweeps, history)
        try:
            report(0, history.log_cost[-1], history.imbalance[-1])
            while not (converged or count == self.max_sweeps or deadline.is_past):
                sweeps.advance()
                count += 1
                converged = self._note(quotient, sweeps, history)
                report(count, history.log_cost[-1], history.imbalance[-1])
            status = Status.CONVERGED if converged else Status.LIMIT
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        return Outcome(quotient.expand(sweeps.displacement), status, count, history, (f"order: {self.order}",))

    def _note(self, quotient: Quotient, sweeps: EdgeSweeps | LogSweeps, history: History) -> bool:
        """Add a state to the history; whether it is balanced to the tolerance or to rounding."""
        state = sweeps.state
        history.add(state.log_cost, state.imbalance)
        if self.record:
            history.log_scales.append(quotient.expand(sweeps.displacement))
        return state.imbalance <= max(self.tol, state.rounding)


def check_tied(problem: BalanceProblem) -> None:
    """Refuse a problem in which no unknown is a node, or a group of tied nodes, of its own."""
    if not problem.manifold.is_tied:
        message = (
            "the shared weights of this network do not reduce to tied nodes, so no node can be scaled without "
            "others and there is nothing to balance locally; use solver='newton' or 'cvxpy'"
        )
        raise UnsupportedError(message)


def _sweeps(
    quotient: Quotient, order: str, generator: np.random.Generator, tol: float, deadline: Deadline
) -> EdgeSweeps | LogSweeps:
    """Sweeps over edge lists where the network has this form and is not small, else in logarithms."""
    orders = _orders(order, quotient.size, generator)
    if quotient.matrix.shape[0] >= _EDGES:
        from balance_graph.solvers.local._edge_sweeps import EdgeSweeps  # compiled loops
        from balance_graph.solvers.local._edges import Edges

        edges = Edges.of(quotient, by_color=order == "colored")
        if edges is not None:
            orders = repeat(edges.order) if order == "colored" else orders
            return EdgeSweeps(edges, order, orders, tol, LogSweep(quotient, order, tol), LogMeasure(quotient))
    return LogSweeps(quotient, order, orders, tol, deadline)


def _orders(order: str, size: int, generator: np.random.Generator) -> Iterator[Index]:
    cyclic = np.arange(size)
    while True:
        if order == "random":
            yield generator.integers(0, max(size, 1), size)
        elif order == "shuffled":
            yield generator.permutation(size)
        else:
            yield cyclic
