"""Networks whose balanced state is known exactly, at any size, depth and exponent: flows and scales are planted.

Flows run along paths between pinned nodes and around cycles, each of which has edges of its own. So what enters a node
is exactly its degree times what leaves it, edge by edge, whatever the sizes of the flows: they are the coefficients.
Weights are powers of two that hide log-scales which are multiples of log 2. The least cost is the sum of the flows.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf
from scipy import sparse

import balance_graph as bg


class Planted(NamedTuple):
    """A problem, its optimum, and the exponents of two that its log-scales are."""

    problem: bg.BalanceProblem
    cost: Fraction
    twos: np.ndarray

    @property
    def log_scales(self) -> np.ndarray:
        """The balanced log-scales, rounded."""
        return self.twos * np.log(2.0)

    @property
    def log_cost(self) -> mpf:
        """Logarithm of the least cost, in the precision at work."""
        return mp.log(mpf(self.cost.numerator) / self.cost.denominator)


class _Routes:
    """Edge-disjoint routes through nodes of given degrees, and the flows along them."""

    def __init__(self, degree: np.ndarray) -> None:
        self.degree, self.flows = degree, dict[tuple[int, int], float]()

    def add(self, nodes: list[int], flow: float) -> None:
        """A path or, with the first node again at the end, a cycle; the first edge carries the flow, if all are new."""
        edges, flows = list(pairwise(nodes)), [flow]
        for node in nodes[1:-1]:
            flows.append(flows[-1] / self.degree[node])
        closes = nodes[0] != nodes[-1] or flows[-1] == self.degree[nodes[0]] * flow
        if closes and len(set(edges)) == len(edges) and not self.flows.keys() & set(edges):
            self.flows.update(zip(edges, flows, strict=True))


def planted(
    rng: np.random.Generator,
    n: int,
    *,
    p: float = 2.0,
    spread: float = 30.0,
    scale: float = 30.0,
    has_degrees: bool = False,
    has_ties: bool = False,
    n_pinned: int = 2,
) -> Planted:
    """A random network of n nodes: flows from 2**-spread to 2**spread, scales from 2**-scale to 2**scale."""
    pinned = np.arange(n) < n_pinned
    degree = np.where(pinned, 1.0, rng.choice([0.5, 1.0, 2.0], n)) if has_degrees else np.ones(n)
    routes, free = _Routes(degree), np.arange(n_pinned, n)
    for _ in range(2 * n):
        inner = rng.choice(free, int(rng.integers(1, min(free.size, 6) + 1)), replace=False).tolist()
        start, end = rng.integers(0, n_pinned, 2).tolist() if n_pinned else (0, 0)
        is_cycle = n_pinned == 0 or rng.random() < 0.5
        flow = float(rng.integers(1, 100) * 2.0 ** int(rng.integers(-spread, spread + 1)))
        routes.add([*inner, inner[0]] if is_cycle else [start, *inner, end], flow)
    twos = np.where(pinned, 0, 2 * rng.integers(-scale / 2, scale / 2 + 1, n)).astype(float)
    groups = None
    if has_ties:
        groups = np.where(pinned | (rng.random(n) < 0.7), -1, rng.integers(0, max(n // 4, 1), n))
        groups = np.where(degree == 1.0, groups, -1)
        shared = np.append(rng.permutation(twos), 0.0)[:n]
        twos = np.where(groups >= 0, shared[groups], twos)
        twos[pinned] = 0.0
    return planted_problem(routes.flows, twos, degree, pinned, p, groups)


def planted_problem(
    flows: dict[tuple[int, int], float],
    twos: np.ndarray,
    degree: np.ndarray,
    pinned: np.ndarray,
    p: float,
    groups: np.ndarray | None = None,
) -> Planted:
    """The problem whose balanced state has the flows, at log-scales of so many times log 2."""
    tail, head = np.array(list(flows)).T
    flow, n = np.array(list(flows.values())), twos.size
    weight_twos = degree[tail] * twos[tail] - twos[head]
    if np.abs(weight_twos).max() > 1000:
        raise ValueError("the weights are beyond the range of floats")
    matrix = sparse.csr_array((2.0**weight_twos, (tail, head)), shape=(n, n))
    coefficient = sparse.csr_array((flow, (tail, head)), shape=(n, n))
    problem = bg.BalanceProblem.from_sparse(
        matrix, pinned=pinned, degree=degree, regularizer=p, groups=groups, coefficient=coefficient
    )
    return Planted(problem, sum(map(Fraction, flow.tolist())), twos)


def chain_of_clusters(rng: np.random.Generator, count: int, twos: tuple[int, int]) -> Planted:
    """Two-way cycles of five, each joined to the last one, the first to a pinned node, by flows of ``2**-k``."""
    flows: dict[tuple[int, int], float] = {}
    for first in range(1, 5 * count, 5):
        for k in range(5):
            _join(flows, rng, first + k, first + (k + 1) % 5, 0)
        before = 0 if first == 1 else first - 5 + int(rng.integers(5))
        _join(flows, rng, before, first + int(rng.integers(5)), -int(rng.integers(twos[0], twos[1] + 1)))
    return _of_clusters(rng, flows, 5 * count + 1)


def nested_rings(rng: np.random.Generator, depth: int, step: int) -> Planted:
    """Rings of three rings of three, and so on; flows of each level are ``2**-step`` times those inside."""
    flows: dict[tuple[int, int], float] = {}
    size, n = 1, 3**depth + 1
    for level in range(depth):
        for first in range(1, n, 3 * size):
            one, two, three = (first + k * size + int(rng.integers(size)) for k in range(3))
            for ends in ((one, two), (two, three), (three, one)):
                _join(flows, rng, *ends, -step * level)
        size *= 3
    _join(flows, rng, 0, 1, -step * depth)
    return _of_clusters(rng, flows, n)


def _join(flows: dict[tuple[int, int], float], rng: np.random.Generator, one: int, two: int, twos: int) -> None:
    """An edge each way, with one flow."""
    flows[one, two] = flows[two, one] = float(rng.integers(1, 100)) * 2.0**twos


def _of_clusters(rng: np.random.Generator, flows: dict[tuple[int, int], float], n: int) -> Planted:
    pinned = np.arange(n) == 0
    return planted_problem(
        flows, np.where(pinned, 0, rng.integers(-100, 101, n)).astype(float), np.ones(n), pinned, 2.0
    )


def planted_blocks(
    rng: np.random.Generator, widths: list[int], dtype: str, scale: int
) -> tuple[bg.BlockProblem, Fraction, np.ndarray]:
    """Dense layers for p = 1 with planted log-scales: the problem, its optimum and they.

    Flows are products of two vectors, all of one sum, so that what enters each unit is what leaves it; they have no
    more digits than the type holds.
    """
    total = 2.0**12 if dtype == "float64" else 2.0**11
    vectors, twos, units, first = [], [], [], 0
    for layer, width in enumerate(widths):
        vector = rng.integers(1, 40, width).astype(float)
        vector[0] += total - vector.sum()
        is_inner = 0 < layer < len(widths) - 1
        vectors.append(vector)
        twos.append(rng.integers(-scale, scale + 1, width).astype(float) * is_inner)
        units.append(np.arange(first, first + width) if is_inner else -1)
        first += width * is_inner
    blocks, cost = [], Fraction()
    for k in range(len(widths) - 1):
        flow = np.outer(vectors[k], vectors[k + 1])
        cost += Fraction(total) ** 2
        weights = (flow * 2.0 ** (twos[k][:, None] - twos[k + 1])).astype(dtype)
        blocks.append(bg.DenseBlock(units[k], units[k + 1], weights))
    return bg.BlockProblem(blocks, first, regularizer=1.0), cost, np.concatenate(twos[1:-1]) * np.log(2.0)
