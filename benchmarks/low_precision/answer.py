"""What a reader wants to know first, in sentences whose numbers and words follow from the tables."""

from __future__ import annotations

from collections.abc import Sequence

from low_precision.configuration import BREVITAS, NONE, TRANSFORMER
from low_precision.findings import CHANNEL_8, TENSOR_8, Results

_TWO = "p = 2"
_ENOUGH = 3.0  # decibels: half a bit
_HEALTHY = """**Models as trained: {verdict}.** At int8 with one step size per tensor, balancing (p = 2) moved the
signal-to-noise ratio by {low:+.1f} to {high:+.1f} dB, {mean:+.1f} dB in the mean over networks. The interval lies above
zero in {better} and below in {worse} of {cases} cases. Accuracy moved by at most {most:.1f} points."""
_DISTURBED = """**Models whose scales have drifted apart: {verdict}.** With random scales on every free unit, balancing
moved the ratio by {tensor:+.1f} dB and accuracy from {before:.1f} to {after:.1f} % in the mean over networks; with a
step size per channel the ratio by {channel:+.1f} dB, since that takes up the scales of outputs and not those of
inputs."""
_INSTEAD = """**For an 8-bit model, take a step size per channel first.** As trained, that gives {channel:+.1f} dB over
one per tensor, without any scaling; balancing on top of it, {on_top:+.1f} dB."""
_EQUALIZED = """
Equalization of ranges, which is made for this (Brevitas, per tensor), gives {healthy:+.1f} dB over balancing with p = 2
on models as trained. On disturbed ones it gives {chains:+.1f} dB over it in chains of layers, and {others:+.1f} dB in
transformers and where batch norms are kept, many of whose scales it leaves alone."""


def answer(results: Results) -> str:
    """As trained; disturbed; and what else one may do."""
    return "\n\n".join([_healthy(results), _disturbed(results), _instead(results)])


def _gained(
    results: Results,
    state: str,
    rounding: str,
    arms: tuple[str, str] = (_TWO, NONE),
    networks: Sequence[str] | None = None,
) -> float:
    one, two = (results.mean(state, rounding, arm, networks=networks) for arm in arms)
    return one - two


def _healthy(results: Results) -> str:
    gains, changes = results.gains("healthy", TENSOR_8), results.gains("healthy", TENSOR_8, measure="accuracy")
    better, worse = (sum(one.sign == sign for one in gains) for sign in (1, -1))
    low, high = (choose(one.difference for one in gains) for choose in (min, max))
    return _HEALTHY.format(
        verdict="yes" if better > len(gains) / 2 else "nothing to rely on",
        low=low,
        high=high,
        mean=_gained(results, "healthy", TENSOR_8),
        better=better,
        worse=worse,
        cases=len(gains),
        most=100 * max(abs(one.difference) for one in changes),
    )


def _disturbed(results: Results) -> str:
    before, after = (100 * results.mean("disturbed", TENSOR_8, arm, "accuracy") for arm in (NONE, _TWO))
    tensor, channel = (_gained(results, "disturbed", key) for key in (TENSOR_8, CHANNEL_8))
    verdict = "yes" if tensor > _ENOUGH else "no"
    return _DISTURBED.format(verdict=verdict, tensor=tensor, before=before, after=after, channel=channel)


def _instead(results: Results) -> str:
    channel = results.mean("healthy", CHANNEL_8, NONE) - results.mean("healthy", TENSOR_8, NONE)
    words = _INSTEAD.format(channel=channel, on_top=_gained(results, "healthy", CHANNEL_8))
    others = [case for case in results.networks if TRANSFORMER in case or case.endswith(" kept")]
    chains = [case for case in results.networks if case not in others]
    if BREVITAS not in results.arms or not others or not chains:
        return words
    arms = (BREVITAS, _TWO)
    return words + _EQUALIZED.format(
        healthy=_gained(results, "healthy", TENSOR_8, arms),
        chains=_gained(results, "disturbed", TENSOR_8, arms, chains),
        others=_gained(results, "disturbed", TENSOR_8, arms, others),
    )
