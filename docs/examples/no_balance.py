"""
When no balanced state exists
=============================

Some networks cannot be balanced: the cost falls for ever while weights go to zero, and no state is the cheapest. It is
no fault of the solver, and says something about the network. There are three pictures of it, and three remedies.
"""

import matplotlib.pyplot as plt
import networkx as nx

import balance_graph as bg


def network(*edges, hidden=()):
    G = nx.DiGraph()
    G.add_weighted_edges_from(edges)
    for node in hidden:
        G.nodes[node]["role"] = "hidden"
    return G


dead_end = network(("x", "h", 2.0), ("h", "y", 1.0), ("h", "d", 3.0), hidden=["d"])
no_source = network(("x", "h", 2.0), ("h", "y", 1.0), ("s", "h", 3.0), hidden=["s"])
one_way = network(
    ("x", "y", 2.0),
    ("a", "b", 1.0),
    ("b", "a", 1.0),
    ("c", "d", 1.0),
    ("d", "c", 1.0),
    ("b", "c", 3.0),
)

# %%
# Three pictures
# --------------
#
# *A dead end*: ``d`` reaches no output. Divide its scale by ten, and by ten again: the weight into it shrinks, and
# nothing grows. *No source*: nothing feeds ``s``, and its weight out shrinks as its scale grows. *A one-way street*:
# two loops, neither tied to an input or output, and an edge from one to the other; scale the second loop down as a
# whole.

cases = {
    "a dead end": dead_end,
    "no source": no_source,
    "a one-way street": one_way,
}
places = [
    {"x": (0, 0), "h": (1, 0), "y": (2, 0.5), "d": (2, -0.5)},
    {"x": (0, 0.5), "s": (0, -0.5), "h": (1, 0), "y": (2, 0)},
    {
        "x": (0, 1),
        "y": (2, 1),
        "a": (-0.2, 0),
        "b": (0.6, 0),
        "c": (1.4, 0),
        "d": (2.2, 0),
    },
]
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, (name, G), place in zip(axes, cases.items(), places, strict=True):
    found = bg.attainment(G)
    nx.draw_networkx_nodes(
        G, place, node_color="#D9D9D9", edgecolors="#333333", ax=ax
    )
    nx.draw_networkx_labels(G, place, font_size=10, ax=ax)
    alive = [edge for edge in G.edges if edge not in found.dead_edges]
    for edges, color, style in (
        (alive, "#333333", "-"),
        (found.dead_edges, "#D55E00", "--"),
    ):
        nx.draw_networkx_edges(
            G,
            place,
            edgelist=list(edges),
            edge_color=color,
            style=style,
            width=1.8,
            connectionstyle="arc3,rad=0.25",
            ax=ax,
        )
    ax.set_title(f"{name}: {len(found.dead_edges)} dead edge", loc="left")
    ax.margins(0.15)
    ax.set_axis_off()

# %%
# What the library says
# ---------------------
#
# Dashed edges are *dead*: they can shrink for ever. ``bg.balance`` names the nodes and the reason, and changes nothing.

for name, G in cases.items():
    try:
        bg.balance(G)
    except bg.NotAttainedError as error:
        print(f"{name}: {error}\n")

# %%
# Three remedies
# --------------
#
# *Prune*: dead edges do nothing for the outputs, so set them to zero.

print(bg.balance(dead_end, on_unattained="prune").pruned_edges)

# %%
# *Pin*: the unit is observed after all. Give it the role of an output.

observed = dead_end.copy()
observed.nodes["d"]["role"] = "output"
print(bg.balance(observed).status)

# %%
# *Connect*: an edge was forgotten.

connected = dead_end.copy()
connected.add_edge("d", "y", weight=0.5)
print(bg.balance(connected).status)
