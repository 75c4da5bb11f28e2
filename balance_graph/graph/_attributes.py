"""The attributes that mean something, and those that look like one of them misspelt.

Any other attribute is the user's own, and stays. But a node with ``activaton="tanh"`` would silently be a ReLU: what is
one slip away from a known name, has a value that would do for it, and stands where the known name is absent, is
refused. The known name beside it, if only with None, says that it is meant as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np

from balance_graph._choices import folded, likeness
from balance_graph.errors import InvalidNetworkError
from balance_graph.graph.activations import Activation, resembles_activation

ROLES = ("input", "hidden", "output", "bias")
# Names of five letters and more with one letter too many, too few or in another place lie above ("shard");
# other words lie below ("height", "mixed", "shaped").
_SLIP = 0.85
# Where the value tells, a letter in place of another in a word of four is near enough ("rold").
_SLIP_OF_TELLING = 0.75


def refuse_misspelt_nodes(nodes: Sequence[Any], attributes: Sequence[Mapping[Any, Any]]) -> None:
    """Refuse nodes with an attribute that looks like a known one misspelt."""
    _refuse_misspelt("node", attributes, _NODE_VALUES, lambda k: nodes[k])


def refuse_misspelt_edges(ends: Callable[[int], Any], attributes: Sequence[Mapping[Any, Any]]) -> None:
    """Refuse edges with an attribute that looks like a known one misspelt; `ends` are those of the k-th edge."""
    _refuse_misspelt("edge", attributes, _EDGE_VALUES, ends)


def _refuse_misspelt(
    kind: str,
    attributes: Sequence[Mapping[Any, Any]],
    values: Mapping[str, Callable[[Any], bool]],
    owner: Callable[[int], Any],
) -> None:
    seen: set[Any] = set().union(*attributes)  # a few names, however many edges
    suspects = {name: known for name in seen if (known := _meant(name, tuple(values))) is not None}
    if not suspects:
        return
    for k, data in enumerate(attributes):
        for name, known in suspects.items():
            if name in data and known not in data and values[known](data[name]):
                message = (
                    f"{kind} {owner(k)!r}: the attribute {name!r} (here {data[name]!r}) has no meaning; did you mean "
                    f"{known!r}? If so, rename it; if it is your own, rename it too, or set {known}=None beside it"
                )
                raise InvalidNetworkError(message)


@lru_cache(maxsize=4096)
def _meant(name: Any, known: tuple[str, ...]) -> str | None:
    """The known name that this is a slip of, if it is one."""
    if not isinstance(name, str) or name in known:
        return None
    plain = folded(name)
    if plain.startswith("activation") and "activation" in known:
        return "activation"
    if not plain.isalpha():  # group1, group2: numbered by intention
        return None
    return next((one for one in known if likeness(plain, one) >= _least_likeness(one)), None)


def _least_likeness(known: str) -> float:
    return _SLIP_OF_TELLING if known in {"role", "activation"} else _SLIP


def _is_label(value: Any) -> bool:
    return isinstance(value, Hashable) and value is not None and not isinstance(value, float)


def is_number(value: Any) -> bool:
    """Whether a value would do as a weight or a coefficient."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (isinstance(value, Real) and value in {0, 1})


def _is_role(value: Any) -> bool:
    return isinstance(value, str) and value.casefold() in ROLES


def _is_activation(value: Any) -> bool:
    return isinstance(value, Activation) or (isinstance(value, str) and resembles_activation(value))


# Whether a value would do for each of them.
_NODE_VALUES: dict[str, Callable[[Any], bool]] = {
    "role": _is_role,
    "activation": _is_activation,
    "group": _is_label,
}
_EDGE_VALUES: dict[str, Callable[[Any], bool]] = {
    "coefficient": is_number,
    "exponent": is_number,
    "fixed": _is_flag,
    "shared": _is_label,
}
