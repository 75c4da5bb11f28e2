"""Balance and learning: what gradients of the error keep, and what gradients of error plus cost lead to."""

from __future__ import annotations

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.theory.gradients import NetworkError, Parameters, least_squares, log_cosh
from balance_graph.theory.statement import Tally, Trial, statement
from balance_graph.theory.subject import Subject
from balance_graph.theory.training import (
    Training,
    out_of_balance,
    trainable,
    why_cost_not_smooth,
    why_no_newton,
    why_not_trained,
    with_smooth_units,
)

# Newton on differences of slopes gets here; BFGS at a kink stays far above.
_NO_SLOPE = 1e-8
# Relative imbalance from which it can be seen to fall.
_UNBALANCED = 0.1
# Slopes evaluated before a flow is given up: a smooth one needs some hundreds.
_MOST_SLOPES = 1500
# Imbalance is driven to zero in the limit; descent is followed until this much of it is left, or of the slopes, or
# for so many steps.
_DRIVEN = 0.02
_ENDED = 1e-5
_MOST_STEPS = 1500
_SUM = "rounding of sums over edges and samples, 1e-16 per term, relative to the sizes of the terms"


@statement(
    6,
    "at any weights and for any error function E, the sum of w dE/dw over the in-edges of a free unit is c times that "
    "over its out-edges",
    "Euler's identity for the scaling of one unit; Du, Hu, Lee 2018 for layers of degree 1",
)
def error_slopes_obey_euler(trial: Trial) -> None:
    """Compare both sums for every free unit, with exact gradients; and check the gradients against differences."""
    identity = trial.tally("in-sum less c times out-sum of w dE/dw, relative", 1e-10, _SUM)
    exact = trial.tally(
        "slope of E along a random direction against differences of evaluate, relative",
        1e-4,
        "central differences, known to about 1e-8 where no unit changes sides; the median of five directions",
    )
    for subject in trial.networks(_without_error):
        for error in (least_squares, log_cosh):
            network_error = NetworkError.with_noise(subject.graph, subject.inputs(trial.rng), error, trial.rng)
            slopes = network_error.gradient(subject.weights)[1]
            _add_euler(subject, subject.weights * slopes, identity)
            exact.add(_against_differences(subject, network_error, slopes, trial.rng), subject.name)
    network = bg.networks.from_layers([[[0.5]], [[2.0]]], activation="tanh")
    slopes = NetworkError(network, np.array([[1.0], [2.0]]), np.zeros((2, 1))).gradient(np.array([0.5, 2.0]))[1]
    into, out_of = np.array([0.5, 2.0]) * slopes
    trial.counterexample(
        "a tanh unit: in-sum less out-sum, relative", abs(into - out_of) / (abs(into) + abs(out_of)), 1e-2
    )


def _without_error(subject: Subject) -> str:
    if not subject.free_nodes:
        return "no free units"
    return subject.extreme_outputs if subject.count("output") else "no outputs, so there is no error"


def _add_euler(subject: Subject, weighted: Array, tally: Tally) -> None:
    """Both sums at every free node, from the definition."""
    manifold = subject.problem.manifold
    sizes = np.bincount(manifold.head, np.abs(weighted), manifold.n_nodes) + np.bincount(
        manifold.tail, np.abs(weighted), manifold.n_nodes
    )
    into, out_of = (
        np.bincount(manifold.head, weighted, manifold.n_nodes),
        np.bincount(manifold.tail, weighted, manifold.n_nodes),
    )
    for k in manifold.free_nodes.tolist():
        if sizes[k] > 0.0:
            tally.add((into[k] - manifold.degree[k] * out_of[k]) / sizes[k], subject.at(manifold.nodes[k]))


def _against_differences(
    subject: Subject, network_error: NetworkError, slopes: Array, rng: np.random.Generator
) -> float:
    """Median over directions of the difference from central differences, relative to ``|slopes| |direction|``."""
    step, found, parameters = 1e-6, [], Parameters(subject.graph)
    for _ in range(5):
        # Copies of a shared parameter move together; fixed weights stay.
        direction = subject.weights * parameters.weights(rng.standard_normal(parameters.size), np.zeros(slopes.size))
        ends = [
            network_error.error(
                bg.evaluate(
                    subject.with_weights(subject.weights + sign * step * direction).graph, network_error.inputs
                ),
                network_error.targets,
            )[0]
            for sign in (1.0, -1.0)
        ]
        size = float(np.abs(slopes) @ np.abs(direction))
        gap = abs(float((ends[0] - ends[1]) / (2 * step) - slopes @ direction))
        found.append(gap / size if size > 0 else 0.0)
    return float(np.median(found))


@statement(
    7,
    "critical points of E + R are balanced",
    "Baldi et al., abstract: networks trained with regularizers exhibit balance",
)
def critical_points_are_balanced(trial: Trial) -> None:
    """Train until the slopes of error plus cost vanish, and measure the imbalance."""
    tally = trial.tally(
        "relative imbalance of a scale at a critical point",
        1e-6,
        "slopes are left at 1e-8 at most, and divided by a strength of the cost of 1e-3 or more",
    )
    for subject in trial.networks(lambda subject: why_not_trained(subject) or why_no_newton(subject)):
        normal = trainable(subject)
        for one in (normal, with_smooth_units(normal)):
            training = Training.of(one, trial.rng)
            values, slope = training.critical_point()
            if slope <= _NO_SLOPE * max(1.0, float(np.abs(training.start).max(initial=0.0))):
                if not _add_imbalance(training, training.weights(values), slope, tally):
                    trial.skip(subject, "all weights vanish at the critical point found: zero balances zero")
                break
        else:
            trial.skip(subject, "training found no critical point, with its own units or with smooth ones")
    network = bg.networks.from_layers([[[4.0]], [[0.5]]], activation="linear")
    slopes = NetworkError(network, np.array([[1.0]]), np.array([[2.0]])).gradient(np.array([4.0, 0.5]))[1]
    trial.counterexample(
        "a minimum of E alone, without R: relative imbalance",
        bg.relative_imbalance(network) * (float(np.abs(slopes).max()) <= 1e-15),
        0.5,
    )


def _add_imbalance(training: Training, weights: Array, slope: float, tally: Tally) -> int:
    """Measure the relative imbalance of every scale but those whose weights have all but vanished; how many.

    Their flows are so small that the slopes left by training, times the weights, could hide any imbalance.
    """
    imbalance, size = training.imbalance(weights)
    _, before = training.imbalance(training.weights(training.start))
    hidden = weights.size * slope * float(np.abs(weights).max(initial=0.0)) / training.strength
    least = max(1e-4 * float(before.max()), 1e7 * hidden)
    for value, whole in zip(imbalance.tolist(), size.tolist(), strict=True):
        if whole > least:
            tally.add(value / whole, training.subject.name)
    return int(np.count_nonzero(size > least))


@statement(
    8,
    "gradient flow on E alone conserves the sum of w^2 over in-edges less c times that over out-edges; finite steps "
    "leave a balanced start",
    "Baldi et al., abstract: descent on the error alone does not lead to balance; Du, Hu, Lee 2018",
)
def gradient_flow_conserves_imbalance(trial: Trial) -> None:
    """Integrate gradient flow of the error; and take one finite step, whose effect is known exactly."""
    conserved = trial.tally(
        "change of the imbalance along the flow, relative", 1e-7, "the integrator's tolerance, 1e-9 per step"
    )
    step = trial.tally(
        "change by a step of size h, less h^2 times the imbalance of slopes, relative",
        1e-10,
        "the change is 1e-6 or more of the sums of squares, in which 1e-16 is lost",
    )
    left = []
    for subject in trial.networks(lambda subject: why_not_trained(subject) or _why_not_separate(subject)):
        training = Training.of(trainable(subject), trial.rng, share_of_cost=0.0)
        before, after = training.subject.weights, _flowed(training)
        if after is None:
            trial.skip(subject, "the flow slides along a kink, where a unit changes sides at every step")
            continue
        change, sizes = (
            _square_imbalance(subject, after) - _square_imbalance(subject, before),
            _squares(training.subject),
        )
        _add_nodes(subject, change / sizes, conserved)
        slopes = training.error.gradient(before)[1]
        size = 0.1 * np.abs(before).max() / max(np.abs(slopes).max(), 1e-300)
        change = _square_imbalance(subject, before - size * slopes) - _square_imbalance(subject, before)
        _add_nodes(subject, (change - size**2 * _square_imbalance(subject, slopes)) / sizes, step)
        left.append(subject)
    trial.counterexample("a balanced start, after 20 finite steps: relative imbalance", _left_by_steps(trial.rng), 1e-3)


def _why_not_separate(subject: Subject) -> str:
    manifold = subject.problem.manifold
    if manifold.shared is not None or manifold.fixed is not None:
        return "shared or fixed weights: the flow of their parameters conserves other sums"
    return ""


def _square_imbalance(subject: Subject, values: Array) -> Array:
    """Sum of squares over in-edges less c times that over out-edges, at every node."""
    manifold = subject.problem.manifold
    return np.asarray(
        np.bincount(manifold.head, values**2, manifold.n_nodes)
        - manifold.degree * np.bincount(manifold.tail, values**2, manifold.n_nodes)
    )


def _squares(subject: Subject) -> Array:
    """Sum of squares over in-edges plus c times that over out-edges, 1 where there are none."""
    manifold, squares = subject.problem.manifold, subject.weights**2
    sizes = np.bincount(manifold.head, squares, manifold.n_nodes) + manifold.degree * np.bincount(
        manifold.tail, squares, manifold.n_nodes
    )
    return np.where(sizes > 0.0, sizes, 1.0)


def _add_nodes(subject: Subject, values: Array, tally: Tally) -> None:
    manifold = subject.problem.manifold
    for k in manifold.free_nodes.tolist():
        tally.add(values[k], subject.at(manifold.nodes[k]))


def _flowed(training: Training) -> Array | None:
    """Weights after gradient flow on the error, until slopes as at the start would change them by a tenth.

    None where the integrator finds no end, at kinks that attract the flow from both sides.
    """
    from scipy import integrate

    weights = training.subject.weights
    slopes = training.error.gradient(weights)[1]
    time = 0.1 * float(np.abs(weights).max()) / max(float(np.abs(slopes).max()), 1e-300)
    integrator = integrate.DOP853(
        lambda _, at: -training.error.gradient(at)[1], 0.0, weights, time, rtol=1e-9, atol=1e-11
    )
    while integrator.status == "running" and integrator.nfev < _MOST_SLOPES:
        integrator.step()
    return np.asarray(integrator.y) if integrator.status == "finished" else None


def _left_by_steps(rng: np.random.Generator) -> float:
    """Relative imbalance of a small balanced network after descent in finite steps on the error alone."""
    network = bg.canonical_form(bg.networks.layered([2, 3, 1], "leaky_relu(0.5)", rng=rng), 2)
    subject = Subject("balanced start", network, bg.Lp(2))
    training = Training.of(subject, rng, share_of_cost=0.0)
    weights = subject.weights
    for _ in range(20):
        slopes = training.error.gradient(weights)[1]
        weights = weights - 0.05 * np.abs(weights).max() / max(np.abs(slopes).max(), 1e-300) * slopes
    return bg.relative_imbalance(subject.with_weights(weights).graph, 2)


@statement(
    9,
    "gradient descent on E + R drives the imbalance to zero: the imbalance is the slope of E + R along the scaling, "
    "and so tracks the progress of learning",
    "Baldi et al., abstract: balance can be used to assess learning progress",
)
def descent_with_cost_balances(trial: Trial) -> None:
    """Follow gradient descent on error plus cost: imbalance against slopes on the way, and at the end."""
    tracks = trial.tally("imbalance against the slope of E + R along each scaling, relative", 1e-9, _SUM)
    ends = trial.tally(
        "largest imbalance at the end of descent, relative to that at the start",
        _DRIVEN,
        "descent is followed until here, or until slopes are 1e-5 of those at the start; E alone leaves about 1",
    )
    for subject in trial.networks(lambda subject: why_not_trained(subject) or why_cost_not_smooth(subject)):
        start = out_of_balance(trainable(subject), trial.rng)
        training = Training.of(start, trial.rng, share_of_cost=1.0)
        for values in list(training.descent(100))[::10]:
            tracks.add(_slope_along_scalings(training, training.weights(values)), subject.name)
        if bg.relative_imbalance(start.graph, start.regularizer) < _UNBALANCED:
            trial.skip(subject, "no scaling of it is out of balance, for the end of descent")
            continue
        # Descent in steps comes to a halt at kinks, so it is followed to its end on smooth units.
        smooth = Training.of(with_smooth_units(start), trial.rng, share_of_cost=1.0)
        ratio, slopes = _ratios_after(smooth, _MOST_STEPS)
        if ratio <= _DRIVEN or slopes <= _ENDED:
            ends.add(ratio, smooth.subject.name)
        else:
            trial.skip(
                subject, f"descent had not ended after {_MOST_STEPS} steps: imbalance at {ratio:.2g} of its start"
            )
    subject = Subject("without cost", _unbalanced(), bg.Lp(2))
    trial.counterexample(
        "E alone, from an unbalanced start, 600 steps: largest imbalance relative to that at the start",
        _ratios_after(Training.of(subject, trial.rng, share_of_cost=0.0), 600)[0],
        0.3,
    )


def _unbalanced() -> nx.DiGraph[None]:
    return bg.networks.from_layers([[[2.0, -3.0]], [[0.3], [0.2]]], activation="leaky_relu(0.5)")


def _slope_along_scalings(training: Training, weights: Array) -> float:
    """``strength A^T y`` against ``A^T (w dE_total/dw)``, relative to the sizes of the terms."""
    matrix = training.subject.problem.manifold.reduced_incidence
    weighted = weights * training.edge_slopes(weights)[1]
    imbalance, size = training.imbalance(weights)
    sizes = training.strength * size + abs(matrix).T @ np.abs(weighted)
    gap = np.abs(training.strength * imbalance - matrix.T @ weighted)
    return float(np.max(gap / np.where(sizes > 0.0, sizes, 1.0), initial=0.0))


def _ratios_after(training: Training, steps: int) -> tuple[float, float]:
    """Largest imbalance and slope over those at the start, when one is small enough or the steps are used up."""
    first = _imbalance_and_slope(training, training.start)
    last = first
    for k, values in enumerate(training.descent(steps)):
        if k % 20 == 0:
            last = _imbalance_and_slope(training, values)
            if last[0] <= _DRIVEN * first[0] or last[1] <= _ENDED * first[1]:
                break
    return last[0] / first[0], last[1] / first[1]


def _imbalance_and_slope(training: Training, values: Array) -> tuple[float, float]:
    imbalance, _ = training.imbalance(training.weights(values))
    return float(np.abs(imbalance).max()), float(np.abs(training.total(values)[1]).max())
