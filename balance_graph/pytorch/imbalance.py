"""How far a module is from balance, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from balance_graph._types import Array, Mask
from balance_graph.models.flows import CostState, state_of
from balance_graph.models.report import layer_of
from balance_graph.models.request import powers_of, roles_of
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.pytorch.costs import model_cost
from balance_graph.pytorch.held import held_scales
from balance_graph.pytorch.reading import read_module


@dataclass(frozen=True, repr=False)
class ModuleImbalance:
    """Relative imbalances of a module's free scales; those that its cost does not hold in place are left out.

    Attributes
    ----------
    units : dict of str to float
        ``|in - out| / (in + out)`` of each free scale, by its name; in and out are the slopes of the costs that grow
        and that fall with the scale.
    layers : dict of str to float
        The same for each layer, sums of ``|in - out|`` against sums of ``in + out``.
    total : float
        The same for all.
    largest : float
        The largest of a unit: 0 if and only if the module is balanced.
    cost : float
        Of all that has a cost.
    """

    units: Mapping[str, float] = field(repr=False)
    layers: Mapping[str, float]
    total: float
    largest: float
    cost: float

    def as_dict(self, prefix: str = "imbalance") -> dict[str, float]:
        """Plain numbers for loggers: total, largest, cost and one for each layer."""
        layers = {f"{prefix}/{layer}": value for layer, value in self.layers.items()}
        return {f"{prefix}/total": self.total, f"{prefix}/largest": self.largest, f"{prefix}/cost": self.cost, **layers}

    def __repr__(self) -> str:
        return f"ModuleImbalance(total={self.total:.3g}, largest={self.largest:.3g}, {len(self.units)} units)"


def imbalance(
    module: nn.Module,
    example_inputs: tuple[Any, ...],
    regularizer: float | Regularizer = 2.0,
    *,
    costed: Sequence[str] = ("weights", "biases", "norms"),
    kwargs: dict[str, Any] | None = None,
) -> ModuleImbalance:
    """Relative imbalance of a module as it stands, for each unit, for each layer and in total.

    The module is read once; with new weights only sums are computed.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed.
    example_inputs : tuple
        As for `balance_module`.
    regularizer : float or Regularizer
        A number p, `Lp`, `ElasticNet` or `Posynomial`.
    costed : sequence of str
        Which parameters have a cost: ``"weights"``, ``"biases"``, ``"norms"``.
    kwargs : dict, optional
        Keyword arguments of the module.

    Returns
    -------
    ModuleImbalance

    Raises
    ------
    InvalidParameterError, UnsupportedError
        As `balance_module`.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import balance_module, imbalance
    >>> model, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).double(), (torch.ones(1, 3).double(),)
    >>> found = imbalance(model, x)
    >>> sorted(found.as_dict())
    ['imbalance/0', 'imbalance/cost', 'imbalance/largest', 'imbalance/total']
    >>> _ = balance_module(model, x)
    >>> imbalance(model, x).largest < 1e-10 < found.largest
    True
    """
    chosen = as_regularizer(regularizer)
    model = read_module(module, example_inputs, kwargs=kwargs)
    roles = roles_of(costed)
    cost = model_cost(model, powers_of(chosen), roles)
    free = np.ones(model.structure.size, dtype=bool)
    free[list(held_scales(model, cost, roles))] = False
    names = [name for name, is_free in zip(model.structure.scales, free.tolist(), strict=True) if is_free]
    return _measured(state_of(cost, np.zeros(model.structure.size)), free, names)


def _measured(state: CostState, free: Mask, names: Sequence[str]) -> ModuleImbalance:
    units = state.relative_imbalances[free]
    # Relative to the largest, so that no cost is out of the range of floats.
    logs = np.logaddexp(*(side[free] for side in state.sides))
    sizes = np.exp(logs - max(logs, default=0.0))
    layers = np.array([layer_of(name) for name in names], dtype=object)
    return ModuleImbalance(
        units=dict(zip(names, units.tolist(), strict=True)),
        layers={
            layer: _share(units[layers == layer], sizes[layers == layer]) for layer in dict.fromkeys(layers.tolist())
        },
        total=_share(units, sizes),
        largest=float(units.max(initial=0.0)),
        cost=state.cost,
    )


def _share(units: Array, sizes: Array) -> float:
    return float((units * sizes).sum() / sizes.sum()) if sizes.sum() > 0 else 0.0
