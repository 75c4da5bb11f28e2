"""A linear manifold of log-gains, ``L = A u``, whatever its unknowns stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.linear.factorization import factorize
from balance_graph.problem.elimination import gauge_columns


class LinearManifold(ABC):
    """Log-gains ``L = A u`` of terms, one row each, and log-scales ``l = T u`` of nodes.

    What `Manifold` (the edges of a network) and `TermManifold` (terms of any kind) have in common.
    """

    @property
    @abstractmethod
    def n_edges(self) -> int:
        """Number of terms: the length of a vector of log-gains."""

    @property
    @abstractmethod
    def edges(self) -> Sequence[Any]:
        """Names of the terms, in the row order of every array and matrix."""

    @property
    @abstractmethod
    def basis(self) -> Sparse:
        """The matrix T with ``l = T u``."""

    @property
    @abstractmethod
    def reduced_incidence(self) -> Sparse:
        """The matrix A with ``L = A u``."""

    @abstractmethod
    def names_of(self, edges: Index) -> list[Any]:
        """Names of some of the terms."""

    @abstractmethod
    def log_gains(self, log_scales: Array, part: slice = slice(None)) -> Array:
        """Log-gains of the terms, or of a part of them, for the log-scales of all nodes."""

    @abstractmethod
    def log_gain_sizes(self, log_scales: Array) -> Array:
        """Sum of the sizes of the numbers that each log-gain is the sum of: what its rounding is relative to."""

    @abstractmethod
    def net(self, flows: Array) -> Array:
        """What flows through the terms leave at each node: in less degree times out."""

    @abstractmethod
    def log_in_out(self, log_flows: Array) -> tuple[Array, Array]:
        """Logarithms of what flows into each node, and of its degree times what flows out."""

    @abstractmethod
    def log_sides(self, log_flows: Array) -> tuple[Array, Array]:
        """Logarithms of what flows in and out of each unknown."""

    @abstractmethod
    def touched(self, terms: Mask) -> Mask:
        """Nodes whose log-scales some of the terms depend on."""

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What has been found about this architecture: problems that share it find it here."""
        return {}

    @cached_property
    def gauges(self) -> Index:
        """Unknowns to set to zero so that the log-gains determine the rest: one for each gauge freedom."""
        return gauge_columns(self.reduced_incidence)

    @property
    def dimension(self) -> int:
        """Dimension of the manifold: the rank of A, the number of free scales less the gauges."""
        return int(self.reduced_incidence.shape[1]) - self.gauges.size

    def contains(self, log_gains: ArrayLike | Mapping[Any, float], *, tol: float = 1e-9) -> bool:
        """Whether log-gains lie on the manifold: the distance to it is at most `tol` times ``max(1, max|L|)``.

        Parameters
        ----------
        log_gains : array of shape (n_edges,) in the order of `edges`, or dict edge -> L
        tol : float
            Relative tolerance.
        """
        vector = self._vector(log_gains)
        distance = np.abs(vector - self.project(vector)).max(initial=0.0)
        return bool(distance <= tol * max(1.0, np.abs(vector).max(initial=0.0)))

    def project(self, log_gains: ArrayLike | Mapping[Any, float]) -> Array:
        """The point of the manifold nearest to the given log-gains, in the Euclidean norm over edges."""
        vector = self._vector(log_gains)
        return np.asarray(self.reduced_incidence @ self._least_squares(vector))

    def log_scales_of(self, log_gains: ArrayLike | Mapping[Any, float]) -> Array:
        """Log-scales of all nodes whose log-gains are nearest to the given ones (gauges set to zero)."""
        return np.asarray(self.basis @ self._least_squares(self._vector(log_gains)))

    @cached_property
    def _solve_normal(self) -> Callable[[Array], Array]:
        keep = np.setdiff1d(np.arange(self.reduced_incidence.shape[1]), self.gauges)
        reduced = sparse.csc_array(self.reduced_incidence)[:, keep]
        factor = factorize(reduced.T @ reduced)
        assert factor is not None, "without the gauges A has full column rank"

        def solve(right: Array) -> Array:
            unknowns = np.zeros(self.reduced_incidence.shape[1])
            unknowns[keep] = factor(right[keep])
            return unknowns

        return solve

    def _least_squares(self, vector: Array) -> Array:
        matrix = self.reduced_incidence
        unknowns = self._solve_normal(matrix.T @ vector)
        # One step of refinement makes up for the squared condition of the normal equations.
        return unknowns + self._solve_normal(matrix.T @ (vector - matrix @ unknowns))

    def _vector(self, log_gains: ArrayLike | Mapping[Any, float]) -> Array:
        if isinstance(log_gains, Mapping):
            missing = [edge for edge in self.edges if edge not in log_gains]
            if missing or len(log_gains) != self.n_edges:
                message = f"log-gains must have one entry for each of the {self.n_edges} edges; missing: {missing[:3]}"
                raise InvalidParameterError(message)
            log_gains = [log_gains[edge] for edge in self.edges]
        vector = np.asarray(log_gains, dtype=float)
        if vector.shape != (self.n_edges,) or not np.all(np.isfinite(vector)):
            message = (
                f"log-gains must be {self.n_edges} finite numbers in the order of .edges, got shape {vector.shape}"
            )
            raise InvalidParameterError(message)
        return vector
