"""Balancing a module in place, its function measured before and after."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from balance_graph._arguments import check_number
from balance_graph._types import Array
from balance_graph.errors import FunctionChangedError, InvalidParameterError
from balance_graph.models.certificate import certify_cost
from balance_graph.models.flows import state_of
from balance_graph.models.optimum import LOG_BOUND, least_cost
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.pytorch.costs import model_cost, powers_of, roles_of
from balance_graph.pytorch.evaluation import outputs_of, relative_change, tolerance_of
from balance_graph.pytorch.held import held_scales
from balance_graph.pytorch.reading import ModelStructure, read_module
from balance_graph.pytorch.report import ModuleReport, layer_of
from balance_graph.pytorch.scaling import apply
from balance_graph.pytorch.shards import check_whole, first_of_all, largest_of_all
from balance_graph.pytorch.snapshot import Snapshot


def balance_module(
    module: nn.Module,
    example_inputs: tuple[Any, ...],
    regularizer: float | Regularizer = 2.0,
    *,
    costed: Sequence[str] = ("weights", "biases", "norms"),
    bound: float | None = None,
    inplace: bool = True,
    kwargs: dict[str, Any] | None = None,
    tolerance: float | None = None,
) -> ModuleReport:
    """Move a module's weights to the scales at which they cost least; what it computes stays the same.

    Parameters keep their identity, type, device and ``requires_grad``; gradients and optimizer states stay as they
    are. Outputs in evaluation mode are measured before and after: if they move by more than rounding explains,
    everything is restored.

    Parameters
    ----------
    module : torch.nn.Module
        Modes of its submodules are kept.
    example_inputs : tuple
        Positional arguments, as for `torch.export.export`; small ones are read faster.
    regularizer : float or Regularizer
        A number p, `Lp`, `ElasticNet` or `Posynomial`.
    costed : sequence of str
        Which parameters have a cost: ``"weights"``, ``"biases"``, ``"norms"`` (weights and biases of normalizations).
        A scale that could lower the cost for ever, or that nothing with a cost depends on, is held at 1.
    bound : float, optional
        No log-scale gets larger: the cost is least among those scales. Default 20, a factor of 5e8, beyond which a
        unit has weights that are next to nothing; ``math.inf`` for none.
    inplace : bool
        False balances a deep copy, which is ``report.module``.
    kwargs : dict, optional
        Keyword arguments of the module.
    tolerance : float, optional
        How far outputs may move, relative to the largest. Default: the square root of the machine epsilon of the
        coarsest floating-point type of parameters and outputs.

    Returns
    -------
    ModuleReport
        Costs, certificate, change of the outputs, and a row for each unit: scaled, tied, pinned or refused, and why.

    Raises
    ------
    FunctionChangedError
        If the outputs move by more. Parameters and buffers are restored bit for bit.
    InvalidParameterError
        For arguments out of range, weights that are not finite, and regularizers that are no sums of powers.
    UnsupportedError
        If PyTorch cannot export the module; the message says where.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import balance_module
    >>> model = nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 2)).double()
    >>> x = torch.ones(1, 3).double()
    >>> before = model(x)
    >>> report = balance_module(model, (x,))
    >>> report.cost < report.initial_cost, report.relative_imbalance < 1e-10, report.certificate.relative_gap < 1e-9
    (True, True, True)
    >>> bool(torch.allclose(model(x), before))
    True
    """
    chosen, limit, tolerance = as_regularizer(regularizer), checked_bound(bound), checked_tolerance(tolerance)
    if not inplace and isinstance(module, nn.Module):
        check_whole(module, "a copy (inplace=False)")
        module = copy.deepcopy(module)
    model = read_module(module, example_inputs, kwargs=kwargs)
    powers, roles = powers_of(chosen), roles_of(costed)
    cost = model_cost(model, powers, roles)
    optimum = least_cost(cost, held_scales(model, cost, roles), limit)
    at = np.zeros(model.structure.size)
    before = state_of(cost, at)
    optimum = replace(optimum, log_scales=first_of_all(module.parameters(), optimum.log_scales))
    change, allowed = _scale_checked(module, model, optimum.log_scales, (example_inputs, kwargs or {}), tolerance)
    cost = model_cost(model, powers, roles)
    after = state_of(cost, at)
    held = np.where(optimum.held, 0.0, np.nan)
    return ModuleReport(
        module=module,
        initial_cost=before.cost,
        cost=after.cost,
        initial_relative_imbalance=float(before.relative_imbalances[~optimum.held].max(initial=0.0)),
        relative_imbalance=float(after.relative_imbalances[~optimum.held].max(initial=0.0)),
        certificate=certify_cost(cost.restricted(held), chosen),
        output_change=change,
        tolerance=allowed,
        log_scales=optimum.log_scales,
        regularizer=chosen,
        costed=tuple(costed),
        bound=limit,
        converged=optimum.converged and optimum.is_bounded_optimum,
        _structure=model.structure,
        _optimum=optimum,
    )


def checked_bound(bound: float | None) -> float:
    """The bound on log-scales, or its default."""
    if bound is None:
        return LOG_BOUND
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not bound > 0:
        message = f"bound must be a positive number, the largest size of a log-scale, or math.inf; got {bound!r}"
        raise InvalidParameterError(message)
    return float(bound)


def checked_tolerance(tolerance: float | None) -> float | None:
    """How far outputs may move; None for the default."""
    if tolerance is not None and not check_number(tolerance, "tolerance", InvalidParameterError) >= 0:
        message = f"tolerance must not be negative, got {tolerance!r}"
        raise InvalidParameterError(message)
    return None if tolerance is None else float(tolerance)


def _scale_checked(
    module: nn.Module, model: ModelStructure, log_scales: Array, call: tuple[Any, Any], tolerance: float | None
) -> tuple[float, float]:
    """Scale the module; how far its outputs moved, and might have. Restored, if that is too far or anything fails."""
    before = outputs_of(module, *call)
    allowed = tolerance_of(module, before) if tolerance is None else tolerance
    snapshot = Snapshot(model)
    try:
        apply(model, log_scales)
        change = largest_of_all(module.parameters(), relative_change(before, outputs_of(module, *call)))
        if not change <= allowed:
            snapshot.restore()
            raise _changed(module, model, log_scales, call, (change, allowed), before, snapshot)
    except BaseException:
        snapshot.restore()
        raise
    return change, allowed


def _changed(
    module: nn.Module,
    model: ModelStructure,
    log_scales: Array,
    call: tuple[Any, Any],
    measured: tuple[float, float],
    before: list[torch.Tensor],
    snapshot: Snapshot,
) -> FunctionChangedError:
    """The error, with the units of the layers that change the outputs when they alone are scaled."""
    names = model.structure.scales
    layers = np.array([layer_of(name) for name in names])
    suspected: list[str] = []
    for layer in dict.fromkeys(layers.tolist()):
        apply(model, np.where(layers == layer, log_scales, 0.0))
        if not relative_change(before, outputs_of(module, *call)) <= measured[1]:
            suspected += [name for name in names if layer_of(name) == layer]
        snapshot.restore()
    change, allowed = measured
    listed = ", ".join(suspected[:5]) + (f", ... ({len(suspected)} in all)" if len(suspected) > 5 else "")
    message = (
        f"scaling changed the outputs by {change:.3g} of the largest, more than the {allowed:.2g} that rounding "
        f"explains; the module is restored. Units that change them alone: {listed or 'none, only all together'}. "
        "Either a rule of an operation is wrong, or the model multiplies rounding errors (tolerance= allows more)"
    )
    return FunctionChangedError(message, change=change, tolerance=allowed, units=suspected)
