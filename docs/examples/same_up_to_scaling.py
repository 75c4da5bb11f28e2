"""
Two networks equal up to scaling
================================

Two files hold networks of the same shape with quite different weights. Are they the same network in other units, or
two different ones? Comparing weights does not tell; comparing outputs tells for the inputs that you try. Scaling leaves
a fingerprint that decides it.

One network is the bundled classifier of handwritten digits. The other is made from it here, as somebody might who
rescales units to fit numbers into a narrow format.
"""

import matplotlib.pyplot as plt
import numpy as np

import balance_graph as bg

ours = bg.networks.digits()
free = [node for node, role in ours.nodes(data="role") if role == "hidden"]
rng = np.random.default_rng(1)
theirs = bg.scale(ours, {node: float(2.0 ** rng.integers(-6, 7)) for node in free})

pairs = np.array(
    [[ours.edges[e]["weight"], theirs.edges[e]["weight"]] for e in ours.edges]
)
powers = np.abs(np.log2(pairs[:, 1] / pairs[:, 0]))
print(f"weights differ by factors up to 2^{powers.max():.0f}")

# %%
# Ask
# ---
#
# Nothing is solved for the answer: the logarithms of the ratios of weights must fit one scale per unit.

print(bg.equivalent(ours, theirs))

# %%
# Change a single weight by a thousandth, and they are two networks:

changed = theirs.copy()
changed["h1.0"]["h2.0"]["weight"] *= 1.001
print(bg.equivalent(ours, changed))

# %%
# A form for all of them
# ----------------------
#
# To compare many networks, or to look one up, bring each to its *canonical form*: the balanced network, which all that
# are equal up to scaling share.

forms = [bg.canonical_form(network, 2) for network in (ours, theirs, changed)]
values = np.array([[form.edges[e]["weight"] for e in ours.edges] for form in forms])
print("ours and theirs:  ", np.abs(values[1] / values[0] - 1).max())
print("ours and changed: ", np.abs(values[2] / values[0] - 1).max())

fig, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
axes[0].loglog(*np.abs(pairs).T, ".", markersize=3, color="#D55E00")
axes[0].set(
    xlabel="|weight| of ours", ylabel="|weight| of theirs", title="as they come"
)
axes[1].loglog(*np.abs(values[:2]), ".", markersize=3, color="#0072B2")
axes[1].set(
    xlabel="|weight| of ours", ylabel="|weight| of theirs", title="canonical forms"
)
