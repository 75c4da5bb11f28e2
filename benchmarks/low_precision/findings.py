"""What the tables say: gains with their intervals, and which hypotheses hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
# Outputs in double precision that move by less, relative to the largest, are those of the same function.
KEPT = 1e-6


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
        self._gains: dict[tuple[str, str, str, str], list[Gain]] = {}

    @cached_property
    def all(self) -> pd.DataFrame:
        """Networks and files."""
        return pd.concat([self.models, self.files]) if len(self.files) else self.models

    @cached_property
    def _groups(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """Rows of a case, a state and an arm, by seed."""
        groups = self.all.groupby(["case", "state", "arm"], sort=False)
        return {key: rows.set_index("seed") for key, rows in groups}  # type: ignore[misc]

    def gains(self, state: str, rounding: str, arm: str = _TWO, measure: str = "snr") -> list[Gain]:
        """Of signal-to-noise ratios in dB, or of accuracies; one for each case that has the arm and the measure."""
        key = (state, rounding, arm, measure)
        if key not in self._gains:
            self._gains[key] = list(self._gained(*key))
        return self._gains[key]

    def _gained(self, state: str, rounding: str, arm: str, measure: str) -> Iterator[Gain]:
        for case in self.cases:
            rows, plain = (self._groups.get((case, state, one)) for one in (arm, NONE))
            column = f"{measure}_{rounding}"
            if rows is not None and plain is not None and rows[column].notna().all():
                values, differences = rows[column], (rows[column] - plain[column]).to_numpy(dtype=float)
                known = bootstrap(differences)
                interval = {name: known[name] for name in ("difference", "low", "high")}
                numbers = {"mean": float(values.mean()), "spread": float(values.std())}
                yield Gain(case, state, rounding, arm, len(values), **numbers, **interval)

    def mean(
        self, state: str, rounding: str, arm: str, measure: str = "snr", networks: Sequence[str] | None = None
    ) -> float:
        """Over networks (all of them), each the mean of its seeds; files are left out, since peers do not read them."""
        rows = self.models[(self.models.state == state) & (self.models.arm == arm)]
        rows = rows[rows.case.isin(self.networks if networks is None else networks)]
        return float(rows.groupby("case")[f"{measure}_{rounding}"].mean().mean())


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
    gains = results.gains("disturbed", TENSOR_8)
    return all(one.difference >= 20 for one in gains), _extremes(gains)


def _accuracy(results: Results) -> Decision:
    gains = [one for key in (TENSOR_8, CHANNEL_8) for one in results.gains("healthy", key, measure="accuracy")]
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
    return [one for one in results.gains(state, rounding, arm) if one.case in results.networks]


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
    """Where a peer changes the function, it changes outputs that are no scales, and nothing is counted."""
    kept = results.peers[results.peers.change < KEPT]
    table = kept.pivot_table(index=["architecture", "state"], columns="arm", values="scaled")
    others = [arm for arm in (BREVITAS, PYTORCH) if arm in table]
    fewer = [", ".join(place) for place in table.index if table.loc[place, _TWO] < table.loc[place, others].max()]
    total = table.dropna().xs("disturbed", level="state").sum()
    numbers = ", ".join(f"{arm} {total[arm]:.0f}" for arm in (_TWO, *others))
    return not fewer, f"where all keep the function, together: {numbers}" + "".join(
        f"; fewer on {one}" for one in fewer
    )


def _optimum(results: Results) -> Decision:
    rows = results.peers[(results.peers.state == "disturbed") & results.peers.arm.isin([BREVITAS, PYTORCH])]
    kept = rows[rows.change < KEPT]
    low, high = kept.cost_2.min(), kept.cost_2.max()
    return bool(low >= 1.01), f"{low:.3f} to {high:.4g} times the optimum, where the function was kept"


_DECIDED: dict[str, Callable[[Results], Decision]] = {
    "healthy": lambda results: _within(results.gains("healthy", TENSOR_8), 1.0),
    "accuracy": _accuracy,
    "disturbed": _disturbed,
    "one_model": _one_model,
    "bits": _bits,
    "channel_healthy": lambda results: _within(results.gains("healthy", CHANNEL_8), 1.0),
    "channel_disturbed": lambda results: _within(results.gains("disturbed", CHANNEL_8), 1.0),
    "powers": _powers,
    "peers_better": _peers_better,
    "function": _function,
    "units": _units,
    "optimum": _optimum,
}
