"""Does balance help quantization? The page follows from the tables, channels are counted by hand, a small run works.

Rooms: models, pytorch, onnx.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="the tables are read by pandas")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
if not FOLDER.exists():
    pytest.skip("the benchmarks are not part of this installation", allow_module_level=True)
TABLES = FOLDER / "results" / "quantization"
DOCS = ROOT / "docs"


def module(name):
    """A module of the benchmark, found as its command finds it."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


configuration, findings, report, store = (
    module(f"low_precision.{name}") for name in ("configuration", "findings", "report", "store")
)
results = module("results")


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return findings.Results(TABLES)


@pytest.mark.skipif(not DOCS.exists(), reason="the documentation is not part of this installation")
def test_page_follows_from_the_tables(committed):
    page = report.page(committed, results.read_json(TABLES / "about.json"))
    assert (DOCS / "quantization.md").read_text(encoding="utf-8") == page
    assert "nan" not in page
    for name in report._PICTURES:
        assert f"_static/quantization/{name}" in page
        assert (DOCS / "_static" / "quantization" / name).read_bytes().startswith(b"\x89PNG")


def test_tables_have_every_seed_state_and_arm(committed):
    planned = {one.title: one.seeds for one in configuration.TRAININGS["short"]}
    assert min(planned.values()) >= 5
    for case, rows in committed.models.groupby("case"):
        seeds = planned[case.removesuffix(" folded").removesuffix(" kept")]
        assert len(rows) == seeds * len(configuration.STATES) * len(configuration.ARMS)
    assert len(committed.networks) == len(planned) + 2  # batch norms folded, and kept, for each task
    arms = 1 + len(configuration.BALANCED)
    assert len(committed.files) == len(configuration.FILES) * configuration.FILE_SEEDS * 2 * arms
    assert results.read_json(TABLES / "about.json")["left out"] == []


def test_functions_are_kept(committed):
    ours = [configuration.NONE, *configuration.BALANCED]
    assert committed.all[committed.all.arm.isin(ours)].change.max() < 1e-3  # in single precision
    assert committed.peers[committed.peers.arm.isin(ours)].change.max() < 1e-12
    assert committed.peers.gap.max() < 1e-9


# Channels that have a scale, of models at half width, batch norms folded into the convolutions.
_MIDDLES = 6 * (8 + 12 * 2 + 16 * 3 + 32 * 4 + 48 * 3 + 80 * 3)  # what blocks with a factor read, six times as wide
_BOTTLENECKS = 8 + 12 * 2 + 16 * 3 + 32 * 4 + 48 * 3 + 80 * 3 + 160
SCALED = {
    # Every convolution: the stem; four of the first stage; four and a projection of each other stage.
    "ResNet-18": 32 + 4 * 32 + 5 * (64 + 128 + 256),
    "VGG-11": 32 + 64 + 2 * 128 + 4 * 256 + 256,
    # ReLU6 pins all but what blocks end with, which has no activation.
    "MobileNetV2, ReLU6": _BOTTLENECKS,
    # The stem and the depthwise convolution after it, two convolutions in the middle of a block, its end, the last.
    "MobileNetV2, ReLU": 2 * 16 + 2 * _MIDDLES + _BOTTLENECKS + 640,
    # Twice two convolutions of each width down and up again (the deepest once), and the transposed ones.
    "U-Net": 2 * (16 + 32 + 64) + (32 + 16) + 2 * (32 + 16),
    # A block: queries, keys, values; the outputs of two norms; the hidden layer. The last norm.
    "ViT": 4 * (3 * 64 + 2 * 64 + 128) + 64,
    "a layer called twice": 32 + 32,
    "squared units": 32,
}


def test_channels_are_those_counted_by_hand(committed):
    rows = committed.peers[committed.peers.arm.isin(configuration.BALANCED)]
    assert set(rows.architecture) == set(SCALED)
    assert (rows.scaled == rows.architecture.map(SCALED)).all()


def changed_tables(tmp_path, name, change):
    for file in TABLES.glob("*"):
        shutil.copy(file, tmp_path)
    table = store.read_table(TABLES, name)
    change(table)
    table.to_csv(tmp_path / f"{name}.csv", index=False)
    return {one.text: one.holds for one in findings.findings(findings.Results(tmp_path))}


def test_verdicts_follow_from_the_tables(committed, tmp_path, monkeypatch):
    monkeypatch.setattr(module("experiments.comparisons"), "_RESAMPLES", 500)
    hypotheses = {one.name: one.text for one in module("low_precision.hypotheses").HYPOTHESES}

    def nothing_gained(table):
        plain = table[table.arm == "none"].set_index(["case", "seed", "state"])
        for place in table.index[table.arm == "p = 2"]:
            row = table.loc[place]
            for one in configuration.ROUNDINGS:
                for measure in ("snr", "accuracy"):
                    column = f"{measure}_{one.key}"
                    table.loc[place, column] = plain.loc[(row.case, row.seed, row.state), column]

    changed = changed_tables(tmp_path, "model", nothing_gained)
    for name in ("disturbed", "one_model"):
        assert changed[hypotheses[name]] is False

    def worse(table):
        table.loc[table.arm == "Brevitas", "scaled"] += 20000
        table.loc[table.arm == "p = 2", "change"] = 1e-9

    changed = changed_tables(tmp_path, "peers", worse)
    found = {one.text: one.holds for one in findings.findings(committed)}
    for name in ("units", "function"):
        assert (found[hypotheses[name]], changed[hypotheses[name]]) == (True, False)
    assert found[hypotheses["one_model"]]


@pytest.mark.skipif(not DOCS.exists(), reason="the documentation is not part of this installation")
def test_what_other_pages_say_in_words_is_what_was_measured():
    page = (DOCS / "quantization.md").read_text(encoding="utf-8")
    assert "**Models as trained: nothing to rely on.**" in page
    assert "**Models whose scales have drifted apart: yes.**" in page
    for name in ("models.md", "quickstart-models.md"):
        text = " ".join((DOCS / name).read_text(encoding="utf-8").split())
        assert "Models as trained gain nothing to rely on. Models whose scales have drifted apart are repaired." in text


# --- rounding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')


def test_rounding_by_hand(torch):
    rounded = module("low_precision.rounding").rounded
    weight = np.array([[7.0, -3.2, 0.4], [0.7, 0.16, 0.0]])
    tensor, channel = (configuration.Rounding(4, scope) for scope in ("tensor", "channel"))
    np.testing.assert_allclose(rounded(weight, tensor), [[7, -3, 0], [1, 0, 0]])
    np.testing.assert_allclose(rounded(weight, channel), [[7, -3, 0], [0.7, 0.2, 0]])
    np.testing.assert_allclose(rounded(weight.T, channel, axis=1), rounded(weight, channel).T)
    np.testing.assert_array_equal(rounded(np.zeros((2, 2)), channel), 0.0)


def test_only_weights_of_layers_are_rounded_in_a_copy(torch):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = module("low_precision.rounding").rounded_module(model, configuration.Rounding(4, "tensor")).state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["0.weight"]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_initializers_of_files_are_rounded(torch):
    onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "balance-graph[onnx]"')
    pytest.importorskip("onnxruntime", reason='needs onnx: pip install "balance-graph[onnx]"')
    rounded_model = module("low_precision.files").rounded_model
    weight = np.array([[7.0, -3.2], [0.7, 0.16]], dtype=np.float32)
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "W"], ["y"], transB=1),
        onnx.helper.make_node("MatMul", ["y", "V"], ["z"]),
    ]
    tensors = [onnx.numpy_helper.from_array(weight, "W"), onnx.numpy_helper.from_array(weight.T.copy(), "V")]
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, 2]) for name in ("x", "z")]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors))
    found = rounded_model(model, configuration.Rounding(4, "channel")).graph.initializer
    expected = np.array([[7, -3], [0.7, 0.2]], dtype=np.float32)
    for tensor, right in zip(found, (expected, expected.T), strict=True):
        np.testing.assert_allclose(onnx.numpy_helper.to_array(tensor), right)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(model.graph.initializer[0]), weight)


def test_texts_are_drawn_alike_for_a_seed():
    pytest.importorskip("PIL", reason="Pillow comes with matplotlib")
    pictures = module("low_precision.text_images").pictures
    for name, shape in (("detection", (480, 640)), ("orientation", (48, 192)), ("recognition", (48, 320))):
        one, same, other = (pictures(name, seed) for seed in (0, 0, 1))
        assert one.x.shape[1:] == (3, *shape)
        assert np.abs(one.x).max() <= 1
        np.testing.assert_array_equal(one.x, same.x)
        assert not np.array_equal(one.x, other.x)


# --- peers ------------------------------------------------------------------------------------------------------------


def test_pairs_are_seen_through_what_is_homogeneous(torch):
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.three = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Conv2d(6, 6, 3, groups=6)
            self.four, self.five, self.six = nn.Conv2d(6, 8, 1), nn.Linear(8, 5), nn.Linear(5, 5)
            self.seven, self.eight, self.nine = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)
            self.drop, self.pool = nn.Dropout(), nn.MaxPool2d(2)

        def forward(self, x):
            x = nn.functional.relu(nn.functional.max_pool2d(self.one(x), 2))
            x = self.three(self.pool(self.two(x)).relu())  # a depthwise reader does not fit
            x = nn.functional.adaptive_avg_pool2d(torch.relu(self.four(x)), 1)
            x = self.five(torch.flatten(self.drop(x), 1))
            x = self.six(nn.functional.gelu(x))  # is not homogeneous
            x = x + torch.relu(self.seven(torch.relu(x)))  # is read twice
            return self.nine(torch.relu(self.eight(torch.relu(self.eight(x)))))  # called twice

    found = module("low_precision.pairs").pairs(Model())
    assert found == [("one", "two"), ("three", "four"), ("four", "five")]
    flat = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    assert module("low_precision.pairs").pairs(flat) == []


def test_pytorch_equalizes_ranges_and_keeps_the_function(torch):
    treatment = module("low_precision.treatment")
    model = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    before = model(x)
    treatment.disturb(model, x, 1.0, 0)
    torch.testing.assert_close(model(x), before)
    treatment.treated(model, configuration.PYTORCH, x)
    torch.testing.assert_close(model(x), before)
    ranges = (model[0].weight.amax(1) - model[0].weight.amin(1), model[2].weight.amax(0) - model[2].weight.amin(0))
    torch.testing.assert_close(*ranges, rtol=1e-6, atol=1e-6)


def test_brevitas_changes_what_a_layer_called_twice_computes(torch):
    pytest.importorskip("brevitas", reason="a peer; it needs no extra of ours")
    comparison, treatment = module("low_precision.comparison"), module("low_precision.treatment")
    torch.manual_seed(0)
    model, x = comparison.prepared("a layer called twice", scale=4)
    assert (treatment.treated(model, configuration.BREVITAS, x)(x) - model(x)).abs().max() > 1e-3


def test_batch_norms_are_folded_and_kept(torch):
    networks, treatment = module("low_precision.networks"), module("low_precision.treatment")
    model = networks.NETWORKS[configuration.NORM](8)
    x = torch.randn(20, 1, 8, 8)
    model(x)
    folded = treatment.folded(model)
    torch.testing.assert_close(folded(x), model(x))
    norms = [sum(isinstance(part, torch.nn.BatchNorm2d) for part in one.modules()) for one in (folded, model)]
    assert norms == [0, 4]
    assert len(module("low_precision.pairs").pairs(folded)) == 4


def test_scaled_channels_are_counted_from_outside(torch):
    comparison = module("low_precision.comparison")
    model = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    before = comparison._Measured(model, x)
    with torch.no_grad():
        for part in (model[0].weight[:2], model[0].bias[:2]):
            part.mul_(3.0)
        model[2].weight[:, :2].div_(3.0)
    after = comparison._Measured(model, x)
    assert (before.channels, before.scaled(after), before.scaled(before)) == (8, 2, 0)
    assert before.change(after) < 1e-14


def test_bits_lost_by_hand(torch):
    layer = torch.nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[8.0, 1.0], [2.0, 1.0]]))
    assert module("low_precision.comparison").bits_lost(layer) == pytest.approx((0 + 2 + 0 + 3) / 4)


# --- a small run ------------------------------------------------------------------------------------------------------


def test_a_small_run_is_resumed_drawn_and_says_what_it_left_out(torch, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="the digits ship with scikit-learn")
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    runner, treatment = module("low_precision.runner"), module("low_precision.treatment")
    module("low_precision.figures")
    chosen = [job for job in runner.jobs_of("quick") if job.name in ("squared units", "digits, perceptron")]
    monkeypatch.setattr(runner, "jobs_of", lambda _: chosen)
    monkeypatch.setattr(runner, "absent", lambda: {"brevitas": runner.OPTIONAL["brevitas"]})
    monkeypatch.setattr(module("experiments.comparisons"), "_RESAMPLES", 500)
    arms = tuple(arm for arm in configuration.ARMS if arm != configuration.BREVITAS)
    for name in ("comparison", "training"):
        monkeypatch.setattr(module(f"low_precision.{name}"), "available_arms", lambda: arms)
    assert set(treatment.available_arms()) >= set(arms)
    perform, done = runner.perform, []

    def interrupted(job):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(job.key)
        return perform(job)

    monkeypatch.setattr(runner, "perform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.run_jobs("quick", tmp_path, 1)
    assert [file.name for file in tmp_path.iterdir()] == [f"{chosen[0].key}.partial.json"]
    monkeypatch.setattr(runner, "perform", lambda job: done.append(job.key) or perform(job))
    runner.run_jobs("quick", tmp_path, 1)
    assert done == [job.key for job in chosen]
    assert "left out, brevitas is not installed" in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"model.csv", "peers.csv", "about.json"}

    report.draw_report(tmp_path, tmp_path / "docs")
    page = (tmp_path / "docs" / "quantization.md").read_text(encoding="utf-8")
    assert "Left out, for want of a package: equalization by Brevitas" in page
    assert "not measured" in page
    assert "nan" not in page
    assert len(list((tmp_path / "docs" / "_static" / "quantization").iterdir())) == len(report._PICTURES)
    kept = store.read_table(tmp_path, "model")
    assert kept[kept.arm != configuration.PYTORCH].change.max() < 1e-4
    runner.run_jobs("quick", tmp_path, 1)
    assert len(done) == len(chosen)
    pd.testing.assert_frame_equal(kept, store.read_table(tmp_path, "model"))
