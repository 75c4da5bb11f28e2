"""Compiled loops of the local balancer: plain functions on flat arrays, one source, with or without numba.

Unknown k owns the entries ``start[k] : start[k + 1]``; entry e belongs to row ``row[e]`` and says how the row's flow
answers to a shift d of k: the flow is multiplied by ``exp(rate[e] * d)``, and it counts ``exp(log_size[e])`` times, on
the in side if the rate is positive, else on the out side. All flows are kept as logarithms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array, Index
from balance_graph.solvers.local._heap import reorder

EPS = float(np.finfo(np.float64).eps)


class Entries(NamedTuple):
    """The entries of each unknown."""

    start: Index
    row: Index
    rate: Array
    log_size: Array


class Partners(NamedTuple):
    """The other entry of each entry's row, -1 where there is none; and the unknown that owns each entry."""

    other: Index
    owner: Index


class RunningSums(NamedTuple):
    """In-sum (index 2k) and out-sum (2k + 1) of each unknown k in units of ``exp(top)``, and their largest so far."""

    top: Array
    total: Array
    peak: Array


@compiled
def sides(k, entries, log_flow, shift):  # type: ignore[no-untyped-def]
    """Log in - log out of unknown k after a shift, its derivative by the shift, and what rounding leaves in it."""
    start, row, rate, log_size = entries
    top_in = top_out = -math.inf
    for e in range(start[k], start[k + 1]):
        value = log_size[e] + log_flow[row[e]] + rate[e] * shift
        if rate[e] > 0.0:
            top_in = max(top_in, value)
        else:
            top_out = max(top_out, value)
    sum_in = sum_out = slope_in = slope_out = 0.0
    for e in range(start[k], start[k + 1]):
        value = log_size[e] + log_flow[row[e]] + rate[e] * shift
        if rate[e] > 0.0:
            share = math.exp(value - top_in)
            sum_in += share
            slope_in += rate[e] * share
        else:
            share = math.exp(value - top_out)
            sum_out += share
            slope_out -= rate[e] * share
    difference = top_in + math.log(sum_in) - top_out - math.log(sum_out)
    rounding = 4.0 * EPS * max(1.0, abs(top_in), abs(top_out))
    return difference, slope_in / sum_in + slope_out / sum_out, rounding


@compiled
def local_shift(k, entries, log_flow):  # type: ignore[no-untyped-def]
    """The shift that balances unknown k: Newton on ``log in - log out``, an increasing function, kept in a bracket.

    With one rate on each side the function is linear and the first step exact.
    """
    shift = 0.0
    low, high = -math.inf, math.inf
    for _ in range(200):
        value, slope, rounding = sides(k, entries, log_flow, shift)
        if value > 0.0:
            high = shift
        else:
            low = shift
        step = -value / slope
        if abs(value) <= rounding or abs(step) <= 1e-15 * max(1.0, abs(shift)):
            return shift + step
        if low < shift + step < high:
            shift += step
        else:  # both ends are finite, as steps towards an open end stay inside
            shift = 0.5 * (low + high)
        if uniform(k, entries):
            break
    return shift


@compiled
def uniform(k, entries):  # type: ignore[no-untyped-def]
    """Whether each side of unknown k has one rate."""
    start, _, rate, _ = entries
    rate_in = rate_out = 0.0
    for e in range(start[k], start[k + 1]):
        if rate[e] > 0.0:
            if rate_in == 0.0:
                rate_in = rate[e]
            elif rate[e] != rate_in:
                return False
        elif rate_out == 0.0:
            rate_out = rate[e]
        elif rate[e] != rate_out:
            return False
    return True


@compiled
def sweep(order, entries, log_flow, displacement):  # type: ignore[no-untyped-def]
    """Balance the unknowns in the given order, in place."""
    start, row, rate, _ = entries
    for k in order:
        shift = local_shift(k, entries, log_flow)
        displacement[k] += shift
        for e in range(start[k], start[k + 1]):
            log_flow[row[e]] += rate[e] * shift


@compiled
def refresh(k, entries, log_flow, running):  # type: ignore[no-untyped-def]
    """Recompute the running sums of unknown k from its entries."""
    start, row, rate, log_size = entries
    top, total, peak = running
    for side in (2 * k, 2 * k + 1):
        top[side] = -math.inf
        total[side] = 0.0
    for e in range(start[k], start[k + 1]):
        side = 2 * k + (0 if rate[e] > 0.0 else 1)
        top[side] = max(top[side], log_size[e] + log_flow[row[e]])
    for e in range(start[k], start[k + 1]):
        side = 2 * k + (0 if rate[e] > 0.0 else 1)
        total[side] += math.exp(log_size[e] + log_flow[row[e]] - top[side])
    for side in (2 * k, 2 * k + 1):
        peak[side] = total[side]


@compiled
def running_key(k, running):  # type: ignore[no-untyped-def]
    """``|log in - log out|`` of unknown k from its running sums."""
    top, total, _ = running
    difference = top[2 * k] + math.log(total[2 * k]) - top[2 * k + 1] - math.log(total[2 * k + 1])
    return abs(difference)


@compiled
def start_greedy(entries, log_flow, running, key):  # type: ignore[no-untyped-def]
    """Running sums and keys of all unknowns."""
    for k in range(key.size):
        refresh(k, entries, log_flow, running)
        key[k] = running_key(k, running)


@compiled
def greedy_sweep(enough, entries, partners, log_flow, displacement, running, heap):  # type: ignore[no-untyped-def]
    """Balance the unknown of largest ``|log in - log out|``, n times or until none exceeds `enough`, in place.

    The keys come from running sums. One that has fallen to a quarter of its peak, or risen far above its unit, is
    recomputed from its entries before cancellation or range could cost accuracy.
    """
    start, row, rate, _ = entries
    for _ in range(displacement.size):
        k = heap.order[0]
        if heap.key[k] <= enough:
            break
        shift = local_shift(k, entries, log_flow)
        displacement[k] += shift
        for e in range(start[k], start[k + 1]):
            before = log_flow[row[e]]
            log_flow[row[e]] = before + rate[e] * shift
            f = partners.other[e]
            if f >= 0:
                owner = partners.owner[f]
                update(owner, f, before, entries, log_flow, running)
                reorder(heap, owner, running_key(owner, running))
        refresh(k, entries, log_flow, running)
        reorder(heap, k, running_key(k, running))


@compiled
def update(k, f, before, entries, log_flow, running):  # type: ignore[no-untyped-def]
    """Bring the running sum of unknown k up to date after a change of the flow of its entry f."""
    _, row, rate, log_size = entries
    top, total, peak = running
    side = 2 * k + (0 if rate[f] > 0.0 else 1)
    new = log_size[f] + log_flow[row[f]] - top[side]
    if new < 30.0:
        total[side] += math.exp(new) - math.exp(log_size[f] + before - top[side])
        peak[side] = max(peak[side], total[side])
    if new >= 30.0 or total[side] <= 0.25 * peak[side]:
        refresh(k, entries, log_flow, running)
