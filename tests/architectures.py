"""Architectures that people train, tiny and without pretrained weights: what the tests of models read."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def conv_norm(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Residual(nn.Module):
    """A block of ResNet: two convolutions, or a bottleneck of three; a projection where the shape changes."""

    def __init__(self, inputs, outputs, stride=1, middle=None):
        super().__init__()
        if middle is None:
            self.body = nn.Sequential(
                conv_norm(inputs, outputs, 3, stride), conv_norm(outputs, outputs, 3, activation=None)
            )
        else:
            self.body = nn.Sequential(
                conv_norm(inputs, middle, 1),
                conv_norm(middle, middle, 3, stride),
                conv_norm(middle, outputs, 1, activation=None),
            )
        changes = stride != 1 or inputs != outputs
        self.skip = conv_norm(inputs, outputs, 1, stride, activation=None) if changes else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, widths, blocks, bottleneck=0, stem=4, classes=3):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        layers, inputs = [], stem
        for place, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                outputs = width * (bottleneck or 1)
                layers.append(Residual(inputs, outputs, 2 if place and not block else 1, width if bottleneck else None))
                inputs = outputs
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(inputs, classes)

    def forward(self, x):
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.layers(self.stem(x)), 1), 1))


class Squeeze(nn.Module):
    """Channels weighted by what their means say."""

    def __init__(self, width, middle):
        super().__init__()
        self.down, self.up = nn.Conv2d(width, middle, 1), nn.Conv2d(middle, width, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """MobileNet's block: wide in the middle, depthwise, and no activation at its end."""

    def __init__(self, inputs, middle, outputs, activation, squeeze=0):
        super().__init__()
        parts = [
            conv_norm(inputs, middle, 1, activation=activation),
            conv_norm(middle, middle, 3, groups=middle, activation=activation),
        ]
        parts += [Squeeze(middle, squeeze)] if squeeze else []
        self.body = nn.Sequential(*parts, conv_norm(middle, outputs, 1, activation=None))
        self.adds = inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_v2():
    return nn.Sequential(
        conv_norm(3, 4, activation=nn.ReLU6),
        Inverted(4, 8, 6, nn.ReLU6),
        Inverted(6, 12, 6, nn.ReLU6),
        conv_norm(6, 10, 1, activation=nn.ReLU6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(10, 3),
    )


def mobilenet_v3():
    return nn.Sequential(
        conv_norm(3, 4, activation=nn.Hardswish),
        Inverted(4, 8, 6, nn.ReLU, squeeze=2),
        Inverted(6, 12, 6, nn.Hardswish, squeeze=4),
        conv_norm(6, 10, 1, activation=nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 7),
        nn.Hardswish(),
        nn.Linear(7, 3),
    )


def vgg():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 8),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(8, 3),
    )


class Shuffle(nn.Module):
    """ShuffleNet V2: half of the channels pass by, then halves are interleaved."""

    def __init__(self, width):
        super().__init__()
        half = width // 2
        self.body = nn.Sequential(
            conv_norm(half, half, 1), conv_norm(half, half, 3, groups=half, activation=None), conv_norm(half, half, 1)
        )

    def forward(self, x):
        one, two = x.chunk(2, dim=1)
        x = torch.cat([one, self.body(two)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def shufflenet():
    return nn.Sequential(
        conv_norm(3, 8), Shuffle(8), Shuffle(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


class Dense(nn.Module):
    """DenseNet's layer: what it makes is added to what it saw."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(True),
            nn.Conv2d(inputs, 6, 1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(True),
            nn.Conv2d(6, growth, 3, padding=1, bias=False),
        )

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


def densenet():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        Dense(4, 2),
        Dense(6, 2),
        nn.BatchNorm2d(8),
        nn.ReLU(True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.deep = conv_norm(2, 4), conv_norm(4, 6)
        self.up, self.last, self.out = nn.ConvTranspose2d(6, 4, 2, 2), conv_norm(8, 5), nn.Conv2d(5, 2, 1)

    def forward(self, x):
        wide = self.down(x)
        up = self.up(self.deep(F.max_pool2d(wide, 2)))
        return self.out(self.last(torch.cat([wide, up], 1)))


class Attention(nn.Module):
    """Fused queries, keys and values."""

    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.qkv, self.out, self.heads, self.causal = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
            heads,
            causal,
        )

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).reshape(n, t, c))


class PreNorm(nn.Module):
    """A transformer's block: norms before attention and before the MLP."""

    def __init__(self, width, heads, hidden, causal=False, activation=nn.GELU):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads, causal)
        self.norm2, self.mlp = (
            nn.LayerNorm(width),
            nn.Sequential(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width)),
        )

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, activation=nn.GELU):
        super().__init__()
        self.patches, self.token, self.positions = (
            nn.Conv2d(3, 8, 4, 4),
            nn.Parameter(torch.zeros(1, 1, 8)),
            nn.Parameter(torch.zeros(1, 5, 8)),
        )
        self.blocks = nn.Sequential(*(PreNorm(8, 2, 12, activation=activation) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Window(nn.Module):
    """Swin's attention in shifted windows with a table of relative positions."""

    def __init__(self, width, heads, size, shift):
        super().__init__()
        self.qkv, self.out, self.heads, self.size, self.shift = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
            heads,
            size,
            shift,
        )
        self.table = nn.Parameter(torch.zeros((2 * size - 1) ** 2, heads))
        place = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
        relative = place[:, :, None] - place[:, None, :] + size - 1
        self.register_buffer("relative", relative[0] * (2 * size - 1) + relative[1])
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def attend(self, x):
        n, h, w, c = x.shape
        s, m = self.size, self.size**2
        x = (
            torch.roll(x, (-self.shift, -self.shift), (1, 2))
            .view(n, h // s, s, w // s, s, c)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(-1, m, c)
        )
        q, k, v = self.qkv(x).view(-1, m, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.table[self.relative.view(-1)].view(m, m, self.heads).permute(2, 0, 1)
        scores = q @ k.transpose(-2, -1) / (c // self.heads) ** 0.5 + bias
        x = self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, m, c))
        x = x.view(n, h // s, w // s, s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return torch.roll(x, (self.shift, self.shift), (1, 2))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.one, self.two = nn.Conv2d(3, 4, 2, 2), Window(4, 2, 2, 0), Window(4, 2, 2, 1)
        self.norm, self.merge, self.last, self.head = (
            nn.LayerNorm(16),
            nn.Linear(16, 8, bias=False),
            nn.LayerNorm(8),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        x = self.two(self.one(self.patches(x).permute(0, 2, 3, 1)))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.head(self.last(self.merge(self.norm(x))).mean((1, 2)))


class RMSNorm(nn.Module):
    """As LLaMA writes it: in single precision, whatever comes in."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


class LlamaBlock(nn.Module):
    def __init__(self, width=8, heads=4, groups=2, hidden=12):
        super().__init__()
        self.size, self.repeat = width // heads, heads // groups
        self.q, self.k, self.v, self.o = (
            nn.Linear(a, b, bias=False)
            for a, b in ((width, width), (width, self.size * groups), (width, self.size * groups), (width, width))
        )
        self.gate, self.up, self.down = (
            nn.Linear(a, b, bias=False) for a, b in ((width, hidden), (width, hidden), (hidden, width))
        )
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)

    def rotate(self, x):
        t, half = x.shape[2], self.size // 2
        angle = torch.outer(
            torch.arange(t, device=x.device, dtype=x.dtype),
            1.0 / 100.0 ** (torch.arange(half, device=x.device, dtype=x.dtype) / half),
        )
        angle = torch.cat([angle, angle], -1)
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * angle.cos() + turned * angle.sin()

    def attend(self, x):
        n, t, c = x.shape
        q, k, v = (f(x).view(n, t, -1, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = self.rotate(q), self.rotate(k)
        k, v = (y[:, :, None].expand(-1, -1, self.repeat, -1, -1).reshape(n, -1, t, self.size) for y in (k, v))
        return self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, c))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    def __init__(self, tied=False):
        super().__init__()
        self.tokens, self.blocks, self.norm, self.head = (
            nn.Embedding(11, 8),
            nn.ModuleList([LlamaBlock(), LlamaBlock()]),
            RMSNorm(8),
            nn.Linear(8, 11, bias=False),
        )
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class GPT2(nn.Module):
    """Learned positions, fused attention, the head tied to the tokens."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(11, 8), nn.Embedding(6, 8)
        self.blocks, self.norm = nn.ModuleList(PreNorm(8, 2, 16, causal=True) for _ in range(2)), nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class BERT(nn.Module):
    """Norms after each part; PyTorch's own layers."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions, self.norm = nn.Embedding(11, 8), nn.Parameter(torch.zeros(6, 8)), nn.LayerNorm(8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True)
        self.encoder, self.pooler, self.head = (
            nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            nn.Linear(8, 8),
            nn.Linear(8, 3),
        )

    def forward(self, ids):
        x = self.encoder(self.norm(self.tokens(ids) + self.positions))
        return self.head(torch.tanh(self.pooler(x[:, 0])))


class T5Attention(nn.Module):
    """No scaling of scores, and biases for relative distances."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.table, self.heads = nn.Embedding(8, heads), heads

    def forward(self, x, memory, causal):
        n, t, c = x.shape
        q, k, v = (
            f(y).view(n, -1, self.heads, c // self.heads).transpose(1, 2)
            for f, y in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        distance = (torch.arange(memory.shape[1])[None, :] - torch.arange(t)[:, None]).abs().clamp(max=7)
        scores = q @ k.transpose(-2, -1) + self.table(distance).permute(2, 0, 1)
        if causal:
            scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, c))


class T5(nn.Module):
    """An encoder and a decoder layer with ReLU, RMS norms and one embedding for everything."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.encoder, self.decoder, self.cross = T5Attention(), T5Attention(), T5Attention()
        self.norms = nn.ModuleList(RMSNorm(8) for _ in range(7))
        self.inner, self.outer = (
            nn.ModuleList(nn.Linear(a, b, bias=False) for _ in range(2)) for a, b in ((8, 12), (12, 8))
        )

    def feed_forward(self, x, place, norm):
        return x + self.outer[place](F.relu(self.inner[place](self.norms[norm](x))))

    def forward(self, source, target):
        x = self.tokens(source)
        y = self.norms[0](x)
        x = self.feed_forward(x + self.encoder(y, y, False), 0, 1)
        memory = self.norms[2](x)
        x = self.tokens(target)
        y = self.norms[3](x)
        x = x + self.decoder(y, y, True)
        x = self.feed_forward(x + self.cross(self.norms[4](x), memory, False), 1, 5)
        return F.linear(self.norms[6](x), self.tokens.weight)


class Mamba(nn.Module):
    """One selective state space block: 6 inner channels, 3 states, rank 2."""

    def __init__(self, width=4, inner=6, states=3, rank=2):
        super().__init__()
        self.norm, self.inward, self.outward = (
            RMSNorm(width),
            nn.Linear(width, 2 * inner, bias=False),
            nn.Linear(inner, width, bias=False),
        )
        self.conv = nn.Conv1d(inner, inner, 3, groups=inner, padding=2)
        self.select, self.step = nn.Linear(inner, rank + 2 * states, bias=False), nn.Linear(rank, inner)
        self.rates, self.skip = nn.Parameter(torch.zeros(inner, states)), nn.Parameter(torch.ones(inner))
        self.sizes, self.head = [rank, states, states], nn.Linear(width, 3)

    def forward(self, x):
        start = x
        u, gate = self.inward(self.norm(x)).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        rank, b, c = self.select(u).split(self.sizes, -1)
        step = F.softplus(self.step(rank))
        decay = torch.exp(step[..., None] * -torch.exp(self.rates))
        drive = step[..., None] * b[:, :, None, :] * u[..., None]
        state, outs = torch.zeros_like(drive[:, 0]), []
        for t in range(x.shape[1]):
            state = decay[:, t] * state + drive[:, t]
            outs.append((state * c[:, t, None, :]).sum(-1))
        y = (torch.stack(outs, 1) + u * self.skip) * F.silu(gate)
        return self.head(start + self.outward(y))


class Experts(nn.Module):
    """A router's softmax over its two best of three experts, all of them evaluated."""

    def __init__(self, width=4, hidden=5):
        super().__init__()
        self.router = nn.Linear(width, 3, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)) for _ in range(3)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x):
        scores = self.router(self.norm(x)).softmax(-1)
        best, where = scores.topk(2, -1)
        gates = torch.zeros_like(scores).scatter(-1, where, best / best.sum(-1, keepdim=True))
        made = torch.stack([expert(self.norm(x)) for expert in self.experts], -1)
        return self.head(x + (made * gates[..., None, :]).sum(-1))


class ReluRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.rnn, self.head = (
            nn.Embedding(7, 3),
            nn.RNN(3, 5, 2, nonlinearity="relu", batch_first=True),
            nn.Linear(5, 2),
        )

    def forward(self, ids):
        return self.head(self.rnn(self.tokens(ids))[0][:, -1])


class Shared(nn.Module):
    """One layer used three times, and a second with the transpose of its weight."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = F.relu(self.first(x))
        for _ in range(3):
            x = F.relu(self.again(x))
        return self.last(F.relu(x @ self.again.weight))
