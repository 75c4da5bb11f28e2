"""The nodes and edges of a result as pandas tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from balance_graph._optional import import_optional
from balance_graph._types import Array
from balance_graph.graph.compilation import node_activation, roles_of
from balance_graph.problem.scaling import scaled_weights

if TYPE_CHECKING:
    from pandas import DataFrame

    from balance_graph.graph.result import BalanceResult


def node_table(result: BalanceResult) -> DataFrame:
    """One row for each node; see `BalanceResult.node_table`."""
    pandas = _pandas()
    problem, log_scales = result.problem, result.solution.log_scales
    problem = problem.without_edges(problem.edge_mask(result.pruned_edges))
    into, out_of = problem.log_in_out(log_scales)
    nodes = list(problem.nodes)
    columns = {
        "role": list(roles_of(result.graph).values()),
        "activation": [node_activation(data, node).name for node, data in result.graph.nodes(data=True)],
        "free": ~problem.manifold.pinned,
        "scale": _exp(log_scales),
        "log_scale": log_scales,
        "in_cost": _exp(into),
        "out_cost": _exp(out_of),
    }
    return pandas.DataFrame(columns, index=pandas.Index(nodes, name="node", tupleize_cols=False))


def edge_table(result: BalanceResult) -> DataFrame:
    """One row for each edge; see `BalanceResult.edge_table`."""
    pandas = _pandas()
    given, log_scales = result.problem, result.solution.log_scales
    at, dead = given.manifold, given.edge_mask(result.pruned_edges)
    balanced = given.without_edges(dead)
    return pandas.DataFrame(
        {
            "tail": _objects([given.nodes[k] for k in at.tail.tolist()]),
            "head": _objects([given.nodes[k] for k in at.head.tolist()]),
            "initial_weight": given.weight,
            "weight": scaled_weights(given, log_scales, dead),
            "log_gain": given.log_gains(log_scales),
            "initial_cost": _exp(given.log_costs(given.unscaled)),
            "cost": _exp(balanced.log_costs(log_scales)),
            "pruned": dead,
        }
    )


def _pandas() -> Any:
    return import_optional("pandas", extra="pandas", purpose="a table of nodes or edges")


def _exp(logarithms: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(logarithms)


def _objects(names: list[Any]) -> Any:
    """An array of the names as they are: tuples stay tuples."""
    array = np.empty(len(names), dtype=object)
    for k, name in enumerate(names):
        array[k] = name
    return array
