"""Matrices of any numeric type and size, options and results of `balance_matrix`.

Room: graph.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.linalg
from scipy import sparse

import balance_graph as bg

LONG = np.finfo(np.longdouble).maxexp > np.finfo(np.float64).maxexp
GIVEN = np.array([[1, 8, 0], [2, 3, 50], [0, 2, 0]])
TYPES = ["bool", "int8", "uint8", "int32", "uint64", "float16", "float32", "float64", "longdouble"]
KEPT = {"float32": np.float32, "longdouble": np.longdouble, "complex64": np.complex64, "clongdouble": np.clongdouble}


@pytest.fixture(autouse=True)
def _strict_floats():
    """Whatever the caller asks of floating point errors: none leaks."""
    with np.errstate(all="raise"):
        yield


def of_type(name):
    A = GIVEN.astype(name)
    return A * A.dtype.type(1 + 2j) if "complex" in name or name == "clongdouble" else A


@pytest.mark.parametrize("order", ["=", ">", "<"])
@pytest.mark.parametrize("name", [*TYPES, "complex64", "complex128", "clongdouble"])
def test_every_numeric_type_gives_the_same_answer_dense_and_sparse(name, order):
    A = of_type(name)
    A = A.astype(A.dtype.newbyteorder(order))
    B, scales = bg.balance_matrix(A)
    expected = KEPT.get(name, np.complex128 if A.dtype.kind == "c" else np.float64)
    assert B.dtype == expected
    assert B.dtype.isnative
    wide = A.astype(np.complex128 if A.dtype.kind == "c" else np.float64)
    reference, exact = bg.balance_matrix(wide)
    tol = 1e-6 if B.dtype in (np.float32, np.complex64) else 1e-12
    np.testing.assert_allclose(B.astype(wide.dtype), reference, rtol=tol)
    np.testing.assert_allclose(scales, exact, rtol=1e-12)
    assert scales.dtype == np.float64
    if name != "float16" and order == "=":  # SciPy's sparse arrays know neither half precision nor foreign byte orders
        C, others = bg.balance_matrix(sparse.csr_array(A))
        assert C.dtype == B.dtype
        np.testing.assert_allclose(C.toarray(), B, rtol=1e-6 if tol == 1e-6 else 1e-13)
        np.testing.assert_allclose(others, scales, rtol=1e-12)


@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("exact", [True, False])
def test_complex_entries_whose_modulus_overflows(wrap, exact):
    largest = np.finfo(float).max
    A = np.array([[0, complex(largest, largest)], [1e-300j, 0]])
    B = abs(bg.balance_matrix(wrap(A), exact=exact)[0])
    product = np.sqrt(2) * (largest * 1e-300)
    B = B if wrap is np.asarray else B.toarray()
    np.testing.assert_allclose(B[0, 1] * B[1, 0], product, rtol=1e-12)
    ratio = B[0, 1] / B[1, 0]
    assert 0.25 <= ratio <= 4.0 if not exact else ratio == pytest.approx(1.0, rel=1e-12)


@pytest.mark.skipif(not LONG, reason="long double is double here")
@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_array])
def test_extended_precision_reaches_beyond_double(wrap):
    tiny, huge = np.longdouble("1e-400"), np.longdouble("4e4000")
    A = np.array([[0, huge], [tiny, 0]])
    result = bg.balance_matrix(wrap(A))
    B = result.matrix if wrap is np.asarray else result.matrix.toarray()
    geometric = np.longdouble("2e1800")
    np.testing.assert_allclose(B / geometric, [[0, 1], [1, 0]], rtol=1e-11)
    np.testing.assert_allclose(np.diff(result.log_scales), [0.5 * np.log(4.0) + 2200 * np.log(10)], rtol=1e-13)
    assert "beyond the range of floats" in result.lost[0]


@pytest.mark.parametrize("exact", [True, False])
def test_scales_beyond_the_range_of_floats_are_told(exact):
    A = np.diag([1e300] * 4, 1) + np.diag([1e-300] * 4, -1)
    result = bg.balance_matrix(A, exact=exact)
    np.testing.assert_allclose(np.diff(result.log_scales), 300 * np.log(10), atol=np.log(2))
    assert result.scales[0] == 0.0
    assert result.scales[-1] == np.inf
    assert result.lost == ("1 scales are inf and 1 are 0, beyond the range of floats; use log_scales",)
    assert "1e+1200" in result.summary()
    np.testing.assert_allclose(result.matrix[A != 0], 1.0, rtol=1.0 if not exact else 1e-12)


def test_entries_that_vanish_are_told():
    """The second scale is 1e-200 times the others, which turns 1e-200 into 1e-400."""
    A = np.array([[0, 1e-200, 1], [1e200, 0, 0], [1, 0, 0]])
    assert not bg.balance_matrix(A).lost
    A[2, 1] = 1e-200
    assert not bg.balance_matrix(A).lost
    A[1, 2], A[2, 1] = 1e-200, 0.0
    result = bg.balance_matrix(A)
    assert result.matrix[1, 2] == 0.0
    assert result.lost == ("1 entries of A vanish in B, below the range of floats",)


def test_a_matrix_too_large_for_its_type_is_refused_by_name():
    A = np.full((3, 3), np.float32(3e38))
    A[0, 1] = 0.0  # balance moves the others, some of them up
    with pytest.raises(
        bg.InvalidParameterError, match=r"B\[\d, \d\] is inf; it exceeds the range of float32; divide A"
    ):
        bg.balance_matrix(A)
    B, _ = bg.balance_matrix(A / np.float32(2))
    assert np.isfinite(B).all()


@pytest.mark.parametrize(
    ("A", "words"),
    [
        (np.array([[1, 10**30], [1, 1]], dtype=object), r"dtype object; try A.astype\(float\)"),
        ([[1, 2], [3]], "square matrix of numbers, got list"),
        (np.array([["2020-01-01"] * 2] * 2, dtype="datetime64[D]"), "dtype datetime64"),
        (np.ma.masked_less(np.eye(2), 0.5), "masked entries"),
        (sparse.coo_array(([1e308, 1e308], ([0, 0], [1, 1])), shape=(2, 2)), r"A\[0, 1\] is inf"),
        (sparse.csr_array(np.array([[0, complex(1, np.nan)], [0, 0]])), r"A\[0, 1\] is .*nan"),
        (np.float64(3.0), "square matrix, got float"),
        ("eye", "square matrix, got str"),
    ],
)
def test_bad_matrices_are_refused_in_words_of_matrices(A, words):
    with pytest.raises(bg.InvalidParameterError, match=words) as caught:
        bg.balance_matrix(A)
    assert "edge" not in str(caught.value)


@pytest.mark.parametrize("tol", [0.0, -1.0, np.nan, "small"])
def test_bad_tolerance_is_refused(tol):
    with pytest.raises(bg.InvalidParameterError, match="balance_matrix: tol must be"):
        bg.balance_matrix(np.eye(2), tol=tol)


def test_duplicates_of_a_sparse_matrix_are_summed_as_scipy_does():
    A = sparse.coo_array(([1.0, 3.0, 1.0, 2.0], ([0, 0, 1, 1], [1, 1, 0, 1])), shape=(2, 2))
    B, _ = bg.balance_matrix(A)
    np.testing.assert_allclose(B.toarray(), bg.balance_matrix(A.toarray())[0], rtol=1e-14)
    assert A.nnz == 4


@pytest.mark.parametrize("n", [63, 64, 200])
@pytest.mark.parametrize("size", [1e5, 1e150])
def test_far_scales_of_a_long_chain_leak_nothing(n, size):
    A = np.diag([size] * (n - 1), 1) + np.diag([1 / size] * (n - 1), -1)
    result = bg.balance_matrix(A)
    np.testing.assert_allclose(result.matrix[A != 0], 1.0, rtol=1e-10)
    np.testing.assert_allclose(np.diff(result.log_scales), np.log(size), rtol=1e-12)


@pytest.mark.parametrize("wrap", [np.asarray, sparse.csc_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_powers_of_two_round_nothing(dtype, wrap):
    rng = np.random.default_rng(0)
    d = np.exp(5 * rng.standard_normal(30))
    A = (d[:, None] * rng.standard_normal((30, 30)) / d).astype(dtype)
    if dtype is np.complex128:
        A *= 1 + 1j
    result = bg.balance_matrix(wrap(A), exact=False)
    B = result.matrix if wrap is np.asarray else result.matrix.toarray()
    np.testing.assert_array_equal(np.frexp(result.scales)[0], 0.5)
    np.testing.assert_array_equal(B.real, result.scales[:, None] * A.real / result.scales)
    np.testing.assert_array_equal(np.frexp(B.real)[0], np.frexp(A.real)[0])
    exact = bg.balance_matrix(A)
    assert np.abs(np.log2(result.scales / exact.scales)).max() <= 0.5 + 1e-9
    theirs = scipy.linalg.matrix_balance(A, permute=False)[0]
    assert np.linalg.norm(B) <= 1.2 * np.linalg.norm(theirs)


def test_powers_of_two_never_cost_more_than_the_matrix():
    rng = np.random.default_rng(1)
    for _ in range(50):
        A = rng.standard_normal((4, 4))
        B = bg.balance_matrix(A, exact=False, return_scales=False)
        np.fill_diagonal(A, 0.0)
        np.fill_diagonal(B, 0.0)
        assert (B**2).sum() <= (A**2).sum()


def test_result_is_a_pair_with_more_to_it():
    A = np.array([[0.0, 100.0], [1.0, 0.0]])
    result = bg.balance_matrix(A)
    assert isinstance(result, bg.MatrixBalance)
    assert len(result) == 2
    assert result[0] is result.matrix
    np.testing.assert_allclose(np.exp(result.log_scales), result.scales)
    assert result.gain == pytest.approx(np.sqrt(10_001 / 200))
    for other in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        np.testing.assert_array_equal(other.log_scales, result.log_scales)
        assert other.summary() == result.summary()


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("options", [{}, {"exact": False}, {"permute": True}])
def test_smallest_matrices(n, wrap, options):
    result = bg.balance_matrix(wrap(np.full((n, n), 7.0)), **options)
    assert result.matrix.shape == (n, n)
    np.testing.assert_array_equal(result.scales, np.ones(n))
    assert result.gain == 1.0
    assert not result.may_harm
    assert f"{n} x {n}" in result.summary()


def test_harm_after_reduction_to_hessenberg_form_is_flagged():
    """Watkins 2006; James, Langou and Lowery 2014: with p = 1 nine digits are lost, with p = 2 none."""
    H = scipy.linalg.hessenberg(np.random.default_rng(0).standard_normal((100, 100)))
    one, two = bg.balance_matrix(H, 1), bg.balance_matrix(H, 2)
    assert one.may_harm
    assert "for eigenvalues use A as it is" in one.summary()
    assert not two.may_harm
    with np.errstate(under="ignore"):
        exact = scipy.linalg.schur(H, output="complex")[0].diagonal()

    def error(B):
        with np.errstate(under="ignore"):
            found = scipy.linalg.schur(B, output="complex")[0].diagonal()
        return np.abs(found[:, None] - exact).min(axis=1).max() / np.abs(exact).max()

    assert error(two.matrix) < 1e-12
    assert error(one.matrix) > 1e-9
