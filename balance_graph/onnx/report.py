"""What balancing did to an ONNX model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import onnx

from balance_graph.models.report import ScalingReport


@dataclass(frozen=True, eq=False, repr=False)
class ModelReport(ScalingReport):
    """What `balance_model` did.

    Costs, imbalance and certificate are measured on the weights as the model holds them, rounded to their types.

    Attributes
    ----------
    model : onnx.ModelProto
        The balanced model, with all weights in it.
    runtime : str
        What the outputs were measured with: ``"ONNX Runtime"`` or ``"reference evaluator"``.
    output : pathlib.Path or None
        The file that was written.
    unknown : dict of str to tuple of str
        Operations that no rule knows, with the nodes: what they read is pinned.
    initial_cost, cost : float
        Of all that has a cost, before and after.
    initial_relative_imbalance, relative_imbalance : float
        The largest ``|in - out| / (in + out)`` over all scales that are not held, before and after.
    certificate : Certificate
        A lower bound on the cost of the whole model, whatever its scales, those that are held staying as they are.
    output_change, tolerance : float
        Largest change of an output on the example inputs, relative to the largest output, and what was allowed.
    log_scales : ndarray
        Of the free scales, in the order of ``read_model(...).structure.scales``.
    regularizer : Regularizer
    costed : tuple of str
    bound : float
        No log-scale is larger.
    converged : bool
        Whether the solver reached its tolerance, and no scale at the bound wants to leave it inward.
    """

    model: onnx.ModelProto = field(repr=False)
    runtime: str
    output: Path | None

    @property
    def unknown(self) -> dict[str, tuple[str, ...]]:
        """Operations that no rule knows, with the nodes."""
        return dict(self._structure.unknown)

    @property
    def model_name(self) -> str:
        """The name of the model's graph."""
        return self.model.graph.name or "ONNX model"

    def summary(self) -> str:
        """The report in a few lines of text."""
        lines = [f"unknown operation   {name}: {', '.join(nodes)}" for name, nodes in self.unknown.items()]
        measured = f"measured by         {self.runtime}"
        return "\n".join([super().summary(), measured, *lines])
