"""What an independent run with other seeds says of the effects that the page claims."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.comparisons import LOSSES, MEASURES, Comparison
from experiments.findings import NAMES, Results
from experiments.profiles import TITLES

Pair = tuple[Comparison, Comparison]

_HEAD = """
## What repeats

An earlier run of the profile `short` had other seeds ({there} there, {here} here): other first weights, other splits of
the data, rates tuned anew. {lacks} {counts}

"""


def repeats(results: Results, others: Results) -> list[Pair]:
    """Each effect that the first tells from zero, with what the others have of it, where both have it."""
    found: list[Pair] = []
    for measure in (*LOSSES.values(), "test_accuracy"):
        there = {_place(one): one for one in others.comparisons[measure]}
        effects = [one for one in results.comparisons[measure] if one.sign and _place(one) in there]
        found += [(one, there[_place(one)]) for one in effects]
    return found


def different(pairs: Sequence[Pair]) -> list[str]:
    """Effects that have another sign in the others, in words."""
    return [f"{one.measure}: {', '.join(_place(one))}" for one, other in pairs if not _agree(one, other)]


def section(results: Results, earlier: Results) -> str:
    """Every effect of the page that the earlier run can speak of, and the reverse in one sentence; "" if none."""
    apart = _with_other_seeds(results, earlier)
    if not apart:
        return ""
    forth, back = (
        [pair for pair in repeats(*two) if pair[0].experiment in apart]
        for two in ((results, earlier), (earlier, results))
    )
    same, again = sum(_agree(*pair) for pair in forth), sum(one.sign == other.sign for one, other in forth)
    counts = (
        f"Of {len(forth)} differences that are told apart on this page and were measured there as well, {same} had the "
        f"same sign there, and {again} were told apart there as well. Of {len(back)} that were told apart there, "
        f"{sum(_agree(*pair) for pair in back)} have the same sign here."
    )
    lacks = _differences(results, earlier, apart)
    head = _HEAD.format(there=_seeds(earlier, apart), here=_seeds(results, apart), lacks=lacks, counts=counts)
    lines = ["| experiment | what | arm | reference | here | there | |", "|---|---|---|---|---|---|---|"]
    for one, other in forth:
        what = f"{NAMES[one.measure]}, {one.stage}"
        verdict = "told apart" if one.sign == other.sign else "same sign" if _agree(one, other) else "**other sign**"
        cells = (TITLES[one.experiment], what, one.arm, one.reference, _size(one), _size(other), verdict)
        lines.append("| " + " | ".join(cells) + " |")
    return head + "\n".join(lines) + "\n"


def _place(one: Comparison) -> tuple[str, str, str, str]:
    return one.experiment, one.stage, one.arm, one.reference


def _agree(one: Comparison, other: Comparison) -> bool:
    return bool(np.sign(one.difference) == np.sign(other.difference))


def _size(one: Comparison) -> str:
    return f"{np.exp(one.difference):.3g}" if MEASURES[one.measure] else f"{100 * one.difference:+.1f}"


def _with_other_seeds(results: Results, others: Results) -> list[str]:
    """Experiments that both have, and no seed of them in common: nothing else tells what repeats."""
    here, there = (one.runs.groupby("experiment").seed.agg(set) for one in (results, others))
    return [name for name in here.index if name in there.index and not here[name] & there[name]]


def _differences(results: Results, others: Results, experiments: Sequence[str]) -> str:
    """Arms that the others lack, and experiments whose plain arm had other rates to choose from."""
    here, there = (one.runs[one.runs.experiment.isin(experiments)] for one in (results, others))
    arms = [arm for arm in here.arm.unique() if arm not in set(there.arm)]
    tried = [
        runs[(runs.arm == "plain") & (runs.stage == "tuning")].groupby("experiment").rate.agg(set)
        for runs in (here, there)
    ]
    titles = [TITLES[name] for name in experiments if tried[0][name] != tried[1][name]]
    parts = [f"It lacks the arms {', '.join(f'*{arm}*' for arm in arms)}."] if arms else []
    parts += [f"Other rates were tried in {', '.join(titles)}."] if titles else []
    return " ".join(parts)


def _seeds(results: Results, experiments: Sequence[str]) -> str:
    """Of the compared runs."""
    runs = results.runs[(results.runs.stage != "tuning") & results.runs.experiment.isin(experiments)]
    return f"{runs.seed.min()} to {runs.seed.max()}"
