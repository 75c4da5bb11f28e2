"""Balancing PyTorch models. Needs torch: ``pip install "balance-graph[torch]"``."""

from balance_graph._optional import import_optional

import_optional("torch", extra="torch", purpose="balance_graph.pytorch")

from balance_graph.pytorch.costs import cost_terms  # noqa: E402
from balance_graph.pytorch.optimizers import register_optimizer  # noqa: E402
from balance_graph.pytorch.reading import ModelStructure, read_module  # noqa: E402
from balance_graph.pytorch.scaling import apply  # noqa: E402
from balance_graph.pytorch.training import ModelBalancer  # noqa: E402

__all__ = ["ModelBalancer", "ModelStructure", "apply", "cost_terms", "read_module", "register_optimizer"]
