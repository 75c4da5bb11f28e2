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
    """

    start: Index
    member: Index
    ratio: Array
    is_column: Mask


class Incidence(NamedTuple):
    """The links at each unknown, with both of their ends.

    Attributes
    ----------
    start : (size + 1,) integer array
        Where the links of each unknown start in `link`.
    link : (n_ends,) integer array
    one, two : (n_links,) integer arrays
        Ends of each link; the number of unknowns stands for the ground.
    first, second : (n_links,) arrays
        Entries of the matrix A there.
    rate : (n_links,) array
        Change of the logarithm of the flow for a change of ``A u``.
    """

    start: Index
    link: Index
    one: Index
    two: Index
    first: Array
    second: Array
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
                        return Sets(start[:1], member[:0], share[:0], is_column[:0])
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
        is_column[n_sets] = is_basic
        n_sets += 1
        start[n_sets] = n_members
        if into < 0:
            meets_ground[kept] = True
            continue
        meets_ground[kept] = meets_ground[into] = meets_ground[kept] or meets_ground[into]
        small, large = (kept, into) if count[kept] <= count[into] else (into, kept)
        root[small] = large
        count[large] += count[small]
        following[small], following[large] = following[large], following[small]
    return Sets(start[: n_sets + 1], member[:n_members], share[:n_members], is_column[:n_sets])


def balance_sets(sets: Sets, at: Incidence, log_flow: Array, displacement: Array) -> float:
    """Balance every unknown alone, then every set as one, in place; the largest ``|log in - log out|`` that was met.

    A set moves by the imbalance over the fastest changes of its in- and its out-flow: all the way where all flows
    change alike, and never too far, so each move lowers the cost.
    """
    size = displacement.size
    number, share = np.full(size + 1, -size - 1, np.int64), np.zeros(size + 1)
    member: Index
    alone, one_share = np.zeros(1, np.int64), np.ones(1)
    log_largest, total, fastest = np.empty(2), np.empty(2), np.empty(2)  # of what flows in, and of what flows out
    largest = 0.0
    for which in range(-size, sets.start.size - 1):
        if which < 0:
            alone[0] = which + size
            member, ratio = alone, one_share
        else:
            begin, end = sets.start[which], sets.start[which + 1]
            if end - begin == 1:
                continue
            member, ratio = sets.member[begin:end], sets.ratio[begin:end]
        for k in range(member.size):
            number[member[k]], share[member[k]] = which, ratio[k]
        log_largest[:], total[:], fastest[:] = -math.inf, 0.0, 0.0
        for k in range(member.size):
            v = member[k]
            for place in range(at.start[v], at.start[v + 1]):
                link = at.link[place]
                one, two = at.one[link], at.two[link]
                has_both = number[one] == which and number[two] == which
                if has_both and v == two:
                    continue
                value = at.first[link] * ratio[k] if v == one else at.second[link] * ratio[k]
                if has_both:
                    whole = abs(value)
                    value += at.second[link] * share[two]
                    if abs(value) <= _ZERO * whole:
                        continue
                side = 0 if value > 0.0 else 1
                fastest[side] = max(fastest[side], at.rate[link] * abs(value))
                flow = log_flow[link]
                if abs(value) != 1.0:
                    flow += math.log(abs(value))
                if flow > log_largest[side]:
                    total[side] = total[side] * math.exp(log_largest[side] - flow) + 1.0
                    log_largest[side] = flow
                else:
                    total[side] += math.exp(flow - log_largest[side])
        if total[0] == 0.0 or total[1] == 0.0:
            continue
        imbalance = log_largest[0] - log_largest[1] + math.log(total[0] / total[1])
        largest = max(largest, abs(imbalance))
        move = -imbalance / (fastest[0] + fastest[1])
        for k in range(member.size):
            v = member[k]
            displacement[v] += move * ratio[k]
            for place in range(at.start[v], at.start[v + 1]):
                link = at.link[place]
                if v == at.one[link]:
                    log_flow[link] += at.rate[link] * at.first[link] * ratio[k] * move
                else:
                    log_flow[link] += at.rate[link] * at.second[link] * ratio[k] * move
    return largest
