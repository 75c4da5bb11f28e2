"""The scales at which a model costs least: those free of cost are held, and none leaves its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from balance_graph._types import Array, Index, Mask
from balance_graph.models.terms import CostTerms, balance_problem
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.recession import find_recession
from balance_graph.problem.solution import Solution
from balance_graph.solvers.conductor import solve

# The bound where none is given, a factor of 5e8: who needs more has weights that are next to nothing.
LOG_BOUND = 20.0
# Rounds in which scales may come back from the bound; after them they stay.
_ROUNDS = 25
# A scale at its bound pushes inward if its relative imbalance says so by more than rounding.
_PUSH = 1e-9

NO_COST = "free of cost: nothing that has a cost depends on it"
SHRINKS = "free of cost: weights could shrink for ever, since what would grow has no cost"
DEAD = "dead: weights are zero, so others could shrink for ever"
FOLLOWS = "free of cost together with others, of which only ratios matter: this one is held"
AT_BOUND = "held at the bound"
NEARLY_DEAD = "nearly dead: held at the bound"


@dataclass(frozen=True, eq=False)
class Optimum:
    """The least cost of a model over its scales.

    Attributes
    ----------
    log_scales : (n_scales,) array
    held : (n_scales,) boolean array
        Scales that the cost alone would move for ever, or that are at their bound.
    reasons : dict of int to str
        Why scales are held, by their number.
    solution : Solution or None
        Of the scales that are not held; None if there are none.
    is_bounded_optimum : bool
        Whether all scales at the bound push outward, so that no choice of scales within the bound costs less.
    """

    log_scales: Array
    held: Mask
    reasons: dict[int, str]
    solution: Solution | None
    is_bounded_optimum: bool = True


def free_of_cost(parts: Sequence[tuple[float, CostTerms]], pattern: CostTerms) -> dict[int, str]:
    """The scales that the cost does not hold in place, with the reason.

    Along a direction in which some terms shrink and none grows the minimum is not attained: every scale that moves
    there is held, again and again until none is left.

    Parameters
    ----------
    parts : sequence of (a, CostTerms)
        The cost at the weights as they are.
    pattern : CostTerms
        The terms if no weight were zero.

    Returns
    -------
    dict of int to str
    """
    size = pattern.A.shape[1]
    problem = balance_problem(parts, np.full(size, np.nan))
    unread = ~_read(problem, size)
    moving = _moving(problem, unread)
    if not (unread | moving).any():
        return {}
    whole = BalanceProblem.from_terms(pattern.A, pattern.log_coefficient)
    could_be_read = _read(whole, size)
    always_moves = _moving(whole, ~could_be_read)
    reasons = {k: DEAD if could_be_read[k] else NO_COST for k in np.flatnonzero(unread).tolist()}
    return reasons | {k: SHRINKS if always_moves[k] else DEAD for k in np.flatnonzero(moving).tolist()}


def _read(problem: BalanceProblem, size: int) -> Mask:
    """Unknowns that a term depends on."""
    read = np.zeros(size, dtype=bool)
    read[problem.manifold.reduced_incidence.indices] = True
    return read


def _moving(problem: BalanceProblem, held: Mask) -> Mask:
    """Unknowns to hold besides those that are, so that the minimum is attained."""
    held, matrix = held.copy(), problem.manifold.reduced_incidence
    result = np.zeros(held.size, dtype=bool)
    while True:
        free = np.flatnonzero(~held)
        recession = find_recession(matrix[:, free]) if free.size and matrix.shape[0] else None
        if recession is None or not recession.dead.any():
            return result
        result[free[recession.moving]] = True
        held |= result


def least_cost(parts: Sequence[tuple[float, CostTerms]], reasons: dict[int, str], bound: float = LOG_BOUND) -> Optimum:
    """The optimum over all scales that are not free of cost, no log-scale larger than the bound.

    The minimum over a box: scales that would leave it are put at its sides, the others are balanced, and those that
    then push inward come back, until none does. The cost is convex, so that is the optimum within the box.

    Parameters
    ----------
    parts : sequence of (a, CostTerms)
    reasons : dict of int to str
        Scales that are held at 1, of `free_of_cost`.
    bound : float
        On the size of each log-scale; may be infinite.

    Returns
    -------
    Optimum
    """
    size = parts[0][1].A.shape[1]
    whole = balance_problem(parts, np.full(size, np.nan))
    held = np.full(size, np.nan)
    held[list(reasons)] = 0.0
    at_bound = np.zeros(size, dtype=bool)
    for round_ in range(_ROUNDS + size):
        log_scales, solution = _balanced(parts, held)
        beyond = np.abs(log_scales) > bound
        inward = at_bound & _pushes_inward(whole, log_scales)
        if round_ >= _ROUNDS:
            inward[:] = False
        if not (beyond | inward).any():
            break
        held[beyond] = np.copysign(bound, log_scales[beyond])
        held[inward] = np.nan
        at_bound = (at_bound | beyond) & ~inward
    optimal = not (at_bound & _pushes_inward(whole, log_scales)).any()
    why = AT_BOUND if bound < LOG_BOUND else NEARLY_DEAD
    found = {**reasons, **_gauges(held, solution), **dict.fromkeys(np.flatnonzero(at_bound).tolist(), why)}
    return Optimum(log_scales, ~np.isnan(held), found, solution, optimal)


def _balanced(parts: Sequence[tuple[float, CostTerms]], held: Array) -> tuple[Array, Solution | None]:
    free = np.flatnonzero(np.isnan(held))
    log_scales = np.where(np.isnan(held), 0.0, held)
    if not free.size:
        return log_scales, None
    solution = solve(balance_problem(parts, held))
    log_scales[free] = solution.log_scales
    return log_scales, solution


def _pushes_inward(problem: BalanceProblem, log_scales: Array) -> Mask:
    """Where the cost falls if the log-scale comes nearer to zero."""
    into, out_of = problem.log_in_out(log_scales)
    with np.errstate(invalid="ignore"):
        slope = np.tanh(0.5 * (into - out_of))
    return np.asarray(slope * np.sign(log_scales) > _PUSH, dtype=bool)


def _gauges(held: Array, solution: Solution | None) -> dict[int, str]:
    free: Index = np.flatnonzero(np.isnan(held))
    nodes = [] if solution is None else [int(str(node)) for node in solution.gauge_nodes]
    return {int(free[node]): FOLLOWS for node in nodes}
