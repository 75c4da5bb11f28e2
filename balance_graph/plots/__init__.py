"""Pictures of balancing: networks, in-cost against out-cost, the way to the optimum, weights. Needs matplotlib.

Each function draws on the axes it is given, or on those of a new figure, and returns the axes; the figure is then
``axes.figure``. No function touches the global state of pyplot, so nothing needs to be closed and no display is needed.
In-costs and out-costs are in units of the cost's slope, as in `balance_graph.imbalance`: for L_p, p times their sums.
"""

from balance_graph.plots._axes import file_suffixes
from balance_graph.plots._balance import plot_balance
from balance_graph.plots._convergence import plot_convergence
from balance_graph.plots._figures import plot_demo, plot_result
from balance_graph.plots._network import plot_network
from balance_graph.plots._weights import plot_weights

__all__ = [
    "file_suffixes",
    "plot_balance",
    "plot_convergence",
    "plot_demo",
    "plot_network",
    "plot_result",
    "plot_weights",
]
