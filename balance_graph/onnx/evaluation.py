"""What a model computes: by ONNX Runtime, or by the reference evaluator where the runtime has no kernels."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from balance_graph.errors import UnsupportedError
from balance_graph.onnx.files import LARGEST, save, size_of
from balance_graph.onnx.graph import EPSILON

RUNTIME, REFERENCE = "ONNX Runtime", "reference evaluator"
Values = dict[str, Any]


def run(model: onnx.ModelProto, names: Sequence[str], feeds: Mapping[str, Any]) -> tuple[Values, str]:
    """Values of tensors, inner ones too, by name; and what computed them.

    Raises
    ------
    UnsupportedError
        If neither can run the model on these inputs.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = {output.name: output for output in model.graph.output}
    del probe.graph.output[:]
    probe.graph.output.extend(outputs.get(name, onnx.ValueInfoProto(name=name)) for name in names)
    try:
        return dict(zip(names, _by_runtime(probe, feeds), strict=True)), RUNTIME
    except Exception as error:  # the runtime's errors have no common class; types without kernels are frequent
        first = error
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return dict(zip(names, ReferenceEvaluator(probe).run(None, dict(feeds)), strict=True)), REFERENCE
    except Exception as error:
        message = (
            f"the model does not run on these inputs: {RUNTIME}: {_line(first)}; {REFERENCE}: {_line(error)}; "
            "give inputs that it takes with example_inputs="
        )
        raise UnsupportedError(message) from first


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _by_runtime(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    if size_of(model) <= LARGEST:
        return _session(model.SerializeToString(), options, feeds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save(model, path, is_external=True)
        return _session(str(path), options, feeds)


def _session(source: bytes | str, options: Any, feeds: Mapping[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def compared(outputs: Sequence[Any]) -> list[Any]:
    """The floating-point outputs; where there are none, all numbers."""
    arrays = [np.asarray(value) for value in outputs if isinstance(value, np.ndarray | np.generic)]
    floating = [array for array in arrays if array.dtype.kind in "fcV"]
    wide = floating or [array for array in arrays if array.dtype.kind in "iub"]
    return [array if array.dtype.kind == "c" else array.astype(np.float64) for array in wide]


def relative_change(before: Sequence[Any], after: Sequence[Any]) -> float:
    """The largest change of an output, relative to the largest number of the same output before."""
    return max((_change(one, two) for one, two in zip(before, after, strict=True)), default=0.0)


def _change(before: Any, after: Any) -> float:
    finite = np.isfinite(before)
    alike = np.array_equal(before[~finite], after[~finite], equal_nan=True) if before.shape == after.shape else False
    if not alike or not np.array_equal(finite, np.isfinite(after)):
        return math.inf
    difference = float(np.abs(after - before)[finite].max(initial=0.0))
    size = float(np.abs(before[finite]).max(initial=0.0))
    return 0.0 if difference == 0.0 else difference / size if size else math.inf


def tolerance_of(types: Sequence[int]) -> float:
    """What rounding can do: half of the digits of the coarsest of these types of elements."""
    return math.sqrt(max((EPSILON[one] for one in types if one in EPSILON), default=2.0**-23))
