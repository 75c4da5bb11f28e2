"""Linear maps of one sweep of local balancing near the optimum, and their growth: spectra, and simulation.

A step on unknown k is ``Q_k = I - e_k K_k``, the K-orthogonal projection along axis k; a sweep is a product of n
steps. For a random sweep G three rates differ: of the mean error (the spectral radius of E[G]), of its mean square (the
root of that of ``X -> E[G X G^T]``), and of almost every run (the Lyapunov exponent of the product).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import InvalidParameterError

# Dense eigenvalues up to here take well under a second; above, Arnoldi's method needs only products.
_DENSE = 300
# Second moments are matrices: an operator on n^2 numbers, n^3 operations a product.
MOST_UNKNOWNS = 300
# Up to here the average over all permutations is exact (2^n subsets); above, it is that over a sample.
_ALL_PERMUTATIONS = 9
_SAMPLE = 200
# Of eigenvalues: far below what a rate is wanted to.
_TOLERANCE = 1e-8
# Simulated runs, side by side, and sweeps that let the direction of the error forget its start.
_RUNS, _WARM_UP = 64, 40


def deterministic_rate(matrix: Sparse, sequence: Index) -> float:
    """Spectral radius of the Gauss-Seidel iteration on K in the given order of the unknowns."""
    ordered = sparse.csr_array(matrix)[sequence][:, sequence]
    if ordered.shape[0] <= _DENSE:
        return _dense_rate(ordered.toarray())
    return _arnoldi_rate(ordered)


def _dense_rate(matrix: Array) -> float:
    from scipy.linalg import solve_triangular

    sweep = -solve_triangular(np.tril(matrix), np.triu(matrix, 1), lower=True)
    return float(np.abs(np.linalg.eigvals(sweep)).max(initial=0.0))


def _arnoldi_rate(matrix: Sparse) -> float:
    from scipy.sparse.linalg import splu

    upper = sparse.csr_array(sparse.triu(matrix, 1))
    # In their own order triangular factors fill nothing in.
    lower = splu(sparse.csc_matrix(sparse.tril(matrix)), permc_spec="NATURAL", diag_pivot_thresh=0.0)
    value, _ = _leading(lambda vector: -lower.solve(upper @ vector), matrix.shape[0], "LM", np.ones(matrix.shape[0]))
    return abs(value)


def _leading(product: Callable[[Array], Array], size: int, which: str, start: Array) -> tuple[complex, Array]:
    """Leading eigenvalue and eigenvector (its real part) of a linear operator."""
    if size <= 16:
        operator = np.stack([product(unit) for unit in np.eye(size)], axis=1)
        values, vectors = np.linalg.eig(operator)
        best = int(np.argmax(values.real if which == "LR" else np.abs(values)))
        return complex(values[best]), np.asarray(vectors[:, best].real)
    from scipy.sparse.linalg import LinearOperator, eigs

    large: Any = LinearOperator((size, size), matvec=product, dtype=float)
    find: Any = eigs
    values, vectors = find(large, k=1, which=which, v0=start, tol=_TOLERANCE, maxiter=100 * size)
    return complex(values[0]), np.asarray(vectors[:, 0].real)


def mean_growth(matrix: Array, order: str, rng: np.random.Generator) -> tuple[float, Array]:
    """Factor by which the mean error shrinks in a sweep, and the vector w with ``E[w z'] = factor w z`` for all z."""
    n = matrix.shape[0]
    if order == "random":
        # E[step] = I - K / n is symmetric, with eigenvalues in [0, 1): K has trace n.
        smallest, basis = np.linalg.eigh(matrix)
        return float((1.0 - smallest[0] / n) ** n), basis[:, 0]
    values, vectors = np.linalg.eig(_mean_sweep(matrix, rng).T)
    best = int(np.argmax(np.abs(values)))
    return float(abs(values[best])), np.asarray(vectors[:, best].real)


def square_growth(matrix: Array, order: str, rng: np.random.Generator) -> tuple[float, Array]:
    """Factor by which the mean square error shrinks in a sweep, and W with ``E[z' W z'] = factor z W z`` for all z.

    W is positive definite: the leading eigenmatrix of an operator that maps positive matrices to positive ones.
    """
    n = matrix.shape[0]
    check_unknowns(n)
    # One step maps W to the mean of Q_k^T W Q_k = W + T(W) / n; the operator T alone separates its eigenvalues better.
    adjoint = _step_generator(matrix) if order == "random" else _shuffled_adjoint(matrix, rng)
    value, vector = _leading(
        lambda flat: adjoint(flat.reshape(n, n)).ravel(), n * n, "LR" if order == "random" else "LM", matrix.ravel()
    )
    factor = (1.0 + value.real / n) ** n if order == "random" else abs(value)
    square = vector.reshape(n, n) + vector.reshape(n, n).T
    return float(factor), square / np.trace(square)


def check_unknowns(n: int) -> None:
    """Refuse problems whose second moments are too large to compute."""
    if n > MOST_UNKNOWNS:
        message = (
            f"average='square' needs matrices over pairs of unknowns, and {n} unknowns are more than {MOST_UNKNOWNS}; "
            "use average='typical' or 'mean'"
        )
        raise InvalidParameterError(message)


def _step_generator(matrix: Array) -> Callable[[Array], Array]:
    """``W -> K diag(W) K - K W - W K``: n times the mean change of W by one step, transposed."""

    def change(W: Array) -> Array:  # noqa: N803
        return np.asarray((matrix * np.diag(W)) @ matrix - matrix @ W - W @ matrix)

    return change


def _shuffled_adjoint(matrix: Array, rng: np.random.Generator) -> Callable[[Array], Array]:
    n = matrix.shape[0]
    if n <= _ALL_PERMUTATIONS:

        def step(k: int, stack: Array) -> Array:
            """``Q_k^T W Q_k`` for every W of a stack."""
            left: Array = stack - matrix[k][:, None] * stack[:, k, None, :]
            right: Array = left[:, :, k, None] * matrix[k]
            return left - right

        return partial(_over_permutations, step=step)
    sweeps = np.stack(list(_sampled_sweeps(matrix, rng)))
    tall = sweeps.reshape(-1, n)

    def mean(W: Array) -> Array:  # noqa: N803
        average: Array = tall.T @ (W @ sweeps).reshape(-1, n) / len(sweeps)
        return average

    return mean


def _mean_sweep(matrix: Array, rng: np.random.Generator) -> Array:
    n = matrix.shape[0]
    if n > _ALL_PERMUTATIONS:
        average: Array = np.mean(list(_sampled_sweeps(matrix, rng)), axis=0)
        return average

    def step(k: int, stack: Array) -> Array:
        """``Q_k X`` for every X of a stack."""
        changed = stack.copy()
        changed[:, k, :] -= matrix[k] @ stack
        return changed

    return _over_permutations(np.eye(n), step)


def _over_permutations(start: Array, step: Callable[[int, Array], Array]) -> Array:
    """Mean over all orders of the n steps applied one after the other, by recursion over the sets of steps done."""
    n = start.shape[0]
    sets = np.arange(2**n)
    size = np.array([int(s).bit_count() for s in sets])
    reached = np.zeros((2**n, *start.shape))
    reached[0] = start
    for count in range(1, n + 1):
        for k in range(n):
            chosen = sets[(size == count) & (sets >> k & 1 == 1)]
            reached[chosen] += step(k, reached[chosen - (1 << k)]) / count
    last: Array = reached[-1]
    return last


def _sampled_sweeps(matrix: Array, rng: np.random.Generator) -> Iterator[Array]:
    n = matrix.shape[0]
    for _ in range(_SAMPLE):
        sweep = np.eye(n)
        for k in rng.permutation(n):
            sweep[k] -= matrix[k] @ sweep
        yield sweep


def typical_rate(matrix: Array, order: str, rng: np.random.Generator, sweeps: int) -> float:
    """``exp`` of the Lyapunov exponent of a sweep, by simulation of the linear model."""
    n = matrix.shape[0]
    runs = np.arange(_RUNS)
    errors = rng.standard_normal((_RUNS, n))
    growth = []
    for sweep in range(_WARM_UP + sweeps // _RUNS + 1):
        chosen = _draw(order, n, rng)
        for k in chosen:
            errors[runs, k] -= np.einsum("ij,ij->i", matrix[k], errors)
        length = np.linalg.norm(errors, axis=1)
        errors /= length[:, None]
        if sweep >= _WARM_UP:
            growth.append(np.log(length).mean())
    return float(np.exp(np.mean(growth)))


def _draw(order: str, n: int, rng: np.random.Generator) -> Index:
    """The unknowns of each step of a sweep (rows), for each of the runs (columns)."""
    if order == "random":
        return rng.integers(0, n, (n, _RUNS))
    return rng.permuted(np.tile(np.arange(n)[:, None], (1, _RUNS)), axis=0)


def greedy_bound(matrix: Array, log_side: Array, log_diagonal: Array) -> float:
    """Guaranteed factor of ``sqrt(R - R*)`` in a sweep of greedy steps.

    With m the largest ``|log in - log out|``, the step on its unknown k lowers R by ``m^2 t_k^2 / (2 H_kk)``, t the
    in-costs; and ``R - R*`` is at most ``m^2 / 2`` times the sum over j, k of ``t_j |H^-1|_jk t_k``, and likewise at
    most ``m^2 / (2 lambda)`` times the sum of ``t_k^2 / H_kk``, with lambda the least eigenvalue of K.
    """
    n = matrix.shape[0]
    strength = np.exp(log_side - 0.5 * log_diagonal - (log_side - 0.5 * log_diagonal).max())
    by_inverse = strength @ np.abs(np.linalg.inv(matrix)) @ strength
    by_spectrum = strength @ strength / np.linalg.eigvalsh(matrix)[0]
    gain = float(strength.min() ** 2 / min(by_inverse, by_spectrum))
    return float(max(1.0 - gain, 0.0) ** (n / 2))
