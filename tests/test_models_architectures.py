"""Architectures as people train them: free scales counted by hand, the function kept, nothing unknown.

Rooms: models, pytorch.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

import architectures as arch  # noqa: E402
from model_checks import change_of_function, dimension_by_derivatives, randomized  # noqa: E402

from balance_graph.pytorch import read_module  # noqa: E402


def image(size=8, channels=3, n=2):
    return (torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64),)


def ids(length=6, top=11, n=2):
    return torch.randint(0, top, (n, length), generator=torch.Generator().manual_seed(2))


# Every convolution and every batch norm has a scale of its own for each channel; where blocks add up, the norms' are tied.
RESNET18 = 4 + (4 + 4) + (4 + 4 + 4) + (8 + 8 + 8 + 8) + (8 + 8 + 8)
MODELS = {
    # Stem 4 convolution channels. Stage of 4: two blocks, each with conv, norm and conv scales (12); the stream, to
    # which the stem's norm belongs: 4. Stage of 8: first block conv, norm, conv, projection conv (32), second block 24,
    # the stream 8.
    "resnet18": (lambda: arch.ResNet([4, 8], [2, 2]), image(16), 4 + 2 * 12 + 4 + 32 + 24 + 8),
    # Stem: conv 4, norm 4. Stage of 2 x 4: first block 4 conv and norm scales of 2, conv 8 and projection 8: 24;
    # second 8 + 8; the stream 8. Stage of 3 x 4: first block 12 + 12 + 12, second 12 + 12, the stream 12.
    "resnet50": (lambda: arch.ResNet([2, 3], [2, 2], bottleneck=4), image(16), 4 + 4 + 24 + 16 + 8 + 36 + 24 + 12),
    # ReLU6 pins norms; convolutions before norms are free: 4 + (8 + 8 + 6) + (12 + 12 + 6) + 10; the linear
    # bottleneck's stream of 6 is free too.
    "mobilenet_v2": (arch.mobilenet_v2, image(), 4 + 22 + 30 + 10 + 6),
    # Hardswish pins: stem 4. First block, with ReLU: conv 8, norm 8, depthwise conv 8, norm 8; its squeeze 2; out
    # conv 6. Second, with hardswish: 12 + 12, squeeze 4, conv 6. Stream 6. Last conv 10.
    "mobilenet_v3": (arch.mobilenet_v3, image(), 4 + (32 + 2 + 6) + (24 + 4 + 6) + 6 + 10),
    # All hidden channels and units.
    "vgg": (arch.vgg, image(16), 4 + 6 + 8),
    # Convolution and norm of the stem 8 + 8, of each block three convolutions and three norms of 4.
    "shufflenet": (arch.shufflenet, image(), 16 + 24 + 24),
    # Convolutions: 4, then 6 + 2 twice; norms, each reading everything so far: 4 + 6, 6 + 6, and 8.
    "densenet": (arch.densenet, image(), 4 + (4 + 6 + 6 + 2) + (6 + 6 + 6 + 2) + 8),
    # Conv and norm 4 + 4, 6 + 6, transposed conv 4, conv and norm 5 + 5.
    "unet": (arch.UNet, image(channels=2), 8 + 12 + 4 + 10),
    # The stream is pinned by norms. A block: queries against keys 8, values 8; GELU pins its MLP. A norm's weight
    # scales on its own against what reads it: 8 and 8, and 8 at the end.
    "vit": (arch.ViT, image(), 2 * (16 + 16) + 8),
    "vit with relu": (lambda: arch.ViT(torch.nn.ReLU), image(), 2 * (16 + 16 + 12) + 8),
    # A block of width 4: queries and keys 4, values 4, norms 4 + 4. Merging: norm 16, last norm 8.
    "swin": (arch.Swin, image(), 2 * 16 + 16 + 8),
    # Queries and keys: 4 heads of one rotary pair, but a head of keys serves two: 2; values 2 heads of 2: 4; gated
    # MLP 12; norms 8 + 8. Last norm 8.
    "llama": (arch.Llama, (ids(),), 2 * (2 + 4 + 12 + 16) + 8),
    # The head's columns are those of the embedding, which the stream pins.
    "llama, tied": (lambda: arch.Llama(tied=True), (ids(),), 2 * (2 + 4 + 12 + 16)),
    # As ViT's blocks; the last norm is read by the tied head, whose columns are pinned.
    "gpt2": (arch.GPT2, (ids(),), 2 * 32),
    # Norms come after and pin the stream: queries and keys 8, values 8. Of the last norm only the pooler reads: 8.
    "bert": (arch.BERT, (ids(),), 2 * 16 + 8),
    # Three attentions of 8 + 8, two feed-forwards of 12, norms of 8 but the last, which the tied head reads.
    "t5": (arch.T5, (ids(), ids(5)), 3 * 16 + 2 * 12 + 6 * 8),
    # The norm 4. SiLU pins the convolution's output (its input is free, 6) and the gate. The step's rank 2 and the
    # states, what enters against what leaves, 3, are free. What the states make has one scale for all channels, which
    # the skip's weights share: 1.
    "mamba": (arch.Mamba, (torch.randn(2, 4, 4, dtype=torch.float64),), 4 + 6 + 2 + 3 + 1),
    # Each expert 5; the norm 4.
    "experts": (arch.Experts, (torch.randn(2, 5, 4, dtype=torch.float64),), 15 + 4),
    # Embedding 3, two layers of 5.
    "relu rnn": (arch.ReluRNN, (ids(4, 7),), 3 + 10),
    # Its bias gives what the layer makes the same scales v each time, so it reads v as well. The transpose sums over
    # what was made: v_o + (v_o - v_i) must be the same for all o, so there is one scale.
    "shared": (arch.Shared, (torch.randn(4, 3, dtype=torch.float64),), 1),
}


@pytest.mark.parametrize("name", MODELS)
def test_free_scales_and_function(name):
    build, inputs, count = MODELS[name]
    module = randomized(build())
    structure = read_module(module, inputs).structure
    assert structure.size == count
    assert not structure.unknown
    # Only distances that occur in so short a text.
    partly = [reason for reason in structure.pinned_parameters.values() if reason.startswith("only a part")]
    assert len(partly) == (3 if name == "t5" else 0)
    assert change_of_function(module, inputs, spread=0.5) < 1e-12


@pytest.mark.parametrize("name", ["mamba", "experts", "shared"])
def test_no_freedom_is_missed(name):
    build, inputs, count = MODELS[name]
    assert dimension_by_derivatives(build(), tuple(torch.cat([x, x + 0.5]) for x in inputs)) == count
