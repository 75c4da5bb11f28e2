"""Reading models: every scale freedom of a network as people train it, in arrays of labels and integer equations.

The engine knows no framework: front ends (`balance_graph.pytorch`) hand it operations one by one. Each tensor carries
an array of labels, each label names an unknown log-scale; operations that move elements move labels, all others tie,
pin or add them, or give a parameter its gain. The equations are solved once, exactly.
"""

from balance_graph.models import rules as _rules
from balance_graph.models.registry import find_rule, known_operations, rule
from balance_graph.models.structure import Block, Structure, Unit, structure_of
from balance_graph.models.tensors import Parameter, Tensor, View
from balance_graph.models.trace import Trace

del _rules

__all__ = [
    "Block",
    "Parameter",
    "Structure",
    "Tensor",
    "Trace",
    "Unit",
    "View",
    "find_rule",
    "known_operations",
    "rule",
    "structure_of",
]
