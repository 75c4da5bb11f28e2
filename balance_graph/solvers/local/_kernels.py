"""Compiled loops of the local balancer: plain functions on flat arrays, one source, with or without numba.

Unknown k owns the entries ``start[k] : start[k + 1]``; entry e belongs to row ``row[e]`` and says how the row's flow
answers to a shift d of k: the flow is multiplied by ``exp(rate[e] * d)``, and it counts ``exp(log_size[e])`` times, on
the in side if the rate is positive, else on the out side. All flows are kept as logarithms.
"""

from __future__ import annotations

import math

import numpy as np

from balance_graph._compiled import compiled

EPS = float(np.finfo(np.float64).eps)


@compiled
def sides(k, start, row, rate, log_size, log_flow, shift):  # type: ignore[no-untyped-def]
    """Log in - log out of unknown k after a shift, its derivative by the shift, and what rounding leaves in it."""
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
def local_shift(k, start, row, rate, log_size, log_flow):  # type: ignore[no-untyped-def]
    """The shift that balances unknown k: Newton on ``log in - log out``, an increasing function, kept in a bracket.

    With one rate on each side the function is linear and the first step exact.
    """
    shift = 0.0
    low, high = -math.inf, math.inf
    for _ in range(200):
        value, slope, rounding = sides(k, start, row, rate, log_size, log_flow, shift)
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
        if uniform(k, start, rate):
            break
    return shift


@compiled
def uniform(k, start, rate):  # type: ignore[no-untyped-def]
    """Whether each side of unknown k has one rate."""
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
def sweep(order, start, row, rate, log_size, log_flow, displacement):  # type: ignore[no-untyped-def]
    """Balance the unknowns in the given order, in place."""
    for k in order:
        shift = local_shift(k, start, row, rate, log_size, log_flow)
        displacement[k] += shift
        for e in range(start[k], start[k + 1]):
            log_flow[row[e]] += rate[e] * shift


@compiled
def sift_up(heap, place, key, at):  # type: ignore[no-untyped-def]
    """Move an element of the max-heap up to where it belongs."""
    item = heap[at]
    while at > 0:
        above = (at - 1) // 2
        if key[heap[above]] >= key[item]:
            break
        heap[at] = heap[above]
        place[heap[at]] = at
        at = above
    heap[at] = item
    place[item] = at


@compiled
def sift_down(heap, place, key, at):  # type: ignore[no-untyped-def]
    """Move an element of the max-heap down to where it belongs."""
    item = heap[at]
    size = heap.size
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and key[heap[below + 1]] > key[heap[below]]:
            below += 1
        if key[heap[below]] <= key[item]:
            break
        heap[at] = heap[below]
        place[heap[at]] = at
        at = below
    heap[at] = item
    place[item] = at


@compiled
def refresh(k, start, row, rate, log_size, log_flow, top, total, peak):  # type: ignore[no-untyped-def]
    """Recompute the running in-sum (index 2k) and out-sum (2k + 1) of unknown k from its entries."""
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
def running_key(k, top, total):  # type: ignore[no-untyped-def]
    """``|log in - log out|`` of unknown k from its running sums."""
    difference = top[2 * k] + math.log(total[2 * k]) - top[2 * k + 1] - math.log(total[2 * k + 1])
    return abs(difference)


@compiled
def start_greedy(start, row, rate, log_size, log_flow, key, top, total, peak):  # type: ignore[no-untyped-def]
    """Running sums and keys of all unknowns."""
    for k in range(key.size):
        refresh(k, start, row, rate, log_size, log_flow, top, total, peak)
        key[k] = running_key(k, top, total)


@compiled
def greedy_steps(  # type: ignore[no-untyped-def]
    n_steps,
    tolerance,
    start,
    row,
    rate,
    log_size,
    other,
    owner,
    log_flow,
    displacement,
    heap,
    place,
    key,
    top,
    total,
    peak,
):
    """Balance the unknown of largest ``|log in - log out|``, up to n_steps times; returns the steps taken.

    The keys come from running sums in units of ``exp(top)``. A sum that has fallen to a quarter of its peak, or risen
    far above its unit, is recomputed from its entries before cancellation or range could cost accuracy.
    """
    for step in range(n_steps):
        k = heap[0]
        if key[k] <= tolerance:
            return step
        shift = local_shift(k, start, row, rate, log_size, log_flow)
        displacement[k] += shift
        for e in range(start[k], start[k + 1]):
            before = log_flow[row[e]]
            log_flow[row[e]] = before + rate[e] * shift
            f = other[e]
            if f >= 0:
                update_neighbor(
                    f, before, owner, start, row, rate, log_size, log_flow, heap, place, key, top, total, peak
                )
        refresh(k, start, row, rate, log_size, log_flow, top, total, peak)
        key[k] = running_key(k, top, total)
        sift_down(heap, place, key, place[k])
    return n_steps


@compiled
def update_neighbor(  # type: ignore[no-untyped-def]
    f, before, owner, start, row, rate, log_size, log_flow, heap, place, key, top, total, peak
):
    """Bring the running sum of the unknown that owns entry f up to date after a change of the entry's row."""
    k = owner[f]
    side = 2 * k + (0 if rate[f] > 0.0 else 1)
    new = log_size[f] + log_flow[row[f]] - top[side]
    if new < 30.0:
        total[side] += math.exp(new) - math.exp(log_size[f] + before - top[side])
        peak[side] = max(peak[side], total[side])
    if new >= 30.0 or total[side] <= 0.25 * peak[side]:
        refresh(k, start, row, rate, log_size, log_flow, top, total, peak)
    old_key = key[k]
    key[k] = running_key(k, top, total)
    if key[k] > old_key:
        sift_up(heap, place, key, place[k])
    else:
        sift_down(heap, place, key, place[k])
