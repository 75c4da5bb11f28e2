"""The picture of the README: a network before and after. ``python docs/picture.py``."""

from pathlib import Path

from matplotlib.figure import Figure

import balance_graph as bg

G = bg.networks.layered([3, 5, 4, 2], rng=4)
G = bg.scale(G, {"h1.0": 2.5, "h1.3": 0.4, "h2.1": 3.0, "h2.3": 0.35})
result = bg.balance(G)

figure = Figure(figsize=(11, 3.9), layout="constrained", dpi=130)
axes = figure.subplots(1, 2)
for ax, network, when in zip(axes, (G, result.graph), ("before", "after"), strict=True):
    bg.plots.plot_network(network, limit=1.0, labels=False, colorbar=ax is axes[1], ax=ax)
    ax.set_title(f"{when}: the weights cost {bg.cost(network, 2):.1f}", loc="left", fontsize=13)
figure.savefig(Path(__file__).parent / "_static" / "balance.png")
