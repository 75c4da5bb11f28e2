"""Why passes over edge lists do not suit a problem."""

from __future__ import annotations

from enum import StrEnum

from balance_graph.errors import UnsupportedError


class Unsuited(StrEnum):
    """Why passes over edge lists do not suit a problem."""

    TERMS = "its terms are no edges"
    REGULARIZER = "the cost of a weight is not one power"
    EXPONENTS = "edges have exponents of their own"
    SHARED = "weights are shared"
    RATIOS = "fixed edges hold log-scales in ratios other than 1"
    DEGREES = "nodes of different degree move together"
    SELF_LOOP = "a node of degree other than 1 has a self-loop"
    CUT_OFF = "degrees other than 1, and nodes that no path joins to pinned ones and back"
    NOTHING = "no scale moves anything"


class UnsuitedError(UnsupportedError):
    """A problem that passes over edge lists cannot solve; other methods can.

    Parameters
    ----------
    reason : Unsuited
    """

    def __init__(self, reason: Unsuited) -> None:
        self.reason = reason
        super().__init__(f"not a network for passes over its edges: {reason}; use NewtonSolver(engine='rows')")
