"""Exact balancing of matrices.

Room: graph.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import balance_graph as bg


def badly_scaled(n, rng, spread=3.0, density=1.0):
    A = rng.normal(size=(n, n)) * (rng.random((n, n)) < density)
    scales = np.exp(spread * rng.normal(size=n))
    return scales[:, None] * A / scales


def norms(B, p):
    powers = np.abs(B) ** p
    np.fill_diagonal(powers, 0.0)
    return powers.sum(axis=1), powers.sum(axis=0)


def assert_balanced_matrix(B, p, tol=1e-12):
    rows, columns = norms(B, p)
    assert np.all(np.abs(rows - columns) <= tol * (rows + columns))


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("n", [2, 5, 60, 100])
def test_rows_and_columns_have_equal_norms_and_the_matrix_stays_similar(n, p):
    A = badly_scaled(n, np.random.default_rng(n))
    before = A.copy()
    B, scales = bg.balance_matrix(A, p)
    assert_balanced_matrix(B, p)
    np.testing.assert_allclose(B, scales[:, None] * A / scales, rtol=1e-13)
    np.testing.assert_array_equal(np.diag(B), np.diag(A))
    assert np.log(scales).mean() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(A, before)
    np.testing.assert_array_equal(bg.balance_matrix(A, p, return_scales=False), B)


def test_published_example_has_its_exact_scales():
    # With the 1-norm; LAPACK's powers of two are (1, 64, 8192).
    A = np.array([[1.0, 100.0, 10_000.0], [0.01, 1.0, 100.0], [0.0001, 0.01, 1.0]])
    _, scales = bg.balance_matrix(A, 1)
    np.testing.assert_allclose(scales / scales[0], [1, 100, 10_000], rtol=1e-12)


def test_two_by_two_in_closed_form():
    B, scales = bg.balance_matrix([[3, 100], [1, 4]], 1.5)
    np.testing.assert_allclose(B, [[3, 10], [10, 4]], rtol=1e-13)
    assert scales[1] / scales[0] == pytest.approx(10.0, rel=1e-13)


def test_cost_is_at_most_that_of_lapack():
    A = badly_scaled(40, np.random.default_rng(1))
    theirs = scipy.linalg.matrix_balance(A, permute=False)[0]
    assert norms(bg.balance_matrix(A)[0], 2)[0].sum() <= norms(theirs, 2)[0].sum()


def test_convention_is_the_inverse_of_scipys():
    A = badly_scaled(6, np.random.default_rng(2))
    B, (scale, _) = scipy.linalg.matrix_balance(A, permute=False, separate=True)
    np.testing.assert_allclose(B, A * scale / scale[:, None], rtol=1e-13)  # theirs: T^-1 A T
    ours, scales = bg.balance_matrix(A)
    np.testing.assert_allclose(ours, scales[:, None] * A / scales, rtol=1e-13)  # D A D^-1


def test_complex_matrix_keeps_its_phases():
    rng = np.random.default_rng(3)
    A = badly_scaled(8, rng) + 1j * badly_scaled(8, rng)
    B, _ = bg.balance_matrix(A)
    assert_balanced_matrix(B, 2)
    np.testing.assert_allclose(np.angle(B), np.angle(A), atol=1e-13)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_in_the_same_kind_out(form, kind):
    dense = badly_scaled(12, np.random.default_rng(4), density=0.4)
    A = kind(dense).asformat(form)
    B, scales = bg.balance_matrix(A)
    assert B.format == form
    assert isinstance(B, sparse.sparray) == isinstance(A, sparse.sparray)
    reference, expected = bg.balance_matrix(dense)
    np.testing.assert_allclose(B.toarray(), reference, rtol=1e-12)
    np.testing.assert_allclose(scales, expected, rtol=1e-12)


def test_blocks_of_a_reducible_matrix_are_balanced_within_themselves():
    rng = np.random.default_rng(5)
    A = np.zeros((7, 7))
    A[:3, :3], A[3:6, 3:6] = badly_scaled(3, rng), badly_scaled(3, rng)
    A[:3, 3:] = 5.0  # leads from the first block to the second, and to a node alone
    B, scales = bg.balance_matrix(A)
    for block in (slice(0, 3), slice(3, 6)):
        assert_balanced_matrix(B[block, block], 2)
    assert np.log(scales).mean() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(B, scales[:, None] * A / scales, rtol=1e-13)


@given(st.integers(1, 8), st.integers(0, 10_000), st.floats(0.0, 60.0), st.sampled_from([1.0, 2.0, 3.0]))
def test_any_scaling_of_a_positive_matrix_has_one_balanced_form(n, seed, spread, p):
    rng = np.random.default_rng(seed)
    A = np.exp(rng.normal(size=(n, n)))
    scales = np.exp(rng.uniform(-spread, spread, n))
    one, two = bg.balance_matrix(A, p)[0], bg.balance_matrix(scales[:, None] * A / scales, p)[0]
    np.testing.assert_allclose(one, two, rtol=1e-10)


@pytest.mark.parametrize("A", [np.zeros((0, 0)), np.zeros((3, 3)), np.diag([1.0, 2.0]), np.triu(np.ones((4, 4)))])
def test_nothing_to_balance_changes_nothing(A):
    B, scales = bg.balance_matrix(A)
    np.testing.assert_array_equal(B, A)
    np.testing.assert_array_equal(scales, np.ones(A.shape[0]))


def test_integers_become_floats():
    B, _ = bg.balance_matrix(np.array([[0, 4], [1, 0]]))
    np.testing.assert_allclose(B, [[0, 2], [2, 0]], rtol=1e-14)


@pytest.mark.parametrize(
    ("A", "words"),
    [
        (np.ones((2, 3)), r"square matrix, got shape \(2, 3\)"),
        (np.ones(4), "square matrix"),
        (np.array([[1.0, np.nan], [1.0, 1.0]]), r"A\[0, 1\] is nan"),
        (sparse.csr_array(np.array([[1.0, 2.0], [np.inf, 1.0]])), r"A\[1, 0\] is inf"),
        (np.array([["a", "b"], ["c", "d"]]), "real or complex numbers"),
        (sparse.linalg.aslinearoperator(np.eye(3)), r"LinearOperator; A @ np.eye\(A.shape\[1\]\)"),
        (3.0, "square matrix, got float"),
    ],
)
def test_bad_matrices_are_refused(A, words):
    with pytest.raises(bg.InvalidParameterError, match=words):
        bg.balance_matrix(A)


def test_bad_exponent_is_refused():
    with pytest.raises(bg.InvalidParameterError, match="p must be positive, got 0"):
        bg.balance_matrix(np.eye(2), 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_gauge_held_at_a_weak_node_does_not_spoil_its_balance(seed):
    """The first node of an isolated part is held; with flows this small the rounding of the others decides its balance,
    so it is solved on with another one held."""
    rng, n = np.random.default_rng(seed), 50
    A = rng.normal(size=(n, n)) * np.exp(3 * rng.normal(size=(n, 1)) + 3 * rng.normal(size=n))
    A[0], A[:, 0] = 1e-4 * A[0], 1e-4 * A[:, 0]
    np.fill_diagonal(A, 0.0)
    problem = bg.BalanceProblem.from_sparse(sparse.csr_array(A), pinned=np.zeros(n, dtype=bool))
    solution = bg.solve(problem, "newton")
    assert solution.converged
    assert solution.relative_imbalance <= 1e-12
    assert len(solution.history) == solution.iterations + 1


@pytest.mark.parametrize(
    "case", ["as drawn", "behind scales", "far behind scales", "with zeros", "reducible", "complex"]
)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_dense_matrices_are_balanced_as_sparse_ones_are(case, p):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(90, 90))
    if "behind" in case:
        d = np.exp((100 if "far" in case else 5) * rng.normal(size=90))
        A = d[:, None] * A / d
    elif case == "with zeros":
        A[rng.random((90, 90)) < 0.9] = 0.0
    elif case == "reducible":
        A[:40, 40:] = 0.0
    elif case == "complex":
        A = A + 1j * rng.normal(size=(90, 90))
    B, scales = bg.balance_matrix(A, p)
    C, expected = bg.balance_matrix(sparse.csr_array(A), p)
    np.testing.assert_allclose(np.log(scales), np.log(expected), atol=1e-11)
    np.testing.assert_allclose(B, C.toarray(), rtol=1e-11)
    np.testing.assert_array_equal(np.diag(B), np.diag(A))


def test_a_dense_matrix_that_products_cannot_balance_is_left_to_the_exact_method():
    """Two blocks, held together by entries of 1e-40: a common factor of a block drowns in rounding."""
    rng = np.random.default_rng(1)
    A = rng.uniform(0.5, 1.0, (80, 80))
    A[:40, 40:] *= 1e-40
    A[40:, :40] *= 3e-40
    B, _ = bg.balance_matrix(A)
    between = (B[:40, 40:] ** 2).sum(), (B[40:, :40] ** 2).sum()
    assert between[0] == pytest.approx(between[1], rel=1e-10)
