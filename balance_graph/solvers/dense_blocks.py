"""Balancing of problems of dense blocks: attainment, start, Newton's loop, solution."""

from __future__ import annotations

import time

import numpy as np

from balance_graph._progress import Report
from balance_graph._threads import one_blas_thread
from balance_graph._time_limit import Deadline
from balance_graph._types import Array
from balance_graph.errors import UnsupportedError
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.block_start import block_start
from balance_graph.points.blocks_point import BlocksPoint
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
    live = problem.attainment.live
    log_scales, initial_cost = problem.unscaled, problem.cost(problem.unscaled if start is None else start)
    loop = NewtonLoop(newton.tol, report, Deadline(newton.time_limit))
    notes: tuple[str, ...] = ()
    status, log_cost, imbalance = Status.CONVERGED, problem.live.log_constant(), 0.0
    if live.any():
        from_ground, to_ground = problem.attainment.from_ground[live], problem.attainment.to_ground[live]
        first = block_start(problem.live, from_ground, to_ground) if start is None else start[live]
        with one_blas_thread():
            point = BlocksPoint(BlockFlows(problem.live.costs, first))
            status = loop.follow(point, newton.max_iterations)
        log_scales[live] = point.flows.log_scales
        log_cost, imbalance, notes = point.log_cost, float(np.tanh(0.5 * point.largest)), point.notes
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
        pruned_nodes=tuple(np.flatnonzero(problem.attainment.dead).tolist()),
        notes=notes,
    )


def _newton(solver: object) -> NewtonSolver:
    if isinstance(solver, NewtonSolver) and solver.engine != "rows":
        return solver
    message = (
        f"blocks are balanced in passes over them, by solver='newton' or NewtonSolver(engine='auto'); got {solver!r}; "
        "give the network to from_sparse for others"
    )
    raise UnsupportedError(message)
