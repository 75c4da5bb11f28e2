"""Compiled passes over a large network as given: its edge lists, what is live, sums along all paths and at all ends.

Unknowns are 0 .. n-1 and n is the ground. An edge list is ``start, column, value``: the edges of row i are
``start[i] : start[i + 1]``. One list has the tails as rows and the heads as columns, the other the reverse. Indices are
unsigned: the compiler need not allow for negative ones, which halves the time of a pass.

Arrays are allocated outside of compiled loops: each kind of allocation within takes a tenth of a second to compile.
What numpy does as fast, once in a solve, is left to it, some edges at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from balance_graph._compiled import compiled
from balance_graph._types import Array, Index, Mask
from balance_graph.linear.edge_lists import EdgeList


class GivenEdges(NamedTuple):
    """The edges of a network in their own order, as compiled loops read them.

    Attributes
    ----------
    tail, head : (n_edges,) integer arrays
        Nodes.
    unknown : (n_nodes,) integer array
        Unknown of each node.
    part : (n_nodes,) integer array, or of size 1 where there is one part
        Part of each node: edges between parts are left out.
    weight : (n_edges,) array
        Zero weights are left out.
    log_coefficient : (n_edges,) array, or of size 0 where all coefficients are 1
    exponent : float
    """

    tail: Index
    head: Index
    unknown: Index
    part: Index
    weight: Array
    log_coefficient: Array
    exponent: float

    @property
    def backward(self) -> GivenEdges:
        """The same edges the other way round."""
        return self._replace(tail=self.head, head=self.tail)


class Costs(NamedTuple):
    """What the values of an edge list are: costs in units of ``exp(log_unit)``, or the logarithms of costs."""

    log_unit: float
    are_logarithms: bool


# Edges that numpy handles at a time: what it makes on the way fits in the cache, and its own calls do not show.
_SLICE = 2**16


def slices(size: int) -> Iterator[slice]:
    """All of so many edges, some at a time."""
    return (slice(first, min(first + _SLICE, size)) for first in range(0, size, _SLICE))


def range_of_sizes(values: Array) -> tuple[float, float, int]:
    """The least absolute value that is not zero, the largest, and how many are zero."""
    least, largest, n_zeros = math.inf, 0.0, 0
    for some in slices(values.size):
        sizes = np.abs(values[some])
        largest = max(largest, float(sizes.max()))
        smallest = float(sizes.min())
        if smallest == 0.0:
            n_zeros += sizes.size - int(np.count_nonzero(sizes))
        least = min(least, smallest or float(sizes[sizes > 0.0].min(initial=math.inf)))
    return least, largest, n_zeros


@compiled
def range_of_log_costs(edges):  # type: ignore[no-untyped-def]
    """The least and the largest logarithm of the cost of a nonzero weight."""
    _, _, _, _, weight, log_coefficient, exponent = edges
    least, largest = math.inf, -math.inf
    for e in range(weight.size):
        if weight[e] != 0.0:
            value = log_cost(weight[e], log_coefficient, exponent, e)
            least, largest = min(least, value), max(largest, value)
    return least, largest


@compiled
def log_cost(weight, log_coefficient, exponent, e):  # type: ignore[no-untyped-def]
    """Logarithm of the cost of edge e, of this weight."""
    value = exponent * math.log(abs(np.float64(weight)))
    return value + log_coefficient[e] if log_coefficient.size > 0 else value


@compiled
def cost(weight, log_coefficient, exponent, log_unit, e):  # type: ignore[no-untyped-def]
    """The cost of edge e in units of ``exp(log_unit)``, without logarithms where there is nothing but a power."""
    if log_coefficient.size > 0 or log_unit != 0.0:
        return math.exp(log_cost(weight, log_coefficient, exponent, e) - log_unit)
    size = abs(np.float64(weight))
    if exponent == 2.0:
        return size * size
    return size if exponent == 1.0 else size**exponent


def edge_list(edges: GivenEdges, costs: Costs, size: int) -> EdgeList:
    """The edges that scales move by tail, with their costs; those between `size` unknowns and the ground."""
    n_edges = edges.tail.size
    # A matrix has two entries for each edge: those must be counted as well.
    start: Index = np.zeros(size + 2, np.uint32 if n_edges < 2**31 else np.uint64)
    # Of what is left out, nothing is ever touched: it takes no memory.
    column, value = np.empty(n_edges, np.uint32), np.empty(n_edges)
    count_edges(edges, start)
    np.cumsum(start, out=start)
    enter_edges(edges, costs, start[:-1].copy(), column, value)
    end = int(start[-1])
    return EdgeList(start, column[:end], value[:end])


def edge_values(edges: GivenEdges, costs: Costs, start: Index) -> Array:
    """The values of `edge_list`, where the other arrays of the list are known."""
    value = np.empty(start[-1])
    enter_edges(edges, costs, start[:-1].copy(), np.empty(0, np.uint32), value)
    return value


@compiled
def count_edges(edges, start):  # type: ignore[no-untyped-def]
    """Count the edges from each unknown, one place further on."""
    tail, head, unknown, part, weight, _, _ = edges
    whole = part.size == 1
    for e in range(tail.size):
        t, h = tail[e], head[e]
        if unknown[t] != unknown[h] and (whole or part[t] == part[h]) and weight[e] != 0.0:
            start[unknown[t] + 1] += 1


@compiled
def enter_edges(edges, costs, place, column, value):  # type: ignore[no-untyped-def]
    """Enter the edges into a list by tail, each in the next place of its row; columns only where there is room."""
    tail, head, unknown, part, weight, log_coefficient, exponent = edges
    log_unit, are_logarithms = costs
    whole, are_known = part.size == 1, column.size == 0
    for e in range(tail.size):
        t, h = tail[e], head[e]
        if unknown[t] != unknown[h] and (whole or part[t] == part[h]) and weight[e] != 0.0:
            at = place[unknown[t]]
            place[unknown[t]] = at + 1
            if not are_known:
                column[at] = unknown[h]
            if are_logarithms:
                value[at] = log_cost(weight[e], log_coefficient, exponent, e)
            else:
                value[at] = cost(weight[e], log_coefficient, exponent, log_unit, e)


def edges_left_out(edges: GivenEdges) -> tuple[Index, Index, Mask]:
    """The live edges that no scale moves, the dead ones of nonzero weight, and whether each node has live edges."""
    tail, head, unknown, part, weight, _, _ = edges
    touched = np.zeros(unknown.size, dtype=bool)
    still, dead = [], []
    for some in slices(tail.size):
        t, h = tail[some], head[some]
        active = weight[some] != 0.0
        live = active if part.size == 1 else active & (part[t] == part[h])
        touched[t[live]] = touched[h[live]] = True
        still.append(np.flatnonzero(live & (unknown[t] == unknown[h])) + some.start)
        dead.append(np.flatnonzero(active & ~live) + some.start)
    return np.concatenate(still), np.concatenate(dead), touched


@compiled
def without(edges, number, size):  # type: ignore[no-untyped-def]
    """Drop the rows and columns of negative new number from a list, in place; the list shortened."""
    start, column, value = edges
    new_start = np.zeros(size + 2, start.dtype)
    end = 0
    for i in range(start.size - 1):
        if number[i] < 0:
            continue
        for e in range(start[i], start[i + 1]):
            if number[column[e]] >= 0:
                column[end] = number[column[e]]
                value[end] = value[e]
                end += 1
        new_start[number[i] + 1] = end
    return new_start, column[:end], value[:end]


def visits(along: EdgeList, against: EdgeList) -> tuple[Index, Index]:
    """Order of visits and distances from the ground along a list; -1 where it does not reach.

    A row is visited once all before it have been, as far as cycles allow, else in the order rows are reached.
    """
    n = along.start.size - 1
    order, reached, ready = (np.empty(n, np.int32) for _ in range(3))
    distance = np.full(n, -1, np.int32)
    waiting, visited = np.diff(against.start).astype(np.int32), np.zeros(n, np.bool_)
    count = visit(along, waiting, visited, reached, ready, order, distance)
    return order[:count], distance


@compiled
def visit(along, waiting, visited, reached, ready, order, distance):  # type: ignore[no-untyped-def]
    """What `visits` does: fill ``order`` and ``distance``, and return the number of visits."""
    start, column, _ = along
    n = start.size - 2
    n_visited = n_ready = next_reached = next_ready = 0
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
        visited[i] = True
        order[n_visited] = i
        n_visited += 1
        for e in range(start[i], start[i + 1]):
            j = column[e]
            waiting[j] -= 1
            if distance[j] < 0:
                distance[j] = distance[i] + 1
                reached[n_reached] = j
                n_reached += 1
            if waiting[j] == 0 and not visited[j]:
                ready[n_ready] = j
                n_ready += 1
    return n_visited


def accumulated_costs(order: Index, edges: EdgeList) -> Array:
    """Logarithm of ``x_i = sum of value * x_j`` over the columns j visited before i; 1 at the first, the ground.

    Values must lie between 1e-140 and 1e140.
    """
    n = edges.start.size - 1
    size, power, result = np.zeros(n), np.zeros(n, np.int64), np.zeros(n)
    accumulate(order, edges, size, power, result)
    return result


@compiled
def accumulate(order, edges, size, power, result):  # type: ignore[no-untyped-def]
    """What `accumulated_costs` does; ``size`` and ``power`` are zero at first.

    Such sums leave the range of floats along deep networks: each is a number of moderate size times a power of 2^512.
    """
    start, column, value = edges
    block = 2.0**512
    size[order[0]] = 1.0
    for k in range(1, order.size):
        i = order[k]
        total, most = 0.0, -(2**62)
        for e in range(start[i], start[i + 1]):
            j = column[e]
            term = value[e] * size[j]
            if power[j] == most:
                total += term
            elif term > 0.0 and power[j] > most:
                total = term if power[j] > most + 1 else total / block + term
                most = power[j]
            elif power[j] == most - 1:
                total += term / block
        if total >= 2.0**256:
            total, most = total / block, most + 1
        elif total < 2.0**-256:
            total, most = total * block, most - 1
        size[i], power[i] = total, most
    for k in range(order.size):
        i = order[k]
        result[i] = math.log(size[i]) + power[i] * math.log(block)


@compiled
def accumulated_log_costs(order, edges):  # type: ignore[no-untyped-def]
    """The same from the logarithms of the values, whatever their range."""
    start, column, log_value = edges
    result = np.full(start.size - 1, -math.inf)
    result[order[0]] = 0.0
    for k in range(1, order.size):
        i = order[k]
        largest = -math.inf
        for e in range(start[i], start[i + 1]):
            largest = max(largest, log_value[e] + result[column[e]])
        total = 0.0
        for e in range(start[i], start[i + 1]):
            below = log_value[e] + result[column[e]] - largest
            if below > -40.0:  # less is lost in the sum
                total += math.exp(below)
        result[i] = largest + math.log(total)
    return result


@compiled
def one_sided_log_scales(order, edges, gain, answer, offset, target):  # type: ignore[no-untyped-def]
    """``u_i = answer_i (log of the sum of exp(log_value + gain_j u_j) - target) + offset_i`` over columns before i.

    With any degrees. Also, for the ground, which comes first with u = 0 and last with what is left for it: the
    logarithm of that sum, and its derivative by the target.
    """
    start, column, log_value = edges
    u, slope = np.zeros(start.size - 1), np.zeros(start.size - 1)
    visited = np.zeros(start.size - 1, np.bool_)
    visited[order[0]] = True
    log_sum = log_slope = 0.0
    for k in range(1, order.size + 1):
        i = order[k % order.size]
        largest = -math.inf
        for e in range(start[i], start[i + 1]):
            j = column[e]
            if visited[j]:
                largest = max(largest, log_value[e] + gain[j] * u[j])
        total = moment = 0.0
        for e in range(start[i], start[i + 1]):
            j = column[e]
            if visited[j]:
                share = math.exp(log_value[e] + gain[j] * u[j] - largest)
                total += share
                moment += share * gain[j] * slope[j]
        log_sum, log_slope = largest + math.log(total), moment / total
        if k < order.size:
            u[i] = answer[i] * (log_sum - target) + offset[i]
            slope[i] = answer[i] * (log_slope - 1.0)
            visited[i] = True
    return u, log_sum, log_slope


class Ends(NamedTuple):
    """What multiplies the costs at the two ends of an edge, by node: ``exp(p l)`` and ``exp(-p c l)``.

    Or the logarithms of both, less a unit: costs and factors may then exceed the range of floats where their product
    does not.
    """

    up: Array
    down: Array
    log_unit: float
    are_logarithms: bool


def end_sums(edges: GivenEdges, ends: Ends, first: int, last: int, size: int) -> tuple[Array, Array]:
    """In- and out-cost of each unknown at given log-scales, from the weights as given, over the edges first .. last."""
    into, out_of = np.zeros(size + 1), np.zeros(size + 1)
    add_end_costs(edges, ends, first, last, into, out_of)
    return into, out_of


@compiled
def add_end_costs(edges, ends, first, last, into, out_of):  # type: ignore[no-untyped-def]
    """What `end_sums` does: add to ``into`` and ``out_of``."""
    tail, head, unknown, part, weight, log_coefficient, exponent = edges
    up, down, log_unit, are_logarithms = ends
    whole = part.size == 1
    for e in range(first, last):
        t, h = tail[e], head[e]
        i, j = unknown[h], unknown[t]
        if i != j and (whole or part[t] == part[h]) and weight[e] != 0.0:
            if are_logarithms:
                amount = math.exp(log_cost(weight[e], log_coefficient, exponent, e) + up[h] + down[t] - log_unit)
            else:
                amount = cost(weight[e], log_coefficient, exponent, 0.0, e) * up[h] * down[t]
            into[i] += amount
            out_of[j] += amount
