"""The balance problem as frozen arrays: an architecture, its weights, and the cost of a weight.

All arithmetic is in the log domain: the flow of an edge, ``y = phi'(L)`` (for L_p: ``p a |w e^L|**p``), is kept as
its logarithm, so that weights from 1e-150 to 1e150 and any exponent are ordinary input.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from balance_graph._floating_point import own_rules
from balance_graph._types import Array, Index, Mask, Sparse
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
from balance_graph.problem.cost_range import LEAST, MOST, are_in_range
from balance_graph.problem.log_domain import exp_or_inf, log_abs, log_ratio, log_sum, log_sum_by, times_exp
from balance_graph.problem.manifold import Manifold, first_of_label
from balance_graph.problem.regularizers import Lp, Regularizer, as_regularizer, same_cost
from balance_graph.problem.rows import Rows
from balance_graph.problem.scaling import scaled_weights
from balance_graph.problem.solution import Solution
from balance_graph.problem.term_manifold import TermManifold

# Edges to a block: few enough for the nearest memory.
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class BalanceProblem:
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

    @property
    def unscaled(self) -> Array:
        """Log-scales of the network as it stands: all zero."""
        return np.zeros(self.n_nodes)

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
        self.check_solution(solution)
        dead = np.zeros(self.n_edges, dtype=bool)
        dead[solution.pruned_rows] = True
        return self.without_edges(dead)

    def check_solution(self, solution: Solution) -> None:
        """Refuse a solution of another problem: of other nodes or edges, or another regularizer."""
        if not isinstance(solution, Solution):
            message = f"solution must be what solve(problem) returned, got {solution!r}"
            raise InvalidParameterError(message)
        if solution.log_scales.shape != (self.n_nodes,) or solution.pruned_rows.max(initial=-1) >= self.n_edges:
            message = f"the solution is one of another problem, of {solution.log_scales.size} nodes, not {self.n_nodes}"
            raise InvalidParameterError(message)
        if not same_cost(solution.regularizer, self.regularizer):
            message = (
                f"the solution is balanced for {solution.regularizer!r}, the problem asks for {self.regularizer!r}; "
                "solve the problem, or build it with the regularizer of the solution"
            )
            raise InvalidParameterError(message)

    def by_free_node(self, values: Array) -> dict[Hashable, float]:
        """Values over nodes as a dict over the free ones."""
        return {self.nodes[k]: float(values[k]) for k in self.manifold.free_nodes.tolist()}

    @cached_property
    def log_weight(self) -> Array:
        """``log|w|`` of each edge, ``-inf`` for a zero weight."""
        return log_abs(self.weight)

    @property
    def active(self) -> Mask:
        """Edges of nonzero weight."""
        active: Mask = self.weight != 0
        return active

    def __repr__(self) -> str:
        free = self.n_nodes - int(self.manifold.pinned.sum())
        return f"BalanceProblem({self.n_nodes} nodes, {free} free, {self.n_edges} edges, {self.regularizer!r})"

    @cached_property
    def _shares(self) -> tuple[Index, Array] | None:
        """First edge of each edge's parameter, and log of the number of edges that share it."""
        shared = self.manifold.shared
        if shared is None or not np.any(shared >= 0):
            return None
        first = first_of_label(shared)
        return first, np.log(np.bincount(first, minlength=self.n_edges)[first])

    @cached_property
    def _checked_regularizer(self) -> Regularizer:
        """The regularizer, once it is known to hold at the weights."""
        if self.regularizer.has_checks:
            self.regularizer.check(self.log_weight[self.active], "the weight of an edge")
        return self.regularizer

    @cached_property
    def rows(self) -> Rows:
        """The cost as rows, a shared parameter once."""
        rows = self._checked_regularizer.rows(self.log_weight, self.log_coefficient, self.exponent)
        if self._shares is None:
            return rows
        return rows.take(self._shares[0][rows.edge] == rows.edge)

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
        if self._shares is not None:
            return log_sum(self.rows.log_costs(self.log_gains(log_scales)[self.rows.edge]))
        return log_sum(np.array([self._log_cost_of(part, log_scales) for part in self._blocks()]))

    def _log_cost_of(self, part: slice, log_scales: Array) -> float:
        exponent = None if self.exponent is None else self.exponent[part]
        rows = self._checked_regularizer.rows(log_abs(self.weight[part]), self.log_coefficient[part], exponent)
        return log_sum(rows.log_costs(self.manifold.log_gains(log_scales, part)[rows.edge]))

    def _blocks(self) -> Iterator[slice]:
        """Edges of which costs are computed at a time, where no more than their sum is wanted."""
        return (slice(first, first + _BLOCK) for first in range(0, self.n_edges, _BLOCK))

    @cached_property
    def _as_given(self) -> tuple[Array, Array] | None:
        """Cost and slope of every edge at log-scales zero, from the weights themselves; shared ones split equally.

        None near the ends of the range of floats, where only logarithms are safe.
        """
        weight = self.weight.astype(np.float64)
        with np.errstate(over="ignore"):
            parts = self.regularizer.linear(weight, np.exp(self.log_coefficient), self.exponent)
        if parts is None or not all(are_in_range(part, weight != 0.0) for part in parts):
            return None
        count = 1.0 if self._shares is None else np.round(np.exp(self._shares[1]))
        return parts[0] / count, parts[1] / count

    def cost(self, log_scales: Array) -> float:
        """The cost: the sum over every parameter of nonzero weight; inf where it exceeds the range of floats."""
        if not log_scales.any() and (exact := self._cost_as_given()) is not None:
            return exact
        return exp_or_inf(self.log_cost(log_scales))

    def _cost_as_given(self) -> float | None:
        """The cost at log-scales zero from the weights themselves, block by block; None where only logarithms do."""
        if self._shares is not None or self.exponent is not None:
            return None if self._as_given is None else float(self._as_given[0].sum())
        total = 0.0
        for part in self._blocks():
            weight = self.weight[part].astype(np.float64)
            log_coefficient = self.log_coefficient[part]
            with np.errstate(over="ignore"):
                coefficient = np.exp(log_coefficient) if log_coefficient.any() else 1.0
            costs = self.regularizer.linear(weight, coefficient, None)
            if costs is None:
                return None
            with np.errstate(over="ignore"):
                total += float(costs[0].sum())
        # Costs too small for floats are lost in a sum that is far from their end.
        return total if LEAST <= total <= MOST else None

    def log_flows(self, log_scales: Array) -> Array:
        """Logarithm of ``y_e = phi'_e(L_e)`` of every edge; edges that share a parameter split its flow equally."""
        rows = self.rows
        log_slopes, _ = rows.log_slopes(self.log_gains(log_scales)[rows.edge])
        return self._split(log_sum_by(rows.edge, log_slopes, self.n_edges))

    def log_costs(self, log_scales: Array) -> Array:
        """Logarithm of the cost of every edge; edges that share a parameter split its cost equally."""
        rows = self.rows
        costs = rows.log_costs(self.log_gains(log_scales)[rows.edge])
        return self._split(log_sum_by(rows.edge, costs, self.n_edges))

    def _split(self, logarithms: Array) -> Array:
        """Logarithms over edges, that of a shared parameter (at its first edge) in equal parts to all that share it."""
        if self._shares is None:
            return logarithms
        first, log_count = self._shares
        return logarithms[first] - log_count

    def log_in_out(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of each node's in-cost and of its degree times its out-cost (a self-loop is in both)."""
        return self.manifold.log_in_out(self.log_flows(log_scales))

    def imbalance(self, log_scales: Array) -> Array:
        """In-cost less degree times out-cost of every node, 0 where pinned; for L_p each is p times the cost sum."""
        if self._as_given is not None and not log_scales.any():
            return np.where(self.manifold.pinned, 0.0, self.manifold.net(self._as_given[1]))
        into, out_of = self.log_in_out(log_scales)
        largest = np.maximum(into, out_of)
        with np.errstate(invalid="ignore"):
            share = np.where(into == out_of, 0.0, -np.expm1(-np.abs(into - out_of)))
        size = times_exp(share, largest)
        return np.where(self.manifold.pinned, 0.0, np.where(into < out_of, -size, size))

    def log_sides(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of in-cost and degree times out-cost of each unknown: a free node, or nodes that move together."""
        return self.manifold.log_sides(self.log_flows(log_scales))

    def relative_imbalances(self, log_scales: Array) -> Array:
        """``|in - c out| / (in + c out)`` of each unknown."""
        return np.tanh(0.5 * np.abs(log_ratio(*self.log_sides(log_scales))))

    def relative_imbalance(self, log_scales: Array) -> float:
        """The largest relative imbalance; 0 for a network without free nodes."""
        return float(self.relative_imbalances(log_scales).max(initial=0.0))
