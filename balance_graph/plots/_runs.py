"""What pictures of runs take: one run, several, or several with names; of `balance`, of `solve`, or a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.result import BalanceResult
from balance_graph.problem.regularizers import same_cost
from balance_graph.problem.solution import History, Solution

Run: TypeAlias = BalanceResult | Solution | History
Runs: TypeAlias = Run | Sequence[Run] | Mapping[str, Run]


def named_runs(runs: Runs) -> dict[str, Run]:
    """Runs by label: the names given, or those of the solvers; refuses runs whose costs cannot be compared."""
    if isinstance(runs, Mapping):
        named = {str(label).replace("$", r"\$"): run for label, run in runs.items()}  # no mathematics in labels
    else:
        listed = [runs] if isinstance(runs, Run) else list(runs)
        labels = [getattr(run, "solver", "run") for run in listed]
        named = {
            label if labels.count(label) == 1 else f"{label} {k + 1}": run
            for k, (label, run) in enumerate(zip(labels, listed, strict=True))
        }
    if not named or not all(isinstance(run, Run) for run in named.values()):
        message = f"runs must be results, solutions or histories, at least one; got {runs!r}"
        raise InvalidParameterError(message)
    costs = [run.regularizer for run in named.values() if not isinstance(run, History)]
    other = next((cost for cost in costs if not same_cost(cost, costs[0])), None)
    if other is not None:
        message = (
            f"the costs of runs for {costs[0]!r} and for {other!r} cannot be compared; draw each on axes of its own"
        )
        raise InvalidParameterError(message)
    return named


def history_of(run: Run) -> History:
    """The history of a run."""
    return run if isinstance(run, History) else run.history


def recorded_states(runs: Runs | Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Log-scales along each run, a row for each state; also arrays of them, by label, are taken."""
    if isinstance(runs, Mapping):
        found = {
            str(label): run if not isinstance(run, Run) else history_of(run).log_scales for label, run in runs.items()
        }
    else:
        found = {label: history_of(run).log_scales for label, run in named_runs(runs).items()}
    states = {label: np.asarray(one, dtype=float) for label, one in found.items()}
    if not states or any(one.ndim != 2 or not one.size for one in states.values()):
        message = (
            "runs must be runs that kept their log-scales (StochasticSolver(record=True) keeps them), or map labels to "
            "arrays of log-scales, a row for each state"
        )
        raise InvalidParameterError(message)
    return states
