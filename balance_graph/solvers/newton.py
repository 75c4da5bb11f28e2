"""Newton's method on the logarithm of the balance equations, safeguarded by the convex Newton method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balance_graph._arguments import check_count, check_positive
from balance_graph._progress import Report, silent
from balance_graph._types import Array
from balance_graph.points.rows import Iterate
from balance_graph.problem.reduction import Reduction
from balance_graph.problem.solution import History, Outcome, Status


@dataclass(frozen=True)
class NewtonSolver:
    """Newton on ``F_k = log in_k - log out_k = 0``: factorizations for small networks, edge passes for large ones.

    Parameters
    ----------
    tol : float
        Stop when the largest relative imbalance is at most this, or at most what rounding allows: the logarithms of
        flows are known to about ``eps * max|log flow|``. One further step is then tried, and kept if it is better.
    max_iterations : int
        Limit on Newton iterations.

    Notes
    -----
    A step is halved until it lowers ``max|F|``. With degrees 1 the Jacobian is a nonsingular M-matrix wherever the
    minimum is attained, so such a step exists. Where none is found (other degrees, singular to rounding), a step of
    Newton's method on the convex cost is taken, short enough to lower it for certain; it converges from everywhere,
    so the method does. Equations of weakly attached clusters are written in a basis of their own
    (`balance_graph.points.clusters`). A few iterations are the rule, also for weights from 1e-150 to 1e150.

    From 4 000 edges on, `solve` takes networks with one exponent by inexact Newton, in passes over their edges: a
    start that does not depend on the scales given, local sweeps, and directions by conjugate gradients on the Hessian
    of the cost, preconditioned by its diagonal and levels of nodes, a Cholesky factorization in a band, or aggregation
    multigrid, whichever pays. If it stalls, the method with factorizations takes over; and where that makes no headway
    in 100 iterations, inexact Newton tries, whatever the size. What was chosen stands in ``summary()``.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.balance(bg.networks.chain(weights=[1.0, 4.0, 16.0]), solver=bg.NewtonSolver(tol=1e-10)).converged
    True
    """

    tol: float = 1e-12
    max_iterations: int = 200

    name = "newton"

    def __post_init__(self) -> None:
        check_positive(self.tol, "NewtonSolver: tol")
        check_count(self.max_iterations, "NewtonSolver: max_iterations")

    def run(self, reduction: Reduction, *, start: Array | None = None, report: Report = silent) -> Outcome:
        """Solve a reduced problem from a displacement (default zero), with factorizations."""
        state = Iterate.at(reduction, np.zeros(reduction.size) if start is None else start)
        history = History()
        fallbacks = iterations = 0
        status = Status.LIMIT
        try:
            while True:
                imbalance = float(np.tanh(0.5 * state.largest))
                history.add(reduction.log_cost(state.displacement), imbalance)
                report(iterations, history.log_cost[-1], imbalance)
                if imbalance <= max(self.tol, state.rounding):
                    status = Status.CONVERGED
                    state = state.newton_step() or state
                    break
                if iterations == self.max_iterations:
                    break
                step = state.newton_step()
                if step is None:
                    fallbacks += 1
                    step = state.convex_step()
                if step is None:
                    status = Status.STALLED
                    break
                state = step
                iterations += 1
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        notes = (f"convex Newton steps: {fallbacks}",) if fallbacks else ()
        return Outcome(state.displacement, status, iterations, history, notes)
