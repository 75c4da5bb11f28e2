"""Names that people type: a choice among known ones, and what a mistyped one probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from balance_graph.errors import InvalidParameterError

# difflib's own default: below it, suggestions are mostly unrelated words.
_LIKENESS = 0.6
# Two neighbors the wrong way round are one slip of the fingers: as near as one letter too many in a word of five.
_SWAPPED = 0.9


def folded(name: str) -> str:
    """A name without case, and without what separates words: ``"Leaky-ReLU"`` and ``"leaky_relu"`` are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def likeness(one: str, two: str) -> float:
    """How much alike two folded names are: 1 if equal; two neighbors the wrong way round count little."""
    if one == two:
        return 1.0
    matcher = difflib.SequenceMatcher(None, one, two)
    # Cheap bounds first: a name can be as long as the field of a file that it stands in.
    if matcher.real_quick_ratio() < _LIKENESS or matcher.quick_ratio() < _LIKENESS:
        return 0.0
    return max(matcher.ratio(), _SWAPPED if _are_swapped(one, two) else 0.0)


def _are_swapped(one: str, two: str) -> bool:
    """Whether exchanging two neighboring letters makes one name of the other."""
    if len(one) != len(two):
        return False
    k = next((k for k, (a, b) in enumerate(zip(one, two, strict=True)) if a != b), 0)
    return one[k : k + 2] == two[k : k + 2][::-1] and one[k + 2 :] == two[k + 2 :]


def nearest(name: Any, known: Iterable[Any], least: float = _LIKENESS) -> str | None:
    """The known name that is most like `name`, if any is: but for case and separators, or a slip."""
    names = [one for one in known if isinstance(one, str)]
    if not isinstance(name, str) or not names:
        return None
    plain = folded(name)
    scores = [likeness(plain, folded(one)) for one in names]
    best = max(scores)
    return names[scores.index(best)] if best >= least else None


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """The question for the end of a message, or nothing where no known name is near."""
    found = nearest(name, known)
    return "" if found is None else f"; did you mean {found!r}?"


def check_choice(value: Any, name: str, known: Iterable[str], error: type[ValueError] = InvalidParameterError) -> None:
    """Refuse anything but one of the known words."""
    words = tuple(known)
    if not isinstance(value, str) or value not in words:
        listed = " or ".join(map(repr, words)) + "," if len(words) == 2 else f"one of {', '.join(words)};"
        message = f"{name} must be {listed} got {value!r}{did_you_mean(value, words)}"
        raise error(message)
