"""What a caller makes of NumPy's floating-point errors is the caller's: public calls raise none, and change nothing.

Rooms: graph, problem, solvers.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from helpers import chain, network, regularizer_of
from scipy import sparse

import balance_graph as bg

# Weights whose costs under- and overflow, alone and beside moderate ones.
HOSTILE = {
    "wide": lambda: network(
        ("x", "a", 1e-150), ("a", "b", 1e150), ("b", "y", 1e-3), ("x", "b", 1e140), ("b", "a", 1e-140)
    ),
    "tiny": lambda: chain(1e-200, 1e-170, 1e-190),
    "huge": lambda: chain(1e150, 1e153, 1e140),
    "subnormal": lambda: chain(5e-324, 1.0, 1e300),
    "zero": lambda: network(("x", "a", 0.0), ("x", "b", 1.0), ("b", "y", 2.0), ("a", "y", 0.0)),
    "nothing": nx.DiGraph,
    "dead": lambda: network(("x", "a", 1.0), ("x", "b", 2.0), ("b", "y", 3.0)),
}
SOLVERS = ("newton", "stochastic", "cvxpy", "flow")


def answer(call):
    """What a call returns, or the error of this package that it raises, in a form that can be compared."""
    try:
        found = call()
    except bg.BalanceGraphError as error:
        return f"{type(error).__name__}: {error}"
    if isinstance(found, bg.BalanceResult):
        return found.log_scales, found.cost, found.certificate, found.status, found.summary().split("\n")[1:]
    if isinstance(found, bg.Solution):
        return found.log_scales.tolist(), found.cost, found.status
    return found


def assert_unmoved(call):
    """The call raises nothing and returns the same where the caller has floating-point errors raised."""
    expected = answer(call)
    with np.errstate(all="raise"):
        raised = answer(call)
    assert repr(raised) == repr(expected)


def graph_of(name):
    return (CASES[name].make if name in CASES else HOSTILE[name])()


def regularizer(name):
    return regularizer_of(name) if name in CASES else 2.0


SLOW = ("cvxpy", "flow")  # which share their arithmetic, on the cases beyond these, with the others
FEW = ("layered", "recurrent", "elastic", *HOSTILE)


@pytest.mark.parametrize(
    ("name", "solver"),
    [(name, solver) for solver in SOLVERS for name in (FEW if solver in SLOW else [*CASES, *HOSTILE])],
)
def test_balance(name, solver):
    quick = {"stochastic": bg.StochasticSolver(rng=0, max_sweeps=5), "flow": bg.FlowSolver(max_steps=20)}
    G, chosen = graph_of(name), quick.get(solver, solver)
    assert_unmoved(lambda: bg.balance(G, regularizer(name), solver=chosen, on_unattained="prune"))


@pytest.mark.parametrize("name", [*CASES, *HOSTILE])
def test_questions(name):
    G, cost = graph_of(name), regularizer(name)
    for question in (bg.cost, bg.imbalance, bg.relative_imbalance, bg.is_balanced, bg.certify):
        assert_unmoved(lambda question=question: question(G, cost))
    assert_unmoved(lambda: (bg.attainment(G, cost).attained, bg.manifold(G).dimension))
    assert_unmoved(lambda: [dict(bg.balance_node(G, node, cost)[0].edges) for node in list(G)[1:2]])
    assert_unmoved(lambda: bg.equivalent(G, G, cost))


def layers(rng, decades=0.0):
    """Dense layers of more than 4000 edges, behind scales of so many decades."""
    width, depth = 40, 5
    n = width * depth
    log_scale = np.where((np.arange(n) < width) | (np.arange(n) >= n - width), 0.0, rng.uniform(-1, 1, n)) * decades
    blocks = sparse.coo_array(np.kron(np.eye(depth, k=1), rng.normal(size=(width, width))))
    blocks.data = blocks.data * 10.0 ** (log_scale[blocks.col] - log_scale[blocks.row])
    return sparse.csr_array(blocks), (np.arange(n) < width) | (np.arange(n) >= n - width)


@pytest.mark.parametrize("decades", [0.0, 150.0])
@pytest.mark.parametrize("order", [None, "random", "greedy", "colored"])
def test_large_networks(decades, order):
    W, pinned = layers(np.random.default_rng(0), decades)
    problem = bg.BalanceProblem.from_sparse(W, pinned=pinned)
    solver = bg.NewtonSolver() if order is None else bg.StochasticSolver(order=order, max_sweeps=3, rng=0)
    assert_unmoved(lambda: bg.solve(problem, solver))
    if order is None:
        solution = bg.solve(problem)
        assert_unmoved(lambda: bg.certify(problem, solution.log_scales))
        assert_unmoved(lambda: bg.certify(problem, np.zeros(pinned.size)))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.1)", "bipu(2)", "tanh", "sigmoid", "gelu", "silu"])
def test_evaluate(activation):
    G = bg.networks.layered([3, 4, 2], activation=activation, rng=0)
    for size in (0.0, 1.0, 1e-200, 700.0):
        assert_unmoved(lambda size=size: bg.evaluate(G, size * np.ones(3)).tolist())


@pytest.mark.parametrize(("above", "below"), [(1.0, 1.0), (1e5, 1e-5), (1e120, 1e-120)])
@pytest.mark.parametrize("size", [8, 64, 100])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_matrices(above, below, size, form):
    matrix = form(np.diag(np.full(size - 1, above), 1) + np.diag(np.full(size - 1, below), -1))
    dense = lambda A: A.toarray().tolist() if sparse.issparse(A) else np.asarray(A).tolist()  # noqa: E731
    assert_unmoved(lambda: [dense(part) for part in bg.balance_matrix(matrix)])


def test_files(tmp_path):
    for name, make in HOSTILE.items():
        for suffix in ("json", "graphml", "csv"):
            path = tmp_path / f"{name}.{suffix}"
            assert_unmoved(lambda path=path, make=make: bg.write_network(make(), path))
            assert_unmoved(lambda path=path: list(bg.read_network(path).edges(data="weight")))
