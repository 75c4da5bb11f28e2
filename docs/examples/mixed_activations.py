"""
Mixed tanh and ReLU
===================

A tanh unit saturates, so it cannot be scaled: twice the input is not twice the output. A ReLU unit can. What of a
network with both? The library finds out which is which, scales the ones, and holds the others in place.

The network predicts the progress of diabetes from ten measurements of 442 patients: a layer of tanh units, a layer of
ReLU units, and a linear output. The hidden layers are random, the output is fitted by least squares. The data come with
scikit-learn (``pip install scikit-learn``).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import balance_graph as bg

X, y = load_diabetes(return_X_y=True, scaled=False)
X = (X - X.mean(0)) / X.std(0)
y = (y - y.mean()) / y.std()

rng = np.random.default_rng(0)
first = rng.standard_normal((10, 6)) / 3
second = rng.standard_normal((6, 8))
hidden = np.maximum(np.tanh(X @ first) @ second, 0.0)
last = np.linalg.lstsq(hidden, y, rcond=None)[0][:, None]

G = bg.networks.from_layers([first, second, last], activation=["tanh", "relu"])
error = np.mean((bg.evaluate(G, X)[:, 0] - y) ** 2)
print(f"variance explained: {1 - error:.2f}")

# %%
# Which units were scaled
# -----------------------
#
# Only the eight ReLU units have a scale. The tanh units are *pinned*: their scale is 1, as for inputs and outputs. The
# weights into them still have a cost; it stays what it is.

result = bg.balance(G)
print(result.summary())
print({unit: round(s, 3) for unit, s in result.scales.items()})
print(
    "outputs change by",
    np.abs(bg.evaluate(result.graph, X)[:, 0] - hidden @ last[:, 0]).max(),
)

# %%
# In the picture the pinned units are gray. The others are colored by their imbalance before, and white after.

fig, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
for ax, network in zip(axes, (G, result.graph), strict=True):
    bg.plots.plot_network(network, limit=1.0, colorbar=ax is axes[1], ax=ax)

# %%
# What happens if a tanh unit is scaled nevertheless? The library refuses, and says why:

try:
    bg.scale(G, {"h1.0": 2.0})
except bg.BalanceGraphError as error:
    print(error)
