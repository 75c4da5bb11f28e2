"""What was expected before anything was measured for the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """`name` is that of the function in `findings.py` that decides."""

    name: str
    text: str


HYPOTHESES = (
    Hypothesis(
        "healthy",
        "On models as trained, balancing with p = 2 moves the signal-to-noise ratio at int8 per tensor by less than "
        "1 dB, in every case.",
    ),
    Hypothesis(
        "accuracy",
        "On models as trained, it changes the test accuracy at int8 by less than half a point, in every case.",
    ),
    Hypothesis(
        "disturbed",
        "Where scales are disturbed, balancing with p = 2 regains at least 20 dB at int8 per tensor, in every case.",
    ),
    Hypothesis(
        "one_model",
        "Balanced models are rounded alike whether disturbed before or not: signal-to-noise ratios agree to 0.5 dB.",
    ),
    Hypothesis(
        "bits",
        "A gain in decibels is the same at 4 bits as at 8, within 1 dB: means over cases, per tensor, p = 2.",
    ),
    Hypothesis(
        "channel_healthy",
        "With a step size per channel, balancing models as trained is useless: it moves the ratio by less than 1 dB, "
        "in every case.",
    ),
    Hypothesis(
        "channel_disturbed",
        "With a step size per channel, balancing is useless for disturbed models too: less than 1 dB, in every case.",
    ),
    Hypothesis(
        "powers", "The greater p, the better per tensor: over all cases the mean ratio rises from p = 1 to 2 to 4 to 8."
    ),
    Hypothesis(
        "peers_better",
        "Equalization of ranges (Brevitas) is at least as good as balancing with p = 2 at int8 per tensor, in the mean "
        "over cases, healthy and disturbed.",
    ),
    Hypothesis(
        "function",
        "Balancing changes no function: outputs move by less than 1e-12 in double precision, on every architecture.",
    ),
    Hypothesis("units", "On every architecture balancing scales at least as many channels as each peer."),
    Hypothesis(
        "optimum",
        "Behind disturbed scales, what peers leave costs at least 1 % more squares than the certified optimum.",
    ),
)
