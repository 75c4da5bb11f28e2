"""Values as text, and back: what the three formats have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from balance_graph._arguments import VANISHES, nearest_float, vanishes
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.activations import Activation, activation
from balance_graph.graph.files._refusal import FormatError, owner, refuse, show, within

Scalar = bool | int | float | str
_T = TypeVar("_T")

INTEGER = re.compile(r"(?:0|-?[1-9][0-9]*)\Z", re.ASCII)
# Attributes that mean something to balancing, beside the weight: of these nothing is left out.
MEANINGFUL = frozenset({"role", "activation", "group", "coefficient", "exponent", "fixed", "shared"})
# No two repetitions of digits side by side: matching takes time linear in the text, whatever a file holds.
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z", re.ASCII)

_NOT_ZERO = re.compile(r"[+-]?[0.]*[1-9]")


# ---- values --------------------------------------------------------------------------------------------------------


def plain_scalar(value: Any, held: str = "text, finite numbers and bools", remedy: str = "write to .json") -> Scalar:
    """The Python bool, int, float or str that is exactly `value`."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, Decimal | Fraction | np.longdouble):
        value = _same_float(value)
    if type(value) not in (bool, int, float, str):
        refuse(f"{show(value)} is of type {type(value).__name__}; this format holds {held}: {remedy}")
    if type(value) is float and not math.isfinite(value):
        refuse(f"{value!r} is not a finite number; replace or remove it")
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError:
        refuse(f"{show(value)} has half of a surrogate pair, which UTF-8 cannot hold; rename it")
    except ValueError:  # the interpreter's limit on the digits of an int
        refuse("the int has more digits than Python reads back; store it as text")
    scalar: Scalar = value
    return scalar


def _same_float(value: Any) -> float:
    """The float with that value, or whose shortest spelling has it."""
    number = nearest_float(value)
    if vanishes(value, number):
        refuse(f"{show(value)} {VANISHES}; set it to 0, or multiply all by one number")
    if math.isfinite(number) and Fraction(repr(number)) != Fraction(*map(int, value.as_integer_ratio())) != number:
        refuse(f"{show(value)} is no float; round it to {number!r}, with which balancing computes")
    return number


def read_number(text: str) -> int | float:
    """The finite number that `text` spells: an int when spelled as Python spells ints."""
    return read_integer(text) if INTEGER.match(text) else read_float(text)


def read_integer(text: str) -> int:
    """The int of a text that `INTEGER` matches."""
    try:
        return int(text)
    except ValueError:
        refuse(f"the integer has {len(text)} digits, more than Python reads")


def read_float(text: str) -> float:
    """The finite float that `text` spells."""
    if not NUMBER.match(text):
        refuse(f"{show(text)} is not a finite number")
    value = float(text)
    if math.isinf(value):
        refuse(f"{show(text)} overflows to infinity")
    check_zero(text, value)
    return value


def check_zero(text: str, value: float, line: int | None = None) -> None:
    """Refuse a number that is spelled as another than zero and has become zero."""
    if value == 0.0 and _NOT_ZERO.match(text):
        refuse(f"{text if len(text) < 40 else show(text)} {VANISHES}; set it to 0, or multiply all by one number", line)


# ---- names of nodes in GraphML and CSV -----------------------------------------------------------------------------


def spell_name(node: Any) -> str:
    """A node that is text or an int; `read_name` takes text that spells an int for one, so mark it as text."""
    plain = plain_scalar(node, "nodes that are text or ints")
    if type(plain) not in (int, str):
        refuse(f"is of type {type(plain).__name__}; this format holds nodes that are text or ints: write to .json")
    return str(plain)


def read_name(text: str) -> str | int:
    """The node spelled `text`."""
    return read_integer(text) if INTEGER.match(text) else text


def spell_nodes(network: nx.DiGraph[Any], spell: Callable[[Any], _T]) -> dict[Any, _T]:
    """Every node through `spell`; a refusal names the node."""
    spelled = {}
    for node in network:
        with within(node):
            spelled[node] = spell(node)
    return spelled


# ---- attributes ----------------------------------------------------------------------------------------------------


def convert(rule: Callable[[str, Any], _T], attributes: Mapping[Any, Any], *key: Any) -> dict[str, _T]:
    """Every attribute through ``rule(name, value)``; a refusal names the owner and the attribute."""
    result = {}
    name: Any = None
    try:
        for name, value in attributes.items():
            if type(name) is not str:
                refuse(f"its name is of type {type(name).__name__}; names must be text: rename it")
            plain_scalar(name)
            is_activation = name == "activation" and len(key) == 1 and isinstance(value, Activation)
            result[name] = rule(name, _activation_name(value) if is_activation else value)
    except FormatError as refusal:
        refusal.locate(f"{owner(*key)}, attribute {show(name)}: ")
        raise
    return result


def _activation_name(value: Activation) -> str:
    """Its name, if that names the same function to a reader."""
    try:
        known = activation(value.name)
    except InvalidParameterError:
        refuse(
            f"the name of {show(value)} means nothing to a reader; register it with "
            "balance_graph.register_activation, or use an activation of the text grammar"
        )
    samples = np.array([-3.0, -0.7, 0.0, 0.4, 2.5])
    same = known.name == value.name and known.degree == value.degree
    if not (same and np.array_equal(known(samples), value(samples), equal_nan=True)):
        refuse(f"{show(value)} would be read back as the different {show(known)}; give it another name, register it")
    return value.name
