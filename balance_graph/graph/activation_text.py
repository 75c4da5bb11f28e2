"""How people write activations: the spellings of papers, PyTorch, Keras and scikit-learn, brought to one grammar.

Case and separators do not matter, and neither do prefixes such as ``nn.`` or the ``inplace=True`` of a PyTorch
module's text. What a spelling says beyond the name is read (slopes, powers) or refused, never dropped.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection
from typing import Any, NoReturn

from balance_graph._choices import did_you_mean, folded
from balance_graph.errors import InvalidParameterError

_CALL = re.compile(
    r"\s*(?:(?:torch|nn|functional|F|tf|tensorflow|keras|layers|activations|ops|jax)\s*\.\s*)*"
    r"(?P<name>[A-Za-z_](?:[A-Za-z0-9_\- ]*[A-Za-z0-9_])?)\s*"
    r"(?:(?:\^|\*\*)\s*(?P<power>[0-9.]+)|(?P<square>²)|(?P<cube>³))?\s*"
    r"(?:\((?P<arguments>[^()]*)\))?\s*\Z"
)

# Other names of the same functions, folded.
ALIASES = {
    "identity": "linear",
    "id": "linear",
    "purelin": "linear",
    "rectifier": "relu",
    "rectifiedlinear": "relu",
    "lrelu": "leaky_relu",
    "prelu": "leaky_relu",
    "parametricrelu": "leaky_relu",
    "absolute": "abs",
    "absolutevalue": "abs",
    "squaredrelu": "relu2",
    "relusquared": "relu2",
    "sqrelu": "relu2",
    "requ": "relu2",
    "repu": "bipu",
    "expit": "sigmoid",
    "logsig": "sigmoid",
    "tansig": "tanh",
    "hyperbolictangent": "tanh",
    "exponential": "exp",
}
# PyTorch's slope of a PReLU that has not been trained.
_PRELU = {"prelu": (0.25,), "parametricrelu": (0.25,)}
# Words for the numbers of a family, in the order of the grammar.
_KEYWORDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "leaky_relu": (("negative_slope", "alpha", "slope", "a", "init"),),
    "bilu": (("a",), ("b",)),
    "bipu": (("c",), ("C",), ("D",)),
}
# Settings that say what is so anyway; with any other value the function is another.
_GIVEN: dict[str, dict[str, Any]] = {
    "leaky_relu": {"num_parameters": 1},
    "elu": {"alpha": 1.0},
    "selu": {},
    "softplus": {"beta": 1.0, "threshold": 20.0},
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
    "gelu": {"approximate": "none"},
}
# One slope for each channel cannot be said of a node.
_REMEDIES = {"num_parameters": "give each node the slope of its channel, as leaky_relu(a)"}
_MIXING = frozenset({"softmax", "logsoftmax", "softmin", "glu", "geglu", "swiglu", "maxout"})


def read_activation(text: str, known: Collection[str]) -> tuple[str, list[float]]:
    """The known name that `text` means, and its numbers.

    Raises
    ------
    InvalidParameterError
        If it means none of them, or says something about the function that this name cannot.
    """
    call = _CALL.match(" ".join(text.split()))  # runs of spaces would take time that grows with their square
    name = None if call is None else meaning(call["name"], known)
    if call is None or name is None:
        _refuse_unknown(text, call["name"] if call else text, known)
    power = call["power"] or (call["square"] and "2") or (call["cube"] and "3")
    if power is not None:
        return _power_of(text, name, power, call["arguments"])
    numbers = _numbers(text, name, call["arguments"])
    return name, numbers or list(_PRELU.get(folded(call["name"]), ()))


def meaning(name: str, known: Collection[str]) -> str | None:
    """The known name that a bare name means: itself, another name of it, or the same but for case and separators."""
    if name in known:
        return name
    plain = folded(name)
    alias = ALIASES.get(plain)
    if alias in known:
        return alias
    return next((one for one in known if folded(one) == plain), None)


def _refuse_unknown(text: str, name: str, known: Collection[str]) -> NoReturn:
    if folded(name) in _MIXING:
        message = (
            f"activation {text!r} is not a function of one unit: it mixes several; let the nodes before it be linear "
            "outputs, and apply it to what they give"
        )
    else:
        hint = did_you_mean(name, [*known, *ALIASES])
        message = f"unknown activation {text!r}{hint or ';'} known: {' '.join(known)}; " + (
            "add one with balance_graph.register_activation"
        )
    raise InvalidParameterError(message)


def _power_of(text: str, name: str, power: str, arguments: str | None) -> tuple[str, list[float]]:
    try:
        exponent = float(power)
    except ValueError:
        exponent = math.nan
    if name != "relu" or (arguments or "").strip() or not exponent > 0:
        message = f"activation {text!r}: powers are those of relu, such as relu^2; write others as bipu(c,C,D)"
        raise InvalidParameterError(message)
    return ("relu2", []) if exponent == 2.0 else ("bipu", [exponent])


def _numbers(text: str, name: str, arguments: str | None) -> list[float]:
    """The numbers in parentheses, those that a keyword names in their place."""
    places: dict[int, float] = {}
    given = _GIVEN.get(name, {})
    for k, part in enumerate((arguments or "").split(",") if (arguments or "").strip() else []):
        keyword, equals, spelled = part.rpartition("=")
        keyword, value = keyword.strip(), _value(text, spelled)
        if keyword == "inplace" and isinstance(value, bool):
            continue
        if not equals and name not in _KEYWORDS and k < len(given):
            keyword = list(given)[k]
        if keyword in given:
            _check_given(text, keyword, value, given[keyword])
            continue
        place = _place(text, name, keyword) if keyword else k
        if place in places or isinstance(value, bool | str):
            message = f"activation {text!r}: the arguments must be numbers separated by commas"
            raise InvalidParameterError(message)
        places[place] = float(value)
    numbers = [places[k] for k in sorted(places)]
    if not all(map(math.isfinite, numbers)):
        message = f"activation {text!r}: the arguments must be finite"
        raise InvalidParameterError(message)
    if sorted(places) != list(range(len(places))):
        message = f"activation {text!r}: give the arguments before the last one as well"
        raise InvalidParameterError(message)
    return numbers


def _value(text: str, spelled: str) -> bool | float | str:
    word = spelled.strip()
    try:
        return float(word)
    except ValueError:
        pass
    try:
        value = ast.literal_eval(word)
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, bool | str):
        message = f"activation {text!r}: the arguments must be numbers separated by commas"
        raise InvalidParameterError(message)
    return value


def _place(text: str, name: str, keyword: str) -> int:
    for place, words in enumerate(_KEYWORDS.get(name, ())):
        if keyword in words:
            return place
    known = [word for words in _KEYWORDS.get(name, ()) for word in words]
    message = f"activation {text!r}: {name} has no number called {keyword!r}{did_you_mean(keyword, known)}"
    raise InvalidParameterError(message)


def _check_given(text: str, keyword: str, value: Any, expected: Any) -> None:
    if value != expected:
        remedy = _REMEDIES.get(keyword, "balance_graph.register_activation adds a function, under a name of its own")
        message = f"activation {text!r}: only {keyword}={expected!r} is known by this name, got {value!r}; {remedy}"
        raise InvalidParameterError(message)
