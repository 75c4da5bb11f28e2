"""Compile loops with numba where it is installed; the same functions run uncompiled, slowly, where it is not.

Modules of compiled loops are imported when first needed, so that importing the package stays light.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from balance_graph._preparation import CLOCK, preparing

_ANNOUNCEMENT = "balance_graph: compiling loops, which takes some seconds on first use; they are kept for the next"


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled function, cached on disk where a place for that can be found."""
    return _compiled(function, fastmath=False)


def compiled_in_any_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled`; sums may be taken in any order, several terms side by side."""
    return _compiled(function, fastmath={"reassoc", "contract"})


def matrices_at_addresses(dtype: Any) -> Any:
    """A function for compiled loops alone: the matrix of elements of a type at an address, given numbers of both."""
    from numba import carray, njit, types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def pointer(_context: Any, number: Any) -> Any:  # noqa: ARG001 - numba tells arguments apart by name
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.voidptr(types.int64), code

    @njit
    def matrix(address, n, m):  # type: ignore[no-untyped-def]
        return carray(pointer(address), (n, m), dtype)

    return matrix


def _compiled(function: Callable[..., Any], fastmath: bool | set[str]) -> Callable[..., Any]:
    try:
        with preparing():
            import numba
    except ImportError:
        return function
    _watch_compilation()
    try:
        return numba.njit(cache=True, nogil=True, fastmath=fastmath)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # a read-only installation without a writable home has nowhere to cache
        return numba.njit(nogil=True, fastmath=fastmath)(function)  # type: ignore[no-any-return]


class Announcement:
    """One line on a terminal when something has to be compiled: once in a process, and not where silence was asked."""

    is_due = True
    # Written first, by who shows a line of progress: what erases that line.
    before = ""

    @classmethod
    def make(cls) -> None:
        """Say it, if it has not been said and somebody reads it."""
        if cls.is_due and sys.stderr is not None and sys.stderr.isatty():
            print(cls.before + _ANNOUNCEMENT, file=sys.stderr, flush=True)  # noqa: T201
        cls.is_due = False


@cache
def _watch_compilation() -> None:
    """Have numba tell of each function that it compiles, rather than loads from disk; once in a process."""
    from numba.core import event

    class Watch(event.Listener):  # type: ignore[misc]
        def on_start(self, _: Any) -> None:
            Announcement.make()
            CLOCK.start()

        def on_end(self, _: Any) -> None:
            CLOCK.stop()

    event.register("numba:compile", Watch())
