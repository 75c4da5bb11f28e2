"""Peak memory of a piece of code, beyond what the process held before it.

Linux forgets its record of the peak resident set on request (``/proc/self/clear_refs``), so the peak is that of the
piece alone. Elsewhere the growth of ``ru_maxrss`` stands in, which is too small where something before took more.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path
from typing import Self

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """``with PeakMemory() as peak: ...``, then ``peak.bytes`` (None if nothing can be known) and ``peak.method``."""

    def __enter__(self) -> Self:
        gc.collect()
        _give_back()
        self.method = "peak resident set, reset before" if _forget_peak() else "growth of ru_maxrss"
        self.before = _resident("VmRSS") if self.method.startswith("peak") else _highest()
        self.bytes: int | None = None
        return self

    def __exit__(self, *_: object) -> None:
        after = _resident("VmHWM") if self.method.startswith("peak") else _highest()
        if self.before is not None and after is not None:
            self.bytes = max(0, after - self.before)


def _give_back() -> None:
    """Free memory that the allocator holds back would hide what is taken from it next."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


def _forget_peak() -> bool:
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    peak, now = _resident("VmHWM"), _resident("VmRSS")
    return peak is not None and now is not None and peak <= now + 2**20


def _resident(field: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":")), None)


def _highest() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def first_to_go() -> None:
    """Where memory runs out the measured process is to end, not the one that records it."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return
