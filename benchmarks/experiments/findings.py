"""The questions, answered from the tables: a verdict, and the numbers behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import reasons
from experiments.comparisons import LOSSES, MEASURES, Comparison, compared, log_slope, predictions
from experiments.profiles import TITLES
from experiments.store import read_conservation, read_epochs, read_runs

CONTROLS = ("digits-tanh", "mnist-tanh")
_ACCURACY = "test_accuracy"
NAMES = {"mean_training_loss": "mean training loss", "test_loss": "test loss", "test_accuracy": "test accuracy"}
_LITTLE_DATA = ("digits-100", "mnist-600", "mnist-600-256", "mnist-600-256-128")
# Arms that balance with the function kept and no other change.
_ALTERNATING = ("sweep each epoch", "full each epoch", "full each epoch p=1", "full each step", "equi-normalization")
BALANCING = ("start p=1", "start p=2", *_ALTERNATING)


class Results:
    """The tables of folders, and what follows from them; of an experiment that several have the last one's is taken."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        runs = read_runs(folders[0])
        for folder in folders[1:]:
            later = read_runs(folder)
            runs = pd.concat([runs[~runs.experiment.isin(later.experiment)], later])
        order = runs.experiment.map({name: k for k, name in enumerate(TITLES)})
        self.runs = runs.iloc[order.argsort(kind="stable")].reset_index(drop=True)

    @functools.cached_property
    def epochs(self) -> pd.DataFrame:
        every = pd.concat([read_epochs(folder) for folder in self._folders])
        return every[every.key.isin(self.runs.key)].reset_index(drop=True)

    @functools.cached_property
    def conservation(self) -> pd.DataFrame:
        return read_conservation(self._folders[0])

    @functools.cached_property
    def comparisons(self) -> dict[str, list[Comparison]]:
        return {measure: compared(self.runs, measure) for measure in MEASURES}

    @functools.cached_property
    def predictions(self) -> pd.DataFrame:
        return predictions(self.runs[~self.runs.experiment.isin(CONTROLS)], self.epochs)

    @property
    def experiments(self) -> list[tuple[str, str]]:
        """Names and titles of those that were run, in the order of the profiles."""
        return [(name, title) for name, title in TITLES.items() if name in set(self.runs.experiment)]

    def pairs(
        self, measure: str, arms: Iterable[str], reference: str, stage: str, only: Sequence[str] = ()
    ) -> list[Comparison]:
        return [
            one
            for one in self.comparisons[measure]
            if one.arm in set(arms) and one.reference == reference and one.stage == stage
            if one.experiment not in CONTROLS and (not only or one.experiment in only)
        ]


@dataclass(frozen=True)
class Finding:
    """`verdict` is "confirmed", "mixed", "not confirmed", "the opposite" or "not run"; `numbers` are sentences."""

    name: str
    claim: str
    verdict: str
    numbers: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Written for one verdict; none is made up for another."""
        return reasons.REASONS.get((self.name, self.verdict), "") or reasons.NONE


def all_findings(results: Results) -> list[Finding]:
    return [question(results) for question in _QUESTIONS]


def _verdict(pairs: Sequence[Comparison], better: int) -> str:
    """What most of the comparisons that are taken for real say."""
    if not pairs:
        return "not run"
    good, bad = (sum(one.sign == sign for one in pairs) for sign in (better, -better))
    if bad > good:
        return "the opposite" if good == 0 else "mixed"
    if good == 0:
        return "not confirmed"
    return "confirmed" if bad == 0 and 2 * good >= len(pairs) else "mixed"


def _sentence(what: str, pairs: Sequence[Comparison]) -> str:
    """How many comparisons went which way, and how far."""
    if not pairs:
        return f"{what}: not run."
    measure = pairs[0].measure
    lower, higher = (sum(one.sign == sign for one in pairs) for sign in (-1, 1))
    middle = float(np.median([one.difference for one in pairs]))
    size = (
        f"median ratio {np.exp(middle):.2f}" if MEASURES[measure] else f"median difference {100 * middle:+.1f} points"
    )
    name = NAMES[measure]
    return (
        f"{what}: {name} lower in {lower}, higher in {higher}, not told apart in {len(pairs) - lower - higher} of "
        f"{len(pairs)} comparisons; {size}."
    )


def _each(results: Results, arm: str, stage: str) -> list[str]:
    """An arm against plain training, a line for each experiment."""
    lines = []
    accuracies = {one.experiment: one for one in results.pairs(_ACCURACY, (arm,), "plain", stage)}
    for one in results.pairs(LOSSES[stage], (arm,), "plain", stage):
        points = f"{100 * accuracies[one.experiment].difference:+.1f} points"
        lines.append(f"{TITLES[one.experiment]}, {arm}, {stage}: {_ratio(one)}, accuracy {points}.")
    return lines


def _ratio(one: Comparison) -> str:
    """Of losses, with its interval."""
    bounds = f"[{np.exp(one.low):.2f}, {np.exp(one.high):.2f}]"
    return f"ratio of {NAMES[one.measure]} {np.exp(one.difference):.2f} {bounds}"


def _untuned_start(results: Results) -> Finding:
    arms = ("start p=1", "start p=2")
    pairs = results.pairs(LOSSES["untuned"], arms, "plain", "untuned")
    accuracies = results.pairs(_ACCURACY, arms, "plain", "untuned")
    numbers = [_sentence("start p=1 and p=2, untuned", found) for found in (pairs, accuracies)]
    numbers += _each(results, "start p=1", "untuned")
    return Finding(
        "untuned", "Balance before learning speeds it at the fixed rate 1e-3", _verdict(pairs, -1), tuple(numbers)
    )


def _speed_at_start(results: Results) -> Finding:
    arms = ("start p=1", "start p=2")
    pairs = results.pairs(LOSSES["tuned"], arms, "plain", "tuned")
    numbers = [_sentence(f"{arm}, tuned", [one for one in pairs if one.arm == arm]) for arm in arms]
    numbers += _each(results, "start p=1", "tuned")
    return Finding("start", "Balance before learning speeds it, at tuned rates", _verdict(pairs, -1), tuple(numbers))


def _any_change_of_scales(results: Results) -> Finding:
    numbers, at = [], {}
    for stage in ("untuned", "tuned"):
        at[stage] = [
            one for p in (1, 2) for one in results.pairs(LOSSES[stage], (f"start p={p}",), f"random as p={p}", stage)
        ]
        random = [one for p in (1, 2) for one in results.pairs(LOSSES[stage], (f"random as p={p}",), "plain", stage)]
        numbers += [_sentence(f"balanced against rescaled at random, {stage}", at[stage])]
        numbers += [_sentence(f"rescaled at random against plain, {stage}", random)]
    numbers += [line for stage in at for line in _each(results, "random as p=1", stage)]
    claim = "What balance does to speed, a random change of scales as large does not"
    return Finding("random", claim, _verdict([*at["untuned"], *at["tuned"]], -1), tuple(numbers))


def _alternation(results: Results) -> Finding:
    at = {stage: results.pairs(LOSSES[stage], _ALTERNATING, "plain", stage) for stage in ("untuned", "tuned")}
    numbers = [_sentence(f"all forms, {stage}", pairs) for stage, pairs in at.items()]
    numbers += [f"{TITLES[one.experiment]}, tuned, {one.arm}: {_ratio(one)}." for one in at["tuned"]]
    claim = "Balance in alternation with gradient steps speeds learning, at tuned rates"
    return Finding("alternation", claim, _verdict(at["tuned"], -1), tuple(numbers))


def _accuracy(results: Results) -> Finding:
    pairs = results.pairs(_ACCURACY, BALANCING, "plain", "tuned")
    little = results.pairs(_ACCURACY, BALANCING, "plain", "tuned", _LITTLE_DATA)
    numbers = (_sentence("all tasks, tuned", pairs), _sentence("with little data, tuned", little))
    return Finding("accuracy", "Balance improves the final accuracy of tuned training", _verdict(pairs, 1), numbers)


_FACTORS = {"disturbed": "e^N", "disturbed widely": "e^(2N)"}  # N standard normal


def _disturbed_untuned(results: Results) -> Finding:
    numbers, every = [], []
    for arm, factors in _FACTORS.items():
        pairs = results.pairs(LOSSES["untuned"], (f"{arm}, start p=2",), arm, "untuned")
        every += pairs
        numbers.append(_sentence(f"after {factors}, balanced against not, untuned", pairs))
        against = results.pairs(LOSSES["untuned"], (arm,), "plain", "untuned")
        numbers.append(_sentence(f"after {factors}, disturbed against plain, untuned", against))
    claim = "Where scales were disturbed, balance before learning speeds it at the fixed rate 1e-3"
    return Finding("disturbed-untuned", claim, _verdict(every, -1), tuple(numbers))


def _disturbed(results: Results, arm: str) -> Finding:
    numbers = []
    pairs = results.pairs(LOSSES["tuned"], (f"{arm}, start p=2",), arm, "tuned")
    for measure in (LOSSES["tuned"], _ACCURACY):
        of_measure = results.pairs(measure, (f"{arm}, start p=2",), arm, "tuned")
        numbers.append(_sentence("balanced against not, tuned", of_measure))
        numbers.append(_sentence("disturbed against plain, tuned", results.pairs(measure, (arm,), "plain", "tuned")))
    numbers += [f"{TITLES[one.experiment]}, balanced against not, tuned: {_ratio(one)}." for one in pairs]
    numbers += [_first_sharpness(results, arm), _diverged(results, arm)] if pairs else []
    claim = f"Where scales were disturbed by factors {_FACTORS[arm]}, balance before learning speeds it, at tuned rates"
    return Finding(arm, claim, _verdict(pairs, -1), tuple(numbers))


def _first_sharpness(results: Results, arm: str) -> str:
    """How much larger it is before training, with the function the same."""
    runs = results.runs[(results.runs.stage == "tuned") & ~results.runs.experiment.isin(CONTROLS)]
    first = results.epochs[results.epochs.epoch == 0].set_index("key").sharpness
    by_arm = [
        rows.set_index(["experiment", "seed"]).key.map(first)
        for rows in (runs[runs.arm == arm], runs[runs.arm == "plain"])
    ]
    ratio = (by_arm[0] / by_arm[1]).median()
    return f"before training the sharpness is {ratio:.3g} times that without the factors, in the median run."


def _diverged(results: Results, arm: str) -> str:
    """Their pairs are left out of the comparisons, which favors the arm that diverges."""
    runs = results.runs[(results.runs.stage == "tuned") & ~results.runs.experiment.isin(CONTROLS)]
    counts = [
        f"{int(rows.diverged.sum())} of {len(rows)} {what}"
        for what, rows in (("disturbed", runs[runs.arm == arm]), ("balanced", runs[runs.arm == f"{arm}, start p=2"]))
    ]
    return f"tuned runs that diverged, and have no loss to compare: {', '.join(counts)}."


def _adam(results: Results) -> Finding:
    numbers, verdicts = [], []
    for experiment in ("digits", "digits-momentum", "digits-adamw"):
        for stage in ("untuned", "tuned"):
            for one in results.pairs(LOSSES[stage], ("start p=1", "start p=2"), "plain", stage, (experiment,)):
                numbers.append(f"{TITLES[experiment]}, {stage}, {one.arm}: {_ratio(one)}.")
                if experiment == "digits-adamw" and stage == "untuned":
                    verdicts.append(one)
    claim = "Balance before learning speeds AdamW at the fixed rate 1e-3"
    return Finding("adam", claim, _verdict(verdicts, -1), tuple(numbers))


def _falling(results: Results) -> Finding:
    runs = results.runs[~results.runs.experiment.isin(CONTROLS) & ~results.runs.diverged]
    numbers, fell = [], []
    for arm in ("plain", "L2 penalty", "L2 penalty, decoupled", "L1 penalty"):
        for stage in ("untuned", "tuned"):
            chosen = runs[(runs.arm == arm) & (runs.stage == stage)]
            if len(chosen):
                ratio = (chosen.imbalance_2 / chosen.first_imbalance_2).median()
                less = float((chosen.imbalance_2 < chosen.first_imbalance_2).mean())
                numbers.append(
                    f"{arm}, {stage}: it ends at {ratio:.2f} of its first value, lower in {less:.0%} of runs."
                )
                fell.append(ratio < 0.9)
    verdict = "confirmed" if fell and all(fell) else "mixed" if any(fell) else "not confirmed"
    return Finding("falling", "Imbalance falls while a network learns", verdict, tuple(numbers))


def _prediction(results: Results) -> Finding:
    found = results.predictions
    numbers, sizes = [], {}
    for label, rows in found.groupby("predictor", sort=False):
        within, across = rows.within.median(), rows.across.median()
        sizes[label] = abs(within)
        numbers.append(
            f"{label}: median rank correlation {within:+.2f} along runs, {across:+.2f} across runs at their ends."
        )
    is_best = bool(sizes) and max(sizes, key=sizes.__getitem__) == "imbalance"
    claim = "Imbalance tells the validation loss better than the sum of squares or the gradient norm"
    return Finding("prediction", claim, "confirmed" if is_best else "not confirmed", tuple(numbers))


def _staying(results: Results) -> Finding:
    runs = results.runs[(results.runs.stage == "tuning") & (results.runs.arm == "start p=2") & ~results.runs.diverged]
    numbers, grows = [], []
    for name, title in results.experiments:
        means = runs[(runs.experiment == name) & (name not in CONTROLS)].groupby("rate").imbalance_2.mean()
        if len(means) > 1:
            first, last = means.index[0], means.index[-1]
            text = f"{title}: {means.iloc[0]:.1e} at the rate {first:g}, {means.iloc[-1]:.1e} at {last:g}."
            numbers.append(text)
            grows.append(means.iloc[0] < means.iloc[-1])
    verdict = "confirmed" if grows and all(grows) else "mixed"
    return Finding("staying", "A balanced start is left, the sooner the larger the steps", verdict, tuple(numbers))


def _law(results: Results) -> Finding:
    table = results.conservation
    slopes = [log_slope(rows.step, rows.value) for _, rows in table[table.what == "drift"].groupby("seed")]
    rates = table[table.what == "decay"].value
    numbers = (
        f"drift against step: slopes {min(slopes):.3f} to {max(slopes):.3f}, predicted 1.",
        f"decay with a penalty λ: {rates.min():.4f} to {rates.max():.4f} times the predicted rate 2λ.",
    )
    holds = max(abs(one - 1) for one in slopes) < 0.05 and float((rates - 1).abs().max()) < 0.05
    claim = "Gradient descent keeps in² - out² up to its step, and a penalty removes it at the predicted rate"
    return Finding("law", claim, "confirmed" if holds else "not confirmed", numbers)


def _biases(results: Results) -> Finding:
    changes = results.runs[(results.runs.arm == "weights alone") & (results.runs.stage != "tuning")].bias_change
    every, numbers = [], []
    if len(changes):
        middle = f"median {changes.median():.0%}"
        numbers.append(f"outputs change by {changes.min():.0%} to {changes.max():.0%} of the largest, {middle}.")
    for stage in ("untuned", "tuned"):
        pairs = results.pairs(LOSSES[stage], ("weights alone",), "start p=2", stage)
        every += pairs
        numbers.append(_sentence(f"against balance that scales biases, {stage}", pairs))
    claim = "Leaving biases unscaled changes how a network learns"
    verdict = "not run" if not every else "confirmed" if any(one.sign for one in every) else "not confirmed"
    return Finding("biases", claim, verdict, tuple(numbers))


def _control(results: Results) -> Finding:
    rows = results.runs[results.runs.experiment.isin(CONTROLS) & (results.runs.stage != "tuning")]
    if rows.empty:
        return Finding("control", "Tanh control: no arm differs", "not run", ())
    by_pair = rows.groupby(["experiment", "stage", "seed"])
    spread = {name: float((by_pair[name].max() - by_pair[name].min()).max()) for name in ("test_loss", _ACCURACY)}
    pairs = [one for found in results.comparisons.values() for one in found if one.experiment in CONTROLS]
    real = sum(one.sign != 0 for one in pairs)
    numbers = (
        f"largest difference between arms with equal seed and rate: {spread['test_loss']:.2g} in test loss, "
        f"{spread[_ACCURACY]:.2g} in accuracy; {real} of {len(pairs)} comparisons told apart.",
    )
    claim = "Tanh control: with nothing to balance, no arm differs from another"
    return Finding("control", claim, "confirmed" if real == 0 else "not confirmed", numbers)


def _kept(results: Results) -> Finding:
    runs = results.runs
    change, left = float(runs.function_change.max()), float(runs.imbalance_left.max())
    numbers = (
        f"largest relative change of outputs by any scaling: {change:.1e}.",
        f"largest imbalance of any unit after a full balancing, in single precision: {left:.1e}.",
    )
    claim = "Every balancing kept the function, and every full one reached balance"
    return Finding("kept", claim, "confirmed" if change < 1e-4 and left < 1e-6 else "not confirmed", numbers)


def _time(results: Results) -> Finding:
    runs = results.runs[results.runs.stage != "tuning"]
    numbers = []
    for name in ("digits", "mnist-256"):
        for arm in ("start p=2", "sweep each epoch", "full each epoch", "full each step", "equi-normalization"):
            chosen = runs[(runs.arm == arm) & (runs.experiment == name)]
            if len(chosen):
                share = (chosen.balancing_seconds / (chosen.seconds - chosen.balancing_seconds)).median()
                what = f"{TITLES[name]}, {arm}: balancing takes"
                numbers.append(f"{what} {share:.2f} times the time of the training steps.")
    cheap = runs[runs.arm == "sweep each epoch"]
    share = float((cheap.balancing_seconds / cheap.seconds).median()) if len(cheap) else 1.0
    claim = "A sweep each epoch costs less than a tenth of the time of training"
    return Finding("time", claim, "confirmed" if share < 0.1 else "not confirmed", tuple(numbers))


_QUESTIONS: tuple[Callable[[Results], Finding], ...] = (
    *(_untuned_start, _speed_at_start, _any_change_of_scales, _alternation, _accuracy, _disturbed_untuned),
    *(functools.partial(_disturbed, arm=arm) for arm in _FACTORS),
    *(_adam, _falling, _prediction, _staying, _law, _biases, _control, _kept, _time),
)
