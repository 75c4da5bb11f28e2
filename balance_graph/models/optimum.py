"""The scales at which a model costs least: those free of cost are held, and none leaves its bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Mask, Sparse
from balance_graph.models.balanced import balanced
from balance_graph.models.components import separated
from balance_graph.models.cost import ModelCost
from balance_graph.models.state import state_of
from balance_graph.problem.log_domain import log_ratio
from balance_graph.problem.recession import find_recession

# The bound where none is given, a factor of 5e8: who needs more has weights that are next to nothing.
LOG_BOUND = 20.0
# Rounds after which scales at the bound stay there.
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
    converged : bool
        Whether the scales that are not held are balanced to the solver's tolerance.
    is_bounded_optimum : bool
        Whether all scales at the bound push outward, so that no choice of scales within the bound costs less.
    """

    log_scales: Array
    held: Mask
    reasons: dict[int, str]
    converged: bool
    is_bounded_optimum: bool = True


def free_of_cost(cost: ModelCost, pattern: Sparse) -> dict[int, str]:
    """The scales that the cost does not hold in place, with the reason.

    Along a direction in which some terms shrink and none grows the minimum is not attained: every scale that moves
    there is held, again and again until none is left.

    Parameters
    ----------
    cost : ModelCost
        The cost at the weights as they are.
    pattern : sparse array
        `ModelCost.pattern` if no weight were zero.

    Returns
    -------
    dict of int to str
    """
    size = cost.size
    nothing = np.zeros(size, dtype=bool)
    matrix = cost.pattern(exact=False)
    unread = ~_read(matrix, size)
    moving = _moving(matrix, unread)
    if moving.any() and not all(one.is_full for one in cost.blocks):
        moving = _moving(cost.pattern(exact=True), unread)
    if not (unread | moving).any():
        return {}
    could_be_read = _read(pattern, size)
    always_moves = _moving(pattern, ~could_be_read) if moving.any() else nothing
    reasons = {k: DEAD if could_be_read[k] else NO_COST for k in np.flatnonzero(unread).tolist()}
    return reasons | {k: SHRINKS if always_moves[k] else DEAD for k in np.flatnonzero(moving).tolist()}


def _read(matrix: Sparse, size: int) -> Mask:
    """Unknowns that a term depends on."""
    read = np.zeros(matrix.shape[1], dtype=bool)
    read[matrix.indices] = True
    return read[:size]


def _moving(matrix: Sparse, held: Mask) -> Mask:
    """Unknowns to hold besides those that are, so that the minimum is attained; columns after them are auxiliary."""
    held, size = held.copy(), held.size
    result = np.zeros(size, dtype=bool)
    while True:
        free = np.append(np.flatnonzero(~held), np.arange(size, matrix.shape[1]))
        recession = find_recession(sparse.csr_array(matrix[:, free])) if free.size and matrix.shape[0] else None
        if recession is None or not recession.dead.any():
            return result
        moved = free[recession.moving]
        result[moved[moved < size]] = True
        if np.array_equal(held | result, held):
            return result
        held |= result


def least_cost(
    cost: ModelCost, reasons: dict[int, str], bound: float = LOG_BOUND, *, at_bound_stays: bool = False
) -> Optimum:
    """The optimum over all scales that are not free of cost, no log-scale larger than the bound.

    The minimum over a box: scales that would leave it are put at its sides, the others are balanced, and those that
    then push inward come back, until none does. The cost is convex, so that is the optimum within the box.

    Parameters
    ----------
    cost : ModelCost
    reasons : dict of int to str
        Scales that are held at 1, of `free_of_cost`.
    bound : float
        On the size of each log-scale; may be infinite.
    at_bound_stays : bool
        Hold scales that would leave the box at 1 instead, where they are: what is repeated must not chase them.

    Returns
    -------
    Optimum
    """
    size = cost.size
    held = np.full(size, np.nan)
    held[list(reasons)] = 0.0
    at_bound = np.zeros(size, dtype=bool)
    for round_ in range(_ROUNDS + size):
        log_scales, converged, gauges = _balanced(cost, held)
        beyond = np.abs(log_scales) > bound
        inward = at_bound & (_pushes_inward(cost, log_scales) if at_bound.any() else False)
        if round_ >= _ROUNDS or at_bound_stays:
            inward[:] = False
        if not (beyond | inward).any():
            break
        held[beyond] = 0.0 if at_bound_stays else np.copysign(bound, log_scales[beyond])
        held[inward] = np.nan
        at_bound = (at_bound | beyond) & ~inward
    optimal = not (at_bound.any() and (at_bound & _pushes_inward(cost, log_scales)).any())
    why = AT_BOUND if bound < LOG_BOUND else NEARLY_DEAD
    found = {**reasons, **dict.fromkeys(gauges, FOLLOWS), **dict.fromkeys(np.flatnonzero(at_bound).tolist(), why)}
    return Optimum(log_scales, ~np.isnan(held), found, converged, optimal)


def _balanced(cost: ModelCost, held: Array) -> tuple[Array, bool, list[int]]:
    """Log-scales, those that are held as given; whether all others are balanced; and gauges among them."""
    free = np.flatnonzero(np.isnan(held))
    log_scales = np.where(np.isnan(held), 0.0, held)
    converged, gauges = True, list[int]()
    for scales, part in separated(cost.restricted(held)):
        if scales.size:
            found = balanced(part)
            log_scales[free[scales]] = found.log_scales
            converged &= found.converged
            gauges += free[scales[list(found.gauges)]].tolist()
    return log_scales, converged, gauges


def _pushes_inward(cost: ModelCost, log_scales: Array) -> Mask:
    """Where the cost falls if the log-scale comes nearer to zero."""
    into, out_of = state_of(cost, log_scales).sides
    slope = np.tanh(0.5 * log_ratio(into, out_of))
    return np.asarray(slope * np.sign(log_scales) > _PUSH, dtype=bool)
