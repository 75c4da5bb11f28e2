"""The registry of rules: what each operation does to scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from balance_graph.errors import InvalidParameterError

Rule: TypeAlias = Callable[..., Any]
AnyRule = TypeVar("AnyRule", bound=Rule)

_RULES: dict[str, Rule] = {}


def words(text: str) -> list[str]:
    """Names separated by white space."""
    return text.split()


def rule(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Register a function as the rule of the operations of these names; the last one registered counts.

    A rule is called as ``rule(trace, *arguments, **options)`` with the operation's own arguments, in which tensors are
    replaced by `Tensor` or `View`, and returns a `Tensor`, or a tuple of them. It may tie, pin and sum labels, make
    new ones, and state gains of parameters, by the methods of `Trace`.

    Parameters
    ----------
    *names : str
        Operations of the vocabulary, such as ``"relu"``; or of a front end, such as ``"mylib::op"`` of PyTorch, which
        take precedence.

    Returns
    -------
    decorator
        It returns the function unchanged.

    Raises
    ------
    InvalidParameterError
        If there is no name.

    Examples
    --------
    >>> from balance_graph.models import Tensor, rule
    >>> @rule("mylib::rectify")
    ... def rectify(trace, x):
    ...     return Tensor(trace.labels(x))
    """
    if not names or not all(isinstance(name, str) for name in names):
        message = f"rule needs the names of operations, got {names!r}"
        raise InvalidParameterError(message)

    def register(function: AnyRule) -> AnyRule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return register


def find_rule(*names: str) -> Rule | None:
    """The rule of the first of these names that has one."""
    return next((_RULES[name] for name in names if name in _RULES), None)


def known_operations() -> tuple[str, ...]:
    """Names of all operations that have a rule, sorted.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> from balance_graph.models import known_operations
    >>> "relu" in known_operations()
    True
    """
    return tuple(sorted(_RULES))
