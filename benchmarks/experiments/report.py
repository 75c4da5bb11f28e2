"""The page and its pictures, from the tables alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results import read_json, write_bytes, write_text

from experiments import coverage
from experiments.arms import DESCRIPTIONS
from experiments.comparisons import LEVEL, LOSSES, MEASURES, Comparison
from experiments.findings import CONTROLS, Finding, Results, all_findings
from experiments.practice import practice
from experiments.profiles import PROFILES
from experiments.repeats import section

_MEASURE_TITLES = {
    "mean_training_loss": "mean training loss, log ratio",
    "test_loss": "test loss, log ratio",
    "test_accuracy": "test accuracy, difference",
    "sharpness": "sharpness at the end, log ratio",
}
_ALONG = ("mnist-600-256", "mnist-600", "digits")  # the first that was run is drawn along training
_STAGES = ("untuned", "tuned")
_AT_RATES = ("digits", "digits-adamw", "digits-100", "mnist-600-256")

_HEAD = """# Balance and learning

<!-- Written by benchmarks/learning.py draw from the tables in benchmarks/results/learning; edits by hand are lost. -->

The abstract of the [theory](#baldi2024) ends with a claim about learning: that balancing before learning, or in
alternation with gradient descent, can improve speed and final performance, and that imbalance measures progress. This
page tests that on data that ship with packages, against baselines whose learning rates are tuned, and at a fixed rate
as well. Every number, verdict and picture is computed from the tables of runs.

:::{{note}}
{note}
:::
"""

_PROTOCOL = """
## Protocol

**Speed** at equal rates is the mean of the training loss over all epochs, lower being faster; with tuned rates it is
the test loss that is reached in a fixed number of epochs. (Rates are chosen by the validation loss at the end. Where
that is flat the choice is chance, and the loss on the way would compare choices of the rate, not arms.) **Performance**
is the test accuracy after the last epoch. Arms with equal seeds share first weights, order of batches and split of the
data.

**Two readings.** *Tuned*: every arm chooses its learning rate, and its penalty where it has one, by the validation loss
after the last epoch, among {trials} trials, as many for each arm, on one or two seeds that are not compared
({edges}). *Untuned*: all arms at the rate 1e-3 and the penalty 1e-3.

**Statistics.** Differences are paired by seed. Intervals (95 %) come from the studentized bootstrap over seeds with
20 000 resamples, p from the paired t-test, corrected by Holm's method for all comparisons of a measure on this page
({comparisons} of accuracies), whatever experiment they are of. "Told apart" means that the corrected p is below
{level}, the interval excludes zero, and the difference is at least 1 % of a loss or half a point of accuracy. With
{seeds} seeds, small effects stay unseen. A run that diverged has no loss: {diverged} of {compared} compared runs did,
their pairs are left out, and the tables say how many are left.

**Balancing** is that of [`ModuleBalancer`](models.md), with the optimizer's state transported. After each act outputs
on 64 validation images are compared with those before, and a run stops with an error if they moved by 1e-4 of the
largest. Times are processor times of runs with one thread, so that other work of the machine has no part in them; they
count balancing, and not what is measured.

**Measured each epoch**: training loss, validation loss and accuracy, test accuracy, imbalance for p = 1 and 2 (the mean
over units of the relative imbalance), sum of squares, sharpness (the largest eigenvalue of the Hessian of the training
loss on 128 images, by power iteration on Hessian-vector products) and the norm of its gradient, all in evaluation mode.
"""

_TAIL = """
## In your own loop

`imbalance` measures a model as it trains, and `plots.plot_training` draws the record:

```python
import balance_graph as bg
from balance_graph.pytorch import imbalance

history = []
for epoch in range(epochs):
    loss, accuracy = train_one_epoch(model, optimizer), test(model)  # your own
    measured = imbalance(model, (x[:1],)).as_dict()
    history.append({{"loss": loss, "accuracy": accuracy, **measured}})
bg.plots.plot_training(history, unit="epoch")
```

A frame works as well, and a dict of several runs by name; the pictures of [training runs](#training-runs) are made so.

## Run it

```bash
pip install "balance-graph[experiments]"
python benchmarks/learning.py run --profile short     # {short}
python benchmarks/learning.py run --profile full      # {full}
python benchmarks/learning.py draw                    # this page and its pictures
python benchmarks/learning.py compare --results DIR   # do other results show the same?
```

Finished runs are never repeated, also after an interruption; what is finished is kept run by run, and an experiment
enters the tables once it is complete. With `--first-seed` all seeds are others. `runs.csv` has a row
for each run, `epochs.csv.gz` one for each epoch of those that are compared, `about.json` versions and machines:
{machines}.
"""


def draw_report(folders: Sequence[Path], earlier: Path | None, docs: Path) -> None:
    """Write the page and its pictures."""
    results = Results(*folders)
    for name, content in pictures(results).items():
        write_bytes(docs / "_static" / "learning" / name, content)
    about = [one for folder in folders for one in read_json(folder / "about.json")]
    write_text(docs / "learning.md", page(results, about, Results(earlier) if earlier else None))


def pictures(results: Results) -> dict[str, bytes]:
    """Every picture by its file name."""
    from experiments import figures  # matplotlib is not needed for the text

    shown = [(name, title) for name, title in results.experiments if name not in CONTROLS]
    found = {
        "rates.png": figures.rates(results.runs, [one for one in shown if one[0] in _AT_RATES]),
        "staying.png": figures.staying(results.runs, shown[:7]),
        "prediction.png": figures.prediction(results.predictions),
        "conservation.png": figures.conservation(results.conservation),
        "effects.png": figures.effects(results.comparisons, "digits", _MEASURE_TITLES),
    }
    for stage in _STAGES:
        found[f"along-{stage}.png"] = figures.along(results.runs, results.epochs, _along(results)[0], stage)
    return {name: figures.png(figure) for name, figure in found.items()}


def page(results: Results, about: Sequence[dict[str, Any]], earlier: Results | None) -> str:
    """The whole page; `earlier` is a run with other seeds, which tells what repeats."""
    findings = all_findings(results)
    parts = [
        _HEAD.format(note=coverage.note(results)),
        _practice(results, findings),
        _verdicts(findings),
        _answers(findings),
        _protocol(results),
        _experiments(results),
        _arms(),
        _tables(results),
        section(results, earlier) if earlier else "",
        _tail(about),
    ]
    return "".join(parts)


def _protocol(results: Results) -> str:
    tuning = results.runs[results.runs.stage == "tuning"]
    compared = results.runs[results.runs.stage != "tuning"]
    trials = tuning[tuning.arm == "plain"].groupby("experiment").rate.nunique()
    return _PROTOCOL.format(
        trials=trials.max(),
        edges=coverage.edges(results),
        comparisons=len(results.comparisons["test_accuracy"]),
        level=LEVEL,
        seeds=coverage.seeds(results),
        diverged=int(compared.diverged.sum()),
        compared=len(compared),
    )


def _tail(about: Sequence[dict[str, Any]]) -> str:
    sizes = {name: f"{coverage.size(name)} runs in {len(PROFILES[name])} experiments" for name in ("short", "full")}
    machines = dict.fromkeys(
        f"{one['machine']}, Python {one['python']}, PyTorch {one['packages']['torch']}" for one in about
    )
    return _TAIL.format(**sizes, machines="; ".join(machines))


def _practice(results: Results, findings: list[Finding]) -> str:
    return f"\n## Should I balance while training?\n\n{practice(results, findings)}\n"


def _verdicts(findings: list[Finding]) -> str:
    rows = [(one.claim, f"**{one.verdict}**") for one in findings]
    return "\n## Claims and verdicts\n" + _table(("claim", ""), rows)


_PICTURES = {
    "untuned": ("effects.png", "Digits, SGD: every arm against its reference. Filled: told apart from zero."),
    "start": ("rates.png", "Validation loss after the last epoch at every rate that was tried."),
    "prediction": ("prediction.png", "Rank correlations with the validation loss; a point for each experiment."),
    "staying": ("staying.png", "Imbalance after the last epoch, by rate."),
    "law": ("conservation.png", "Full-batch gradient descent in double precision, networks 4-8-6-3."),
}


def _answers(findings: Iterable[Finding]) -> str:
    parts = ["\n## Answers\n"]
    for one in findings:
        parts.append(f"\n### {one.claim}\n\n**{one.verdict[0].upper()}{one.verdict[1:]}.**\n\n")
        parts += [f"- {line[0].upper()}{line[1:]}\n" for line in one.numbers]
        if one.verdict != "not run":
            parts.append(f"\nLikely reason: {one.reason}\n")
        if one.name in _PICTURES:
            name, caption = _PICTURES[one.name]
            parts.append(f"\n![{caption}](_static/learning/{name})\n\n{caption}\n")
    return "".join(parts)


def _experiments(results: Results) -> str:
    rows = []
    for name, title in results.experiments:
        runs = results.runs[results.runs.experiment == name]
        first, seeds = runs.iloc[0], runs[runs.stage != "tuning"].seed.nunique()
        row = (title, first.network, first.optimizer, first.epochs, first.batch, seeds, runs.arm.nunique())
        rows.append((*row, coverage.profile(results, name)))
    heads = ("experiment", "network", "optimizer", "epochs", "batch", "seeds", "arms", "profile")
    return "\n## Experiments\n" + _table(heads, rows)


def _arms() -> str:
    return "\n## Arms\n" + _table(("arm", ""), DESCRIPTIONS.items())


def _along(results: Results) -> tuple[str, str]:
    """Name and title of the experiment whose runs are drawn."""
    titles = dict(results.experiments)
    name = next((one for one in _ALONG if one in titles), next(iter(titles)))
    return name, titles[name]


def _tables(results: Results) -> str:
    parts = ["\n## Training runs\n"]
    for stage in _STAGES:
        caption = f"{_along(results)[1]}, {stage}, means over seeds."
        parts.append(f"\n![{caption}](_static/learning/along-{stage}.png)\n\n{caption}\n")
    parts.append("\n## All comparisons\n\n")
    parts.append(
        "The arm against its reference: ratios of mean training losses (untuned) or test losses (tuned), differences "
        "of test accuracies in points; in brackets the 95 % interval, then the effect size (mean over standard "
        "deviation of paired differences), and how many pairs are left if some diverged. Bold: told apart. The last "
        "column is the rate that the arm was tuned to.\n"
    )
    for name, title in results.experiments:
        parts.append(f"\n### {title}\n" + _comparison_table(results, name))
    return "".join(parts)


def _comparison_table(results: Results, experiment: str) -> str:
    cells: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for measure in (*LOSSES.values(), "test_accuracy"):
        for one in results.comparisons[measure]:
            if one.experiment == experiment:
                cells.setdefault((one.arm, one.reference), {})[measure, one.stage] = _cell(one)
    columns = [(measure, stage) for stage, loss in LOSSES.items() for measure in (loss, "test_accuracy")]
    heads = ("arm", "reference", "loss, untuned", "accuracy, untuned", "loss, tuned", "accuracy, tuned", "tuned rate")
    rates = results.runs[(results.runs.experiment == experiment) & (results.runs.stage == "tuned")]
    chosen = rates.groupby("arm").rate.first()
    rows = [
        (arm, reference, *(found.get(column, "–") for column in columns), f"{chosen[arm]:g}")
        for (arm, reference), found in cells.items()
    ]
    return _table(heads, rows)


def _cell(one: Comparison) -> str:
    if not one.pairs:
        return "diverged"
    if MEASURES[one.measure]:
        text = f"{np.exp(one.difference):.3g} [{np.exp(one.low):.3g}, {np.exp(one.high):.3g}]"
    else:
        text = f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    text += f" {one.effect:+.1f}" + (f" ({one.pairs} of {one.pairs + one.lost})" if one.lost else "")
    return f"**{text}**" if one.sign else text


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    heads = tuple(heads)
    lines = ["", _line(heads), _line("---" for _ in heads), *map(_line, rows), ""]
    return "\n".join(lines)


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
