"""Import an optional dependency, or explain how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from balance_graph.errors import MissingDependencyError


def import_optional(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise `MissingDependencyError` naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f'{purpose} needs {package}, which is not installed: pip install "balance-graph[{extra}]"'
        raise MissingDependencyError(message) from error
