"""Pictures of balancing: networks, in-cost against out-cost, the way to the optimum, the theory. Needs matplotlib.

Each function draws on the axes it is given, or on those of a new figure, and returns the axes; the figure is then
``axes.figure``. Where there are several panels, ``ax`` and what comes back are arrays of axes. No function touches the
global state of pyplot, so nothing needs to be closed and no display is needed.
In-costs and out-costs are in units of the cost's slope, as in `balance_graph.imbalance`: for L_p, p times their sums.
"""

from balance_graph.plots._activations import plot_activation_classes, plot_activations
from balance_graph.plots._axes import file_suffixes
from balance_graph.plots._balance import plot_balance
from balance_graph.plots._convergence import plot_convergence
from balance_graph.plots._figures import plot_demo, plot_result
from balance_graph.plots._learning import plot_learning
from balance_graph.plots._log_scales import plot_log_scales
from balance_graph.plots._manifold import plot_balancing_order, plot_level_lines, plot_manifold
from balance_graph.plots._network import plot_network
from balance_graph.plots._osborne import plot_osborne
from balance_graph.plots._paths import plot_paths
from balance_graph.plots._rates import plot_rates
from balance_graph.plots._scale_bounds import plot_scale_bounds
from balance_graph.plots._training import plot_training
from balance_graph.plots._trajectories import plot_distances, plot_trajectories
from balance_graph.plots._weights import plot_weights

__all__ = [
    "file_suffixes",
    "plot_activation_classes",
    "plot_activations",
    "plot_balance",
    "plot_balancing_order",
    "plot_convergence",
    "plot_demo",
    "plot_distances",
    "plot_learning",
    "plot_level_lines",
    "plot_log_scales",
    "plot_manifold",
    "plot_network",
    "plot_osborne",
    "plot_paths",
    "plot_rates",
    "plot_result",
    "plot_scale_bounds",
    "plot_training",
    "plot_trajectories",
    "plot_weights",
]
