"""The certificate in passes over edge lists: a bound as well, and as tight as the generic one.

Room: certificate.
"""

from __future__ import annotations

import importlib
from fractions import Fraction

import numpy as np
import pytest
from cases import CASES, case_optimum
from helpers import network, regularizer_of
from mpmath import mp, mpf
from scipy import sparse

import balance_graph as bg
from balance_graph.certificate import _kernels as kernels
from balance_graph.certificate import bound as certificate_module
from balance_graph.certificate.large import log_costs_of_large

# The cases that passes over edge lists take on: one exponent, single edges, weights in the range of floats.
NAMES = [
    name
    for name, case in CASES.items()
    if log_costs_of_large(
        problem := bg.compile_graph(case.make(), regularizer_of(name)), bg.solve(problem, "newton").log_scales
    )
]


@pytest.fixture
def large(monkeypatch):
    """Have small networks certified as large ones are, and only so."""
    monkeypatch.setattr(certificate_module, "_LARGE", 0)


def problem_of(tail, head, weight, pinned, **settings):
    n = len(pinned)
    return bg.BalanceProblem.from_sparse(
        sparse.csr_array((weight, (tail, head)), shape=(n, n)), pinned=pinned, **settings
    )


def dense_layers(depth, width, rng, **settings):
    n = depth * width
    tail = np.repeat(np.arange(n - width), width)
    head = (tail // width + 1) * width + np.tile(np.arange(width), n - width)
    layer = np.arange(n) // width
    return problem_of(tail, head, rng.normal(size=tail.size), (layer == 0) | (layer == depth - 1), **settings)


def random_digraph(n, m, rng, spread, **settings):
    """A ring besides random edges, so that all is live; a tenth pinned."""
    tail = np.concatenate([rng.integers(0, n, m), np.arange(n)])
    head = np.concatenate([(tail[:m] + rng.integers(1, n, m)) % n, np.roll(np.arange(n), 1)])
    return problem_of(tail, head, np.exp(spread * rng.normal(size=tail.size)), np.arange(n) < n // 10, **settings)


FAMILIES = {
    "wide": lambda rng: dense_layers(5, 30, rng),
    "deep": lambda rng: dense_layers(300, 3, rng),
    "another exponent": lambda rng: dense_layers(20, 6, rng, regularizer=0.5),
    "degree 2": lambda rng: dense_layers(5, 8, rng, degree=2.0),
    "random": lambda rng: random_digraph(500, 4000, rng, 1.0),
    "heavy tails": lambda rng: random_digraph(500, 3000, rng, 3.0),
}


def test_many_cases_are_taken_on():
    assert len(NAMES) >= 10


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", NAMES)
def test_the_bound_holds_against_50_digits_at_any_distance_from_balance(name, size):
    optimum = case_optimum(name)
    problem = bg.compile_graph(CASES[name].make(), regularizer_of(name))
    basis = problem.manifold.basis
    shift = np.random.default_rng(0).standard_normal(basis.shape[1])
    found = log_costs_of_large(problem, bg.solve(problem, "newton").log_scales + size * (basis @ shift))
    if found is None:
        assert size > 0.1
        return
    log_cost, log_bound = found
    with mp.workdps(60):
        assert mpf(log_bound) <= optimum.log_cost
        assert mpf(log_cost) >= optimum.log_cost - mpf(10) ** -12
        assert mpf(log_bound) >= optimum.log_cost - (mpf(10) ** -11 if size < 1e-7 else mp.log(2))


@pytest.mark.parametrize("name", FAMILIES)
def test_it_agrees_with_the_generic_certificate(name, monkeypatch):
    problem = FAMILIES[name](np.random.default_rng(0))
    center = bg.solve(problem, "newton").log_scales
    shift = problem.manifold.basis @ np.random.default_rng(1).standard_normal(problem.manifold.basis.shape[1])
    for size, tight in ((0.0, 1e-11), (1e-5, 1e-6), (1e-3, 1e-2)):
        log_scales = center + size * shift
        exact = bg.certify(problem, log_scales)
        monkeypatch.setattr(certificate_module, "_LARGE", 1)
        large = bg.certify(problem, log_scales)
        monkeypatch.undo()
        assert large.cost == pytest.approx(exact.cost, rel=1e-12)
        assert large.relative_gap <= tight
        assert large.relative_gap == pytest.approx(exact.relative_gap, rel=0.1, abs=1e-11)


def test_a_network_far_from_balance_is_certified_through_newton_steps(large):
    problem = dense_layers(10, 12, np.random.default_rng(0))
    optimum = bg.solve(problem, "newton").cost
    far = np.where(problem.manifold.pinned, 0.0, 3.0 * np.random.default_rng(1).normal(size=problem.n_nodes))
    certificate = bg.certify(problem, far)
    assert certificate.cost > 100 * optimum
    assert 0.5 * optimum < certificate.lower_bound <= optimum


def test_dead_weights_count_in_the_cost_and_not_in_the_bound(large):
    """x -> h -> y is live and costs 12 at best; h -> d is dead, and its weight can shrink for ever."""
    problem = problem_of([0, 1, 1], [1, 2, 3], [3.0, 2.0, 100.0], np.array([True, False, True, False]))
    certificate = bg.certify(problem, problem.unscaled)
    assert certificate.cost == pytest.approx(10013)
    assert 11.9 < certificate.lower_bound <= 12


@pytest.mark.parametrize("degree", [1.0, 2.0])
def test_parts_without_a_pinned_node(large, degree):
    """A cycle of its own: its common scale does not matter with degree 1; with degree 2 it dies altogether."""
    tail, head, weight = [0, 1, 3, 4, 5], [1, 2, 4, 5, 3], [3.0, 2.0, 2.0, 7.0, 0.5]
    problem = problem_of(tail, head, weight, np.isin(np.arange(6), [0, 2]), degree=degree)
    optimum = bg.solve(problem, "newton", on_unattained="prune")
    assert bool(optimum.pruned_edges) == (degree == 2.0)
    certificate = bg.certify(problem, optimum.log_scales + 2.5 * (np.arange(6) >= 3))
    assert certificate.lower_bound == pytest.approx(optimum.cost, rel=1e-12)
    assert certificate.lower_bound <= optimum.cost
    if degree == 1.0:
        assert certificate.cost == pytest.approx(optimum.cost, rel=1e-13)


def test_constant_edges_count_in_the_bound(large):
    problem = problem_of([0, 1, 0], [1, 2, 2], [3.0, 2.0, 5.0], np.array([True, False, True]))
    certificate = bg.certify(problem, bg.solve(problem).log_scales)
    assert certificate.lower_bound <= 37
    assert certificate.lower_bound == pytest.approx(37, rel=1e-13)


def test_shared_weights_that_ties_imply_count_once(large, monkeypatch):
    """They leave the manifold as it is, but the cost counts them once: passes over single edges would not."""
    nodes = {f"h{k}": {"group": 0} for k in range(3)}
    edges = [(("x", f"h{k}", 2.0), (f"h{k}", "y", 1.0 + k)) for k in range(3)]
    G = network(*(edge for pair in edges for edge in pair), **nodes)
    for k in range(3):
        G.edges["x", f"h{k}"]["shared"] = "kernel"
    problem = bg.compile_graph(G)
    monkeypatch.setattr(importlib.import_module("balance_graph.solvers.newton"), "_LARGE", 0)
    solution = bg.solve(problem)
    assert solution.cost == pytest.approx(2 * 2 * 14**0.5)
    certificate = bg.certify(problem, solution.log_scales)
    assert certificate.lower_bound == pytest.approx(solution.cost, rel=1e-12)


def test_no_bound_is_made_from_an_invalid_reach(monkeypatch):
    """What the solver proposes is checked: without an answer there is no bound, and the generic path takes over."""
    from balance_graph.certificate import large as large_certificate

    problem = dense_layers(5, 8, np.random.default_rng(0))
    log_scales = bg.solve(problem, "newton").log_scales
    monkeypatch.setattr(large_certificate, "_solved", lambda _, right, goal: np.zeros_like(right))
    monkeypatch.setattr(large_certificate, "_gap_along_tree", lambda *_: np.inf)
    log_cost, log_bound = log_costs_of_large(problem, log_scales)  # a tree of strong edges needs no solution
    assert 0.0 <= log_cost - log_bound < 1e-12
    monkeypatch.setattr(large_certificate, "circulation_near", lambda *_: None)
    assert log_costs_of_large(problem, log_scales) is None
    monkeypatch.setattr(certificate_module, "_LARGE", 1)
    assert bg.certify(problem, log_scales).relative_gap <= 1e-12


@pytest.mark.parametrize("least", [-20, 0])
@pytest.mark.parametrize("degree", [1.0, 2.0])
def test_what_is_sent_along_the_tree_makes_a_circulation(degree, least):
    """Exactly, in fractions: with the flows that the tree carries, all is balanced, at the gap that is claimed.

    Where all lack the same sign, nothing that is sent cancels, and the claim is sharp.
    """
    rng = np.random.default_rng(3)
    n = 8  # the last is the ground
    costs = {(t, h): int(rng.integers(1000, 1100)) for t in range(n) for h in range(n) if t != h}
    edges = np.array(list(costs))
    log_weight = np.log(np.array(list(costs.values()), dtype=float))
    degrees = np.append(np.full(n - 1, degree), 1.0)
    order = np.array([n - 1, *rng.permutation(n - 1)])
    position = np.argsort(order)
    none, zeros = np.zeros(1, dtype=np.int32), np.zeros(n)
    scaled = kernels.ScaledEdges(
        edges[:, 0], edges[:, 1], np.arange(n), degrees, none, log_weight, np.empty(0), 1.0, zeros, zeros, 0.0
    )
    strongest, source = kernels.strongest_ways(scaled, position, 0, len(edges))
    lacking = [Fraction(int(k), 64) for k in rng.integers(least, 20, n - 1)] + [Fraction(0)]
    off = np.array([abs(float(r)) for r in lacking])
    claimed, widest = kernels.gap_along_ways(kernels.Ways(order, strongest, source, degrees), off, zeros)
    sent = {}
    for i in order[:0:-1].tolist():
        j = int(source[i])
        assert position[j] < position[i]
        assert strongest[i] == pytest.approx(max(costs[k, i] for k in range(n) if position[k] < position[i]))
        sent[j, i] = -lacking[i]
        lacking[j] -= Fraction(degrees[j]) * sent[j, i]
        lacking[i] = Fraction(0)
    assert not any(lacking[:-1])
    with mp.workdps(40):
        shares = {edge: mpf(flow.numerator) / flow.denominator / costs[edge] for edge, flow in sent.items()}
        gap = sum(costs[edge] * ((1 + u) * mp.log(1 + u) - u) for edge, u in shares.items())
        assert gap <= claimed
        assert least < 0 or gap > 0.999 * claimed
        assert max(-u for u in shares.values()) <= widest < 0.99


def test_a_tree_that_would_have_to_carry_too_much_proves_nothing():
    order, strongest, source = np.array([2, 0, 1]), np.array([1.0, 1.0, 0.0]), np.array([2, 0, 2])
    off, ones = np.array([0.3, 0.9, 0.0]), np.ones(3)
    ways = kernels.Ways(order, strongest, source, ones)
    gap, widest = kernels.gap_along_ways(ways, off, np.zeros(3))
    assert gap == np.inf
    assert widest > 0.99
    assert kernels.gap_along_ways(ways._replace(strongest=0.0 * strongest), off, np.zeros(3))[0] == np.inf


def test_deep_narrow_networks_are_certified_to_rounding(monkeypatch):
    """Changes of potentials would have to reach across all layers: their bound gives away much more."""
    from balance_graph.certificate import large as large_certificate

    problem = dense_layers(10_000, 3, np.random.default_rng(0))
    log_scales = bg.solve(problem, bg.NewtonSolver(tol=1e-10)).log_scales
    log_cost, log_bound = log_costs_of_large(problem, log_scales)
    assert 0.0 <= log_cost - log_bound < 1e-12
    monkeypatch.setattr(large_certificate, "_gap_along_tree", lambda *_: np.inf)
    monkeypatch.setattr(large_certificate, "circulation_near", lambda *_: None)
    without = log_costs_of_large(problem, log_scales)
    assert without is None or log_cost - without[1] > 1e-11


def test_what_rounding_may_hide_covers_what_it_does_hide():
    """The sums of the kernel against the same in 50 digits."""
    rng = np.random.default_rng(0)
    n, m = 6, 40
    tail, head = rng.integers(0, n, m), rng.integers(0, n, m)
    log_weight, log_scales = 20 * rng.normal(size=m), 20 * rng.normal(size=n)
    unknown, degree = np.arange(n, dtype=np.int32), np.append(np.full(n - 1, 2.0), 1.0)
    x, s = 0.1 * rng.normal(size=n), 0.1 * rng.random(n)
    up, down, p = 3.0 * log_scales, -degree * (3.0 * log_scales), 3.0
    part = np.zeros(1, dtype=np.int32)
    edges = kernels.ScaledEdges(tail, head, unknown, degree, part, log_weight, np.empty(0), p, up, down, 2.5)
    sums = kernels.flow_bounds(edges, kernels.Change(x, s), 0, m)
    with mp.workdps(50):
        net, margin, total = [mpf(0)] * n, [mpf(0)] * n, mpf(0)
        for e in range(m):
            i, j = int(head[e]), int(tail[e])
            if i == j:
                continue
            d = mpf(degree[j])
            cost = mp.exp(p * mpf(log_weight[e]) + p * (mpf(log_scales[i]) - d * mpf(log_scales[j])) - mpf(2.5))
            flow = cost * (1 + mpf(x[i]) - d * mpf(x[j]))
            reach = cost * (mpf(s[i]) - d * mpf(s[j]))
            total += cost
            for k, sign in ((i, 1), (j, -d)):
                net[k] += sign * flow
                margin[k] += sign * reach
        at, unsure = sums[0], sums[0][:, 2] + 100 * 2.2e-16 * sums[0][:, 3]
        for k in range(n):
            assert abs(mpf(at[k, 0]) - net[k]) + abs(mpf(at[k, 1]) - margin[k]) <= mpf(unsure[k])
        assert abs(mpf(sums[1]) - total) <= mpf(sums[3]) * (1 + mpf(10) ** -6)


@pytest.mark.parametrize("unit", [0.0, 600.0, -600.0])
def test_the_cost_of_all_edges_is_their_sum(unit, monkeypatch):
    """Some edges at a time, zero weights and a whole slice of them included."""
    monkeypatch.setattr("balance_graph.problem.network_kernels._SLICE", 7)
    rng = np.random.default_rng(0)
    tail, head = rng.integers(0, 5, (2, 40)).astype(np.uint32)
    log_weight, coefficient = rng.normal(size=40) * 20.0 + unit / 1.5, rng.normal(size=40)
    log_weight[14:22] = -np.inf
    up, down = rng.normal(size=(2, 5)) * 10.0
    for log_coefficient in (coefficient, np.empty(0)):
        added = log_coefficient if log_coefficient.size else 0.0
        terms = [mp.exp(mp.mpf(float(v))) for v in 1.5 * log_weight + up[head] + down[tail] + added]
        edges = kernels.ScaledEdges(
            tail, head, np.arange(5), np.ones(6), np.zeros(1, np.int32), log_weight, log_coefficient, 1.5, up, down, 0.0
        )
        found = kernels.log_cost_of_all(edges)
        assert found == pytest.approx(float(mp.log(mp.fsum(terms))), abs=1e-12 + 1e-15 * abs(unit))
