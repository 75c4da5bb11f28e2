"""The judge of every answer: cost and relative imbalance of log-scales, from the weights and with NumPy alone.

It shares no code with the library, works in the log domain and in slices, so that it also judges 10^8 edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from families import Network

_SLICE = 2**22


@dataclass(frozen=True)
class Quality:
    """Largest ``|in - c out| / (in + c out)`` over free nodes or ties, and the logarithm of the cost."""

    relative_imbalance: float
    log_cost: float


def judge(network: Network, log_scales: np.ndarray, p: float = 2.0) -> Quality:
    """The quality of log-scales for an exponent; edges of weight zero do not exist."""
    unknown = _unknowns(network)
    edges = _Edges(network, log_scales, p)
    degree = np.log(network.degrees)
    into, out_of = _LogSums(unknown.size), _LogSums(unknown.size)
    for step in (_LogSums.raise_shift, _LogSums.add):
        for tail, head, log_cost in edges:
            step(into, unknown[head], log_cost)
            step(out_of, unknown[tail], log_cost + degree[tail])
    free = np.unique(unknown[~network.pinned])
    one, two = into.values()[free], out_of.values()[free]
    with np.errstate(invalid="ignore"):
        difference = np.where(one == two, 0.0, np.abs(one - two))  # equal where both are -inf
    return Quality(float(np.tanh(0.5 * difference).max(initial=0.0)), edges.log_cost())


def _unknowns(network: Network) -> np.ndarray:
    """A number per node, equal where nodes are tied."""
    number = np.arange(network.pinned.size)
    if network.groups is None:
        return number
    tied = np.flatnonzero(network.groups >= 0)
    _, first, member = np.unique(network.groups[tied], return_index=True, return_inverse=True)
    number[tied] = tied[first][member]
    return number


class _Edges:
    """Slices of edges of nonzero weight: tails, heads, logarithms of costs."""

    def __init__(self, network: Network, log_scales: np.ndarray, p: float) -> None:
        self.W, self.log_scales, self.p = network.W, log_scales, p
        self.sent = network.degrees * log_scales

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for start in range(0, self.W.nnz, _SLICE):
            stop = min(start + _SLICE, self.W.nnz)
            tail = np.searchsorted(self.W.indptr, np.arange(start, stop), side="right") - 1
            head, weight = self.W.indices[start:stop], np.abs(self.W.data[start:stop]).astype(float)
            there = weight > 0
            tail, head = tail[there], head[there]
            yield tail, head, self.p * (np.log(weight[there]) + self.log_scales[head] - self.sent[tail])

    def log_cost(self) -> float:
        parts = [_log_sum(log_cost) for _, _, log_cost in self if log_cost.size]
        return _log_sum(np.array(parts)) if parts else -np.inf


def _log_sum(values: np.ndarray) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))


class _LogSums:
    """Logarithms of sums by place, in two passes: the largest term first, then the sum relative to it."""

    def __init__(self, size: int) -> None:
        self.shift, self.sum = np.full(size, -np.inf), np.zeros(size)

    def raise_shift(self, place: np.ndarray, values: np.ndarray) -> None:
        np.maximum.at(self.shift, place, values)

    def add(self, place: np.ndarray, values: np.ndarray) -> None:
        self.sum += np.bincount(place, np.exp(values - self.shift[place]), self.sum.size)

    def values(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.where(self.sum > 0, self.shift + np.log(self.sum), -np.inf)
