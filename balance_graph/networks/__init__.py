"""The gallery: networks to balance, each a plain `networkx.DiGraph`, and one with really trained weights.

Every function sets the attributes of the contract explicitly: ``role`` on every node, ``activation`` on hidden and
output nodes, ``weight`` on every edge. Nodes are named ``"x0"`` (inputs), ``"h1.3"`` (hidden layer 1, unit 3), ``"y2"``
(outputs) and ``"bias"``: one node, constant 1, whose edges carry all biases. Nodes are in the order inputs, bias,
hidden, outputs, and numbers are not padded, so the order is the graph's own, not the alphabet's. A parameter that is
zero stays in the network, as an edge of weight 0.

Random weights are He-scaled: normal with variance 2 / fan-in (He, Zhang, Ren, Sun 2015, equation 10); biases are
normal with standard deviation 0.1 rather than 0, since a zero bias would take no part in balancing.
"""

from balance_graph.networks._convolutional import convolutional
from balance_graph.networks._digits import digits, digits_images
from balance_graph.networks._inverse import to_layers, to_sklearn
from balance_graph.networks._layers import chain, from_layers, from_sklearn, layered
from balance_graph.networks._random_graphs import random_dag, random_recurrent
from balance_graph.networks._residual import residual

__all__ = [
    "chain",
    "convolutional",
    "digits",
    "digits_images",
    "from_layers",
    "from_sklearn",
    "layered",
    "random_dag",
    "random_recurrent",
    "residual",
    "to_layers",
    "to_sklearn",
]
