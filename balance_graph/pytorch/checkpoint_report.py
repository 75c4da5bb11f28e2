"""What balancing did to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from balance_graph._types import Array
from balance_graph.certificate.bound import Certificate
from balance_graph.models.optimum import Optimum
from balance_graph.models.report import UnitReport, unit_lines, unit_reports
from balance_graph.models.structure import Structure
from balance_graph.problem.regularizers import Regularizer


@dataclass(frozen=True, eq=False, repr=False)
class CheckpointReport:
    """What `balance_checkpoint` did. Costs, imbalance and certificate are those of the files as written.

    Attributes
    ----------
    output : Path
        The new directory.
    initial_cost, cost : float
        Of all that has a cost, before and after.
    initial_relative_imbalance, relative_imbalance : float
        The largest ``|in - out| / (in + out)`` over all scales that are not held, before and after.
    certificate : Certificate
        A lower bound on the cost of the whole model, whatever its scales, those that are held staying as they are.
    output_change : float or None
        Largest change of an output on the example inputs, relative to the largest output; None where it was not asked
        for.
    log_scales : ndarray
        Of the free scales, in the order of the model's structure.
    regularizer : Regularizer
    costed : tuple of str
    bound : float
        No log-scale is larger.
    converged : bool
        Whether the solver reached its tolerance, and no scale at the bound wants to leave it inward.
    n_components : int
        Parts of the model that were balanced one after another.
    seconds : dict of str to float
        Of each part of the work: ``"read"``, ``"solve"``, ``"copy"``, ``"rewrite"``, ``"measure"``, ``"check"``.
    """

    output: Path
    initial_cost: float
    cost: float
    initial_relative_imbalance: float
    relative_imbalance: float
    certificate: Certificate
    output_change: float | None
    log_scales: Array
    regularizer: Regularizer
    costed: tuple[str, ...]
    bound: float
    converged: bool
    n_components: int
    seconds: Mapping[str, float]
    _structure: Structure = field(repr=False)
    _optimum: Optimum = field(repr=False)

    @cached_property
    def units(self) -> tuple[UnitReport, ...]:
        """One row for each unit of the model."""
        return unit_reports(self._structure, self._optimum)

    def summary(self) -> str:
        """The report in a few lines of text."""
        change = "not asked for: check=True" if self.output_change is None else f"{self.output_change:.3g}"
        lines = [
            f"checkpoint          {self.output}",
            f"cost                {self.initial_cost:.12g} -> {self.cost:.12g}",
            f"regularizer         {self.regularizer!r} of {', '.join(self.costed)}",
            f"relative imbalance  {self.initial_relative_imbalance:.3g} -> {self.relative_imbalance:.3g}",
            f"certified gap       {self.certificate.relative_gap:.3g}",
            f"output change       {change}",
            f"components          {self.n_components}",
            *unit_lines(self.units),
        ]
        return "\n".join(lines if self.converged else ["not converged", *lines])

    def __repr__(self) -> str:
        return (
            f"CheckpointReport({str(self.output)!r}, cost {self.initial_cost:.6g} -> {self.cost:.6g}, "
            f"relative imbalance {self.relative_imbalance:.2g}, {self.n_components} components)"
        )
