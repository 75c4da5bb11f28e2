"""The log-scales of a module's balanced state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse

from balance_graph._types import Array, Index
from balance_graph.errors import InvalidParameterError
from balance_graph.models.terms import ROLES
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.recession import find_recession
from balance_graph.pytorch.costs import cost_terms
from balance_graph.pytorch.reading import ModelStructure
from balance_graph.solvers.conductor import solve


def optimal_log_scales(
    model: ModelStructure, powers: Sequence[tuple[float, float]], *, roles: Sequence[str] = ROLES, bound: float = np.inf
) -> Array:
    """The log-scales that minimize ``sum a |w|^p`` over pairs (a, p) of `powers`, one for each free scale.

    Newton's method starts from zero, the weights as they are. Scales that could grow for ever at no cost stay where
    they are, and so do those that would move farther than `bound`.
    """
    _check_finite(model)
    every = [cost_terms(model, exponent, roles=roles) for _, exponent in powers]
    matrix = sparse.csr_array(sparse.vstack([terms.A for terms in every]))
    logs = np.concatenate([np.log(a) + terms.log_coefficient for (a, _), terms in zip(powers, every, strict=True)])
    exponents = np.concatenate([np.full(terms.A.shape[0], terms.exponent) for terms in every])
    free = ~find_recession(matrix).moving & (np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0)
    result = np.zeros(matrix.shape[1])
    while free.any():
        chosen = np.flatnonzero(free)
        moves = solve(BalanceProblem.from_terms(*_restricted(matrix, chosen, logs, exponents))).log_scales
        if not np.any(np.abs(moves) > bound):
            result[chosen] = moves
            break
        free[chosen[np.abs(moves) > bound]] = False
    return result


def _restricted(matrix: sparse.csr_array, chosen: Index, logs: Array, exponents: Array) -> tuple[object, Array, Array]:
    """The terms that the chosen unknowns change, as functions of those."""
    part = matrix[:, chosen]
    changed = np.diff(part.indptr) > 0
    return part[changed], logs[changed], exponents[changed]


def _check_finite(model: ModelStructure) -> None:
    for parameter in model.structure.parameters:
        if not parameter.is_buffer and not bool(torch.isfinite(model.tensor(parameter)).all()):
            message = f"{parameter.name} has values that are not finite; balancing needs finite parameters"
            raise InvalidParameterError(message)
