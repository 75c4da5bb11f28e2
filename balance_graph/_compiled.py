"""Compile loops with numba where it is installed; the same functions run uncompiled, slowly, where it is not.

Modules of compiled loops are imported when first needed, so that importing the package stays light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled function, cached on disk where a place for that can be found."""
    try:
        import numba
    except ImportError:
        return function
    try:
        return numba.njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # a read-only installation without a writable home has nowhere to cache
        return numba.njit(nogil=True)(function)  # type: ignore[no-any-return]
