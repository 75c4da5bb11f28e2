"""Files that a command writes: refused before the long work, whole or not there after it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import balance_graph as bg
from balance_graph.errors import InvalidParameterError, NetworkFileError

if TYPE_CHECKING:
    import networkx as nx


def check_network_file(path: Path, network: nx.DiGraph[Any], weight: str) -> None:
    """Refuse a file that cannot hold the network: balancing changes weights only, so the input is tried."""
    from balance_graph.graph.files import network_text

    check_folder(path)
    network_text(network, path, weight=weight)


def check_figure_file(path: Path) -> None:
    """Refuse a picture that matplotlib cannot write, or that has no place."""
    known = sorted(bg.plots.file_suffixes())
    if path.suffix.lower().removeprefix(".") not in known:
        message = f"{path}: the suffix {path.suffix!r} names no picture; use .{', .'.join(known)}"
        raise InvalidParameterError(message)
    check_folder(path)


def save_figure(figure: Any, path: Path) -> None:
    """Write a picture, whole or not at all."""
    from balance_graph.graph.files.draft import draft_of

    with draft_of(path) as draft, warnings.catch_warnings():
        # Names in scripts that the font lacks are drawn as boxes; that is no news for the standard error.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(draft)


def check_folder(path: Path) -> None:
    """Refuse a file that has no place."""
    if path.is_dir():
        reason = "it is a folder"
    elif not path.parent.is_dir():
        reason = "its folder does not exist; create it first"
    elif not os.access(path.parent, os.W_OK):
        reason = "no permission in its folder"
    else:
        return
    message = f"{path}: cannot be written: {reason}"
    raise NetworkFileError(message)
