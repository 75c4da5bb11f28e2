"""The balanced state of one component of a model: by passes over its blocks, or exactly, as a problem of terms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from balance_graph._floating_point import own_rules
from balance_graph._threads import one_blas_thread
from balance_graph._time_limit import Deadline
from balance_graph._types import Array
from balance_graph.models.cost import ModelCost
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.blocks_point import BlocksPoint
from balance_graph.problem.elimination import gauge_columns
from balance_graph.problem.solution import Status
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.newton import NewtonSolver
from balance_graph.solvers.newton_loop import NewtonLoop


class Balanced(NamedTuple):
    """Where a component is balanced.

    Attributes
    ----------
    log_scales : array
    converged : bool
    gauges : tuple of int
        Scales that are held because only ratios matter.
    iterations : int
    """

    log_scales: Array
    converged: bool
    gauges: tuple[int, ...]
    iterations: int


@own_rules
def balanced(cost: ModelCost, solver: NewtonSolver | None = None) -> Balanced:
    """Newton's method from where the model is, on a cost whose minimum is attained.

    Parameters
    ----------
    cost : ModelCost
    solver : NewtonSolver, optional
        Its tolerance, and limits on iterations and time.

    Returns
    -------
    Balanced
    """
    newton = NewtonSolver() if solver is None else solver
    if cost.blocks and not _has_gauges(cost):
        with one_blas_thread():
            loop = NewtonLoop(newton.tol, deadline=Deadline(newton.time_limit))
            point = BlocksPoint(BlockFlows(cost, np.zeros(cost.size)))
            status = loop.follow(point, newton.max_iterations)
        if status in {Status.CONVERGED, Status.INTERRUPTED} or loop.deadline.is_past:
            return Balanced(point.flows.log_scales, status is Status.CONVERGED, (), loop.iterations)
    solution = solve(cost.problem, newton)
    gauges = tuple(int(str(node)) for node in solution.gauge_nodes)
    return Balanced(solution.log_scales, solution.converged, gauges, solution.iterations)


def _has_gauges(cost: ModelCost) -> bool:
    """Whether scales can move together at no cost at all, as far as that is seen without elimination."""
    pattern = cost.pattern(exact=False)
    return bool(np.diff(pattern.indptr).max(initial=0) <= 2) and gauge_columns(pattern).size > 0
