"""What balancing did to a module."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from balance_graph.models.report import ScalingReport


@dataclass(frozen=True, eq=False, repr=False)
class ModuleReport(ScalingReport):
    """What `balance_module` did.

    Costs, imbalance and certificate are measured on the parameters as the module holds them, rounded to their types.

    Attributes
    ----------
    module : torch.nn.Module
        The balanced module: the one given, or its copy.
    initial_cost, cost : float
        Of all that has a cost, before and after.
    initial_relative_imbalance, relative_imbalance : float
        The largest ``|in - out| / (in + out)`` over all scales that are not held, before and after.
    certificate : Certificate
        A lower bound on the cost of the whole model, whatever its scales, those that are held staying as they are.
    output_change, tolerance : float
        Largest change of an output on the example inputs, relative to the largest output, and what was allowed.
    log_scales : ndarray
        Of the free scales, in the order of ``read_module(...).structure.scales``.
    regularizer : Regularizer
    costed : tuple of str
    bound : float
        No log-scale is larger.
    converged : bool
        Whether the solver reached its tolerance, and no scale at the bound wants to leave it inward.
    """

    module: nn.Module = field(repr=False)

    @property
    def model_name(self) -> str:
        """The module's class."""
        return type(self.module).__name__
