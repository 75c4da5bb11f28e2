"""The cost of a model as a sum of exponentials of its log-scales."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.models.structure import Block, Structure
from balance_graph.models.tensors import Parameter
from balance_graph.problem.block_costs import Terms

ROLES = ("weight", "bias", "norm")
_EPS, _LEAST = float(np.finfo(float).eps), float(np.finfo(float).smallest_subnormal)
# A whole parameter is summed in parts of no more elements, or pairwise.
_TOGETHER = 2**19


class CostTerms(NamedTuple):
    """The cost ``sum(exp(log_coefficient + exponent * (A @ log_scales)))``.

    `A` is sparse with small integers, one row for each distinct combination of scales; a row of zeros is what no scale
    changes. All coefficients are positive: what is zero is left out.
    """

    A: Sparse
    log_coefficient: Array
    exponent: float


def cost_terms(
    structure: Structure,
    powers: Callable[[Parameter, Block | None], Any],
    exponent: float,
    roles: Sequence[str] = ROLES,
) -> CostTerms:
    """The terms of ``sum |w|^exponent``, equal combinations of scales merged; see `summed_terms`."""
    terms = summed_terms(structure, powers, exponent, roles)
    return CostTerms(terms.A, terms.log_coefficient, float(exponent))


def summed_terms(
    structure: Structure,
    powers: Callable[[Parameter, Block | None], Any],
    exponent: float,
    roles: Sequence[str] = ROLES,
    without: Container[Block] = (),
) -> Terms:
    """The terms of ``sum |w|^exponent``, equal combinations of scales merged, and how sure the sums are.

    Parameters
    ----------
    structure : Structure
        The architecture.
    powers : callable
        ``powers(parameter, block)`` gives, in double precision, the sums of ``|w|^exponent`` over the block, of shape
        ``block.shape``, and over the whole parameter if the block is None.
    exponent : float
        The power.
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``. Buffers have none.
    without : container of Block
        Blocks that are left out.

    Returns
    -------
    Terms
        Sums of many powers in double precision, with bounds on their errors.

    Raises
    ------
    InvalidParameterError
        If a role is unknown, or a parameter holds what is not finite, or too large for the power.
    """
    pairs, sums, errors = [], [], []
    for parameter, blocks in costed_blocks(structure, roles):
        is_covered = sum(block.size for block in blocks) == parameter.size
        whole = rest = 0.0 if is_covered else float(powers(parameter, None))
        check_finite(parameter, np.array(rest), exponent)
        for block in blocks:
            if is_covered and block in without:
                continue
            costs = np.asarray(powers(parameter, block), dtype=np.float64)
            check_finite(parameter, costs, exponent)
            rest -= float(costs.sum())
            if block not in without:
                pairs.append(_pairs(block))
                sums.append(costs.reshape(-1))
                errors.append(error_of_sum(sums[-1], block.size // max(costs.size, 1)))
        if not is_covered:
            pairs.append(np.zeros((1, 2), dtype=np.int64))
            sums.append(np.array([max(rest, 0.0)]))
            errors.append(np.array([error_of_whole(whole, parameter.size) * (2.0 if blocks else 1.0)]))
    return _merged(structure.forms, pairs, sums, errors, exponent)


def error_of_sum(total: Any, count: int) -> Any:
    """Bound on the error of a sum of so many powers, in any order; each carries a few units in its last place."""
    return _EPS * (4.0 + 0.5 * count) * total + _LEAST * count


def error_of_whole(total: float, count: int) -> float:
    """That of the sum over a whole parameter."""
    return float(error_of_sum(total, min(count, _TOGETHER + count // _TOGETHER)))


def costed_blocks(structure: Structure, roles: Sequence[str]) -> list[tuple[Parameter, list[Block]]]:
    """The parameters that have a cost, with their blocks; `InvalidParameterError` for an unknown role."""
    if not set(roles) <= set(ROLES):
        message = f"roles must be among {ROLES}, got {tuple(roles)!r}"
        raise InvalidParameterError(message)
    blocks: dict[int, list[Block]] = {}
    for block in structure.blocks:
        blocks.setdefault(id(block.parameter), []).append(block)
    return [
        (parameter, blocks.get(id(parameter), []))
        for parameter in structure.parameters
        if not parameter.is_buffer and (parameter.role or "weight") in roles
    ]


def check_finite(parameter: Parameter, costs: Array, exponent: float) -> None:
    """Refuse costs that are not finite, naming the parameter."""
    if not np.isfinite(costs).all():
        message = (
            f"parameter {parameter.name} has weights that are not finite, or whose power {exponent:g} exceeds the "
            "range of floats; mend it before balancing"
        )
        raise InvalidParameterError(message)


def _pairs(block: Block) -> Index:
    """For each element of the block's sums the numbers of its two forms, the lesser first."""
    grid = np.broadcast_arrays(block.rows.reshape(-1)[:, None], block.columns.reshape(-1)[None, :])
    return np.sort(np.stack([part.reshape(-1) for part in grid], axis=1), axis=1)


def _merged(forms: Sparse, pairs: list[Index], sums: list[Array], errors: list[Array], exponent: float) -> Terms:
    table = np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs])
    costs, errors_of_costs = (np.concatenate([np.zeros(0), *values]) for values in (sums, errors))
    key = table[:, 0] * np.int64(forms.shape[0]) + table[:, 1]
    distinct, place = np.unique(key, return_inverse=True)
    total, error, count = (
        np.bincount(place.reshape(-1), weights=values, minlength=distinct.size)
        for values in (costs, errors_of_costs, None)
    )
    unsure = error[total > 0] / total[total > 0] + 0.5 * _EPS * count[total > 0]
    distinct, total = distinct[total > 0], total[total > 0]
    rows = forms[distinct // forms.shape[0]] + forms[distinct % forms.shape[0]]
    matrix = sparse.csr_array(rows)
    matrix.eliminate_zeros()
    return Terms.of(matrix, np.log(total), exponent, unsure)
