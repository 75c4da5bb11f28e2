"""Balance of an irreducible dense matrix by products with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from balance_graph._progress import Report, reporter
from balance_graph._threads import one_blas_thread
from balance_graph._time_limit import Deadline
from balance_graph._types import Array
from balance_graph.problem.solution import Status

# Rows from which products with a dense matrix cost less than passes over its entries.
MOST_SPARSE = 64
# Iterations allowed there: a handful is the rule, and many mean that products will not do.
_MOST_ITERATIONS = 30


def dense_log_scales(
    A: Any,  # noqa: N803
    p: float,
    tol: float,
    progress: bool | Report,
    deadline: Deadline,
) -> Array | None:
    """Logarithms of D by products with the dense matrix of costs; None where those will not do.

    That is: for small matrices, where exact methods cost little; for reducible ones; where costs leave the range of
    floats; and where conjugate gradients do not get there. Once the deadline is past, what is reached will do.
    """
    if A.shape[0] < MOST_SPARSE:
        return None
    costs = _powers(A, p)
    np.fill_diagonal(costs, 0.0)
    if not _is_moderate(costs) or not _is_irreducible(costs):
        return None
    from balance_graph.points.dense import DenseFlows
    from balance_graph.points.flows import FlowsPoint
    from balance_graph.points.hessian import HessianSolver
    from balance_graph.solvers.newton_loop import NewtonLoop

    with reporter(progress) as report, one_blas_thread():
        flows = DenseFlows(costs, p)
        point = FlowsPoint(flows, HessianSolver(flows, None), holds=True)
        status = NewtonLoop(tol, report, deadline).follow(point, _MOST_ITERATIONS)
        flows.balance_held()
    imbalance = np.abs(flows.into - flows.out_of) / (flows.into + flows.out_of)
    is_balanced = status is Status.CONVERGED and imbalance.max() <= max(tol, 1e-14)
    if not (is_balanced or (np.all(np.isfinite(flows.log_scales)) and deadline.cuts_short())):
        return None
    return -np.append(flows.log_scales, 0.0)


def _powers(A: Any, p: float) -> Array:  # noqa: N803
    """``|A|**p``, in floating point of double precision."""
    if p == 2.0 and A.dtype.kind == "f":
        squares: Array = np.square(A, dtype=np.float64)
        return squares
    size: Array = np.abs(A).astype(np.float64, copy=False)
    return size if p == 1.0 else size**p


def _is_moderate(costs: Array) -> bool:
    """Whether products of costs with factors of rows and columns stay in the range of floats."""
    from balance_graph.problem import network_kernels as kernels  # compiled loops: slow to load

    least, largest, _ = kernels.range_of_sizes(costs.reshape(-1))
    return bool(least > 1e-100 and largest < 1e100)


def _is_irreducible(costs: Array) -> bool:
    """Whether the graph of the nonzero entries is strongly connected."""
    return all(_reaches_all(matrix) for matrix in (costs, costs.T))


def _reaches_all(costs: Array) -> bool:
    """Whether every row is reached from the first, along nonzero entries."""
    reached = np.zeros(costs.shape[0])
    reached[0] = 1.0
    while True:
        further = np.maximum(reached, (reached @ costs > 0.0).astype(float))
        if further.sum() == reached.sum():
            return bool(reached.all())
        reached = further
