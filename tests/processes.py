"""Functions that run in processes of their own, several at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any


def run_together(target: Callable[..., None], *arguments: Any, count: int = 1) -> list[int | None]:
    """Run ``target(rank, *arguments)`` in so many processes, in which PyTorch is imported; their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch.distributed.fsdp", "torch.distributed.tensor", target.__module__])
    started = [context.Process(target=target, args=(rank, *arguments)) for rank in range(count)]
    for process in started:
        process.start()
    for process in started:
        process.join(200)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in started]
