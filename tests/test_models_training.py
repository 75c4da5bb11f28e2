"""Balancing while training: the function stays, and optimizers go on as if nothing had happened.

Room: pytorch.
"""

from __future__ import annotations

import copy
import io
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from model_checks import outputs, randomized  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402

import balance_graph as bg  # noqa: E402
from balance_graph.models import Tensor, rule  # noqa: E402
from balance_graph.pytorch import ModuleBalancer, cost_terms, kernels, register_optimizer  # noqa: E402

X = (torch.linspace(-1, 1, 12).reshape(4, 3).double(),)
ROUNDING = 1e-13


def mlp(seed=0, *between):
    """Far from balanced."""
    module = randomized(
        nn.Sequential(nn.Linear(3, 5), nn.ReLU(), *between, nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    )
    with torch.no_grad():
        module[0].weight.mul_(torch.tensor([3, 0.2, 1, 2, 5.0]).double()[:, None])
    return module


def change(before, after):
    return float((after - before).abs().max() / before.abs().max())


def largest_difference(one, two):
    return max(change(p.detach(), q.detach()) for p, q in zip(one.parameters(), two.parameters(), strict=True))


# --- transport ------------------------------------------------------------------------------------------------------

CASES = [
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("SGD", {"lr": 0.1}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "foreach": True}),
    ("Adam", {"fused": True}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True}),
    ("NAdam", {}),
    ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.3}),
    ("Rprop", {}),
    ("Muon", {}),
    # Exact up to the epsilon that is in their states.
    ("Adadelta", {"eps": 1e-30}),
    ("Adamax", {"eps": 1e-30}),
    ("RMSprop", {"eps": 1e-30}),
    ("RMSprop", {"eps": 1e-30, "momentum": 0.9, "centered": True}),
]


def optimizers_of(module, name, options):
    kind = getattr(torch.optim, name, None)
    if kind is None:
        pytest.skip(f"this version of torch has no {name}")
    if name != "Muon":
        return [kind(module.parameters(), **options)]
    flat = [p for p in module.parameters() if p.dim() == 2]
    rest = [p for p in module.parameters() if p.dim() != 2]
    return [kind(flat, **options), torch.optim.AdamW(rest)]


def feed(module, optimizers, gradients, log_gains=None):
    for step in gradients:
        for parameter, gradient in zip(module.parameters(), step, strict=True):
            parameter.grad = gradient.clone() if log_gains is None else gradient * (-log_gains[parameter]).exp()
        for optimizer in optimizers:
            optimizer.step()


def random_gradients(module, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    return [
        [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in module.parameters()]
        for _ in range(steps)
    ]


def states(module, optimizers):
    for parameter in module.parameters():
        for optimizer in optimizers:
            for name, value in optimizer.state.get(parameter, {}).items():
                yield name, torch.as_tensor(value).double()


def assert_same(one, their, two, others):
    assert largest_difference(one, two) < 1e-12
    for (name, a), (_, b) in zip(states(one, their), states(two, others), strict=True):
        assert float((a - b).abs().max()) <= 1e-12 * float(b.abs().max()), name


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{'-'.join(o)}" for n, o in CASES])
def test_the_state_is_that_of_an_optimizer_that_saw_the_gradients_in_new_coordinates(name, options):
    module = mlp()
    other = copy.deepcopy(module)
    ours, theirs = optimizers_of(module, name, options), optimizers_of(other, name, options)
    first, later = random_gradients(module, 7, 1), random_gradients(module, 6, 2)
    feed(module, ours, first)
    balancer = ModuleBalancer(module, ours, X, mode="full" if name == "AdamW" else "sweep")
    scales = balancer.step()
    assert np.abs(scales).max() > 0.3

    model = balancer.structure
    by_key = model.structure.log_gains(scales)
    ids = {id(tensor): by_key[key] for key, tensor in model.tensors.items() if key in by_key}
    gains = {
        p: torch.from_numpy(np.asarray(ids.get(id(q), np.zeros(q.shape))))
        for p, q in zip(other.parameters(), module.parameters(), strict=True)
    }
    feed(other, theirs, first, gains)
    with torch.no_grad():
        for p, q in zip(other.parameters(), module.parameters(), strict=True):
            p.copy_(q)
    assert_same(module, ours, other, theirs)
    feed(module, ours, later)
    feed(other, theirs, later)
    assert_same(module, ours, other, theirs)


def test_every_registered_class_is_tested():
    from balance_graph.pytorch import optimizers

    own = {kind.__name__ for kind in optimizers._RULES if kind.__module__.startswith("torch.")}
    assert own <= {name for name, _ in CASES}


class Unknown(torch.optim.SGD):
    """A subclass may remember other things."""


def test_unknown_optimizers_are_refused_by_name():
    module = mlp()
    with pytest.raises(bg.UnsupportedError, match=r"Unknown .*register_optimizer\(Unknown"):
        ModuleBalancer(module, Unknown(module.parameters(), lr=0.1), X)
    with pytest.raises(bg.UnsupportedError, match="LBFGS"):
        ModuleBalancer(module, [torch.optim.LBFGS(module.parameters())], X)
    with pytest.raises(bg.InvalidParameterError, match="Optimizer"):
        ModuleBalancer(module, "adam", X)


def test_users_register_their_own_and_unstated_states_are_refused_before_anything_changes():
    class Own(torch.optim.Optimizer):
        def __init__(self, parameters):
            super().__init__(parameters, {})

        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p] = {"step": torch.tensor(1.0), "sum": p.grad.clone(), "sign": p.grad.sign()}

    register_optimizer(Own, {"sum": -1})
    module = mlp()
    optimizer = Own(module.parameters())
    feed(module, [optimizer], random_gradients(module, 1, 0))
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(bg.UnsupportedError, match=r"'sign' of .*Own"):
        ModuleBalancer(module, optimizer, X).step()
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    register_optimizer(Own, {"sum": -1, "sign": 0})
    grads = {p: p.grad.clone() for p in module.parameters()}
    weights = {p: p.detach().clone() for p in module.parameters()}
    ModuleBalancer(module, optimizer, X).step()
    for p, g in grads.items():
        torch.testing.assert_close(optimizer.state[p]["sum"] * p.detach(), g * weights[p], rtol=1e-12, atol=0)
        assert torch.equal(optimizer.state[p]["sign"], g.sign())


def test_registration_is_checked():
    with pytest.raises(bg.InvalidParameterError, match="class"):
        register_optimizer("SGD", {})
    with pytest.raises(bg.InvalidParameterError, match=r"degrees\['sum'\]"):
        register_optimizer(Unknown, {"sum": "1/s"})


def test_coupled_weight_decay_is_said_once():
    module = mlp()
    optimizer = torch.optim.Adam(module.parameters(), weight_decay=0.1)
    with pytest.warns(UserWarning, match="decay enters the state of Adam"):
        balancer = ModuleBalancer(module, optimizer, X)
    balancer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ModuleBalancer(module, torch.optim.AdamW(module.parameters(), weight_decay=0.1), X)
        decoupled = torch.optim.Adam(module.parameters(), weight_decay=0.1, decoupled_weight_decay=True)
        ModuleBalancer(module, decoupled, X)


# --- sweeps ---------------------------------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 2)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x))))
        return self.c(torch.relu(F.linear(x, self.b.weight)))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.c(torch.relu(self.a(x)) * self.b(x) ** 2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.RNN(3, 4, nonlinearity="relu", batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.b(self.a(x[None])[0][0])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        x = self.a(x)[None]
        return self.c(self.b(x, x, x, need_weights=False)[0][0])


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 2), nn.Conv2d(4, 4, 2, groups=2)
        self.c = nn.Linear(8, 2)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x.reshape(1, 1, 4, 3))))).reshape(1, -1))


MODULES = [mlp, Tied, Gated, Recurrent, Attention, Convolutional]


@pytest.mark.parametrize(
    ("make", "regularizer"),
    [*((make, 2.0) for make in MODULES), (mlp, 1.0), (Gated, bg.ElasticNet(l1=0.5, l2=1.0))],
)
def test_sweeps_lower_the_cost_each_time_and_arrive_at_the_optimum(make, regularizer):
    module = randomized(make())
    other = copy.deepcopy(module)
    before = outputs(module, X)
    sweeper = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X, 1, "sweep", regularizer)
    full = ModuleBalancer(other, torch.optim.SGD(other.parameters(), lr=0.1), X, regularizer=regularizer)
    costs = [cost_of(module, sweeper)]
    for _ in range(900):
        moved = np.abs(sweeper.step()).max()
        costs.append(cost_of(module, sweeper))
        assert change(before, outputs(module, X)) < ROUNDING * 10
        if moved < 1e-10:
            break
    assert moved < 1e-9, moved
    assert all(later <= earlier * (1 + 1e-14) for earlier, later in pairwise(costs))
    full.step()
    assert change(before, outputs(other, X)) < ROUNDING
    assert cost_of(other, full) == pytest.approx(costs[-1], rel=1e-12)
    assert largest_difference(other, module) < 1e-7
    assert full.imbalance() < 1e-8
    assert np.abs(full.step()).max() < 1e-7


def cost_of(module, balancer):
    powers = balancer.regularizer.terms
    return sum(a * float(w.detach().abs().pow(p).sum()) for w in module.parameters() for a, p in powers)


def test_one_sweep_over_a_hidden_layer_is_the_closed_form():
    module = randomized(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)))
    into = (module[0].weight.detach() ** 2).sum(1) + module[0].bias.detach() ** 2
    out = (module[2].weight.detach() ** 2).sum(0)
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X, mode="sweep")
    np.testing.assert_allclose(balancer.step(), 0.25 * (out / into).log().numpy(), rtol=1e-13)
    assert balancer.imbalance() < 1e-14


def test_the_optimum_is_that_of_the_graph():
    module = mlp()
    layers = [module[k] for k in (0, 2, 4)]
    graph = bg.networks.from_layers(
        [layer.weight.detach().numpy().T for layer in layers], [layer.bias.detach().numpy() for layer in layers]
    )
    ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X).step()
    cost = sum(float((p.detach() ** 2).sum()) for p in module.parameters())
    assert cost == pytest.approx(bg.balance(graph).cost, rel=1e-12)


def test_imbalances_are_those_of_the_problem():
    module = mlp()
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X)
    terms = cost_terms(balancer.structure)
    problem = bg.BalanceProblem.from_terms(*terms)
    np.testing.assert_allclose(balancer.imbalances(), problem.relative_imbalances(np.zeros(9)), rtol=1e-12)
    assert balancer.imbalance() == balancer.imbalances().max()


@pytest.mark.parametrize("mode", ["full", "sweep"])
def test_dead_units_stay(mode):
    module = mlp()
    with torch.no_grad():
        module[2].weight[:, 1] = 0.0
        module[0].weight[3] = 0.0
        module[0].bias[3] = 0.0
        module[4].weight[:, 2] = 1e-30
    before = module[0].weight[1].detach().clone()
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X, mode=mode)
    scales = balancer.step()
    assert scales[1] == scales[3] == 0
    assert torch.equal(module[0].weight[1], before)
    assert np.abs(scales).max() <= np.log(2.0**20)
    assert np.count_nonzero(scales) >= 6


@pytest.mark.parametrize("mode", ["full", "sweep"])
def test_weights_that_are_not_finite_are_named(mode):
    module = mlp()
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X, mode=mode)
    with torch.no_grad():
        module[0].weight[1, 1] = float("nan")
    with pytest.raises(bg.InvalidParameterError, match=r"0(\.weight| unit 1).*not finite"):
        balancer.step()


# --- loops over memory ----------------------------------------------------------------------------------------------


class Mixed(nn.Module):
    """Rows and columns in every order: by positions, transposed, flattened, and a vector."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(1, 4, 2), nn.ConvTranspose1d(4, 3, 2), nn.Linear(9, 5)
        self.gain, self.d = nn.Parameter(torch.rand(5) + 0.5), nn.Linear(5, 2)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x[:, None]))))
        return self.d(torch.relu(self.c(x.flatten(1)) * self.gain))


def without_loops(monkeypatch):
    monkeypatch.setattr("balance_graph.pytorch.blocks.COMPILED", ())


def trained(make, dtype=torch.float64, regularizer=2.0):
    module = randomized(make()).to(dtype)
    optimizer = torch.optim.AdamW(module.parameters())
    x = (X[0].to(dtype),)
    for parameter in module.parameters():
        parameter.grad = torch.linspace(1, 2, parameter.numel(), dtype=parameter.dtype).reshape(parameter.shape)
    optimizer.step()
    return module, optimizer, ModuleBalancer(module, optimizer, x, mode="sweep", regularizer=regularizer, check=False)


@pytest.mark.parametrize("regularizer", [2.0, 1.0, bg.ElasticNet(l1=0.5, l2=1.0)], ids=["squares", "sizes", "both"])
@pytest.mark.parametrize("make", [*MODULES, Mixed])
def test_loops_over_memory_do_what_tensors_do(make, regularizer, monkeypatch):
    module, optimizer, balancer = trained(make, regularizer=regularizer)
    assert balancer._sweep._sums.terms() is not None
    found = balancer.imbalances(), balancer.step()
    without_loops(monkeypatch)
    other, others, slow = trained(make, regularizer=regularizer)
    assert slow._sweep._sums.terms() is None
    np.testing.assert_allclose(found[0], slow.imbalances(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found[1], slow.step(), rtol=1e-11, atol=1e-13)
    assert_same(module, [optimizer], other, [others])
    assert np.abs(found[1]).max() > 0.01


def test_loops_are_compiled_in_training_and_not_for_a_look(monkeypatch):
    """A module that is looked at once does not wait for numba; loops that are loaded are used at once."""
    monkeypatch.delitem(sys.modules, kernels.__name__)
    balancer = trained(mlp)[2]
    sums = balancer._sweep._sums
    assert [sums.terms() is None for _ in range(5)] == [True, True, True, False, False]
    monkeypatch.setitem(sys.modules, kernels.__name__, kernels)
    assert trained(mlp)[2]._sweep._sums.terms() is not None


def test_no_weight_of_these_layers_is_copied():
    for make in (mlp, Mixed):
        assert not trained(make)[2]._sweep._sums.terms().kept
    assert trained(mlp, torch.bfloat16)[2]._sweep._sums.terms().kept


def test_single_precision_is_close_to_double():
    for make in (mlp, Mixed):
        wide, narrow = trained(make)[2], trained(make, torch.float32)[2]
        np.testing.assert_allclose(wide.imbalances(), narrow.imbalances(), atol=1e-5)
        np.testing.assert_allclose(wide.step(), narrow.step(), atol=1e-5)


def test_weights_may_lie_elsewhere_later():
    module, _, balancer = trained(mlp)
    expected = balancer.imbalances()
    for move in (torch.clone, lambda t: t.t().clone().t() if t.dim() == 2 else t, torch.Tensor.float):
        for parameter in module.parameters():
            parameter.data = move(parameter.data)
        np.testing.assert_allclose(balancer.imbalances(), expected, atol=1e-6)
    module[0].weight.data = module[0].weight.data.double()  # among others in single precision
    np.testing.assert_allclose(balancer.imbalances(), expected, atol=1e-6)
    before = outputs(module.double(), X)
    balancer.step()
    assert change(before, outputs(module, X)) < 10 * ROUNDING
    assert balancer.imbalance() < expected.max()


# --- training -------------------------------------------------------------------------------------------------------


def test_every_counts_calls_and_goes_through_state_dicts():
    module = mlp()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    balancer = ModuleBalancer(module, optimizer, X, every=3)
    assert [balancer.step() is not None for _ in range(4)] == [False, False, True, False]
    file = io.BytesIO()
    torch.save(balancer.state_dict(), file)
    file.seek(0)
    other = ModuleBalancer(module, optimizer, X, mode="sweep")
    other.load_state_dict(torch.load(file))
    assert other.state_dict() == balancer.state_dict() == {"calls": 4, "every": 3, "mode": "full"}
    assert [other.step() is not None for _ in range(3)] == [False, True, False]
    for wrong in ({}, {"calls": -1, "every": 1, "mode": "full"}, {"calls": 0, "every": 1, "mode": "half"}, None):
        with pytest.raises(bg.InvalidParameterError, match=r"state|calls|mode"):
            other.load_state_dict(wrong)
    fresh = ModuleBalancer(module, optimizer, X)
    fresh.load_state_dict(fresh.state_dict())


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"every": 0}, bg.InvalidParameterError, "every"),
        ({"mode": "sweeps"}, bg.InvalidParameterError, "did you mean 'sweep'"),
        ({"regularizer": bg.Huber()}, bg.UnsupportedError, "sums of powers"),
        ({"roles": ("weights",)}, bg.InvalidParameterError, "roles"),
        ({"averages": [3]}, bg.InvalidParameterError, "int"),
        ({"averages": [{}]}, bg.InvalidParameterError, "no counterpart"),
    ],
)
def test_arguments_are_checked(options, error, match):
    module = mlp()
    with pytest.raises(error, match=match):
        ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X, **options)


@pytest.mark.parametrize("mode", ["full", "sweep"])
def test_averages_and_pending_gradients_are_scaled_on_request(mode):
    module = mlp()
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    feed(module, [torch.optim.SGD(module.parameters(), lr=0.1)], random_gradients(module, 1, 0))
    average.update_parameters(module)
    by_name = {name: 0.5 * value.detach() for name, value in module.named_parameters()}
    products = [p.detach() * p.grad for p in module.parameters()]
    before = outputs(average, X)
    half = torch.func.functional_call(module, by_name, X)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    balancer = ModuleBalancer(module, optimizer, X, mode=mode, averages=[average, by_name], gradients=True)
    scales = balancer.step()
    assert np.abs(scales).max() > 0.1
    assert change(before, outputs(average, X)) < ROUNDING
    assert change(half, torch.func.functional_call(module, by_name, X)) < ROUNDING
    for p, product in zip(module.parameters(), products, strict=True):
        torch.testing.assert_close(p.detach() * p.grad, product, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", ["full", "sweep"])
def test_batch_norms_are_those_of_training_and_keep_both_functions(mode):
    module = mlp(0, nn.BatchNorm1d(5))
    module.train()
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X, mode=mode)
    state = copy.deepcopy(module.state_dict())
    trained = outputs(module, X)
    module.load_state_dict(state)
    tested = outputs(module.eval(), X)
    module.train()
    assert np.abs(balancer.step()).max() > 0.1
    assert module.training
    assert change(tested, outputs(module.eval(), X)) < ROUNDING
    assert change(trained, outputs(module.train(), X)) < ROUNDING


def train(module, optimizer, step, batches=12):
    generator = torch.Generator().manual_seed(0)
    dtype = next(module.parameters()).dtype
    for _ in range(batches):
        x = torch.randn(16, 3, generator=generator, dtype=dtype)
        loss = (module(x) - x[:, :2].sin()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        step(loss)


def test_schedulers_go_on():
    module = mlp()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4)
    balancer = ModuleBalancer(module, optimizer, X, every=2)

    def step(loss):
        optimizer.step()
        balancer.step()
        scheduler.step()

    train(module, optimizer, step)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-6)
    assert balancer.imbalance() < 1e-8


def test_gradients_that_are_scaled_for_single_precision():
    module = mlp().float().train()
    optimizer = torch.optim.AdamW(module.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    balancer = ModuleBalancer(module, optimizer, (X[0].float(),), mode="sweep")

    def step(loss):
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        before = outputs(module, (X[0].float(),))
        balancer.step()
        assert change(before, outputs(module, (X[0].float(),))) < 1e-5

    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        x = torch.randn(16, 3, generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = module(x)
        step((y.float() - x[:, :2].sin()).square().mean())
    assert balancer.imbalance() < 0.1
    assert all(torch.isfinite(p).all() for p in module.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_rounded_once(dtype):
    module = mlp().to(dtype)
    weights = [p.detach().double() for p in module.parameters()]
    x = (X[0].to(dtype),)
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), x, mode="sweep")
    by_key = balancer.structure.structure.log_gains(balancer.step())
    gains = {id(tensor): by_key[key] for key, tensor in balancer.structure.tensors.items() if key in by_key}
    for p, w in zip(module.parameters(), weights, strict=True):
        exact = w * torch.from_numpy(gains.get(id(p), np.zeros(p.shape))).exp()
        assert float(((p.detach().double() - exact) / exact).abs().max()) < 0.51 * torch.finfo(dtype).eps


@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_modules(in_place):
    module = mlp()
    if in_place:
        module.compile(backend="eager")
        compiled = module
    else:
        compiled = torch.compile(module, backend="eager")
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    balancer = ModuleBalancer(compiled, optimizer, X)

    def step(loss):
        optimizer.step()
        before = compiled(*X).detach()
        balancer.step()
        assert change(before, compiled(*X).detach()) < ROUNDING

    train(compiled, optimizer, step, 3)
    assert balancer.imbalance() < 1e-8
    torch._dynamo.reset()


def test_modules_whose_parameters_are_replaced_are_read_again():
    module = mlp()
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), X)
    balancer.step()
    module.load_state_dict(mlp(1).state_dict(), assign=True)
    assert np.abs(balancer.step()).max() > 0.1
    assert balancer.imbalance() < 1e-8


def test_a_wrong_rule_is_caught_and_everything_is_as_before():
    @torch.library.custom_op("balance_graph_tests::bend", mutates_args=())
    def bend(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x)

    @bend.register_fake
    def _(x):
        return torch.empty_like(x)

    bend.register_autograd(lambda ctx, g: g)

    class Bend(nn.Module):
        def forward(self, x):
            return bend(x)

    @rule("balance_graph_tests::bend")
    def read(trace, x):
        return Tensor(trace.labels(x))

    module = mlp(0, Bend())
    optimizer = torch.optim.Adam(module.parameters())
    feed(module, [optimizer], random_gradients(module, 2, 0))
    balancer = ModuleBalancer(module, optimizer, X)
    before = copy.deepcopy((module.state_dict(), optimizer.state_dict()["state"]))
    with pytest.raises(bg.UnsupportedError, match="changed the outputs"):
        balancer.step()
    after = module.state_dict(), optimizer.state_dict()["state"]
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert all(torch.equal(before[1][k][name], after[1][k][name]) for k in before[1] for name in before[1][k])


def test_digits_are_learned_by_a_network_that_stays_balanced():
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16.0).float(), torch.tensor(y)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        module[2].weight.mul_(5)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    balancer = ModuleBalancer(module, optimizer, (x[:1],))
    objects = [(p, p.data_ptr(), p.dtype) for p in module.parameters()]
    first = balancer.imbalance()
    for _ in range(4):
        for rows in torch.randperm(1500).split(64):
            loss = F.cross_entropy(module(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        drifted, before = balancer.imbalance(), outputs(module, (x[:50],))
        balancer.step()
        assert balancer.imbalance() < 1e-4 < drifted
        assert change(before, outputs(module, (x[:50],))) < 1e-5
    assert first > 0.9
    assert [(p, p.data_ptr(), p.dtype) for p in module.parameters()] == objects
    accuracy = (module(x[1500:]).argmax(1) == y[1500:]).float().mean()
    assert accuracy > 0.85
