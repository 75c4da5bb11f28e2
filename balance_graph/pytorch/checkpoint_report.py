"""What balancing did to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from balance_graph.models.report import ScalingReport


@dataclass(frozen=True, eq=False, repr=False)
class CheckpointReport(ScalingReport):
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
    output_change, tolerance : float or None
        Largest change of an output on the example inputs, relative to the largest output, and what was allowed; None
        where it was not asked for (``check=True``).
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
    n_components: int
    seconds: Mapping[str, float]

    @property
    def model_name(self) -> str:
        """The new directory."""
        return str(self.output)

    def summary(self) -> str:
        """The report in a few lines of text."""
        about = [f"checkpoint          {self.output}", f"components          {self.n_components}"]
        return "\n".join([super().summary(), *about])
