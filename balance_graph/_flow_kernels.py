"""Compiled passes over the flows of a network, each touching every edge once.

Unknowns are 0 .. n-1 and n is the ground. ``out_start, out_head`` list the edges by tail (the ground last),
``in_start, in_tail`` the same edges by head.
"""

from __future__ import annotations

import math

import numpy as np

from balance_graph._compiled import compiled


@compiled
def group_by(label, count):  # type: ignore[no-untyped-def]
    """Start of each label's positions, and all positions in the order of their labels (a stable counting sort)."""
    start = np.zeros(count + 1, np.int64)
    for k in range(label.size):
        start[label[k] + 1] += 1
    for c in range(count):
        start[c + 1] += start[c]
    place = start[:-1].copy()
    order = np.empty(label.size, np.int64)
    for k in range(label.size):
        order[place[label[k]]] = k
        place[label[k]] += 1
    return start, order


@compiled
def gather(start, neighbor, value, x, result):  # type: ignore[no-untyped-def]
    """``result[i] = sum of value * x[neighbor]`` over the edges of i."""
    for i in range(start.size - 1):
        total = 0.0
        for e in range(start[i], start[i + 1]):
            total += value[e] * x[neighbor[e]]
        result[i] = total


@compiled
def one_sided_log_scales(  # type: ignore[no-untyped-def]
    start, following, back_start, preceding, log_value, gain, answer
):
    """Log-scales that bring each unknown's cost on one side, towards the ground, to 1; and the distance to the ground.

    ``l_i = answer_i * log of the sum of exp(log_value + gain_t l_t)`` over the nodes t before i that were visited
    before it. Unknowns are visited once all before them have been, as far as cycles allow, else in the order they are
    reached; the ground comes first. `log_value` is in the order of `preceding`.
    """
    n = gain.size - 1
    log_scale = np.zeros(n + 1)
    distance = np.full(n + 1, -1, np.int64)
    waiting = np.zeros(n + 1, np.int64)
    for i in range(n):
        waiting[i] = back_start[i + 1] - back_start[i]
    visited = np.zeros(n + 1, np.bool_)
    reached = np.empty(n + 1, np.int64)
    ready = np.empty(n + 1, np.int64)
    n_ready = next_reached = next_ready = 0
    reached[0] = n
    n_reached = 1
    distance[n] = 0
    while True:
        if next_ready < n_ready:
            i = ready[next_ready]
            next_ready += 1
        else:
            while next_reached < n_reached and visited[reached[next_reached]]:
                next_reached += 1
            if next_reached == n_reached:
                break
            i = reached[next_reached]
        if visited[i]:
            continue
        if i < n:
            log_scale[i] = answer[i] * log_before(i, back_start, preceding, log_value, gain, log_scale, visited)
        visited[i] = True
        for e in range(start[i], start[i + 1]):
            h = following[e]
            waiting[h] -= 1
            if distance[h] < 0:
                distance[h] = distance[i] + 1
                reached[n_reached] = h
                n_reached += 1
            if waiting[h] == 0 and not visited[h]:
                ready[n_ready] = h
                n_ready += 1
    return log_scale, distance


@compiled
def log_before(i, back_start, preceding, log_value, gain, log_scale, visited):  # type: ignore[no-untyped-def]
    """Logarithm of the cost between i, at scale 1, and the visited nodes before it."""
    largest = -math.inf
    for e in range(back_start[i], back_start[i + 1]):
        t = preceding[e]
        if visited[t]:
            largest = max(largest, log_value[e] + gain[t] * log_scale[t])
    total = 0.0
    for e in range(back_start[i], back_start[i + 1]):
        t = preceding[e]
        if visited[t]:
            total += math.exp(log_value[e] + gain[t] * log_scale[t] - largest)
    return largest + math.log(total)


@compiled
def local_sweep(out_start, out_head, out_value, in_start, in_tail, in_value, degree, up, down):  # type: ignore[no-untyped-def]
    """Balance every unknown once, in order: ``up = exp(p l)``, ``down = exp(-p c l)``, in place."""
    for i in range(degree.size - 1):
        into = out_of = 0.0
        for e in range(in_start[i], in_start[i + 1]):
            into += in_value[e] * down[in_tail[e]]
        for e in range(out_start[i], out_start[i + 1]):
            out_of += out_value[e] * up[out_head[e]]
        c = degree[i]
        if c == 1.0:
            up[i] = math.sqrt(out_of / into)
            down[i] = 1.0 / up[i]
        else:
            up[i] = (c * out_of / into) ** (1.0 / (1.0 + c))
            down[i] = up[i] ** -c
