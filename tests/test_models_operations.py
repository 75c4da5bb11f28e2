"""Every operation by itself: the function is kept, and no freedom is missed or invented.

The number of free scales is given by hand, and measured independently from derivatives at random weights.

Rooms: models, pytorch.
"""

from __future__ import annotations

from collections import Counter

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from model_checks import change_of_function, dimension_by_derivatives, randomized  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from balance_graph.pytorch import read_module  # noqa: E402


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
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "abs": torch.abs,
    "neg": torch.neg,
    "identity": lambda h: h,
    "clone": torch.clone,
    "square": torch.square,
    "relu2": lambda h: F.relu(h) ** 2,
    "cube": lambda h: h**3,
    "times itself": lambda h: h * h,
    "power 1.5": lambda h: (h.abs() + 0 * h).pow(1.5),
    "square root": lambda h: h.abs().sqrt(),
    "signed": lambda h: h.abs() * torch.sign(h),
    "reciprocal": lambda h: torch.reciprocal(h),
    "relu by clamp": lambda h: h.clamp(min=0),
    "relu by maximum": lambda h: torch.maximum(h, torch.zeros_like(h)),
    "relu by where": lambda h: torch.where(h > 0, h, 0.1 * h),
    "relu by mask": lambda h: h.masked_fill(h < 0, 0.0),
    "in place": lambda h: F.relu_(h * 1.0) * 2,
    "dropout": lambda h: F.dropout(h, training=False),
    "constant factor": lambda h: 3 * h / 7,
    "sum with itself": lambda h: h + 2 * h.relu() - h.abs(),
    "division by a constant": lambda h: h / torch.arange(1.0, 5.0, dtype=torch.float64),
    "threshold": lambda h: F.threshold(h, 0.0, 0.0),
    "hardshrink by where": lambda h: torch.where(h.abs() > 0, h, h),
    "rrelu": lambda h: F.rrelu(h, training=False),
    "half precision cast": lambda h: h.to(torch.float64),
}
PINNING = {
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "relu6": lambda h: F.relu6(8 * h),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "elu": F.elu,
    "selu": F.selu,
    "mish": F.mish,
    "exp": torch.exp,
    "sin": torch.sin,
    "softmax": lambda h: h.softmax(-1),
    "log_softmax": lambda h: h.log_softmax(-1),
    "plus a constant": lambda h: h + 1,
    "clamped at one": lambda h: h.clamp(max=1),
    "layer_norm without affine": lambda h: F.layer_norm(h, (4,), eps=0.1),
    "with an epsilon": lambda h: h / (h.pow(2).mean(-1, keepdim=True) + 0.1).sqrt(),
    "maximum with a constant": lambda h: torch.maximum(h, torch.full_like(h, 0.3)),
    "cosine": lambda h: h * F.cosine_similarity(h, torch.ones_like(h), dim=-1, eps=3.0)[..., None],
    "erf": torch.erf,
    "log1p": lambda h: torch.log1p(h.abs()),
}


class Together(nn.Module):
    """Many modules side by side, exported at once, since that is what takes the time."""

    def __init__(self, functions):
        super().__init__()
        self.modules_ = nn.ModuleList(Between(function) for function in functions)

    def forward(self, x):
        return [module(x) for module in self.modules_]


@pytest.mark.parametrize(("functions", "free"), [(HOMOGENEOUS, 4), (PINNING, 0)], ids=["homogeneous", "pinning"])
def test_functions_of_one_tensor(functions, free):
    # Homogeneous functions leave all four units between two layers free, others none.
    together = randomized(Together(functions.values()))
    structure = read_module(together, batch(16, 3)).structure
    owners = Counter(scale.split(".")[1] for scale in structure.scales)
    assert [owners[str(k)] for k in range(len(functions))] == [free] * len(functions)
    assert not structure.unknown
    assert change_of_function(together, batch(16, 3)) < 1e-12
    found = {name: dimension_by_derivatives(Between(function), batch(16, 3)) for name, function in functions.items()}
    assert found == dict.fromkeys(functions, free)


def pairwise_affine(call, x):
    """Rotary positions: pairs of features are turned by an angle for each position."""
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.3], dtype=torch.float64)
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
    one, two = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-two, one], -1) * sin


def attention(call, x, *, rotary=False, norm=False, groups=1, fused=False, manual=False):
    """Two heads of four features; parts: queries, keys, values, output (or one fused map and the output)."""
    n, t, _ = x.shape
    q, k, v = call.parts[0](x).chunk(3, -1) if fused else (part(x) for part in call.parts[:3])
    q, k, v = (y.view(n, t, -1, 4).transpose(1, 2) for y in (q, k, v))
    if norm:
        q, k = call.parts[4](q), call.parts[5](k)
    if rotary:
        q, k = (pairwise_affine(call, y.flatten(0, 1)).view_as(y) for y in (q, k))
    k, v = (y.repeat_interleave(groups, dim=1) if groups > 1 else y for y in (k, v))
    if manual:
        scores = (q @ k.transpose(-2, -1) / 2).masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        out = scores.softmax(-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return call.parts[1 if fused else 3](out.transpose(1, 2).reshape(n, t, -1))


def linears(*sizes):
    return [nn.Linear(a, b) for a, b in sizes]


def conv_chain(conv, *, groups=1, transposed=False):
    """4 channels, a grouped convolution to 4, and back to 2."""
    plain = {
        nn.Conv1d: nn.Conv1d,
        nn.Conv2d: nn.Conv2d,
        nn.Conv3d: nn.Conv3d,
        nn.ConvTranspose1d: nn.Conv1d,
        nn.ConvTranspose2d: nn.Conv2d,
    }[conv]
    return nn.Sequential(plain(2, 4, 1), nn.ReLU(), conv(4, 4, 2, groups=groups), nn.ReLU(), plain(4, 2, 1))


def pooled(pool, shape):
    return nn.Sequential(nn.Conv2d(1, 3, 1), pool, nn.Flatten(), nn.Linear(3 * shape, 4))


def norms(norm, width=4):
    return nn.Sequential(nn.Linear(3, width), norm, nn.ReLU(), nn.Linear(width, 3))


def sequence_norm(norm):
    return nn.Sequential(nn.Conv1d(3, 4, 1), norm, nn.ReLU(), nn.Conv1d(4, 3, 1))


A = 8  # width of attention
# What is built, its inputs, and the number of free scales, counted by hand.
CASES = {
    # every hidden channel is free: 4 + 4
    "conv1d": (lambda: conv_chain(nn.Conv1d), batch(8, 2, 4), 8),
    "conv2d": (lambda: conv_chain(nn.Conv2d), batch(4, 2, 3, 3), 8),
    "conv3d": (lambda: conv_chain(nn.Conv3d), batch(4, 2, 3, 3, 2), 8),
    "grouped": (lambda: conv_chain(nn.Conv2d, groups=2), batch(4, 2, 3, 3), 8),
    "depthwise": (lambda: conv_chain(nn.Conv2d, groups=4), batch(4, 2, 3, 3), 8),
    "transposed": (lambda: conv_chain(nn.ConvTranspose2d), batch(4, 2, 3, 3), 8),
    "transposed grouped": (lambda: conv_chain(nn.ConvTranspose1d, groups=2), batch(8, 2, 4), 8),
    # all positions of a channel share a scale: 3
    "max pool": (lambda: pooled(nn.MaxPool2d(3, 1, 1), 4), batch(12, 1, 2, 2), 3),
    "average pool": (lambda: pooled(nn.AvgPool2d(2), 1), batch(12, 1, 2, 2), 3),
    "adaptive pools": (
        lambda: pooled(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(1)), 1),
        batch(12, 1, 4, 4),
        3,
    ),
    "nearest upsampling": (lambda: pooled(nn.Upsample(scale_factor=2), 4), batch(12, 1, 1, 1), 3),
    "bilinear upsampling": (lambda: pooled(nn.Upsample(scale_factor=2, mode="bilinear"), 16), batch(16, 1, 2, 2), 3),
    "mean, sum, max and norm": (
        lambda: Call(
            lambda c, x: c.parts[1](
                sum(
                    [
                        (h := F.relu(c.parts[0](x))).mean(1),
                        h.sum(1),
                        h.amax(1),
                        h.max(1).values,
                        h.norm(dim=1),
                        h.std(1),
                    ]
                )
            ),
            *linears((3, 4), (4, 3)),
        ),
        batch(16, 5, 3),
        4,
    ),
    "top values": (
        lambda: Call(lambda c, x: c.parts[1](torch.topk(c.parts[0](x), 2).values), *linears((3, 4), (2, 3))),
        batch(20, 3),
        1,
    ),
    "sorting": (
        lambda: Call(lambda c, x: c.parts[1](c.parts[0](x).sort(-1).values.cumsum(0)), *linears((3, 4), (4, 3))),
        batch(20, 3),
        1,
    ),
    # the first layer's 4 units; the norm's affine output scales on its own: 4 more where its input is free too
    "batch norm": (lambda: norms(nn.BatchNorm1d(4)), batch(16, 3), 8),
    "batch norm without affine": (lambda: norms(nn.BatchNorm1d(4, affine=False)), batch(16, 3), 4),
    "batch norm of the batch": (lambda: norms(nn.BatchNorm1d(4, eps=0.3, track_running_stats=False)), batch(16, 3), 4),
    "layer norm": (lambda: norms(nn.LayerNorm(4, eps=0.1)), batch(16, 3), 4),
    # without an epsilon the input of a layer norm has one scale in all
    "layer norm, no epsilon": (lambda: norms(nn.LayerNorm(4, eps=0.0)), batch(16, 3), 5),
    "rms norm": (lambda: norms(nn.RMSNorm(4, eps=0.1)), batch(16, 3), 4),
    "group norm": (lambda: sequence_norm(nn.GroupNorm(2, 4, eps=0.1)), batch(8, 3, 4), 4),
    # two groups, each with a scale of its own
    "group norm, no epsilon": (lambda: sequence_norm(nn.GroupNorm(2, 4, eps=0.0)), batch(8, 3, 4), 6),
    "instance norm": (lambda: sequence_norm(nn.InstanceNorm1d(4, eps=0.1, affine=True)), batch(8, 3, 4), 4),
    "instance norm, running": (
        lambda: sequence_norm(nn.InstanceNorm1d(4, affine=True, track_running_stats=True)),
        batch(8, 3, 4),
        8,
    ),
    "weight norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 3)),
        batch(16, 3),
        8,
    ),
    "prelu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.Linear(4, 3)), batch(16, 3), 4),
    # the linear half is free, what the sigmoid reads is not
    "glu": (lambda: Call(lambda c, x: c.parts[1](F.glu(c.parts[0](x))), *linears((3, 8), (4, 3))), batch(20, 3), 4),
    "gated by silu": (
        lambda: Call(lambda c, x: c.parts[2](F.silu(c.parts[0](x)) * c.parts[1](x)), *linears((3, 4), (3, 4), (4, 3))),
        batch(20, 3),
        4,
    ),
    # both factors of a product are free
    "gated by relu": (
        lambda: Call(lambda c, x: c.parts[2](F.relu(c.parts[0](x)) * c.parts[1](x)), *linears((3, 4), (3, 4), (4, 3))),
        batch(24, 3),
        8,
    ),
    "quotient": (
        lambda: Call(lambda c, x: c.parts[2](c.parts[0](x) / c.parts[1](x)), *linears((3, 4), (3, 4), (4, 3))),
        batch(24, 3),
        8,
    ),
    # tokens: 5 rows of 2 features, each feature free
    "embedding": (
        lambda: Call(lambda c, x: c.parts[1](F.relu(c.parts[0](x))), nn.Embedding(5, 2), nn.Linear(2, 3)),
        (torch.arange(5).repeat(4),),
        2,
    ),
    # tied: scores are outputs, so the 2 features are pinned; the hidden units between are free
    "tied embedding": (
        lambda: Call(
            lambda c, x: F.linear(c.parts[2](F.relu(c.parts[1](c.parts[0](x)))), c.parts[0].weight),
            nn.Embedding(5, 2),
            *linears((2, 4), (4, 2)),
        ),
        (torch.arange(5).repeat(3),),
        6,
    ),
    # per head and feature: queries against keys 8, values against the output 8
    "attention": (lambda: Call(attention, *linears((3, A), (3, A), (3, A), (A, 3))), batch(16, 5, 3), 16),
    "attention by hand": (
        lambda: Call(lambda c, x: attention(c, x, manual=True), *linears((3, A), (3, A), (3, A), (A, 3))),
        batch(16, 5, 3),
        16,
    ),
    "fused attention": (
        lambda: Call(lambda c, x: attention(c, x, fused=True), *linears((3, 3 * A), (A, 3))),
        batch(16, 5, 3),
        16,
    ),
    # rotary pairs are tied: 2 heads x 2 pairs, and 8 values
    "rotary attention": (
        lambda: Call(lambda c, x: attention(c, x, rotary=True), *linears((3, A), (3, A), (3, A), (A, 3))),
        batch(16, 5, 3),
        12,
    ),
    # one head of keys and values for both heads of queries: 4 and 4
    "grouped queries": (
        lambda: Call(lambda c, x: attention(c, x, groups=2), *linears((3, A), (3, 4), (3, 4), (A, 3))),
        batch(20, 5, 3),
        8,
    ),
    # the norms' weights are shared by the heads: 4 features scale against each other; 8 values
    "norm of queries and keys": (
        lambda: Call(
            lambda c, x: attention(c, x, norm=True),
            *linears((3, A), (3, A), (3, A), (A, 3)),
            nn.RMSNorm(4, eps=0.1),
            nn.RMSNorm(4, eps=0.1),
        ),
        batch(20, 5, 3),
        12,
    ),
    "nn.MultiheadAttention": (
        lambda: Call(lambda c, x: c.parts[0](x, x, x)[0], nn.MultiheadAttention(4, 2, batch_first=True)),
        batch(16, 5, 4),
        8,
    ),
    # queries and keys 4, values 4, feed-forward 6; the norms pin the stream
    "nn.TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, layer_norm_eps=0.1),
        batch(20, 4, 4),
        14,
    ),
    # a unit's scale is the same at all times; 3 units a layer
    "relu rnn": (
        lambda: Call(lambda c, x: c.parts[1](c.parts[0](x)[0]), nn.RNN(2, 3, 2, nonlinearity="relu"), nn.Linear(3, 2)),
        batch(6, 8, 2),
        6,
    ),
    "relu rnn, both directions": (
        lambda: Call(
            lambda c, x: c.parts[1](c.parts[0](x)[0]),
            nn.RNN(2, 2, nonlinearity="relu", bidirectional=True, batch_first=True),
            nn.Linear(4, 3),
        ),
        batch(12, 5, 2),
        4,
    ),
    "relu rnn, unrolled": (
        lambda: Call(
            lambda c, x: (
                h := F.relu(c.parts[0](x[:, 0])),
                h := F.relu(c.parts[0](x[:, 1]) + c.parts[1](h)),
                c.parts[2](F.relu(c.parts[0](x[:, 2]) + c.parts[1](h))),
            )[2],
            *linears((2, 3), (3, 3), (3, 2)),
        ),
        batch(24, 3, 2),
        3,
    ),
    # what an LSTM or GRU reads is free (4), its states are not
    "lstm": (
        lambda: Call(lambda c, x: c.parts[1](F.relu(c.parts[0](x)))[0], nn.Linear(2, 4), nn.LSTM(4, 2)),
        batch(8, 12, 2),
        4,
    ),
    "lstm with projection": (
        lambda: Call(lambda c, x: c.parts[1](c.parts[0](x)[0]), nn.LSTM(2, 3, proj_size=2), nn.Linear(2, 2)),
        batch(8, 12, 2),
        2,
    ),
    "gru": (
        lambda: Call(lambda c, x: c.parts[1](F.relu(c.parts[0](x)))[0], nn.Linear(2, 4), nn.GRU(4, 2)),
        batch(8, 12, 2),
        4,
    ),
    "tanh rnn": (
        lambda: Call(lambda c, x: c.parts[1](F.relu(c.parts[0](x)))[0], nn.Linear(2, 4), nn.RNN(4, 2)),
        batch(8, 12, 2),
        4,
    ),
    # u after the first, 2 v - u after a second use: the bias ties them, so v = u
    "called twice": (
        lambda: Call(
            lambda c, x: c.parts[2](F.relu(c.parts[1](F.relu(c.parts[1](F.relu(c.parts[0](x))))))),
            *linears((3, 4), (4, 4), (4, 3)),
        ),
        batch(24, 3),
        4,
    ),
    # without a bias the second use goes on at the same pace: u and one common pace
    "called twice, no bias": (
        lambda: Call(
            lambda c, x: c.parts[1](c.parts[1](c.parts[0](x)).abs()).abs() @ c.parts[2].weight.T,
            nn.Linear(3, 4),
            nn.Linear(4, 4, bias=False),
            nn.Linear(4, 3, bias=False),
        ),
        batch(24, 3),
        5,
    ),
    # w's columns 4 times s, its rows give s^2, which the last weights take out
    "a weight and its transpose": (
        lambda: Call(lambda c, x: F.relu(x @ c.w) @ c.w.T @ c.v, w=(3, 4), v=(3, 3)),
        batch(24, 3),
        1,
    ),
    "a product of weights": (lambda: Call(lambda c, x: x @ (c.u @ c.v), u=(3, 2), v=(2, 3)), batch(24, 3), 2),
    # low rank: W = A B + C between two layers; A's and B's common index 2, and 4 + 4 units
    "a sum of weights": (
        lambda: Call(
            lambda c, x: F.relu(F.relu(x @ c.p) @ (c.u @ c.v + c.w)) @ c.q,
            p=(3, 4),
            u=(4, 2),
            v=(2, 4),
            w=(4, 4),
            q=(4, 3),
        ),
        batch(24, 3),
        10,
    ),
    # a residual stream has one scale for each feature (4); the branch's hidden units are free (2)
    "residual": (
        lambda: Call(
            lambda c, x: c.parts[3]((h := c.parts[0](x)) + c.parts[2](F.relu(c.parts[1](h)))),
            *linears((3, 4), (4, 2), (2, 4), (4, 3)),
        ),
        batch(24, 3),
        6,
    ),
    "concatenated": (
        lambda: Call(
            lambda c, x: c.parts[2](torch.cat([c.parts[0](x), c.parts[1](x).flip(-1)], -1)),
            *linears((3, 2), (3, 2), (4, 3)),
        ),
        batch(24, 3),
        4,
    ),
    # positions that are added have the stream's scales
    "positions": (
        lambda: Call(lambda c, x: F.relu(c.parts[0](x) + c.p) @ c.q, *linears((3, 4)), p=(5, 4), q=(4, 3)),
        batch(12, 5, 3),
        4,
    ),
    "a scale for each feature": (
        lambda: Call(lambda c, x: F.relu(c.parts[0](x) * c.s + c.t) @ c.q, *linears((3, 4)), s=(4,), t=(4,), q=(4, 3)),
        batch(24, 3),
        8,
    ),
    "a scalar": (
        lambda: Call(lambda c, x: F.relu(c.parts[0](x) * c.s) @ c.q, *linears((3, 4)), s=(), q=(4, 3)),
        batch(24, 3),
        5,
    ),
    "einsum": (
        lambda: Call(
            lambda c, x: torch.einsum("bhd,hdo->bo", F.relu(torch.einsum("bi,hid->bhd", x, c.p)), c.q),
            p=(2, 3, 2),
            q=(2, 2, 3),
        ),
        batch(24, 3),
        4,
    ),
    # experts in one tensor, gates by softmax: every hidden unit of every expert, 2 x 3
    "experts": (
        lambda: Call(
            lambda c, x: torch.einsum("bn,nbo->bo", (x @ c.g).softmax(-1), F.relu(x.expand(2, -1, -1) @ c.p) @ c.q),
            g=(3, 2),
            p=(2, 3, 3),
            q=(2, 3, 2),
        ),
        batch(24, 3),
        6,
    ),
    "bilinear": (
        lambda: Call(
            lambda c, x: c.parts[2](c.parts[0](x), c.parts[1](x)), *linears((3, 2), (3, 2)), nn.Bilinear(2, 2, 3)
        ),
        batch(40, 3),
        4,
    ),
    "pixel shuffle": (
        lambda: Call(
            lambda c, x: c.parts[1](F.pixel_shuffle(F.relu(c.parts[0](x)), 2)), nn.Conv2d(1, 4, 1), nn.Conv2d(1, 2, 1)
        ),
        batch(6, 1, 2, 2),
        1,
    ),
    # the row of q that reads the padding has no influence
    "padding and slices": (
        lambda: Call(lambda c, x: F.pad(F.relu(c.parts[0](x)), (1, 1))[:, :5] @ c.q, *linears((3, 4)), q=(5, 3)),
        batch(24, 3),
        4,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_scales_are_those_counted_by_hand_and_by_derivatives(name):
    build, inputs, count = CASES[name]
    assert_counts(build(), inputs, count)


def test_experts_that_are_looked_up_share_their_scales():
    # Every expert may be meant, so that the 3 hidden units have one scale in all; where the largest score is does not
    # change with the scale of the router.
    def call(model, x):
        chosen = (x @ model.router).argmax(-1)
        return F.relu(x[:, None] @ model.inner[chosen]) @ model.outer[chosen]

    module = randomized(Call(call, router=(3, 2), inner=(2, 3, 3), outer=(2, 3, 2)))
    assert read_module(module, batch(40, 3)).structure.size == 3 + 1
    assert change_of_function(module, batch(40, 3)) < 1e-12


def assert_counts(module, inputs, count):
    randomized(module)
    structure = read_module(module, inputs).structure
    assert structure.size == count
    assert not structure.unknown
    assert dimension_by_derivatives(module, inputs) == count
    randomized(module)
    assert change_of_function(module, inputs) < 1e-12
