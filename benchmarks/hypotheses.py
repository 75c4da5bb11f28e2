"""What a suite is made of: specifications of measures, and hypotheses that the measures hold or break.

A hypothesis names its exceptions; where nothing measured bears on it (small sizes), it is neither held nor broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Measure = dict[str, Any]
# What a hypothesis found: a name for each case that it is about, and whether the case agrees.
Verdicts = Iterable[tuple[str, bool]]


@dataclass(frozen=True)
class Hypothesis:
    """A statement, and what decides it."""

    text: str
    verdicts: Callable[[list[Measure]], Verdicts]

    def record(self, measures: list[Measure]) -> dict[str, Any]:
        found = list(self.verdicts(measures))
        exceptions = [name for name, agrees in found if not agrees]
        holds = not exceptions if found else None
        return {"text": self.text, "cases": len(found), "exceptions": exceptions, "holds": holds}


@dataclass(frozen=True)
class Suite:
    """A name, specifications of measures at full and at quick size, hypotheses."""

    name: str
    title: str
    specs: Callable[[bool], list[Measure]]
    hypotheses: tuple[Hypothesis, ...]


def label(measure: Measure) -> str:
    """A measure in words, within its suite."""
    if measure["task"] == "matrix":
        return f"{measure['kind']}, n = {measure['n']}"
    words = [measure["family"], f"{measure['size']:,} edges".replace(",", " ")]
    words += [measure[key] for key in ("order", "peer", "change") if key in measure]
    return ", ".join(words + (["rescaled"] if measure.get("rescaled") else []))
