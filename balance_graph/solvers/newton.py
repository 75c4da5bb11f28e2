"""Newton's method on the logarithm of the balance equations: the solver that is chosen, and which way it takes."""

from __future__ import annotations

from dataclasses import dataclass

from balance_graph._arguments import check_count, check_positive
from balance_graph._choices import check_choice
from balance_graph._progress import Report, silent
from balance_graph._time_limit import Deadline, check_time_limit
from balance_graph._types import Array, Engine
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import Outcome
from balance_graph.solvers.newton_run import NewtonRun

ENGINES = ("auto", "rows", "edges")
# From here on, passes over edge lists beat factorizations, and soon the time it takes to load compiled loops.
_LARGE = 4_000


@dataclass(frozen=True)
class NewtonSolver:
    """Newton on ``F_k = log in_k - log out_k = 0``: factorizations for small networks, edge passes for large ones.

    Parameters
    ----------
    tol : float
        Stop when the largest relative imbalance is at most this, or at most what rounding allows: the logarithms of
        flows are known to about ``eps * max|log flow|``. With factorizations, one further step is then tried, and kept
        if it is better.
    max_iterations : int
        Limit on Newton iterations, of all engines together.
    engine : {"auto", "rows", "edges"}
        ``"rows"``: directions by sparse factorizations, exact at any range of costs. ``"edges"``: directions by
        conjugate gradients, in passes over edge lists where the problem is a network with one exponent for all edges,
        else over its terms. ``"auto"``: passes over edges from 4 000 of them on, over terms of other kinds from 50 000
        on, else rows; where one makes no headway, the other goes on. With each, nested sets help where they are known.
    time_limit : float, optional
        Seconds after which no further iteration begins; the best point so far is the answer, with the status *limit
        reached*. Default: none.

    See Also
    --------
    CvxpySolver, StochasticSolver, FlowSolver : The other ways.

    Notes
    -----
    A step is halved until it lowers ``max|F|``. With degrees 1 the Jacobian is a nonsingular M-matrix wherever the
    minimum is attained, so such a step exists. Where none is found (other degrees, singular to rounding), a step of
    Newton's method on the convex cost is taken, short enough to lower it for certain; it converges from everywhere, so
    the method does. Equations of weakly attached clusters are written in a basis of their own
    (`balance_graph.points.clusters`). Where the method makes no headway, since weights differ by many orders, sets of
    unknowns that strong flows join are balanced one by one, as local balancing does with single unknowns, and Newton's
    method for the cost goes on in the basis of their shifts (`balance_graph.points.nested_sets`); so it does where
    flows through unknowns differ so much that rounding could hide a set that is out of balance. Where rows have more
    than two entries (shared or tied weights, terms), shifts of the strongest rows take the place of sets, up to 200
    unknowns (``balance_graph.points.strongest_rows``). Where many costs differ by more than e^120, and for other rows
    and costs that are no sums of powers, the way leads through tamer networks, by continuation in temperature: all
    weights to a power that rises to 1. Where costs have levelled off, what their flows lack of their limits is balanced
    (``balance_graph.problem.levelled``). A few iterations are the rule, also for weights from 1e-150 to 1e150.

    Passes over edges begin with a start that does not depend on the scales given, and local sweeps; directions come
    from conjugate gradients on the Hessian of the cost, preconditioned by its diagonal and levels of nodes, a Cholesky
    factorization in a band, or aggregation multigrid, whichever pays. What was chosen stands in ``summary()``.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.balance(bg.networks.chain(weights=[1.0, 4.0, 16.0]), solver=bg.NewtonSolver(tol=1e-10)).converged
    True
    """

    tol: float = 1e-12
    max_iterations: int = 200
    engine: Engine = "auto"
    time_limit: float | None = None

    name = "newton"

    def __post_init__(self) -> None:
        check_positive(self.tol, "NewtonSolver: tol")
        check_count(self.max_iterations, "NewtonSolver: max_iterations")
        check_choice(self.engine, "NewtonSolver: engine", ENGINES)
        check_time_limit(self.time_limit, "NewtonSolver: time_limit")

    def run(self, quotient: Quotient, *, start: Array | None = None, report: Report = silent) -> Outcome:
        """Solve a quotient from a displacement (default: its center)."""
        run = NewtonRun(quotient, self.tol, self.max_iterations, Deadline(self.time_limit), report)
        if self.engine == "edges":
            run.passes_only(run.given_start if start is None else quotient.expand(start))
        elif self.engine == "rows" or start is not None or quotient.preference is not None:
            run.rows_only(start)
        elif quotient.given.n_edges >= _LARGE:
            run.edges_first()
        else:
            run.rows_first()
        run.settle_levelled()
        run.fall_back()
        return run.outcome
