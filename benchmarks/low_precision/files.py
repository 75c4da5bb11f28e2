"""Trained ONNX files, those of rapidocr-onnxruntime: weights rounded, as they are and after balancing."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from balance_graph.onnx import apply, balance_model, read_model
from balance_graph.onnx.evaluation import run
from low_precision.configuration import BALANCED, FILES, NONE, ROUNDINGS, STATES, Job, Rounding
from low_precision.rounding import rounded
from low_precision.text_images import Pictures, pictures

# The axis of the output channels; that of a product of matrices is the last.
_AXES = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
# At the end of a model; numbers are those before, decisions those after.
_SATURATING = ("Sigmoid", "Softmax", "Identity")
# A pixel is text from this probability on, by the settings that come with the file.
_TEXT = 0.3


def round_file(job: Job) -> list[dict[str, Any]]:
    """A row for each state of the scales and each power."""
    model = onnx.load(path_of(job.name))
    shown = pictures(job.name, job.seed)
    found, reference = read_model(model, [shown.x[:1]]), _Outputs(model, shown)
    rows = []
    for state, spread in STATES.items():
        scales = spread * np.random.default_rng(job.seed).standard_normal(found.structure.size)
        start = apply(found, scales)
        for arm in (NONE, *BALANCED):
            example = {"example_inputs": [shown.x[:1]]}
            changed = start if arm == NONE else balance_model(start, BALANCED[arm], **example).model
            row = {"case": job.name, "seed": job.seed, "state": state, "arm": arm}
            rows.append(row | _measured(reference, changed))
    return rows


@functools.cache
def path_of(name: str) -> Path:
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    [path] = Path(spec.submodule_search_locations[0]).glob(f"models/*{FILES[name]}*.onnx")
    return path


class _Outputs:
    """What a model makes of pictures: numbers (which a softmax or sigmoid at the end reads), and decisions."""

    def __init__(self, model: onnx.ModelProto, shown: Pictures) -> None:
        self._shown, self._last = shown, model.graph.output[0].name
        makers = {name: node for node in model.graph.node for name in node.output}
        self._numbers = self._last
        while makers[self._numbers].op_type in _SATURATING:
            self._numbers = makers[self._numbers].input[0]
        self._characters = next((p.value for p in model.metadata_props if p.key == "character"), "").split("\n")
        self.numbers, self.decisions, self.accuracy = self.of(model)

    def of(self, model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray, float]:
        values, _ = run(model, [self._numbers, self._last], {model.graph.input[0].name: self._shown.x})
        numbers = np.asarray(values[self._numbers], dtype=np.float64)
        last = values[self._last]
        decisions = last > _TEXT if self._shown.labels is None else last.argmax(-1)
        return numbers, decisions, self._accuracy(decisions)

    def _accuracy(self, decisions: np.ndarray) -> float:
        """The part of lines read without an error, or of orientations that are right; nothing for pages."""
        labels = self._shown.labels
        if labels is None:
            return float("nan")
        if isinstance(labels, np.ndarray):
            return float((decisions == labels).mean())
        return float(np.mean([self._read(one) == text for one, text in zip(decisions, labels, strict=True)]))

    def _read(self, steps: np.ndarray) -> str:
        """Repetitions count once, 0 is nothing, and a blank comes after all characters."""
        kept = [k for k, before in zip(steps, [0, *steps[:-1]], strict=True) if k and k != before]
        return "".join([*self._characters, " "][k - 1] for k in kept).strip()


def _measured(reference: _Outputs, model: onnx.ModelProto) -> dict[str, float]:
    plain, _, accuracy = reference.of(model)
    change = np.abs(plain - reference.numbers).max() / np.abs(reference.numbers).max()
    row = {"accuracy": accuracy, "change": float(change)}
    for rounding in ROUNDINGS:
        numbers, decisions, accuracy = reference.of(rounded_model(model, rounding))
        noise = np.square(numbers - reference.numbers).sum()
        row[f"snr_{rounding.key}"] = float(10 * np.log10(np.square(reference.numbers).sum() / noise))
        row[f"flips_{rounding.key}"] = float((decisions != reference.decisions).mean())
        row[f"accuracy_{rounding.key}"] = accuracy
    return row


def rounded_model(model: onnx.ModelProto, rounding: Rounding) -> onnx.ModelProto:
    """A copy whose constant weights of convolutions and products of matrices are rounded."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    for tensor, axis in _weights(copied):
        values = numpy_helper.to_array(tensor)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(rounded(values, rounding, axis % values.ndim), name))
    return copied


def _weights(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, int]]:
    """Each once; transposed ones of Gemm have their output channels first."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    for node in model.graph.node:
        if node.op_type in _AXES and node.input[1] in tensors:
            transposed = any(one.name == "transB" and one.i for one in node.attribute)
            yield tensors.pop(node.input[1]), 0 if transposed else _AXES[node.op_type]
