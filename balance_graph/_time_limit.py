"""A limit on the time of a solve."""

from __future__ import annotations

import math
import time
from typing import Any

from balance_graph._arguments import check_positive


def check_time_limit(value: Any, name: str) -> None:
    """Refuse anything but a positive number of seconds, or None."""
    if value is not None:
        check_positive(value, name)


class Deadline:
    """When a solve that may take so many seconds from now is to end; never where they are None.

    Attributes
    ----------
    end : float
        As `time.perf_counter` counts; inf where there is no limit.
    has_cut : bool
        Whether what was found is unfinished because of it.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.end = math.inf if seconds is None else time.perf_counter() + seconds
        self.has_cut = False

    @property
    def is_past(self) -> bool:
        """Whether no time is left."""
        return time.perf_counter() >= self.end

    def cuts_short(self) -> bool:
        """Whether no time is left to finish what is not finished; if so, that is remembered."""
        self.has_cut |= self.is_past
        return self.is_past

    @property
    def seconds_left(self) -> float | None:
        """Seconds that are left, a little at least; None where there is no limit."""
        return None if self.end == math.inf else max(self.end - time.perf_counter(), 1e-3)
