"""Reducible matrices: the factors between irreducible blocks.

Room: graph.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import balance_graph as bg
from balance_graph.graph.matrix._potentials import log_potentials

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def draw_cascade(rng, sizes, *, spread=2.0, coupling=0.0, density=0.6, permuted=True):
    """Blocks that drive later ones, badly scaled; the matrix and the block of each index."""
    block = np.repeat(np.arange(len(sizes)), sizes)
    n = block.size
    A = rng.standard_normal((n, n))
    later = block[:, None] < block
    A[later] *= 10.0**coupling * (rng.random((n, n)) < density)[later]
    A[block[:, None] > block] = 0.0
    A = rescaled(A, rng, spread)
    order = rng.permutation(n) if permuted else np.arange(n)
    return A[np.ix_(order, order)], block[order]


def rescaled(A, rng, spread):
    d = np.exp(spread * rng.standard_normal(A.shape[0]))
    return d[:, None] * A / d


def cost(A, p):
    powers = np.abs(A) ** p
    np.fill_diagonal(powers, 0.0)
    return powers.sum()


def is_between(block):
    return block[:, None] != block


def block_sizes(B, block):
    """Largest entry of each index's block: off the diagonal, or on it where the index is alone."""
    size = np.empty(block.size)
    for k in np.unique(block):
        member = np.flatnonzero(block == k)
        inner = np.abs(B[np.ix_(member, member)])
        if member.size > 1:
            np.fill_diagonal(inner, 0.0)
        size[member] = inner.max()
    return size


SIZES = st.lists(st.integers(1, 4), min_size=2, max_size=5)
CASCADES = given(
    SIZES, st.integers(0, 10_000), st.floats(0, 12), st.floats(-10, 10), st.sampled_from([0.5, 1.0, 2.0, 3.0])
)


@CASCADES
def test_blocks_are_balanced_and_cost_never_rises(sizes, seed, spread, coupling, p):
    A, block = draw_cascade(np.random.default_rng(seed), sizes, spread=spread, coupling=coupling)
    result = bg.balance_matrix(A, p)
    B = result.matrix
    assert np.isfinite(B).all()
    assert cost(B, p) <= cost(A, p) * (1 + 1e-11)
    inner = np.where(is_between(block), 0.0, np.abs(B) ** p)
    np.fill_diagonal(inner, 0.0)
    rows, columns = inner.sum(axis=1), inner.sum(axis=0)
    assert np.all(np.abs(rows - columns) <= 1e-11 * (rows + columns))
    np.testing.assert_array_equal(B != 0, A != 0)
    relative = np.where(A != 0, B / np.where(A != 0, A, 1.0), 1.0)
    difference = np.subtract.outer(result.log_scales, result.log_scales)
    np.testing.assert_allclose(relative, np.where(A != 0, np.exp(difference), 1.0), rtol=1e-11)
    assert np.all(np.abs(B)[is_between(block)] <= block_sizes(B, block).max() * (1 + 1e-11))


@settings(max_examples=25)
@CASCADES
def test_all_scalings_that_cost_as_much_have_one_balanced_form(sizes, seed, spread, coupling, p):
    rng = np.random.default_rng(seed)
    A, block = draw_cascade(rng, sizes, spread=0.0, coupling=coupling)
    # Strong couplings do not bind the result to the cost of the matrix as given.
    A = np.where(is_between(block), A * 1e6, A)
    B = bg.balance_matrix(A, p, return_scales=False)
    for _ in range(2):
        other = rescaled(A, rng, spread)
        C = bg.balance_matrix(other, p, return_scales=False)
        if cost(other, p) > cost(B, p) * (1 + 1e-9) and cost(A, p) > cost(B, p) * (1 + 1e-9):
            np.testing.assert_allclose(C, B, rtol=1e-8)


@settings(max_examples=15)
@CASCADES
def test_the_transpose_is_balanced_alike(sizes, seed, spread, coupling, p):
    A, _ = draw_cascade(np.random.default_rng(seed), sizes, spread=spread, coupling=coupling)
    B, C = bg.balance_matrix(A, p)[0], bg.balance_matrix(A.T.copy(), p)[0]
    np.testing.assert_allclose(C.T, B, rtol=1e-9)


def test_two_systems_of_which_one_drives_the_other():
    T = np.diag([1e4] * 2, 1) + np.diag([1e-4] * 2, -1)
    A = scipy.linalg.block_diag(T, T)
    A[2, 3] = 1.0
    B, _ = bg.balance_matrix(A)
    expected = scipy.linalg.block_diag(*[np.diag([1.0] * 2, 1) + np.diag([1.0] * 2, -1)] * 2)
    expected[2, 3] = 0.01  # a hundredth of the largest entry within
    np.testing.assert_allclose(B, expected, rtol=1e-12)


@pytest.mark.parametrize("strength", [1e-6, 1e-100, 1e-290])
def test_couplings_that_are_weaker_already_stay_as_they_are(strength):
    A = np.array([[0.0, 1, strength, 0], [1, 0, 0, 0], [0, 0, 0, 2], [0, 0, 2, 0]])
    B, scales = bg.balance_matrix(A)
    np.testing.assert_allclose(B, A, rtol=1e-11)
    np.testing.assert_allclose(scales, 1.0, rtol=1e-11)


def test_a_cheaper_matrix_is_never_made_dearer():
    """Balancing the blocks saves 5e-7; so much, and no more, may be given to the coupling."""
    A = np.array([[0.0, 1.0005, 1e-9, 0], [0.9995, 0, 0, 0], [0, 0, 0, 1.0], [0, 0, 1.0, 0]])
    B, _ = bg.balance_matrix(A)
    assert cost(A, 2) == pytest.approx(4 + 5e-7, rel=1e-10)
    np.testing.assert_allclose(B[0, 2] ** 2, cost(A, 2) - 2 * 1.0005 * 0.9995 - 2, rtol=1e-6)


@pytest.mark.parametrize("strength", [1e-200, 1.0, 1e200])
def test_a_nilpotent_matrix_keeps_the_mean_size_of_its_entries(strength):
    A = np.diag([1e10 * strength, 1e-10 * strength], 1)
    B, _ = bg.balance_matrix(A)
    np.testing.assert_allclose(B, np.diag([strength, strength], 1), rtol=1e-12)


def test_a_triangular_matrix_is_neither_blown_up_nor_wiped_out():
    rng = np.random.default_rng(0)
    A = np.triu(rng.uniform(0.5, 2.0, (40, 40)))
    for spread in (0.0, 3.0, 50.0):
        B = bg.balance_matrix(rescaled(A, rng, spread), return_scales=False)
        upper = np.abs(B)[np.triu_indices(40)]
        assert upper.min() > 1e-4
        assert upper.max() <= 2.0 * (1 + 1e-12)
        np.testing.assert_allclose(np.diag(B), np.diag(A), rtol=1e-14)


def test_blocks_apart_do_not_influence_one_another():
    rng = np.random.default_rng(1)
    one, _ = draw_cascade(rng, [2, 3])
    two, _ = draw_cascade(rng, [1, 1, 2], spread=5.0)
    together = bg.balance_matrix(scipy.linalg.block_diag(one, two))
    np.testing.assert_allclose(together.matrix[:5, :5], bg.balance_matrix(one)[0], rtol=1e-11)
    np.testing.assert_allclose(together.log_scales[5:], bg.balance_matrix(two).log_scales, atol=1e-10)


def test_couplings_of_any_size_do_not_overflow():
    T = np.array([[0.0, 1e300], [1e-300, 0.0]])
    A = scipy.linalg.block_diag(T, T[::-1, ::-1], 1e-300)
    A[0, 2], A[1, 4], A[2, 4] = 1e308, 1e-308, 5e-324
    result = bg.balance_matrix(A)
    B = np.abs(result.matrix)
    np.testing.assert_allclose(B[[0, 1, 2, 3], [1, 0, 3, 2]], 1.0, rtol=1e-12)
    assert B.max() <= 1.0 + 1e-12
    assert np.all(B[A != 0] > 0)
    assert not result.lost


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 300.0])
def test_potentials_are_where_the_gradient_vanishes(spread):
    rng = np.random.default_rng(3)
    tail, head = np.triu_indices(12, 1)
    log_coupling = spread * rng.standard_normal(tail.size)
    t = log_potentials(tail, head, log_coupling, np.array([0]), 12)
    z = log_coupling + t[tail] - t[head]
    flow = np.expm1(z) + 1e-4 * z
    net = np.bincount(tail, flow, 12) - np.bincount(head, flow, 12)
    assert np.abs(net).max() <= 1e-11 * max(1.0, spread)


def test_potentials_of_a_triangle_in_closed_form():
    """Two ways from the first to the last: c, c along the one and 2 - c along the other, but for the faint term."""
    for ratio in (1e-3, 1.0, 1e3):
        t = log_potentials(np.array([0, 1, 0]), np.array([1, 2, 2]), np.log([ratio, 1.0, 1.0]), np.array([0]), 3)
        c = np.exp([np.log(ratio) + t[0] - t[1], t[1] - t[2], t[0] - t[2]])
        exact = 0.5 * (-ratio + np.sqrt(ratio**2 + 8 * ratio))
        np.testing.assert_allclose(c, [exact, exact, 2 - exact], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_permuted_the_matrix_is_block_triangular(form):
    A, block = draw_cascade(np.random.default_rng(4), [3, 1, 4, 2, 1], density=1.0)
    given = sparse.csr_array(A) if form == "csr" else A
    result = bg.balance_matrix(given, permute=True)
    B = result.matrix.toarray() if form == "csr" else result.matrix
    np.testing.assert_array_equal(block[result.permutation], np.sort(block))
    np.testing.assert_array_equal(result.block, block)
    assert np.all(B[np.greater.outer(*[np.sort(block)] * 2)] == 0.0)
    unpermuted = bg.balance_matrix(A, return_scales=False)
    np.testing.assert_allclose(B, unpermuted[np.ix_(result.permutation, result.permutation)], rtol=1e-12)


def test_large_blocks_of_a_dense_matrix_are_balanced_as_those_of_a_sparse_one():
    rng = np.random.default_rng(5)
    A, _ = draw_cascade(rng, [70, 3, 80], spread=3.0)
    np.testing.assert_allclose(bg.balance_matrix(A)[0], bg.balance_matrix(sparse.csr_array(A))[0].toarray(), rtol=1e-10)


@pytest.mark.skipif(not BENCHMARKS.exists(), reason="benchmarks are not part of this installation")
def test_eigenvalues_are_never_much_worse_than_by_the_best_of_other_ways():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import cascades
    finally:
        sys.path.remove(str(BENCHMARKS))
    for name in ("in order", "permuted", "very badly scaled", "weak couplings"):
        for seed in (100, 101):
            found = cascades.errors(cascades.KINDS[name], seed)
            best = min(found[peer] for peer in cascades.PEERS)
            assert all(found[ours] <= 10 * best for ours in cascades.OURS), (name, seed, found)
