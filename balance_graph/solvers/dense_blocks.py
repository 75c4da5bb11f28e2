"""Balancing of problems of dense blocks: attainment, start, Newton's loop, solution."""

from __future__ import annotations

import time
from functools import singledispatch

import numpy as np

from balance_graph._progress import Report
from balance_graph._threads import one_blas_thread
from balance_graph._time_limit import Deadline
from balance_graph._types import Array, Mask
from balance_graph.errors import UnsupportedError
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.block_start import block_start
from balance_graph.points.blocks_point import BlocksPoint
from balance_graph.points.flows import FlowsPoint
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.solution import Solution, Status
from balance_graph.solvers.newton import NewtonSolver
from balance_graph.solvers.newton_loop import NewtonLoop


def solve_blocks(
    problem: BlockProblem, solver: object, *, prunes: bool, start: Array | None, report: Report
) -> Solution:
    """The balanced state of blocks, by Newton's method in passes over them.

    Raises
    ------
    NotAttainedError
        If the minimum is not attained, and dead weights are not to be pruned.
    UnsupportedError
        For solvers that need edges.
    """
    newton = _newton(solver)
    started = time.perf_counter()
    if not prunes:
        problem.attainment.raise_if_not_attained()
    log_scales, initial_cost = problem.unscaled, problem.cost(problem.unscaled if start is None else start)
    loop = NewtonLoop(newton.tol, report, Deadline(newton.time_limit))
    notes: tuple[str, ...] = ()
    status, imbalance = Status.CONVERGED, 0.0
    if problem.attainment.live.any():
        with one_blas_thread():
            point, places = point_of(problem, start)
            status = loop.follow(point, newton.max_iterations)
        log_scales[places] = point.flows.log_scales
        log_cost, imbalance, notes = point.log_cost, float(np.tanh(0.5 * point.largest)), point.notes
    else:
        log_cost = problem.live.log_constant()
    if problem.attainment.gauges:  # their balance follows from that of all others, with their errors
        imbalance = max(imbalance, problem.without_dead.relative_imbalance(log_scales))
        if status is Status.CONVERGED and imbalance > newton.tol:
            status = Status.STALLED
    return Solution(
        log_scales=log_scales,
        log_cost=log_cost,
        initial_cost=initial_cost,
        relative_imbalance=imbalance,
        status=status,
        iterations=loop.iterations,
        seconds=time.perf_counter() - started,
        history=loop.history,
        solver=newton.name,
        regularizer=problem.regularizer,
        pruned_nodes=problem.attainment.dead,
        gauge_nodes=problem.attainment.gauges,
        notes=notes,
    )


@singledispatch
def point_of(problem: BlockProblem, start: Array | None) -> tuple[FlowsPoint, Mask]:
    """The point to begin with, and which unknowns its log-scales are those of. Other problems register their own.

    Parameters
    ----------
    problem : BlockProblem
    start : (n_nodes,) array, optional
        Log-scales to start from.
    """
    found = problem.attainment
    if start is None:
        first = block_start(problem.live, found.from_ground[found.live], found.to_ground[found.live])
    else:
        first = start[found.live]
    return BlocksPoint(BlockFlows(problem.live.costs, first)), found.live


def _newton(solver: object) -> NewtonSolver:
    if isinstance(solver, NewtonSolver) and solver.engine != "rows":
        return solver
    message = (
        f"blocks are balanced in passes over them, by solver='newton' or NewtonSolver(engine='auto'); got {solver!r}; "
        "give the network to from_sparse for others"
    )
    raise UnsupportedError(message)
