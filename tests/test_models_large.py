"""Models in large blocks: the same optimum as term by term, in passes over tensors where they are, certified.

Rooms: models, pytorch.
"""

from __future__ import annotations

import copy
import math
import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from model_checks import change_of_function, randomized  # noqa: E402
from scipy import sparse  # noqa: E402
from test_models_architectures import MODELS  # noqa: E402
from torch import nn  # noqa: E402

import balance_graph as bg  # noqa: E402
from balance_graph.certificate import blocks as certificate  # noqa: E402
from balance_graph.models import large  # noqa: E402
from balance_graph.models.balanced import balanced  # noqa: E402
from balance_graph.models.blocks import ArrayBlock  # noqa: E402
from balance_graph.models.certificate import certify_cost  # noqa: E402
from balance_graph.models.components import separated  # noqa: E402
from balance_graph.models.cost import CountedBlock, ModelCost  # noqa: E402
from balance_graph.points.block_flows import BlockFlows  # noqa: E402
from balance_graph.points.blocks_point import BlocksPoint  # noqa: E402
from balance_graph.problem.block_costs import Terms  # noqa: E402
from balance_graph.pytorch import ModuleBalancer, apply, balance_module, imbalance, read_module  # noqa: E402
from balance_graph.pytorch.blocks import BFloat16Block, DeviceBlock, weight_block  # noqa: E402
from balance_graph.pytorch.costs import model_cost  # noqa: E402
from balance_graph.pytorch.in_place import is_functional  # noqa: E402
from balance_graph.solvers.newton_loop import NewtonLoop  # noqa: E402

L2 = ((1.0, 2.0),)


@pytest.fixture
def all_in_blocks(monkeypatch):
    """Every block of more than one weight is kept as a block, as in large models."""
    monkeypatch.setattr(large, "_MANY", 0)
    monkeypatch.setattr(large, "_LARGE", 2)


def disturbed(module, inputs):
    model = read_module(module, inputs)
    apply(model, 3.0 * np.random.default_rng(0).standard_normal(model.structure.size))


def sparse_weights(module, inputs):
    generator = torch.Generator().manual_seed(5)
    for p in module.parameters():
        if p.dim() > 1:
            p[torch.rand(p.shape, generator=generator) < 0.3] = 0.0


def nearly_dead(module, inputs):
    for p in module.parameters():
        if p.dim() > 1:
            p[0] *= 1e-25
            p[-1] = 0.0


CASES = [
    ("resnet50", disturbed, {}),
    ("unet", nearly_dead, {}),
    ("swin", disturbed, {"bound": 0.3}),
    ("llama", sparse_weights, {}),
    ("mamba", disturbed, {}),
    ("relu rnn", nearly_dead, {}),
    ("experts", disturbed, {"regularizer": bg.ElasticNet(l1=0.3, l2=1.0)}),
]


@pytest.mark.parametrize(("name", "change", "options"), CASES)
def test_blocks_lead_to_the_optimum_of_the_terms(name, change, options, request):
    build, inputs, _ = MODELS[name]
    module = randomized(build())
    with torch.no_grad():
        change(module, inputs)
    other = copy.deepcopy(module)
    terms = balance_module(module, inputs, **options)
    assert not large.large_blocks(terms._structure, ("weight",))
    request.getfixturevalue("all_in_blocks")
    blocks = balance_module(other, inputs, **options)
    assert large.large_blocks(blocks._structure, ("weight", "norm"))
    assert blocks.converged
    assert blocks.initial_cost == pytest.approx(terms.initial_cost, rel=1e-12)
    assert blocks.cost == pytest.approx(terms.cost, rel=1e-12)
    np.testing.assert_allclose(blocks.log_scales, terms.log_scales, atol=1e-9)
    assert blocks.relative_imbalance < 1e-11
    assert blocks.certificate.relative_gap < 1e-11
    assert blocks.certificate.lower_bound <= terms.cost * (1 + 1e-13)
    assert [unit.reason for unit in blocks.units] == [unit.reason for unit in terms.units]


def problem_of(module, inputs):
    model = read_module(module, inputs)
    return model_cost(model, L2)


def wide_mlp(width=260, dtype=torch.float32, spread=1.0):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)).to(
        dtype
    )
    x = (torch.ones(1, 5, dtype=dtype),)
    model = read_module(module, x)
    apply(model, spread * np.random.default_rng(1).standard_normal(model.structure.size))
    return module, x


def test_large_layers_are_kept_where_they_are_and_small_ones_are_terms():
    module, x = wide_mlp()
    cost = problem_of(module, x)
    assert [one.block.weights.shape for one in cost.blocks] == [(260, 260)]
    assert np.shares_memory(cost.blocks[0].block.weights, module[2].weight.detach().numpy())
    # Inputs with biases summed for each unit, biases of the second layer, outputs of each, and what no scale moves.
    assert cost.terms.A.shape == (260 + 260 + 260 + 1, 520)
    assert cost.n_terms == 260**2 + 781


def test_no_copy_of_the_weights_is_made():
    module, x = wide_mlp(2000)
    read_module(module, x)
    balance_and_prove(*wide_mlp(260))  # every loop that is needed is compiled, or loaded, before memory is counted
    tracemalloc.start()
    cost, found, proven = balance_and_prove(module, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.converged
    assert proven.lower_bound <= cost_at(cost, found.log_scales)
    assert peak < 0.5 * 4 * 2000**2


def balance_and_prove(module, x):
    cost = problem_of(module, x)
    return cost, balanced(cost), certify_cost(cost, bg.Lp(2.0))


def cost_at(cost, log_scales):
    return math.exp(BlockFlows(cost, log_scales).log_cost)


def test_few_passes_suffice():
    cost = problem_of(*wide_mlp(spread=0.0))
    flows = BlockFlows(cost, np.zeros(cost.size))
    assert NewtonLoop(1e-10).follow(BlocksPoint(flows), 50).name == "CONVERGED"
    assert flows.passes <= 15


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.5])
def test_the_flows_are_derivatives_of_the_cost(exponent, all_in_blocks):
    build, inputs, _ = MODELS["llama"]
    cost = model_cost(read_module(randomized(build()), inputs), ((0.7, exponent), (0.2, 2.5)))
    rng = np.random.default_rng(2)
    at, step = 0.3 * rng.standard_normal(cost.size), rng.standard_normal(cost.size)
    flows = BlockFlows(cost, at)
    unit = math.exp(flows.placed.log_unit)
    h = 1e-5
    before, after = (BlockFlows(cost, at + sign * h * step) for sign in (-1, 1))
    slope = (math.exp(after.log_cost) - math.exp(before.log_cost)) / (2 * h)
    assert unit * float((flows.into - flows.out_of)[:-1] @ step) == pytest.approx(slope, rel=1e-7)
    product = np.empty(cost.size)
    flows.product(flows.diagonal(), step, product)
    gradients = [math.exp(one.placed.log_unit) * (one.into - one.out_of)[:-1] for one in (before, after)]
    expected = (gradients[1] - gradients[0]) / (2 * h)
    np.testing.assert_allclose(unit * product, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    unit_vector = np.zeros(cost.size)
    unit_vector[3] = 1.0
    flows.product(flows.diagonal(), unit_vector, product)
    assert product[3] == pytest.approx(flows.diagonal()[3], rel=1e-12)


@pytest.mark.parametrize("moved", [1e-4, 1e-3])
def test_bounds_hold_without_a_direction(moved, monkeypatch):
    """All of what a point lacks of balance must then be made up for by the reach of a correction."""
    monkeypatch.setattr(certificate, "_SMALL", 1.0)
    cost = problem_of(*wide_mlp(spread=1.0))
    found = balanced(cost).log_scales
    best, away = cost_at(cost, found), found + moved * np.random.default_rng(4).standard_normal(cost.size)
    proven = certify_cost(restarted(cost, away), bg.Lp(2.0))
    assert proven.cost > best * (1 + 1e-9)
    assert best * (1 - 1e-1) < proven.lower_bound <= best * (1 + 1e-14)


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 4.0])
def test_bounds_hold_wherever_they_are_asked_for(spread):
    cost = problem_of(*wide_mlp(spread=1.0))
    best = cost_at(cost, balanced(cost).log_scales)
    away = balanced(cost).log_scales + spread * np.random.default_rng(3).standard_normal(cost.size)
    moved = restarted(cost, away)
    proven = certify_cost(moved, bg.Lp(2.0))
    assert proven.cost == pytest.approx(cost_at(cost, away), rel=1e-12)
    assert best * (1 - 1e-6) <= proven.lower_bound <= best * (1 + 1e-14)


def restarted(cost, log_scales):
    """The same cost, its log-scales counted from others: all are fixed there, and come back as new ones."""
    terms = cost.terms
    shifted = terms.log_coefficient + terms.exponent * (terms.A @ log_scales)
    return ModelCost(
        cost.forms, cost.offset + cost.forms @ log_scales, cost.blocks, terms._replace(log_coefficient=shifted)
    )


def test_the_gap_at_the_optimum_is_rounding_that_is_allowed_for():
    cost = problem_of(*wide_mlp(spread=1.0))
    gap = certify_cost(restarted(cost, balanced(cost).log_scales), bg.Lp(2.0)).relative_gap
    assert 1e-15 < gap < 1e-11


def test_blocks_of_two_networks_are_two_components():
    rng = np.random.default_rng(0)
    n = 40
    ends = sparse.eye_array(4 * n, format="csr")
    forms = sparse.csr_array(sparse.vstack([sparse.csr_array((1, 4 * n)), ends, -ends]))

    def block(first, second):
        weights = rng.standard_normal((n, n))
        tail = 1 + 4 * n + first * n + np.arange(n) if first is not None else np.zeros(n, dtype=int)
        head = 1 + second * n + np.arange(n) if second is not None else np.zeros(n, dtype=int)
        return CountedBlock.of(ArrayBlock(tail, head, weights), 2.0)

    chains = [(None, 0), (0, 1), (1, None), (None, 2), (2, 3), (3, None)]
    nothing = Terms.none(4 * n)
    cost = ModelCost.of(forms, [block(*ends) for ends in chains], [(1.0, nothing)])
    parts = [(scales, part) for scales, part in separated(cost) if scales.size]
    assert [(scales.tolist(), len(part.blocks)) for scales, part in parts] == [
        (list(range(2 * n)), 3),
        (list(range(2 * n, 4 * n)), 3),
    ]
    log_scales = np.concatenate([balanced(part).log_scales for _, part in parts])
    expected = bg.solve(cost.problem).log_scales
    np.testing.assert_allclose(log_scales, expected, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["where it is", "on a device"])
def test_weights_of_all_types_have_the_sums_of_their_values(dtype, kind):
    torch.manual_seed(1)
    layer = nn.Linear(70, 90, bias=False).to(dtype)
    network = nn.Sequential(nn.Linear(3, 70), nn.ReLU(), layer, nn.ReLU(), nn.Linear(90, 2)).to(dtype)
    with torch.no_grad():
        layer.weight[3], layer.weight[:, 5], layer.weight[7, 8] = 0.0, 0.0, 0.0
    structure = read_module(network, (torch.ones(1, 3, dtype=dtype),)).structure
    found = next(block for block in structure.blocks if block.shape == (90, 70))
    block = weight_block(found, layer.weight)
    if kind == "on a device":
        block = DeviceBlock(block.tail, block.head, layer.weight.detach())
    else:
        assert isinstance(block, BFloat16Block) == (dtype == torch.bfloat16)
    exact = layer.weight.detach().double().numpy()
    rng = np.random.default_rng(0)
    rows, columns = rng.random(90), rng.random(70)
    for exponent in (1.0, 2.0, 3.5):
        costs = np.abs(exact) ** exponent
        by_row, by_column = block.products(exponent, 0.7, rows, columns)
        np.testing.assert_allclose(by_row, costs @ columns * math.exp(-0.7), rtol=1e-13)
        np.testing.assert_allclose(by_column, rows @ costs * math.exp(-0.7), rtol=1e-13)
        extent = block.extent(exponent)
        assert math.exp(extent[0]) == pytest.approx(costs[costs > 0].min(), rel=1e-13)
        assert math.exp(extent[1]) == pytest.approx(costs.max(), rel=1e-13)
        np.testing.assert_array_equal(extent[2], costs.any(axis=1))
        np.testing.assert_array_equal(extent[3], costs.any(axis=0))
        np.testing.assert_allclose(np.exp(block.log_costs(exponent, slice(2, 9))), costs[2:9], rtol=1e-13)
    assert block.count() == np.count_nonzero(exact)
    np.testing.assert_array_equal(block.nonzero(slice(0, 90)), exact != 0)


def test_costs_on_a_device_are_taken_as_they_are():
    costs, rows, columns = torch.rand(3, 4, dtype=torch.float64), np.arange(3.0), np.arange(4.0)
    block = DeviceBlock(np.zeros(3, dtype=int), np.zeros(4, dtype=int), costs, is_cost=True)
    by_row, by_column = block.products(2.0, 0.3, rows, columns)
    np.testing.assert_allclose(by_row, costs.numpy() @ columns * math.exp(-0.3))
    np.testing.assert_allclose(by_column, rows @ costs.numpy() * math.exp(-0.3))
    assert math.exp(block.extent(2.0).log_largest) == pytest.approx(float(costs.max()))
    np.testing.assert_allclose(block.log_costs(2.0, slice(0, 3)), np.log(costs.numpy()), rtol=1e-15)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused_by_name(value):
    module, x = wide_mlp()
    with torch.no_grad():
        module[2].weight[1, 2] = value
    with pytest.raises(bg.InvalidParameterError, match=r"2\.weight.*not finite"):
        balance_module(module, x)
    block = DeviceBlock(np.zeros(260, dtype=int), np.zeros(260, dtype=int), module[2].weight.detach())
    assert not block.extent(2.0).log_largest < math.inf


def test_gaps_tell_what_is_dead(all_in_blocks):
    """Units of which no way leads to the outputs, though each has weights on both sides."""
    module = randomized(
        nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2, bias=False))
    )
    with torch.no_grad():
        module[2].weight[:4, 3:] = 0.0
        module[2].weight[4:, :3] = 0.0
        module[4].weight[:, 4:] = 0.0
    report = balance_module(module, (torch.ones(1, 3, dtype=torch.float64),))
    dead = {unit.name for unit in report.units if unit.reason.startswith("dead")}
    assert dead == {*(f"0 unit {k}" for k in (3, 4, 5)), *(f"2 unit {k}" for k in (4, 5, 6, 7))}
    assert report.converged
    assert report.relative_imbalance < 1e-11
    assert report.certificate.relative_gap < 1e-11


def test_full_mode_holds_what_would_leave_its_bound_where_it_is():
    module, x = wide_mlp()
    with torch.no_grad():
        module[2].weight[:, 1] *= 1e-12
    balancer = ModuleBalancer(module, torch.optim.SGD(module.parameters(), lr=0.1), x)
    scales = balancer.step()
    assert scales[1] == 0.0
    assert np.abs(scales).max() < 10.0
    found = balancer.imbalances()
    assert found[1] > 0.99
    assert np.delete(found, 1).max() < 1e-5


def test_imbalance_of_large_layers_is_that_of_their_sums():
    module, x = wide_mlp(dtype=torch.float64)
    found = imbalance(module, x)
    into = (module[2].weight ** 2).sum(1) + module[2].bias ** 2
    out_of = (module[4].weight ** 2).sum(0)
    expected = ((into - out_of).abs() / (into + out_of)).tolist()
    np.testing.assert_allclose([found.units[f"2 unit {k}"] for k in range(260)], expected, rtol=1e-12)
    assert found.cost == pytest.approx(sum(float((p.detach() ** 2).sum()) for p in module.parameters()), rel=1e-13)
    with torch.no_grad():
        module[4].weight[:, 7] = 0.0
    assert "2 unit 7" not in imbalance(module, x).units


class InPlace(nn.Module):
    """Writes into results that nobody reads again, by its return value or not; or into what is read again."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.first, self.middle, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        y = self.first(x)
        if self.kind == "chain":
            y += 0.0 * y
            return self.last(torch.relu_(self.middle(torch.relu_(y))))
        if self.kind == "ignored":
            torch.relu_(y)
            return self.last(torch.relu(self.middle(y)))
        view = y.view(-1, 4)
        y.tanh_()
        return self.last(torch.relu(self.middle(view)))


def test_what_is_overwritten_is_not_read_as_it_was():
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_function(torch.ops.aten.mul.Tensor, (x, 2.0))
    written = graph.call_function(torch.ops.aten.relu_.default, (y,))
    graph.output(written)
    assert is_functional(graph)
    with graph.inserting_before(written):
        graph.call_function(torch.ops.aten.add.Tensor, (y, 1.0))
    assert is_functional(graph)
    with graph.inserting_after(written):
        graph.call_function(torch.ops.aten.add.Tensor, (y, 1.0))
    assert not is_functional(graph)


@pytest.mark.parametrize(("kind", "count"), [("chain", 8), ("ignored", 8), ("view", 4)])
def test_what_is_written_in_place_is_read_as_it_is_then(kind, count):
    x = (torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3),)
    module = randomized(InPlace(kind))
    assert read_module(module, x).structure.size == count
    assert change_of_function(module, x) < 1e-13
