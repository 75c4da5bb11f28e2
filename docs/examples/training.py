"""
Balancing while training
========================

Balancing does not change what a network computes, but it changes how it learns: multiply a weight by ten, and the
gradient with respect to it is a tenth. So a network that is balanced between the epochs of training takes another way.
A better one? That depends, and above all on the learning rate.

A network from scikit-learn learns handwritten digits by plain gradient descent, from a start in which the weights of
its first layer are six times as large as they should be, and those of its second six times as small. Between epochs its
weights go to a graph, are balanced, and come back. (In PyTorch two lines do this, optimizer and all:
:doc:`/models-training`.)

The data come with scikit-learn: ``pip install scikit-learn``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

import balance_graph as bg

images, labels = load_digits(return_X_y=True)
images = images / 16.0


def start(rate):
    """One step of training makes the weights; then the layers are set off."""
    mlp = MLPClassifier(
        (32, 16),
        solver="sgd",
        momentum=0.0,
        learning_rate_init=rate,
        random_state=0,
    )
    mlp.partial_fit(images[:200], labels[:200], classes=np.arange(10))
    mlp.coefs_[0] *= 6.0
    mlp.intercepts_[0] *= 6.0
    mlp.coefs_[1] /= 6.0
    return mlp


def train(rate, balanced, epochs=15):
    """The error before each epoch and after the last."""
    mlp, errors = start(rate), []
    for _ in range(epochs + 1):
        if balanced:
            G = bg.networks.from_sklearn(mlp)
            G = bg.balance(G, solver="newton").graph
            mlp = bg.networks.to_sklearn(G, mlp)
        errors.append(log_loss(labels, mlp.predict_proba(images)))
        mlp.partial_fit(images, labels)
    return errors


# %%
# At each learning rate both start from the same function:

rates = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
plain = [train(rate, balanced=False) for rate in rates]
balanced = [train(rate, balanced=True) for rate in rates]
print("rate   as it comes   balanced between epochs")
for rate, one, other in zip(rates, plain, balanced, strict=True):
    print(f"{rate:4} {one[-1]:13.3f} {other[-1]:13.3f}")

fig, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for runs, color, name in (
    (plain, "#0072B2", "as it comes"),
    (balanced, "#D55E00", "balanced between epochs"),
):
    axes[0].semilogy(runs[0], color=color, label=f"{name}, rate {rates[0]}")
    axes[0].semilogy(runs[3], "--", color=color, label=f"{name}, rate {rates[3]}")
    last = [errors[-1] for errors in runs]
    axes[1].loglog(rates, last, "o-", color=color, label=name)
axes[0].set(xlabel="epoch", ylabel="error on the images")
axes[1].set(xlabel="learning rate", ylabel="error after 15 epochs")
for ax in axes:
    ax.legend(fontsize="small")

# %%
# At the small rate the network learns faster as it comes: layers of unequal size act like a larger rate. That is also
# why it stops learning where the balanced network still goes down, and further than the other does at any smaller rate.
# At the largest rates either may fail or, with luck, get through.
#
# So tune the learning rate first. This is one network and one start. Experiments with many, at tuned rates and with
# controls, are on the page :doc:`/learning`: a network that starts well seldom gains.
