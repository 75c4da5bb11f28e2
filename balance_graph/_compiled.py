"""Compile loops with numba where it is installed; the same functions run uncompiled, slowly, where it is not.

Modules of compiled loops are imported when first needed, so that importing the package stays light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled function, cached on disk where a place for that can be found."""
    return _compiled(function, fastmath=False)


def compiled_in_any_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled`; sums may be taken in any order, several terms side by side."""
    return _compiled(function, fastmath={"reassoc", "contract"})


def _compiled(function: Callable[..., Any], fastmath: bool | set[str]) -> Callable[..., Any]:
    try:
        import numba
    except ImportError:
        return function
    try:
        return numba.njit(cache=True, nogil=True, fastmath=fastmath)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # a read-only installation without a writable home has nowhere to cache
        return numba.njit(nogil=True, fastmath=fastmath)(function)  # type: ignore[no-any-return]
