"""``warmup``."""

from __future__ import annotations

import argparse
from typing import Any

import balance_graph as bg
from balance_graph.cli._answer import DONE, Answer
from balance_graph.cli._options import add_command


def add_warmup(commands: Any) -> None:
    """The sub-command."""
    text = "import and compile what a first use needs, so that it does not wait"
    add_command(commands, "warmup", _warmup, text)


def _warmup(_: argparse.Namespace) -> Answer:
    seconds = bg.warmup()
    return DONE, {"seconds": seconds}, [f"ready after {seconds:.1f} s of imports and compilation"]
