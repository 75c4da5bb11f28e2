"""What balancing did to a model, unit by unit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from balance_graph._optional import import_optional
from balance_graph._showing import html_table, some_of
from balance_graph._types import Array
from balance_graph.certificate.bound import Certificate
from balance_graph.models.certificate import certify_cost
from balance_graph.models.cost import ModelCost
from balance_graph.models.optimum import AT_BOUND, NEARLY_DEAD, Optimum
from balance_graph.models.request import Request
from balance_graph.models.state import CostState, state_of
from balance_graph.models.structure import Structure, Unit
from balance_graph.problem.regularizers import Regularizer


@dataclass(frozen=True)
class UnitReport:
    """A unit of a model, and what balancing did to it.

    Attributes
    ----------
    name : str
        The module's path, or the node's name, and the channel, unit or element.
    status : str
        ``"scaled"``, ``"tied"`` (scaled with others), ``"pinned"`` or ``"refused"`` (read by an unknown operation).
    reason : str
        Why it is pinned or refused, or held at the bound.
    scale : float
        The factor of its activations.
    parameters : tuple of str
        Parameters and buffers that its scale changes.
    """

    name: str
    status: str
    reason: str
    scale: float
    parameters: tuple[str, ...]

    @property
    def layer(self) -> str:
        """Path of the module, or name of the node, that it belongs to."""
        return layer_of(self.name)


def layer_of(name: str) -> str:
    """Path of the module, or name of the node, that a unit or scale belongs to."""
    return name.partition(" ")[0]


def unit_reports(structure: Structure, optimum: Optimum) -> tuple[UnitReport, ...]:
    """One row for each unit of the model."""
    with np.errstate(over="ignore", under="ignore"):
        factors = np.exp(structure.unit_forms @ optimum.log_scales)
    forms = structure.unit_forms
    bounds = forms.indptr.tolist()
    return tuple(
        _unit_report(structure, optimum, unit, float(factors[k]), forms.indices[bounds[k] : bounds[k + 1]].tolist())
        for k, unit in enumerate(structure.units)
    )


def _unit_report(structure: Structure, optimum: Optimum, unit: Unit, scale: float, columns: list[int]) -> UnitReport:
    status, reason = unit.status, unit.reason
    reasons = [optimum.reasons[k] for k in columns if k in optimum.reasons]
    if columns and len(reasons) == len(columns):
        reason = reasons[0]
        status = status if {AT_BOUND, NEARLY_DEAD} & set(reasons) else "pinned"
    parameters = dict.fromkeys(name for k in columns for name in structure.scaled_parameters[k])
    return UnitReport(unit.name, status, reason, scale, tuple(parameters))


def unit_lines(units: Sequence[UnitReport]) -> list[str]:
    """How many units are scaled, tied, pinned and refused, and why, in lines of text."""
    counts = Counter(unit.status for unit in units)
    why = Counter((unit.status, unit.reason) for unit in units if unit.reason)
    return [
        "units               " + (", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "none"),
        *(f"  {n} {status}: {reason}" for (status, reason), n in why.most_common()),
    ]


@dataclass(frozen=True, eq=False, repr=False)
class ScalingReport:
    """What balancing did to a model, whatever the framework.

    Costs, imbalance and certificate are measured on the parameters as the model holds them, rounded to their types.

    Attributes
    ----------
    initial_cost, cost : float
        Of all that has a cost, before and after.
    initial_relative_imbalance, relative_imbalance : float
        The largest ``|in - out| / (in + out)`` over all scales that are not held, before and after.
    certificate : Certificate
        A lower bound on the cost of the whole model, whatever its scales, those that are held staying as they are.
    output_change, tolerance : float or None
        Largest change of an output on the example inputs, relative to the largest output, and what was allowed; None
        where it was not measured.
    log_scales : ndarray
        Of the free scales, in the order of the structure's `scales`.
    regularizer : Regularizer
    costed : tuple of str
    bound : float
        No log-scale is larger.
    converged : bool
        Whether the solver reached its tolerance, and no scale at the bound wants to leave it inward.
    """

    initial_cost: float
    cost: float
    initial_relative_imbalance: float
    relative_imbalance: float
    certificate: Certificate
    output_change: float | None
    tolerance: float | None
    log_scales: Array
    regularizer: Regularizer
    costed: tuple[str, ...]
    bound: float
    converged: bool
    _structure: Structure = field(repr=False)
    _optimum: Optimum = field(repr=False)

    @cached_property
    def units(self) -> tuple[UnitReport, ...]:
        """One row for each unit of the model."""
        return unit_reports(self._structure, self._optimum)

    def summary(self) -> str:
        """The report in a few lines of text."""
        lines = [
            f"cost                {self.initial_cost:.12g} -> {self.cost:.12g}",
            f"regularizer         {self.regularizer!r} of {', '.join(self.costed)}",
            f"relative imbalance  {self.initial_relative_imbalance:.3g} -> {self.relative_imbalance:.3g}",
            f"certified gap       {self.certificate.relative_gap:.3g}",
            f"output change       {self._change_in_words}",
            *unit_lines(self.units),
        ]
        return "\n".join(lines if self.converged else ["not converged", *lines])

    @property
    def _change_in_words(self) -> str:
        if self.output_change is None:
            return "not measured"
        allowed = "" if self.tolerance is None else f" (allowed {self.tolerance:.2g})"
        return f"{self.output_change:.3g}{allowed}"

    def to_frame(self) -> Any:
        """The units as a `pandas.DataFrame`, one row each."""
        pandas = import_optional("pandas", extra="pandas", purpose="to_frame")
        columns = ("name", "layer", "status", "reason", "scale", "parameters")
        return pandas.DataFrame([[getattr(unit, c) for c in columns] for unit in self.units], columns=list(columns))

    @property
    def model_name(self) -> str:
        """What the model is called where the report is shown."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return html_table(
            f"Balanced {self.model_name}",
            {
                "cost": f"{self.initial_cost:.12g} → {self.cost:.12g}",
                "relative imbalance": f"{self.initial_relative_imbalance:.3g} → {self.relative_imbalance:.3g}",
                "certified gap": f"{self.certificate.relative_gap:.3g}",
                "output change": self._change_in_words,
                "at the bound": some_of([unit.name for unit in self.units if unit.reason in {AT_BOUND, NEARLY_DEAD}]),
            },
        )

    def __repr__(self) -> str:
        moved = sum(not math.isclose(unit.scale, 1.0) for unit in self.units)
        change = "not measured" if self.output_change is None else f"{self.output_change:.2g}"
        return (
            f"{type(self).__name__}({self.model_name}, cost {self.initial_cost:.6g} -> {self.cost:.6g}, "
            f"relative imbalance {self.relative_imbalance:.2g}, output change {change}, "
            f"{moved} of {len(self.units)} units moved)"
        )


def findings(
    request: Request,
    structure: Structure,
    optimum: Optimum,
    before: CostState,
    cost: ModelCost,
    measured: tuple[float, float],
) -> dict[str, Any]:
    """The fields of a `ScalingReport`, from the costs and from how far outputs moved, and might have."""
    held, after = np.where(optimum.held, 0.0, np.nan), state_of(cost, np.zeros(structure.size))
    change, allowed = measured
    return {
        "initial_cost": before.cost,
        "cost": after.cost,
        "initial_relative_imbalance": float(before.relative_imbalances[~optimum.held].max(initial=0.0)),
        "relative_imbalance": float(after.relative_imbalances[~optimum.held].max(initial=0.0)),
        "certificate": certify_cost(cost.restricted(held), request.regularizer),
        "output_change": change,
        "tolerance": allowed,
        "log_scales": optimum.log_scales,
        "regularizer": request.regularizer,
        "costed": request.costed,
        "bound": request.bound,
        "converged": optimum.converged and optimum.is_bounded_optimum,
        "_structure": structure,
        "_optimum": optimum,
    }
