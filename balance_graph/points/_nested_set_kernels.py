"""The loops over nested sets, compiled."""

from __future__ import annotations

from balance_graph._compiled import compiled
from balance_graph.points import _nested_set_loops as loops

nested_sets = compiled(loops.nested_sets)
balance_sets = compiled(loops.balance_sets)
