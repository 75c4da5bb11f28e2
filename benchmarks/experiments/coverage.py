"""What the page shows: which experiments of which profile, and which it does not."""

from __future__ import annotations

from experiments.findings import Results
from experiments.profiles import PROFILES

_COMPARED = ("short", "full")


def note(results: Results) -> str:
    """Which experiments are complete, and of which nothing is said."""
    shown: dict[str, list[str]] = {name: [] for name in _COMPARED}
    for name, title in results.experiments:
        shown.setdefault(profile(results, name), []).append(title)
    missing = [one.title for one in PROFILES["full"] if one.title not in shown["full"]]
    lines = [f"{len(results.runs)} runs in {len(results.experiments)} experiments, {seeds(results)} seeds an arm.", ""]
    complete = "; ".join(shown["full"]) or "none"
    lines.append(f"- Complete of the {len(PROFILES['full'])} experiments of the profile `full`: {complete}.")
    if shown["short"]:
        lines.append(f"- Of the profile `short`, with fewer epochs: {'; '.join(shown['short'])}.")
    if missing:
        lines.append(f"- Not run yet at the length of `full`, so that nothing here speaks of it: {'; '.join(missing)}.")
    return "\n".join(lines)


def profile(results: Results, experiment: str) -> str:
    """The profile that has this experiment at this length."""
    epochs = results.runs[results.runs.experiment == experiment].epochs.iloc[0]
    plans = ((name, one) for name in _COMPARED for one in PROFILES[name])
    return next((name for name, one in plans if (one.name, one.epochs) == (experiment, epochs)), "another")


def seeds(results: Results) -> str:
    counts = results.runs[results.runs.stage != "tuning"].groupby("experiment").seed.nunique()
    return str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def size(profile_name: str) -> int:
    """Runs of a profile."""
    return sum(len(one.tuning()) + 2 * one.seeds * len(one.arms) for one in PROFILES[profile_name])


def edges(results: Results) -> str:
    """How many arms without a penalty chose a rate at an end of what they tried, and might want one beyond."""
    runs = results.runs[results.runs.penalty == 0]
    tried = runs[runs.stage == "tuning"].groupby(["experiment", "arm"]).rate.agg(["min", "max"])
    chosen = runs[runs.stage == "tuned"].groupby(["experiment", "arm"]).rate.first()
    at_an_end = (chosen == tried["min"]) | (chosen == tried["max"])
    return f"{int(at_an_end.sum())} of {len(chosen)} arms without a penalty chose a rate at an end of what they tried"
