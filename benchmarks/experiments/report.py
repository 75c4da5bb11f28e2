"""The page and its pictures, from the tables alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from results import read_json, write_bytes, write_text

from experiments.arms import DESCRIPTIONS
from experiments.comparisons import LEVEL, LOSSES, MEASURES, Comparison
from experiments.findings import CONTROL, Finding, Results, all_findings
from experiments.practice import practice
from experiments.profiles import PROFILES

_MEASURE_TITLES = {
    "mean_training_loss": "mean training loss, log ratio",
    "test_loss": "test loss, log ratio",
    "test_accuracy": "test accuracy, difference",
    "sharpness": "sharpness at the end, log ratio",
}
_ALONG = ("mnist-600", "untuned"), ("mnist-600", "tuned")
_AT_RATES = ("digits", "digits-adamw", "digits-100", "mnist-600")

_HEAD = """# Balance and learning

<!-- Written by benchmarks/learning.py draw from the tables in benchmarks/results/learning; edits by hand are lost. -->

The abstract of the [theory](#baldi2024) ends with a claim about learning: that balancing before learning, or in
alternation with gradient descent, can improve speed and final performance, and that imbalance measures progress. This
page tests that on data that ship with packages, against baselines whose learning rates are tuned, and at a fixed rate
as well. Every number, verdict and picture is computed from the tables of runs.

:::{{note}}
These are the results of the profile `{profile}`: {runs} runs, {seeds} seeds an arm, of small networks.{others}
:::
"""

_FULL_NOT_RUN = """ Runs are short. The profile
`full` has {runs} runs in {experiments} experiments, among them the networks of the paper with one to four hidden layers
on 3 500 images of MNIST, with more epochs and ten seeds. It has not been run for this page, and nothing here speaks of
it."""

_PROTOCOL = """
## Protocol

**Speed** at equal rates is the mean of the training loss over all epochs, lower being faster; with tuned rates it is
the test loss that is reached in a fixed number of epochs. (Rates are chosen by the validation loss at the end. Where
that is flat the choice is chance, and the loss on the way would compare choices of the rate, not arms.) **Performance**
is the test accuracy after the last epoch. Arms with equal seeds share first weights, order of batches and split of the
data.

**Two readings.** *Tuned*: every arm chooses its learning rate, and its penalty where it has one, by the validation loss
after the last epoch, among {trials} trials, as many for each arm, on one or two seeds that are not compared. *Untuned*:
all arms at the rate 1e-3 and the penalty 1e-3.

**Statistics.** Differences are paired by seed. Intervals (95 %) come from the studentized bootstrap over seeds with
20 000 resamples, p from the paired t-test, corrected by Holm's method for all comparisons of a measure on this page
({comparisons} of accuracies). "Told apart" means that the corrected p is below {level}, the interval excludes zero, and
the difference is at least 1 % of a loss or half a point of accuracy. With five to eight seeds, small effects stay
unseen.

**Balancing** is that of [`ModuleBalancer`](models.md), with the optimizer's state transported. After each act outputs
on 64 validation images are compared with those before, and a run stops with an error if they moved by 1e-4 of the
largest. Wall times count balancing.

**Measured each epoch**: training loss, validation loss and accuracy, test accuracy, imbalance for p = 1 and 2 (the mean
over units of the relative imbalance), sum of squares, sharpness (the largest eigenvalue of the Hessian of the training
loss on 256 images, by power iteration on Hessian-vector products) and the norm of its gradient, all in evaluation mode.
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
python benchmarks/learning.py run --profile short     # what this page shows
python benchmarks/learning.py run --profile full      # {full} runs
python benchmarks/learning.py draw                    # this page and its pictures
python benchmarks/learning.py compare --results DIR   # do other results show the same?
```

Finished runs are never repeated, also after an interruption; what is finished is kept run by run. `runs.csv` has a row
for each run, `epochs.csv.gz` one for each epoch of those that are compared, `about.json` versions and machines:
{machines}.
"""


def draw_report(folder: Path, docs: Path) -> None:
    """Write the page and its pictures."""
    results = Results(folder)
    for name, content in pictures(results).items():
        write_bytes(docs / "_static" / "learning" / name, content)
    write_text(docs / "learning.md", page(results, read_json(folder / "about.json")))


def pictures(results: Results) -> dict[str, bytes]:
    """Every picture by its file name."""
    from experiments import figures  # matplotlib is not needed for the text

    shown = [(name, title) for name, title in results.experiments if name != CONTROL]
    found = {
        "rates.png": figures.rates(results.runs, [one for one in shown if one[0] in _AT_RATES]),
        "staying.png": figures.staying(results.runs, shown[:7]),
        "prediction.png": figures.prediction(results.predictions),
        "conservation.png": figures.conservation(results.conservation),
        "effects.png": figures.effects(results.comparisons, "digits", _MEASURE_TITLES),
    }
    for experiment, stage in _ALONG:
        found[f"along-{stage}.png"] = figures.along(results.runs, results.epochs, experiment, stage)
    return {name: figures.png(figure) for name, figure in found.items()}


def page(results: Results, about: list[dict[str, Any]]) -> str:
    """The whole page."""
    findings = all_findings(results)
    compared = results.runs[results.runs.stage != "tuning"]
    seeds = compared.groupby("experiment").seed.nunique()
    profile, full = _profile(results), PROFILES["full"]
    count = sum(len(one.tuning()) + 2 * one.seeds * len(one.arms) for one in full)
    head = _HEAD.format(
        profile=profile,
        runs=len(results.runs),
        seeds=f"{seeds.min()} to {seeds.max()}",
        others="" if profile == "full" else _FULL_NOT_RUN.format(runs=count, experiments=len(full)),
    )
    tuning = results.runs[results.runs.stage == "tuning"]
    trials = len(tuning[(tuning.arm == "plain") & (tuning.experiment == tuning.experiment.iloc[0])].rate.unique())
    comparisons = len(results.comparisons["test_accuracy"])
    protocol = _PROTOCOL.format(trials=trials, comparisons=comparisons, level=LEVEL)
    machines = "; ".join(
        f"{one['machine']}, Python {one['python']}, PyTorch {one['packages']['torch']}" for one in about
    )
    tail = _TAIL.format(full=count, machines=machines)
    parts = [
        head,
        _practice(results, findings),
        _verdicts(findings),
        _answers(findings),
        protocol,
        _experiments(results),
    ]
    return "".join([*parts, _arms(), _tables(results), tail])


def _profile(results: Results) -> str:
    """The one with these experiments, of this length."""
    found = dict(results.runs.groupby("experiment").epochs.first())
    return next(
        (name for name, profile in PROFILES.items() if {one.name: one.epochs for one in profile} == found), "a part"
    )


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
        compared = runs[runs.stage != "tuning"]
        first = runs.iloc[0]
        rows.append(
            (
                title,
                first.network,
                first.optimizer,
                first.epochs,
                first.batch,
                compared.seed.nunique(),
                runs.arm.nunique(),
            )
        )
    heads = ("experiment", "network", "optimizer", "epochs", "batch", "seeds", "arms")
    return "\n## Experiments\n" + _table(heads, rows)


def _arms() -> str:
    return "\n## Arms\n" + _table(("arm", ""), DESCRIPTIONS.items())


def _tables(results: Results) -> str:
    parts = ["\n## Training runs\n"]
    for experiment, stage in _ALONG:
        caption = f"{dict(results.experiments).get(experiment, experiment)}, {stage}, means over seeds."
        parts.append(f"\n![{caption}](_static/learning/along-{stage}.png)\n\n{caption}\n")
    parts.append("\n## All comparisons\n\n")
    parts.append(
        "The arm against its reference: ratios of mean training losses (untuned) or test losses (tuned), differences "
        "of test accuracies in points; in brackets the 95 % interval, then the effect size (mean over standard "
        "deviation of paired differences). Bold: told apart. The last column is the rate that the arm was tuned to.\n"
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
    text += f" {one.effect:+.1f}"
    return f"**{text}**" if one.sign else text


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    heads = tuple(heads)
    lines = ["", _line(heads), _line("---" for _ in heads), *map(_line, rows), ""]
    return "\n".join(lines)


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def different_effects(one: Path, two: Path) -> list[str]:
    """Effects that the first folder tells from zero and that have another sign in the second, where both have them."""
    results, others = Results(one), Results(two)
    found = []
    for measure in (*LOSSES.values(), "test_accuracy"):
        signs = {
            (c.experiment, c.stage, c.arm, c.reference): np.sign(c.difference) for c in others.comparisons[measure]
        }
        for c in results.comparisons[measure]:
            place = (c.experiment, c.stage, c.arm, c.reference)
            if c.sign and place in signs and signs[place] != c.sign:
                found.append(f"{measure}: {', '.join(place)}")
    return found
