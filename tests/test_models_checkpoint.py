"""Checkpoints in files: balanced as loaded models are, written whole or not at all, refused by name.

Rooms: models, pytorch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')
pytest.importorskip("safetensors", reason='needs safetensors: pip install "balance-graph[torch]"')

from architectures import Llama  # noqa: E402
from model_checks import outputs, randomized  # noqa: E402
from processes import run_together  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from test_models_balance import Wave, wrong_sine  # noqa: E402
from torch import nn  # noqa: E402

import balance_graph as bg  # noqa: E402
from balance_graph.models.components import components  # noqa: E402
from balance_graph.models.state import state_of  # noqa: E402
from balance_graph.models.terms import ROLES  # noqa: E402
from balance_graph.pytorch import (  # noqa: E402
    ModelStructure,
    balance_checkpoint,
    balance_module,
    read_module,
    stored_cost,
)
from balance_graph.pytorch import checkpoint as checkpoint_module  # noqa: E402
from balance_graph.pytorch.costs import model_cost  # noqa: E402
from balance_graph.pytorch.skeleton import skeleton  # noqa: E402

IDS = (torch.tensor([[1, 2, 3]]),)
X = (torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3),)


def mlp():
    return nn.Sequential(nn.Linear(3, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 2))


def on_meta(make, dtype=torch.float64):
    with torch.device("meta"):
        return make().to(dtype).eval()


def written(directory, state, *, shards=1, metadata=None):
    """A checkpoint, with an index if it has several files."""
    directory.mkdir()
    names = list(state)
    if shards == 1:
        save_file(state, directory / "model.safetensors", metadata=metadata)
        return directory
    files = {name: f"part-{k % shards}.safetensors" for k, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: state[name] for name in names if files[name] == file}, directory / file, metadata=metadata)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return directory


def read(directory):
    return {name: value for path in sorted(directory.glob("*.safetensors")) for name, value in load_file(path).items()}


@pytest.mark.parametrize(("tied", "shards"), [(False, 1), (True, 3)])
def test_a_checkpoint_is_balanced_as_the_loaded_model_is(tmp_path, tied, shards):
    model = randomized(Llama(tied=tied))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if tied:
        del state["head.weight"]  # of tied parameters, libraries store one
    old = written(tmp_path / "old", state, shards=shards, metadata={"format": "pt"})
    (old / "config.json").write_text("{}")
    (old / "more").mkdir()
    (old / "more" / "tokens.txt").write_text("a b")
    before = outputs(model, IDS)
    report = balance_checkpoint(old, on_meta(lambda: Llama(tied=tied)), IDS, output=tmp_path / "new", check=True)
    loaded = balance_module(model, IDS)
    new = read(tmp_path / "new")

    assert new.keys() == state.keys()
    for name, value in new.items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-12, atol=0)
    assert report.initial_cost == pytest.approx(loaded.initial_cost, rel=1e-13)
    assert report.cost == pytest.approx(loaded.cost, rel=1e-13)
    assert report.relative_imbalance < 1e-10 < report.initial_relative_imbalance
    assert 0 < report.certificate.relative_gap < 1e-10
    assert report.converged
    np.testing.assert_allclose(report.log_scales, loaded.log_scales, atol=1e-12)
    assert [unit.status for unit in report.units] == [unit.status for unit in loaded.units]
    assert report.output_change < 1e-12

    again = randomized(Llama(tied=tied), seed=5)
    assert not again.load_state_dict(new, strict=False).unexpected_keys
    assert float((outputs(again, IDS) - before).abs().max() / before.abs().max()) < 1e-12

    assert {p.relative_to(old) for p in old.rglob("*")} == {
        p.relative_to(tmp_path / "new") for p in (tmp_path / "new").rglob("*")
    }
    assert (tmp_path / "new/more/tokens.txt").read_text() == "a b"
    for path in old.glob("*.safetensors"):
        with safe_open(path, "pt") as one, safe_open(tmp_path / "new" / path.name, "pt") as other:
            assert one.metadata() == other.metadata() == {"format": "pt"}
    assert all(torch.equal(value, state[name]) for name, value in read(old).items())
    assert "not measured" not in report.summary()
    assert report.output_change <= report.tolerance
    assert len(report.to_frame()) == len(report.units)
    assert f"components          {report.n_components}" in report.summary()
    assert report.n_components == (4 if tied else 5)


@pytest.mark.parametrize(("dtype", "digits"), [(torch.bfloat16, 3e-2), (torch.float16, 4e-3), (torch.float32, 1e-6)])
def test_types_are_kept_and_the_function_up_to_their_rounding(tmp_path, dtype, digits):
    model = randomized(Llama())
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    old = written(tmp_path / "old", state)
    report = balance_checkpoint(old, on_meta(Llama), IDS, output=tmp_path / "new", check=True)
    new = read(tmp_path / "new")
    assert {value.dtype for value in new.values()} == {dtype}
    assert any(not torch.equal(new[name], state[name]) for name in new)
    assert report.output_change < digits
    assert report.certificate.relative_gap < digits**2
    model.load_state_dict(new)
    cost = sum(float((p.detach() ** 2).sum()) for p in model.parameters())
    assert report.cost == pytest.approx(cost, rel=1e-12)


def test_running_statistics_move_integers_stay_and_both_of_two_tied_are_written(tmp_path):
    model = randomized(nn.Sequential(mlp(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))
    model[3].weight = model[1].weight
    state = {name: value.clone() for name, value in model.state_dict().items()}
    old = written(tmp_path / "old", state)

    def make():
        module = nn.Sequential(mlp(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
        module[3].weight = module[1].weight
        return module

    balance_checkpoint(
        old, on_meta(make), X, 1.0, output=tmp_path / "new", costed=("weights", "norms"), bound=3.0, check=True
    )
    balance_module(model, X, 1.0, costed=("weights", "norms"), bound=3.0)
    new = read(tmp_path / "new")
    assert not torch.equal(new["0.1.running_mean"], state["0.1.running_mean"])
    assert torch.equal(new["1.weight"], new["3.weight"])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(new[name], value, rtol=1e-12, atol=0)


def test_weights_that_leave_the_range_of_their_type_are_refused(tmp_path):
    state = {"0.weight": torch.full((3, 3), 2.0), "2.weight": torch.full((3, 3), 1e-5)}

    def make():
        return nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 3, bias=False))

    call = (on_meta(make, torch.float32), (torch.ones(1, 3),))
    # Six of seven nodes are held up by a weight that becomes subnormal, then zero, in half precision.
    state["0.weight"][:, 0] = 6e4
    state["0.weight"][:, 1:] = 6e-8
    state["2.weight"][:, :] = 1e-3
    old = written(tmp_path / "small", {name: value.half() for name, value in state.items()})
    balance_checkpoint(old, *call, output=tmp_path / "fine")  # what is lost costs nothing beside what is kept
    for name, first in (("2.weight", 6e-8), ("0.weight", 6e4)):
        state[name][:] = first
    state["2.weight"][0, 0] = 6e4
    state["0.weight"][0] = 6e-8
    old = written(tmp_path / "large", {name: value.half() for name, value in state.items()})
    with pytest.raises(bg.FunctionChangedError, match="nothing is written") as caught:
        balance_checkpoint(old, *call, 0.1, output=tmp_path / "new", tolerance=1e-9)
    assert caught.value.units
    assert caught.value.change > caught.value.tolerance == 1e-9
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fine", "large", "small"]


def test_a_wrong_product_and_a_wrong_rule_are_caught_and_nothing_is_left(tmp_path, monkeypatch):
    make = lambda: nn.Sequential(nn.Linear(3, 5), Wave(), nn.Linear(5, 2))  # noqa: E731
    old = written(tmp_path / "old", dict(randomized(make()).state_dict()))
    with wrong_sine():
        balance_checkpoint(old, on_meta(make), X, output=tmp_path / "unchecked")
        with pytest.raises(bg.FunctionChangedError, match="outputs by"):
            balance_checkpoint(old, on_meta(make), X, output=tmp_path / "new", check=True)
    old = written(tmp_path / "good", dict(randomized(mlp()).state_dict()))
    scale = checkpoint_module.scale_block
    monkeypatch.setattr(checkpoint_module, "scale_block", lambda t, b, values: scale(t, b, 1.0001 * values))
    with pytest.raises(bg.FunctionChangedError, match="reads or feeds"):
        balance_checkpoint(old, on_meta(mlp), X, output=tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good", "old", "unchecked"]


def test_components_share_nothing_and_their_costs_add_up():
    model = randomized(Llama())
    found = read_module(model, IDS)
    parts = components(found.structure, ROLES)
    assert sorted(np.concatenate([part.scales for part in parts]).tolist()) == list(range(found.structure.size))
    names = [parameter.name for part in parts for parameter in part.parameters]
    assert len(set(names)) == len(names)
    at = np.random.default_rng(0).standard_normal(found.structure.size)
    costs = [
        state_of(
            model_cost(ModelStructure(part.of(found.structure), found.tensors), [(1.0, 2.0)]), at[part.scales]
        ).cost
        for part in parts
    ]
    fixed = sum(float((p.detach() ** 2).sum()) for name, p in model.named_parameters() if name not in names)
    assert sum(costs) + fixed == pytest.approx(state_of(model_cost(found, [(1.0, 2.0)]), at).cost, rel=1e-12)
    assert fixed > 0


def test_tables_of_a_model_on_meta_are_read_without_memory_for_their_rows():
    with torch.device("meta"):
        model = nn.Sequential(nn.Embedding(10**6, 64), nn.Linear(64, 4))
    plain, _ = skeleton(model)
    read_module(nn.Sequential(nn.Linear(1, 1)), (torch.ones(1, 1),))  # what is loaded at first use
    tracemalloc.start()
    found = read_module(plain, (torch.tensor([[1, 2]]),))
    assert tracemalloc.get_traced_memory()[1] < 1e8  # 5e8 as labels of the table
    tracemalloc.stop()
    assert found.structure.size == 64


def _state():
    return dict(randomized(mlp()).state_dict())


def _without(name):
    return lambda old: save_file({k: v for k, v in _state().items() if k != name}, old / "model.safetensors")


def _with(name, value):
    return lambda old: save_file({**_state(), name: value}, old / "model.safetensors")


def _index(text):
    return lambda old: (old / "model.safetensors.index.json").write_text(text)


BROKEN = {
    "missing": (_without("3.bias"), "lacks 3.bias"),
    "missing buffer": (_without("1.running_var"), "lacks 1.running_var"),
    "unexpected": (_with("9.weight", torch.ones(2)), "has not: 9.weight"),
    "shape": (_with("3.bias", torch.ones(5)), r"3.bias has shape \(5,\) in the checkpoint and \(6,\)"),
    "not finite": (_with("3.bias", torch.full((6,), torch.inf)), "3.bias"),
    "integers": (_with("3.weight", torch.ones(6, 7, dtype=torch.int8)), "3.weight holds torch.int8"),
    "cut short": (
        lambda old: (old / "model.safetensors").write_bytes((old / "model.safetensors").read_bytes()[:-8]),
        "no safetensors file",
    ),
    "no files": (lambda old: (old / "model.safetensors").unlink(), "no safetensors files"),
    "twice": (lambda old: save_file(_state(), old / "two.safetensors"), "is in model.safetensors and in two"),
    "index of nothing": (_index("[]"), "is no index"),
    "index elsewhere": (_index(json.dumps({"weight_map": {"a": "../a.safetensors"}})), "must lie beside it"),
    "file missing": (_index(json.dumps({"weight_map": {"a": "b.safetensors"}})), "b.safetensors does not exist"),
    "index wrong": (_index(json.dumps({"weight_map": {"a": "model.safetensors"}})), "says that a is in"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_checkpoint_is_named(tmp_path, case):
    breaks, message = BROKEN[case]
    breaks(written(tmp_path / "old", _state()))
    with pytest.raises(bg.BalanceGraphError, match=message):
        balance_checkpoint(tmp_path / "old", on_meta(mlp), X, output=tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_tied_parameters_that_differ_are_refused(tmp_path):
    old = written(tmp_path / "old", dict(randomized(Llama()).state_dict()))
    with pytest.raises(bg.InvalidParameterError, match=r"tokens.weight and head.weight are one parameter"):
        balance_checkpoint(old, on_meta(lambda: Llama(tied=True)), IDS, output=tmp_path / "new")


def test_outputs_and_arguments_that_cannot_be_are_refused(tmp_path):
    old, model = written(tmp_path / "old", _state()), on_meta(mlp)
    for output, message in ((old, "exists"), (old / "new", "lies within"), (tmp_path / "a" / "b", "is no directory")):
        with pytest.raises(bg.InvalidParameterError, match=message):
            balance_checkpoint(old, model, X, output=output)
    for arguments, message in (
        ((tmp_path / "none", model, X), "is no directory"),
        ((old, "model", X), "model must be"),
        ((old, model, X[0]), "must be a tuple"),
        ((old, model, X, bg.Cauchy(1.0)), "sums of powers"),
    ):
        with pytest.raises(bg.InvalidParameterError, match=message):
            balance_checkpoint(*arguments, output=tmp_path / "new")
    for options in ({"bound": -1.0}, {"tolerance": -1.0}, {"costed": ("all",)}):
        with pytest.raises(bg.InvalidParameterError, match=next(iter(options))):
            balance_checkpoint(old, model, X, output=tmp_path / "new", **options)

    class Rotary(nn.Linear):
        def __init__(self):
            super().__init__(3, 2)
            self.register_buffer("angles", torch.ones(2), persistent=False)

        def forward(self, x):
            return super().forward(x) * self.angles

    linear = written(tmp_path / "linear", {"weight": torch.ones(2, 3), "bias": torch.ones(2)})
    balance_checkpoint(linear, on_meta(Rotary), X, output=tmp_path / "unchecked")
    with pytest.raises(bg.UnsupportedError, match=r"buffer of shape \(2,\) .* check=False"):
        balance_checkpoint(linear, on_meta(Rotary), X, output=tmp_path / "new", check=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_the_old_directory_alone(tmp_path, monkeypatch, error):
    state = _state()
    old = written(tmp_path / "old", state)

    def fails(*_):
        assert len(list(tmp_path.iterdir())) == 2  # the new one is there, under another name
        raise error

    monkeypatch.setattr(stored_cost.StoredCost, "measured", fails)
    with pytest.raises(error):
        balance_checkpoint(old, on_meta(mlp), X, output=tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert all(torch.equal(value, state[name]) for name, value in read(old).items())


def test_without_safetensors_the_message_names_the_extra(tmp_path, monkeypatch):
    old = written(tmp_path / "old", _state())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(
        bg.MissingDependencyError, match=r"balance_checkpoint needs safetensors.*balance-graph\[torch\]"
    ):
        balance_checkpoint(old, on_meta(mlp), X, output=tmp_path / "new")


def balance_and_die(_, old, new):
    stored_cost.StoredCost.measured = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    balance_checkpoint(old, on_meta(mlp), X, output=new)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_run_that_is_killed_leaves_no_half_directory(tmp_path):
    state = _state()
    old = written(tmp_path / "old", state)
    assert run_together(balance_and_die, old, tmp_path / "new") == [-signal.SIGKILL]
    assert not (tmp_path / "new").exists()
    assert all(torch.equal(value, state[name]) for name, value in read(old).items())
    left = [p.name for p in tmp_path.iterdir() if p != old]
    assert len(left) == 1
    assert left[0].startswith(".new.")
    assert left[0].endswith(".partial")
    balance_checkpoint(old, on_meta(mlp), X, output=tmp_path / "new")  # what was left is not in the way
