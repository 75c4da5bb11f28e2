"""Get ready before it counts: load the packages and compile the loops of every road that a network can take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from balance_graph._preparation import Stopwatch
from balance_graph.certificate.bound import certify_problem
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.local.stochastic import ORDERS, StochasticSolver
from balance_graph.solvers.newton import NewtonSolver


def warmup() -> float:
    """Import and compile what a first use needs, for all solvers and sizes.

    Loops are compiled once for an installation and kept on disk: a second process only loads them. Where no place on
    disk can be written, each process compiles what it uses.

    Returns
    -------
    float
        Seconds of importing and compiling; next to nothing where all was ready.

    See Also
    --------
    balance : What it makes ready.

    Notes
    -----
    Without it each loop is compiled when it is first called: nothing in ``solver="auto"`` up to 4000 edges, a few
    seconds above. ``balance-graph warmup`` is the same from the command line.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.warmup() >= 0.0
    True
    """
    time = Stopwatch()
    rng = np.random.default_rng(0)
    layers, small = _layers(rng, 50), _layers(rng, 8)
    for problem in (layers, _far_apart(layers), _scattered(rng), _grid(rng, 170), _grid(rng, 34, spread=30.0)):
        solution = solve(problem, NewtonSolver(tol=1e-10), on_unattained="prune")
        certify_problem(problem, solution.log_scales)
    for order in ORDERS:
        for problem in (small, layers):
            solve(problem, StochasticSolver(order=order, max_sweeps=3, rng=0))
    solve(small, "cvxpy")
    return time.setup_seconds


def _layers(rng: np.random.Generator, width: int) -> BalanceProblem:
    """Three dense layers between inputs and outputs: what is narrow."""
    block = np.eye(4, k=1)
    W = sparse.csr_array(np.kron(block, rng.normal(size=(width, width))))  # noqa: N806
    n = 4 * width
    return BalanceProblem.from_sparse(W, pinned=(np.arange(n) < width) | (np.arange(n) >= n - width))


def _far_apart(problem: BalanceProblem) -> BalanceProblem:
    """The same network behind scales that take the costs out of the range of floats."""
    manifold = problem.manifold
    log_scale = np.where(manifold.pinned, 0.0, 80.0 * np.random.default_rng(1).normal(size=manifold.n_nodes))
    weight = problem.weight * np.exp(log_scale[manifold.head] - log_scale[manifold.tail])
    return replace(problem, weight=weight)


def _scattered(rng: np.random.Generator) -> BalanceProblem:
    """Edges between any two: what mixes, with some nodes of degree 2."""
    n, m = 600, 6000
    tail, head = rng.integers(0, n, (2, m))
    W = sparse.csr_array(sparse.coo_array((rng.normal(size=m), (tail, head)), shape=(n, n)))  # noqa: N806
    W.setdiag(0.0)
    return BalanceProblem.from_sparse(W, pinned=np.arange(n) < 10, degree=np.where(np.arange(n) % 50 == 11, 2.0, 1.0))


def _grid(rng: np.random.Generator, side: int, spread: float = 1.0) -> BalanceProblem:
    """Neighbors in the plane: what needs multigrid; with a wide spread of weights, what needs nested sets.

    Of 170 a side it is too wide for a factorization in a band, and local in memory.
    """
    line = sparse.csr_array(np.eye(side, k=1) + np.eye(side, k=-1))
    W = sparse.csr_array(sparse.kronsum(line, line))  # noqa: N806
    W.data = np.exp(spread * rng.normal(size=W.nnz))
    return BalanceProblem.from_sparse(W, pinned=np.arange(side**2) < 1)
