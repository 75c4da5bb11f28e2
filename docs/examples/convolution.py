"""
A convolutional model
=====================

In a convolution one kernel serves every place of the image. So its entries are shared by many edges, and all units of
a channel have one scale. The edge attribute ``shared`` says so, and balancing keeps to it: what comes out is a
convolution again.

The model reads the 8 x 8 images of digits that come with scikit-learn (``pip install scikit-learn``): four kernels (the
principal components of 3 x 3 patches), ReLU, and a linear readout fitted by least squares. (Models written in PyTorch
need no such unrolling: see :doc:`/models`.)
"""

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.datasets import load_digits

import balance_graph as bg

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8) / 16.0
patches = sliding_window_view(images, (3, 3), axis=(1, 2))  # (image, 6, 6, 3, 3)
flat = patches.reshape(-1, 9)
_, _, components = np.linalg.svd(flat[::50] - flat.mean(0), full_matrices=False)
kernels = components[:4].reshape(4, 3, 3)

hidden = np.maximum(np.einsum("nijab,kab->nkij", patches, kernels), 0.0)
features = hidden.reshape(len(images), -1)
readout = np.linalg.lstsq(features, np.eye(10)[labels], rcond=1e-3)[0]
print("accuracy:", np.mean((features @ readout).argmax(1) == labels))

# %%
# As a network
# ------------
#
# One node for each pixel and each unit; every copy of a kernel's entry carries the same value of ``shared``.

G = nx.DiGraph()
for i, j in np.ndindex(8, 8):
    G.add_node(f"p{i}{j}", role="input")
for k, i, j in np.ndindex(4, 6, 6):
    for a, b in np.ndindex(3, 3):
        weight = float(kernels[k, a, b])
        G.add_edge(f"p{i + a}{j + b}", (k, i, j), weight=weight, shared=(k, a, b))
for row, unit in zip(readout, np.ndindex(4, 6, 6), strict=True):
    for digit, weight in enumerate(row):
        G.add_edge(unit, f"y{digit}", weight=float(weight))
for digit in range(10):
    G.nodes[f"y{digit}"]["activation"] = "linear"
print(G, "with", bg.manifold(G).dimension, "scales to choose: one for each channel")

# %%
# Balance
# -------
#
# A kernel costs once, however often it is used, while each of its units has ten weights of its own behind it.

result = bg.balance(G)
print(result.summary())
scales = [result.scales[k, 0, 0] for k in range(4)]

# %%
# The kernels grew and the readout shrank. Their shapes are the same, and so is what the model says about each image.

before = bg.evaluate(G, images.reshape(-1, 64))
after = bg.evaluate(result.graph, images.reshape(-1, 64))
print("outputs change by", np.abs(before - after).max())

fig, axes = plt.subplots(2, 4, figsize=(9, 4.6), layout="constrained")
largest = max(scales) * np.abs(kernels).max()
for k in range(4):
    for row, factor in enumerate((1.0, scales[k])):
        picture = axes[row, k].imshow(
            factor * kernels[k], cmap="PuOr", vmin=-largest, vmax=largest
        )
        axes[row, k].set(xticks=[], yticks=[])
    axes[1, k].set_xlabel(f"times {scales[k]:.3g}")
axes[0, 0].set_ylabel("kernels before")
axes[1, 0].set_ylabel("balanced")
fig.colorbar(picture, ax=axes, label="weight")
