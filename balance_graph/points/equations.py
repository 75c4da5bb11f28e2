"""The balance equations in logarithms, and safe steps towards their solution.

For unknown k let ``in_k`` be the sum of ``A_tk y_t`` over rows with ``A_tk > 0`` and ``out_k`` that of ``|A_tk| y_t``
over the others. Balanced means ``F_k = log in_k - log out_k = 0``. With W the matrix of the shares of each row in its
sum (signed), the Jacobian is ``W^T diag(kappa) A``, ``kappa = phi''/phi'``; for one exponent and degrees 1 it is
``p (2 I - P_in - P_out)`` with row-stochastic P. The Hessian of the cost, each row divided by its diagonal, has the
same form with other shares. All sums are taken in the log domain: nothing overflows, and no flow is too small to count.

The equations may be written in any basis of the unknowns: ``A Z`` in place of A (see `balance_graph.points.clusters`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.linear.factorization import Solve, factorize, factors
from balance_graph.problem.log_domain import log_ratio, log_sum_by

# Of directions.
_LONGEST = 1e290
# Share of the diagonal of a Jacobian below which an entry does not matter far from balance, and a far smaller one.
_LITTLE, _LEAST = 0.01, 1e-4
# Most refinements of a solution, and what each has to leave at most of what the one before has left.
_REFINEMENTS, _HEADWAY = 40, 0.8


@dataclass(frozen=True, eq=False)
class BalanceEquations:
    """The balance equations of rows with matrix A (n_rows, n_unknowns); see the module's text.

    Attributes
    ----------
    matrix : Sparse
    affordable : bool, optional
        Whether to factorize Jacobians: see `factorize`.
    """

    matrix: Sparse
    affordable: bool | None = None
    _row: Index = field(init=False)
    _column: Index = field(init=False)
    _side: Index = field(init=False)
    _log_size: Array = field(init=False)

    def __post_init__(self) -> None:
        at = self.matrix.tocoo()
        positive = at.data > 0
        for name, value in (
            ("_row", at.row),
            ("_column", at.col),
            ("_side", np.where(positive, at.col, at.col + self.size)),
            ("_log_size", np.log(np.abs(at.data))),
        ):
            object.__setattr__(self, name, value)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(self.matrix.shape[1])

    @cached_property
    def _transposed(self) -> tuple[Array, sparse.csr_array]:
        """Sign of each entry, and A^T's pattern with the entries' numbers as data."""
        number = np.arange(self._row.size)
        pattern = sparse.csr_array((number, (self._column, self._row)), shape=self.matrix.shape[::-1])
        return np.sign(self.matrix.tocoo().data), pattern

    def log_sides(self, log_slopes: Array) -> tuple[Array, Array]:
        """Logarithms of in_k and of out_k."""
        sums = log_sum_by(self._side, self._log_size + log_slopes[self._row], 2 * self.size)
        return sums[: self.size], sums[self.size :]

    def imbalance(self, log_slopes: Array) -> Array:
        """F: ``log in - log out`` of each unknown."""
        return log_ratio(*self.log_sides(log_slopes))

    def _shares(self, log_slopes: Array, log_norm: Array) -> Sparse:
        """W^T: each row's signed share ``A_tk y_t / norm`` (norm by unknown and side)."""
        sign, pattern = self._transposed
        with np.errstate(over="ignore", invalid="ignore"):
            share = sign * np.exp(self._log_size + log_slopes[self._row] - log_norm[self._side])
        return sparse.csr_array((share[pattern.data], pattern.indices, pattern.indptr), shape=pattern.shape)

    def jacobian(self, log_slopes: Array, ratio: Array) -> Any:
        """Jacobian of F."""
        norm = np.concatenate(self.log_sides(log_slopes))
        return self._product(self._shares(log_slopes, norm), ratio)

    def hessian(self, log_slopes: Array, ratio: Array) -> tuple[Any, sparse.csr_array]:
        """Hessian with each row divided by its diagonal entry, and W^T so divided: its row sums are the gradient."""
        with np.errstate(divide="ignore"):
            log_curvatures = log_slopes + np.log(ratio)
        log_diagonal = log_sum_by(self._column, 2 * self._log_size + log_curvatures[self._row], self.size)
        shares = self._shares(log_slopes, np.concatenate([log_diagonal, log_diagonal]))
        return self._product(shares, ratio), shares

    def hessian_root(self, log_slopes: Array, ratio: Array) -> tuple[Sparse, Array, Array]:
        """W with ``W^T W = D^-1/2 H D^-1/2`` for the Hessian H of diagonal D, ``log D``, and the gradient over D."""
        with np.errstate(divide="ignore"):
            log_roots = 0.5 * (log_slopes + np.log(ratio))
        log_diagonal = log_sum_by(self._column, 2.0 * (self._log_size + log_roots[self._row]), self.size)
        entries, at = self.matrix.tocoo(), self._column
        root = np.sign(entries.data) * np.exp(self._log_size + log_roots[self._row] - 0.5 * log_diagonal[at])
        share = np.sign(entries.data) * np.exp(self._log_size + log_slopes[self._row] - log_diagonal[at])
        gradient = np.bincount(at, share, minlength=self.size).astype(float)
        return (
            sparse.csr_array((root, self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape),
            log_diagonal,
            gradient,
        )

    def _product(self, shares: Sparse, ratio: Array) -> Any:
        """``W^T diag(kappa) A``."""
        return shares @ sparse.dia_array((ratio[None], 0), shape=(ratio.size, ratio.size)) @ self.matrix

    def newton_direction(self, log_slopes: Array, ratio: Array) -> Array | None:
        """Newton's direction for F = 0, or None where the Jacobian is singular."""
        solve = factorize(self.jacobian(log_slopes, ratio), affordable=self.affordable)
        return None if solve is None else _finite(solve(-self.imbalance(log_slopes)))

    def rough_direction(self, log_slopes: Array, ratio: Array) -> Array | None:
        """About Newton's direction for F = 0, entries of the Jacobian left out that are little of their diagonals."""
        found = _factors_of_large(self.jacobian(log_slopes, ratio), _LITTLE)
        return None if found is None else _finite(found.solve(-self.imbalance(log_slopes)))

    def refined_direction(self, log_slopes: Array, ratio: Array, goal_of: Callable[[float], float]) -> Array | None:
        """Newton's direction for the cost, nearly, at a fraction of its price; None where it is not found.

        The large entries of the Hessian are factorized, and the solution is refined until of the gradient, each
        component over its own diagonal entry, no more is left than a goal that follows from its size.
        """
        matrix, shares = self.hessian(log_slopes, ratio)
        right = -(shares @ np.ones(ratio.size))
        goal = goal_of(float(np.abs(right).max(initial=0.0)))
        for little in (_LITTLE, _LEAST):
            found = _factors_of_large(matrix, little)
            solution = None if found is None else _refined(matrix, right, found.solve, goal)
            if solution is not None:
                return _finite(solution)
        return None

    def cost_direction(self, log_slopes: Array, ratio: Array) -> Array | None:
        """Newton's direction for the cost, or None where the Hessian is singular."""
        matrix, shares = self.hessian(log_slopes, ratio)
        solve = factorize(matrix, affordable=self.affordable)
        return None if solve is None else _finite(solve(-(shares @ np.ones(ratio.size))))

    def convex_direction(self, log_slopes: Array, ratio: Array) -> Array | None:
        """Newton's direction for the cost, shortened so that no row's slope changes by more than a factor e.

        That step always lowers a sum of powers: with ``z = kappa A d`` and ``|z| <= 1`` the cost changes by at most
        ``(-t + 0.72 t^2) d^T H d`` along it.
        """
        direction = self.cost_direction(log_slopes, ratio)
        if direction is None:
            return None
        return direction / max(1.0, float(np.abs(ratio * (self.matrix @ direction)).max(initial=0.0)))


def _factors_of_large(matrix: Any, little: float) -> Any:
    """Factors of a matrix without the entries that are little of the diagonal entry of their row; None if singular."""
    entries = matrix.tocoo()
    diagonal = np.abs(entries.diagonal())
    kept = (np.abs(entries.data) >= little * diagonal[entries.row]) | (entries.row == entries.col)
    kept &= np.isfinite(entries.data)
    at = entries.row[kept], entries.col[kept]
    return factors(sparse.csc_matrix((entries.data[kept], at), shape=entries.shape), diagonal=True)


def _refined(matrix: Any, right: Array, solve: Solve, goal: float) -> Array | None:
    """Solution by an approximate inverse, refined until nothing above the goal is left; None where that gets stuck."""
    solution, left, before = np.zeros_like(right), right, np.inf
    with np.errstate(over="ignore", invalid="ignore"):  # where it leaves the range of floats it is stuck
        for _ in range(_REFINEMENTS):
            size = float(np.abs(left).max(initial=0.0))
            if size <= goal:
                return solution
            if not size <= _HEADWAY * before:
                return None
            solution = solution + solve(left)
            left, before = right - matrix @ solution, size
    return None


def _finite(vector: Array) -> Array | None:
    """A direction so long that products with it leave the range of floats is none."""
    return vector if np.abs(vector).max(initial=0.0) < _LONGEST else None
