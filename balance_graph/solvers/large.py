"""The conductor for large networks: attainment, solution and costs in a few passes over edge lists."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from balance_graph._progress import Report
from balance_graph._threads import one_blas_thread
from balance_graph._types import Array, Index
from balance_graph.points.edges import Flows
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.preconditioner import Preconditioner
from balance_graph.problem import network_kernels as kernels
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.live_network import LiveNetwork
from balance_graph.problem.numbering import LeftOut, Numbering
from balance_graph.problem.solution import Outcome, Status
from balance_graph.solvers._inexact import InexactNewton

# Exponentials of three numbers below this, and sums of their products, are in the range of floats.
_MODERATE = 200.0


@dataclass(frozen=True, eq=False)
class LargeOutcome:
    """What inexact Newton found, and the state it left, from the weights as given.

    Attributes
    ----------
    outcome : Outcome
        Its displacement is over all nodes: log-scales.
    dead : integer array
        Dead edges.
    gauges : integer array
        One node of each part whose common scale is arbitrary.
    log_cost, relative_imbalance : float
        Of the live network.
    tol, rounding : float
        Relative imbalance that was asked for, and that rounding of the log-scales, there and on the way, can make.
    """

    outcome: Outcome
    dead: Index
    gauges: Index
    log_cost: float
    relative_imbalance: float
    tol: float
    rounding: float

    @property
    def is_final(self) -> bool:
        """Whether nothing is left that the exact method would do better."""
        reached = self.outcome.history.imbalance[-1] if len(self.outcome.history) else 0.0
        # A held unknown is balanced only up to the absolute errors of all others. Elsewhere, more than was reached on
        # the way, and than rounding of the log-scales explains, means that flows drown in others.
        enough = max(2.0 * reached, self.rounding, self.tol if self.gauges.size else 0.0)
        return self.outcome.status is not Status.STALLED and self.relative_imbalance <= enough

    @property
    def has_converged(self) -> bool:
        """Whether it is the answer asked for."""
        return self.is_final and self.outcome.status is Status.CONVERGED


def solve_large(
    problem: BalanceProblem, *, tol: float, max_iterations: int, start: Array | None, prune: bool, report: Report
) -> LargeOutcome | None:
    """Balance a network with one exponent by passes over its edges, without forming its incidence matrix.

    None where the problem does not have the form that `LiveNetwork` needs, where no scale moves anything, and where
    dead edges stand in the way of attainment and `prune` is not asked for.
    """
    with ThreadPoolExecutor(1) as pool, one_blas_thread():
        ended = _end_of_run(problem, tol, max_iterations, start, prune, report, pool)
        if ended is None:
            return None
        numbering, left_out, outcome, log_unit, rounding = ended
        log_cost, imbalance = _state(numbering, outcome.displacement, log_unit, pool)
    log_cost = float(np.logaddexp(log_cost, left_out.log_constant))
    return LargeOutcome(outcome, left_out.dead, left_out.gauges, log_cost, imbalance, tol, rounding)


class _End(NamedTuple):
    """What remains of a run: all else is given back before the end point is looked at."""

    numbering: Numbering
    left_out: LeftOut
    outcome: Outcome
    log_unit: float
    rounding: float


def _end_of_run(
    problem: BalanceProblem,
    tol: float,
    max_iterations: int,
    start: Array | None,
    prune: bool,
    report: Report,
    pool: Executor,
) -> _End | None:
    network = LiveNetwork.of(problem, pool)
    if network is None or network.n_edges == 0:
        return None
    numbering = network.numbering
    left_out = numbering.left_out(network.n_edges)
    if left_out.dead.size and not prune:
        return None
    flows = Flows.of(network, None if start is None else numbering.restrict(start), pool)
    hessian = HessianSolver(flows, Preconditioner(flows, network.from_ground[:-1]))
    # What led to the start is not needed on the way, where memory peaks.
    del network
    # The balance of a held unknown follows from that of all others, with their errors added up.
    goal = 0.1 * tol if numbering.held.size else tol
    run = InexactNewton(flows, hessian, goal, max_iterations, left_out.log_constant)
    status = run.run(report)
    furthest = max(float(np.abs(flows.log_scales).max(initial=0.0)), flows.longest_move)
    rounding = 1e-14 + 4.0 * float(np.finfo(float).eps) * furthest * flows.exponent * float(flows.degree.max())
    outcome = Outcome(numbering.expand(flows.log_scales), status, run.iterations, run.history, run.notes)
    return _End(numbering, left_out, outcome, flows.log_cost, rounding)


def _state(numbering: Numbering, log_scales: Array, log_unit: float, pool: Executor) -> tuple[float, float]:
    """Logarithm of the cost that scales move, and largest relative imbalance: of the weights as given, at log-scales.

    Held unknowns count like all others.
    """
    problem, at = numbering.problem, numbering.problem.manifold
    every = Numbering.of(problem)
    assert every is not None
    degree = np.ones(every.size + 1)
    degree[every.unknown] = at.degree
    up = numbering.exponent * log_scales
    down = -at.degree * up
    ends = (*numbering.ends, every.unknown, every.size, numbering.parts)
    weight, log_coefficient, exponent = numbering.costs
    if log_coefficient.size == 0 and _is_moderate(numbering, up, down):
        log_unit, sums = 0.0, kernels.near_end_sums
        edges: tuple[Any, ...] = (*ends, weight, exponent, np.exp(up, out=up), np.exp(down, out=down))
    else:
        sums, edges = kernels.end_sums, (*ends, weight, log_coefficient, exponent, up, down, log_unit)
    half = problem.n_edges // 2
    later = pool.submit(sums, *edges, half, problem.n_edges)
    into, out_of = (one + other for one, other in zip(sums(*edges, 0, half), later.result(), strict=True))
    out_of *= degree
    alone = into + out_of == 0.0
    imbalance = np.abs(into - out_of) / np.where(alone, 1.0, into + out_of)
    return float(np.log(into.sum())) + log_unit, float(imbalance[:-1].max(initial=0.0))


def _is_moderate(numbering: Numbering, up: Array, down: Array) -> bool:
    """Whether costs and their factors can be multiplied as they are."""
    furthest = max(*map(abs, numbering.range_of_log_costs), np.abs(up).max(), np.abs(down).max())
    return bool(furthest < _MODERATE)
