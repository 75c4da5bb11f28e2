"""The conductor: examine all statements, on the default gallery or on one network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._arguments import Rng, generator_of
from balance_graph._floating_point import own_rules
from balance_graph._progress import stages
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.compilation import check_digraph, compile_graph
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.theory.extensions import the_theory_extends
from balance_graph.theory.finding import Finding
from balance_graph.theory.gallery import default_gallery
from balance_graph.theory.homogeneity import homogeneous_activations_are_bipu
from balance_graph.theory.learning import (
    critical_points_are_balanced,
    descent_with_cost_balances,
    error_slopes_obey_euler,
    gradient_flow_conserves_imbalance,
)
from balance_graph.theory.local_balance import local_balance_has_a_closed_form, local_balance_of_general_costs
from balance_graph.theory.max_norm import the_max_norm_depends_on_order
from balance_graph.theory.optimum import (
    existence_is_a_positive_circulation,
    the_cost_is_strictly_convex,
    the_optimum_is_unique,
)
from balance_graph.theory.reachable import reached_states_satisfy_the_path_equations, the_manifold_is_linear
from balance_graph.theory.report import Report
from balance_graph.theory.scalings import scaling_keeps_the_function, scalings_commute_and_balancings_do_not
from balance_graph.theory.statement import Statement
from balance_graph.theory.subject import Subject
from balance_graph.theory.trajectories import local_balancing_has_the_spectral_rate, stochastic_balancing_converges

STATEMENTS: tuple[Statement, ...] = (
    homogeneous_activations_are_bipu,
    scaling_keeps_the_function,
    scalings_commute_and_balancings_do_not,
    local_balance_has_a_closed_form,
    local_balance_of_general_costs,
    error_slopes_obey_euler,
    critical_points_are_balanced,
    gradient_flow_conserves_imbalance,
    descent_with_cost_balances,
    stochastic_balancing_converges,
    reached_states_satisfy_the_path_equations,
    the_manifold_is_linear,
    the_cost_is_strictly_convex,
    the_optimum_is_unique,
    existence_is_a_positive_circulation,
    the_theory_extends,
    the_max_norm_depends_on_order,
    local_balancing_has_the_spectral_rate,
)


@own_rules
def verify(
    G: nx.DiGraph[Any] | None = None,  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    statements: Iterable[int] | None = None,
    rng: Rng = 0,
    weight: str = "weight",
    progress: bool | Callable[[int, int, str], None] = False,
) -> Report:
    """Examine the eighteen statements of the theory, and say what was measured.

    Each statement is measured on networks, and on an example with one of its hypotheses broken, where it must fail. A
    statement holds if every residual is within its tolerance and every such example fails.

    The units of the weights do not matter: costs and slopes are compared relatively, each solver is held to what it
    promises, and networks are trained from weights of the usual size, out of balance, with the signs, zeros and order
    of sizes of yours. Where floats cannot tell, the statement does not apply, and the finding says why.

    Parameters
    ----------
    G : networkx.DiGraph, optional
        A network of your own; by default thirteen small random ones: layered, random, recurrent, residual,
        convolutional, with powers, mixed degrees, exponents per edge and several costs.
    regularizer : float or Regularizer
        Cost of a weight, for your network, or for those of the default ones that have none of their own.
    statements : iterable of int, optional
        Numbers of the statements to examine, by default all eighteen. What is found about one does not depend on which
        others are examined.
    rng : int, numpy Generator, RandomState or None
        Seed of networks, scalings and data; the same seed gives the same report.
    weight : str
        Name of the edge attribute that holds the weight.
    progress : bool or callable
        True shows a bar (needs tqdm); a callable gets the number of statements done, of all, and the next statement.

    Returns
    -------
    Report
        ``.holds``, ``.findings``, ``report[7]`` for one statement, ``.table()``, ``.to_html()``, ``.to_json()``.

    Raises
    ------
    InvalidNetworkError
        If the network breaks the contract.
    InvalidParameterError
        If there is no statement of a number asked for, or none is.

    See Also
    --------
    plots.plot_manifold, plots.plot_trajectories, plots.plot_scale_bounds : Pictures of the theory.

    Notes
    -----
    Baldi, Alexos, Domingo, Rahmansetayesh, *A Theory of Synaptic Neural Balance*, arXiv 2405.09688. The page on theory
    has the statements with their derivations.

    Examples
    --------
    >>> import balance_graph as bg
    >>> report = bg.verify(bg.networks.layered([2, 3, 1], "leaky_relu(0.5)", rng=0))
    >>> report.holds
    True
    >>> report[2].residual < 1e-12
    True
    >>> report[17].verdict
    'does not apply'

    A balanced network, with the regularizer that it is balanced for:

    >>> balanced = bg.balance(bg.networks.chain(weights=[2e6, 3e6, 1e6]), 1.5).graph
    >>> bg.verify(balanced, 1.5).holds
    True

    Some of the statements:

    >>> [finding.number for finding in bg.verify(balanced, 1.5, statements=(2, 14)).findings]
    [2, 14]
    """
    if G is not None:
        check_digraph(G)
    chosen = _chosen(statements)
    generator = generator_of(rng)
    cost = as_regularizer(regularizer)
    subjects = default_gallery(cost, generator) if G is None else [_subject_of(G, cost, weight)]
    started = time.perf_counter()
    findings: list[Finding] = []
    with stages(progress, len(chosen), "verifying") as report:
        for one in STATEMENTS:
            # Each statement has random numbers of its own, so that its finding does not depend on the others.
            own = generator.spawn(1)[0]
            if one.number in chosen:
                report(len(findings), f"{one.number}. {one.name.replace('_', ' ')}")
                findings.append(_finding(one, subjects, own, given=G is not None))
        report(len(findings), "done")
    return Report(tuple(findings), tuple(subject.name for subject in subjects), time.perf_counter() - started)


def _chosen(statements: Iterable[int] | None) -> set[int]:
    known = {one.number for one in STATEMENTS}
    chosen = known if statements is None else set(statements)
    if not chosen or not chosen <= known:
        message = f"statements must be numbers from {sorted(known)}, at least one; got {statements!r}"
        raise InvalidParameterError(message)
    return chosen


def _finding(one: Statement, subjects: list[Subject], own: np.random.Generator, *, given: bool) -> Finding:
    if given and one.own_networks:
        return one.not_applicable("about particular networks of its own, not about yours")
    return one(subjects, rng=own)


def _subject_of(G: nx.DiGraph[Any], cost: Regularizer, weight: str) -> Subject:  # noqa: N803
    """The user's network, with its weights under the usual name."""
    compile_graph(G, cost, weight=weight)  # refuses what is not a network
    graph = G.copy()
    for u, v, data in G.edges(data=True):
        graph.edges[u, v]["weight"] = float(data[weight])
    return Subject("your network", graph, cost)
