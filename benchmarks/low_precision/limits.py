"""What does not help, as a list whose numbers follow from the tables."""

from __future__ import annotations

from collections.abc import Iterator

from low_precision.configuration import BALANCED, NONE, ROUNDINGS
from low_precision.findings import CHANNEL_8, Gain, Results

_TWO = "p = 2"
_NOTHING = 0.5  # decibels: a twelfth of a bit


def limits(results: Results) -> str:
    return "\n".join(f"- {line}" for line in _lines(results))


def _lines(results: Results) -> Iterator[str]:
    everything = {
        (one.key, arm): [gain for gain in results.gains("healthy", one.key, arm) if gain.case in results.networks]
        for one in ROUNDINGS
        for arm in BALANCED
    }
    gains = [gain for found in everything.values() for gain in found]
    up, down = (sum(one.sign == sign for one in gains) for sign in (1, -1))
    yield (
        f"Networks as trained, all roundings, all p: of {len(gains)} intervals {up} lie above zero and {down} below; "
        f"by chance about {len(gains) / 40:.0f} would each way."
    )
    changes = [_mean(everything[CHANNEL_8, arm]) for arm in BALANCED]
    verdict = "useless" if max(map(abs, changes)) < _NOTHING else "of some effect"
    yield (
        f"With a step size per channel, balancing networks as trained is {verdict}: at int8, in the mean over "
        f"networks, p = 1, 2, 4 and 8 change {', '.join(f'{one:+.1f}' for one in changes)} dB."
    )
    yield (
        "Larger p, which comes closer to the largest weight, against p = 2, networks as trained, in the mean over "
        f"networks: {_against_two(results)}."
    )
    worst = min((one for key in ROUNDINGS for one in results.gains("healthy", key.key)), key=lambda one: one.difference)
    yield (
        f"It can do harm: {worst.difference:+.1f} dB with p = 2 on {worst.case}, as trained ({_title(worst.rounding)})."
    )
    yield from _broken(results)
    rows = results.peers[(results.peers.arm == _TWO) & (results.peers.scaled < 0.5 * results.peers.channels)]
    for row in rows.drop_duplicates("architecture").itertuples():
        yield (
            f"Where activations are not homogeneous there is little to scale: {row.scaled} of {row.channels} channels "
            f"of {row.architecture}."
        )


def _mean(gains: list[Gain]) -> float:
    return sum(one.difference for one in gains) / len(gains)


def _against_two(results: Results) -> str:
    found = []
    for rounding in (one for one in ROUNDINGS if one.scope == "tensor"):
        two = results.mean("healthy", rounding.key, _TWO)
        apart = ", ".join(f"{results.mean('healthy', rounding.key, arm) - two:+.1f}" for arm in ("p = 4", "p = 8"))
        found.append(f"{apart} dB at {rounding.title}")
    return "; ".join(found)


def _title(key: str) -> str:
    return next(one.title for one in ROUNDINGS if one.key == key)


def _broken(results: Results) -> Iterator[str]:
    """Files that rounding breaks, as trained, and that no p repairs."""
    if not len(results.files):
        return
    healthy = results.files[results.files.state == "healthy"]
    means = healthy.groupby(["case", "arm"], sort=False).mean(numeric_only=True)
    for case in dict.fromkeys(healthy.case):
        table = means.loc[case]
        best = {one.title: table[f"accuracy_{one.key}"].max() for one in ROUNDINGS}
        before = table.accuracy[NONE]
        broken = [f"{100 * right:.0f} % at {title}" for title, right in best.items() if right < 0.5 * before]
        if broken:
            yield (
                f"What rounding breaks for other reasons stays broken: of the file for {case}, {100 * before:.0f} % is "
                f"right before; after, with the best p, {', '.join(broken)}."
            )
