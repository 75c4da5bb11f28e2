"""Progress of long work: a callback, and tqdm as its ready-made consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from balance_graph._optional import import_optional
from balance_graph.errors import InvalidParameterError

# Called with the number of the iteration, the logarithm of the cost and the relative imbalance.
Report = Callable[[int, float, float], None]


def silent(iteration: int, log_cost: float, imbalance: float) -> None:
    """Report nothing."""


@contextmanager
def reporter(progress: bool | Report) -> Iterator[Report]:
    """The callback to use: the user's own, a tqdm bar for True, nothing for False."""
    if callable(progress):
        yield progress
    elif not isinstance(progress, bool):
        message = f"progress must be True, False or a function of iteration, log cost and imbalance; got {progress!r}"
        raise InvalidParameterError(message)
    elif progress:
        tqdm = import_optional("tqdm.auto", extra="progress", purpose="progress=True").tqdm
        with tqdm(unit="it", desc="balancing", leave=True) as bar:

            def report(iteration: int, log_cost: float, imbalance: float) -> None:
                bar.set_postfix_str(f"log cost {log_cost:.12g}, imbalance {imbalance:.2e}", refresh=False)
                bar.update(iteration - bar.n)

            yield report
    else:
        yield silent


@contextmanager
def stages(
    progress: bool | Callable[[int, int, str], None], total: int, what: str
) -> Iterator[Callable[[int, str], None]]:
    """A callback for work in stages: called with the number of stages done and the name of the next."""
    if callable(progress):
        yield lambda done, name: progress(done, total, name)
    elif not isinstance(progress, bool):
        message = f"progress must be True, False or a function of stages done, of all, and name; got {progress!r}"
        raise InvalidParameterError(message)
    elif progress:
        tqdm = import_optional("tqdm.auto", extra="progress", purpose="progress=True").tqdm
        with tqdm(total=total, desc=what, leave=False) as bar:

            def report(done: int, name: str) -> None:
                bar.set_postfix_str(name, refresh=False)
                bar.update(done - bar.n)
                bar.refresh()

            yield report
    else:
        yield lambda *_: None
