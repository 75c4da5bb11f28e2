r"""
Your own regularizer
====================

A regularizer says what a weight costs. Squares are the usual choice: they punish large weights hard. Sizes,
:math:`|w|`, do not mind them. Your problem may ask for something else: the price of a wire, the energy of a synapse.
Any cost will do that is convex as a function of the *logarithm* of the weight; many are that do not look convex at all.

Here is one between the two, :math:`|w| \log(1 + |w|)`: like squares for small weights, little more than proportional
for large ones. What does it make of the bundled classifier of handwritten digits?
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

import balance_graph as bg

# %%
# Three functions of the log-weight
# ---------------------------------
#
# With :math:`x = \log|w|` the cost is :math:`e^x \log(1 + e^x)`. ``LogConvex`` takes it, its slope and its curvature,
# each for whole arrays. They are checked against each other when the regularizer is made.


def value(x):
    return np.exp(x) * np.logaddexp(0.0, x)


def slope(x):
    return np.exp(x) * (np.logaddexp(0.0, x) + expit(x))


def curvature(x):
    return slope(x) + np.exp(x) * expit(x) * (2.0 - expit(x))


between = bg.LogConvex(value, slope, curvature)
digits = bg.networks.digits()
result = bg.balance(digits, between)
print(result.summary())

# %%
# A mistake is found at once. Here the slope lacks a term, and no longer is the derivative of the value:

try:
    bg.LogConvex(value, lambda x: np.exp(x) * np.logaddexp(0.0, x), curvature)
except bg.InvalidRegularizerError as error:
    print(error)

# %%
# Each cost has its own balance
# -----------------------------
#
# The same network balanced for sizes, for the cost above and for squares, each measured by all three:

costs = {"sizes": 1, "between": between, "squares": 2}
answers = {name: bg.balance(digits, cost).graph for name, cost in costs.items()}
print("balanced for  " + "".join(f"{name:>10}" for name in costs))
for name, graph in {"(as trained)": digits, **answers}.items():
    print(
        f"{name:14}" + "".join(f"{bg.cost(graph, c):10.2f}" for c in costs.values())
    )

# %%
# In each column the least number is where it belongs. The picture shows the cost of a weight, and how the scales of the
# 48 units differ.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
w = np.linspace(1e-3, 2.5, 200)
axes[0].plot(w, w, ":", label="sizes")
axes[0].plot(w, value(np.log(w)), label="between")
axes[0].plot(w, w**2, "--", label="squares")
axes[0].set(xlabel="|weight|", ylabel="cost")
axes[0].legend()
scales = [bg.balance(digits, cost).scales for cost in (between, 2)]
axes[1].plot(list(scales[1].values()), list(scales[0].values()), "o", alpha=0.6)
axes[1].axline((1, 1), slope=1, color="gray", linewidth=1)
axes[1].set(xlabel="scale of a unit for squares", ylabel="for the cost between")
