"""Hypothesis: real trained ONNX files are read without an unknown operation, balanced in seconds, their function kept.

For each file: free scales, cost and relative imbalance before and after, certified gap, change of the outputs as the
report measures it, and as ONNX Runtime with all its optimizations has it on a larger input drawn here; processor times
after a first run. Run:
``pip download --no-deps rapidocr-onnxruntime==1.4.4``, unzip the wheel, and
``python benchmarks/onnx_files.py FILE.onnx ...`` (needs the extra onnx).

``--exports`` reads the architectures of ``tests/architectures.py`` instead, as `torch.onnx.export` writes them, and
compares their free scales with those of the modules (needs torch and onnxscript as well).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime

from balance_graph.onnx import apply, balance_model, read_model
from balance_graph.onnx.evaluation import compared, relative_change, run

# Height and width of the pictures that outputs are compared on; those of sentences must be 48 high.
PICTURE = {"rec": (48, 320), "cls": (48, 192)}


def outputs_of(source: str | bytes, picture: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: picture})


def measure(path: Path) -> None:
    balance_model(path)  # loads what is compiled, which comes once
    start = time.process_time()
    found = read_model(path)
    read = time.process_time() - start
    start = time.process_time()
    report = balance_model(path)
    whole = time.process_time() - start
    size = next((size for name, size in PICTURE.items() if f"_{name}_" in path.name), (320, 320))
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 3, *size)).astype(np.float32)
    before, after = (outputs_of(source, picture) for source in (str(path), report.model.SerializeToString()))
    change = max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    print(f"{path.name}: {found.structure.size} free scales, unknown {dict(found.structure.unknown) or 'none'}")
    print(f"  cost {report.initial_cost:.8g} -> {report.cost:.8g} ({report.cost / report.initial_cost - 1:.2%})")
    print(f"  relative imbalance {report.initial_relative_imbalance:.3g} -> {report.relative_imbalance:.2g}")
    print(f"  certified gap {report.certificate.relative_gap:.2g}, output change {report.output_change:.2g}")
    print(f"  outputs on a picture of {size[0]} x {size[1]}, optimized: at most {change:.2g} apart")
    print(f"  reading {read:.2f} s, all of it {whole:.2f} s")


def exports() -> None:
    import torch

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from model_checks import randomized
    from test_models_architectures import MODELS

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for name, (build, inputs, count) in MODELS.items():
        program = torch.onnx.export(randomized(build()), inputs, dynamo=True, verbose=False)
        model, examples = program.model_proto, [x.numpy() for x in inputs]
        found = read_model(model, examples)
        scales = 0.5 * np.random.default_rng(0).standard_normal(found.structure.size)
        values, _ = run(apply(found, scales), list(found.outputs), found.inputs)
        change = relative_change(compared(list(found.outputs.values())), compared(list(values.values())))
        balanced = balance_model(model, example_inputs=examples)
        print(
            f"{name:14s} {count:4d} scales in PyTorch, {found.structure.size:4d} in ONNX; random scales change outputs "
            f"by {change:.1e}, balancing by {balanced.output_change:.1e}; imbalance {balanced.relative_imbalance:.1e}; "
            f"unknown {dict(found.structure.unknown) or 'none'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--exports", action="store_true")
    arguments = parser.parse_args()
    for path in arguments.files:
        measure(path)
    if arguments.exports:
        exports()


if __name__ == "__main__":
    main()
