"""What a module's weights cost, as a function of its scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.models.structure import Block
from balance_graph.models.tensors import Parameter
from balance_graph.models.terms import ROLES, CostTerms
from balance_graph.models.terms import cost_terms as terms_of
from balance_graph.problem.regularizers import Regularizer
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
        If a role is unknown, or a parameter holds what is not finite.
    UnsupportedError
        If a parameter has no values, on the meta device.

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
        if values.is_meta:
            message = f"parameter {parameter.name!r} is on the meta device and has no values: load the weights first"
            raise UnsupportedError(message)
        if block is None:
            return float(_power(values, exponent).sum())
        return block.sums(_power(values, exponent)).cpu().numpy()

    return terms_of(model.structure, powers, exponent, roles)


def _power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    wide = values.to(torch.float64)
    return wide * wide if exponent == 2 else wide.abs().pow_(exponent)


def power_terms(
    model: ModelStructure, regularizer: Regularizer, costed: Sequence[str]
) -> tuple[tuple[float, CostTerms], ...]:
    """The cost as powers: for each its coefficient and its terms.

    Parameters
    ----------
    model : ModelStructure
    regularizer : Regularizer
        A sum of powers.
    costed : sequence of str
        Among ``"weights"``, ``"biases"``, ``"norms"``.

    Returns
    -------
    tuple of (float, CostTerms)

    Raises
    ------
    InvalidParameterError
        If the regularizer is no sum of powers, or what is costed is unknown.
    """
    roles = roles_of(costed)
    return tuple((a, cost_terms(model, p, roles=roles)) for a, p in powers_of(regularizer))


def pattern_terms(model: ModelStructure, costed: Sequence[str]) -> CostTerms:
    """The terms that there are if no weight is zero."""

    def powers(parameter: Parameter, block: Block | None) -> object:
        return float(parameter.size) if block is None else np.ones(block.shape)

    return terms_of(model.structure, powers, 1.0, roles_of(costed))


def powers_of(regularizer: Regularizer) -> tuple[tuple[float, float], ...]:
    """Coefficients and exponents of a sum of powers; other costs cannot be summed once for all scales."""
    terms = getattr(regularizer, "terms", None)
    if terms is None:
        message = (
            f"a module is balanced for sums of powers: a number p, Lp, ElasticNet or Posynomial; {regularizer!r} "
            "would need the cost of every single weight again at all scales"
        )
        raise InvalidParameterError(message)
    return tuple(terms)


def roles_of(costed: Sequence[str]) -> tuple[str, ...]:
    """Roles of parameters, from the words for what has a cost."""
    if isinstance(costed, str) or not costed or not set(costed) <= set(COSTED):
        message = f"costed must be one or more of {tuple(COSTED)}, as a tuple; got {costed!r}"
        raise InvalidParameterError(message)
    return tuple(COSTED[word] for word in costed)


COSTED = {"weights": "weight", "biases": "bias", "norms": "norm"}
