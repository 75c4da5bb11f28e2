"""Loops over nested sets of unknowns; run as they are on small networks, and compiled on others.

Each stands alone: what is compiled can call nothing that is not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array, Index, Mask

# Ratios beyond this leave no room for products of two of them.
_LARGEST_RATIO = 1e150
# What is left of two entries that cancel, relative to their size.
_ZERO = 1e-9
# Of a logarithm beside a larger one, what is not seen in the sum any more.
_NOTHING = -40.0


class Sets(NamedTuple):
    """Sets of unknowns, one after another.

    Attributes
    ----------
    start : (n_sets + 1,) integer array
        Where each set starts in `member`.
    member : (n_members,) integer array
    ratio : (n_members,) array
        How the members move together, so that the links that join them stay.
    is_column : (n_sets,) boolean array
        Whether the set belongs to the basis; the others are balanced, too.
    root, into : (n_sets,) integer arrays
        An unknown that stands for the set, and one for the set that it joins next; -1 where it joins none.
    """

    start: Index
    member: Index
    ratio: Array
    is_column: Mask
    root: Index
    into: Index


class Incidence(NamedTuple):
    """The ends of links, one after another at each unknown.

    Attributes
    ----------
    start : (size + 1,) integer array
        Where the ends at each unknown start in the others.
    at, other : (n_ends,) integer arrays
        The unknown, and the one at the other end of the link; the number of unknowns stands for the ground.
    link : (n_ends,) integer array
    entry, back : (n_ends,) arrays
        Entries of the matrix A here and at the other end.
    rate : (n_ends,) array
        Change of the logarithm of the flow for a change of ``A u``.
    """

    start: Index
    at: Index
    other: Index
    link: Index
    entry: Array
    back: Array
    rate: Array


def nested_sets(one: Index, two: Index, gain: Array, order: Index, size: int) -> Sets:
    """Sets that links join, strongest first; of two that are joined the one of fewer members is kept.

    So no unknown is in more than ``log2(size) + 4`` sets. A set that meets the ground, or one that has met it, is kept
    whole: these and the others that were kept till then are a basis. Where ratios leave the range of floats there are
    no sets.

    Parameters
    ----------
    one, two : (n_links,) integer arrays
        Ends; the number of unknowns stands for the ground, which is only ever the second.
    gain : (n_links,) array
        A link stays where ``x_two = gain * x_one``.
    order : (n_links,) integer array
        The links by falling flow.
    size : int
    """
    root, following, count = np.arange(size + 1), np.arange(size), np.ones(size, np.int64)  # the ground is a root
    ratio, meets_ground = np.ones(size), np.zeros(size, np.bool_)
    most = size * (int(math.log2(size)) + 4)
    start, member, share = np.zeros(3 * size + 1, np.int64), np.empty(most, np.int64), np.empty(most)
    is_column, joined = np.zeros(3 * size, np.bool_), np.zeros(2, np.int64)
    of_set, next_set = np.empty(3 * size, np.int64), np.empty(3 * size, np.int64)
    n_sets = n_members = 0
    for step in range(order.size + size):
        kept, into, is_basic = -1, -1, True
        if step < order.size:
            link = order[step]
            for side in range(2):
                v = one[link] if side == 0 else two[link]
                while root[v] != v:
                    root[v] = root[root[v]]
                    v = root[v]
                joined[side] = v
            a, b = joined[0], joined[1]
            if b == size:
                kept = -1 if meets_ground[a] else a
            elif a != b:
                kept, into = (a, b) if count[a] < count[b] else (b, a)
                factor = gain[link] * ratio[one[link]] / ratio[two[link]]
                v = kept
                while True:
                    ratio[v] *= factor if kept == b else 1.0 / factor
                    if not 1.0 / _LARGEST_RATIO < abs(ratio[v]) < _LARGEST_RATIO:
                        return Sets(start[:1], member[:0], share[:0], is_column[:0], of_set[:0], next_set[:0])
                    v = following[v]
                    if v == kept:
                        break
                if meets_ground[a] and meets_ground[b]:
                    is_basic = False
                elif meets_ground[kept]:
                    kept, into = into, kept
        elif root[step - order.size] == step - order.size:  # what no stronger link has joined, as a whole
            kept = step - order.size
            is_basic = not meets_ground[kept]
        if kept < 0:
            continue
        v = kept
        while True:
            member[n_members], share[n_members] = v, ratio[v]
            n_members += 1
            v = following[v]
            if v == kept:
                break
        is_column[n_sets], of_set[n_sets], next_set[n_sets] = is_basic, kept, into
        n_sets += 1
        start[n_sets] = n_members
        if into < 0:
            meets_ground[kept] = True
            continue
        meets_ground[kept] = meets_ground[into] = meets_ground[kept] or meets_ground[into]
        root[kept] = into
        count[into] += count[kept]
        following[kept], following[into] = following[into], following[kept]
    of_set, next_set = of_set[:n_sets], next_set[:n_sets]
    return Sets(start[: n_sets + 1], member[:n_members], share[:n_members], is_column[:n_sets], of_set, next_set)


def balance_sets(sets: Sets, at: Incidence, log_flow: Array, displacement: Array) -> float:
    """Balance every unknown alone, then every set as one, in place; the largest ``|log in - log out|`` that was met.

    A set moves by the imbalance over the fastest changes of its in- and its out-flow: all the way where all flows
    change alike, and never too far, so each move lowers the cost. What crosses the border of a set is kept in a list,
    to which the list of a set that joins it is added; links inside leave it once and for all, when they are next met.
    """
    size = displacement.size
    number, share = np.full(size + 1, -size - 1, np.int64), np.ones(size + 1)
    head, tail, following = at.start[:-1].copy(), at.start[1:] - 1, np.arange(1, at.at.size + 1)
    following[tail] = -1
    crossing, value, flow = np.empty(at.at.size, np.int64), np.empty(at.at.size), np.empty(at.at.size)
    log_largest, total, fastest = np.empty(2), np.empty(2), np.empty(2)  # of what flows in, and of what flows out
    largest = 0.0
    for which in range(-size, sets.start.size - 1):
        root, into, begin, end = which + size, -1, 0, 0
        if which >= 0:
            root, into, begin, end = sets.root[which], sets.into[which], sets.start[which], sets.start[which + 1]
        n_crossing, before = 0, -1
        if end - begin != 1:
            for k in range(begin, end):
                number[sets.member[k]], share[sets.member[k]] = which, sets.ratio[k]
            log_largest[:], total[:], fastest[:] = -math.inf, 0.0, 0.0
            here = head[root]
            while here >= 0:
                after, change = following[here], at.entry[here] * share[at.at[here]]
                if number[at.other[here]] == which:
                    whole = abs(change)
                    change += at.back[here] * share[at.other[here]]
                    is_repeated = at.at[here] > at.other[here]  # a link inside that changes all the same is met twice
                    if abs(change) <= _ZERO * whole or is_repeated:
                        if before < 0:
                            head[root] = after
                        else:
                            following[before] = after
                        here = after
                        continue
                side = 0 if change > 0.0 else 1
                fastest[side] = max(fastest[side], at.rate[here] * abs(change))
                log_size = log_flow[at.link[here]]
                if abs(change) != 1.0:
                    log_size += math.log(abs(change))
                log_largest[side] = max(log_largest[side], log_size)
                crossing[n_crossing], value[n_crossing], flow[n_crossing] = here, change, log_size
                n_crossing += 1
                before, here = here, after
            tail[root] = before
        if into >= 0 and head[root] >= 0:
            if head[into] < 0:
                head[into] = head[root]
            else:
                following[tail[into]] = head[root]
            tail[into] = tail[root]
        for k in range(n_crossing):
            side = 0 if value[k] > 0.0 else 1
            if flow[k] - log_largest[side] > _NOTHING:
                total[side] += math.exp(flow[k] - log_largest[side])
        if n_crossing == 0 or total[0] == 0.0 or total[1] == 0.0:
            continue
        imbalance = log_largest[0] - log_largest[1] + math.log(total[0] / total[1])
        largest = max(largest, abs(imbalance))
        move = -imbalance / (fastest[0] + fastest[1])
        if which < 0:
            displacement[root] += move
        for k in range(begin, end):
            displacement[sets.member[k]] += move * sets.ratio[k]
        for k in range(n_crossing):
            log_flow[at.link[crossing[k]]] += at.rate[crossing[k]] * value[k] * move
    return largest
