"""The front end for PyTorch: identities, modes, caching, refusals, scaling in place.

Room: pytorch.
"""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from model_checks import change_of_function, outputs, randomized  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import balance_graph as bg  # noqa: E402
from balance_graph.models import Tensor, rule  # noqa: E402
from balance_graph.pytorch import apply, cost_terms, read_module  # noqa: E402

X = (torch.ones(2, 3),)


def mlp(*between):
    return nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 2))


def test_modes_are_left_as_they_were_and_weights_untouched():
    module = mlp(nn.BatchNorm1d(4), nn.Dropout())
    module.train()
    module[1].eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    read_module(module, X)
    assert module.training
    assert not module[1].training
    assert module[2].training
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_structures_are_kept_until_the_architecture_changes():
    module = mlp(nn.ReLU())
    first = read_module(module, X)
    with torch.no_grad():
        module[0].weight.mul_(2)
    assert read_module(module, X) is first
    module[1] = nn.Tanh()
    assert read_module(module, X).structure.size == 0
    assert read_module(module, X, training=True) is not first


def test_modules_are_not_kept_alive():
    module = mlp(nn.ReLU())
    read_module(module, X)
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert gone() is None


def test_training_pins_what_a_batch_norm_reads():
    module = mlp(nn.BatchNorm1d(4), nn.ReLU())
    assert read_module(module, X).structure.size == 8
    assert read_module(module, X, training=True).structure.size == 4


def test_running_means_scale_and_variances_do_not():
    module = randomized(mlp(nn.BatchNorm1d(4), nn.ReLU()))
    x = (torch.randn(5, 3, dtype=torch.float64),)
    model, before = read_module(module, x), {k: v.clone() for k, v in module.state_dict().items()}
    scales = np.zeros(8)
    scales[model.structure.scales.index("0 unit 2")] = np.log(2.0)
    apply(model, scales)
    after = module.state_dict()
    torch.testing.assert_close(
        after["1.running_mean"] / before["1.running_mean"], torch.tensor([1, 1, 2, 1.0]).double()
    )
    torch.testing.assert_close(after["1.running_var"], before["1.running_var"])
    torch.testing.assert_close(after["1.weight"] / before["1.weight"], torch.tensor([1, 1, 0.5, 1]).double())


def test_tied_parameters_are_one_by_identity_whatever_their_names():
    module = nn.Sequential(
        nn.Linear(3, 4, bias=False),
        nn.ReLU(),
        nn.Linear(4, 4, bias=False),
        nn.ReLU(),
        nn.Linear(4, 4, bias=False),
        nn.ReLU(),
        nn.Linear(4, 2),
    )
    assert read_module(module, X).structure.size == 12
    module[4].weight = module[2].weight
    model = read_module(module, X)
    # Two uses of one square matrix: the first units' 4 scales, and the same step twice.
    assert model.structure.size == 5
    names = next(p.names for p in model.structure.parameters if model.tensor(p) is module[2].weight)
    assert "2.weight" in names or "4.weight" in names
    randomized(module)
    assert change_of_function(module, (torch.randn(9, 3).double(),)) < 1e-12


def test_parameters_that_share_memory_in_part_are_pinned():
    whole = torch.randn(8, 4)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    module[2].weight = nn.Parameter(whole[:4])
    module[4].weight = nn.Parameter(whole[3:5])
    structure = read_module(module, X).structure
    assert structure.size == 0
    assert structure.pinned_parameters == dict.fromkeys(
        ("2.weight", "4.weight"), "shares memory with another parameter"
    )


def test_parameters_change_in_place_and_keep_what_they_are():
    module = mlp(nn.ReLU()).to(torch.bfloat16)
    module[0].weight.requires_grad_(False)
    before = [(p, p.data_ptr(), p.dtype, p.requires_grad) for p in module.parameters()]
    x = (torch.ones(2, 3, dtype=torch.bfloat16),)
    apply(read_module(module, x), [1.0, -1.0, 0.5, 0.0])
    assert [(p, p.data_ptr(), p.dtype, p.requires_grad) for p in module.parameters()] == before


def test_a_product_is_rounded_once():
    module = mlp(nn.ReLU())
    weight = module[0].weight.detach().clone()
    scales = np.random.default_rng(1).standard_normal(4)
    apply(read_module(module, X), scales)
    exact = weight.double() * torch.from_numpy(np.exp(scales))[:, None]
    assert torch.equal(module[0].weight.detach(), exact.float())


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Dynamic(nn.Module):
    def forward(self, x):
        return x[x[:, 0] > 0]


@pytest.mark.parametrize("part", [Branch(), Dynamic()])
def test_what_depends_on_data_is_refused(part):
    with pytest.raises(bg.UnsupportedError, match=r"data|values"):
        read_module(mlp(part), X)


def test_arguments_are_checked():
    with pytest.raises(bg.InvalidParameterError, match=r"tuple .* got Tensor; for one argument write \(x,\)"):
        read_module(mlp(), torch.ones(2, 3))
    with pytest.raises(bg.InvalidParameterError, match=r"Module, got the class Linear"):
        read_module(nn.Linear, X)
    with pytest.raises(bg.UnsupportedError, match="They must be what the model is called with"):
        read_module(mlp(), (torch.ones(2, 17),))
    with pytest.raises(bg.InvalidParameterError, match="Module"):
        read_module(torch.relu, X)
    with pytest.raises(bg.InvalidParameterError, match="4 finite numbers"):
        apply(read_module(mlp(nn.ReLU()), X), [1.0])


def test_unknown_operations_pin_what_they_read_and_are_named():
    class Determinant(nn.Module):
        def forward(self, x):
            return x * torch.linalg.det(x @ x.T)[None, None]

    structure = read_module(mlp(Determinant()), X).structure
    assert structure.size == 0
    assert set(structure.unknown) == {"aten::linalg_det"}
    assert structure.unknown["aten::linalg_det"] == ("1",)


def test_users_own_operations_get_rules():
    @torch.library.custom_op("balance_graph_tests::rectify", mutates_args=())
    def rectify(x: torch.Tensor) -> torch.Tensor:
        return x.clamp(min=0)

    @rectify.register_fake
    def _(x):
        return torch.empty_like(x)

    class Rectify(nn.Module):
        def forward(self, x):
            return rectify(x)

    module = mlp(Rectify())
    assert list(read_module(module, X).structure.unknown) == ["balance_graph_tests::rectify"]

    @rule("balance_graph_tests::rectify")
    def read(trace, x):
        return Tensor(trace.labels(x))

    assert read_module(mlp(Rectify()), X).structure.size == 4


def test_models_without_memory_are_read_as_well():
    with torch.device("meta"):
        module = mlp(nn.BatchNorm1d(4), nn.ReLU())
        assert read_module(module, (torch.ones(2, 3),)).structure.size == 8


def test_keyword_arguments_and_nested_results():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x, *, scale=None):
            h = F.relu(self.first(x)) * scale
            return {"out": self.last(h), "more": [x, None, 3]}

    model = read_module(Model(), X, kwargs={"scale": torch.ones(4)})
    assert model.structure.size == 4


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.5])
def test_terms_are_the_cost_of_the_weights(exponent):
    module = randomized(
        nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    )
    x = (torch.randn(3, 2, 3, 3, dtype=torch.float64),)
    model = read_module(module, x)
    terms = cost_terms(model, exponent)
    scales = np.random.default_rng(0).standard_normal(model.structure.size)
    before = outputs(module, x)
    apply(model, scales)
    cost = sum(float((p.detach().abs() ** exponent).sum()) for p in module.parameters())
    assert np.exp(terms.log_coefficient + exponent * (terms.A @ scales)).sum() == pytest.approx(cost, rel=1e-12)
    torch.testing.assert_close(outputs(module, x), before, rtol=1e-12, atol=1e-13)


def test_parts_without_gradients_and_complex_rotary_embeddings_are_read():
    class Rotary(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v, self.o = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 3)

        def turned(self, x):
            with torch.no_grad():
                angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), torch.tensor([1.0, 0.1]).double())
                turn = torch.polar(torch.ones_like(angles), angles)
            return torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * turn).flatten(-2)

        def forward(self, x):
            q, k = self.turned(self.q(x)), self.turned(self.k(x))
            return self.o(F.scaled_dot_product_attention(q, k, self.v(x)))

    module = randomized(Rotary())
    x = (torch.randn(2, 5, 3, dtype=torch.float64),)
    structure = read_module(module, x).structure
    assert not structure.unknown
    # Two pairs of queries and keys, four values.
    assert structure.size == 2 + 4
    assert change_of_function(module, x) < 1e-12


def test_what_is_written_at_unknown_places_has_one_scale_along_them():
    class Scatter(nn.Module):
        def __init__(self, reduce):
            super().__init__()
            self.first, self.last, self.reduce = nn.Linear(3, 4), nn.Linear(4, 2), reduce

        def forward(self, x):
            h = F.relu(self.first(x))
            where = x.argmax(-1, keepdim=True).expand(-1, 4)
            return self.last(torch.zeros_like(h).scatter_reduce(1, where, h, self.reduce))

    x = (torch.randn(5, 3, dtype=torch.float64),)
    for reduce, count in (("sum", 1), ("amax", 1), ("prod", 0)):
        module = randomized(Scatter(reduce))
        assert read_module(module, x).structure.size == count
        assert change_of_function(module, x) < 1e-12


def test_sums_at_unknown_rows_keep_the_scales_of_features():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = F.relu(self.first(x))
            return self.last(torch.zeros_like(h).index_add(0, x.argmax(-1), h))

    module = randomized(Rows())
    x = (torch.randn(3, 3, dtype=torch.float64),)
    assert read_module(module, x).structure.size == 4
    assert change_of_function(module, x) < 1e-12
