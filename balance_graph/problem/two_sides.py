"""What follows from the two sides of each unknown, whatever a problem stores."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from balance_graph._types import Array
from balance_graph.problem.log_domain import log_ratio


class TwoSides(ABC):
    """A problem that knows in- and out-costs at log-scales."""

    @property
    @abstractmethod
    def n_nodes(self) -> int:
        """Number of log-scales."""

    @abstractmethod
    def log_sides(self, log_scales: Array) -> tuple[Array, Array]:
        """Logarithms of in-cost and degree times out-cost of each unknown."""

    @property
    def unscaled(self) -> Array:
        """Log-scales of the network as it stands: all zero."""
        return np.zeros(self.n_nodes)

    def relative_imbalances(self, log_scales: Array) -> Array:
        """``|in - c out| / (in + c out)`` of each unknown."""
        return np.tanh(0.5 * np.abs(log_ratio(*self.log_sides(log_scales))))

    def relative_imbalance(self, log_scales: Array) -> float:
        """The largest relative imbalance; 0 for a network without free nodes."""
        return float(self.relative_imbalances(log_scales).max(initial=0.0))
