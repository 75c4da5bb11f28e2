"""Names of the attributes that mean something, apart from the weight; light, for the help of the command line."""

from __future__ import annotations

from collections.abc import Collection

from balance_graph.errors import InvalidParameterError

NODE_ATTRIBUTES = ("role", "activation", "group")
EDGE_ATTRIBUTES = ("coefficient", "exponent", "fixed", "shared")
ATTRIBUTES = (*NODE_ATTRIBUTES, *EDGE_ATTRIBUTES)


def checked_names(ignore: Collection[str] | str) -> tuple[str, ...]:
    """Names of attributes to ignore, each once, in a fixed order."""
    if not isinstance(ignore, Collection):
        message = f"ignore must be names of attributes, of {', '.join(ATTRIBUTES)}; got {ignore!r}"
        raise InvalidParameterError(message)
    names = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    for name in names:
        if name not in ATTRIBUTES:
            message = f"ignore: {name!r} is no attribute that means something; those are {', '.join(ATTRIBUTES)}"
            raise InvalidParameterError(message)
    return tuple(name for name in ATTRIBUTES if name in names)
