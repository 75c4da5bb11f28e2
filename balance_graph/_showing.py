"""Objects shown in few words: long lists cut short, and small tables for notebooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape
from itertools import islice
from typing import Any

_SHOWN = 5


def some_of(items: Collection[Any]) -> str:
    """The first few items, and how many there are if there are more."""
    listed = ", ".join(map(repr, islice(items, _SHOWN)))
    return listed + (f", ... ({len(items)} in all)" if len(items) > _SHOWN else "")


def html_table(title: str, rows: Mapping[str, str]) -> str:
    """A table of two columns in HTML; rows without text are left out."""
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(text)}</td></tr>'
        for name, text in rows.items()
        if text
    )
    return f'<table><caption style="text-align: left"><b>{escape(title)}</b></caption>{cells}</table>'
