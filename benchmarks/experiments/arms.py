"""The arms: what may be done to scales, each by name, and which is judged against which."""

from __future__ import annotations

from experiments.configuration import Arm

_DISTURBED, _WIDELY = 1.0, 2.0  # standard deviations of random log-scales

ARMS = {
    arm.name: arm
    for arm in (
        Arm("plain"),
        Arm("L2 penalty", penalty="l2"),
        Arm("L2 penalty, decoupled", penalty="l2", decoupled=True),
        Arm("L1 penalty", penalty="l1"),
        Arm("L1 penalty, decoupled", penalty="l1", decoupled=True),
        Arm("start p=0.5", start="balance", p=0.5),
        Arm("start p=1", start="balance", p=1.0),
        Arm("start p=2", start="balance"),
        Arm("start p=3", start="balance", p=3.0),
        Arm("random as p=1", start="random", p=1.0),
        Arm("random as p=2", start="random"),
        Arm("weights alone", start="weights alone"),
        Arm("sweep each epoch", during="sweep"),
        Arm("full each epoch p=1", during="full", p=1.0),
        Arm("full each epoch", during="full"),
        Arm("full each step", during="full", every="step"),
        Arm("equi-normalization", during="equi-normalization", every="step"),
        Arm("disturbed", disturbed=_DISTURBED),
        Arm("disturbed, start p=2", disturbed=_DISTURBED, start="balance"),
        Arm("disturbed widely", disturbed=_WIDELY, rate_factor=0.1),
        Arm("disturbed widely, start p=2", disturbed=_WIDELY, start="balance"),
    )
}

# Arms are compared with plain training, and these with the arm that differs in one thing only.
_OTHER_REFERENCES = {
    "disturbed, start p=2": ("disturbed",),
    "disturbed widely, start p=2": ("disturbed widely",),
    "start p=1": ("plain", "random as p=1"),
    "start p=2": ("plain", "random as p=2"),
    "weights alone": ("plain", "start p=2"),
}

DESCRIPTIONS = {
    "plain": "PyTorch's own first weights, nothing else",
    "L1 penalty, L2 penalty": "λ times the sum of |w|, or half of that of w², added to the loss",
    "decoupled": "the same subtracted after the step (L1: soft thresholding)",
    "start p": "full balance of the first weights for the cost of |w|^p",
    "random as p": "first weights scaled by the log-scales of that balancing in random order with random signs: "
    "a change of scales as large, and no balance",
    "weights alone": "first weights balanced for p=2, biases left as they were, as published scripts do: "
    "the function changes",
    "sweep each epoch": "one sweep of local balancing, p=2, after each epoch",
    "full each epoch, full each step": "full balance, p=2 unless it says p=1",
    "equi-normalization": "the rule of [ENorm](#stock2019) after each step, written from its paper",
    "disturbed": "units of the first weights scaled by random factors e^N, N standard normal; the function is kept",
    "disturbed widely": "the same with factors e^(2N); its tuned rates are sought a decade lower",
    "disturbed, start p=2": "disturbed, then balanced; likewise disturbed widely",
}


def references(arm: str) -> tuple[str, ...]:
    """What an arm is compared with."""
    return () if arm == "plain" else _OTHER_REFERENCES.get(arm, ("plain",))


def named(*names: str) -> tuple[Arm, ...]:
    return tuple(ARMS[name] for name in names)
