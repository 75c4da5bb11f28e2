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
    """When a solve that may take so many seconds from now is to end; never where they are None."""

    def __init__(self, seconds: float | None = None) -> None:
        self._end = math.inf if seconds is None else time.perf_counter() + seconds

    @property
    def is_past(self) -> bool:
        """Whether no time is left."""
        return time.perf_counter() >= self._end

    @property
    def seconds_left(self) -> float | None:
        """Seconds that are left, a little at least; None where there is no limit."""
        return None if self._end == math.inf else max(self._end - time.perf_counter(), 1e-3)
