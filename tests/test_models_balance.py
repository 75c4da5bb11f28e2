"""Balancing modules: function kept, optimum certified, what cannot be balanced held and named, faults undone.

Rooms: models, pytorch.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from model_checks import outputs, randomized  # noqa: E402
from scipy import optimize  # noqa: E402
from test_models_architectures import MODELS  # noqa: E402
from torch import nn  # noqa: E402

import balance_graph as bg  # noqa: E402
from balance_graph.models import Tensor, rule  # noqa: E402
from balance_graph.pytorch import (  # noqa: E402
    apply,
    balance_module,
    canonical_form,
    cost_terms,
    equivalent,
    imbalance,
    read_module,
    to_graph,
)


def numbers(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = (numbers(7, 3),)


def mlp(activation=nn.ReLU, widths=(3, 5, 4, 2)):
    layers = [part for i, o in pairwise(widths) for part in (nn.Linear(i, o), activation())]
    return randomized(nn.Sequential(*layers[:-1]))


def graph_of(module):
    layers = [part for part in module if isinstance(part, nn.Linear)]
    return bg.networks.from_layers(
        [layer.weight.detach().double().numpy().T for layer in layers],
        [layer.bias.detach().double().numpy() for layer in layers],
    )


def state_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def is_state(module, state):
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


ARCHITECTURES = (
    *("mobilenet_v3", "vgg", "shufflenet", "densenet", "unet", "vit with relu", "swin", "llama", "gpt2", "mamba"),
    *("experts", "relu rnn"),
)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_keep_their_function_and_reach_the_certified_optimum(name):
    build, inputs, _ = MODELS[name]
    module = randomized(build())
    before = outputs(module, inputs)
    report = balance_module(module, inputs)
    after = outputs(module, inputs)
    assert float((after - before).abs().max() / before.abs().max()) < 1e-12
    assert report.output_change < 1e-12
    assert report.converged
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    assert report.cost < report.initial_cost
    assert report.cost == pytest.approx(sum(float((p.detach() ** 2).sum()) for p in module.parameters()), rel=1e-12)


@pytest.mark.parametrize(
    "regularizer", [2.0, 1.0, 0.5, bg.ElasticNet(l1=0.3, l2=1.0), bg.Posynomial([(1.0, 0.5), (0.2, 3.0)])]
)
def test_an_mlp_is_balanced_as_its_graph(regularizer):
    module = mlp()
    graph = bg.balance(graph_of(module), regularizer)
    report = balance_module(module, X, regularizer)
    assert report.initial_cost == pytest.approx(graph.initial_cost, rel=1e-13)
    assert report.cost == pytest.approx(graph.cost, rel=1e-13)
    for edge, weight in graph_of(module).edges.items():
        assert weight["weight"] == pytest.approx(graph.graph.edges[edge]["weight"], rel=1e-9)


@pytest.mark.parametrize("costed", [("weights",), ("weights", "biases"), ("biases", "norms"), ("norms",)])
def test_norms_costed_or_not(costed):
    module = randomized(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)))
    state = state_of(module)
    report = balance_module(module, X, costed=costed)
    assert report.output_change < 1e-12
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    layer = [unit for unit in report.units if unit.name.startswith("0 unit")]
    # Where not all cost, weights before or after the norm shrink for nothing, and take the other side along.
    assert [unit.status for unit in layer] == ["pinned"] * 4
    assert all(unit.reason.startswith("free of cost") and unit.scale == 1.0 for unit in layer)
    assert torch.equal(module[0].weight, state["0.weight"])
    assert "8 pinned: free of cost" in report.summary()


def test_biases_hold_what_norms_without_cost_do_not():
    module = randomized(
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    )
    report = balance_module(module, X, costed=("weights", "biases"))
    assert [unit.status for unit in report.units if unit.name.startswith("3 unit")] == ["scaled"] * 5
    assert [unit.status for unit in report.units if unit.name.startswith("1 ")] == ["pinned"] * 4
    into = (module[3].weight ** 2).sum(1) + module[3].bias ** 2
    torch.testing.assert_close(into, (module[5].weight ** 2).sum(0))
    assert report.certificate.relative_gap < 1e-9


def test_with_norms_that_cost_the_layer_before_is_balanced():
    module = randomized(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)))
    report = balance_module(module, X)
    assert all(unit.status == "scaled" for unit in report.units if unit.name.startswith(("0 unit", "1 channel")))
    # A norm's weight against the layer that it reads.
    torch.testing.assert_close((module[0].weight ** 2).sum(1) + module[0].bias ** 2, module[1].weight ** 2)
    assert {"0.weight", "0.bias", "1.weight", "1.running_mean"} == set(report.units[0].parameters)


def test_a_wrong_rule_is_caught_and_everything_restored_bit_for_bit():
    module = nn.Sequential(mlp(), Wave(), nn.Linear(2, 2), nn.BatchNorm1d(2)).double().train()
    randomized(module[2]), randomized(module[3])
    module.train()
    state, objects = state_of(module), list(module.parameters())
    with wrong_sine(), pytest.raises(bg.FunctionChangedError, match="restored") as caught:
        balance_module(module, X)
    assert is_state(module, state)
    assert all(one is other for one, other in zip(objects, module.parameters(), strict=True))
    assert all(part.training for part in module.modules())
    error = caught.value
    assert error.change > error.tolerance == math.sqrt(torch.finfo(torch.float64).eps)
    assert {name.partition(" ")[0] for name in error.units} == {"0.4"}
    assert f"{error.change:.3g}" in str(error)


class Wave(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class wrong_sine:
    """The sine is homogeneous, says a rule, while this lasts."""

    def __enter__(self):
        from balance_graph.models import registry

        self.before = dict(registry._RULES)

        @rule("aten::sin")
        def _sine(trace, x):
            return Tensor(trace.labels(x))

    def __exit__(self, *_):
        from balance_graph.models import registry

        registry._RULES.clear()
        registry._RULES.update(self.before)


def test_whatever_fails_on_the_way_leaves_the_module_as_it_was():
    calls = []

    def interrupted(*_):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt

    module = mlp()
    read_module(module, X)
    state = state_of(module)
    module.register_forward_hook(interrupted)
    with pytest.raises(KeyboardInterrupt):
        balance_module(module, X)
    assert len(calls) == 2
    assert is_state(module, state)


@pytest.mark.parametrize(("dtype", "imbalance_left"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_types_and_objects_are_kept_and_the_tolerance_follows(dtype, imbalance_left):
    module = mlp().to(dtype)
    module[0].weight.requires_grad_(False)
    objects, wanted = list(module.parameters()), [p.requires_grad for p in module.parameters()]
    report = balance_module(module, (X[0].to(dtype),))
    assert all(one is other for one, other in zip(objects, module.parameters(), strict=True))
    assert [p.requires_grad for p in module.parameters()] == wanted
    assert all(p.dtype == dtype and p.is_leaf for p in module.parameters())
    assert report.tolerance == math.sqrt(torch.finfo(dtype).eps)
    assert 0 < report.output_change < report.tolerance
    assert 0 < report.relative_imbalance < imbalance_left
    exact = bg.balance(graph_of(copy.deepcopy(module).double()))
    assert report.cost == pytest.approx(exact.initial_cost, rel=1e-12)
    assert report.certificate.lower_bound <= exact.cost * (1 + 1e-12)


def test_a_copy_is_balanced_where_asked():
    module = mlp()
    state = state_of(module)
    report = balance_module(module, X, inplace=False)
    assert report.module is not module
    assert is_state(module, state)
    assert imbalance(report.module, X).largest < 1e-10 < imbalance(module, X).largest


@pytest.mark.parametrize("bound", [0.05, 0.2, 0.5])
def test_the_bounded_optimum_is_that_of_a_general_method(bound):
    module = mlp(widths=(3, 6, 5, 2))
    model = read_module(module, X)
    problem = bg.BalanceProblem.from_terms(*cost_terms(model))
    general = optimize.minimize(
        problem.cost,
        np.zeros(11),
        jac=problem.imbalance,
        bounds=[(-bound, bound)] * 11,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )
    report = balance_module(module, X, bound=bound)
    at_bound = np.abs(report.log_scales) > bound * (1 - 1e-12)
    assert 0 < at_bound.sum() <= 11
    assert np.abs(report.log_scales).max() <= bound
    assert report.converged
    assert report.cost == pytest.approx(general.fun, rel=1e-9)
    np.testing.assert_allclose(report.log_scales, general.x, atol=1e-5)
    held = {unit.name for unit in report.units if unit.reason == "held at the bound"}
    assert held == {name for name, there in zip(model.structure.scales, at_bound, strict=True) if there}


def test_dead_channels_are_named_and_kept():
    module = mlp()
    with torch.no_grad():
        module[2].weight[:, 1] = 0.0  # nothing reads unit 1
        module[0].weight[3] = 0.0  # nothing reaches unit 3 ...
        module[0].bias[3] = 0.0
        module[0].weight[4] = 0.0  # unit 4 is nothing to anyone
        module[0].bias[4] = 0.0
        module[2].weight[:, 4] = 0.0
    state = state_of(module)
    report = balance_module(module, X)
    dead = [unit.name for unit in report.units if unit.reason.startswith("dead")]
    assert dead == ["0 unit 1", "0 unit 3", "0 unit 4"]
    assert all(unit.status == "pinned" and unit.scale == 1 for unit in report.units if unit.name in dead)
    assert torch.equal(module[0].weight[1], state["0.weight"][1])
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    assert set(imbalance(module, X).units) == {"0 unit 0", "0 unit 2", *(f"2 unit {k}" for k in range(4))}


def test_nearly_dead_channels_are_bounded_not_chased():
    module = mlp()
    with torch.no_grad():
        module[2].weight[:, 1] *= 1e-30
    kept = copy.deepcopy(module)
    report = balance_module(module, X)
    held = [unit for unit in report.units if "nearly dead" in unit.reason]
    assert [unit.name for unit in held] == ["0 unit 1"]
    assert held[0].scale == pytest.approx(math.exp(-20))
    assert report.certificate.relative_gap < 1e-9
    free = balance_module(kept, X, bound=math.inf)
    assert free.units[[unit.name for unit in free.units].index("0 unit 1")].scale < 1e-14
    assert free.cost <= report.cost


def test_a_layer_used_twice_is_one():
    layer = nn.Linear(4, 4, bias=False)
    module = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 2))
    randomized(module)
    report = balance_module(module, X)
    assert report.output_change < 1e-12
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    assert module[2] is module[4]
    assert (
        report.initial_cost
        > report.cost
        == pytest.approx(sum(float((p.detach() ** 2).sum()) for p in module.parameters()))
    )


def test_an_embedding_tied_to_the_head_stays_tied():
    build, inputs, _ = MODELS["llama, tied"]
    module = randomized(build())
    names = [name for name, _ in module.named_parameters(remove_duplicate=False)]
    assert len(names) > len(list(module.parameters()))
    shared = {name: id(p) for name, p in module.named_parameters(remove_duplicate=False)}
    report = balance_module(module, inputs)
    assert shared == {name: id(p) for name, p in module.named_parameters(remove_duplicate=False)}
    assert report.output_change < 1e-12
    assert report.relative_imbalance < 1e-10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regularizer": bg.Cauchy()}, "sums of powers"),
        ({"regularizer": "adam"}, "regularizer must be"),
        ({"costed": "weights"}, "costed must be"),
        ({"costed": ("weight",)}, "costed must be"),
        ({"costed": ()}, "costed must be"),
        ({"bound": 0}, "bound must be"),
        ({"bound": True}, "bound must be"),
        ({"bound": math.nan}, "bound must be"),
        ({"tolerance": -1.0}, "tolerance"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(bg.InvalidParameterError, match=message):
        balance_module(mlp(), X, **arguments)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
def test_weights_that_have_no_cost_are_refused_by_name(value):
    module = mlp()
    with torch.no_grad():
        module[2].weight[0, 0] = value
    state = state_of(module)
    with pytest.raises(bg.InvalidParameterError, match=r"2\.weight"):
        balance_module(module, X)
    assert torch.equal(module[0].weight, state["0.weight"])


def test_nothing_to_scale():
    module = randomized(nn.Sequential(nn.Linear(3, 2), nn.Tanh()))
    state = state_of(module)
    report = balance_module(module, X)
    assert is_state(module, state)
    assert (report.relative_imbalance, report.output_change) == (0.0, 0.0)
    assert report.cost == report.initial_cost == pytest.approx(report.certificate.lower_bound)
    assert imbalance(module, X).as_dict()["imbalance/total"] == 0.0


def test_reports_show_what_was_done():
    pytest.importorskip("pandas")
    report = balance_module(mlp(nn.Tanh), X)
    frame = report.to_frame()
    assert list(frame.columns) == ["name", "layer", "status", "reason", "scale", "parameters"]
    assert len(frame) == len(report.units)
    assert "pinned: input of tanh" in report.summary()
    assert "ModuleReport(Sequential" in repr(report)
    assert "<table>" in report._repr_html_()


def test_imbalance_is_that_of_the_graph():
    module = mlp()
    graph = graph_of(module)
    problem = bg.compile_graph(graph)
    found = imbalance(module, X)
    free = problem.manifold.free_nodes
    expected = problem.relative_imbalances(problem.unscaled)
    np.testing.assert_allclose(list(found.units.values()), expected, rtol=1e-10)
    net = np.abs(problem.imbalance(problem.unscaled)[free])
    into, out_of = (np.exp(side[free]) for side in problem.log_in_out(problem.unscaled))
    assert found.total == pytest.approx(net.sum() / (into + out_of).sum())
    assert found.layers["0"] == pytest.approx(net[:5].sum() / (into + out_of)[:5].sum())
    assert found.cost == pytest.approx(problem.cost(problem.unscaled))


def test_canonical_forms_are_equal_exactly_where_modules_are_equivalent():
    build, inputs, count = MODELS["unet"]
    module = randomized(build())
    other = copy.deepcopy(module)
    apply(read_module(other, inputs), 1.5 * np.random.default_rng(0).standard_normal(count))
    assert equivalent(module, other, inputs)
    assert equivalent(other, module, inputs, rtol=1e-11)
    for one, two in zip(
        canonical_form(module, inputs).parameters(), canonical_form(other, inputs).parameters(), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=0.0)


def test_another_weight_is_not_equivalent():
    module = randomized(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)))
    other = copy.deepcopy(module)
    tensors = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    for name in ("0.weight", "0.bias", "2.weight", "4.bias", "1.running_mean", "1.running_var"):
        element = tensors[name].detach().view(-1)[0]
        value = element.clone()
        for changed in (1.001 * value, -value, 0.0 * value):
            element.copy_(changed)
            assert not equivalent(module, other, X), (name, changed)
        element.copy_(value)
    assert equivalent(module, other, X)


def test_other_architectures_are_not_equivalent():
    assert not equivalent(mlp(), mlp(nn.Tanh), X)
    assert not equivalent(mlp(), mlp(widths=(3, 5, 5, 2)), X)
    assert equivalent(mlp().float(), mlp().float(), (X[0].float(),))


def test_dead_channels_are_equivalent_whatever_their_scale():
    module = mlp()
    with torch.no_grad():
        module[2].weight[:, 1] = 0.0
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[0].weight[1] *= 7.0
        other[0].bias[1] *= 7.0
    assert equivalent(module, other, X)


@pytest.mark.parametrize("activation", [lambda: nn.LeakyReLU(0.2), nn.Tanh])
def test_the_graph_of_a_module_has_its_balanced_state(activation):
    module = nn.Sequential(mlp(activation), nn.Dropout()).double()
    graph = to_graph(module, X)
    np.testing.assert_allclose(
        [bg.evaluate(graph, row) for row in X[0].numpy()], module.eval()(*X).detach().numpy(), rtol=1e-12
    )
    report = balance_module(module, X)
    balanced = bg.balance(graph)
    assert report.cost == pytest.approx(balanced.cost, rel=1e-13)
    for edge, data in to_graph(module, X).edges.items():
        assert data["weight"] == pytest.approx(balanced.graph.edges[edge]["weight"], rel=1e-9)


def test_what_has_no_graph_is_refused_by_name():
    with pytest.raises(bg.UnsupportedError, match="1: GELU has no graph"):
        to_graph(nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 2)).double(), X)
    with pytest.raises(bg.UnsupportedError, match="0: an activation must follow"):
        to_graph(nn.Sequential(nn.ReLU(), nn.Linear(3, 2)).double(), X)
    layer = nn.Linear(3, 3)
    with pytest.raises(bg.UnsupportedError, match="2: a layer that shares weights"):
        to_graph(nn.Sequential(layer, nn.ReLU(), layer).double(), X)
    with pytest.raises(bg.UnsupportedError, match="no linear layer"):
        to_graph(nn.Identity(), X)


class Busy(nn.Module):
    """Counts its calls, draws random numbers, writes into its inputs, holds a buffer that cannot be written."""

    def __init__(self):
        super().__init__()
        self.body = mlp()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", torch.ones(1, dtype=torch.float64).expand(2))

    def forward(self, x, *, shift=None):
        self.calls.add_(1)
        x = x.mul_(2.0) if shift is None else x + shift
        return {"out": self.body(x) * self.mask, "noise": torch.randn(2), "size": x.shape[0]}


def test_measuring_leaves_no_trace():
    module, x, random = Busy(), X[0].clone(), torch.get_rng_state()
    report = balance_module(module, (x,))
    assert torch.equal(x, X[0])
    assert torch.equal(torch.get_rng_state(), random)
    assert module.calls == 0
    assert report.output_change < 1e-12
    assert balance_module(module, (x,), kwargs={"shift": numbers(3)}).output_change < 1e-12


def test_weights_that_are_not_loaded_are_refused():
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        x = (torch.ones(1, 3),)
    with pytest.raises(bg.UnsupportedError, match=r"0\.weight.*meta"):
        balance_module(module, x)


def test_large_modules_are_balanced_by_passes():
    module = nn.Sequential(nn.Linear(40, 90), nn.ReLU(), nn.Linear(90, 60), nn.ReLU(), nn.Linear(60, 10)).double()
    report = balance_module(module, (numbers(4, 40),))
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    assert report.output_change < 1e-12
