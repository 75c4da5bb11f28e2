"""What is known of the state after a local sweep."""

from __future__ import annotations

from typing import NamedTuple


class SweepState(NamedTuple):
    """Cost and imbalance of a state.

    Attributes
    ----------
    log_cost : float
        Logarithm of the cost of all live edges.
    imbalance : float
        Largest relative imbalance of an unknown.
    rounding : float
        What rounding allows of it.
    """

    log_cost: float
    imbalance: float
    rounding: float
