"""What people bring in place of a network, and the function that takes it.

Objects of other packages are recognized by the names of their types, so that nothing is imported for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_EDGES = "G = nx.DiGraph(); G.add_weighted_edges_from(edges) makes a network of triples (tail, head, weight)"
_MATRIX = "balance_matrix(A) balances a square matrix; nx.from_numpy_array(A, create_using=nx.DiGraph) makes a network"
_SPARSE = (
    "balance_matrix(A) balances a square matrix; BalanceProblem.from_sparse(W, pinned=...) and solve take a network of "
    "this form; nx.from_scipy_sparse_array(W, create_using=nx.DiGraph) makes a graph"
)
_FRAME = (
    "nx.from_pandas_edgelist(frame, source, target, edge_attr=True, create_using=nx.DiGraph) makes a network of a "
    "table of edges, nx.from_pandas_adjacency(frame, create_using=nx.DiGraph) of a square one"
)
_LAYERS = "networks.from_layers(weights, biases) makes a network of"
_DENSE = f"{_LAYERS} the weights (transposed) and biases of fully connected layers"


def described(value: Any) -> str:
    """The object, and what takes it, for messages that refuse it."""
    if isinstance(value, type):
        return f"the class {value.__name__}, not an instance of it"
    advice = advice_for(value)
    return type(value).__name__ + (f"; {advice}" if advice else "")


def advice_for(value: Any) -> str:
    """The function that takes such an object; empty where there is none."""
    known = _families(value)
    for family, advice in _ADVICE.items():
        if family in known:
            return advice if isinstance(advice, str) else advice(value)
    if isinstance(value, os.PathLike):
        return _PATH
    if isinstance(value, Mapping):
        return _advice_for_mapping(value)
    if isinstance(value, Sequence):
        return _advice_for_sequence(value)
    return ""


def _families(value: Any) -> set[tuple[str, str]]:
    """Package and name of the type and of all types that it derives from."""
    types = type(value).__mro__
    return {(one.__module__.partition(".")[0], one.__name__) for one in types} | {
        (one.__module__.partition(".")[0], "*") for one in types
    }


def _advice_for_sklearn(model: Any) -> str:
    if hasattr(model, "coefs_") or type(model).__name__.startswith("MLP"):
        return "networks.from_sklearn(model) makes a network of a fitted multilayer perceptron"
    return "networks.from_sklearn takes a fitted MLPClassifier or MLPRegressor (of a pipeline, its last step)"


def _advice_for_mapping(value: Mapping[Any, Any]) -> str:
    if "nodes" in value and ("links" in value or "edges" in value):
        edges = "links" if "links" in value else "edges"
        return f'nx.node_link_graph(data, edges="{edges}", directed=True, multigraph=False) makes a network of it'
    entries = list(value.values())
    if entries and all(isinstance(entry, Mapping) for entry in entries):
        return "nx.DiGraph(data) makes a network of a dict of dicts of edge attributes"
    if entries and all(_is_array(entry) for entry in entries):
        return f"{_LAYERS} the arrays of a state dict (PyTorch's weights transposed)"
    return _EDGES


def _advice_for_sequence(value: Sequence[Any]) -> str:
    if isinstance(value, str | bytes):
        return _PATH
    if any(_is_array(entry) for part in value for entry in (part if isinstance(part, list | tuple) else [part])):
        return f"{_LAYERS} arrays"
    if value and all(isinstance(row, list) and len(row) == len(value) for row in value):
        return _MATRIX
    return _EDGES


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


_PATH = "read_network(path) reads a network from a file"
# Packages and names of types, the more particular first; "*" stands for all types of a package.
_ADVICE: dict[tuple[str, str], str | Callable[[Any], str]] = {
    ("balance_graph", "BalanceResult"): "pass its .graph",
    ("balance_graph", "BalanceProblem"): "solve(problem) balances it, certify(problem, log_scales) certifies it",
    ("balance_graph", "Solution"): "certify(problem, solution.log_scales) certifies it",
    ("networkx", "Graph"): "balance(G) balances a network, compile_graph(G) gives it as a problem",
    ("torch", "Module"): f"balance_graph.pytorch.balance_module(model, example_inputs) balances it in place; {_DENSE}",
    ("torch", "Tensor"): f"after A = A.detach().cpu().numpy(), {_MATRIX}",
    ("torch_geometric", "*"): "torch_geometric.utils.to_networkx(data, edge_attrs=...) makes a network of it",
    ("dgl", "*"): "dgl.to_networkx(graph, edge_attrs=...) makes a MultiDiGraph of it, nx.DiGraph a network of that",
    ("keras", "*"): f"{_LAYERS} layers[k].get_weights() of fully connected layers",
    ("tensorflow", "*"): f"after A = A.numpy(), {_MATRIX}",
    ("flax", "*"): f"{_LAYERS} the kernels and biases of fully connected layers",
    ("equinox", "*"): _DENSE,
    ("sklearn", "*"): _advice_for_sklearn,
    ("scipy", "LinearOperator"): "A @ np.eye(A.shape[1]) has its entries",
    ("scipy", "*"): _SPARSE,
    ("pandas", "*"): _FRAME,
    ("polars", "*"): f"after frame = frame.to_pandas(), {_FRAME}",
    ("igraph", "*"): "graph.to_networkx(create_using=nx.DiGraph) makes a network of it",
    ("rustworkx", "*"): f"with edges = graph.weighted_edge_list(), {_EDGES}",
    ("graph_tool", "*"): _EDGES,
    ("onnx", "*"): f"balance_graph.onnx.balance_model(model) balances a copy; {_LAYERS} the weights and biases of "
    "fully connected layers",
    ("numpy", "ndarray"): _MATRIX,
    ("jax", "*"): _MATRIX,
    ("jaxlib", "*"): _MATRIX,
    ("cupy", "*"): f"after A = A.get(), {_MATRIX}",
}
