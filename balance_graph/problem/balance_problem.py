"""The balance problem as frozen arrays: an architecture, its weights, and the cost of a weight.

All arithmetic is in the log domain: the flow of an edge, ``y = phi'(L)`` (for L_p: ``p a |w e^L|**p``), is kept as
its logarithm, so that weights from 1e-150 to 1e150 and any exponent are ordinary input.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from balance_graph._floating_point import own_rules
from balance_graph._types import Array, Mask, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.problem._sparse_arguments import (
    canonical,
    edge_weights,
    group_array,
    log_coefficients,
    log_scales_array,
    node_array,
    pinned_array,
    term_costs,
    term_matrix,
)
from balance_graph.problem.constraints import check_groups, constrained
from balance_graph.problem.edge_costs import EdgeCosts
from balance_graph.problem.log_domain import exp_difference, exp_or_inf
from balance_graph.problem.manifold import Manifold
from balance_graph.problem.regularizers import Lp, Regularizer, as_regularizer
from balance_graph.problem.rows import Rows
from balance_graph.problem.scaling import scaled_weights
from balance_graph.problem.solution import Solution, check_solution
from balance_graph.problem.term_manifold import TermManifold
from balance_graph.problem.two_sides import TwoSides


@dataclass(frozen=True, eq=False)
class BalanceProblem(TwoSides):
    """Minimize the cost of a network over the scalings of its free nodes.

    Attributes
    ----------
    manifold : Manifold
        The architecture: edges, degrees, pinned and tied nodes, fixed edges, shared weights.
    weight : (n_edges,) array
        The weights as given; a zero weight costs nothing and constrains nothing.
    log_coefficient : (n_edges,) array
        Logarithm of each edge's coefficient.
    regularizer : Regularizer
    exponent : (n_edges,) array or None
        Exponents of edges that have their own (NaN elsewhere); with `Lp` only.

    See Also
    --------
    solve : Balances it.
    compile_graph : The problem of a graph.

    Examples
    --------
    >>> import balance_graph as bg, numpy as np
    >>> from scipy import sparse
    >>> W = sparse.csr_array(np.array([[0, 8.0, 0], [0, 0, 2.0], [0, 0, 0]]))
    >>> problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, True]))
    >>> bg.solve(problem).log_scales.round(6)
    array([ 0.      , -0.693147,  0.      ])
    """

    manifold: Manifold
    weight: Array
    log_coefficient: Array
    regularizer: Regularizer
    exponent: Array | None = None

    @classmethod
    @own_rules
    def from_sparse(
        cls,
        W: Any,  # noqa: N803
        *,
        pinned: ArrayLike,
        degree: ArrayLike = 1.0,
        regularizer: float | Regularizer = 2.0,
        groups: ArrayLike | None = None,
        coefficient: Any = None,
    ) -> BalanceProblem:
        """The problem of a sparse matrix: the large-scale door, without networkx.

        Parameters
        ----------
        W : scipy sparse array or matrix, shape (n, n)
            ``W[u, v]`` is the weight of edge u -> v. Stored zeros are inert; duplicates are summed. A CSR matrix
            without duplicates is not copied: do not change it while the problem is in use.
        pinned : (n,) boolean array
            Nodes whose scale is 1.
        degree : float or (n,) array
            Degree of homogeneity of the nodes.
        regularizer : float or Regularizer
            A number p means ``Lp(p)``.
        groups : (n,) integer array, optional
            Nodes with equal non-negative label share one scale.
        coefficient : float, or sparse of the same shape, optional
            Multiplies the cost of each edge; a sparse one must hold a positive number at every edge.

        Returns
        -------
        BalanceProblem
            Edges in the order of the canonical CSR form of `W`: by tail, then by head.

        Raises
        ------
        InvalidNetworkError, InvalidParameterError
            For wrong shapes, non-finite weights, non-positive degrees or coefficients, and groups that mix pinned
            and free nodes or different degrees.
        """
        matrix = canonical(W)
        n = matrix.shape[0]
        tail = np.repeat(np.arange(n, dtype=matrix.indices.dtype), np.diff(matrix.indptr))
        head = matrix.indices
        manifold = Manifold(
            tail=tail,
            head=head,
            degree=node_array(degree, n, "degree"),
            pinned=pinned_array(pinned, n),
            group=group_array(groups, n),
        )
        check_groups(manifold)
        return cls(
            manifold=manifold,
            weight=matrix.data,
            log_coefficient=log_coefficients(coefficient, matrix, tail, head),
            regularizer=as_regularizer(regularizer),
        )

    @classmethod
    def from_terms(
        cls,
        A: Any,  # noqa: N803
        log_coefficient: ArrayLike,
        exponent: ArrayLike = 2.0,
    ) -> BalanceProblem:
        """Minimize ``sum of exp(log_coefficient + exponent * (A u))`` over u: terms that need not be edges.

        Real layers have scales that enter a weight in other ways than one at its head and one at its tail: a query and
        its key carry inverse scales, so that the key's weights have the log-gain ``-l_q - l_in``; a gated product has
        three. Whatever holds for networks holds here with A in the place of the incidence matrix: the minimum is
        attained unless some direction d has ``A d <= 0`` and ``A d != 0``.

        Parameters
        ----------
        A : scipy sparse array or matrix, or array, shape (n_terms, n_unknowns)
            Small integers of any sign, any number in a row. Real numbers are taken, too.
        log_coefficient : (n_terms,) array
            Logarithms of the coefficients; ``-inf`` for a term that costs nothing.
        exponent : float or (n_terms,) array
            Positive.

        Returns
        -------
        BalanceProblem
            Its nodes are the unknowns, none of them pinned; its edges are the terms.

        Raises
        ------
        InvalidNetworkError, InvalidParameterError
            For entries that are not finite, wrong shapes, and exponents that are not positive.

        Examples
        --------
        ``exp(2 u) + exp(2 v) + exp(-2 u - 2 v)`` is least at zero:

        >>> import balance_graph as bg, numpy as np
        >>> problem = bg.BalanceProblem.from_terms([[1, 0], [0, 1], [-1, -1]], np.zeros(3))
        >>> solution = bg.solve(problem)
        >>> solution.converged, round(solution.cost, 12)
        (True, 3.0)
        """
        matrix = term_matrix(A)
        n_terms = matrix.shape[0]
        exponents = node_array(exponent, n_terms, "exponent", what="term")
        weight, logs = term_costs(log_coefficient, n_terms)
        uniform = bool(n_terms == 0 or np.all(exponents == exponents[0]))
        manifold: Any = TermManifold(matrix)
        return cls(
            manifold=manifold,
            weight=weight,
            log_coefficient=logs,
            regularizer=Lp(float(exponents[0]) if uniform and n_terms else 2.0),
            exponent=None if uniform else exponents,
        )

    def with_weights(self, weights: Any) -> BalanceProblem:
        """The same architecture with other weights, as after each step of training.

        All that depends on the architecture alone is shared with this problem, and found once. So is what also depends
        on which weights are zero, as long as the same ones are: otherwise it is found anew. Start the solve from the
        log-scales of the last one.

        Parameters
        ----------
        weights : (n_edges,) array, or scipy sparse array or matrix
            In the order of the edges, or ``W[u, v]`` with an entry stored for each edge and no other. For a problem
            from terms, the logarithms of its coefficients. Not copied where it is an array of floats: do not change it
            while the problem is in use.

        Returns
        -------
        BalanceProblem

        Raises
        ------
        InvalidNetworkError, InvalidParameterError
            For a wrong shape or other edges, and for weights that are not finite.

        Examples
        --------
        >>> import balance_graph as bg, numpy as np
        >>> from scipy import sparse
        >>> W = sparse.csr_array(np.array([[0, 8.0, 0], [0, 0, 2.0], [0, 0, 0]]))
        >>> problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, True]))
        >>> last = bg.solve(problem)
        >>> later = problem.with_weights([8.0, 4.0])
        >>> bg.solve(later, start=last.log_scales).log_scales.round(6)
        array([ 0.      , -0.346574,  0.      ])
        """
        if isinstance(self.manifold, TermManifold):
            weight, logs = term_costs(weights, self.n_edges)
            return replace(self, weight=weight, log_coefficient=logs)
        weight = edge_weights(weights, self.manifold)
        columns = [self.log_coefficient] if self.exponent is None else [self.log_coefficient, self.exponent]
        return replace(self, weight=weight, manifold=constrained(self.manifold, weight, *columns))

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.manifold.n_nodes

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return self.manifold.n_edges

    @property
    def nodes(self) -> Sequence[Hashable]:
        """The nodes in array order, as the user named them."""
        return self.manifold.nodes

    def checked_log_scales(self, values: ArrayLike, name: str) -> Array:
        """Log-scales of all nodes as an array, or `InvalidParameterError` where they break a constraint."""
        log_scales = log_scales_array(values, self.n_nodes, name)
        if not self.manifold.obeys(log_scales):
            others = "" if self.manifold.names is None else ", and keep fixed edges and shared weights"
            message = f"{name}: these break a constraint; log-scales are 0 where pinned, equal where tied{others}"
            raise InvalidParameterError(message)
        return log_scales

    def without_edges(self, dead: Mask) -> BalanceProblem:
        """The problem with the weights of some edges set to zero; like all zero weights they then constrain nothing."""
        if not dead.any():
            return self
        manifold = self.manifold
        if manifold.shared is not None:
            manifold = replace(manifold, shared=np.where(dead, -1, manifold.shared))
        return replace(self, manifold=manifold, weight=np.where(dead, 0.0, self.weight))

    def pruned(self, solution: Solution) -> BalanceProblem:
        """The problem that a solution with pruned weights is a solution of: those weights are zero.

        Parameters
        ----------
        solution : Solution
            Of this problem, from ``solve(problem, on_unattained="prune")``.

        Returns
        -------
        BalanceProblem
            The same object where nothing was pruned.

        Raises
        ------
        InvalidParameterError
            If the solution is one of another problem.

        Examples
        --------
        Nothing reaches node 1, so the weight that leaves it can shrink for ever:

        >>> import balance_graph as bg, numpy as np
        >>> from scipy import sparse
        >>> W = sparse.csr_array(np.array([[0, 0, 8.0, 0], [0, 0, 5.0, 0], [0, 0, 0, 2.0], [0, 0, 0, 0]]))
        >>> problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, False, True]))
        >>> solution = bg.solve(problem, on_unattained="prune")
        >>> rest = problem.pruned(solution)
        >>> round(rest.cost(solution.log_scales), 9), bg.certify(rest, solution.log_scales).relative_gap < 1e-12
        (32.0, True)
        """
        check_solution(solution, self.n_nodes, self.n_edges, self.regularizer)
        dead = np.zeros(self.n_edges, dtype=bool)
        dead[solution.pruned_rows] = True
        return self.without_edges(dead)

    def by_free_node(self, values: Array) -> dict[Hashable, float]:
        """Values over nodes as a dict over the free ones."""
        return {self.nodes[k]: float(values[k]) for k in self.manifold.free_nodes.tolist()}

    @cached_property
    def _costs(self) -> EdgeCosts:
        return EdgeCosts(self.manifold, self.weight, self.log_coefficient, self.regularizer, self.exponent)

    @property
    def log_weight(self) -> Array:
        """``log|w|`` of each edge, ``-inf`` for a zero weight."""
        return self._costs.log_weight

    @property
    def active(self) -> Mask:
        """Edges of nonzero weight."""
        active: Mask = self.weight != 0
        return active

    def __repr__(self) -> str:
        free = self.n_nodes - int(self.manifold.pinned.sum())
        return f"BalanceProblem({self.n_nodes} nodes, {free} free, {self.n_edges} edges, {self.regularizer!r})"

    @property
    def rows(self) -> Rows:
        """The cost as rows, a shared parameter once."""
        return self._costs.rows

    def log_gains(self, log_scales: Array) -> Array:
        """Log-gain of each edge, ``l_head - c l_tail``, for the log-scales of all nodes."""
        return self.manifold.log_gains(log_scales)

    def scaled(self, log_scales: ArrayLike | Solution) -> Sparse:
        """The sparse matrix of the weights after scaling: the balanced network, for the log-scales of a solution.

        Parameters
        ----------
        log_scales : (n_nodes,) array, or Solution
            Zero where pinned, and obeying the ties. With a `Solution` of `solve`, the weights that it pruned are zero.

        Returns
        -------
        csr_array, shape (n_nodes, n_nodes)
            ``W[u, v] * exp(l_v - c_u l_u)``, with an entry for every edge, zero weights included. Fixed weights are as
            they were, shared ones equal. Single precision stays single precision.

        Raises
        ------
        InvalidParameterError
            If the log-scales break a constraint.
        UnsupportedError
            If a weight would become infinite or zero.

        Examples
        --------
        >>> import balance_graph as bg, numpy as np
        >>> from scipy import sparse
        >>> W = sparse.csr_array(np.array([[0, 8.0, 0], [0, 0, 2.0], [0, 0, 0]]))
        >>> problem = bg.BalanceProblem.from_sparse(W, pinned=np.array([True, False, True]))
        >>> problem.scaled(bg.solve(problem)).toarray().round(9)
        array([[0., 4., 0.],
               [0., 0., 4.],
               [0., 0., 0.]])
        """
        dead = None
        if isinstance(log_scales, Solution):
            dead = self.edge_mask(log_scales.pruned_edges)
            log_scales = log_scales.log_scales
        manifold = self.manifold
        weights = scaled_weights(self, self.checked_log_scales(log_scales, "log_scales"), dead)
        matrix: Sparse = sparse.csr_array((weights, (manifold.tail, manifold.head)), shape=(self.n_nodes, self.n_nodes))
        return matrix

    def edge_mask(self, edges: Collection[tuple[Hashable, Hashable]]) -> Mask:
        """Which edges are among those given by their ends."""
        if not edges:
            return np.zeros(self.n_edges, dtype=bool)
        chosen = set(edges)
        return np.array([edge in chosen for edge in self.manifold.edges], dtype=bool)

    def log_cost(self, log_scales: Array) -> float:
        """Logarithm of the cost; ``-inf`` for a network without weights."""
        return self._costs.log_cost(log_scales)

    def cost(self, log_scales: Array) -> float:
        """The cost: the sum over every parameter of nonzero weight; inf where it exceeds the range of floats."""
        if not log_scales.any() and (exact := self._costs.total_as_given()) is not None:
            return exact
        return exp_or_inf(self.log_cost(log_scales))

    def log_flows(self, log_scales: Array) -> Array:
        """Logarithm of ``y_e = phi'_e(L_e)`` of every edge; edges that share a parameter split its flow equally."""
        return self._costs.log_flows(log_scales)

    def log_costs(self, log_scales: Array) -> Array:
        """Logarithm of the cost of every edge; edges that share a parameter split its cost equally."""
        return self._costs.log_costs(log_scales)

    def log_in_out(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of each node's in-cost and of its degree times its out-cost (a self-loop is in both)."""
        return self.manifold.log_in_out(self.log_flows(log_scales))

    def imbalance(self, log_scales: Array) -> Array:
        """In-cost less degree times out-cost of every node, 0 where pinned; for L_p each is p times the cost sum."""
        if not log_scales.any() and (given := self._costs.as_given) is not None:
            return np.where(self.manifold.pinned, 0.0, self.manifold.net(given[1]))
        into, out_of = self.log_in_out(log_scales)
        return np.where(self.manifold.pinned, 0.0, exp_difference(into, out_of))

    def log_sides(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of in-cost and degree times out-cost of each unknown: a free node, or nodes that move together."""
        return self.manifold.log_sides(self.log_flows(log_scales))
