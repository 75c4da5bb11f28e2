"""
Balancing while training
========================

Balancing does not change what a network computes, but it changes how it learns: gradients with respect to large
weights are small, and the other way round. So it can be done between the epochs of training, like a projection.

A network from scikit-learn learns handwritten digits by plain gradient descent, from a start in which the units of its
first layer are much too large. Between epochs its weights go to a graph, are balanced, and come back. (In PyTorch two
lines do this, optimizer and all: :doc:`/models`.)
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

import balance_graph as bg

images, labels = load_digits(return_X_y=True)
images = images / 16.0


def start():
    """One step of training makes the weights; then the first layer is set off."""
    mlp = MLPClassifier(
        (32, 16),
        solver="sgd",
        momentum=0.0,
        learning_rate_init=0.05,
        random_state=0,
    )
    mlp.partial_fit(images[:200], labels[:200], classes=np.arange(10))
    mlp.coefs_[0] *= 6.0
    mlp.intercepts_[0] *= 6.0
    mlp.coefs_[1] /= 6.0
    return mlp


def train(balanced, epochs=25):
    mlp, errors, imbalances = start(), [], []
    for _ in range(epochs):
        G = bg.networks.from_sklearn(mlp)
        if balanced:
            G = bg.balance(G, solver="newton").graph
            mlp = bg.networks.to_sklearn(G, mlp)
        errors.append(log_loss(labels, mlp.predict_proba(images)))
        imbalances.append(bg.relative_imbalance(G))
        mlp.partial_fit(images, labels)
    return errors, imbalances


# %%
# Both runs start from the same function. The one that is balanced takes the better way down from there. This is one
# network and one rate of learning, not a claim about all: where a start is good, little changes.

runs = {"as it comes": train(False), "balanced between epochs": train(True)}
for name, (errors, _) in runs.items():
    print(
        f"{name:24} error {errors[0]:.4f} at the start, {errors[-1]:.4f} at the end"
    )

fig, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for name, (errors, imbalances) in runs.items():
    axes[0].semilogy(errors, label=name)
    axes[1].semilogy(np.maximum(imbalances, 1e-16), label=name)
axes[0].set(xlabel="epoch", ylabel="error on the images")
axes[1].set(xlabel="epoch", ylabel="relative imbalance before the epoch")
axes[0].legend()
