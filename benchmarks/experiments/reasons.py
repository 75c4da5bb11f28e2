"""Likely reasons, each written for one verdict of one question: other results get none."""

from __future__ import annotations

NONE = "None is given: these results differ from those that the reasons were written for."

_SMALL_RATE = """at a rate that is much too small, whatever makes gradients larger gets further in the same number of
epochs; disturbed arms, furthest from balance, gain as well. Where even that is too slow, no arm differs from
another."""

_CHANGE_OF_RATES = """where it helps, scales drawn at random help as well. Rates were tried half a decade apart, and
what changes the effective rate by less than that can look like a gain."""

_SCALES_ARE_RATES = """a unit scaled by s has its incoming weights learn as if at the rate divided by s², and its
outgoing ones as if at the rate times s². Any change of scales is thus another choice of rates, one for each weight, and
nothing makes the balanced choice the best one for the error."""

_LARGER_GRADIENTS = """random scales make gradients larger on the whole, which acts like a larger rate: at a fixed small
rate a disturbed network is faster for it, the more so the wider the scales, and balance takes that away."""

_WITHIN_A_RATE = """scales that differ by factors of e ask for no rate that a choice among rates half a decade apart
would not find: what balance takes away is no obstacle."""

_BEYOND_A_RATE = """where units differ this much, curvature is that of the worst of them, and the rates that it allows
are too small for the others: no choice of one rate makes up for that. Balanced scales do not depend on the scales
before, so that training starts from where it would have started without them."""

_AGAIN = """at rates that train well a balanced start is left slowly, so that balancing again adds little to balancing
once; and balancing once is another choice of rates."""

_NOTHING_LEFT = """with tuned rates nothing is left that these seeds could tell. The largest gains, with few images and
few epochs, are as large where scales are drawn at random. Rates were tried half a decade apart, and what changes the
effective rate by less than that can look like a gain."""

_UNDONE = """balance for p = 1 after every epoch undoes what training did with the scales: the rate that trains best is
then a smaller one, and the loss is behind after as many epochs. Balance for p = 2 is left slowly at rates that train
well, so that balancing again adds little to balancing once."""

_SAME_PLACES = "balance changes no function, only the way there; and the tuned rates lead to the same places."

_ANOTHER_RATE = """both ways it is the rate that decides. Where accuracy fell, in one network (784-256-10 on all
images), plain training was given the rate 1 and the balanced arms 0.3 or less; there the validation losses at the two
rates hardly differ, which one the tuning seeds prefer decides about a point of accuracy, and random scales as large
as those of balance for p = 1 were given 0.3 too, and lose as much. Where it rose (784-512-256-128-64-10 on 600
images, one rate for both), plain training has not come to an end in these epochs; scales disturbed at random by
factors e^N gain as much, and the same balanced start gains two points more at the next rate."""

_ADAM = """Adam moves all weights by about the same amount, so that scales decide how far each moves relative to its
size. Balance is not what matters in it: the disturbed arm gains more at this rate, and with tuned rates the gain is not
told from none."""

_FALLING = """gradient descent keeps in² - out² but for its steps, so that without a penalty the relative imbalance
falls only as weights grow; where first weights are small that is much. A penalty λ needs a time of 1/(2λ), counted in
steps times the rate, and these runs are shorter."""

_CLOCK = """the sum of squares grows as the loss falls and orders the epochs of a run like a clock; imbalance falls in
some tasks and rises in others."""

_DRIFT = """the law below: the drift grows with the size of the steps. AdamW's steps are no multiples of gradients, and
keep nothing."""

_LAW = """it is exact: a step changes in² - out² by the square of its size times a difference of squared gradients,
since the first order cancels for homogeneous units."""

_BIASES = """first biases are small beside weights: the function changes, but at the start of training one function is
as good as another. A network that has learned would lose what it learned."""

REASONS = {
    ("untuned", "mixed"): _SMALL_RATE,
    ("untuned", "not confirmed"): _SMALL_RATE,
    ("start", "mixed"): _CHANGE_OF_RATES,
    ("start", "not confirmed"): _NOTHING_LEFT,
    ("random", "mixed"): _SCALES_ARE_RATES,
    ("random", "not confirmed"): _SCALES_ARE_RATES,
    ("alternation", "not confirmed"): _AGAIN,
    ("alternation", "the opposite"): _UNDONE,
    ("alternation", "mixed"): _UNDONE,
    ("accuracy", "mixed"): _ANOTHER_RATE,
    ("accuracy", "not confirmed"): _SAME_PLACES,
    ("disturbed-untuned", "the opposite"): _LARGER_GRADIENTS,
    ("disturbed", "not confirmed"): _WITHIN_A_RATE,
    ("disturbed widely", "confirmed"): _BEYOND_A_RATE,
    ("disturbed widely", "mixed"): _BEYOND_A_RATE,
    ("adam", "confirmed"): _ADAM,
    ("falling", "mixed"): _FALLING,
    ("prediction", "not confirmed"): _CLOCK,
    ("staying", "confirmed"): _DRIFT,
    ("law", "confirmed"): _LAW,
    ("biases", "not confirmed"): _BIASES,
    ("control", "confirmed"): "no unit can be scaled, and all arms are the same run, bit for bit.",
    ("kept", "confirmed"): "it is what the library promises; a run that broke it would have stopped.",
    ("time", "confirmed"): "a sweep reads every weight once or twice, training reads it three times a batch.",
}
