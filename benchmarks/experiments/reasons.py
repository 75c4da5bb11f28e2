"""Likely reasons, each written for one verdict of one question."""

from __future__ import annotations

NONE = "None is given: these results differ from those that the reasons were written for."

REASONS: dict[tuple[str, str], str] = {}
