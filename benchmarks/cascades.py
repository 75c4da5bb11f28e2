"""Hypothesis: eigenvalues after `balance_matrix` are off at most 10 times as much as after the best of the other ways.

On cascades: badly scaled systems, each of which drives later ones.

A cascade is reducible: its blocks alone have its eigenvalues, here in 50 digits. Computed ones come from the real Schur
form (LAPACK's ``gees``), which does not balance by itself.

    python benchmarks/cascades.py 20       # draws of each kind; the table of docs/matrices.md, some minutes
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
import scipy.linalg
from scipy.optimize import linear_sum_assignment

import balance_graph as bg

DIGITS = 50
# Errors below this share of the largest eigenvalue are rounding, whoever makes them.
ROUNDING = 1e-15
METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as given": lambda A: A,
    "gebal": lambda A: _gebal(A, permute=False),
    "gebal, permuted": lambda A: _gebal(A, permute=True),
    "balance_matrix": lambda A: bg.balance_matrix(A)[0],
    "balance_matrix, permuted": lambda A: bg.balance_matrix(A, permute=True)[0],
}


def _gebal(A: np.ndarray, *, permute: bool) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # SciPy takes scales beyond the range of integers for indices, and then not
        return scipy.linalg.matrix_balance(A, permute=permute)[0]


OURS, PEERS = tuple(METHODS)[3:], tuple(METHODS)[:3]


@dataclass(frozen=True)
class Kind:
    """How to draw a cascade.

    Attributes
    ----------
    sizes : tuple of int
        Blocks have sizes from the first to the second.
    spread : float
        Scales of indices are ``10**normal(spread)``.
    coupling : float
        Decimal logarithm of the size of entries between blocks, before scaling.
    density : float
        Share of entries between blocks that are there.
    levels : float
        Standard deviation of the decimal logarithm of the size of a block.
    permuted : bool
    """

    sizes: tuple[int, int] = (1, 6)
    spread: float = 2.0
    coupling: float = 0.0
    density: float = 0.5
    levels: float = 0.0
    permuted: bool = True


KINDS = {
    "in order": Kind(permuted=False),
    "permuted": Kind(),
    "well scaled": Kind(spread=0.0),
    "very badly scaled": Kind(spread=5.0),
    "strong couplings": Kind(coupling=8.0),
    "weak couplings": Kind(coupling=-8.0),
    "few couplings": Kind(density=0.1),
    "blocks of different size": Kind(levels=2.0),
    "triangular": Kind(sizes=(1, 1)),
    "triangular, well scaled": Kind(sizes=(1, 1), spread=0.0),
    "no triangular end": Kind(sizes=(3, 6)),
}


def cascade(kind: Kind, seed: int, blocks: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A matrix and its eigenvalues, to double precision."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(kind.sizes[0], kind.sizes[1] + 1, blocks)
    block = np.repeat(np.arange(blocks), sizes)
    n = block.size
    level = 10.0 ** (kind.levels * rng.standard_normal(blocks))
    A = rng.standard_normal((n, n)) * level[block][:, None]
    later = block[:, None] < block
    A[later] *= 10.0**kind.coupling * (rng.random((n, n)) < kind.density)[later]
    A[block[:, None] > block] = 0.0
    scales = 10.0 ** (kind.spread * rng.standard_normal(n))
    A = scales[:, None] * A / scales
    exact = np.concatenate([_eigenvalues(A[np.ix_(block == k, block == k)]) for k in range(blocks)])
    order = rng.permutation(n) if kind.permuted else np.arange(n)
    return A[np.ix_(order, order)], exact


def _eigenvalues(A: np.ndarray) -> np.ndarray:
    """Those of the matrix of floats as it is, in 50 digits."""
    with mpmath.workdps(DIGITS):
        return np.array([complex(x) for x in mpmath.eig(mpmath.matrix(A.tolist()), left=False, right=False)])


def error(M: np.ndarray, exact: np.ndarray) -> float:
    """Largest error of an eigenvalue of M, computed from its Schur form, relative to the largest eigenvalue."""
    _, _, real, imaginary, *_ = scipy.linalg.lapack.dgees(lambda _: None, M, compute_v=0)
    distance = np.abs((real + 1j * imaginary)[:, None] - exact)
    return float(distance[linear_sum_assignment(distance)].max() / np.abs(exact).max())


def errors(kind: Kind, seed: int) -> dict[str, float]:
    """The error after each method."""
    A, exact = cascade(kind, seed)
    return {name: max(error(np.asfortranarray(method(A)), exact), ROUNDING) for name, method in METHODS.items()}


def row(kind: Kind, draws: int) -> dict[str, float]:
    """The median error after each method, and the worst ratio of each of ours to the best of the peers."""
    found = [errors(kind, seed) for seed in range(draws)]
    median = {method: float(np.median([one[method] for one in found])) for method in METHODS}
    worst = {f"worst, {ours}": max(one[ours] / min(one[peer] for peer in PEERS) for one in found) for ours in OURS}
    return median | worst


if __name__ == "__main__":
    columns = [*METHODS, *(f"worst, {ours}" for ours in OURS)]
    print("| cascade |", " | ".join(columns), "|")
    for name, kind in KINDS.items():
        found = row(kind, int(sys.argv[1]) if len(sys.argv) > 1 else 100)
        print(f"| {name} |", " | ".join(f"{found[column]:.1e}" for column in columns), "|", flush=True)
