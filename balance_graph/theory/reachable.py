"""What scalings can reach: the linear manifold of log-gains, its equations and its dimension."""

from __future__ import annotations

from collections import deque

import networkx as nx
import numpy as np

import balance_graph as bg
from balance_graph._types import Array
from balance_graph.errors import TooManyPathsError
from balance_graph.theory.statement import Trial, statement
from balance_graph.theory.subject import Subject, log_ratios

# Dense ranks are counted up to here.
_MOST_UNKNOWNS = 300
_MOST_EDGES = 2000


@statement(
    11,
    "every state that scalings reach satisfies the equations of paths and cycles, and the multiplier of a unit is the "
    "same along every path",
    "Baldi et al., Figures 2 to 5; degrees c weight the log-gains by the products of the degrees after them",
)
def reached_states_satisfy_the_path_equations(trial: Trial) -> None:
    """Scale at random, read the log-gains off the weights, and put them into the equations of all forms."""
    equations = trial.tally(
        "equation of a path or cycle at the log-gains, relative", 1e-12, "rounding of a logarithm and of a short sum"
    )
    multiplier = trial.tally(
        "log-multiplier of a unit along one path against another, relative",
        1e-10,
        "rounding of a logarithm, times the product of degrees along a path",
    )
    for subject in trial.networks(_without_manifold):
        graph = _with_all_weights(subject)
        scaled = graph.scaled(graph.log_scales(trial.rng))
        log_gains = log_ratios(graph.graph, scaled.graph)
        for form in ("paths", "cycles", "nodes"):
            try:
                matrix = graph.problem.manifold.equations(form)
            except TooManyPathsError:
                trial.skip(subject, "too many paths to list, for the paths form")
                continue
            sizes = np.maximum(1.0, abs(matrix) @ np.abs(log_gains))
            equations.add(float(np.max(np.abs(matrix @ log_gains) / sizes, initial=0.0)), f"{subject.name}, {form}")
        multiplier.add(_disagreement(graph, log_gains, trial.rng), subject.name)
    network = bg.networks.layered([2, 3, 2], rng=0)
    log_gains = np.zeros(network.number_of_edges())
    log_gains[0] = 0.1
    trial.counterexample(
        "one weight changed alone, by exp(0.1): the largest equation",
        float(np.abs(bg.manifold(network).equations("paths") @ log_gains).max()),
        0.05,
    )


def _without_manifold(subject: Subject) -> str:
    if not subject.free_nodes:
        return "no free units"
    return "" if subject.graph.number_of_edges() <= _MOST_EDGES else f"measured up to {_MOST_EDGES} edges"


def _with_all_weights(subject: Subject) -> Subject:
    """The network with ones for zero weights, so that every log-gain can be read off.

    Zero weights constrain nothing, whatever their attributes say; the ones in their place must not either.
    """
    filled = subject.with_weights(np.where(subject.weights == 0.0, 1.0, subject.weights))
    for (_, _, data), weight in zip(filled.graph.edges(data=True), subject.weights.tolist(), strict=True):
        if weight == 0.0:
            data.pop("shared", None)
            data.pop("fixed", None)
    return filled


def _disagreement(subject: Subject, log_gains: Array, rng: np.random.Generator) -> float:
    """Largest disagreement of the log-scales that directed paths from pinned nodes assign: ``l_head = L + c l_tail``.

    The paths form a random tree; every other edge into a node that it reaches is the end of a second path.
    """
    manifold = subject.problem.manifold
    gain = dict(zip(zip(manifold.tail.tolist(), manifold.head.tolist(), strict=True), log_gains.tolist(), strict=True))
    links = nx.DiGraph(list(gain))
    log_scale = dict.fromkeys(np.flatnonzero(manifold.pinned).tolist(), 0.0)
    queue = deque(rng.permutation(list(log_scale)).tolist())
    while queue:
        tail = queue.popleft()
        if tail in links:
            for head in rng.permutation(list(links.successors(tail))).tolist():
                if head not in log_scale:
                    log_scale[head] = gain[tail, head] + _factor(subject, tail) * log_scale[tail]
                    queue.append(head)
    worst = 0.0
    for (tail, head), value in gain.items():
        if tail in log_scale and head in log_scale:
            second = value + _factor(subject, tail) * log_scale[tail]
            size = max(1.0, abs(value), abs(log_scale[head]), abs(_factor(subject, tail) * log_scale[tail]))
            worst = max(worst, abs(second - log_scale[head]) / size)
    return worst


def _factor(subject: Subject, node: int) -> float:
    """Degree of a free node; a pinned one has log-scale 0 whatever its degree."""
    return float(subject.problem.manifold.degree[node])


@statement(
    12,
    "the manifold is linear and depends on the architecture only; its three descriptions agree; its dimension is the "
    "rank of A, the number of free scales less the gauges",
    "Baldi et al., abstract: a linear, only architecture-dependent, manifold",
)
def the_manifold_is_linear(trial: Trial) -> None:
    """Count the dimension in three ways, add log-gains, and look at the same architecture with other weights."""
    counts = trial.tally(
        "difference between counts of the dimension: rank of A, edges less rank of the equations, rank of the scalings",
        0.0,
        "they are integers",
    )
    linear = trial.tally(
        "equations at sums and multiples of reached log-gains, relative",
        1e-11,
        "rounding of logarithms and of short sums",
    )
    architecture = trial.tally("equations of the same architecture with other weights", 0.0, "nothing is computed")
    for subject in trial.networks(_without_counts):
        graph = _with_all_weights(subject)
        manifold = graph.problem.manifold
        for name, count in _counts(graph).items():
            counts.add(count - manifold.dimension, f"{subject.name}, {name}")
        reached = [log_ratios(graph.graph, graph.scaled(graph.log_scales(trial.rng)).graph) for _ in range(2)]
        together = 2.0 * reached[0] - 3.0 * reached[1]
        matrix = manifold.equations("cycles")
        size = np.maximum(1.0, abs(matrix) @ np.abs(together))
        linear.add(float(np.max(np.abs(matrix @ together) / size, initial=0.0)), subject.name)
        other = graph.with_weights(-3.0 * graph.weights).problem.manifold.equations("cycles")
        architecture.add(float(abs(other - matrix).max()) if matrix.nnz else 0.0, subject.name)
    trial.counterexample(
        "linear in log-gains, not in factors: distance of the mean of the factors of two scalings from the manifold",
        _distance_of_mean_factors(),
        0.05,
    )


def _without_counts(subject: Subject) -> str:
    if subject.n_unknowns > _MOST_UNKNOWNS:
        return f"dense ranks are counted up to {_MOST_UNKNOWNS} scales"
    return _without_manifold(subject)


def _counts(subject: Subject) -> dict[str, int]:
    """The dimension, in ways that have nothing in common but the architecture."""
    manifold, n_edges = subject.problem.manifold, subject.graph.number_of_edges()
    found = {"rank of A": _rank(manifold.reduced_incidence.toarray())}
    for form in ("cycles", "paths"):
        try:
            found[f"{form} form"] = n_edges - _rank(manifold.equations(form).toarray())
        except TooManyPathsError:
            continue
    found["scalings"] = _rank(_slopes_of_scalings(subject))
    return found


def _rank(matrix: Array) -> int:
    return int(np.linalg.matrix_rank(matrix)) if matrix.size else 0


def _slopes_of_scalings(subject: Subject) -> Array:
    """Derivative of all log-weights in each scale, by differences of `balance_graph.scale` itself."""
    basis, columns = subject.problem.manifold.basis, []
    for k in range(basis.shape[1]):
        direction = np.asarray(basis[:, [k]].todense()).ravel()
        ends = [subject.scaled(sign * direction).graph for sign in (1.0, -1.0)]
        columns.append(0.5 * log_ratios(ends[1], ends[0]))
    slopes = np.array(columns)
    # Scales are exact to rounding: what is below it is zero.
    return np.where(np.abs(slopes) > 1e-12, slopes, 0.0)


def _distance_of_mean_factors() -> float:
    network = bg.networks.chain(weights=[1.0, 1.0, 1.0])
    one, two = (log_ratios(network, bg.scale(network, {"h1.0": s, "h2.0": s})) for s in (0.5, 2.0))
    mean = np.log(0.5 * (np.exp(one) + np.exp(two)))
    return float(np.abs(mean - bg.manifold(network).project(mean)).max())
