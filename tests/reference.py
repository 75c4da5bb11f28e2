"""A slow, obvious twin: the balanced optimum to 50 digits, computed without the package.

Nothing here imports ``balance_graph``: the attributes are read again, from the contract alone. The log-scales are
restricted to the linear manifold by exact rational elimination (tied nodes, fixed edges, shared weights, gauge), and
the convex cost is minimized by Newton's method in arithmetic precise enough that no Hessian is numerically singular.

A far start is met by a homotopy. For ``phi(x) = exp(x)`` with ``x = log a + p (log|w| + L)`` the stages minimize
``sum phi(tau x)`` for tau = small, ..., 1/2, 1: the first is nearly quadratic, and as tau doubles the minimizer moves
by about 1/tau, that is by O(1) in the units ``tau x`` in which Newton's method works. So the number of iterations grows
with the number of digits of the range of the weights, not with the range.

A regularizer is a plain tuple: ``("lp", p)``, ``("elastic", l1, l2)`` for ``l1 |w| + l2 w^2``,
``("posynomial", [(a, p), ...])`` for ``sum a |w|^p``, ``("log1p2",)`` for ``log(1 + w^2)``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mpmath import mp, mpf

try:
    import flint
except ImportError:  # only time depends on it
    flint = None

if TYPE_CHECKING:
    import networkx as nx

Node = Hashable
Edge = tuple[Node, Node]
Row = dict[Node, Fraction]
Regularizer = tuple[Any, ...]

# The answer is asked for to 1e-45; Newton stops a little below, and its last step squares that error.
STEP_GOAL = mpf(10) ** -50
CHECK_GOAL = mpf(10) ** -45
# Between stages only the neighborhood of quadratic convergence matters.
STAGE_GOAL = mpf("0.25")
# Steps that change no exponent by more than this are in that neighborhood: taken whole, without a line search,
# whose comparison of costs would drown in rounding near the optimum.
WHOLE_STEP = mpf("0.05")
MAX_ITERATIONS = 150
MAX_HALVINGS = 60


class NotAttained(ArithmeticError):
    """Newton's method did not settle: the minimum is not attained (or this reference is not good enough)."""


@dataclass(frozen=True)
class ReferenceOptimum:
    """The optimum, with the evidence for it.

    ``cost``, ``log_cost`` and ``weights`` (signed, zeros included) are unique. ``log_scales`` (free nodes) are one
    representative when ``gauge_dimension > 0``. ``basis`` spans the admissible changes of the log-scales, one
    node -> coefficient mapping each, gauge included. ``gradient`` is the largest ``|sum| / sum|.|`` over coordinates
    and ``step`` the largest change of an exponent or coordinate in one further Newton step, both computed with half
    as many digits again as the ``digits`` of the solve.
    """

    cost: mpf
    log_cost: mpf
    weights: dict[Edge, mpf]
    log_gains: dict[Edge, mpf]
    log_scales: dict[Node, mpf]
    basis: list[dict[Node, Fraction]]
    dimension: int
    gauge_dimension: int
    digits: int
    iterations: int
    gradient: mpf
    step: mpf


# --- reading the network --------------------------------------------------------------------------------------------

_DEGREE_ONE = {"linear", "relu", "leaky_relu", "abs", "bilu"}


def degree(activation: str) -> Fraction | None:
    """Degree of homogeneity of an activation given as text; None where it is not homogeneous."""
    name, _, arguments = activation.replace(" ", "").partition("(")
    if name in _DEGREE_ONE:
        return Fraction(1)
    if name == "relu2":
        return Fraction(2)
    if name == "bipu":
        return Fraction(float(arguments.rstrip(")").split(",")[0]))
    return None


def role(G: nx.DiGraph, node: Node) -> str:
    """The explicit role, else the one that the edges imply; edges of weight zero and self-loops are edges."""
    explicit = G.nodes[node].get("role")
    if explicit is not None:
        return explicit
    if G.in_degree(node) == 0:
        return "input"
    return "output" if G.out_degree(node) == 0 else "hidden"


def free_degrees(G: nx.DiGraph) -> dict[Node, Fraction]:
    """Degree of each free node: hidden and homogeneous."""
    hidden = [node for node in G if role(G, node) == "hidden"]
    degrees = {node: degree(G.nodes[node].get("activation", "relu")) for node in hidden}
    return {node: c for node, c in degrees.items() if c is not None}


def nonzero_edges(G: nx.DiGraph, weight: str = "weight") -> list[Edge]:
    """The edges that cost and constrain something."""
    return [(tail, head) for tail, head, w in G.edges(data=weight) if w != 0]


def gain_row(edge: Edge, degrees: Mapping[Node, Fraction]) -> Row:
    """``L_e = l_head - c_tail l_tail`` as a row over the free nodes; a self-loop gets ``1 - c``."""
    tail, head = edge
    row: Row = {}
    if head in degrees:
        row[head] = Fraction(1)
    if tail in degrees:
        row[tail] = row.get(tail, Fraction(0)) - degrees[tail]
    return {node: value for node, value in row.items() if value != 0}


def _members(labels: Mapping[Any, Any]) -> list[list[Any]]:
    """The keys that carry each label other than None."""
    classes: dict[Any, list[Any]] = {}
    for key, label in labels.items():
        if label is not None:
            classes.setdefault(label, []).append(key)
    return list(classes.values())


def _shared_classes(G: nx.DiGraph, edges: list[Edge], weight: str) -> list[list[Edge]]:
    classes = _members({edge: G.edges[edge].get("shared") for edge in edges})
    for members in classes:
        values = {(abs(G.edges[e][weight]), G.edges[e].get("coefficient", 1)) for e in members}
        if len(values) > 1:
            raise ValueError(f"shared edges {members} are one parameter, but differ: {values}")
    return classes


def _difference(first: Row, second: Row) -> Row:
    nodes = first.keys() | second.keys()
    row = {node: first.get(node, Fraction(0)) - second.get(node, Fraction(0)) for node in nodes}
    return {node: value for node, value in row.items() if value != 0}


def constraint_rows(G: nx.DiGraph, degrees: Mapping[Node, Fraction], weight: str) -> list[Row]:
    """Rows r with ``r l = 0``: tied nodes, fixed edges, shared weights."""
    edges = nonzero_edges(G, weight)
    gains = {edge: gain_row(edge, degrees) for edge in edges}
    scales = {node: {node: Fraction(1)} if node in degrees else {} for node in G}
    rows = [gains[edge] for edge in edges if G.edges[edge].get("fixed", False)]
    for first, *others in _members(dict(G.nodes(data="group"))):
        rows += [_difference(scales[other], scales[first]) for other in others]
    for first, *others in _shared_classes(G, edges, weight):
        rows += [_difference(gains[other], gains[first]) for other in others]
    return [row for row in rows if row]


# --- exact linear algebra -------------------------------------------------------------------------------------------


def reduced_echelon(rows: list[list[Fraction]], width: int) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form over the rationals, and its pivot columns."""
    rows, pivots = [list(row) for row in rows], []
    for column in range(width):
        top = len(pivots)
        found = next((i for i in range(top, len(rows)) if rows[i][column] != 0), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [value / rows[top][column] for value in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column] != 0:
                factor = row[column]
                rows[i] = [a - factor * b for a, b in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return rows[: len(pivots)], pivots


def null_space(rows: list[list[Fraction]], width: int) -> list[list[Fraction]]:
    """A basis of ``{l : r l = 0 for every row r}``, one vector per column without a pivot."""
    echelon, pivots = reduced_echelon(rows, width)
    basis = []
    for free in (column for column in range(width) if column not in pivots):
        vector = [Fraction(int(column == free)) for column in range(width)]
        for row, pivot in zip(echelon, pivots, strict=True):
            vector[pivot] = -row[free]
        basis.append(vector)
    return basis


def scale_basis(G: nx.DiGraph, weight: str = "weight") -> list[dict[Node, Fraction]]:
    """The admissible changes of the log-scales: a basis of the null space of the constraints."""
    degrees = free_degrees(G)
    nodes = list(degrees)
    rows = [[row.get(node, Fraction(0)) for node in nodes] for row in constraint_rows(G, degrees, weight)]
    vectors = null_space(rows, len(nodes))
    return [{node: value for node, value in zip(nodes, vector, strict=True) if value != 0} for vector in vectors]


def _product(row: Row, direction: Mapping[Node, Fraction]) -> Fraction:
    return sum((value * direction.get(node, Fraction(0)) for node, value in row.items()), Fraction(0))


# --- the cost -------------------------------------------------------------------------------------------------------

# Bits from which Flint takes less time than mpmath: a third of it at 10 000 bits.
FLINT_BITS = 2000


def exponential(x: mpf) -> mpf:
    """``exp(x)`` in the precision in use."""
    return _elementary("exp", x)


def logarithm(x: mpf) -> mpf:
    """``log(x)`` in the precision in use."""
    return _elementary("log", x)


def _elementary(name: str, x: mpf) -> mpf:
    """By Flint where digits are many, since little else takes time there."""
    if flint is None or mp.prec < FLINT_BITS or x == 0:
        return getattr(mp, name)(x)
    sign, mantissa, exponent, _ = x._mpf_
    flint.ctx.prec = mp.prec + 20
    value = getattr(flint.arb((int(-mantissa if sign else mantissa), int(exponent))), name)()
    return +mp.ldexp(*map(int, value.mid().man_exp()))


@dataclass(frozen=True)
class _Term:
    """``multiplier * phi(x)``, ``x = shift + exponent * (log|w| + row . v)``, phi = exp or softplus."""

    row: dict[int, Fraction]
    weight: float
    exponent: float
    coefficient: Fraction
    softplus: bool

    def shift(self) -> mpf:
        """x at v = 0. An exponential absorbs its coefficient, so that the homotopy tames its range as well."""
        log_coefficient = 0 if self.softplus else logarithm(to_mpf(self.coefficient))
        return log_coefficient + mpf(self.exponent) * logarithm(abs(mpf(self.weight)))

    def jet(self, x: mpf) -> tuple[mpf, mpf, mpf]:
        """phi and its first two derivatives in x, multiplier included."""
        power = exponential(x)
        if not self.softplus:
            return power, power, power
        a, rest = to_mpf(self.coefficient), 1 / (1 + power)
        return a * mp.log1p(power), a * power * rest, a * power * rest**2


def powers(regularizer: Regularizer) -> list[tuple[float, float]]:
    """(coefficient, exponent) of each power of |w| in the regularizer."""
    kind, *numbers = regularizer
    if kind == "lp":
        return [(1.0, numbers[0])]
    if kind == "elastic":
        return [(a, p) for a, p in zip(numbers, (1.0, 2.0), strict=True) if a != 0]
    if kind == "posynomial":
        return list(numbers[0])
    raise ValueError(f"unknown regularizer {regularizer!r}")


def _edge_terms(data: dict[str, Any], weight: str, regularizer: Regularizer, row: dict[int, Fraction]) -> list[_Term]:
    coefficient, exponent = data.get("coefficient", 1.0), data.get("exponent")
    if exponent is not None and regularizer[0] != "lp":
        raise ValueError("an exponent per edge goes with lp only")
    if regularizer[0] == "log1p2":
        return [_Term(row, data[weight], 2.0, Fraction(coefficient), softplus=True)]
    chosen = [(1.0, exponent)] if exponent is not None else powers(regularizer)
    # Products of coefficients stay exact, so that they are rounded once, to the precision in use.
    return [_Term(row, data[weight], p, Fraction(a) * Fraction(coefficient), softplus=False) for a, p in chosen]


def to_mpf(value: Fraction) -> mpf:
    return mpf(value.numerator) / value.denominator


def costed_edges(G: nx.DiGraph, weight: str = "weight") -> list[Edge]:
    """Nonzero edges, of each shared parameter the first only."""
    edges = nonzero_edges(G, weight)
    repeated = {edge for _, *others in _shared_classes(G, edges, weight) for edge in others}
    return [edge for edge in edges if edge not in repeated]


def log_gains(G: nx.DiGraph, log_scales: Mapping[Node, mpf]) -> dict[Edge, mpf]:
    """``l_head - c_tail l_tail`` of every edge, straight from the definition."""
    degrees = free_degrees(G)
    zero = mpf(0)
    return {
        (tail, head): log_scales.get(head, zero) - to_mpf(degrees.get(tail, Fraction(0))) * log_scales.get(tail, zero)
        for tail, head in G.edges
    }


def reference_cost(
    G: nx.DiGraph,
    regularizer: Regularizer,
    log_scales: Mapping[Node, mpf] | None = None,
    weight: str = "weight",
) -> mpf:
    """Cost of the network after scaling by `log_scales` (by default as it stands), in the current precision."""
    gains = log_gains(G, log_scales or {})
    total = mpf(0)
    for edge in costed_edges(G, weight):
        for term in _edge_terms(G.edges[edge], weight, regularizer, {}):
            total += term.jet(term.shift() + mpf(term.exponent) * gains[edge])[0]
    return total


# --- Newton's method ------------------------------------------------------------------------------------------------


@dataclass
class _Problem:
    """Terms over the coordinates v in the current precision, and the homotopy parameter tau."""

    terms: list[_Term]
    dimension: int
    digits: int = 0

    def at_precision(self, digits: int) -> None:
        """Evaluate the constants of every term with this many digits."""
        if digits == self.digits:
            return
        self.digits = digits
        self.shifts = [term.shift() for term in self.terms]
        self.slopes = [
            [(j, mpf(term.exponent) * to_mpf(value)) for j, value in term.row.items()] for term in self.terms
        ]

    def exponents(self, v: list[mpf], tau: mpf) -> list[mpf]:
        """``tau x`` of every term."""
        pairs = zip(self.shifts, self.slopes, strict=True)
        return [tau * (shift + sum(a * v[j] for j, a in slopes)) for shift, slopes in pairs]

    def changes(self, step: list[mpf], tau: mpf) -> list[mpf]:
        """Change of every exponent along the step."""
        return [tau * sum(a * step[j] for j, a in slopes) for slopes in self.slopes]

    def cost(self, v: list[mpf], tau: mpf) -> mpf:
        pairs = zip(self.terms, self.exponents(v, tau), strict=True)
        return mp.fsum(term.jet(x)[0] for term, x in pairs)

    def derivatives(self, v: list[mpf], tau: mpf) -> tuple[list[mpf], list[mpf], list[list[mpf]]]:
        """Gradient, the same sums with absolute values, and the Hessian (lower triangle), in v / tau units."""
        n = self.dimension
        gradient, total = [mpf(0)] * n, [mpf(0)] * n
        hessian = [[mpf(0)] * n for _ in range(n)]
        for term, slopes, x in zip(self.terms, self.slopes, self.exponents(v, tau), strict=True):
            _, first, second = term.jet(x)
            for j, a in slopes:
                gradient[j] += tau * a * first
                total[j] += tau * abs(a) * first
                for k, b in slopes:
                    if k <= j:
                        hessian[j][k] += tau**2 * a * b * second
        return gradient, total, hessian


def solve_positive(matrix: list[list[mpf]], right: list[mpf]) -> list[mpf]:
    """Solve with a symmetric positive definite matrix (lower triangle given) by Cholesky's factorization."""
    n = len(right)
    lower: list[list[mpf]] = []
    for i in range(n):
        row: list[mpf] = []
        for j in range(i):
            row.append((matrix[i][j] - mp.fdot(row, lower[j][:j])) / lower[j][j])
        pivot = matrix[i][i] - mp.fdot(row, row)
        if pivot <= 0:
            raise NotAttained(f"the Hessian is singular at {mp.dps} digits")
        lower.append([*row, mp.sqrt(pivot)])
    forward: list[mpf] = []
    for i in range(n):
        forward.append((right[i] - mp.fdot(lower[i][:i], forward)) / lower[i][i])
    solution = [mpf(0)] * n
    for i in reversed(range(n)):
        column = [(lower[k][i], solution[k]) for k in range(i + 1, n)]
        solution[i] = (forward[i] - mp.fdot(column)) / lower[i][i]
    return solution


def _digits(problem: _Problem, exponents: list[mpf], least: int) -> int:
    """Digits that keep the Hessian regular: its condition number is about the range of the terms.

    The square of that range is allowed for, since the line search compares costs, in which a weak part weighs its
    own share of the whole. Softplus decays on both sides of 0.
    """
    ends = [mpf(0), *exponents] if any(term.softplus for term in problem.terms) else exponents
    decades = float(max(ends) - min(ends)) / math.log(10)
    return least + 50 * math.ceil(2 * decades / 50)


def _search(problem: _Problem, v: list[mpf], step: list[mpf], slope: mpf, tau: mpf) -> list[mpf]:
    """Armijo's rule: the first halving of the step that lowers the cost by a fair part of what its slope promises."""
    start, length = problem.cost(v, tau), mpf(1)
    # A stage moves by O(1) in these units: a longer step is a model gone astray, cut before its costs are computed.
    while length * max(problem.changes(step, tau)) > 30:
        length /= 2
    for _ in range(MAX_HALVINGS):
        moved = [a + length * d for a, d in zip(v, step, strict=True)]
        if problem.cost(moved, tau) <= start + length * slope / 10**4:
            return moved
        length /= 2
    raise NotAttained("the line search found no decrease")


def _stage(problem: _Problem, v: list[mpf], tau: mpf, goal: mpf, least_digits: int) -> tuple[list[mpf], int]:
    """Damped Newton's method until a step changes no exponent by more than `goal`; that step is taken too."""
    for iteration in range(1, MAX_ITERATIONS + 1):
        # The exponents are needed to choose the digits, and a rough value will do.
        with mp.workdps(max(problem.digits, 30)):
            digits = max(_digits(problem, problem.exponents(v, tau), least_digits), least_digits)
        with mp.workdps(digits):
            problem.at_precision(digits)
            gradient, _, hessian = problem.derivatives(v, tau)
            step = [-d for d in solve_positive(hessian, gradient)]
            size = max(map(abs, problem.changes(step, tau)))
            if size <= max(goal, WHOLE_STEP):
                v = [a + d for a, d in zip(v, step, strict=True)]
            else:
                v = _search(problem, v, step, mp.fdot(gradient, step), tau)
            if size <= goal:
                return v, iteration
    raise NotAttained(f"no convergence in {MAX_ITERATIONS} Newton iterations at tau = {mp.nstr(tau, 5)}")


def _first_tau(problem: _Problem) -> mpf:
    """A power of two that brings the range of the exponents below about 4: nearly a quadratic problem."""
    with mp.workdps(30):
        problem.at_precision(30)
        exponents = problem.exponents([mpf(0)] * problem.dimension, mpf(1))
        spread = max(map(abs, exponents)) if problem.terms[0].softplus else max(exponents) - min(exponents)
    return mpf(2) ** -max(0, math.ceil(math.log2(max(float(spread) / 4, 1.0))))


def _evidence(problem: _Problem, v: list[mpf]) -> tuple[mpf, mpf]:
    """Relative gradient and the next Newton step, in half as many digits again, so that rounding cannot flatter."""
    with mp.workdps(problem.digits * 3 // 2):
        problem.at_precision(mp.dps)
        gradient, total, hessian = problem.derivatives(v, mpf(1))
        step = solve_positive(hessian, gradient)
        relative = [abs(g) / t for g, t in zip(gradient, total, strict=True)]
        return max(relative), max(map(abs, [*step, *problem.changes(step, mpf(1))]))


def _minimize(problem: _Problem) -> tuple[list[mpf], int, int, mpf, mpf]:
    """The minimizer, the digits and iterations spent, and the evidence."""
    v = [mpf(0)] * problem.dimension
    if problem.dimension == 0:
        return v, 60, 0, mpf(0), mpf(0)
    tau, iterations = _first_tau(problem), 0
    while tau < 1:
        v, spent = _stage(problem, v, tau, STAGE_GOAL, 30)
        tau, iterations = 2 * tau, iterations + spent
    v, spent = _stage(problem, v, mpf(1), STEP_GOAL, 80)
    digits = problem.digits
    gradient, step = _evidence(problem, v)
    if not max(gradient, step) < CHECK_GOAL:
        raise NotAttained(f"unproven optimum: gradient {mp.nstr(gradient, 5)}, step {mp.nstr(step, 5)}")
    return v, digits, iterations + spent, gradient, step


# --- the door -------------------------------------------------------------------------------------------------------


def _coordinates(G: nx.DiGraph, basis: list[dict[Node, Fraction]], weight: str) -> list[int]:
    """Members of the basis that remain when the gauge is removed: independent columns of the reduced incidence."""
    degrees = free_degrees(G)
    rows = [gain_row(edge, degrees) for edge in nonzero_edges(G, weight)]
    matrix = [[_product(row, direction) for direction in basis] for row in rows]
    return reduced_echelon(matrix, len(basis))[1]


def _problem(G: nx.DiGraph, regularizer: Regularizer, directions: list[dict[Node, Fraction]], weight: str) -> _Problem:
    """Only what depends on the coordinates: a large constant would cost digits for nothing."""
    degrees = free_degrees(G)
    terms: list[_Term] = []
    for edge in costed_edges(G, weight):
        gains = gain_row(edge, degrees)
        row = {j: value for j, d in enumerate(directions) if (value := _product(gains, d)) != 0}
        if row:
            terms += _edge_terms(G.edges[edge], weight, regularizer, row)
    return _Problem(terms, len(directions))


def reference_optimum(G: nx.DiGraph, regularizer: Regularizer, weight: str = "weight") -> ReferenceOptimum:
    """Weights and cost of the balanced network that `G` can be scaled to, to 45 digits or better.

    Raises
    ------
    NotAttained
        If Newton's method does not settle, or its answer fails the check at higher precision.
    """
    basis = scale_basis(G, weight)
    chosen = _coordinates(G, basis, weight)
    directions = [basis[j] for j in chosen]
    v, digits, iterations, gradient, step = _minimize(_problem(G, regularizer, directions, weight))
    with mp.workdps(digits):
        log_scales = {
            node: mp.fsum(to_mpf(d[node]) * a for d, a in zip(directions, v, strict=True) if node in d)
            for node in free_degrees(G)
        }
        gains = log_gains(G, log_scales)
        cost = reference_cost(G, regularizer, log_scales, weight)
        return ReferenceOptimum(
            cost=cost,
            log_cost=mp.log(cost) if cost > 0 else mpf("-inf"),
            weights={edge: mpf(G.edges[edge][weight]) * mp.exp(gain) for edge, gain in gains.items()},
            log_gains=gains,
            log_scales=log_scales,
            basis=basis,
            dimension=len(chosen),
            gauge_dimension=len(basis) - len(chosen),
            digits=digits,
            iterations=iterations,
            gradient=gradient,
            step=step,
        )
