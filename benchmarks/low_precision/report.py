"""The page and its pictures, from the tables alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results import read_json, write_bytes, write_text

from low_precision.answer import answer
from low_precision.configuration import BALANCED, NONE, ROUNDINGS, STATES
from low_precision.findings import KEPT, Gain, Results, findings
from low_precision.limits import limits

_HEAD = """# Balance and quantization

<!-- Written by benchmarks/quantization.py draw from the tables in benchmarks/results/quantization; edits by hand are
lost. -->

Balancing changes the sizes of weights and not what a model computes. Rounding weights to few bits does not care what a
model computes, only how large weights are beside each other. So does balancing help there? This page measures it on
{networks} kinds of networks trained on real data, {seeds} seeds each, and on {files} trained ONNX files; and it puts
balancing beside the tools that are made for this purpose. Every number, verdict and picture is computed from the tables
of results. What does not help is printed as large as what does.

## Does it help quantization?

{answer}

### What does not help

{limits}

## Hypotheses and verdicts

These were written down before anything was measured for this page, after a first look at how a few models gain, as
trained and disturbed. "Every case" is every network, in the mean over seeds, and every file.

"""

_PICTURES = {
    "gains.png": "Eight bits: what is gained over rounding the model as it is, mean over seeds and 95 % interval. As "
    "trained, the axis is linear within 2 dB; disturbed, it ends at 60 dB.",
    "accuracy.png": "Test accuracy after rounding: every network (faint) and the mean over networks. The line is that "
    "of the models in floating point.",
    "peers.png": "Architectures with random weights, batch norms folded, scales disturbed.",
}

_CASES = """
## Case by case

Signal-to-noise ratio of the model rounded as it is, with its standard deviation over seeds; then what is gained over
it, with the 95 % interval of the mean of paired differences. Bold: the interval excludes zero. There are {count} of
them below, and one in twenty excludes zero by chance.
"""

_PEERS = """
## Beside the peers

Brevitas and PyTorch equalize *ranges* of neighboring layers; balancing minimizes a sum of powers. These are different
things, and the cost over the optimum is the view of one side. "Bits lost" is closer to the view of the other:
the mean over all input and output channels of the binary logarithm of the largest weight of the tensor over that of the
channel. All methods start from the same model in double precision, with batch norms folded by PyTorch. The weights are
random, with statistics of batch norms from random images, at half the usual width: nothing here was trained.

Scales are disturbed but in one column. *Channels scaled* are counted from outside, the same for all: outputs of
convolutions, linear layers and layer norms that came out multiplied by a factor other than 1. *Change* is that of the
outputs of the model, relative to the largest; where it is more than rounding, outputs that nothing may scale are among
the channels, and costs, of another function, are not shown. *Squares* are multiples of the lower bound that the
certificate for p = 2 gives; the *8-norm* is the eighth root of such a multiple for p = 8. *Seconds* are those of the
processor, with everything that a call does: balancing reads the model and certifies the result.

PyTorch's `cross_layer_equalization` (`torch.ao.quantization`, still there in {torch}) takes pairs of layers that one
names by hand. The finder that names them here is ours: it follows what a layer makes through ReLU, pooling, dropout and
flattening, as modules and as functions, to the only layer that reads it. The networks here flatten by a function, since
Brevitas does not look past the module for it.

![{caption}](_static/quantization/peers.png)

{caption}
"""

_TAIL = """
## Protocol

**Models.** {trainings}. Trained by AdamW with its default decay, the learning rate
falling from 3e-3 to 0; hidden units are ReLU. Perceptrons have three hidden layers, convolutional networks four
convolutions and a mean over positions, transformers two encoder blocks on 16 patches. Batch norms are folded into the
convolutions before them, or kept. The trained files are those of rapidocr-onnxruntime 1.4.4, on text that is drawn by
Pillow: detection of text on pages, orientation and recognition of lines.

**Disturbed** models have a random log-scale, normal with standard deviation 1, on every scale that is free. They
compute the same: outputs moved by {moved:.0e} of the largest at most, balanced or not.

**Rounding.** Weights of linear layers, convolutions and products of matrices go to the nearest integer times a step
size, symmetric about zero, and the largest weight of the tensor or of the output channel is on the grid. Biases, norms,
positions and activations stay in floating point. Nothing is calibrated, clipped or trained again, as better
quantizers do.

**Measured** on the test set: the signal-to-noise ratio of the outputs, 20 log10 of the norm of the outputs in floating
point over that of the difference, before a softmax or sigmoid; accuracy; and how many predictions flip.
Seeds change weights, order and split of the data, and scales; for the files, scales and text. Intervals come from the
studentized bootstrap over seeds. Means over networks leave files out, which peers cannot read.

**Arms.** Balancing with the sum of $|w|^p$ of all parameters, p = {powers}. Brevitas {brevitas}: its
`preprocess_for_quantize` with 20 sweeps, but neither batch norms merged nor ReLU6 replaced. PyTorch: 20 sweeps over the
pairs.{left_out}

## Run it

```bash
pip install "balance-graph[experiments,onnx]"
pip install --no-deps brevitas==0.13.4 rapidocr-onnxruntime==1.4.4
pip install dependencies==2.0.1 unfoldNd
python benchmarks/quantization.py run          # ten minutes on two quiet cores
python benchmarks/quantization.py run --quick  # under a minute, to see that all works
python benchmarks/quantization.py draw         # this page and its pictures
```

What is finished is never repeated, also after an interruption. Tables: `model.csv`, `file.csv`, `peers.csv`; versions
and machine: `about.json` ({machine}, Python {python}).
"""


def draw_report(folder: Path, docs: Path) -> None:
    """Write the page and its pictures."""
    results = Results(folder)
    for name, content in pictures(results).items():
        write_bytes(docs / "_static" / "quantization" / name, content)
    write_text(docs / "quantization.md", page(results, read_json(folder / "about.json")))


def pictures(results: Results) -> dict[str, bytes]:
    """Every picture by its file name."""
    from low_precision import figures  # matplotlib is not needed for the text

    return {name: figures.png(getattr(figures, name.removesuffix(".png"))(results)) for name in _PICTURES}


def page(results: Results, about: dict[str, Any]) -> str:
    """The whole page."""
    seeds = results.models.groupby("case").seed.nunique()
    files = len(results.cases) - len(results.networks)
    head = _HEAD.format(
        networks=len(results.networks), seeds=_range(seeds), files=files, answer=answer(results), limits=limits(results)
    )
    parts = [head, _verdicts(results), _means(results), _shown("gains.png"), _shown("accuracy.png")]
    return "".join([*parts, _cases(results), _files(results), _peers(results, about), _tail(results, about)])


def _range(values: pd.Series) -> str:
    return " to ".join(str(value) for value in sorted({int(values.min()), int(values.max())}))


def _verdicts(results: Results) -> str:
    words = {True: "**holds**", False: "**does not hold**", None: "not measured"}
    return _table(
        ("expected", "", "measured"), ((one.text, words[one.holds], one.numbers) for one in findings(results))
    )


def _means(results: Results) -> str:
    heads = ("", *(_title(arm) for arm in results.arms))
    parts = ["\n## Means over networks\n"]
    for measure, words, scale, form in (
        ("snr", "Signal-to-noise ratio, dB:", 1, ".1f"),
        ("accuracy", "Test accuracy, %:", 100, ".1f"),
        ("flips", "Predictions that flip, %:", 100, ".1f"),
    ):
        rows = [
            (
                f"{rounding.title}, {_state(state)}",
                *(f"{scale * results.mean(state, rounding.key, arm, measure):{form}}" for arm in results.arms),
            )
            for state in STATES
            for rounding in ROUNDINGS
        ]
        parts.append(f"\n{words}\n{_table(heads, rows)}")
    plain = results.models[results.models.arm == NONE].groupby("case").accuracy.mean().mean()
    return "".join([*parts, f"\nIn floating point the test accuracy is {100 * plain:.1f} %.\n"])


def _state(state: str) -> str:
    return {"healthy": "as trained", "disturbed": "scales disturbed"}[state]


def _title(arm: str) -> str:
    return {NONE: "nothing done"}.get(arm, arm)


def _shown(name: str) -> str:
    return f"\n![{_PICTURES[name]}](_static/quantization/{name})\n\n{_PICTURES[name]}\n"


def _cases(results: Results) -> str:
    arms = [arm for arm in results.arms if arm != NONE]
    count = len(results.networks) * len(arms) * len(STATES) * len(ROUNDINGS)
    parts = [_CASES.format(count=count)]
    for rounding in ROUNDINGS:
        for state in STATES:
            columns = [results.gains(state, rounding.key, arm) for arm in (NONE, *arms)]
            rows = [
                (plain.case, f"{plain.mean:.1f} ± {plain.spread:.1f}", *map(_cell, gained))
                for plain, *gained in zip(*columns, strict=False)  # files come last, and not in all columns
                if plain.case in results.networks
            ]
            heads = ("", "nothing done, dB", *arms)
            parts.append(f"\n### {rounding.title}, {_state(state)}\n{_table(heads, rows)}")
    return "".join(parts)


def _cell(one: Gain) -> str:
    text = f"{one.difference:+.1f} [{one.low:+.1f}, {one.high:+.1f}]"
    return f"**{text}**" if one.sign else text


def _files(results: Results) -> str:
    if not len(results.files):
        return "\n## Trained ONNX files\n\nNot measured: their package was not installed.\n"
    parts = [
        "\n## Trained ONNX files\n\nSignal-to-noise ratio in dB, then decisions that are right, in %: lines read "
        "without an error, orientations. For pages, where what is right is not known, the pixels that change sides.\n"
    ]
    for rounding in ROUNDINGS:
        rows = [
            (f"{case}, {_state(state)}", *(_file_cell(rows, rounding.key) for _, rows in _by_arm(group)))
            for (case, state), group in results.files.groupby(["case", "state"], sort=False)
        ]
        parts.append(f"\n### Files, {rounding.title}\n{_table(('', *map(_title, (NONE, *BALANCED))), rows)}")
    return "".join(parts)


def _by_arm(group: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(arm, group[group.arm == arm]) for arm in (NONE, *BALANCED)]


def _file_cell(rows: pd.DataFrame, rounding: str) -> str:
    ratios, right = rows[f"snr_{rounding}"], rows[f"accuracy_{rounding}"].mean()
    decisions = f"{100 * rows[f'flips_{rounding}'].mean():.1f} flip" if np.isnan(right) else f"{100 * right:.0f}"
    return f"{ratios.mean():.1f} ± {ratios.std():.1f}; {decisions}"


def _peers(results: Results, about: dict[str, Any]) -> str:
    heads = ("", "channels scaled", "squares, undisturbed", "squares", "8-norm", "bits lost", "change", "seconds")
    parts = [_PEERS.format(caption=_PICTURES["peers.png"], torch=about["packages"]["torch"].split("+")[0])]
    for architecture, group in results.peers.groupby("architecture", sort=False):
        before = group[group.state == "healthy"].set_index("arm")
        rows = [
            (
                _title(row.arm),
                f"{row.scaled} of {row.channels}",
                _cost(before.loc[row.arm], before.loc[row.arm].cost_2),
                _cost(row, row.cost_2),
                _cost(row, row.cost_8 ** (1 / 8)),
                f"{row.bits_lost:.2f}",
                "none" if row.change < KEPT else f"**{row.change:.1g}**",
                "" if row.arm == NONE else f"{row.seconds:.2g}",
            )
            for row in group[group.state == "disturbed"].itertuples()
        ]
        parts.append(f"\n### {architecture}\n{_table(heads, rows)}")
    return "".join(parts)


def _cost(row: Any, cost: float) -> str:
    """Nothing where it is that of another function."""
    return f"{cost:.4g}" if row.change < KEPT else "–"


def _tail(results: Results, about: dict[str, Any]) -> str:
    seeds = results.models.groupby("case").seed.nunique()
    trainings = ", ".join(f"{case} ({count} seeds)" for case, count in seeds[results.networks].items())
    left_out = "".join(f" Left out, for want of a package: {what}." for what in about["left out"])
    return _TAIL.format(
        trainings=trainings,
        moved=results.all[results.all.arm.isin([NONE, *BALANCED])].change.max(),
        powers=", ".join(f"{p:g}" for p in BALANCED.values()),
        brevitas=about["packages"]["brevitas"],
        left_out=left_out,
        machine=about["machine"],
        python=about["python"],
    )


def _table(heads: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    heads = tuple(heads)
    return "\n".join(["", _line(heads), _line("---" for _ in heads), *map(_line, rows), ""])


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
