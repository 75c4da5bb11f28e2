"""Asymptotic rates of local balancing: predicted from the Hessian at the optimum, and measured on runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from balance_graph._arguments import Rng, check_count, generator_of
from balance_graph._choices import check_choice
from balance_graph._types import Array, Order
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.local.stochastic import ORDERS, StochasticSolver
from balance_graph.theory._local_model import LocalModel, local_model
from balance_graph.theory._sweeps import (
    deterministic_rate,
    greedy_bound,
    mean_growth,
    square_growth,
    typical_rate,
)

Average: TypeAlias = Literal["square", "typical", "mean"]
AVERAGES: tuple[Average, ...] = ("square", "typical", "mean")
_RANDOM = ("random", "shuffled")
# Errors between these are measured: at 1e-4 the model is linear to four digits, and at 1e-10 a log-scale, which is
# known to about 1e-15, still has five.
_LARGEST, _LEAST = 1e-4, 1e-10
# Relative imbalance below which a run has reached its rounding.
_ROUNDED = 1e-12
_SWEEPS_A_RUN = 50
# A shift that leaves no error that a float can show.
_NOTHING = 1e-300


def predicted_rate(
    problem: BalanceProblem,
    log_scales: Array | None = None,
    order: Order = "cyclic",
    *,
    average: Average = "square",
    rng: Rng = 0,
) -> float:
    """Factor by which local balancing shrinks the error of the log-scales in a sweep, near the optimum.

    Near the optimum local balancing is coordinate descent on a quadratic function, that is, Gauss-Seidel on its Hessian
    ``H = A^T diag(phi'') A``. Scaled to unit diagonal, ``K = D^-1/2 H D^-1/2``, it decides everything.

    Parameters
    ----------
    problem : BalanceProblem
    log_scales : (n_nodes,) array, optional
        Those of the optimum; by default they are computed.
    order : {"cyclic", "colored", "random", "shuffled", "greedy"}
        As for `balance_graph.StochasticSolver`. ``"cyclic"``: the spectral radius of the Gauss-Seidel iteration in the
        order of the unknowns; ``"colored"``: in the order of the color classes. ``"random"``, ``"shuffled"``: see
        `average`.
        ``"greedy"``: no rate, but a bound on it: the root of the excess ``R - R*`` shrinks at least by this factor.
    average : {"square", "typical", "mean"}
        What shrinks, in random orders. ``"square"``: the root of the mean square error, by the spectral radius of the
        operator ``X -> E[Q X Q^T]``, Q the K-orthogonal projection of a random step. ``"mean"``: the mean error, which
        for ``"random"`` shrinks by ``(1 - lambda_min(K) / n)**n``. ``"typical"``: almost every single run, by the
        Lyapunov exponent, no function of a spectrum: by simulation of the linear model. Typical and mean are at most
        square. Permutations are averaged over exactly up to nine unknowns, then over a sample of 200.
    rng : int, numpy Generator, RandomState or None
        Seed of simulations and samples.

    Returns
    -------
    float
        In [0, 1); 0 where one sweep is exact, as for a single unknown.

    Raises
    ------
    NotAttainedError
        If the minimum is not attained.
    UnsupportedError
        For shared weights that do not reduce to tied nodes: the local balancer cannot solve them either.
    InvalidParameterError
        For log-scales that are not balanced, or more unknowns than second moments can be computed for.

    Notes
    -----
    The mean square over random steps obeys a linear recursion because each step is linear and drawn independently of
    the error; one step maps ``X = E[z z^T]`` to ``X - (K X + X K) / n + diag(K X K) / n``.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from balance_graph.theory.rates import predicted_rate
    >>> problem = bg.compile_graph(bg.networks.chain(3, rng=0))

    A balanced chain of three units has ``K = tridiagonal(-1/2, 1, -1/2)``, so Gauss-Seidel shrinks the error by the
    square of the cosine of a quarter of pi:

    >>> round(predicted_rate(problem), 12)
    0.5
    >>> round(predicted_rate(problem, order="random", average="mean"), 6)
    0.734772
    """
    _check(order, average)
    model = local_model(problem, log_scales)
    if model.size == 0:
        return 0.0
    if order in ("cyclic", "colored"):
        return deterministic_rate(model.matrix, model.sequence(order))
    if order == "greedy":
        return greedy_bound(model.dense, model.log_side, model.log_diagonal)
    return _random_rate(model, order, average, generator_of(rng))


def _random_rate(model: LocalModel, order: Order, average: Average, rng: np.random.Generator) -> float:
    if average == "mean":
        return mean_growth(model.dense, order, rng)[0]
    if average == "square":
        return float(np.sqrt(max(square_growth(model.dense, order, rng)[0], 0.0)))
    if order == "shuffled" and model.size == 1:
        return 0.0
    return typical_rate(model.dense, order, rng, sweeps=20_000)


@dataclass(frozen=True)
class Measurement:
    """A rate read off recorded runs.

    Attributes
    ----------
    rate : float
        Factor by which the error shrank in a sweep.
    standard_error : float
        Of the rate: from the scatter of sweeps in random orders, from the difference of two halves in the others.
    sweeps : int
        Sweeps that counted.
    """

    rate: float
    standard_error: float
    sweeps: int


def measured_rate(
    problem: BalanceProblem,
    order: Order = "cyclic",
    *,
    average: Average = "square",
    sweeps: int = 1000,
    rng: Rng = 0,
) -> float:
    """Factor by which the error of the log-scales shrank in a sweep of the local balancer: `measure_rate`'s rate.

    Parameters
    ----------
    problem : BalanceProblem
    order : str
        As for `balance_graph.StochasticSolver`.
    average : {"square", "typical", "mean"}
        As for `predicted_rate`.
    sweeps : int
        Sweeps to measure.
    rng : int, numpy Generator, RandomState or None
        Seed of the start, and of random orders.

    Returns
    -------
    float

    Examples
    --------
    >>> import balance_graph as bg
    >>> from balance_graph.theory.rates import measured_rate
    >>> problem = bg.compile_graph(bg.networks.chain(3, rng=0))
    >>> round(measured_rate(problem), 3)
    0.5
    """
    return measure_rate(problem, order, average=average, sweeps=sweeps, rng=rng).rate


def measure_rate(
    problem: BalanceProblem,
    order: Order = "cyclic",
    *,
    average: Average = "square",
    sweeps: int = 1000,
    rng: Rng = 0,
) -> Measurement:
    """Measure the asymptotic rate of the local balancer on recorded runs.

    Each run starts at a distance of about 1e-4 from the optimum and is followed until the error nears rounding. For
    rates that belong to one long run, the next one starts in the direction of the error that the last one left.

    Parameters
    ----------
    problem, order, average, sweeps, rng
        As for `measured_rate`.

    Returns
    -------
    Measurement

    Notes
    -----
    In deterministic orders, in greedy order, and for ``average="typical"``, the mean of ``log(|e'| / |e|)`` over the
    second half of all sweeps; e is the error of the unknowns' log-scales before a sweep, ``e'`` after it. For
    ``"square"`` the sum of ``e' W e'`` over that of ``e W e``, each e scaled to unit length, with W the matrix for
    which the expectation of ``e' W e'`` is the same multiple of ``e W e`` from every e: so each sweep counts, where an
    average of ``|e|**2`` over long runs would be ruled by the rarest. For ``"mean"``, likewise, the regression of
    ``w e'`` on ``w e``. W and w belong to the prediction; were it wrong, the sums would not come out as predicted.

    Examples
    --------
    >>> import balance_graph as bg
    >>> from balance_graph.theory.rates import measure_rate, predicted_rate
    >>> problem = bg.compile_graph(bg.networks.chain(3, rng=0))
    >>> measured = measure_rate(problem, "random", average="mean")
    >>> predicted = predicted_rate(problem, order="random", average="mean")
    >>> abs(measured.rate - predicted) < 4 * measured.standard_error
    True
    """
    _check(order, average)
    check_count(sweeps, "sweeps")
    model = local_model(problem)
    if model.size == 0:
        return Measurement(0.0, 0.0, 0)
    generator = generator_of(rng)
    typical = order not in _RANDOM or average == "typical"
    before, after = _recorded_sweeps(model, order, sweeps, generator, one_run=typical)
    if typical:
        return _from_lengths(before, after)
    if average == "square":
        return _from_squares(before, after, square_growth(model.dense, order, generator)[1])
    return _from_means(before, after, mean_growth(model.dense, order, generator)[1])


def _check(order: Order, average: Average) -> None:
    for value, allowed, name in ((order, ORDERS, "order"), (average, AVERAGES, "average")):
        check_choice(value, name, allowed)


def _recorded_sweeps(
    model: LocalModel, order: Order, sweeps: int, rng: np.random.Generator, *, one_run: bool
) -> tuple[Array, Array]:
    """Errors z before and after each sweep, rows scaled so that those before have unit length."""
    old, new = [], []
    direction = rng.standard_normal(model.size)
    count = 0
    while count < sweeps:
        errors = _run(model, order, direction, rng)
        length = np.linalg.norm(errors, axis=1)[:, None]
        old.append(errors[:-1] / length[:-1])
        new.append(errors[1:] / length[:-1])
        count += len(errors) - 1
        # After an exact sweep nothing is left to go on from.
        left = one_run and length[-1] > _LEAST * 1e-4
        direction = errors[-1] if left else rng.standard_normal(model.size)
    return np.concatenate(old)[:sweeps], np.concatenate(new)[:sweeps]


def _run(model: LocalModel, order: Order, direction: Array, rng: np.random.Generator) -> Array:
    """Errors z of one run from near the optimum: of the start, and after each sweep from an error that still counts."""
    quotient = model.quotient
    error = direction / model.scaling
    error *= _LARGEST / (max(model.steepest, 1.0) * np.abs(error).max())
    solver = StochasticSolver(order, tol=_ROUNDED / 10, max_sweeps=_SWEEPS_A_RUN, rng=rng, record=True)
    solution = solve(quotient.problem, solver, start=quotient.expand(error))
    errors = model.displacements(np.stack(solution.history.log_scales))
    # Whether a sweep counts is decided before it is made, so that nothing is selected by its outcome.
    small = np.abs(errors).max(axis=1) < np.abs(errors[0]).max() * (_LEAST / _LARGEST)
    ended = np.flatnonzero(small | (np.array(solution.history.imbalance) < _ROUNDED))
    last = ended[0] if ended.size else len(errors) - 1
    return np.asarray(errors[: max(last, 1) + 1] * model.scaling)


def _from_lengths(before: Array, after: Array) -> Measurement:
    growth = np.log(np.maximum(np.linalg.norm(after, axis=1), _NOTHING) / np.linalg.norm(before, axis=1))
    growth = growth[len(growth) // 2 :]
    rate = float(np.exp(growth.mean()))
    # Successive sweeps depend on each other; the means of long batches hardly do.
    batches = np.array([batch.mean() for batch in np.array_split(growth, min(20, len(growth)))])
    scatter = float(batches.std(ddof=1) / np.sqrt(len(batches))) if len(batches) > 1 else np.inf
    return Measurement(rate, rate * scatter, len(growth))


def _from_squares(before: Array, after: Array, square: Array) -> Measurement:
    old, new = (np.einsum("si,ij,sj->s", errors, square, errors) for errors in (before, after))
    factor, error = _proportion(old, new, np.ones_like(old))
    rate = float(np.sqrt(factor))
    return Measurement(rate, error / (2.0 * rate) if rate > 0 else 0.0, len(old))


def _from_means(before: Array, after: Array, weight: Array) -> Measurement:
    old, new = before @ weight, after @ weight
    return Measurement(*_proportion(old, new, old), len(old))


def _proportion(old: Array, new: Array, weight: Array) -> tuple[float, float]:
    """The factor with ``E[new] = factor old``, by weighted means, and its standard error.

    Given what came before, what is left over has mean zero: such terms are uncorrelated, and their squares add.
    """
    total = weight @ old
    factor = float(weight @ new / total)
    return factor, float(np.sqrt(np.sum((weight * (new - factor * old)) ** 2)) / total)
