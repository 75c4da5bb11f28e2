"""What a reader wants to know first, in sentences whose numbers and words follow from the tables."""

from __future__ import annotations

from low_precision.configuration import BREVITAS, NONE
from low_precision.findings import CHANNEL_8, TENSOR_8, Results

_TWO = "p = 2"
_ENOUGH = 3.0  # decibels: half a bit
_HEALTHY = """**Models as trained: {verdict}.** At int8 with one step size per tensor, balancing (p = 2) moved the
signal-to-noise ratio by {low:+.1f} to {high:+.1f} dB; it rose in {better} and fell in {worse} of {cases} cases,
the rest being within chance, and accuracy moved by at most {most:.1f} points."""
_DISTURBED = """**Models whose scales have drifted apart: {verdict}.** With random scales on every free unit, balancing
moved the ratio by {tensor:+.1f} dB and accuracy from {before:.1f} to {after:.1f} %; with a step size per channel the
ratio by {channel:+.1f} dB, since that takes up the scales of outputs and not those of inputs."""
_INSTEAD = """**For an 8-bit model, take a step size per channel first.** As trained, that gives {channel:+.1f} dB over
one per tensor, without any scaling; balancing on top of it, {on_top:+.1f} dB."""
_EQUALIZED = """ Equalization of ranges, which is made for
this, gives {healthy:+.1f} dB over balancing on models as trained and {disturbed:+.1f} dB on disturbed ones (Brevitas,
int8 per tensor)."""


def answer(results: Results) -> str:
    """As trained; disturbed; and what else one may do."""
    return "\n\n".join([_healthy(results), _disturbed(results), _instead(results)])


def _healthy(results: Results) -> str:
    gains, changes = results.gains("healthy", TENSOR_8), results.gains("healthy", TENSOR_8, measure="accuracy")
    better, worse = (sum(one.sign == sign for one in gains) for sign in (1, -1))
    low, high = (choose(one.difference for one in gains) for choose in (min, max))
    verdict = "clearly" if low > _ENOUGH else "a little" if better > worse else "not"
    most = 100 * max(abs(one.difference) for one in changes)
    return _HEALTHY.format(verdict=verdict, low=low, high=high, better=better, worse=worse, cases=len(gains), most=most)


def _gained(results: Results, state: str, rounding: str, arms: tuple[str, str] = (_TWO, NONE)) -> float:
    one, two = (results.mean(state, rounding, arm) for arm in arms)
    return one - two


def _disturbed(results: Results) -> str:
    before, after = (100 * results.mean("disturbed", TENSOR_8, arm, "accuracy") for arm in (NONE, _TWO))
    tensor, channel = (_gained(results, "disturbed", key) for key in (TENSOR_8, CHANNEL_8))
    verdict = "yes" if tensor > _ENOUGH else "no"
    return _DISTURBED.format(verdict=verdict, tensor=tensor, before=before, after=after, channel=channel)


def _instead(results: Results) -> str:
    channel = results.mean("healthy", CHANNEL_8, NONE) - results.mean("healthy", TENSOR_8, NONE)
    words = _INSTEAD.format(channel=channel, on_top=_gained(results, "healthy", CHANNEL_8))
    if BREVITAS not in results.arms:
        return words
    healthy, disturbed = (_gained(results, state, TENSOR_8, (BREVITAS, _TWO)) for state in ("healthy", "disturbed"))
    return words + _EQUALIZED.format(healthy=healthy, disturbed=disturbed)
