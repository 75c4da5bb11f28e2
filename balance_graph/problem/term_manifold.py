"""The linear manifold of terms of any kind: ``L = A u`` for a sparse matrix A of small integers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.errors import UnsupportedError
from balance_graph.problem.linear_manifold import LinearManifold
from balance_graph.problem.log_domain import log_sum_by


@dataclass(frozen=True, eq=False)
class TermManifold(LinearManifold):
    """The manifold of terms whose log-gains are any linear forms in the unknowns: each unknown is a node of its own.

    Attributes
    ----------
    matrix : (n_terms, n_unknowns) sparse array
        A, in canonical CSR form.
    """

    matrix: Sparse

    # What a network can have and terms do not: a row says all.
    group = fixed = shared = subspace = names = None
    is_tied = True

    @property
    def n_nodes(self) -> int:
        """Number of unknowns."""
        return int(self.matrix.shape[1])

    @property
    def n_edges(self) -> int:
        """Number of terms."""
        return int(self.matrix.shape[0])

    @property
    def nodes(self) -> Sequence[Hashable]:
        """The numbers of the unknowns."""
        return range(self.n_nodes)

    @property
    def edges(self) -> Sequence[Hashable]:
        """The numbers of the terms."""
        return range(self.n_edges)

    def names_of(self, edges: Index) -> list[int]:
        """Their numbers."""
        return list(edges.tolist())

    @cached_property
    def pinned(self) -> Mask:
        """No unknown is."""
        return np.zeros(self.n_nodes, dtype=bool)

    @property
    def free_nodes(self) -> Index:
        """All unknowns."""
        return np.arange(self.n_nodes)

    @cached_property
    def basis(self) -> Sparse:
        """The identity."""
        return sparse.eye_array(self.n_nodes, format="csr")

    @property
    def reduced_incidence(self) -> Sparse:
        """The matrix A."""
        return self.matrix

    @cached_property
    def _entries(self) -> tuple[Index, Index, Index, Array]:
        """Row, column, side (n more for a negative entry) and logarithm of the size of each entry."""
        at = self.matrix.tocoo()
        return at.row, at.col, np.where(at.data > 0, at.col, at.col + self.n_nodes), np.log(np.abs(at.data))

    def log_gains(self, log_scales: Array, part: slice = slice(None)) -> Array:
        """``A u``."""
        return np.asarray((self.matrix if part == slice(None) else self.matrix[part]) @ log_scales)

    def log_gain_sizes(self, log_scales: Array) -> Array:
        """``|A| |u|``."""
        return np.asarray(abs(self.matrix) @ np.abs(log_scales))

    def net(self, flows: Array) -> Array:
        """``A^T y``."""
        return np.asarray(self.matrix.T @ flows)

    def log_in_out(self, log_flows: Array) -> tuple[Array, Array]:
        """Logarithms of the sums of ``|A_tk| y_t`` over positive and over negative entries, for each unknown."""
        row, _, side, log_size = self._entries
        sums = log_sum_by(side, log_size + log_flows[row], 2 * self.n_nodes)
        return sums[: self.n_nodes], sums[self.n_nodes :]

    def log_sides(self, log_flows: Array) -> tuple[Array, Array]:
        """The same: every unknown is a node."""
        return self.log_in_out(log_flows)

    def touched(self, terms: Mask) -> Mask:
        """Unknowns that one of the terms depends on."""
        row, column, _, _ = self._entries
        touched = np.zeros(self.n_nodes, dtype=bool)
        touched[column[terms[row]]] = True
        return touched

    def restricted(self, edges: Index) -> tuple[TermManifold, Index]:
        """The manifold of some terms, and their numbers."""
        return TermManifold(self.matrix[edges]), edges

    def obeys(self, log_scales: Array) -> bool:  # noqa: ARG002
        """Any log-scales do."""
        return True

    def equations(self, form: str = "nodes", *, max_paths: int = 0) -> Sparse:  # noqa: ARG002
        """Terms have no cycles and no paths."""
        message = f"terms have no graph, and so no equations along {form}; use form='nodes'"
        raise UnsupportedError(message)
