"""What a model's weights cost, as a function of its scales."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from balance_graph._types import Array
from balance_graph.models.blocks import ArrayBlock
from balance_graph.models.cost import ModelCost
from balance_graph.models.large import checked_block, large_blocks
from balance_graph.models.structure import Block
from balance_graph.models.tensors import Parameter
from balance_graph.models.terms import summed_terms
from balance_graph.onnx.reading import ModelStructure
from balance_graph.problem.block_costs import Terms


def model_cost(model: ModelStructure, powers: Sequence[tuple[float, float]], roles: Sequence[str]) -> ModelCost:
    """The cost ``sum of a |w|^p`` of the model as it is.

    Raises
    ------
    InvalidParameterError
        If a parameter holds what is not finite.
    """
    kept = large_blocks(model.structure, roles)
    parts = [(a, _terms(model, exponent, roles, kept)) for a, exponent in powers]
    blocks = []
    for block in (one for one in model.structure.blocks if one in kept):
        weights = model.array(block.parameter)
        for a, exponent in powers:
            found = checked_block(block, _array_block(block, weights, exponent), exponent, a)
            if found.extent.log_largest > -np.inf:
                blocks.append(found)
    return ModelCost.of(model.structure.forms, blocks, parts)


def _array_block(block: Block, weights: Any, exponent: float) -> ArrayBlock:
    tail, head = block.rows.reshape(-1), block.columns.reshape(-1)
    if block.size > block.shape[0] * block.shape[1]:  # a kernel: its positions are summed
        return ArrayBlock(tail, head, block.sums(_power(weights, exponent)), is_cost=True)
    plain = weights if weights.dtype.kind == "f" else weights.astype(np.float32)
    return ArrayBlock(tail, head, block.sums(plain))


def _terms(model: ModelStructure, exponent: float, roles: Sequence[str], without: Container[Block]) -> Terms:
    def powers(parameter: Parameter, block: Block | None) -> object:
        costs = _power(model.array(parameter), exponent)
        return float(costs.sum()) if block is None else block.sums(costs)

    return summed_terms(model.structure, powers, exponent, roles, without)


def _power(values: Any, exponent: float) -> Array:
    with np.errstate(over="ignore"):
        result: Array = np.abs(values.astype(np.float64)) ** exponent
    return result
