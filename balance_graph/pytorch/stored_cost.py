"""The cost of a model whose weights are in files, one component at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from balance_graph._types import Array
from balance_graph.certificate.bound import Certificate
from balance_graph.errors import FunctionChangedError
from balance_graph.models.certificate import certify_cost, sum_of_certificates
from balance_graph.models.components import Component, components
from balance_graph.models.cost import ModelCost
from balance_graph.models.large import whole_pattern
from balance_graph.models.optimum import NO_COST, Optimum, free_of_cost, least_cost
from balance_graph.models.state import CostState, state_of
from balance_graph.models.structure import Structure
from balance_graph.models.terms import check_finite, costed_blocks, error_of_whole
from balance_graph.problem.regularizers import Regularizer
from balance_graph.pytorch.blocks import whole_cost
from balance_graph.pytorch.checkpoint_files import CheckpointFiles
from balance_graph.pytorch.costs import model_cost
from balance_graph.pytorch.evaluation import precision_of
from balance_graph.pytorch.stored import StoredModel


class Least(NamedTuple):
    """The least cost of a stored model.

    Attributes
    ----------
    optimum : Optimum
    initial_cost, initial_relative_imbalance : float
        Of the weights as they are.
    states : list of CostState
        Of each component at its optimum, before the weights are rounded.
    """

    optimum: Optimum
    initial_cost: float
    initial_relative_imbalance: float
    states: list[CostState]


class Measured(NamedTuple):
    """What a rewritten checkpoint has."""

    relative_imbalance: float
    certificate: Certificate


class Constant(NamedTuple):
    """A cost that no scale changes, as summed; and what it surely is not below."""

    cost: float
    least: float


class StoredCost:
    """The cost ``sum of a |w|^p`` of a stored model.

    Parameters
    ----------
    stored : StoredModel
    powers : sequence of (a, p)
    roles : sequence of str

    Attributes
    ----------
    components : list of Component
    """

    def __init__(self, stored: StoredModel, powers: Sequence[tuple[float, float]], roles: Sequence[str]) -> None:
        self._stored, self._powers, self._roles = stored, powers, roles
        self.components = components(stored.structure, roles)

    def _at(self, structure: Structure, files: CheckpointFiles) -> ModelCost:
        return model_cost(self._stored.tensors(structure, files), self._powers, self._roles)

    @cached_property
    def _constant(self) -> Constant:
        """What the parameters cost that no scale changes."""
        total = error = 0.0
        for parameter, blocks in costed_blocks(self._stored.structure, self._roles):
            for name in () if blocks else self._stored.names[parameter.key][:1]:
                for a, exponent in self._powers:
                    cost = sum(whole_cost(piece, exponent) for piece in self._stored.files.pieces(name))
                    check_finite(parameter, np.array(cost), exponent)
                    total += a * cost
                    error += a * error_of_whole(cost, parameter.size)
        return Constant(total, total - error - 4.0 * float(np.finfo(float).eps) * total)

    def least(self, bound: float) -> Least:
        """The optimum of each component; of its weights nothing is kept."""
        size = self._stored.structure.size
        log_scales, held = np.zeros(size), np.ones(size, dtype=bool)
        reasons, converged, bounded = dict.fromkeys(range(size), NO_COST), True, True
        costs, imbalances, states = [self._constant.cost], [0.0], []
        for component in self.components:
            scales, structure = component.scales, component.of(self._stored.structure)
            cost = self._at(structure, self._stored.files)
            found = least_cost(cost, free_of_cost(cost, whole_pattern(structure, self._roles)), bound)
            before = state_of(cost, np.zeros(scales.size))
            log_scales[scales], held[scales] = found.log_scales, found.held
            for k, scale in enumerate(scales.tolist()):
                reasons.pop(scale)
                if k in found.reasons:
                    reasons[scale] = found.reasons[k]
            converged, bounded = converged and found.converged, bounded and found.is_bounded_optimum
            costs.append(before.cost)
            imbalances.append(float(before.relative_imbalances[~found.held].max(initial=0.0)))
            states.append(state_of(cost, found.log_scales))
        return Least(Optimum(log_scales, held, reasons, converged, bounded), math.fsum(costs), max(imbalances), states)

    def measured(
        self, files: CheckpointFiles, least: Least, regularizer: Regularizer, tolerance: float | None
    ) -> Measured:
        """Imbalance and certificate of the weights as written.

        Raises
        ------
        FunctionChangedError
            If what goes into or out of a unit is not what its scale makes of it, beyond rounding.
        """
        constant = self._constant
        imbalances, log_costs, log_bounds = [0.0], [_log(constant.cost)], [_log(constant.least)]
        for component, predicted in zip(self.components, least.states, strict=True):
            cost, held = self._at(component.of(self._stored.structure), files), least.optimum.held[component.scales]
            state = state_of(cost, np.zeros(held.size))
            self._check(component, predicted, state, tolerance)
            imbalances.append(float(state.relative_imbalances[~held].max(initial=0.0)))
            certificate = certify_cost(cost.restricted(np.where(held, 0.0, np.nan)), regularizer)
            log_costs.append(certificate.log_cost)
            log_bounds.append(certificate.log_lower_bound)
        return Measured(max(imbalances), sum_of_certificates(log_costs, log_bounds, regularizer))

    def _check(self, component: Component, predicted: CostState, measured: CostState, tolerance: float | None) -> None:
        """Each scale must have changed what goes in and out by as much as it says."""
        allowed = tolerance
        if allowed is None:
            dtypes = {self._stored.files.dtype(self._stored.names[p.key][0]) for p in component.parameters}
            allowed = precision_of(dtypes)
        change = np.maximum(*(_apart(one, other) for one, other in zip(predicted.sides, measured.sides, strict=True)))
        wrong = np.flatnonzero(~(change <= allowed))
        if wrong.size:
            names = [self._stored.structure.scales[k] for k in component.scales[wrong].tolist()]
            message = (
                f"rounding to the types of the files changed what {names[0]} reads or feeds by {change[wrong[0]]:.3g} "
                f"of itself, more than {allowed:.2g} ({wrong.size} units in all); nothing is written. Weights may be "
                "too small for their type: a smaller bound= keeps them larger, tolerance= allows more"
            )
            raise FunctionChangedError(message, change=float(change.max()), tolerance=allowed, units=names)


def _apart(one: Array, other: Array) -> Array:
    """How far two costs are apart, relative to the first, from their logarithms."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(one == other, 0.0, np.abs(np.expm1(other - one)))


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf
