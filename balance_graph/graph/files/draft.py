"""A file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    with draft_of(Path(path)) as draft:
        draft.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A new path beside `path` to write to: moved there in one step at the end, removed if anything fails.

    Readers see the old file or the new one, whole; a link stays a link, and an existing file keeps its mode.
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        yield draft
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o777)
        draft.replace(target)
    except BaseException:  # KeyboardInterrupt included: leave no litter
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
