"""
A constraint added to the cvxpy problem
=======================================

Balancing lets weights grow where that pays for others. Sometimes they may not: a chip stores weights within limits,
say. The balance problem is a convex one, and ``bg.convex_problem`` hands it out for cvxpy, to add what you need.

The network is a small classifier of iris flowers. Its data and its training come from scikit-learn (``pip install
scikit-learn``).
"""

import warnings

import cvxpy as cp
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier

import balance_graph as bg

X, y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # training may stop early here
    mlp = MLPClassifier((6,), max_iter=1500, random_state=3).fit(X, y)
G = bg.networks.from_sklearn(mlp)

# %%
# Without the constraint
# ----------------------

free = bg.balance(G)
weights = np.array([w for *_, w in free.graph.edges(data="weight")])
print("cost", free.cost, "largest weight", np.abs(weights).max())

# %%
# With it
# -------
#
# The variables are *log-gains*: logarithms of the factors on the weights, one for each edge. A bound on a weight,
# :math:`|w| e^L \le 1.35`, is linear in them.

LIMIT = 1.35
model = bg.convex_problem(G, 2.0)
sizes = np.abs([G.edges[edge]["weight"] for edge in model.edges])
bound = np.log(sizes) + model.log_gains <= np.log(LIMIT)
bounded = cp.Problem(model.problem.objective, [*model.problem.constraints, bound])
print(bounded.solve(), bounded.status)

# %%
# The scales go back to the network. It computes the same, but where the bound holds a weight back, a unit is out of
# balance: the price of the constraint.

H = bg.scale(G, {node: float(np.exp(l)) for node, l in model.log_scales().items()})
print("outputs change by", np.abs(bg.evaluate(G, X) - bg.evaluate(H, X)).max())
print("cost", bg.cost(G, 2), "as trained,", bg.cost(H, 2), "within the bound")

fig, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for ax, network, title in zip(
    axes, (free.graph, H), ("free", "bounded"), strict=True
):
    bg.plots.plot_network(network, limit=0.5, ax=ax)
    largest = max(abs(w) for *_, w in network.edges(data="weight"))
    ax.set_title(
        f"{title}: largest weight {largest:.2f}, cost {bg.cost(network, 2):.2f}",
        loc="left",
    )
