"""
A connectome with dead ends
===========================

You have a wiring diagram: who connects to whom, and how strongly. Balancing it asks for more: which neurons get their
input from outside, which act on something outside, and whether every other one lies between the two. Real wiring
diagrams have dead ends, and the library names them before it touches a weight.

The data are the chemical synapses of the pharynx of the worm *C. elegans*: 20 neurons, two more that connect the
pharynx to the rest of the animal (``RIPL``, ``RIPR``), and the muscles (``pm``), glands (``g``) and other cells that
they act on. A weight is the number of electron micrographs in which a synapse is seen; parts of one muscle are put
together. They were published by `Cook and others, 2020 <https://doi.org/10.1002/cne.24932>`_, and are taken from the
`C. elegans connectome toolbox <https://pypi.org/project/cect/>`_ (MIT license). To follow along, save
:download:`pharynx.csv <pharynx.csv>` in the folder where you work.
"""

import matplotlib.pyplot as plt
import networkx as nx

import balance_graph as bg

G = bg.read_network("pharynx.csv")
print(G)
print("roles follow from the edges; inputs:", [n for n in G if not G.in_degree(n)])

# %%
# What stands in the way
# ----------------------
#
# A cell without synapses onto it is taken for an input, one without synapses of its own for an output. Only one neuron
# looks like an input. Balancing says at once that this is not enough:

try:
    bg.balance(G)
except bg.NotAttainedError as error:
    print(error)

# %%
# A neuron that no input reaches has nothing to hold its scale: multiply it by ten, and ten again, and all weights after
# it shrink. The cost has no least value (:ref:`more about this <attained-or-not>`). ``bg.attainment`` has the list.

found = bg.attainment(G)
reasons = sorted(set(found.reasons.values()))
print(len(found.dead_nodes), "of", len(G), "cells:", "; ".join(reasons))

# %%
# Say what the data leave out
# ---------------------------
#
# The diagram has synapses only. What the pharynx senses of food and pressure, and gap junctions, are not in it. So we
# say that something from outside reaches the network: one more node, an input, with an edge of weight 1 to a neuron
# that nothing else feeds, and another for as long as neurons are left without input. One is enough, it turns out: from
# there the signal goes around.

senses = G.copy()
senses.add_node("outside", role="input")
while dead := bg.attainment(senses).dead_nodes:
    senses.add_edge("outside", dead[0], weight=1.0)
print("fed from outside:", list(senses["outside"]))

result = bg.balance(senses)
print(result.summary())

# %%
# Which neurons were out of balance? They form the inner ring; what they act on, the outer. The color of a cell says
# whether more comes in than goes out, or less; gray cells are inputs and outputs.

neurons = [n for n in G if n[0] in "IMNR"]
place = nx.shell_layout(G, [neurons, [n for n in G if n not in neurons]])
place["outside"] = [0.0, 1.35]
fig, axes = plt.subplots(1, 2, figsize=(11, 6), layout="constrained")
for ax, network in zip(axes, (senses, result.graph), strict=True):
    bg.plots.plot_network(
        network, positions=place, limit=1.0, labels=True, colorbar=False, ax=ax
    )

# %%
# The other way: leave out what does nothing
# ------------------------------------------
#
# If a cell really gets no input, its synapses do nothing in the model. ``on_unattained="prune"`` sets them to zero,
# balances the rest and lists what went.

pruned = bg.balance(G, on_unattained="prune")
print(len(pruned.pruned_edges), "of", G.number_of_edges(), "synapses pruned")
