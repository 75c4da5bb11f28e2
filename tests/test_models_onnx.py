"""ONNX models: optima, what is no parameter, refusals, types, files, the command line.

Rooms: onnx, models, cli.
"""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "balance-graph[onnx]"')
pytest.importorskip("onnxruntime", reason='needs onnxruntime: pip install "balance-graph[onnx]"')

from helpers import json_paths  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_models import (  # noqa: E402
    change,
    check,
    convs,
    gemms,
    model_of,
    one,
    outputs_of,
    random,
    saved,
    single,
    weights_of,
)

import balance_graph as bg  # noqa: E402
from balance_graph.cli import main  # noqa: E402
from balance_graph.cli.keys import HEAD, KEYS  # noqa: E402
from balance_graph.errors import (  # noqa: E402
    FunctionChangedError,
    InvalidParameterError,
    NetworkFileError,
    UnsupportedError,
)
from balance_graph.models import Tensor, large, registry, rule  # noqa: E402
from balance_graph.onnx import apply, balance_model, evaluation, files, read_model  # noqa: E402

# ---- the optimum ------------------------------------------------------------------------------------------------------


def test_the_optimum_is_that_of_the_unrolled_graph():
    model = gemms(
        ("Relu", "h", "p"),
        ("Gemm", "p D d", "q"),
        ("LeakyRelu", "q", "r", {"alpha": 0.1}),
        D=random(4, 5),
        d=random(5),
        wide=5,
    )
    w = weights_of(model)
    graph = bg.networks.from_layers(
        [w["V"], w["D"], w["W"]], [w["a"], w["d"], w["b"]], ["relu", "leaky_relu(0.1)"], "linear"
    )
    for p in (1.0, 2.0, 3.0):
        report, result = balance_model(model, p), bg.balance(graph, p)
        assert report.cost == pytest.approx(result.cost, rel=1e-12)
        assert report.certificate.relative_gap < 1e-9
    balanced = weights_of(report.model)
    expected = [abs(data["weight"]) for *_, data in result.graph.edges(data=True)]
    found = np.concatenate([np.abs(balanced[name]).ravel() for name in "VaDdWb"])
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-7)


def test_the_optimum_is_that_of_the_module():
    torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')
    from torch import nn

    from balance_graph.pytorch import balance_module

    module = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 3, 1)
    )  # fmt: skip
    module = module.double().eval()
    with torch.no_grad():
        for n, tensor in enumerate([*module.parameters(), module[1].running_mean]):
            tensor.copy_(torch.from_numpy(random(*tensor.shape, seed=n)))
    weights = {
        name.replace(".", "_"): tensor.numpy().copy() for name, tensor in module.state_dict().items() if tensor.ndim
    }
    nodes = [
        ("Conv", "x 0_weight 0_bias", "h"),
        ("BatchNormalization", "h 1_weight 1_bias 1_running_mean 1_running_var", "n"),
        ("Relu", "n", "r"), ("Conv", "r 3_weight 3_bias", "s", {"group": 4}), ("Relu", "s", "t"), ("Conv", "t 5_weight 5_bias", "y"),
    ]  # fmt: skip
    report = balance_model(model_of(nodes, weights, [1, 2, 7, 7]))
    expected = balance_module(module, (torch.randn(1, 2, 7, 7).double(),))
    assert report.cost == pytest.approx(expected.cost, rel=1e-12)
    for name, tensor in module.state_dict().items():
        if tensor.ndim:
            np.testing.assert_allclose(weights_of(report.model)[name.replace(".", "_")], tensor.numpy(), rtol=1e-8)


def test_large_models_are_balanced_in_blocks(monkeypatch):
    weights = {
        "V": random(20, 300),
        "D": random(300, 300, seed=1),
        "Z": np.zeros((300, 300)),
        "W": random(300, 5, seed=2),
    }
    nodes = [
        ("MatMul", "x V", "h"), ("Relu", "h", "p"), ("MatMul", "p D", "q"), ("MatMul", "p Z", "z"), ("Relu", "q", "r"), ("MatMul", "r W", "t"),
        ("MatMul", "z W2", "u"), ("Add", "t u", "y"),
    ]  # fmt: skip
    model = model_of(nodes, weights | {"W2": random(300, 5, seed=3)}, [2, 20])
    report = balance_model(model)
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    assert {unit.reason[:4] for unit in report.units if unit.name.startswith("n_z")} == {"dead"}
    monkeypatch.setattr(large, "_MANY", 10**9)
    assert balance_model(model).cost == pytest.approx(report.cost, rel=1e-12)
    weights["D"][3, 4] = np.inf
    monkeypatch.undo()
    with pytest.raises(InvalidParameterError, match="parameter D"):
        balance_model(model_of(nodes, weights | {"W2": random(300, 5, seed=3)}, [2, 20]))


def test_what_has_a_cost_and_bounds_can_be_chosen():
    sizes = {name: random(4, seed=n) for n, name in enumerate(["g", "c", "mu"])} | {"var": np.ones(4)}
    model = convs(("BatchNormalization", "h g c mu var", "r"), **sizes)
    report = balance_model(model, bg.ElasticNet(l1=1.0, l2=1.0), costed=("weights",), bound=0.1)
    assert np.abs(report.log_scales).max() <= 0.1
    assert {unit.reason for unit in report.units if unit.status == "pinned"} > {"output of the model"}
    with pytest.raises(InvalidParameterError, match="costed"):
        balance_model(model, costed=("gains",))
    with pytest.raises(InvalidParameterError, match="bound"):
        balance_model(model, bound=-1)
    with pytest.raises(InvalidParameterError, match="powers"):
        balance_model(model, bg.Huber(1.0))


# ---- what is no parameter, and what is unknown ------------------------------------------------------------------------


def test_masks_and_numbers_are_no_parameters():
    mask = np.triu(np.full((4, 4), -np.inf), 1)
    steps = [
        ("MatMul", "h D", "p"),
        ("Concat", "p p", "q", {"axis": 0}),
        ("Add", "q mask", "t"),
        ("Softmax", "t", "r0"),
        ("Slice", "r0 i0 i2 i0", "r"),
    ]
    model = gemms(*steps, mask=mask, D=random(4, 4), i0=np.array([0]), i2=np.array([2]))
    found = read_model(model)
    assert {p.name for p in found.structure.parameters} == {"V", "a", "D", "W", "b"}
    check(model, 4)


def test_unknown_operations_pin_what_they_read_and_are_named():
    body = helper.make_graph(
        [helper.make_node("Mul", ["p", "p"], ["then"])], "then", [], [helper.make_empty_tensor_value_info("then")]
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["p"], ["else"])], "else", [], [helper.make_empty_tensor_value_info("else")]
    )
    model = gemms(
        ("Relu", "h", "p"), ("If", "yes", "r", {"then_branch": body, "else_branch": other}), yes=np.array(True)
    )
    report = balance_model(model)
    assert report.unknown == {"If": ("n_r",)}
    assert "unknown operation   If: n_r" in report.summary()
    assert report.log_scales.size == 0
    assert {unit.status for unit in report.units if unit.name.startswith("n_h")} == {"refused"}


@pytest.mark.parametrize("shape", [[], [("Identity", "s", "y")], [("Transpose", "s", "t"), ("Flatten", "t", "y")]])
def test_what_saturates_is_measured_before_it_does_in_any_shape(shape):
    """A softmax at the end hides changes; what it reads shows them."""
    last = "s" if shape else "y"
    nodes = [("MatMul", "x V", "h"), ("Relu", "h", "r"), ("MatMul", "r W", "m"), ("Softmax", "m", last), *shape]
    model = model_of(nodes, {"V": random(3, 4), "W": random(4, 3)}, [2, 3])
    assert set(read_model(model).outputs) == {"m"}
    without = model_of([*nodes[:3], ("Identity", "m", "y")], {"V": random(3, 4), "W": random(4, 3)}, [2, 3])
    assert set(read_model(without).outputs) == {"y"}


def test_sequences_and_integers_are_walked_past():
    model = gemms(
        ("Relu", "h", "p"), ("SplitToSequence", "p sizes", "s", {"axis": 1}), ("SequenceAt", "s i0", "q"), ("MatMul", "q D", "r"),
        sizes=np.array([1, 3]), i0=np.array(0), D=random(1, 4),
    )  # fmt: skip
    assert set(read_model(model).structure.unknown) == {"SplitToSequence", "SequenceAt"}
    steps = [("QuantizeLinear", "h scale zero", "q"), ("DequantizeLinear", "q scale zero", "r")]
    quantized = gemms(*steps, scale=np.float32(0.1), zero=np.int8(0))
    report = balance_model(single(quantized))
    assert set(report.unknown) == {"QuantizeLinear", "DequantizeLinear"}
    assert report.output_change == 0


def test_a_rule_of_ones_own_and_functions_of_the_model():
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["c"]), helper.make_node("Relu", ["c"], ["b"])],
        [helper.make_opsetid("", 22)],
    )  # fmt: skip
    nodes = [("MatMul", "x V", "h"), ("own::Twice", "h", "r"), ("MatMul", "r W", "y")]
    weights = {"V": random(3, 4), "W": random(4, 3)}
    report = check(model_of(nodes, weights, [2, 3], functions=[function], domains=["own"]), 4)
    assert [f.name for f in report.model.functions] == ["Twice"]


def test_constants_in_nodes_are_parameters_too():
    model = gemms(("Relu", "h", "r"))
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "V")
    node = helper.make_node("Constant", [], ["V"], value=weight)
    model.graph.node.insert(0, node)
    model.graph.initializer.remove(weight)
    report = balance_model(model)
    assert report.log_scales.size == 4
    assert not np.allclose(numpy_helper.to_array(report.model.graph.node[0].attribute[0].t), random(3, 4))


def test_old_opsets_have_attributes_in_the_place_of_inputs():
    nodes = [
        ("MatMul", "x V", "h"), ("Unsqueeze", "h", "p", {"axes": [1]}), ("ReduceSum", "p", "q", {"axes": [1], "keepdims": 0}),
        ("Clip", "q", "t", {"min": 0.0}), ("Slice", "t", "u", {"starts": [0], "ends": [4], "axes": [1]}),
        ("Pad", "u", "v", {"pads": [0, 1, 0, 0]}), ("Slice", "v", "r", {"starts": [1], "ends": [5], "axes": [1]}), ("MatMul", "r W", "y"),
    ]  # fmt: skip
    model = single(model_of(nodes, {"V": random(3, 4), "W": random(4, 3)}, [2, 3], opset=9))
    report = balance_model(model)
    assert (report.log_scales.size, report.unknown) == (4, {})
    assert report.output_change < 1e-6


# ---- refusals ---------------------------------------------------------------------------------------------------------


def test_a_wrong_rule_is_caught_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))

    @rule("onnx::Sigmoid")
    def wrong(trace, x):
        return Tensor(trace.labels(x))

    path = tmp_path / "balanced.onnx"
    with pytest.raises(FunctionChangedError, match="nothing is written") as caught:
        balance_model(gemms(*one("Sigmoid")), output=path)
    assert caught.value.change > caught.value.tolerance
    assert caught.value.units == tuple(f"n_h unit {k}" for k in range(4))
    assert not list(tmp_path.iterdir())


def test_bad_models_and_inputs_are_refused(tmp_path):
    with pytest.raises(InvalidParameterError, match="ModelProto"):
        balance_model(3)
    with pytest.raises(FileNotFoundError):
        balance_model(tmp_path / "none.onnx")
    for content in (b"", b"no model at all", b"\x08"):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        with pytest.raises(NetworkFileError, match="no ONNX model"):
            balance_model(path)
    model = gemms(*one("Relu"))
    for examples in ({}, {"z": 1}, [1, 2], 3):
        with pytest.raises(InvalidParameterError, match="example_inputs"):
            balance_model(model, example_inputs=examples)
    with pytest.raises(UnsupportedError, match="does not run"):
        balance_model(model, example_inputs=[np.zeros((2, 5))])
    with pytest.raises(UnsupportedError, match="convert_version"):
        balance_model(gemms(*one("Relu"), opset=8))
    weights = {"V": np.full((3, 4), np.nan)}
    with pytest.raises(InvalidParameterError, match="V"):
        balance_model(gemms(*one("Relu"), **weights))


# ---- types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FLOAT", "FLOAT16", "BFLOAT16"])
def test_types_are_kept(name):
    kind = getattr(TensorProto, name)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    model = single(gemms(*one("Relu")), kind, dtype)
    report = balance_model(apply(read_model(model), [3.0, -2.0, 1.0, -1.0]))
    assert {tensor.data_type for tensor in report.model.graph.initializer} == {kind}
    epsilon = {"FLOAT": 2.0**-23, "FLOAT16": 2.0**-10, "BFLOAT16": 2.0**-7}[name]
    assert report.tolerance == pytest.approx(epsilon**0.5)
    assert report.output_change < 4 * epsilon
    assert report.relative_imbalance < 4 * epsilon


# ---- files ------------------------------------------------------------------------------------------------------------


def test_files_go_round(tmp_path):
    model = gemms(*one("Relu"))
    path, output = saved(model, tmp_path / "in.onnx"), tmp_path / "out.onnx"
    before = path.read_bytes()
    report = balance_model(path, output=output)
    assert path.read_bytes() == before
    written = onnx.load(output)
    assert written == report.model
    assert change(model, written, {"x": random(2, 3)}) < 1e-12
    again = balance_model(output)
    assert again.initial_relative_imbalance < 1e-10
    balance_model(output, output=output)  # in place
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.onnx", "out.onnx"]


def test_weights_in_other_files(tmp_path):
    model = gemms(("Relu", "h", "r"), width=300)
    path, output = tmp_path / "in.onnx", tmp_path / "sub" / "out.onnx"
    output.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="in.data", size_threshold=0)
    with pytest.raises(InvalidParameterError, match="path"):
        balance_model(onnx.load(path, load_external_data=False))
    report = balance_model(path, output=output)
    balance_model(path, output=output)  # beside the first file of weights, which others may read
    assert {p.name for p in output.parent.iterdir()} > {"out.onnx", "out.onnx.data"}
    assert len(list(output.parent.iterdir())) == 3
    written = onnx.load(output)
    assert {k: v.tobytes() for k, v in weights_of(written).items()} == {
        k: v.tobytes() for k, v in weights_of(report.model).items()
    }
    (tmp_path / "in.data").unlink()
    with pytest.raises(NetworkFileError, match="other files"):
        balance_model(path)


def test_models_too_large_for_one_file(tmp_path, monkeypatch):
    model = single(gemms(("Relu", "h", "r"), width=300))
    expected = balance_model(model)
    for module in (evaluation, files):
        monkeypatch.setattr(module, "LARGEST", 1000)
    report = balance_model(model, output=tmp_path / "out.onnx")
    assert report.runtime == "ONNX Runtime"
    assert {p.name for p in tmp_path.iterdir()} == {"out.onnx", "out.onnx.data"}
    assert (tmp_path / "out.onnx").stat().st_size < 3000
    for name, values in weights_of(expected.model).items():
        for written in (onnx.load(tmp_path / "out.onnx"), report.model):
            np.testing.assert_array_equal(weights_of(written)[name], values)


@pytest.mark.parametrize("is_external", [False, True])
def test_an_interrupted_run_leaves_the_old_file(tmp_path, monkeypatch, is_external):
    model = gemms(("Relu", "h", "r"), width=300)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=is_external, location="model.data", size_threshold=0)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    save = onnx.save

    def interrupted(*arguments, **options):
        save(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        balance_model(path, output=path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# ---- command line -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path, capsys):
    path, output = saved(gemms(*one("Relu")), tmp_path / "in.onnx"), tmp_path / "out.onnx"
    assert main(["model", str(path), "-o", str(output), "--p", "1"]) == 0
    assert "written             " in capsys.readouterr().out
    assert main(["model", str(output), "--p", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json_paths(document, KEYS["model"]) == {*KEYS["model"], *HEAD}
    assert document["free_scales"] == 4
    assert document["initial_relative_imbalance"] < 1e-10
    assert document["units"][0]["parameters"]
    assert outputs_of(onnx.load(output), {"x": random(2, 3)})[0].shape == (2, 3)


def test_the_command_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    path = tmp_path / "bad.onnx"
    path.write_text("network")
    for arguments in (
        ["model", str(path)],
        ["model", str(tmp_path / "none.onnx")],
        ["model", str(path), "-o", str(tmp_path)],
    ):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("balance-graph: error: ")
        assert err.count("\n") == 1
    monkeypatch.setattr(
        registry, "_RULES", {**registry._RULES, "onnx::Sigmoid": lambda trace, x: Tensor(trace.labels(x))}
    )
    assert main(["model", str(saved(gemms(*one("Sigmoid")), tmp_path / "in.onnx")), "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["function_kept"] is False
    assert json_paths(found, KEYS["model"]) == {*list(KEYS["model"])[:6], *HEAD}
    assert "nothing is written" in err


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_the_packages_may_be_absent(missing):
    source = f"""
import sys
sys.modules[{missing!r}] = None
import balance_graph as bg
from balance_graph.cli import main
try:
    import balance_graph.onnx
except bg.MissingDependencyError as error:
    print(error)
print(main(["model", "any.onnx"]))
"""
    command = [sys.executable, "-W", "error", "-c", source]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"needs {missing}, " in found.stdout
    assert 'pip install "balance-graph[onnx]"' in found.stdout
    assert found.stdout.endswith("\n2\n")
    assert found.stderr.startswith("balance-graph: error: ")


@pytest.mark.parametrize("name", ["balancing", "reading", "scaling"])
def test_examples_of_docstrings(name):
    module = importlib.import_module(f"balance_graph.onnx.{name}")
    failed, attempted = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert (failed, attempted > 0) == (0, True)
