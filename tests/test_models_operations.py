"""Every operation by itself: the function is kept, and no freedom is missed or invented.

The number of free scales is given by hand, and measured independently from derivatives at random weights.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from model_checks import change_of_function, dimension_by_derivatives, randomized  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from balance_graph.pytorch import read_module  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")


class Between(nn.Module):
    """Two linear maps of 3 inputs to 4 units and on to 3 outputs, a function between them."""

    def __init__(self, function, *parts, width=4, wide=None, inputs=3):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(wide or width, 3)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x), *self.parts))


class Call(nn.Module):
    """A module from a function of its input and parts."""

    def __init__(self, function, *parts, **parameters):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        for name, shape in parameters.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        self.function = function

    def forward(self, *x):
        return self.function(self, *x)


def batch(*shape):
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64),)


# Between two linear maps: 4 free scales where the function is homogeneous, none where it pins.
HOMOGENEOUS = {
    "relu": F.relu, "leaky_relu": F.leaky_relu, "abs": torch.abs, "neg": torch.neg, "identity": lambda h: h, "clone": torch.clone,
    "square": torch.square, "relu2": lambda h: F.relu(h) ** 2, "cube": lambda h: h**3, "times itself": lambda h: h * h,
    "power 1.5": lambda h: (h.abs() + 0 * h).pow(1.5), "square root": lambda h: h.abs().sqrt(), "signed": lambda h: h.abs() * torch.sign(h),
    "reciprocal": lambda h: torch.reciprocal(h), "relu by clamp": lambda h: h.clamp(min=0), "relu by maximum": lambda h: torch.maximum(h, torch.zeros_like(h)),
    "relu by where": lambda h: torch.where(h > 0, h, 0.1 * h), "relu by mask": lambda h: h.masked_fill(h < 0, 0.0), "in place": lambda h: F.relu_(h * 1.0).mul_(2),
    "dropout": lambda h: F.dropout(h, training=False), "constant factor": lambda h: 3 * h / 7, "sum with itself": lambda h: h + 2 * h.relu() - h.abs(),
    "division by a constant": lambda h: h / torch.arange(1.0, 5.0, dtype=torch.float64), "threshold": lambda h: F.threshold(h, 0.0, 0.0),
    "hardshrink by where": lambda h: torch.where(h.abs() > 0, h, h), "rrelu": lambda h: F.rrelu(h, training=False), "half precision cast": lambda h: h.to(torch.float64),
}  # fmt: skip
PINNING = {
    "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": F.softplus, "relu6": F.relu6, "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid, "hardtanh": F.hardtanh, "elu": F.elu, "selu": F.selu, "mish": F.mish, "exp": torch.exp, "sin": torch.sin,
    "softmax": lambda h: h.softmax(-1), "log_softmax": lambda h: h.log_softmax(-1), "plus a constant": lambda h: h + 1, "clamped at one": lambda h: h.clamp(max=1),
    "layer_norm without affine": lambda h: F.layer_norm(h, (4,), eps=0.1), "where of a comparison with one": lambda h: torch.where(h > 1, h, -h),
    "with an epsilon": lambda h: h / (h.pow(2).mean(-1, keepdim=True) + 0.1).sqrt(), "maximum with a constant": lambda h: torch.maximum(h, torch.full_like(h, 0.3)),
    "cosine": lambda h: h * F.cosine_similarity(h, torch.ones_like(h), dim=-1, eps=0.1)[..., None], "erf": torch.erf, "log1p": lambda h: torch.log1p(h.abs()),
}  # fmt: skip


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_homogeneous_functions_leave_every_unit_free(name):
    assert_counts(Between(HOMOGENEOUS[name]), batch(16, 3), 4)


@pytest.mark.parametrize("name", PINNING)
def test_other_functions_pin_their_input_and_output(name):
    assert_counts(Between(PINNING[name]), batch(16, 3), 0)


def assert_counts(module, inputs, count):
    randomized(module)
    structure = read_module(module, inputs).structure
    assert structure.size == count
    assert not structure.unknown
    assert dimension_by_derivatives(module, inputs) == count
    randomized(module)
    assert change_of_function(module, inputs) < 1e-12
