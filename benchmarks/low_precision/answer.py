"""What a reader wants to know first, in sentences whose numbers and words follow from the tables."""

from __future__ import annotations

from low_precision.configuration import BREVITAS, NONE
from low_precision.findings import CHANNEL_8, TENSOR_8, Results

_TWO = "p = 2"


def answer(results: Results) -> str:
    """As trained; disturbed; and what else one may do."""
    return "\n\n".join([_healthy(results), _disturbed(results), _instead(results)])


def _healthy(results: Results) -> str:
    gains, changes = results.gain("healthy", TENSOR_8), results.gain("healthy", TENSOR_8, measure="accuracy")
    low, high = (choose(one.difference for one in gains) for choose in (min, max))
    most = 100 * max(abs(one.difference) for one in changes)
    better, worse = (sum(one.sign == sign for one in gains) for sign in (1, -1))
    verdict = "a little" if better > worse else "not"
    return (
        f"**Models as trained: {verdict}.** At int8 with one step size per tensor, balancing (p = 2) moved the "
        f"signal-to-noise ratio by {low:+.1f} to {high:+.1f} dB; it rose in {better} and fell in {worse} of {len(gains)} "
        f"cases, and accuracy moved by at most {most:.1f} points."
    )


def _disturbed(results: Results) -> str:
    before, after = (100 * results.mean("disturbed", TENSOR_8, arm, "accuracy") for arm in (NONE, _TWO))
    tensor, channel = (
        results.mean("disturbed", key, _TWO) - results.mean("disturbed", key, NONE) for key in (TENSOR_8, CHANNEL_8)
    )
    verdict = "yes" if tensor > 3 else "no"
    return (
        f"**Models whose scales have drifted apart: {verdict}.** With random scales on every free unit, balancing changes the "
        f"ratio by {tensor:+.1f} dB and accuracy from {before:.1f} to {after:.1f} %; with a step size per channel the ratio "
        f"by {channel:+.1f} dB, since that takes up the scales of outputs but not of inputs."
    )


def _instead(results: Results) -> str:
    channel = results.mean("healthy", CHANNEL_8, NONE) - results.mean("healthy", TENSOR_8, NONE)
    words = (
        f"**For an 8-bit model, take a step size per channel first**: on models as trained it gives {channel:+.1f} dB over one "
        f"per tensor, without any scaling; balancing on top of it changes "
        f"{results.mean('healthy', CHANNEL_8, _TWO) - results.mean('healthy', CHANNEL_8, NONE):+.1f} dB."
    )
    if BREVITAS not in results.arms:
        return words
    healthy, disturbed = (
        results.mean(state, TENSOR_8, BREVITAS) - results.mean(state, TENSOR_8, _TWO)
        for state in ("healthy", "disturbed")
    )
    return (
        f"{words} Equalization of ranges, which is made for this, gives {healthy:+.1f} dB over balancing on models as "
        f"trained and {disturbed:+.1f} dB on disturbed ones (Brevitas, int8 per tensor)."
    )
