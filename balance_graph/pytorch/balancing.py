"""Balancing a module in place, its function measured before and after."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from balance_graph._types import Array
from balance_graph.models.optimum import least_cost
from balance_graph.models.report import findings
from balance_graph.models.request import Request
from balance_graph.models.state import state_of
from balance_graph.models.suspects import function_changed
from balance_graph.problem.regularizers import Regularizer
from balance_graph.pytorch.costs import model_cost
from balance_graph.pytorch.evaluation import outputs_of, relative_change, tolerance_of
from balance_graph.pytorch.held import held_scales
from balance_graph.pytorch.reading import ModelStructure, read_module
from balance_graph.pytorch.report import ModuleReport
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
    request = Request.of(regularizer, costed, bound, tolerance)
    if not inplace and isinstance(module, nn.Module):
        check_whole(module, "a copy (inplace=False)")
        module = copy.deepcopy(module)
    model = read_module(module, example_inputs, kwargs=kwargs)
    cost = model_cost(model, request.powers, request.roles)
    optimum = least_cost(cost, held_scales(model, cost, request.roles), request.bound)
    before = state_of(cost, np.zeros(model.structure.size))
    optimum = replace(optimum, log_scales=first_of_all(module.parameters(), optimum.log_scales))
    measured = _scale_checked(module, model, optimum.log_scales, (example_inputs, kwargs or {}), request.tolerance)
    cost = model_cost(model, request.powers, request.roles)
    return ModuleReport(module=module, **findings(request, model.structure, optimum, before, cost, measured))


def _scale_checked(
    module: nn.Module, model: ModelStructure, log_scales: Array, call: tuple[Any, Any], tolerance: float | None
) -> tuple[float, float]:
    """Scale the module; how far its outputs moved, and might have. Restored, if that is too far or anything fails."""
    before = outputs_of(module, *call)
    allowed = tolerance_of(module, before) if tolerance is None else tolerance
    snapshot = Snapshot(model)

    def change_of(chosen: Array) -> float:
        snapshot.restore()
        apply(model, chosen)
        return largest_of_all(module.parameters(), relative_change(before, outputs_of(module, *call)))

    try:
        change = change_of(log_scales)
        if not change <= allowed:
            raise function_changed(
                model.structure.scales, log_scales, change_of, (change, allowed), "the module is restored"
            )
    except BaseException:
        snapshot.restore()
        raise
    return change, allowed
