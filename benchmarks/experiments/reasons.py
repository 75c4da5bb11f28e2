"""Likely reasons, each written for one verdict of one question."""

from __future__ import annotations

from typing import Any

NONE = "None is given: these results differ from those that the reasons were written for."

REASONS: dict[tuple[str, str], str] = {}


def practice(findings: dict[str, Any]) -> str:
    return ""
