"""Each rule of the engine for large networks pays: without it, a case takes more steps, or is not solved.

Steps are those of conjugate gradients and of Newton's method together; they are counted, not timed.

Room: points.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from unittest import mock

import numpy as np
import pytest
from scipy import sparse

import balance_graph as bg
from balance_graph.linear.band import Band
from balance_graph.points import flows, preconditioner
from balance_graph.points.flows import FlowsPoint

EDGES = bg.NewtonSolver(tol=1e-10, engine="edges")
SETS = "Newton made no headway; balancing of nested sets took over"
Network = tuple[sparse.csr_array, np.ndarray]


def two_way(pairs, spread, size, pinned, seed=0) -> Network:
    """Edges both ways between pairs of nodes, with log-normal weights, and some nodes pinned."""
    one, other = pairs
    tail, head = np.concatenate([one, other]), np.concatenate([other, one])
    weight = np.exp(spread * np.random.default_rng(seed).normal(size=tail.size))
    return sparse.csr_array((weight, (tail, head)), shape=(size, size)), np.isin(np.arange(size), pinned)


def grid(spread, side=70) -> Network:
    node = np.arange(side * side).reshape(side, side)
    across, down = (node[:, :-1], node[:, 1:]), (node[:-1], node[1:])
    pairs = [np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(across, down, strict=True)]
    return two_way(pairs, spread, side * side, [0, side * side - 1])


def chain_in_disorder(length=5000) -> Network:
    order = np.random.default_rng(1).permutation(length)
    return two_way((order[:-1], order[1:]), 1.0, length, order[[0, -1]])


def around_a_weak_hub(n=3000) -> Network:
    """No node is pinned; the busiest one, which is held, has flows far below all others."""
    rng = np.random.default_rng(0)
    tail, head = rng.integers(1, n, (2, 4 * n))
    tail, head = tail[tail != head], head[tail != head]
    ring, hub = np.arange(1, n), np.zeros(n - 1, dtype=int)
    weights = np.exp(rng.normal(size=tail.size)), np.ones(n - 1), 1e-3 * np.exp(rng.normal(size=2 * (n - 1)))
    ends = np.concatenate([tail, ring, hub, ring]), np.concatenate([head, np.roll(ring, 1), ring, hub])
    return sparse.csr_array((np.concatenate(weights), ends), shape=(n, n)), np.zeros(n, dtype=bool)


def solved(network: Network) -> bg.Solution:
    W, pinned = network
    return bg.solve(bg.BalanceProblem.from_sparse(W, pinned=pinned), EDGES)


def steps(network: Network) -> int:
    solution = solved(network)
    assert solution.converged
    (krylov,) = re.findall(r"(\d+) Krylov steps", solution.notes[0])
    return solution.iterations + int(krylov)


RULES = MappingProxyType(
    {
        "aggregates are balanced before multigrid": (lambda: grid(3.0), preconditioner, "_UNBALANCED", np.inf),
        "a stale preconditioner is renewed": (lambda: grid(3.0), preconditioner, "_STALE", np.inf),
        "far from balance, a lower cost is progress": (lambda: grid(2.0), flows, "_FLAT", np.inf),
        "a rough start is swept": (lambda: grid(2.0), FlowsPoint, "prepare", lambda _: None),
        "a narrow network is reordered": (chain_in_disorder, Band, "reordered", classmethod(lambda *_: None)),
    }
)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_saves_a_tenth_of_the_steps_or_more(rule):
    network, owner, name, without = RULES[rule]
    with mock.patch.object(owner, name, without):
        others = steps(network())
    assert steps(network()) < 0.9 * others


def test_what_is_held_is_balanced_because_all_others_are_better_than_asked():
    """Their errors add up at a node with small flows of its own: without the rule the passes stall."""
    with mock.patch.object(FlowsPoint, "goal", lambda _, tol: tol):
        assert SETS in solved(around_a_weak_hub()).notes
    solution = solved(around_a_weak_hub())
    assert solution.converged
    assert SETS not in solution.notes
    assert solution.relative_imbalance <= EDGES.tol
