"""What the tables say: gains with their intervals, and which hypotheses hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from experiments.comparisons import bootstrap

from low_precision.configuration import ARMS, BALANCED, BREVITAS, NONE, PYTORCH, ROUNDINGS
from low_precision.hypotheses import HYPOTHESES
from low_precision.store import read_table

TENSOR_8, TENSOR_4, CHANNEL_8 = "int8_tensor", "int4_tensor", "int8_channel"
_TWO = "p = 2"


@dataclass(frozen=True)
class Gain:
    """An arm against doing nothing, seed by seed: the mean difference and its 95 % interval, by the bootstrap."""

    case: str
    state: str
    rounding: str
    arm: str
    seeds: int
    mean: float
    spread: float
    difference: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """-1 or 1 where the interval excludes zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


class Results:
    """The tables of a folder."""

    def __init__(self, folder: Path) -> None:
        self.models, self.files, self.peers = (read_table(folder, kind) for kind in ("model", "file", "peers"))
        self.networks = list(dict.fromkeys(self.models.case))
        self.cases = [*self.networks, *(dict.fromkeys(self.files.case) if len(self.files) else ())]
        self.arms = [arm for arm in ARMS if arm in set(self.models.arm)]

    @cached_property
    def all(self) -> pd.DataFrame:
        """Networks and files."""
        return pd.concat([self.models, self.files]) if len(self.files) else self.models

    @cached_property
    def gains(self) -> dict[str, list[Gain]]:
        """Signal-to-noise ratios in dB and accuracies, by the name of the measure."""
        return {measure: list(_gains(self.all, measure)) for measure in ("snr", "accuracy")}

    def gain(self, state: str, rounding: str, arm: str = _TWO, measure: str = "snr") -> list[Gain]:
        """One for each case."""
        chosen = (state, rounding, arm)
        return [one for one in self.gains[measure] if (one.state, one.rounding, one.arm) == chosen]

    def mean(self, state: str, rounding: str, arm: str, measure: str = "snr") -> float:
        """Over networks, each the mean of its seeds; files are left out, since peers do not read them."""
        rows = self.models[(self.models.state == state) & (self.models.arm == arm)]
        return float(rows.groupby("case")[f"{measure}_{rounding}"].mean().mean())


def _gains(table: pd.DataFrame, measure: str) -> Iterable[Gain]:
    for (case, state), group in table.groupby(["case", "state"], sort=False):
        plain = group[group.arm == NONE].set_index("seed")
        for arm, rows in group.groupby("arm", sort=False):
            for rounding in ROUNDINGS:
                column = f"{measure}_{rounding.key}"
                values = rows.set_index("seed")[column]
                if values.notna().all():
                    found = bootstrap((values - plain[column]).to_numpy(dtype=float))
                    numbers = (
                        float(values.mean()),
                        float(values.std()),
                        found["difference"],
                        found["low"],
                        found["high"],
                    )
                    yield Gain(str(case), str(state), rounding.key, str(arm), len(values), *numbers)


@dataclass(frozen=True)
class Finding:
    """A hypothesis, whether it holds (None: not measured), and the numbers that say so."""

    text: str
    holds: bool | None
    numbers: str


def findings(results: Results) -> list[Finding]:
    return [Finding(one.text, *_DECIDED[one.name](results)) for one in HYPOTHESES]


Decision = tuple[bool | None, str]


def _extremes(gains: list[Gain], scale: float = 1.0, unit: str = "dB") -> str:
    low, high = min(gains, key=lambda one: one.difference), max(gains, key=lambda one: one.difference)
    return " to ".join(f"{scale * one.difference:+.1f} {unit} ({one.case})" for one in (low, high))


def _within(gains: list[Gain], limit: float, **words: object) -> Decision:
    return all(abs(one.difference) < limit for one in gains), _extremes(gains, **words)  # type: ignore[arg-type]


def _disturbed(results: Results) -> Decision:
    gains = results.gain("disturbed", TENSOR_8)
    return all(one.difference >= 20 for one in gains), _extremes(gains)


def _accuracy(results: Results) -> Decision:
    gains = [one for key in (TENSOR_8, CHANNEL_8) for one in results.gain("healthy", key, measure="accuracy")]
    return _within(gains, 0.005, scale=100, unit="points")


def _one_model(results: Results) -> Decision:
    table = results.all[results.all.arm.isin(BALANCED)].set_index(["case", "seed", "arm"])
    columns = [f"snr_{one.key}" for one in ROUNDINGS]
    healthy, disturbed = (table[table.state == state][columns] for state in ("healthy", "disturbed"))
    apart = (healthy - disturbed).abs()
    return bool((apart < 0.5).all(axis=None)), f"at most {apart.max().max():.2g} dB apart, in {apart.size} comparisons"


def _bits(results: Results) -> Decision:
    found, holds = [], True
    for state in ("healthy", "disturbed"):
        eight, four = (
            np.mean([one.difference for one in _networks(results, state, key)]) for key in (TENSOR_8, TENSOR_4)
        )
        holds &= bool(abs(eight - four) < 1)
        found.append(f"{state} {eight:+.1f} dB at 8 bits, {four:+.1f} dB at 4")
    return holds, "; ".join(found)


def _networks(results: Results, state: str, rounding: str, arm: str = _TWO) -> list[Gain]:
    return [one for one in results.gain(state, rounding, arm) if one.case in results.networks]


def _powers(results: Results) -> Decision:
    found, holds = [], True
    for key in (TENSOR_8, TENSOR_4):
        means = [results.mean("healthy", key, arm) for arm in BALANCED]
        holds &= all(np.diff(means) > 0)
        found.append(f"{key.split('_')[0]} {', '.join(f'{mean:.1f}' for mean in means)} dB")
    return holds, "; ".join(found)


def _peers_better(results: Results) -> Decision:
    if BREVITAS not in results.arms:
        return None, ""
    found, holds = [], True
    for state in ("healthy", "disturbed"):
        peer, ours = (results.mean(state, TENSOR_8, arm) for arm in (BREVITAS, _TWO))
        holds &= peer >= ours
        found.append(f"{state} {peer:.1f} dB, p = 2 {ours:.1f} dB")
    return holds, "; ".join(found)


def _function(results: Results) -> Decision:
    peers = results.peers
    ours = peers[peers.arm.isin(BALANCED)].change.max()
    worst = peers[~peers.arm.isin([*BALANCED, NONE])].sort_values("change").iloc[-1]
    return bool(ours < 1e-12), f"at most {ours:.0e}; of peers, {worst.arm} {worst.change:.2g} on {worst.architecture}"


def _units(results: Results) -> Decision:
    table = results.peers.pivot_table(index=["architecture", "state"], columns="arm", values="scaled")
    others = [arm for arm in (BREVITAS, PYTORCH) if arm in table]
    fewer = [" ".join(place) for place in table.index if table.loc[place, _TWO] < table.loc[place, others].max()]
    total = table.xs("disturbed", level="state").sum()
    numbers = ", ".join(f"{arm} {total[arm]:.0f}" for arm in (_TWO, *others))
    return not fewer, f"all together, disturbed: {numbers}" + (f"; fewer on {', '.join(fewer)}" if fewer else "")


def _optimum(results: Results) -> Decision:
    rows = results.peers[(results.peers.state == "disturbed") & results.peers.arm.isin([BREVITAS, PYTORCH])]
    kept = rows[rows.change < 1e-6]
    low, high = kept.cost_2.min(), kept.cost_2.max()
    return bool(low >= 1.01), f"{low:.3f} to {high:.4g} times the optimum, where the function was kept"


_DECIDED: dict[str, Callable[[Results], Decision]] = {
    "healthy": lambda results: _within(results.gain("healthy", TENSOR_8), 1.0),
    "accuracy": _accuracy,
    "disturbed": _disturbed,
    "one_model": _one_model,
    "bits": _bits,
    "channel_healthy": lambda results: _within(results.gain("healthy", CHANNEL_8), 1.0),
    "channel_disturbed": lambda results: _within(results.gain("disturbed", CHANNEL_8), 1.0),
    "powers": _powers,
    "peers_better": _peers_better,
    "function": _function,
    "units": _units,
    "optimum": _optimum,
}
