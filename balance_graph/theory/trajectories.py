"""The way of stochastic balancing: falling cost, bounded scales, convergence, and how fast."""

from __future__ import annotations

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.theory.bounds import scale_bounds
from balance_graph.theory.rates import measure_rate, predicted_rate
from balance_graph.theory.statement import Trial, statement
from balance_graph.theory.subject import Subject, difference, why_no_optimum

_MOST_EDGES = 2000
_MOST_UNKNOWNS = 40
_SWEEPS = 5000
# Logarithm of the largest ratio of diagonal entries of the Hessian: up to 1e12 measured rates agree to 1e-5, beyond it
# they are off by up to a tenth.
_WIDEST = 12.0 * float(np.log(10.0))


@statement(
    10,
    "stochastic balancing: the cost never rises, the scales stay in a compact interval, and the weights converge",
    "Baldi et al., abstract (convergence) and Figure 2 (the interval)",
)
def stochastic_balancing_converges(trial: Trial) -> None:
    """Record runs of the stochastic balancer from random scalings: cost, scales against their bounds, and the limit."""
    cost = trial.tally(
        "rise of the log-cost in a sweep", 1e-12, "rounding of a logarithm of a sum of a few dozen costs"
    )
    scales = trial.tally(
        "log-scale beyond the interval computed from the cost at the start", 1e-9, "rounding of the bounds"
    )
    limit = trial.tally(
        "log-weights at the end against Newton's",
        1e-7,
        "runs stop at a relative imbalance of 1e-12; slow modes magnify that, which is divided out beyond 1e4 times",
    )
    for subject in trial.networks(_without_local_steps):
        start = subject.scaled(subject.log_scales(trial.rng))
        solver = bg.StochasticSolver(rng=int(trial.rng.integers(2**31)), max_sweeps=_SWEEPS, record=True)
        result = bg.balance(start.graph, start.regularizer, solver=solver)
        cost.add(max(0.0, float(np.diff(result.history.log_cost).max(initial=0.0))), subject.name)
        scales.add(_beyond(start, np.stack(result.history.log_scales)), subject.name)
        if result.converged:
            reference = bg.balance(subject.graph, subject.regularizer, solver="newton").graph
            limit.add(difference(reference, result.graph) / start.slowness, subject.name)
        else:
            trial.skip(subject, f"not converged in {_SWEEPS} sweeps, for the limit of statement 10")
    trial.counterexample(
        "all units balanced at once instead of one at a time, on a two-cycle: relative imbalance after 50 rounds",
        _after_simultaneous_rounds(50),
        0.5,
    )


def _without_local_steps(subject: Subject) -> str:
    """Why the network cannot be balanced locally, or nothing."""
    if subject.graph.number_of_edges() > _MOST_EDGES:
        return f"runs are recorded up to {_MOST_EDGES} edges"
    reason = why_no_optimum(subject)
    if reason:
        return reason
    return "" if subject.problem.manifold.is_tied else "shared weights: no unit can be scaled alone"


def _beyond(subject: Subject, log_scales: Array) -> float:
    """How far log-scales (states, nodes) leave the interval that the cost at the start allows, up to gauges."""
    lower, upper = scale_bounds(subject.problem)
    gauges = _gauges(subject)
    held = np.flatnonzero(lower == upper)
    log_scales = log_scales - (gauges @ np.linalg.lstsq(gauges[held], log_scales[:, held].T, rcond=None)[0]).T
    beyond = np.maximum(log_scales - upper, lower - log_scales)
    return max(0.0, float(beyond[:, subject.problem.manifold.free_nodes].max(initial=0.0)))


def _gauges(subject: Subject) -> Array:
    """Log-scales that change no weight, as columns: runs may hold other nodes still than the bounds do."""
    from scipy.linalg import null_space

    manifold = subject.problem.manifold
    moves = manifold.reduced_incidence[np.flatnonzero(subject.problem.active)].toarray()
    return np.asarray(manifold.basis @ null_space(moves)) if moves.size else np.zeros((manifold.n_nodes, 0))


def _after_simultaneous_rounds(rounds: int) -> float:
    """Imbalance of two units that feed each other, each overcorrecting for the other."""
    network: nx.DiGraph[str] = nx.DiGraph()
    network.add_weighted_edges_from([("a", "b", 3.0), ("b", "a", 1.0)])
    for _ in range(rounds):
        network = bg.scale(network, {node: bg.balance_node(network, node, 2)[1] for node in "ab"})
    return bg.relative_imbalance(network, 2)


@statement(
    18,
    "the measured asymptotic rate of the local balancer is the predicted spectral rate",
    "coordinate descent near its limit is Gauss-Seidel on the Hessian; for matrices, Ostrovsky, Rabani, Yousefi 2017",
)
def local_balancing_has_the_spectral_rate(trial: Trial) -> None:
    """Compare the factor by which runs shrink the error in a sweep with the spectral radius, in two orders."""
    cyclic = trial.tally(
        "rate per sweep in cyclic order, measured less predicted",
        5e-3,
        "errors are followed from 1e-4 to 1e-10; what is not yet asymptotic or no longer linear is below 1e-3",
    )
    random = trial.tally(
        "rate per sweep in random order (root of the mean square), measured less predicted, in standard errors",
        6.0,
        "a scatter of six standard errors comes up once in 1e8 runs",
    )
    for subject in trial.networks(_without_rate):
        measured = measure_rate(subject.problem, "cyclic", sweeps=300, rng=trial.rng)
        cyclic.add(measured.rate - predicted_rate(subject.problem), subject.name)
        measured = measure_rate(subject.problem, "random", sweeps=300, rng=trial.rng)
        expected = predicted_rate(subject.problem, order="random")
        random.add((measured.rate - expected) / max(measured.standard_error, 1e-3 * expected, 1e-6), subject.name)
    trial.counterexample(
        "far from the optimum the rate is another: factor of the first sweep from 1e6 away, less the predicted one",
        _first_factor_less_rate(),
        0.05,
    )


def _without_rate(subject: Subject) -> str:
    if subject.n_unknowns > _MOST_UNKNOWNS:
        return f"second moments are computed up to {_MOST_UNKNOWNS} scales"
    reason = _without_local_steps(subject)
    if reason:
        return reason
    if not np.any(np.abs(subject.local_model.dense - np.eye(subject.local_model.size)) > 1e-12):
        return "no two scales depend on each other: each is balanced exactly in one step"
    if np.ptp(subject.local_model.log_diagonal) > _WIDEST:
        return "slopes over more than 12 decades: rounding of the largest hides the errors of the smallest"
    if subject.slowness > 1.0:
        return "rates too near to one: a run ends in rounding before its error has shrunk"
    return ""


def _first_factor_less_rate() -> float:
    problem = bg.compile_graph(bg.networks.layered([2, 3, 3, 1], rng=0))
    optimum = bg.solve(problem).log_scales
    far = bg.solve(
        problem,
        bg.StochasticSolver(order="cyclic", record=True),
        start=optimum + np.where(problem.manifold.pinned, 0.0, np.log(1e6)),
    )
    errors = [np.linalg.norm(state - optimum) for state in far.history.log_scales[:2]]
    return abs(float(errors[1] / errors[0]) - predicted_rate(problem))
