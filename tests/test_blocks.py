"""Problems of dense blocks, against the same networks as edges.

Rooms: problem, points, solvers, certificate.
"""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from reference import reference_optimum
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

import balance_graph as bg
from balance_graph.certificate.blocks import _reach
from balance_graph.points.block_flows import BlockFlows
from balance_graph.points.block_hessian import BlockHessian
from balance_graph.problem import blocks as blocks_module

POWERS = (0.5, 1.0, 2.0, 3.0, 1.7)


def mlp(widths, rng, dtype=np.float32, spread=0.0, bias=False):
    """Layers behind random scales of units; inputs and outputs are pinned."""
    first = np.cumsum([0, *widths[1:-1]])
    units = [-1, *(np.arange(first[k], first[k + 1]) for k in range(len(widths) - 2)), -1]
    scales = [np.ones(widths[0]), *(np.exp(spread * rng.normal(size=w)) for w in widths[1:-1]), np.ones(widths[-1])]
    blocks = []
    for k in range(len(widths) - 1):
        weights = rng.normal(size=widths[k : k + 2]) * scales[k + 1] / scales[k][:, None]
        blocks.append(bg.DenseBlock(units[k], units[k + 1], weights.astype(dtype)))
        if bias:
            blocks.append(
                bg.DenseBlock(-1, units[k + 1], (rng.normal(size=(1, widths[k + 1])) * scales[k + 1]).astype(dtype))
            )
    return blocks, int(first[-1])


def tangled(rng, n=12):
    """Blocks in any order, that overlap, tie, skip, feed back and have zeros."""
    blocks = []
    for _ in range(4):
        tail, head = rng.integers(-1, n, 7), rng.integers(-1, n, 6)
        weights = rng.normal(size=(7, 6)) * np.exp(rng.normal(size=(7, 6)))
        blocks.append(bg.DenseBlock(tail, head, np.where(rng.random((7, 6)) < 0.3, 0.0, weights)))
    blocks.append(bg.DenseBlock([-1, -1], np.arange(n), rng.normal(size=(2, n))))
    blocks.append(bg.DenseBlock(np.arange(n), -1, rng.normal(size=(n, 2))))
    return blocks, n


def as_terms(blocks, n, p, degree=1.0):
    """The same problem as terms, one for each weight."""
    degree = np.append(np.broadcast_to(degree, n), 0.0)
    rows, logs = [], []
    for block in blocks:
        with np.errstate(divide="ignore"):
            logs.append(p * np.log(np.abs(block.weights.astype(float))).ravel())
        for i in block.tail:
            for j in block.head:
                row = np.zeros(n + 1)
                row[j] += 1.0
                row[i] -= degree[i]
                rows.append(row[:n])
    return bg.BalanceProblem.from_terms(sparse.csr_array(np.array(rows)), np.concatenate(logs), p)


# --- solutions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("spread", [0.0, 4.0])
def test_layers_are_balanced_as_their_edges_are(p, spread):
    blocks, n = mlp([6, 8, 5, 7, 3], np.random.default_rng(1), spread=spread, bias=True)
    problem, terms = bg.BlockProblem(blocks, n, regularizer=p), as_terms(blocks, n, p)
    solution, other = bg.solve(problem), bg.solve(terms)
    assert solution.converged
    assert solution.relative_imbalance <= 1e-12
    np.testing.assert_allclose(solution.log_scales, other.log_scales, atol=1e-10)
    assert solution.log_cost == pytest.approx(other.log_cost, abs=1e-13)
    assert solution.initial_cost == pytest.approx(other.initial_cost, rel=1e-13)
    certificate = bg.certify(problem, solution.log_scales)
    assert certificate.lower_bound <= other.cost * (1 + 1e-15)
    assert certificate.relative_gap < 1e-11


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(POWERS), st.sampled_from([1.0, 2.0, 0.5, None]))
def test_blocks_of_any_kind_are_balanced_as_their_terms_are(seed, p, degree):
    """Ties within degrees 1 and elsewhere, self-loops, cycles, overlaps."""
    rng = np.random.default_rng(seed)
    blocks, n = tangled(rng)
    degree = rng.choice([0.5, 1.0, 2.0], n) if degree is None else degree
    problem, terms = bg.BlockProblem(blocks, n, regularizer=p, degree=degree), as_terms(blocks, n, p, degree)
    log_scales = rng.normal(size=n)
    assert problem.log_cost(log_scales) == pytest.approx(terms.log_cost(log_scales), abs=1e-12)
    solution, other = bg.solve(problem), bg.solve(terms)
    assert solution.converged
    assert solution.log_cost == pytest.approx(other.log_cost, abs=1e-12)
    np.testing.assert_allclose(solution.log_scales, other.log_scales, atol=1e-8)
    for point in (solution.log_scales, log_scales, 3.0 * log_scales):
        certificate = bg.certify(problem, point)
        assert certificate.lower_bound <= other.cost * (1 + 1e-15)
    assert bg.certify(problem, solution.log_scales).relative_gap < 1e-11


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
def test_optimum_in_50_digits(p):
    rng = np.random.default_rng(3)
    blocks, n = mlp([2, 4, 3, 2], rng, spread=2.0, bias=True)
    G, fresh = nx.DiGraph(), iter(range(10**6))
    for block in blocks:
        inputs = [f"x{next(fresh)}" if i < 0 else int(i) for i in block.tail]
        outputs = [f"y{next(fresh)}" if j < 0 else int(j) for j in block.head]
        for i, tail in enumerate(inputs):
            for j, head in enumerate(outputs):
                G.add_edge(tail, head, weight=float(block.weights[i, j]))
    exact = reference_optimum(G, ("lp", p))
    problem = bg.BlockProblem(blocks, n, regularizer=p)
    solution = bg.solve(problem)
    np.testing.assert_allclose(solution.log_scales, [float(exact.log_scales[k]) for k in range(n)], atol=1e-11)
    with mp.workdps(50):
        assert abs(mp.mpf(solution.log_cost) - exact.log_cost) < 1e-14
        for point in (solution.log_scales, solution.log_scales + 1e-3 * rng.normal(size=n), np.zeros(n)):
            assert mp.mpf(bg.certify(problem, point).lower_bound) <= exact.cost
    assert bg.certify(problem, solution.log_scales).relative_gap < 1e-12


def test_bounds_hold_to_the_last_digit():
    """One unknown: the least cost is twice the root of the product of both sides, whose squares are summed exactly."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        first, second = (rng.normal(size=shape).astype(np.float32) for shape in ((7, 1), (1, 9)))
        problem = bg.BlockProblem([(-1, [0], first), ([0], -1, second)], 1)
        into, out_of = (sum(Fraction(float(w)) ** 2 for w in weights.ravel()) for weights in (first, second))
        certificate = bg.certify(problem, 0.25 * np.log([float(out_of / into)]))
        assert Fraction(certificate.lower_bound) ** 2 <= 4 * into * out_of
        assert certificate.relative_gap < 1e-13


def test_a_correction_is_checked():
    """Where rounding hides what a correction is worth, there is none."""
    blocks, n = mlp([5, 6, 6, 4], np.random.default_rng(0))
    flows = BlockFlows(bg.BlockProblem(blocks, n).live.costs, np.zeros(n))
    solver, diagonal, lacking = BlockHessian(flows), flows.diagonal(), 1e-9 * flows.diagonal()
    reach = _reach(flows, diagonal, lacking, 1e-13, solver)
    image = np.empty(n)
    flows.product(diagonal, reach, image)
    assert np.all(image > lacking)
    assert _reach(flows, diagonal, lacking, 0.5, solver) is None


def test_a_start_is_used():
    problem = bg.BlockProblem(*mlp([20, 30, 30, 5], np.random.default_rng(0), spread=2.0))
    solution = bg.solve(problem)
    again = bg.solve(problem, start=solution.log_scales)
    assert again.iterations == 0
    assert again.initial_cost == pytest.approx(solution.cost)


@pytest.mark.parametrize("degree", [2.0, 0.5])
def test_other_degrees_behind_far_scales(degree):
    rng = np.random.default_rng(0)
    blocks, n = mlp([5, 6, 6, 4], rng, np.float64)
    plain = bg.solve(bg.BlockProblem(blocks, n, degree=degree))
    shift = rng.uniform(-40, 40, n)
    for block in blocks:
        for i, unknown in enumerate(block.tail):
            block.weights[i] *= np.exp(-degree * shift[unknown]) if unknown >= 0 else 1.0
        block.weights[:] *= np.where(block.head >= 0, np.exp(shift[block.head]), 1.0)
    solution = bg.solve(bg.BlockProblem(blocks, n, degree=degree))
    assert solution.converged
    assert solution.log_cost == pytest.approx(plain.log_cost, abs=1e-12)
    np.testing.assert_allclose(solution.log_scales + shift, plain.log_scales, atol=1e-9)


# --- weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint16, bool])
def test_types_of_weights(dtype):
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(9, 8)) * 10).astype(dtype), (rng.normal(size=(8, 3)) * 10).astype(dtype)
    weights[0][0], weights[1][:, 0] = 1, 1  # whole numbers may all round to zero
    hidden = np.arange(8)
    solutions = [
        bg.solve(bg.BlockProblem([(-1, hidden, first), (hidden, -1, second)], 8))
        for first, second in (weights, [w.astype(np.float64) for w in weights])
    ]
    assert solutions[0].converged
    assert solutions[0].cost == pytest.approx(solutions[1].cost, rel=1e-14)


@pytest.mark.parametrize("p", [*POWERS, 2.5, 4.0, 9.3])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 2), (7, 4100), (700, 600)])
@pytest.mark.parametrize("order", ["C", "F", "strided", "float16"])
def test_products_are_those_of_numpy(p, shape, order):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=shape).astype(np.float32)
    if order == "strided":
        weights = np.repeat(weights, 2, axis=1)[:, ::2]
    elif order == "float16":
        weights = weights.astype(np.float16)
    else:
        weights = np.asarray(weights, order=order)
    block = bg.DenseBlock(-1, -1, weights, coefficient=3.0)
    rows, columns = rng.random(shape[0]), rng.random(shape[1])
    costs = 3.0 * np.abs(weights.astype(float)) ** p
    by_row, by_column = block.products(p, 2.5, rows, columns)
    np.testing.assert_allclose(by_row, costs @ columns / math.exp(2.5), rtol=1e-13)
    np.testing.assert_allclose(by_column, rows @ costs / math.exp(2.5), rtol=1e-13)
    extent = block.extent(p)
    assert extent.log_largest == pytest.approx(np.log(costs.max()))
    assert extent.log_least == pytest.approx(np.log(costs.min()))


def test_every_number_in_half_precision():
    """Numbers below the normal range included; what is not finite is refused."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    block = bg.DenseBlock(-1, -1, finite[:, None])
    by_row, _ = block.products(1.0, 0.0, np.ones(finite.size), np.ones(1))
    np.testing.assert_array_equal(by_row, np.abs(finite.astype(np.float64)))
    extent = block.extent(1.0)
    assert extent.log_least == pytest.approx(-24 * math.log(2.0))
    assert extent.log_largest == pytest.approx(math.log(65504.0))
    np.testing.assert_array_equal(extent.rows, finite != 0)
    for bad in every[~np.isfinite(every)][[0, 1, 2, -1]]:
        with pytest.raises(bg.InvalidNetworkError, match="must be finite"):
            bg.DenseBlock(-1, -1, [[bad]]).extent(2.0)


def test_one_thread_does_as_well(monkeypatch):
    monkeypatch.setattr(blocks_module, "_THREADS", 1)
    test_products_are_those_of_numpy(2.0, (700, 600), "C")


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
def test_extreme_weights(p):
    rng = np.random.default_rng(5)
    blocks, n = mlp([6, 9, 7, 4], rng)
    for block in blocks:
        block.weights[:] = 10.0 ** rng.uniform(-30, 30, block.weights.shape)
    problem, terms = bg.BlockProblem(blocks, n, regularizer=p), as_terms(blocks, n, p)
    solution, other = bg.solve(problem), bg.solve(terms)
    assert solution.converged
    assert solution.log_cost == pytest.approx(other.log_cost, rel=1e-13)
    np.testing.assert_allclose(solution.log_scales, other.log_scales, atol=1e-9)
    certificate = bg.certify(problem, solution.log_scales)
    assert certificate.relative_gap < 1e-10
    assert certificate.lower_bound <= other.cost * (1 + 1e-13)


def test_scales_beyond_the_range_of_floats():
    """Twelve layers of weights of 1e-60, then twelve of 1e60: scales in the middle are about 1e700."""
    widths = [3] * 25
    blocks, n = mlp(widths, np.random.default_rng(0), np.float64)
    plain = bg.solve(bg.BlockProblem(blocks, n))
    for k, block in enumerate(blocks):
        block.weights *= 1e-60 if k < 12 else 1e60
    problem = bg.BlockProblem(blocks, n)
    solution = bg.solve(problem)
    assert solution.converged
    assert solution.log_scales.max() == pytest.approx(720 * math.log(10), rel=0.01)
    assert solution.cost == pytest.approx(plain.cost, rel=1e-11)
    assert bg.certify(problem, solution.log_scales).relative_gap < 1e-9


def test_costs_and_coefficients():
    rng = np.random.default_rng(0)
    blocks, n = mlp([4, 5, 3], rng, np.float64)
    first, second = (block.weights for block in blocks)
    weights = [bg.DenseBlock(-1, range(n), 2.0 * first), bg.DenseBlock(range(n), -1, second)]
    costs = [
        bg.DenseBlock(-1, range(n), np.abs(first) ** 3, is_cost=True, coefficient=8.0),
        bg.DenseBlock(range(n), -1, np.abs(second) ** 3, is_cost=True),
    ]
    one, other = (bg.solve(bg.BlockProblem(some, n, regularizer=bg.Lp(3.0))) for some in (weights, costs))
    assert one.cost == pytest.approx(other.cost)
    np.testing.assert_allclose(one.log_scales, other.log_scales, atol=1e-12)


def test_weights_are_neither_changed_nor_copied():
    blocks, n = mlp([800, 800, 800, 800], np.random.default_rng(0))
    bg.certify(problem := bg.BlockProblem(blocks, n), bg.solve(problem).log_scales)  # compiles, imports
    before = [block.weights.copy() for block in blocks]
    tracemalloc.start()
    problem = bg.BlockProblem(blocks, n)
    bg.certify(problem, bg.solve(problem).log_scales)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * sum(block.weights.nbytes for block in blocks)
    assert all(np.array_equal(block.weights, w) for block, w in zip(blocks, before, strict=True))


# --- attainment ----------------------------------------------------------------------------------------------------


def test_dead_units_are_named_and_pruned():
    """Unit 1 has no in-weights, unit 6 no out-weights; what they alone feed or draw on is dead with them."""
    rng = np.random.default_rng(0)
    blocks, n = mlp([4, 4, 4, 3], rng)
    first, second, third = (block.weights for block in blocks)
    first[:, 1] = 0.0
    third[2] = 0.0
    second[[0, 2, 3], 3] = 0.0  # unit 7 hears of unit 1 alone
    problem, terms = bg.BlockProblem(blocks, n), as_terms(blocks, n, 2.0)
    with pytest.raises(bg.NotAttainedError, match=r"3 unknowns \(1, 6, 7\)") as caught:
        bg.solve(problem)
    assert caught.value.nodes == (1, 6, 7)
    solution, other = (bg.solve(one, on_unattained="prune") for one in (problem, terms))
    assert solution.converged
    assert solution.pruned_nodes == (1, 6, 7)
    assert "pruned nodes        3: 1, 6, 7" in solution.summary()
    assert solution.log_cost == pytest.approx(other.log_cost, abs=1e-13)
    assert not solution.log_scales[[1, 6, 7]].any()
    certificate = bg.certify(problem, solution.log_scales)
    assert certificate.lower_bound <= solution.cost
    assert certificate.lower_bound == pytest.approx(solution.cost, rel=1e-11)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9), st.floats(0.0, 0.9))
def test_attainment_is_that_of_the_terms(seed, zeros):
    rng = np.random.default_rng(seed)
    blocks, n = mlp([2, 4, 4, 3, 2], rng, bias=True)
    blocks.append(bg.DenseBlock(range(4), range(8, 11), rng.normal(size=(4, 3))))
    for block in blocks:
        block.weights[rng.random(block.weights.shape) < zeros] = 0.0
    problem, terms = bg.BlockProblem(blocks[:: rng.choice([-1, 1])], n), as_terms(blocks, n, 2.0)
    solution, other = (bg.solve(one, on_unattained="prune") for one in (problem, terms))
    assert solution.converged
    if math.isfinite(other.log_cost) or math.isfinite(solution.log_cost):
        assert solution.log_cost == pytest.approx(other.log_cost, abs=1e-12)
    assert bool(solution.pruned_nodes) == bool(other.pruned_edges)
    assert bg.certify(problem, solution.log_scales).lower_bound <= solution.cost


def test_units_without_weights_are_left_alone():
    blocks, n = mlp([3, 4, 2], np.random.default_rng(0))
    blocks[0].weights[:, 2] = 0.0
    blocks[1].weights[2] = 0.0
    solution = bg.solve(bg.BlockProblem(blocks, n))
    assert solution.converged
    assert solution.log_scales[2] == 0.0
    assert solution.pruned_nodes == ()


def test_weights_that_no_scale_moves():
    constant = bg.DenseBlock(-1, -1, [[2.0, 1.0]])
    solution = bg.solve(bg.BlockProblem([constant], 1))
    assert solution.converged
    assert solution.cost == pytest.approx(5.0)
    assert bg.certify(bg.BlockProblem([constant], 1), [0.0]).relative_gap < 1e-13
    empty = bg.BlockProblem([], 2)
    assert bg.solve(empty).cost == 0.0
    assert bg.certify(empty, np.zeros(2)).gap == 0.0


def test_cycles_that_nothing_holds_are_refused():
    loop = bg.DenseBlock([0, 1], [0, 1], np.ones((2, 2)))
    problem = bg.BlockProblem([loop, (-1, [2], [[1.0]]), ([2], -1, [[1.0]])], 3)
    with pytest.raises(bg.UnsupportedError, match="unknowns 0, 1 lie on cycles"):
        bg.solve(problem, on_unattained="prune")
    held = bg.BlockProblem([bg.DenseBlock([-1, 0], [-1, 0], [[1.0, 4.0], [9.0, 1.0]])], 1)
    assert bg.solve(held).log_scales[0] == pytest.approx(0.5 * math.log(9.0 / 4.0))


# --- flows ----------------------------------------------------------------------------------------------------


def flows_of(seed=0, p=1.5):
    rng = np.random.default_rng(seed)
    blocks, n = tangled(rng)
    problem = bg.BlockProblem(blocks, n, regularizer=p, degree=rng.choice([1.0, 2.0], n))
    return problem, BlockFlows(problem.live.costs, 0.1 * rng.normal(size=n))


def test_gradient_and_products_are_derivatives():
    problem, flows = flows_of()
    start, h = flows.log_scales, 1e-6
    unit = math.exp(flows.placed.log_unit)
    way = np.random.default_rng(1).normal(size=flows.size)
    sides = [BlockFlows(problem.live.costs, start + step * way) for step in (-h, h)]
    gradient = unit * (flows.into - flows.out_of)[:-1]
    assert gradient @ way == pytest.approx((problem.cost(start + h * way) - problem.cost(start - h * way)) / (2 * h))
    one, two = (math.exp(f.placed.log_unit) * (f.into - f.out_of)[:-1] for f in sides)
    image = np.empty(flows.size)
    flows.product(flows.diagonal(), way, image)
    np.testing.assert_allclose(unit * image, (two - one) / (2 * h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_parallel_steps_lower_the_cost(seed):
    _, flows = flows_of(seed)
    costs = [flows.log_cost]
    for _ in range(10):
        flows.sweep(1, 1.0)
        costs.append(flows.log_cost)
    assert np.all(np.diff(costs) < 0.0)


def test_blocks_of_rank_one_are_solved_in_one_step():
    rng = np.random.default_rng(0)
    blocks, n = mlp([30, 40, 50, 20], rng, np.float64)
    for block in blocks:
        block.weights[:] = np.outer(rng.random(block.weights.shape[0]), rng.random(block.weights.shape[1]))
    flows = BlockFlows(bg.BlockProblem(blocks, n).live.costs, np.zeros(n))
    solver = BlockHessian(flows)
    right = rng.normal(size=n) * solver.weight
    assert solver.solve(right, goal=1e-11, last_goal=1e-11, imbalance=0.0) is not None
    assert solver.steps == 1


@pytest.mark.parametrize("spread", [0.0, 5.0])
def test_few_passes(spread):
    blocks, n = mlp([200, 300, 300, 300, 200], np.random.default_rng(0), spread=spread)
    guests = [Counted(block) for block in blocks]
    Counted.read = 0
    solution = bg.solve(bg.BlockProblem(guests, n), bg.NewtonSolver(tol=1e-10))
    assert solution.converged
    assert Counted.read / sum(block.weights.size for block in blocks) <= 20


# --- guests ----------------------------------------------------------------------------------------------------


class Counted:
    """A block that counts what is read of it."""

    read = 0

    def __init__(self, block):
        self.block, self.tail, self.head = block, block.tail, block.head

    def extent(self, exponent):
        Counted.read += self.block.weights.size
        return self.block.extent(exponent)

    def products(self, exponent, log_unit, rows, columns):
        Counted.read += self.block.weights.size
        return self.block.products(exponent, log_unit, rows, columns)


class Elsewhere:
    """An array on another device: nothing but its own operations touches what it holds."""

    def __init__(self, held):
        self.__held = held

    def powers(self, exponent, part):
        return Elsewhere(np.abs(self.__held[part].astype(np.float64)) ** exponent)

    def times(self, vector):
        return self.__held @ vector

    def transposed_times(self, vector):
        return vector @ self.__held

    def summary(self):
        size = np.abs(self.__held.astype(np.float64))
        return size[size > 0].min(initial=np.inf), size.max(initial=0.0), size.any(axis=1), size.any(axis=0)


class Guest:
    """A block of an array of another library, a few rows at a time."""

    def __init__(self, block):
        self.tail, self.head = block.tail, block.head
        self._weights = Elsewhere(block.weights)

    def extent(self, exponent):
        least, largest, rows, columns = self._weights.summary()
        with np.errstate(divide="ignore"):
            logs = (float(exponent * np.log(size)) for size in (least, largest))
            return *logs, rows, columns

    def products(self, exponent, log_unit, rows, columns):
        by_row, by_column = np.empty(rows.size), np.zeros(columns.size)
        for first in range(0, rows.size, 3):
            part = slice(first, first + 3)
            costs = self._weights.powers(exponent, part)
            by_row[part] = costs.times(columns)
            by_column += costs.transposed_times(rows[part])
        return by_row * math.exp(-log_unit), by_column * math.exp(-log_unit)


class Operator(Guest):
    """A block of which only products are known: a SciPy LinearOperator with its costs."""

    def products(self, exponent, log_unit, rows, columns):
        costs = self._weights.powers(exponent, slice(None))
        operator = LinearOperator((rows.size, columns.size), costs.times, lambda v: costs.transposed_times(v))
        return operator.matvec(columns) * math.exp(-log_unit), operator.rmatvec(rows) * math.exp(-log_unit)


@pytest.mark.parametrize("kind", [Guest, Operator, Counted])
@pytest.mark.parametrize("p", [0.5, 2.0])
def test_guests_bring_their_own_blocks(kind, p):
    blocks, n = mlp([9, 12, 11, 5], np.random.default_rng(0), spread=3.0, bias=True)
    blocks[0].weights[:, 3] = 0.0
    blocks[1].weights[:, 3] = 0.0
    own = bg.BlockProblem(blocks, n, regularizer=p)
    guest = bg.BlockProblem([kind(block) for block in blocks], n, regularizer=p)
    assert isinstance(guest.blocks[0], bg.Block)
    with pytest.raises(bg.NotAttainedError):
        bg.solve(guest)
    one, other = (bg.solve(problem, on_unattained="prune") for problem in (own, guest))
    assert other.converged
    assert other.pruned_nodes == one.pruned_nodes == (3,)
    assert other.log_cost == pytest.approx(one.log_cost, abs=1e-13)
    certificate = bg.certify(guest, other.log_scales)
    assert certificate.lower_bound <= one.cost * (1 + 1e-14)
    live = [
        kind(bg.DenseBlock(block.tail[block.tail != 3], block.head, block.weights[block.tail != 3])) for block in blocks
    ]
    solved = bg.solve(rest := bg.BlockProblem(live, n, regularizer=p))
    assert bg.certify(rest, solved.log_scales).relative_gap < 1e-11


# --- errors ----------------------------------------------------------------------------------------------------

GOOD = (-1, [0], [[1.0]])


@pytest.mark.parametrize(
    ("make", "error", "part"),
    [
        (lambda: bg.BlockProblem([GOOD], 0), bg.InvalidParameterError, "n_unknowns"),
        (lambda: bg.BlockProblem([(-1, [1], [[1.0]])], 1), bg.InvalidParameterError, r"head\[0\] of block 0 is 1"),
        (lambda: bg.BlockProblem([GOOD, ([-2], -1, [[1.0]])], 1), bg.InvalidParameterError, r"tail\[0\] of block 1"),
        (
            lambda: bg.BlockProblem([([0, 0], -1, [[1.0]])], 1),
            bg.InvalidParameterError,
            "tail of a block must be 1 int",
        ),
        (lambda: bg.BlockProblem([(0, -1, [[1.0]])], 1), bg.InvalidParameterError, r"int64 of shape \(\)"),
        (lambda: bg.BlockProblem([([0.5], -1, [[1.0]])], 1), bg.InvalidParameterError, "float64"),
        (lambda: bg.BlockProblem([(-1, [0], [1.0])], 1), bg.InvalidParameterError, "two dimensions"),
        (lambda: bg.BlockProblem([(-1, [0], [[1j]])], 1), bg.InvalidParameterError, "real numbers"),
        (lambda: bg.BlockProblem(["block"], 1), bg.InvalidParameterError, "block 0 must be"),
        (lambda: bg.BlockProblem([(-1, [0], [[np.nan]])], 1), bg.InvalidNetworkError, r"weight \[0, 0\].* is nan"),
        (lambda: bg.BlockProblem([(-1, [0], [[1.0], [np.inf]])], 1), bg.InvalidNetworkError, r"weight \[1, 0\]"),
        (lambda: bg.BlockProblem([(-1, [0], [[1e-200], [1e200]])], 1), bg.UnsupportedError, "costs of block 0 reach"),
        (lambda: bg.BlockProblem([GOOD], 1, degree=0.0), bg.InvalidParameterError, "degree of unknown 0"),
        (lambda: bg.BlockProblem([GOOD], 1, degree=[1.0, 1.0]), bg.InvalidParameterError, r"shape \(1,\)"),
        (lambda: bg.BlockProblem([GOOD], 1, regularizer=-1), bg.InvalidParameterError, "positive"),
        (
            lambda: bg.BlockProblem([GOOD], 1, regularizer=bg.ElasticNet(l1=1.0, l2=1.0)),
            bg.UnsupportedError,
            "one power",
        ),
        (lambda: bg.DenseBlock(-1, [0], [[1.0]], coefficient=0.0), bg.InvalidParameterError, "coefficient of a block"),
        (
            lambda: bg.BlockProblem([bg.DenseBlock(-1, [0], [[-1.0]], is_cost=True)], 1),
            bg.InvalidNetworkError,
            r"cost \[0, 0\].*must not be negative",
        ),
        (lambda: bg.certify(bg.BlockProblem([GOOD], 1), [0.0, 0.0]), bg.InvalidParameterError, "1 finite log-scales"),
        (lambda: bg.solve(bg.BlockProblem([GOOD], 1), start="far"), bg.InvalidParameterError, "start must be"),
        (lambda: bg.solve(bg.BlockProblem([GOOD], 1), "cvxpy"), bg.UnsupportedError, "solver='newton'"),
        (
            lambda: bg.solve(bg.BlockProblem([GOOD], 1), bg.NewtonSolver(engine="rows")),
            bg.UnsupportedError,
            "engine='auto'",
        ),
    ],
)
def test_bad_input_is_refused_with_its_place(make, error, part):
    with pytest.raises(error, match=part):
        make()


def test_limit_and_report():
    problem = bg.BlockProblem(*mlp([5, 6, 6, 4], np.random.default_rng(0)))
    seen = []
    solution = bg.solve(
        problem, bg.NewtonSolver(max_iterations=1, tol=1e-14), progress=lambda *state: seen.append(state)
    )
    assert solution.status is bg.Status.LIMIT
    assert [k for k, _, _ in seen] == [0, 1]
    assert repr(problem) == "BlockProblem(12 unknowns, 3 blocks, 90 weights, Lp(p=2))"
    assert repr(problem.blocks[0]) == "DenseBlock(5 x 6, float32)"
    assert problem.relative_imbalance(solution.log_scales) == pytest.approx(solution.relative_imbalance, abs=1e-15)
