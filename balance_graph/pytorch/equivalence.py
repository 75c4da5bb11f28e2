"""Whether two modules are the same up to scaling, and the balanced module that stands for all such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from balance_graph._types import Array, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.models.structure import Block
from balance_graph.problem.regularizers import Regularizer
from balance_graph.pytorch.balancing import balance_module
from balance_graph.pytorch.reading import ModelStructure, read_module
from balance_graph.pytorch.shards import check_whole


def canonical_form(
    module: nn.Module,
    example_inputs: tuple[Any, ...],
    regularizer: float | Regularizer = 2.0,
    *,
    costed: Sequence[str] = ("weights", "biases", "norms"),
    kwargs: dict[str, Any] | None = None,
) -> nn.Module:
    """The balanced copy of a module: the same for all modules that scaling turns into each other.

    That holds up to rounding, and to scales that the cost does not hold in place; see `balance_module`.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed.
    example_inputs : tuple
    regularizer : float or Regularizer
    costed : sequence of str
    kwargs : dict, optional
        As for `balance_module`.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    FunctionChangedError, InvalidParameterError, UnsupportedError
        As `balance_module`.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import apply, canonical_form, read_module
    >>> model, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).double(), (torch.ones(1, 3).double(),)
    >>> one = canonical_form(model, x)
    >>> apply(read_module(model, x), np.linspace(-3, 3, 5))
    >>> other = canonical_form(model, x)
    >>> bool(torch.allclose(one[0].weight, other[0].weight))
    True
    """
    arguments: dict[str, Any] = {"costed": costed, "kwargs": kwargs, "bound": np.inf, "inplace": False}
    return balance_module(module, example_inputs, regularizer, **arguments).module


def equivalent(
    a: nn.Module,
    b: nn.Module,
    example_inputs: tuple[Any, ...],
    *,
    rtol: float | None = None,
    kwargs: dict[str, Any] | None = None,
) -> bool:
    """Whether scaling units of one module gives the other; outputs are not compared, weights are.

    Parameters
    ----------
    a, b : torch.nn.Module
        Of one architecture: other ones are not equivalent. Neither is changed.
    example_inputs : tuple
        As for `balance_module`.
    rtol : float, optional
        How far a weight of the one may be from the scaled weight of the other, relative to itself. Default: the square
        root of the machine epsilon of the coarsest floating-point type of the parameters.
    kwargs : dict, optional
        Keyword arguments of the modules.

    Returns
    -------
    bool

    Raises
    ------
    InvalidParameterError, UnsupportedError
        As `read_module`.

    Examples
    --------
    >>> import copy, numpy as np, torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import apply, equivalent, read_module
    >>> model, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), (torch.ones(1, 3),)
    >>> other = copy.deepcopy(model)
    >>> apply(read_module(other, x), np.linspace(-3, 3, 5))
    >>> equivalent(model, other, x)
    True
    >>> _ = nn.init.ones_(other[0].weight)
    >>> equivalent(model, other, x)
    False
    """
    for module in (a, b):
        check_whole(module, "equivalent")
    one, two = (read_module(module, example_inputs, kwargs=kwargs) for module in (a, b))
    if not _same_architecture(a, b, one, two):
        return False
    allowed = _tolerance(a, b) if rtol is None else _checked(rtol)
    log_scales = _log_scales(one, two)
    if log_scales is None:
        return False
    gains, keys = one.structure.log_gains(log_scales), {id(tensor): key for key, tensor in one.tensors.items()}
    others = _tensors(b)
    return all(
        _is_close(_scaled(tensor, gains.get(keys.get(id(tensor)))), others[name], allowed)
        for name, tensor in _tensors(a).items()
    )


def _scaled(tensor: torch.Tensor, log_gain: Array | None) -> torch.Tensor:
    """In double precision, if it is scaled at all."""
    if log_gain is None:
        return tensor.detach()
    return tensor.detach().to(torch.float64) * torch.from_numpy(log_gain).to(tensor.device).exp()


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _same_architecture(a: nn.Module, b: nn.Module, one: ModelStructure, two: ModelStructure) -> bool:
    shapes = [{name: tuple(t.shape) for name, t in _tensors(module).items()} for module in (a, b)]
    first, second = one.structure, two.structure
    return (
        shapes[0] == shapes[1]
        and first.scales == second.scales
        and first.units == second.units
        and first.forms.shape == second.forms.shape
        and abs(first.forms - second.forms).nnz == 0
        and [_layout(block) for block in first.blocks] == [_layout(block) for block in second.blocks]
    )


def _layout(block: Block) -> tuple[Any, ...]:
    return block.parameter.name, block.split, block.rows.tolist(), block.columns.tolist()


def _tolerance(a: nn.Module, b: nn.Module) -> float:
    types = {p.dtype for module in (a, b) for p in module.parameters() if p.is_floating_point()}
    return float(np.sqrt(max((torch.finfo(dtype).eps for dtype in types), default=0.0)))


def _checked(rtol: float) -> float:
    if isinstance(rtol, bool) or not isinstance(rtol, int | float) or not rtol >= 0:
        message = f"rtol must be a number that is not negative, got {rtol!r}"
        raise InvalidParameterError(message)
    return float(rtol)


def _is_close(one: torch.Tensor, other: torch.Tensor, rtol: float) -> bool:
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    return bool(torch.allclose(one.to(torch.float64), other.detach().to(one.device, torch.float64), rtol, atol=0.0))


def _log_scales(one: ModelStructure, two: ModelStructure) -> Array | None:
    """The scales that the sums of weights ask for; None where a sum of one module is zero and of the other not."""
    rows, ratios = [], []
    for mine, theirs in zip(one.structure.blocks, two.structure.blocks, strict=True):
        sums = [_sums(model, block) for model, block in ((one, mine), (two, theirs))]
        if not np.array_equal(sums[0] > 0, sums[1] > 0):
            return None
        forms = one.structure.forms
        pairs = np.broadcast_arrays(mine.rows.reshape(-1)[:, None], mine.columns.reshape(-1)[None, :])
        chosen = sums[0] > 0
        rows.append(forms[pairs[0][chosen]] + forms[pairs[1][chosen]])
        ratios.append(np.log(sums[1][chosen]) - np.log(sums[0][chosen]))
    if not rows:
        return np.zeros(one.structure.size)
    return _least_squares(sparse.csr_array(sparse.vstack(rows)), np.concatenate(ratios))


def _sums(model: ModelStructure, block: Block) -> Array:
    values = model.tensor(block.parameter).detach().to(torch.float64).abs()
    return np.asarray(block.sums(values).cpu().numpy(), dtype=np.float64)


def _least_squares(matrix: Sparse, ratios: Array) -> Array:
    from scipy.sparse import linalg  # heavy at import

    found: Array = linalg.lsmr(matrix, ratios, atol=1e-15, btol=1e-15, conlim=0, maxiter=20 * sum(matrix.shape))[0]
    return found
