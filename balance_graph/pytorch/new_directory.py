"""A directory that is whole or is not there: built under another name beside it, and renamed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from balance_graph.errors import InvalidParameterError


def check_new(output: str | Path, copied_from: Path) -> Path:
    """Where a directory can be made that does not exist.

    Raises
    ------
    InvalidParameterError
        If `output` exists, lies within the directory that is copied, or has no parent.
    """
    target = Path(output)
    if target.exists() or target.is_symlink():
        message = f"output {target} exists; give the name of a new directory, since checkpoints are never overwritten"
        raise InvalidParameterError(message)
    if not target.parent.is_dir():
        message = f"output {target}: {target.parent} is no directory; make it first"
        raise InvalidParameterError(message)
    if copied_from.resolve() in target.resolve().parents:
        message = f"output {target} lies within {copied_from}; give a name outside it"
        raise InvalidParameterError(message)
    return target


@contextlib.contextmanager
def new_directory(output: str | Path, copied_from: Path) -> Iterator[Path]:
    """A copy of a directory to work on, which becomes `output` once all is done; on any error it is removed.

    Killed at once, a run can leave the copy, ``.NAME.PID.partial``, but never half of `output`. Links are followed: the
    copy has files of its own.
    """
    target = check_new(output, copied_from)
    partial = target.parent / f".{target.name}.{os.getpid()}.partial"
    try:
        shutil.copytree(copied_from, partial, copy_function=shutil.copyfile)
        yield partial
        for path in sorted(partial.rglob("*")):
            _to_disk(path)
        _to_disk(partial)
        partial.rename(target)
        _to_disk(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """What has been written is on the disk before the name says that it is whole."""
    if os.name == "nt" and path.is_dir():  # directories cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
