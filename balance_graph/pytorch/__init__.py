"""Balancing PyTorch models. Needs torch: ``pip install "balance-graph[torch]"``."""

from balance_graph._optional import import_optional

import_optional("torch", extra="torch", purpose="balance_graph.pytorch")

from balance_graph.models.report import UnitReport  # noqa: E402
from balance_graph.pytorch.balancing import balance_module  # noqa: E402
from balance_graph.pytorch.checkpoint import balance_checkpoint  # noqa: E402
from balance_graph.pytorch.checkpoint_report import CheckpointReport  # noqa: E402
from balance_graph.pytorch.costs import cost_terms  # noqa: E402
from balance_graph.pytorch.equivalence import canonical_form, equivalent  # noqa: E402
from balance_graph.pytorch.graphs import to_graph  # noqa: E402
from balance_graph.pytorch.imbalance import ModuleImbalance, imbalance  # noqa: E402
from balance_graph.pytorch.optimizers import register_optimizer  # noqa: E402
from balance_graph.pytorch.reading import ModelStructure, read_module  # noqa: E402
from balance_graph.pytorch.report import ModuleReport  # noqa: E402
from balance_graph.pytorch.scaling import apply  # noqa: E402
from balance_graph.pytorch.training import ModuleBalancer  # noqa: E402

__all__ = [
    "CheckpointReport",
    "ModelStructure",
    "ModuleBalancer",
    "ModuleImbalance",
    "ModuleReport",
    "UnitReport",
    "apply",
    "balance_checkpoint",
    "balance_module",
    "canonical_form",
    "cost_terms",
    "equivalent",
    "imbalance",
    "read_module",
    "register_optimizer",
    "to_graph",
]
