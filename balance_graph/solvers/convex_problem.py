"""The balance problem in cvxpy, built to be read and extended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Form
from balance_graph.errors import InvalidParameterError, InvalidRegularizerError, SolverError, UnsupportedError
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.elimination import independent_rows
from balance_graph.problem.manifold import Manifold, check_form
from balance_graph.problem.rows import FunctionRows, PowerRows, Rows


@dataclass(frozen=True, eq=False, repr=False)
class ConvexProblem:
    """A balance problem as a cvxpy problem.

    Attributes
    ----------
    problem : cvxpy.Problem
        Minimize the cost over the linear manifold.
    log_gains : cvxpy expression of shape (n_edges,)
        One log-gain per edge, in the order of `edges`: use it in constraints and terms of your own.
    edges : list of (node, node)
    log_coefficients : cvxpy.Parameter
        Logarithm of the cost of each row at ``log_gains = 0`` (for a `LogConvex` regularizer the log-weights): the
        problem is compiled once and solved again for new weights, see `set_weights`. What cvxpy compiles for that
        grows with edges times nodes (1.5 GB at 10 000 edges): solve large problems with ``.solve(ignore_dpp=True)``,
        which takes the parameter's present value as a number.
    manifold : Manifold
    rows : Rows
        The cost as it was compiled.

    See Also
    --------
    convex_problem : Returns it.

    Examples
    --------
    No weight of a chain may grow by more than a factor of 1.2:

    >>> import balance_graph as bg, cvxpy as cp, numpy as np
    >>> model = bg.convex_problem(bg.networks.chain(weights=[1.0, 4.0, 16.0]), 2.0)
    >>> limited = cp.Problem(model.problem.objective, [*model.problem.constraints, model.log_gains <= np.log(1.2)])
    >>> _ = limited.solve()
    >>> bool(model.log_gains.value.max() <= np.log(1.2) + 1e-6)
    True
    """

    problem: Any
    log_gains: Any
    edges: list[tuple[Any, Any]]
    log_coefficients: Any
    manifold: Manifold
    rows: Rows = field(repr=False)

    def __repr__(self) -> str:
        constraints = len(self.problem.constraints)
        return f"ConvexProblem({self.manifold!r}, {constraints} constraint{'s' * (constraints != 1)})"

    def set_weights(self, problem: BalanceProblem) -> None:
        """Take over the weights of a problem of the same architecture (and pattern of zeros), without recompiling.

        Raises
        ------
        InvalidParameterError
            If edges, zeros, regularizer or exponents (for `LogConvex` coefficients) are others.
        """
        rows = problem.rows
        if problem.manifold.edges != self.edges or set(rows.edge.tolist()) != set(self.rows.edge.tolist()):
            message = "set_weights needs the same edges in the same order and the same zeros; build anew instead"
            raise InvalidParameterError(message)
        if not _cost_alike(rows, self.rows):
            costs = f"{problem.regularizer!r} or the exponents (for LogConvex coefficients) of edges"
            message = f"set_weights changes weights, not what they cost: {costs} are others; build anew instead"
            raise InvalidParameterError(message)
        self.log_coefficients.value = _parameter_values(rows)

    def log_scales(self) -> dict[Any, float]:
        """Log-scale of every free node after `problem` has been solved."""
        if self.log_gains.value is None:
            message = "the problem has no values yet: call .problem.solve() first"
            raise SolverError(message)
        log_scales = self.manifold.log_scales_of(np.asarray(self.log_gains.value))
        return {self.manifold.nodes[k]: float(log_scales[k]) for k in self.manifold.free_nodes.tolist()}


def build_convex_problem(
    manifold: Manifold, rows: Rows, *, form: Form = "nodes", max_paths: int = 10_000
) -> ConvexProblem:
    """Minimize the cost of the rows over the manifold, in one of its three forms."""
    import cvxpy as cp

    check_form(form)
    parameter = _parameter(rows.edge.size)
    parameter.value = _parameter_values(rows)
    log_gains, constraints = log_gain_expressions(manifold, form, max_paths)
    cost = cost_expression(rows, parameter, log_gains[rows.edge]) if rows.edge.size else cp.Constant(0.0)
    return ConvexProblem(
        cp.Problem(cp.Minimize(cost), constraints), log_gains, manifold.edges, parameter, manifold, rows
    )


def _parameter(size: int) -> Any:
    """One log coefficient per row."""
    import cvxpy as cp

    try:
        return cp.Parameter(size, name="log_coefficients")
    except ValueError as error:
        if size:
            raise
        message = (
            "this network has no nonzero weight, and expressions without entries need cvxpy 1.9 or newer; "
            f"this is {cp.__version__}"
        )
        raise UnsupportedError(message) from error


def log_gain_expressions(manifold: Manifold, form: Form, max_paths: int = 10_000) -> tuple[Any, list[Any]]:
    """The log-gain of every edge as a cvxpy expression, and the constraints that keep it on the manifold."""
    import cvxpy as cp

    if form == "nodes":
        matrix = manifold.reduced_incidence
        if matrix.shape[1] == 0:  # nothing can be scaled; not every cvxpy has variables without entries
            return cp.Constant(np.zeros(manifold.n_edges)), []
        unknowns = cp.Variable(matrix.shape[1], name="log_scales")
        constraints = [unknowns[manifold.gauges] == 0] if manifold.gauges.size else []
        return sparse.csr_matrix(matrix) @ unknowns, constraints
    # Paths repeat one another, and conic solvers stumble on dependent equations.
    equations = independent_rows(manifold.equations(form, max_paths=max_paths))
    if manifold.n_edges == 0:
        return cp.Constant(np.zeros(0)), []
    log_gains = cp.Variable(manifold.n_edges, name="log_gains")
    return log_gains, [sparse.csr_matrix(equations) @ log_gains == 0] if equations.shape[0] else []


def _parameter_values(rows: Rows) -> Array:
    return rows.log_weight if isinstance(rows, FunctionRows) else rows.log_costs(np.zeros(rows.edge.size))


def _cost_alike(one: Rows, two: Rows) -> bool:
    """Whether rows of the same edges cost the same but for what the parameter of a `ConvexProblem` can change."""
    if isinstance(one, PowerRows):
        return isinstance(two, PowerRows) and np.array_equal(one.exponent, two.exponent)
    if isinstance(two, PowerRows) or one.regularizer != two.regularizer:
        return False
    return np.array_equal(one.log_coefficient, two.log_coefficient)


def cost_expression(rows: Rows, log_coefficients: Any, log_gains: Any) -> Any:
    """The cost of rows from their log coefficients (a parameter, or numbers) and the log-gain of each."""
    import cvxpy as cp

    if isinstance(rows, PowerRows):
        return cp.sum(cp.exp(log_coefficients + cp.multiply(rows.exponent, log_gains)))
    assert isinstance(rows, FunctionRows)
    if not rows.regularizer.is_expressible:
        message = (
            "this LogConvex regularizer has no cvxpy expression; give LogConvex(..., expression=lambda x: ...) as a "
            "convex function of a cvxpy expression x, e.g. lambda x: cp.logistic(2 * x) for log(1 + w^2)"
        )
        raise InvalidRegularizerError(message)
    values = rows.regularizer.convex(cp, log_coefficients + log_gains)
    if not (isinstance(values, cp.Expression) and values.is_convex() and values.shape == log_coefficients.shape):
        message = f"LogConvex: expression must return a convex cvxpy expression of the shape of x, got {values!r}"
        raise InvalidRegularizerError(message)
    return cp.sum(cp.multiply(np.exp(rows.log_coefficient), values))
