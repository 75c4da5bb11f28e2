"""Bounds on the scales along a run: the box around all scalings that cost no more than the start."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Sparse
from balance_graph.problem.attainment import find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.quotient import Quotient
from balance_graph.solvers.conductor import check_problem

# Largest log-gain considered: no run of finite numbers goes beyond.
_FAR = 1e6
# Of a bound: an interval that narrows by less is as good as found.
_SMALL = 1e-12


def scale_bounds(problem: BalanceProblem, start: Array | None = None) -> tuple[Array, Array]:
    """An interval for each log-scale that no balancing can leave, computed from the cost at the start.

    The cost never rises, so no edge may ever cost more than the whole network did at the start: that is an upper bound
    on each log-gain ``l_head - c l_tail``. Such bounds add up along paths (Fig. 2 of the paper): a path from a pinned
    node bounds the log-scales on it from above, a path to a pinned node bounds them from below.

    Parameters
    ----------
    problem : BalanceProblem
    start : (n_nodes,) array, optional
        Log-scales at the start; by default zero, the weights as given.

    Returns
    -------
    lower, upper : (n_nodes,) arrays
        Where only differences of log-scales matter (a gauge), one of them is held at its start; a run
        may hold another, which changes no weight.

    Raises
    ------
    NotAttainedError
        If the minimum is not attained: some scales are then unbounded.

    Notes
    -----
    Intervals are propagated through ``A u <= U``, the bounds on the log-gains: the least values of all other terms of a
    row bound each of its terms. Every interval on the way is valid, so stopping early only loosens the answer. Baldi et
    al. (arXiv 2405.09688) use the same argument, without numbers, to prove convergence.

    Examples
    --------
    >>> import balance_graph as bg, numpy as np
    >>> from balance_graph.theory.bounds import scale_bounds
    >>> problem = bg.compile_graph(bg.networks.chain(weights=[1.0, 4.0]))
    >>> lower, upper = scale_bounds(problem)

    The unit's in-weight s and out-weight 4/s cost ``s^2 + 16/s^2``, at the start 17: neither term exceeds that.

    >>> bool(abs(upper[1] - 0.5 * np.log(17)) < 1e-9)
    True
    >>> bool(abs(lower[1] - 0.5 * np.log(16 / 17)) < 1e-9)
    True
    """
    check_problem(problem, "scale_bounds")
    find_attainment(problem).raise_if_not_attained(can_prune=False)
    center = problem.unscaled if start is None else problem.checked_log_scales(start, "start")
    quotient = Quotient(problem, center, live=problem.active)
    low, high = _propagate(quotient, _largest_log_gains(quotient))
    basis = sparse.csr_array(problem.manifold.basis[:, quotient.unknowns])
    return center + _least(basis, low, high), center - _least(-basis, low, high)


def _largest_log_gains(quotient: Quotient) -> Array:
    """For each row the change of its log-gain at which it alone costs what all moving rows cost at the start."""
    budget = log_sum(quotient.rows.log_costs(quotient.base))
    inside, outside = np.zeros(quotient.base.size), np.ones(quotient.base.size)
    while True:
        short = (quotient.rows.log_costs(quotient.base + outside) < budget) & (outside < _FAR)
        if not short.any():
            break
        inside, outside = np.where(short, outside, inside), np.where(short, 2.0 * outside, outside)
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        short = quotient.rows.log_costs(quotient.base + middle) < budget
        inside, outside = np.where(short, middle, inside), np.where(short, outside, middle)
    return outside


def _propagate(quotient: Quotient, limit: Array) -> tuple[Array, Array]:
    """Interval of each unknown in ``A u <= limit``, with 0 in it."""
    entries = quotient.matrix.tocoo()
    row, column, value = entries.row, entries.col, entries.data
    low, high = np.full(quotient.size, -np.inf), np.full(quotient.size, np.inf)
    # Bounds travel along one edge a round, so after as many rounds as unknowns all have what paths can give; on cycles
    # of degrees other than 1 they may go on to shrink.
    for _ in range(quotient.size + 1):
        least = np.where(value > 0, value * low[column], value * high[column])
        unbounded = np.bincount(row, np.isinf(least), limit.size)
        finite = np.where(np.isinf(least), 0.0, least)
        others = np.bincount(row, finite, limit.size)[row] - finite
        known = unbounded[row] - np.isinf(least) == 0
        bound = np.where(known, (limit[row] - others) / value, np.where(value > 0, np.inf, -np.inf))
        old = low.copy(), high.copy()
        np.minimum.at(high, column[value > 0], bound[value > 0])
        np.maximum.at(low, column[value < 0], bound[value < 0])
        if _change(old[0], low) <= _SMALL and _change(old[1], high) <= _SMALL:
            break
    return low, high


def _change(old: Array, new: Array) -> float:
    same = old == new
    with np.errstate(invalid="ignore"):
        return float(np.where(same, 0.0, np.abs(old - new)).max(initial=0.0))


def _least(matrix: Sparse, low: Array, high: Array) -> Array:
    """Least value of each row of the matrix over the box."""
    least = np.where(matrix.data > 0, matrix.data * low[matrix.indices], matrix.data * high[matrix.indices])
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(row, least, matrix.shape[0]).astype(float)
