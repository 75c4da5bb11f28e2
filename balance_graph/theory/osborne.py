"""Proven bounds on Osborne's iteration, beside the number of steps that it takes.

For a nonnegative matrix K without diagonal, ``A = D K D^-1`` is *balanced to the accuracy eps* if
``|r - c|_1 <= eps |A|_1``, with r the row sums, c the column sums of A. A step balances one index exactly. With
``Phi = log |A|_1``, ``kappa = |K|_1 / (least entry that is not 0)``, and d the diameter of the graph of K, which must
be strongly connected:

(1) ``Phi`` falls from start to optimum by at most ``log kappa``: the entries on any cycle keep their geometric mean.
(2) A step on i lowers ``|A|_1`` by ``(sqrt r_i - sqrt c_i)^2``, and ``Phi`` by at least that over ``|A|_1``.
(3) By Cauchy and Schwarz, ``|r - c|_1^2 <= sum (sqrt r - sqrt c)^2 * sum (sqrt r + sqrt c)^2``, and the last sum is at
    most ``4 |A|_1``. So at accuracy x the sum of (2) over all i is at least ``x^2 / 4``.
(4) While ``Phi`` is at most its start, log-scales differ by at most ``log kappa`` along every edge, hence by at most
    ``d log kappa`` in all; as ``Phi`` is convex and its gradient sums to 0, ``Phi - Phi* <= x d log kappa`` at
    accuracy x.

`steps_bound` puts these together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from balance_graph._arguments import Rng, check_count, check_positive, generator_of
from balance_graph._choices import check_choice
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.problem.log_domain import log_sum

# Both ends of the entries are then in the range of floats.
_LARGEST_LOG_CONDITION = 600.0
ORDERS = ("greedy", "random", "cyclic")


def log_condition(K: ArrayLike) -> float:  # noqa: N803
    """``log kappa``: logarithm of the sum of the off-diagonal entries over the least one that is not zero.

    Examples
    --------
    >>> from balance_graph.theory.osborne import log_condition
    >>> round(log_condition([[0, 3], [1, 0]]), 6)
    1.386294
    """
    matrix = _checked(K)
    return float(np.log(matrix.sum()) - np.log(matrix[matrix > 0].min()))


def diameter(K: ArrayLike) -> int:  # noqa: N803
    """Largest number of edges on a shortest directed path between two indices.

    Examples
    --------
    >>> from balance_graph.theory.osborne import diameter
    >>> diameter([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    2
    """
    from scipy.sparse import csgraph

    return int(csgraph.shortest_path(sparse.csr_array(_checked(K) > 0), unweighted=True).max())


def steps_bound(
    order: str,
    n: int,
    log_condition: float,
    accuracy: float,
    *,
    diameter: int | None = None,
    norm: int = 1,
) -> float:
    """Number of steps after which Osborne's iteration is proven to have reached an accuracy.

    Parameters
    ----------
    order : {"greedy", "random", "cyclic"}
        ``"greedy"``: the step that lowers the sum of entries most. ``"random"``: an index drawn uniformly; the bound is
        on the expected number. ``"cyclic"``: always in the same order.
    n : int
        Size of the matrix.
    log_condition : float
        ``log kappa``.
    accuracy : float
        eps, below 2.
    diameter : int, optional
        d; with it the bound grows as ``1 / eps`` in place of ``1 / eps**2`` where ``d eps < 1``.
    norm : {1, 2}
        2: for the accuracy ``|r - c|_2 <= eps |A|_1``, a weaker demand; greedy order only.

    Returns
    -------
    float

    Notes
    -----
    Rates: greedy in the 2-norm, ``O(log kappa / eps**2)`` steps, is Ostrovsky, Rabani and Yousefi (SODA 2017), who also
    have ``O(n**2 log kappa / eps**2)`` for cyclic order; random in ``O(n log kappa / eps * min(1 / eps, d))`` steps is
    Altschuler and Parrilo (Mathematical Programming, 2022); cyclic in as many is Cai, Altschuler and Diakonikolas
    (arXiv 2503.16312). The constants here are those of the following derivation from (1) to (4) of the module's text.

    *Greedy and random.* The largest decrease is at least the mean one, so by (3) a step at accuracy x lowers ``Phi`` by
    ``x^2 / (4 n)``, in expectation if random. By (4), ``x >= max(eps, (Phi - Phi*) / D)`` with ``D = d log kappa``. So
    the number of steps is at most the integral of ``4 n / max(eps, t / D)^2`` over t from 0 to ``log kappa``:
    ``4 n log kappa / eps^2``, or ``4 n log kappa (2 d / eps - d^2)`` if ``d eps < 1``. (In expectation: the integral up
    to ``Phi - Phi*`` is concave, so it falls by at least 1 a step on average, and it cannot fall below 0.)

    *Greedy, 2-norm.* ``|r - c|_2^2`` is at most the largest ``(sqrt r - sqrt c)^2`` times the sum of
    ``(sqrt r + sqrt c)^2``, so a step lowers ``Phi`` by ``x^2 / 4`` whatever n.

    *Cyclic.* Let S be the sum of ``|r_i - c_i|`` over a sweep, each at its own step. The step on i changes the entries
    of its row and column by ``|r_i - c_i|`` in total, and each of them counts at one other index, perhaps one still to
    come. So ``|r - c|_1 <= 2 S`` at the start of the sweep, where the accuracy is x and ``|A|_1`` is called R; and the
    sum of ``r_i + c_i``, each at its step, is at most ``2 R + S``. By Cauchy and Schwarz the sweep lowers ``|A|_1`` by
    at least ``S^2 / (4 R + 2 S)``, and ``Phi`` by ``x^2 / (16 + 4 x)``. Integrated as above.

    Examples
    --------
    >>> from balance_graph.theory.osborne import steps_bound
    >>> round(steps_bound("greedy", n=10, log_condition=5.0, accuracy=0.01))
    2000000
    >>> round(steps_bound("greedy", n=10, log_condition=5.0, accuracy=0.01, diameter=2))
    79200
    """
    check_count(n, "n")
    eps = check_positive(accuracy, "accuracy")
    if order not in ORDERS or norm not in (1, 2) or (norm == 2 and order != "greedy"):
        message = f"bounds are known for orders {', '.join(ORDERS)} in norm 1, greedy in norm 2; got {order!r}, {norm}"
        raise InvalidParameterError(message)
    d = 1.0 / eps if diameter is None else min(float(diameter), 1.0 / eps)
    if order == "cyclic":
        # With d = 1 / eps this is 16 / eps^2 + 4 / eps.
        return n * log_condition * d * (32.0 / eps + 4.0 - 16.0 * d - 4.0 * math.log(d * eps))
    if norm == 2:
        return 4.0 * log_condition / eps**2
    return 4.0 * n * log_condition * (2.0 * d / eps - d * d)


def count_steps(
    K: ArrayLike,  # noqa: N803
    order: str,
    accuracies: Sequence[float],
    *,
    rng: Rng = 0,
    max_steps: int = 200_000,
) -> Array:
    """Steps after which Osborne's iteration first reaches each accuracy; NaN where `max_steps` were not enough.

    The plain iteration on a dense matrix, one index at a time. (`balance_graph.StochasticSolver` is the fast one; its
    greedy order goes by the relative imbalance, not by the decrease that the bounds are about, and it stops between
    sweeps only.)

    Parameters
    ----------
    K : (n, n) array
        Nonnegative, strongly connected; the diagonal does not matter.
    order : {"greedy", "random", "cyclic"}
    accuracies : sequence of float
        Of ``|r - c|_1 / |A|_1``.
    rng : int, numpy Generator, RandomState or None
        Seed of the random order.
    max_steps : int

    Returns
    -------
    array

    Examples
    --------
    >>> from balance_graph.theory.osborne import count_steps
    >>> count_steps([[0, 3, 0], [0, 0, 5], [7, 0, 0]], "cyclic", [0.3, 1e-3])
    array([1., 7.])
    """
    matrix = _checked(K).copy()
    check_choice(order, "order", ORDERS)
    n, generator = len(matrix), generator_of(rng)
    counts = np.full(len(accuracies), np.nan)
    for step in range(max_steps + 1):
        row, column = matrix.sum(axis=1), matrix.sum(axis=0)
        accuracy = np.abs(row - column).sum() / row.sum()
        counts[np.isnan(counts) & (np.asarray(accuracies) >= accuracy)] = step
        if not np.isnan(counts).any():
            break
        if order == "greedy":
            k = int(np.argmax((np.sqrt(row) - np.sqrt(column)) ** 2))
        else:
            k = step % n if order == "cyclic" else int(generator.integers(n))
        factor = math.sqrt(column[k] / row[k])
        matrix[k] *= factor
        matrix[:, k] /= factor
    return counts


@dataclass(frozen=True, eq=False, repr=False)
class OsborneComparison:
    """Counted steps and proven bounds of one matrix.

    Attributes
    ----------
    accuracies : (k,) array
    counts, bounds : dict order -> (k,) array
        Steps counted, and proven to be enough.
    n, log_condition, diameter
        What the bounds depend on.
    """

    accuracies: Array
    counts: dict[str, Array]
    bounds: dict[str, Array]
    n: int
    log_condition: float
    diameter: int

    def __repr__(self) -> str:
        return f"OsborneComparison(n={self.n}, {', '.join(self.counts)}, {len(self.accuracies)} accuracies)"


def compare_bounds(
    K: ArrayLike,  # noqa: N803
    *,
    orders: Sequence[str] = ORDERS,
    accuracies: Sequence[float] = (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6),
    rng: Rng = 0,
    max_steps: int = 200_000,
) -> OsborneComparison:
    """Count steps, and evaluate the bounds, of one matrix.

    Parameters
    ----------
    K, accuracies, rng, max_steps
        As for `count_steps`.
    orders : sequence of str

    Returns
    -------
    OsborneComparison

    Examples
    --------
    >>> from balance_graph.theory.osborne import compare_bounds, exponential_matrix
    >>> found = compare_bounds(exponential_matrix(10, degree=3, rng=0))
    >>> all((found.counts[order] <= found.bounds[order]).all() for order in found.counts)
    True
    """
    matrix = _checked(K)
    n, size, across = len(matrix), log_condition(matrix), diameter(matrix)
    return OsborneComparison(
        accuracies=np.asarray(accuracies, dtype=float),
        counts={order: count_steps(matrix, order, accuracies, rng=rng, max_steps=max_steps) for order in orders},
        bounds={
            order: np.array([steps_bound(order, n, size, eps, diameter=across) for eps in accuracies])
            for order in orders
        },
        n=n,
        log_condition=size,
        diameter=across,
    )


def exponential_matrix(n: int, *, degree: int = 4, log_condition: float | None = None, rng: Rng = 0) -> Array:
    """Sparse random matrix with independent Exp(1) entries, strongly connected.

    Parameters
    ----------
    n : int
    degree : int
        Entries a row: one on a random cycle through all indices, the others anywhere.
    log_condition : float, optional
        Raise all entries to the one power that gives the matrix this ``log kappa``, at most 600; by default they stay
        as drawn.
    rng : int, numpy Generator, RandomState or None

    Returns
    -------
    (n, n) array

    Examples
    --------
    >>> from balance_graph.theory.osborne import exponential_matrix, log_condition
    >>> round(log_condition(exponential_matrix(20, log_condition=30.0)), 6)
    30.0
    """
    generator = generator_of(rng)
    matrix = np.zeros((n, n))
    cycle = generator.permutation(n)
    matrix[cycle, np.roll(cycle, -1)] = generator.exponential(size=n)
    for k in range(n):
        others = np.flatnonzero((matrix[k] == 0) & (np.arange(n) != k))
        chosen = generator.choice(others, min(degree - 1, others.size), replace=False)
        matrix[k, chosen] = generator.exponential(size=chosen.size)
    return matrix if log_condition is None else _with_condition(matrix, log_condition)


def _with_condition(matrix: Array, goal: float) -> Array:
    entries = np.log(matrix[matrix > 0])

    def reached(power: float) -> float:
        return log_sum(power * (entries - entries.min()))

    if not goal <= _LARGEST_LOG_CONDITION:
        message = f"log_condition is {goal:g}: entries leave the range of floats above {_LARGEST_LOG_CONDITION:g}"
        raise InvalidParameterError(message)
    if goal < reached(0.0):
        message = f"log_condition is {goal:g}, but {entries.size} entries have at least log {entries.size}"
        raise InvalidParameterError(message)
    low, high = 0.0, 1.0
    while reached(high) < goal:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if reached(middle) < goal else (low, middle)
    return np.where(matrix > 0, matrix**high, 0.0)


def gibbs_kernel(n: int, *, least: float = 1e-10, rng: Rng = 0) -> Array:
    """``exp(-C / eta)`` for a random cost matrix C with entries uniform in [0, 1], without diagonal.

    Balancing such matrices finds cycles of least mean cost as eta tends to 0.

    Parameters
    ----------
    n : int
    least : float
        ``exp(-1 / eta)``: no entry is smaller.
    rng : int, numpy Generator, RandomState or None

    Returns
    -------
    (n, n) array

    Examples
    --------
    >>> from balance_graph.theory.osborne import gibbs_kernel
    >>> gibbs_kernel(5).shape
    (5, 5)
    """
    costs = generator_of(rng).uniform(size=(n, n))
    kernel = np.exp(costs * math.log(least))
    np.fill_diagonal(kernel, 0.0)
    return np.asarray(kernel)


def _checked(K: ArrayLike) -> Array:  # noqa: N803
    """The matrix without its diagonal, if it can be balanced."""
    matrix = np.array(K, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        message = f"K must be square, with two rows or more; got shape {matrix.shape}"
        raise InvalidParameterError(message)
    np.fill_diagonal(matrix, 0.0)
    if not np.all(np.isfinite(matrix) & (matrix >= 0)):
        message = "K must have nonnegative, finite entries; for norms other than 1 pass abs(K)**p"
        raise InvalidParameterError(message)
    from scipy.sparse import csgraph

    parts, _ = csgraph.connected_components(sparse.csr_array(matrix), connection="strong")
    if parts > 1:
        message = f"K must be strongly connected; it has {parts} strongly connected parts, take one of them"
        raise InvalidParameterError(message)
    return matrix
