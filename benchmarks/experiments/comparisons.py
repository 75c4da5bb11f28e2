"""Pairs of runs with equal seeds: differences, how large, how sure, corrected for their number."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from experiments.arms import references

# Measures that are compared, and whether by the logarithm: losses and sharpness differ by factors.
MEASURES = {"mean_training_loss": True, "test_loss": True, "test_accuracy": False, "sharpness": True}
# How fast the training loss falls is compared at equal rates alone: rates that were chosen by the validation loss at
# the end differ by chance where that is flat, and the loss on the way with them.
LOSSES = {"untuned": "mean_training_loss", "tuned": "test_loss"}
# A difference is taken for real if chance makes one as large less often than this, all comparisons of a measure taken
# together, and if the bootstrap agrees about its sign.
LEVEL = 0.05
# And matters from here on: 1 % of a loss or a curvature, half a point of accuracy.
MATTERS = {"mean_training_loss": 0.01, "test_loss": 0.01, "test_accuracy": 0.005, "sharpness": 0.01}
_RESAMPLES = 20_000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """An arm against its reference, seed by seed.

    `difference` is the mean of the differences, of logarithms for losses; `low` and `high` bound it with 95 %
    confidence, by the bootstrap; `effect` is it over the standard deviation of the differences; `p` is that of the
    paired t-test, and `adjusted` after Holm. `lost` pairs have a run that diverged and are left out.
    """

    experiment: str
    stage: str
    measure: str
    arm: str
    reference: str
    pairs: int
    lost: int
    difference: float
    low: float
    high: float
    effect: float
    p: float
    adjusted: float = 1.0

    @property
    def sign(self) -> int:
        """-1 or 1 where the difference is taken for real and matters, else 0."""
        is_sure = self.adjusted < LEVEL and (self.low > 0 or self.high < 0)
        return int(np.sign(self.difference)) if is_sure and abs(self.difference) >= MATTERS[self.measure] else 0


def compared(runs: pd.DataFrame, measure: str) -> list[Comparison]:
    """Every arm against every reference of its, corrected for their number; a loss in the reading that it is for."""
    found = []
    stages = {stage for stage, loss in LOSSES.items() if measure in (loss, *set(MEASURES) - set(LOSSES.values()))}
    for (experiment, stage), group in runs[runs.stage.isin(stages)].groupby(["experiment", "stage"], sort=False):
        by_arm = {arm: rows.set_index("seed")[measure] for arm, rows in group.groupby("arm", sort=False)}
        for arm, values in by_arm.items():
            for reference in references(str(arm)):
                if reference in by_arm:
                    pair = (values, by_arm[reference])
                    found.append(_pair(str(experiment), str(stage), measure, (str(arm), reference), pair))
    adjusted = holm([one.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def _pair(
    experiment: str, stage: str, measure: str, names: tuple[str, str], values: tuple[pd.Series, pd.Series]
) -> Comparison:
    arm, reference = (np.log(one) if MEASURES[measure] else one for one in values)
    differences = arm - reference
    made = differences.dropna().to_numpy(dtype=float)
    return Comparison(experiment, stage, measure, *names, len(made), len(differences) - len(made), **bootstrap(made))


def bootstrap(differences: np.ndarray) -> dict[str, float]:
    """Mean, interval and effect size of paired differences; the two-sided p of their t-test.

    The interval is that of the studentized bootstrap: resampled means are divided by their own standard errors, for
    without this few seeds look surer than they are. Its tails are too coarse for a correction by a hundred comparisons
    where seeds are few, so that p comes from Student's distribution.
    """
    count = len(differences)
    mean = float(differences.mean()) if count else 0.0
    spread = float(differences.std(ddof=1)) if count > 1 else 0.0
    if spread == 0.0:  # one pair, or all differences alike, as where arms do the same
        return {"difference": mean, "low": mean, "high": mean, "effect": 0.0, "p": 1.0}
    error = spread / count**0.5
    deviations = differences - mean
    weights = _weights(count)
    means = weights @ deviations
    errors = np.sqrt(np.maximum(weights @ deviations**2 - means**2, 0.0) / (count - 1))
    varies = errors > 1e-6 * error  # not one seed drawn every time
    ratios = means[varies] / errors[varies]
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(ratios, [1 - tail, tail])
    p = 2 * float(stats.t.sf(abs(mean / error), count - 1))
    bounds = {"low": float(mean - low * error), "high": float(mean - high * error)}
    return {"difference": mean, **bounds, "effect": mean / spread, "p": p}


@functools.cache
def _weights(count: int) -> np.ndarray:
    """How often each of so many seeds is drawn, as a share: a row for each resample."""
    drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    return np.stack([(drawn == k).mean(axis=1) for k in range(count)], axis=1)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the chance that any of them is an accident stays below the level."""
    order = np.argsort(values)
    factors = len(values) - np.arange(len(values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(np.asarray(values, dtype=float)[order] * factors))
    return [float(adjusted[k]) for k in np.argsort(order)]


def rank_correlation(one: Any, two: Any) -> float:
    """Spearman's; not a number where one of the two does not vary."""
    ranks = [pd.Series(np.asarray(values, dtype=float)).rank() for values in (one, two)]
    return float("nan") if any(r.nunique() < 2 for r in ranks) else float(np.corrcoef(*ranks)[0, 1])


def log_slope(one: Any, two: Any) -> float:
    """The slope of the logarithm of the second over that of the first: 1 if they are proportional."""
    return float(np.polyfit(np.log(np.asarray(one)), np.log(np.asarray(two)), 1)[0])


# What may go along with the validation loss: imbalance, and the rivals that need no theory of balance.
PREDICTORS = {"imbalance_2": "imbalance", "cost_2": "sum of squares", "gradient_norm": "gradient norm"}


def predictions(runs: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Rank correlations with the validation loss in plain training: along each run, and across runs at their ends.

    Columns: experiment, stage, predictor, within (the mean over seeds), across, and the number of runs.
    """
    plain = runs[(runs.arm == "plain") & (runs.stage != "tuning") & ~runs.diverged]
    rows = []
    for (experiment, stage), group in plain.groupby(["experiment", "stage"], sort=False):
        of_group = epochs[epochs.key.isin(group.key)]
        for name, label in PREDICTORS.items():
            along = [rank_correlation(run[name], run.validation_loss) for _, run in of_group.groupby("key", sort=False)]
            within = float(np.nanmean(along)) if np.isfinite(along).any() else float("nan")
            across = rank_correlation(group[name], group.validation_loss)
            rows.append((experiment, stage, label, within, across, len(group)))
    return pd.DataFrame(rows, columns=["experiment", "stage", "predictor", "within", "across", "runs"])
