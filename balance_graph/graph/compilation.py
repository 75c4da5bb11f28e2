"""The one door between networkx and arrays: compile a DiGraph, and write weights back to a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from numbers import Real
from typing import Any, NoReturn

import networkx as nx
import numpy as np

from balance_graph._arguments import VANISHES, is_real, nearest_float, vanishes
from balance_graph._choices import check_choice, nearest
from balance_graph._floating_point import own_rules
from balance_graph._foreign import described
from balance_graph._types import Array, Mask
from balance_graph.errors import InvalidNetworkError, InvalidParameterError
from balance_graph.graph._attributes import ROLES, refuse_misspelt_edges, refuse_misspelt_nodes
from balance_graph.graph.activations import Activation, activation
from balance_graph.graph.constraints import hint_to_ignore, without_attributes
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.constraints import check_groups
from balance_graph.problem.manifold import Declared, Manifold, first_of_label
from balance_graph.problem.regularizers import Lp, Regularizer, as_regularizer
from balance_graph.problem.scaling import scaled_weights

Node = Hashable

# Numbers that are zero as a float only where they are zero.
_PLAIN = {float, int, np.float64, np.float32, np.float16, np.int64, np.int32}
# Equal parameters that were scaled along different edges agree to rounding; a true difference is larger than this.
_SHARED_RTOL = 1e-9


@own_rules
def compile_graph(
    G: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
    ignore: Collection[str] | str = (),
) -> BalanceProblem:
    """The balance problem of a network, as arrays.

    Parameters
    ----------
    G : networkx.DiGraph
        Edges carry `weight`; the other node and edge attributes are those of the page on networks.
    regularizer : float or Regularizer
        A number p means ``Lp(p)``.
    weight : str
        Name of the edge attribute that holds the weight.
    ignore : names of attributes
        Read the network as if these attributes were not there: ``role``, ``activation``, ``group``, ``coefficient``,
        ``exponent``, ``fixed``, ``shared``.

    Returns
    -------
    BalanceProblem
        Its ``nodes`` and ``manifold.edges`` name the rows of every array, in the order of `G`.

    Raises
    ------
    InvalidNetworkError
        Naming the node or edge, the value and the remedy.

    See Also
    --------
    solve : Balances the problem.
    BalanceProblem.from_sparse : A problem from a sparse matrix.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 2.0}), ("h", "y", {"weight": 0.5})])
    >>> bg.compile_graph(G)
    BalanceProblem(3 nodes, 1 free, 2 edges, Lp(p=2.0))
    """
    check_digraph(G)
    cost = as_regularizer(regularizer)
    network = without_attributes(G, ignore)
    try:
        return _compiled(network, cost, weight)
    except InvalidNetworkError as error:
        hint = hint_to_ignore(network, lambda other: _compiles(other, cost, weight))
        if not hint:
            raise
        message = f"{error}{hint}"
        raise InvalidNetworkError(message) from error


def _compiles(G: nx.DiGraph[Any], cost: Regularizer, weight: str) -> bool:  # noqa: N803
    try:
        _compiled(G, cost, weight)
    except InvalidNetworkError:
        return False
    return True


def _compiled(G: nx.DiGraph[Any], cost: Regularizer, weight: str) -> BalanceProblem:  # noqa: N803
    names = list(G)
    index = {node: k for k, node in enumerate(names)}
    out_degrees = [len(neighbors) for _, neighbors in G.adjacency()]
    tail = np.repeat(np.arange(len(names)), out_degrees)
    head = np.array([index[v] for _, neighbors in G.adjacency() for v in neighbors], dtype=np.intp)
    attributes = [data for _, neighbors in G.adjacency() for data in neighbors.values()]
    edges = _Edges(names, tail, head, attributes)
    weights = edges.weights(weight)
    refuse_misspelt_nodes(names, [G.nodes[node] for node in names])
    pinned, degree = _pinned_and_degree(G, np.bincount(head, minlength=len(names)), np.array(out_degrees))
    fixed = shared = exponent = declared = None
    log_coefficient = np.zeros(tail.size)
    if any(len(data) > 1 for data in attributes):
        refuse_misspelt_edges(edges.ends, attributes)
        log_coefficient = np.log(edges.positive("coefficient", 1.0))
        exponent = edges.exponents(cost)
        # Zero weights are inert: nothing about them constrains a scale.
        every = Declared(edges.flags("fixed"), edges.labels("shared"))
        declared = every if every.fixed.any() or np.any(every.shared >= 0) else None
        fixed, shared = every.fixed & (weights != 0), np.where(weights != 0, every.shared, -1)
        edges.check_shared(shared, weights=weights, coefficient=log_coefficient, exponent=exponent, fixed=fixed)
    manifold = Manifold(
        tail=tail,
        head=head,
        degree=degree,
        pinned=pinned,
        group=_labels([data.get("group") for _, data in G.nodes(data=True)], "group", names),
        fixed=fixed if fixed is not None and fixed.any() else None,
        shared=shared if shared is not None and np.any(shared >= 0) else None,
        names=names,
        declared=declared,
    )
    check_groups(manifold)
    return BalanceProblem(manifold, weights, log_coefficient, cost, exponent)


def check_digraph(G: Any) -> None:  # noqa: N803
    """Refuse anything but a DiGraph, naming the function that takes it."""
    if not isinstance(G, nx.Graph):
        message = f"a network is a networkx.DiGraph, got {described(G)}"
        raise InvalidNetworkError(message)
    if G.is_multigraph():
        message = f"a network is a networkx.DiGraph, got the {type(G).__name__}: {_how_to_merge(G)}"
        raise InvalidNetworkError(message)
    if not G.is_directed():
        message = (
            f"a network is a networkx.DiGraph, got the undirected {type(G).__name__}; G.to_directed() makes two edges "
            "of each, one either way"
        )
        raise InvalidNetworkError(message)


def _how_to_merge(G: Any) -> str:  # noqa: N803
    """What to do with the parallel edges of a multigraph."""
    parallel = next(((u, v) for u, v in G.edges() if G.number_of_edges(u, v) > 1), None)
    if parallel is None:
        return "parallel edges act as one, their sum; it has none to merge, so nx.DiGraph(G) is the same network"
    return (
        f"{G.number_of_edges(*parallel)} parallel edges {parallel!r} act as one edge whose weight is their sum; merge "
        "them first: H = nx.DiGraph(G), then set H[u][v]['weight'] = sum(data['weight'] for data in G[u][v].values())"
    )


def node_role(data: Mapping[str, Any], node: Node, in_degree: int, out_degree: int) -> str:
    """The role of a node: its attribute, or input without in-edges, output without out-edges, else hidden."""
    role = data.get("role")
    if role is None:
        return "input" if in_degree == 0 else "output" if out_degree == 0 else "hidden"
    check_choice(role, f"node {node!r}: role", ROLES, InvalidNetworkError)
    if role in {"input", "bias"} and in_degree > 0:
        message = f"node {node!r}: role is {role!r} but it has {in_degree} in-edges; remove them or change the role"
        raise InvalidNetworkError(message)
    return str(role)


def node_activation(data: Mapping[str, Any], node: Node) -> Activation:
    """The activation of a node, ReLU by default."""
    given = data.get("activation")
    try:
        return activation("relu" if given is None else given)
    except InvalidParameterError as error:
        message = f"node {node!r}: {error}"
        raise InvalidNetworkError(message) from error


def roles_of(G: nx.DiGraph[Any]) -> dict[Node, str]:  # noqa: N803
    """Role of every node."""
    return {node: node_role(data, node, G.in_degree(node), G.out_degree(node)) for node, data in G.nodes(data=True)}


def _pinned_and_degree(G: nx.DiGraph[Any], in_degree: Any, out_degree: Any) -> tuple[Mask, Array]:  # noqa: N803
    pinned = np.ones(len(G), dtype=bool)
    degree = np.ones(len(G))
    ends = zip(in_degree.tolist(), out_degree.tolist(), strict=True)
    for k, ((node, data), (into, out_of)) in enumerate(zip(G.nodes(data=True), ends, strict=True)):
        role, function = node_role(data, node, into, out_of), node_activation(data, node)
        if role == "hidden" and function.degree is not None:
            pinned[k] = False
            degree[k] = function.degree
    return pinned, degree


def _labels(values: Sequence[Any], name: str, owners: Sequence[Any]) -> Any:
    """Integer labels of hashable values, -1 for None; None where all are None."""
    if all(value is None for value in values):
        return None
    numbers: dict[Any, int] = {}
    result = np.full(len(values), -1, dtype=np.intp)
    for k, value in enumerate(values):
        if value is not None:
            try:
                result[k] = numbers.setdefault(value, len(numbers))
            except TypeError as error:
                message = f"{owners[k]!r}: {name} is {value!r}, which is not hashable; use a number, text or tuple"
                raise InvalidNetworkError(message) from error
    return result


class _Edges:
    """The edges of a network with their attribute dictionaries, in row order."""

    def __init__(self, names: list[Any], tail: Any, head: Any, attributes: list[dict[str, Any]]) -> None:
        self.names, self.tail, self.head, self.attributes = names, tail, head, attributes

    def ends(self, k: int) -> tuple[Node, Node]:
        """The k-th edge, as the user named it."""
        return self.names[self.tail[k]], self.names[self.head[k]]

    def _refuse(self, k: int, what: str) -> NoReturn:
        message = f"edge {self.ends(k)!r}: {what}"
        raise InvalidNetworkError(message)

    def weights(self, name: str) -> Array:
        if not isinstance(name, Hashable):
            message = f"weight must be the name of an edge attribute, got {name!r}"
            raise InvalidParameterError(message)
        try:
            values = [data[name] for data in self.attributes]
        except KeyError:
            k = next(k for k, data in enumerate(self.attributes) if name not in data)
            self._refuse(k, f"no attribute {name!r}; {_weight_hint(name, self.attributes[k])}")
        return self._numbers(values, name, np.isfinite, "a finite number")

    def positive(self, name: str, default: float) -> Array:
        values = [data.get(name) for data in self.attributes]
        if all(value is None for value in values):
            return np.full(len(values), default)
        return self._numbers(
            [default if value is None else value for value in values],
            name,
            lambda numbers: np.isfinite(numbers) & (numbers > 0),
            "a positive finite number",
        )

    def exponents(self, regularizer: Regularizer) -> Array | None:
        own = np.array([data.get("exponent") is not None for data in self.attributes], dtype=bool)
        if not own.any():
            return None
        if not isinstance(regularizer, Lp):
            k = int(np.argmax(own))
            self._refuse(k, f"has an exponent of its own, which only Lp allows, not {regularizer!r}; remove it")
        return np.where(own, self.positive("exponent", 1.0), np.nan)

    def flags(self, name: str) -> Mask:
        values = [data.get(name, False) for data in self.attributes]
        for k, value in enumerate(values):
            flag = value is None or isinstance(value, (bool, np.bool_)) or (isinstance(value, Real) and value in {0, 1})
            if not flag:
                self._refuse(k, f"{name} is {value!r}; it must be True or False")
        return np.array([bool(value) for value in values], dtype=bool)

    def labels(self, name: str) -> Any:
        values = [data.get(name) for data in self.attributes]
        found = _labels(
            values, name, [(self.names[j], self.names[i]) for j, i in zip(self.tail, self.head, strict=True)]
        )
        return np.full(len(values), -1, dtype=np.intp) if found is None else found

    def check_shared(self, shared: Any, **columns: Array | None) -> None:
        """Refuse edges of one shared parameter that differ in weight, coefficient, exponent or fixed."""
        first = first_of_label(shared)
        for name, values in columns.items():
            if values is not None:
                same = np.isclose(values, values[first], rtol=_SHARED_RTOL, atol=0.0, equal_nan=True)
                if not same.all():
                    k = int(np.argmin(same))
                    other = (self.names[self.tail[first[k]]], self.names[self.head[first[k]]])
                    label = self.attributes[k]["shared"]
                    what = f"shares parameter {label!r} with edge {other!r} but differs from it in {name.rstrip('s')}"
                    self._refuse(k, what + "; shared edges are one parameter, so make them equal")

    def _numbers(self, values: list[Any], name: str, valid: Callable[[Array], Any], kind: str) -> Array:
        if not set(map(type, values)) <= _PLAIN:
            self._check_kinds(values, name, kind)
        try:
            with np.errstate(all="ignore"):  # an extended float beyond the range becomes inf, and is refused below
                array = np.array(values, dtype=np.float64)
        except (OverflowError, ValueError):  # an int beyond the range, a signaling NaN
            array = np.array([nearest_float(value) for value in values])
        good = valid(array)
        if not good.all():
            k = int(np.argmin(good))
            self._refuse(k, f"{name} is {values[k]!r}; it must be {kind}")
        return array

    def _check_kinds(self, values: list[Any], name: str, kind: str) -> None:
        """Refuse what is no real number, and numbers that floats cannot tell from zero."""
        for k, value in enumerate(values):
            if not is_real(value):
                self._refuse(k, f"{name} is {value!r}; it must be {kind}")
            if vanishes(value, nearest_float(value)):
                self._refuse(k, f"{name} is {value!r}, which {VANISHES}; multiply all by one number, or set it to 0")


def _weight_hint(name: Any, attributes: Mapping[Any, Any]) -> str:
    """Which attribute could be the weight in place of the one called `name`."""
    numbers = [other for other, value in attributes.items() if is_real(value)]
    other = numbers[0] if len(numbers) == 1 else nearest(name, numbers)
    remedy = "set it, or name the attribute that holds the weight (weight=...)"
    return remedy if other is None else f"did you mean weight={other!r}? Else {remedy}"


def scaled_graph(
    G: nx.DiGraph[Any],  # noqa: N803
    problem: BalanceProblem,
    log_scales: Array,
    *,
    weight: str,
    dead: Mask | None = None,
) -> nx.DiGraph[Any]:
    """A copy of `G` with each weight multiplied by the exponential of its log-gain, dead weights set to zero.

    Edges whose log-gain is zero keep their weight exactly; edges of one shared parameter get equal weights.

    Raises
    ------
    UnsupportedError
        If a weight would become infinite or zero: then the network would no longer compute the same.
    """
    new = scaled_weights(problem, log_scales, dead)
    result = G.copy()
    changed = new != problem.weight
    for (_, _, data), value, change in zip(result.edges(data=True), new.tolist(), changed.tolist(), strict=True):
        if change:
            data[weight] = value
    return result
