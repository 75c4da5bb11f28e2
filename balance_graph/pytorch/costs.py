"""What a module's weights cost, as a function of its scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from balance_graph.models.structure import Block
from balance_graph.models.tensors import Parameter
from balance_graph.models.terms import ROLES, CostTerms
from balance_graph.models.terms import cost_terms as terms_of
from balance_graph.pytorch.reading import ModelStructure


def cost_terms(model: ModelStructure, exponent: float = 2.0, *, roles: Sequence[str] = ROLES) -> CostTerms:
    """The terms of ``sum |w|^exponent`` over the module's parameters as they are now.

    Parameters
    ----------
    model : ModelStructure
        Of `read_module`.
    exponent : float
        The power.
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``.

    Returns
    -------
    CostTerms
        ``A``, ``log_coefficient`` and ``exponent``, as `BalanceProblem.from_terms` takes them.

    Raises
    ------
    InvalidParameterError
        If a role is unknown.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import cost_terms, read_module
    >>> network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> terms = cost_terms(read_module(network, (torch.ones(1, 3),)))
    >>> terms.A.shape  # each unit: its inputs and bias, its outputs; and the biases of the outputs
    (11, 5)
    >>> squares = sum(float((p.detach().double() ** 2).sum()) for p in network.parameters())
    >>> bool(np.isclose(np.exp(terms.log_coefficient).sum(), squares))
    True
    """

    def powers(parameter: Parameter, block: Block | None) -> object:
        values = model.tensor(parameter).detach()
        if block is None:
            return float(_power(values, exponent).sum())
        return block.sums(_power(values, exponent)).cpu().numpy()

    return terms_of(model.structure, powers, exponent, roles)


def _power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    wide = values.to(torch.float64)
    return wide * wide if exponent == 2 else wide.abs().pow_(exponent)
