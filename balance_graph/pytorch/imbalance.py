"""How far a module is from balance, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import nn

from balance_graph._types import Array
from balance_graph.models.report import layer_of
from balance_graph.models.request import powers_of, roles_of
from balance_graph.models.state import state_of
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.pytorch.costs import model_cost
from balance_graph.pytorch.held import held_scales
from balance_graph.pytorch.reading import ModelStructure, read_module
from balance_graph.pytorch.shards import is_sharded
from balance_graph.pytorch.sums import BlockSums, Slopes, relative_imbalances


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

    The module is read once; with new weights only sums are computed, in the precision of the weights, single at least.

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
    return _meter(model, powers_of(chosen), roles_of(costed)).measured()


_Powers = tuple[tuple[float, float], ...]
_METERS: WeakKeyDictionary[ModelStructure, dict[tuple[_Powers, tuple[str, ...]], _Meter]] = WeakKeyDictionary()


def _meter(model: ModelStructure, powers: _Powers, roles: tuple[str, ...]) -> _Meter:
    known = _METERS.setdefault(model, {})
    if (powers, roles) not in known:
        meter = _ShardedMeter if any(is_sharded(tensor) for tensor in model.tensors.values()) else _Meter
        known[powers, roles] = meter(model, powers, roles)
    return known[powers, roles]


class _Meter:
    """Measures a module again and again; what depends on the architecture, and on which weights are zero, is kept."""

    def __init__(self, model: ModelStructure, powers: _Powers, roles: tuple[str, ...]) -> None:
        self._structure, self._powers, self._roles = model.structure, powers, roles
        # Without the module's structure as a key within its own value, which would keep it alive.
        self._sums = BlockSums(ModelStructure(model.structure, model.tensors), powers, roles)
        self._pattern: bytes | None = None

    def measured(self) -> ModuleImbalance:
        slopes, cost = self._measure()
        pattern = slopes.pattern
        if pattern != self._pattern:
            self._look()
            self._pattern = pattern
        units = slopes.relative[self._free]
        sizes = (slopes.positive + slopes.negative)[self._free]
        shares = np.bincount(self._layer, units * sizes, len(self._layers))
        totals = np.bincount(self._layer, sizes, len(self._layers))
        layers = np.divide(shares, totals, out=np.zeros(len(self._layers)), where=totals > 0)
        return ModuleImbalance(
            units=dict(zip(self._names, units.tolist(), strict=True)),
            layers=dict(zip(self._layers, layers.tolist(), strict=True)),
            total=_share(units, sizes),
            largest=float(units.max(initial=0.0)),
            cost=cost,
        )

    def _measure(self) -> tuple[Slopes, float]:
        """Slopes, in any unit, and the whole cost."""
        slopes = self._sums.slopes()
        return slopes, self._sums.total(slopes)

    def _look(self) -> None:
        """Find the scales that the cost holds in place: other weights are zero than before."""
        model = self._sums.model
        free = np.ones(self._structure.size, dtype=bool)
        free[list(held_scales(model, model_cost(model, self._powers, self._roles), self._roles))] = False
        self._free = np.flatnonzero(free)
        self._names = [self._structure.scales[k] for k in self._free.tolist()]
        layers = [layer_of(name) for name in self._names]
        self._layers = [*dict.fromkeys(layers)]
        number = {layer: k for k, layer in enumerate(self._layers)}
        self._layer = np.array([number[layer] for layer in layers], dtype=np.int64)


class _ShardedMeter(_Meter):
    """Measures a sharded module: each process sums its own shards."""

    def _measure(self) -> tuple[Slopes, float]:
        cost = model_cost(self._sums.model, self._powers, self._roles)
        state = state_of(cost, np.zeros(cost.size))
        unit = max((float(side.max(initial=-np.inf)) for side in state.sides), default=-np.inf)
        unit = unit if np.isfinite(unit) else 0.0
        positive, negative = (np.exp(side - unit) for side in state.sides)
        counts = np.array([one.n_nonzero for one in cost.blocks], dtype=np.int64)
        relative = relative_imbalances(positive, negative)
        sums = np.concatenate([positive, negative])
        return Slopes(positive, negative, relative, sums, counts, np.zeros(0)), state.cost


def _share(units: Array, sizes: Array) -> float:
    return float((units * sizes).sum() / sizes.sum()) if sizes.sum() > 0 else 0.0
