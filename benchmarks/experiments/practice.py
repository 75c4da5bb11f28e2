"""The answer for practitioners: three sentences, their figures from the tables, their first words from the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.comparisons import Comparison
from experiments.findings import BALANCING, Finding, Results

_FIRST = {
    "confirmed": "For accuracy, yes",
    "mixed": "For accuracy, now and then",
    "not confirmed": "Not for accuracy",
    "the opposite": "Not for accuracy",
    "not run": "Not for accuracy, which was not compared",
}
_SECOND = {
    "confirmed": "For speed it is worth a trial, since a change of scales at random does less",
    "mixed": "For speed, tune the learning rate first, since a change of scales at random does much of the same",
    "not confirmed": "For speed, tune the learning rate first, since random scales were not told apart from balance",
    "the opposite": "For speed, tune the learning rate first, since a change of scales at random does better",
    "not run": "For speed, tune the learning rate first",
}
_THIRD = {
    "confirmed": "Where scales are far from balance it helps",
    "mixed": "Where scales are far from balance it may help",
}


def practice(results: Results, findings: Sequence[Finding]) -> str:
    verdicts = {one.name: one.verdict for one in findings}
    accuracy = results.pairs("test_accuracy", BALANCING, "plain", "tuned")
    speed = results.pairs("test_loss", BALANCING, "plain", "tuned")
    random = [one for p in (1, 2) for one in results.pairs("test_loss", (f"start p={p}",), f"random as p={p}", "tuned")]
    disturbed, widely = (
        results.pairs("test_loss", (f"{arm}, start p=2",), arm, "tuned") for arm in ("disturbed", "disturbed widely")
    )
    runs = results.runs[(results.runs.arm == "sweep each epoch") & (results.runs.stage != "tuning")]
    runs = runs[runs.experiment == "digits"]
    share = (runs.balancing_seconds / (runs.seconds - runs.balancing_seconds)).median()
    third = _THIRD.get(verdicts["disturbed widely"], "Even where scales are far from balance it does not help reliably")
    higher, lower = _count(accuracy, 1), _count(accuracy, -1)
    faster, slower = _count(speed, -1), _count(speed, 1)
    return (
        f"{_FIRST[verdicts['accuracy']]}: of {len(accuracy)} comparisons of balanced with plain training, both with "
        f"tuned learning rates, the test accuracy was higher in {higher} and lower in {lower}. "
        f"{_SECOND[verdicts['random']]}: of {len(speed)} comparisons with plain training at tuned rates the loss after "
        f"equally many epochs was lower in {faster} and higher in {slower}, and of {len(random)} with random scales of "
        f"the same size lower in {_count(random, -1)} and higher in {_count(random, 1)}. "
        f"{third} (at tuned rates the loss was lower in {_count(widely, -1)} and higher in {_count(widely, 1)} of "
        f"{len(widely)} comparisons after scales were disturbed by factors e^(2N), and lower in "
        f"{_count(disturbed, -1)} and higher in {_count(disturbed, 1)} of {len(disturbed)} after e^N, N standard "
        "normal), and it is harmless where the balanced state itself is wanted: outputs moved by "
        f"{results.runs.function_change.max():.0e} at most, and a sweep each epoch adds {share:.0%} to the time of "
        "training digits."
    )


def _count(pairs: Sequence[Comparison], sign: int) -> int:
    return sum(one.sign == sign for one in pairs)
