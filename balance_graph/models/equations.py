"""The equations between labels: collected while the operations are read, in any order, and solved once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from balance_graph._types import Index
from balance_graph.models.labels import PINNED, ZERO, common, unique_rows

Number = int | Fraction
Term = tuple[Number, Index]


@dataclass(frozen=True)
class Span:
    """Consecutive labels that one operation made, named by the module it belongs to."""

    start: int
    shape: tuple[int, ...]
    owner: str
    kind: str

    @property
    def stop(self) -> int:
        """The label after the last."""
        return self.start + int(np.prod(self.shape, dtype=np.int64))

    def name(self, label: int) -> str:
        """For example ``features.0 channel 3``."""
        place = np.unravel_index(label - self.start, self.shape)
        index = ", ".join(str(int(i)) for i, size in zip(place, self.shape, strict=True) if size > 1)
        return f"{self.owner} {self.kind} {index}" if index else f"{self.owner} {self.kind}"


@dataclass
class Equations:
    """Labels in the order in which they were made, and what is known about their log-scales."""

    size: int = 2
    spans: list[Span] = field(default_factory=list)
    ties: list[Index] = field(default_factory=list)
    pins: list[tuple[Index, str]] = field(default_factory=list)
    rows: list[dict[int, Number]] = field(default_factory=list)
    _sums: dict[tuple[tuple[int, Number], ...], int] = field(default_factory=dict)

    def fresh(self, shape: tuple[int, ...], owner: str, kind: str) -> Index:
        """New labels, each an unknown of its own."""
        span = Span(self.size, shape, owner, kind)
        self.spans.append(span)
        self.size = span.stop
        return np.arange(span.start, span.stop, dtype=np.int64).reshape(shape)

    def span(self, label: int) -> Span | None:
        """The named labels that this one belongs to; None for sums."""
        place = bisect_right(self.spans, label, key=lambda span: span.start) - 1
        if place < 0:
            return None
        found = self.spans[place]
        return found if label < found.stop else None

    def tie(self, one: Index, two: Index) -> None:
        """Equal log-scales, element by element; exact zeros agree with everything."""
        one, two = common(one, two)
        differ = (one != two) & (one != ZERO) & (two != ZERO)
        if differ.any():
            pairs, _ = unique_rows(np.sort(np.stack([one[differ], two[differ]], axis=1), axis=1))
            self.ties.append(pairs)

    def pin(self, labels: Index, reason: str) -> None:
        """Log-scale 0."""
        found = np.unique(labels if labels.size == 0 else common(labels)[0])
        found = found[found > PINNED]
        if found.size:
            self.pins.append((found, reason))

    def sum_of(self, terms: Iterable[Term]) -> Index:
        """Labels of the sums of multiples of log-scales; an exact zero in any term makes the sum one."""
        chosen = list(terms)
        arrays = common(*(labels for _, labels in chosen))
        table = np.stack([array.reshape(-1) for array in arrays], axis=1)
        rows, inverse = unique_rows(table)
        factors = [factor for factor, _ in chosen]
        sums = np.array([self._sum(factors, row) for row in rows.tolist()], dtype=np.int64)
        result: Index = sums[inverse].reshape(arrays[0].shape)
        return result

    def _sum(self, factors: list[Number], labels: list[int]) -> int:
        if ZERO in labels:
            return ZERO
        total: dict[int, Number] = {}
        for factor, label in zip(factors, labels, strict=True):
            if label != PINNED:
                total[label] = total.get(label, 0) + factor
        entries = tuple(sorted((label, factor) for label, factor in total.items() if factor))
        if not entries:
            return PINNED
        if len(entries) == 1 and entries[0][1] == 1:
            return entries[0][0]
        if entries not in self._sums:
            self._sums[entries] = self.size
            self.rows.append({**dict(entries), self.size: -1})
            self.size += 1
        return self._sums[entries]
