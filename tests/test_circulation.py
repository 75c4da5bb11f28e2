"""Bounds hold and are tight, on networks whose optimum is known exactly: any exponent, depth, degree, and distance.

Room: certificate.
"""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf
from planted import Planted, chain_of_clusters, nested_rings, planted, planted_blocks
from scipy import sparse

import balance_graph as bg
from balance_graph.certificate import rounding
from balance_graph.certificate.circulation import circulation_near
from balance_graph.certificate.large import log_costs_of_large
from balance_graph.certificate.rows import _bound_by_inverse, _Flows
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.row_ends import RowEnds

EXPONENTS = (0.05, 0.5, 1.0, 2.0, 20.0, 100.0)
DISTANCES = (0.0, 1e-9, 0.1, 30.0)


def some(number: int) -> Planted | None:
    """A planted network of any kind; None where its weights are beyond floats."""
    rng = np.random.default_rng(number)
    has_degrees = bool(rng.random() < 0.4)
    try:
        return planted(
            rng,
            int(rng.integers(4, 12)),
            p=float(rng.choice(EXPONENTS)),
            spread=float(rng.choice([1, 10, 60, 300])),
            scale=float(rng.choice([0, 10, 100, 400])),
            has_degrees=has_degrees,
            has_ties=bool(rng.random() < 0.3),
            n_pinned=2 if has_degrees else int(rng.choice([0, 2, 3])),
        )
    except ValueError:
        return None


def assert_bounds(planted: Planted, log_scales: np.ndarray) -> float:
    """No bound, of either road, lies above the optimum; the relative gap of the certificate."""
    certificate = bg.certify(planted.problem, log_scales)
    found = log_costs_of_large(planted.problem, log_scales)
    with mp.workdps(60):
        assert certificate.log_lower_bound <= planted.log_cost
        assert certificate.lower_bound <= mpf(planted.cost.numerator) / planted.cost.denominator
        assert found is None or found[1] <= planted.log_cost
        assert found is None or found[0] >= planted.log_cost - mpf(10) ** -10
    return certificate.relative_gap


@pytest.mark.parametrize("tens", range(4))
def test_no_bound_is_above_the_optimum_at_any_distance_from_it(tens):
    tried = 0
    for number in range(10 * tens, 10 * tens + 10):
        network = some(number)
        if network is None:
            continue
        basis, rng = network.problem.manifold.basis, np.random.default_rng(number)
        for distance in DISTANCES:
            shift = basis @ rng.standard_normal(basis.shape[1])
            gap = assert_bounds(network, network.log_scales + distance * shift)
            assert distance > 1e-9 or gap < 1e-8, (number, distance)
            tried += 1
    assert tried >= 24


@pytest.mark.parametrize("is_displaced", [False, True])
def test_log_gains_that_cancel_count_in_the_rounding(is_displaced):
    """Of a center and a displacement that all but cancel, or of the ends of an edge: p = 100 times their rounding."""
    rng, degree = np.random.default_rng(0), np.array([1.0, 0.3, 1.0, 0.3, 1.0, 1.0])
    matrix = sparse.csr_array((np.ones(5), (np.arange(5), np.arange(1, 6))), shape=(6, 6))
    pinned = np.isin(np.arange(6), [0, 5])
    problem = bg.BalanceProblem.from_sparse(matrix, pinned=pinned, degree=degree, regularizer=100.0)
    shift = np.array([0.0, 1000 / 3, 100.0, 1000 / 3, 100.0, 0.0]) + rng.random(6) * ~pinned
    center = np.zeros(6) if is_displaced else -shift
    at = (shift + (0.0 if is_displaced else 1e-3 * rng.random(6)))[~pinned]
    quotient = Quotient(problem, center, live=problem.active)
    flows = _Flows(quotient, at, *quotient.log_slopes(at), quotient.log_cost(at))
    errors = []
    with mp.workdps(50):
        scale = [mpf(float(one)) for one in center]
        for node, value in zip(np.flatnonzero(~pinned).tolist(), at.tolist(), strict=True):
            scale[node] += mpf(value)
        for edge in range(5):  # all weights are 1
            exact = mp.log(100) + 100 * (scale[edge + 1] - mpf(float(degree[edge])) * scale[edge])
            errors.append(float(abs(mpf(float(flows.log_slopes[edge])) - exact)))
    assert max(errors[1], errors[3]) > 1e-13
    assert np.all(errors <= flows.error)


def conserved(ends: RowEnds, size: int, log_flows: np.ndarray, change: np.ndarray, tree: np.ndarray) -> list[mpf]:
    """The changes of the rows of a tree that balance all unknowns, from the equations themselves."""
    flow = [mp.exp(mpf(float(v))) * (1 + mpf(float(u))) for v, u in zip(log_flows, change, strict=True)]
    left = mp.matrix(size, 1)
    matrix = mp.matrix(size, size)
    place = {int(row): k for k, row in enumerate(tree)}
    for row in range(len(flow)):
        for node, entry in ((ends.one[row], ends.first[row]), (ends.two[row], ends.second[row])):
            if node == size:
                continue
            if row in place:
                matrix[int(node), place[row]] += mpf(float(entry)) * flow[row]
            else:
                left[int(node)] -= mpf(float(entry)) * flow[row]
    times = mp.lu_solve(matrix, left)
    return [(1 + mpf(float(change[row]))) * times[k] - 1 for k, row in enumerate(tree)]


@pytest.mark.parametrize("number", range(12))
def test_flows_of_the_tree_balance_everything(number):
    """Against the equations solved in 700 digits: flows that differ by up to 1e180, degrees, chains of clusters."""
    rng = np.random.default_rng(number)
    if number < 8:
        network = planted(rng, 9, spread=300.0 * (number % 2), scale=10.0, has_degrees=number % 4 > 1)
    else:
        network = chain_of_clusters(rng, 3, (30, 60)) if number % 2 else nested_rings(rng, 2, 50)
    quotient = Quotient(network.problem, network.log_scales, live=network.problem.active)
    ends, zero = RowEnds.of(quotient.matrix), np.zeros(quotient.size)
    log_flows = quotient.log_slopes(zero)[0]
    change = 0.01 * rng.uniform(-1.0, 1.0, log_flows.size) if number % 3 == 0 else np.zeros(log_flows.size)
    found = circulation_near(ends, quotient.size, log_flows, change)
    tree = np.flatnonzero(found.width)
    assert tree.size == quotient.size
    np.testing.assert_array_equal(np.delete(found.change, tree), np.delete(change, tree))
    with mp.workdps(700):
        for row, exact in zip(tree, conserved(ends, quotient.size, log_flows, change, tree), strict=True):
            assert abs(exact - mpf(float(found.change[row]))) <= mpf(float(found.width[row]))
    if not change.any():
        assert np.abs(found.change).max() < 1e-11
        assert found.width.max() < 1e-10


def test_degrees_that_are_no_powers_of_two_are_left_to_other_proofs():
    ends = RowEnds(np.array([0, 1, 2]), np.array([2, 0, 1]), np.ones(3), np.array([0.0, -3.0, 0.0]))
    assert circulation_near(ends, 2, np.zeros(3), np.zeros(3)) is None
    assert circulation_near(ends._replace(second=np.array([0.0, -4.0, 0.0])), 2, np.zeros(3), np.zeros(3)) is not None


def test_an_unknown_that_nothing_joins_to_the_ground_has_no_circulation():
    ends = RowEnds(np.array([0, 0, 1]), np.array([2, 2, 2]), np.array([1.0, -1.0, 1.0]), np.zeros(3))
    assert circulation_near(ends, 3, np.zeros(3), np.zeros(3)) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_weakly_attached_parts_are_solved_and_certified(seed):
    """Couplings of 1e-30 to 1e-200, clusters in clusters: every log-gain is right, and the gap is rounding."""
    rng = np.random.default_rng(seed)
    for network in (chain_of_clusters(rng, 40, (100, 660)), nested_rings(rng, 4, 100)):
        solution = bg.solve(network.problem)
        assert solution.converged
        gains = network.problem.log_gains(network.log_scales)
        assert np.abs(network.problem.log_gains(solution.log_scales) - gains).max() < 1e-9
        assert assert_bounds(network, solution.log_scales) < 1e-11


def test_chains_of_very_different_weights_are_certified_to_rounding():
    """No solution of their equations tells their shifts in floating point; a tree of their edges does."""
    rng, n = np.random.default_rng(0), 400
    at = np.arange(n - 1)
    weight = 10.0 ** rng.uniform(-10, 10, 2 * n - 2)
    matrix = sparse.csr_array((weight, (np.r_[at, at + 1], np.r_[at + 1, at])), shape=(n, n))
    problem = bg.BalanceProblem.from_sparse(matrix, pinned=np.arange(n) == 0)
    assert bg.certify(problem, bg.solve(problem)).relative_gap < 1e-11


def test_an_inverse_that_proves_nothing_bounds_nothing():
    matrix = np.array([[1.0, 1.0 - 1e-15], [1.0 - 1e-15, 1.0]])
    assert _bound_by_inverse(matrix, np.ones(2), 1e-14) is None
    bound = _bound_by_inverse(np.array([[2.0, 1.0], [1.0, 2.0]]), np.ones(2), 1e-14)
    assert np.all(bound >= 1.0)


def test_constants_that_cancel_are_rounded_by_what_they_are_added_up_from():
    """``a w**20`` with a near ``w**-20``, beside edges that scales move, in passes over edges."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        weight = float(10.0 ** rng.uniform(-12, 12))
        matrix = sparse.csr_array(([weight, 1.0, 1.0], ([0, 0, 2], [1, 2, 1])), shape=(3, 3))
        coefficient = sparse.csr_array(([weight**-20.0, 2.0**-60, 2.0**-60], ([0, 0, 2], [1, 2, 1])), shape=(3, 3))
        problem = bg.BalanceProblem.from_sparse(
            matrix, pinned=[True, True, False], regularizer=20.0, coefficient=coefficient
        )
        _, log_bound = log_costs_of_large(problem, problem.unscaled)
        with mp.workdps(60):
            assert log_bound <= mp.log(mpf(weight**-20.0) * mpf(weight) ** 20 + mpf(2) ** -59)


@pytest.mark.parametrize("log_bound", [-745.2, -740.0, -1.0, 0.0, 1e-300, 709.0, 709.9, 1e4])
def test_bounds_are_rounded_downwards(log_bound):
    with mp.workdps(60):
        assert mpf(rounding.rounded_down(log_bound)) <= mp.exp(mpf(log_bound))
    assert rounding.rounded_down(log_bound) >= 0.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bounds_of_dense_blocks_hold_at_any_distance(dtype):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        problem, cost, log_scales = planted_blocks(rng, rng.integers(2, 40, 4).tolist(), dtype, 25)
        for distance in DISTANCES:
            certificate = bg.certify(problem, log_scales + distance * rng.standard_normal(log_scales.size))
            with mp.workdps(50):
                assert certificate.log_lower_bound <= mp.log(mpf(int(cost)))
            assert certificate.lower_bound <= cost
            assert distance > 1e-9 or certificate.relative_gap < 1e-11
