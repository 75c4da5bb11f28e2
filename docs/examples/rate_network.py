"""
A recurrent rate network
========================

In a recurrent network everything feeds back, so a change of one unit's scale comes around to it again. Balancing does
not mind: cycles are edges like others, and the activity at every moment stays what it was.

The network is a rate model of a column of cortex: eight populations of neurons, excitatory (e) and inhibitory (i) in
layers 2/3, 4, 5 and 6, with the connection probabilities that `Potjans and Diesmann (2014)
<https://doi.org/10.1093/cercor/bhs358>`_ put together from published counts. Each population is a ReLU unit; thalamic
input drives layers 4 and 6.
"""

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np

import balance_graph as bg

names = ["2/3e", "2/3i", "4e", "4i", "5e", "5i", "6e", "6i"]
size = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
# Row: to; column: from.
probability = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
sign = np.where([name.endswith("i") for name in names], -4.0, 1.0)  # inhibition is
weights = probability * size * sign / 2000.0  # four times as strong

G = nx.DiGraph()
for i, target in enumerate(names):
    for j, source in enumerate(names):
        if weights[i, j]:
            G.add_edge(source, target, weight=float(weights[i, j]))
for target, count in {"4e": 0.98, "4i": 0.62, "6e": 0.51, "6i": 0.20}.items():
    G.add_edge("thalamus", target, weight=count)
for layer in ("2/3e", "5e", "6e"):  # these send axons out of the column
    G.add_edge(layer, "cortex", weight=1.0)
G.nodes["cortex"]["activation"] = "linear"
print(G)

# %%
# Self-loops and cycles
# ---------------------
#
# An edge on a cycle acts with one step of delay. A unit's weight onto itself is multiplied by its scale and divided by
# it: it cannot change, and takes no part in the unit's balance.

result = bg.balance(G)
print(result.summary())

# %%
# A pulse of input
# ----------------
#
# The same pulse goes into both networks. Both answer alike, at every step.

pulse = np.zeros((40, 1))
pulse[5:15] = 1.0
before, after = bg.evaluate(G, pulse), bg.evaluate(result.graph, pulse)
print("largest difference:", np.abs(before - after).max())

ring = {n: np.exp(2j * np.pi * k / 8) for k, n in enumerate(names)}
place = {n: (z.real, z.imag) for n, z in ring.items()}
place |= {"thalamus": (-1.9, 0.0), "cortex": (1.9, 0.0)}
fig = plt.figure(figsize=(11, 7), layout="constrained")
axes = fig.subplot_mosaic(
    [["before", "after"], ["pulse", "pulse"]], height_ratios=(2, 1)
)
for name, network in (("before", G), ("after", result.graph)):
    bg.plots.plot_network(
        network,
        positions=place,
        limit=1.0,
        labels=True,
        colorbar=False,
        ax=axes[name],
    )
axes["pulse"].plot(before, linewidth=4, alpha=0.4, label="as published")
axes["pulse"].plot(after, color="black", linestyle="--", label="balanced")
axes["pulse"].set(xlabel="step", ylabel="activity sent to cortex")
axes["pulse"].legend()
