"""What optimizers remember, and how that changes when parameters are scaled.

The rule is one: after ``w -> s w`` the state is that of the same optimizer in the new coordinates, had it seen the same
gradients there, each of them g / s. So sums and averages of gradients scale by 1/s, those of their squares by 1/s^2,
and normalized steps do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.pytorch.moves import Companion


class _Rule(NamedTuple):
    degrees: Mapping[str, float]
    offsets: Mapping[str, str]
    decoupled: bool


_RULES: dict[type, _Rule] = {}


def register_optimizer(
    optimizer_class: type,
    degrees: Mapping[str, float],
    *,
    offsets: Mapping[str, str] | None = None,
    decoupled_weight_decay: bool = False,
) -> None:
    """State how the state of an optimizer class changes when a parameter w becomes s w.

    Parameters
    ----------
    optimizer_class : type
        The class itself; its subclasses are asked for anew.
    degrees : mapping of str to float
        For each tensor of the state that has the parameter's shape, the power of s by which it is multiplied: -1 for
        sums of gradients, -2 for sums of their squares, 0 for normalized steps, 1 for averages of the parameter.
    offsets : mapping of str to str, optional
        For tensors that do not start from zero, the option of the parameter group that holds where they start.
    decoupled_weight_decay : bool
        Whether weight decay leaves the state alone; if not, users who have one are warned.

    Raises
    ------
    InvalidParameterError
        If the class is no class, or a degree no number.

    Examples
    --------
    >>> import torch
    >>> from balance_graph.pytorch import register_optimizer
    >>> class Lion(torch.optim.Optimizer):
    ...     "Steps by the sign of an average of gradients, ``exp_avg`` in its state."
    >>> register_optimizer(Lion, {"exp_avg": -1}, decoupled_weight_decay=True)
    """
    if not isinstance(optimizer_class, type):
        message = f"optimizer_class must be a class, got {optimizer_class!r}"
        raise InvalidParameterError(message)
    for name, degree in degrees.items():
        if isinstance(degree, bool) or not isinstance(degree, (int, float)):
            message = f"degrees[{name!r}] must be a number, the power of s, got {degree!r}"
            raise InvalidParameterError(message)
    _RULES[optimizer_class] = _Rule(dict(degrees), dict(offsets or {}), decoupled_weight_decay)


_MOMENTS = {"exp_avg": -1, "exp_avg_sq": -2, "max_exp_avg_sq": -2}
register_optimizer(torch.optim.SGD, {"momentum_buffer": -1})
register_optimizer(torch.optim.Adam, _MOMENTS)
register_optimizer(torch.optim.AdamW, _MOMENTS, decoupled_weight_decay=True)
register_optimizer(torch.optim.NAdam, {**_MOMENTS, "mu_product": 0})
register_optimizer(torch.optim.RAdam, _MOMENTS)
register_optimizer(torch.optim.Adagrad, {"sum": -2}, offsets={"sum": "initial_accumulator_value"})
# The next three keep normalized steps, or add epsilon within their state: exact up to that epsilon.
register_optimizer(torch.optim.Adadelta, {"square_avg": -2, "acc_delta": 0})
register_optimizer(torch.optim.Adamax, {"exp_avg": -1, "exp_inf": -1})
register_optimizer(torch.optim.RMSprop, {"square_avg": -2, "grad_avg": -1, "momentum_buffer": 0})
register_optimizer(torch.optim.Rprop, {"prev": -1, "step_size": 0})
if hasattr(torch.optim, "Muon"):
    register_optimizer(torch.optim.Muon, {"momentum_buffer": -1}, decoupled_weight_decay=True)


def check_optimizer(optimizer: Any) -> None:
    """Refuse what has no rule."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        message = f"optimizer must be a torch.optim.Optimizer or several of them, got {type(optimizer).__name__}"
        raise InvalidParameterError(message)
    if type(optimizer) not in _RULES:
        name = type(optimizer).__qualname__
        known = ", ".join(sorted(cls.__name__ for cls in _RULES))
        message = (
            f"it is not known how the state of {name} changes when parameters are scaled; known are {known}. "
            f"State it by register_optimizer({name}, {{'name in the state': power of s, ...}}): "
            "-1 for sums of gradients, -2 for sums of their squares, 0 for normalized steps"
        )
        raise UnsupportedError(message)


def has_coupled_decay(optimizer: torch.optim.Optimizer) -> bool:
    """Whether weight decay enters the state, which then knows more than gradients."""
    return not _RULES[type(optimizer)].decoupled and any(
        group.get("weight_decay", 0) and not group.get("decoupled_weight_decay", False)
        for group in optimizer.param_groups
    )


def state_companions(
    optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[Any, torch.Tensor]
) -> Iterator[Companion]:
    """The tensors of the optimizers' states, with the parameters that they go with."""
    keys = {id(tensor): key for key, tensor in tensors.items()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if id(parameter) in keys and parameter in optimizer.state:
                    yield from _companions(optimizer, group, parameter, keys[id(parameter)])


def _companions(
    optimizer: torch.optim.Optimizer, group: Mapping[str, Any], parameter: torch.Tensor, key: Any
) -> Iterator[Companion]:
    rule = _RULES[type(optimizer)]
    for name, value in optimizer.state[parameter].items():
        if not isinstance(value, torch.Tensor) or rule.degrees.get(name) == 0 or _is_count(name, value, parameter):
            continue
        if name not in rule.degrees or value.shape != parameter.shape:
            message = (
                f"the state {name!r} of {type(optimizer).__qualname__}, of shape {tuple(value.shape)} for a parameter "
                f"of shape {tuple(parameter.shape)}, has no stated degree; see register_optimizer"
            )
            raise UnsupportedError(message)
        offset = float(group[rule.offsets[name]]) if name in rule.offsets else 0.0
        yield Companion(key, value, rule.degrees[name], offset)


def _is_count(name: str, value: torch.Tensor, parameter: torch.Tensor) -> bool:
    return name == "step" or (value.dim() == 0 and parameter.dim() > 0)
