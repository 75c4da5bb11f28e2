"""What the caller says of a file: names or numbers of columns, and the delimiter."""

from __future__ import annotations

from typing import Any, NamedTuple

from balance_graph.errors import InvalidParameterError

# A delimiter that stands for any run of blanks and tabs.
BLANKS = " "
_NAMES = {"tab": "\t", "\\t": "\t", "blanks": BLANKS}


class Request(NamedTuple):
    """Where to look; None where the file is to show it."""

    weight: Any = "weight"
    source: Any = None
    target: Any = None
    delimiter: str | None = None

    @property
    def attribute(self) -> Any:
        """The attribute of edges that holds the weight."""
        return "weight" if is_number(self.weight) else self.weight

    @property
    def numbers(self) -> bool:
        """Whether columns are given by their numbers."""
        return any(map(is_number, self[:3]))


def is_number(column: Any) -> bool:
    """Whether a column is given by its number."""
    return isinstance(column, int)


def checked_request(weight: Any, source: Any, target: Any, delimiter: Any) -> Request:
    """The request, if a file can answer it."""
    for name, column in (("weight", weight), ("source", source), ("target", target)):
        wrong = column < 1 or isinstance(column, bool) if is_number(column) else not isinstance(column, str)
        if wrong and not (column is None and name != "weight"):
            message = f"{name} must be the name of a column or key, or the number of a column from 1, got {column!r}"
            raise InvalidParameterError(message)
    request = Request(weight, source, target, _NAMES.get(delimiter, delimiter) if delimiter is not None else None)
    _check_delimiter(request.delimiter)
    if request.numbers and not (is_number(source) and is_number(target)):
        message = (
            f"numbers of columns are for files without a header: give source and target as numbers too, "
            f"got source={source!r}, target={target!r}, weight={weight!r}"
        )
        raise InvalidParameterError(message)
    columns = [column for column in request[:3] if column is not None]
    if len(set(columns)) < len(columns):
        message = f"source, target and weight must differ, got {source!r}, {target!r}, {weight!r}"
        raise InvalidParameterError(message)
    return request


def _check_delimiter(delimiter: Any) -> None:
    one = isinstance(delimiter, str) and len(delimiter) == 1
    if delimiter is not None and not (one and not delimiter.isalnum() and delimiter not in '"\r\n.+-_#%'):
        message = f"delimiter must be one character, like ',', ';', 'tab' or ' ' (any blanks), got {delimiter!r}"
        raise InvalidParameterError(message)
