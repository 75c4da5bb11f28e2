"""The time that goes into getting ready once, heavy imports and compilation, told apart from that of the work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class _Clock:
    """Runs while anybody in this process is getting ready; what overlaps counts once."""

    def __init__(self) -> None:
        self._lock, self._depth, self._since, self._total = Lock(), 0, 0.0, 0.0

    def start(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._since = time.perf_counter()
            self._depth += 1

    def stop(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._total += time.perf_counter() - self._since

    @property
    def seconds(self) -> float:
        """Time so far."""
        with self._lock:
            running = time.perf_counter() - self._since if self._depth else 0.0
            return self._total + running


CLOCK = _Clock()


@contextmanager
def preparing() -> Iterator[None]:
    """A context whose time counts as getting ready."""
    CLOCK.start()
    try:
        yield
    finally:
        CLOCK.stop()


class Stopwatch:
    """Time since it was made, in two parts."""

    def __init__(self) -> None:
        self._started, self._prepared = time.perf_counter(), CLOCK.seconds

    @property
    def setup_seconds(self) -> float:
        """Time of getting ready."""
        return CLOCK.seconds - self._prepared

    @property
    def seconds(self) -> float:
        """Time of everything else."""
        # Read in this order: what is got ready meanwhile must not come out as a negative time.
        prepared = self.setup_seconds
        return max(time.perf_counter() - self._started - prepared, 0.0)
