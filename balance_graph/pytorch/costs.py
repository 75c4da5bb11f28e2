"""What a module's weights cost, as a function of its scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from balance_graph._types import Array
from balance_graph.errors import UnsupportedError
from balance_graph.models.blocks import ArrayBlock, WeightBlock
from balance_graph.models.cost import ModelCost
from balance_graph.models.large import checked_block, large_blocks
from balance_graph.models.structure import Block
from balance_graph.models.tensors import Parameter
from balance_graph.models.terms import ROLES, CostTerms, check_finite, summed_terms
from balance_graph.models.terms import cost_terms as terms_of
from balance_graph.pytorch.blocks import DeviceBlock, has_positions, summed_costs, weight_block, whole_cost
from balance_graph.pytorch.reading import ModelStructure
from balance_graph.pytorch.sharded_blocks import sharded_block, sharded_cost, sharded_sums
from balance_graph.pytorch.shards import is_sharded


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
    return terms_of(model.structure, _powers(model, exponent), exponent, roles)


def _powers(model: ModelStructure, exponent: float) -> Callable[[Parameter, Block | None], object]:
    def powers(parameter: Parameter, block: Block | None) -> object:
        values = _values(model, parameter)
        if block is None:
            return _whole(values, parameter, exponent)
        return _sums(block, values, exponent)

    return powers


def _values(model: ModelStructure, parameter: Parameter) -> torch.Tensor:
    values = model.tensor(parameter).detach()
    if values.is_meta:
        message = f"parameter {parameter.name!r} is on the meta device and has no values: load the weights first"
        raise UnsupportedError(message)
    return values


def model_cost(model: ModelStructure, powers: Sequence[tuple[float, float]], roles: Sequence[str] = ROLES) -> ModelCost:
    """The cost ``sum of a |w|^p`` of the module as it is now; large blocks are read where they are, again and again.

    Parameters
    ----------
    model : ModelStructure
    powers : sequence of (a, p)
    roles : sequence of str

    Returns
    -------
    ModelCost
        Valid until the weights change.

    Raises
    ------
    InvalidParameterError
        If a role is unknown, or a parameter holds what is not finite.
    UnsupportedError
        If a parameter has no values, on the meta device.
    """
    kept = large_blocks(model.structure, roles)
    parts = [(a, summed_terms(model.structure, _powers(model, p), p, roles, kept)) for a, p in powers]
    blocks = []
    for block in (one for one in model.structure.blocks if one in kept):
        values = _values(model, block.parameter)
        plain = None if has_positions(block) else _kept(block, values)
        for a, exponent in powers:
            found = checked_block(block, _summed(block, values, exponent) if plain is None else plain, exponent, a)
            if found.extent.log_largest > -math.inf:
                blocks.append(found)
    return ModelCost.of(model.structure.forms, blocks, parts)


def _whole(values: torch.Tensor, parameter: Parameter, exponent: float) -> float:
    if is_sharded(values):
        return sharded_cost(values, parameter.name, exponent)
    return whole_cost(values, exponent)


def _sums(block: Block, values: torch.Tensor, exponent: float) -> Array:
    if is_sharded(values):
        return sharded_sums(block, values, exponent)
    return summed_costs(block, values, exponent)


def _kept(block: Block, values: torch.Tensor) -> WeightBlock | None:
    """The block where its weights are; None where it must be summed."""
    return sharded_block(block, values) if is_sharded(values) else weight_block(block, values)


def _summed(block: Block, values: torch.Tensor, exponent: float) -> WeightBlock:
    costs = _sums(block, values, exponent)
    check_finite(block.parameter, costs, exponent)
    tail, head = block.rows.reshape(-1), block.columns.reshape(-1)
    if values.device.type == "cpu":
        return ArrayBlock(tail, head, costs, is_cost=True)
    return DeviceBlock(tail, head, torch.from_numpy(costs).to(values.device), is_cost=True)
