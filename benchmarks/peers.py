"""Other ways to the same answer: each takes a network and returns log-scales, and words on how it ended.

All start from the weights as given and are asked for as much accuracy as they can give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from families import Network
from scipy import optimize, sparse

import balance_graph as bg

Answer = tuple[np.ndarray, str]
_MOST_SWEEPS = 5000


def _library(solver: Any) -> Callable[[Network], Answer]:
    def run(network: Network) -> Answer:
        solution = bg.solve(network.problem(), solver)
        return solution.log_scales, f"{solution.status}, {solution.iterations} iterations"

    return run


def plain_cvxpy(network: Network) -> Answer:
    """The problem as one writes it in cvxpy, without the library: the mean cost of an edge over the log-scales."""
    import cvxpy as cp

    edges = LogCost(network)
    m, n = edges.tail.size, network.pinned.size
    edge, one = np.arange(m), np.ones(m)
    gains = sparse.coo_array((one, (edge, edges.head)), shape=(m, n))
    gains = (gains - sparse.coo_array((edges.degree[edges.tail], (edge, edges.tail)), shape=(m, n))).tocsc()
    log_scales = cp.Variable(edges.free.size)
    mean = cp.sum(cp.exp(edges.log_cost + 2.0 * (sparse.csr_matrix(gains[:, edges.free]) @ log_scales))) / m
    problem = cp.Problem(cp.Minimize(mean))
    problem.solve(solver=cp.CLARABEL)
    return edges.spread(log_scales.value), f"{problem.status}, {problem.solver_stats.num_iters} iterations"


class LogCost:
    """Logarithm of the cost over the free log-scales, times their number, with gradient and Hessian products.

    The factor makes an entry of the gradient comparable with a relative imbalance, which is what tolerances are about.
    """

    def __init__(self, network: Network) -> None:
        W = network.W
        self.tail, self.head = np.repeat(np.arange(W.shape[0]), np.diff(W.indptr)), W.indices
        self.degree = network.degrees
        self.free = np.flatnonzero(~network.pinned)
        self.log_cost = 2.0 * np.log(np.abs(W.data).astype(float))
        self._at, self._share, self._value = np.full(self.free.size, np.nan), self.log_cost, 0.0

    def spread(self, free: np.ndarray) -> np.ndarray:
        values = np.zeros(self.degree.size)
        values[self.free] = free
        return values

    def _gains(self, free: np.ndarray) -> np.ndarray:
        values = self.spread(free)
        return values[self.head] - (self.degree * values)[self.tail]

    def _collect(self, edges: np.ndarray) -> np.ndarray:
        n = self.degree.size
        return (np.bincount(self.head, edges, n) - self.degree * np.bincount(self.tail, edges, n))[self.free]

    def _shares(self, free: np.ndarray) -> np.ndarray:
        """Each edge's share of the cost; kept, since gradient and products ask for it at the same point."""
        if not np.array_equal(free, self._at):
            costs = self.log_cost + 2.0 * self._gains(free)
            top = costs.max()
            self._share = np.exp(costs - top)
            total = self._share.sum()
            self._share /= total
            self._at, self._value = free.copy(), float(top + np.log(total))
        return self._share

    def value_and_gradient(self, free: np.ndarray) -> tuple[float, np.ndarray]:
        share = self._shares(free)
        return self.free.size * self._value, 2.0 * self.free.size * self._collect(share)

    def hessian_product(self, free: np.ndarray, direction: np.ndarray) -> np.ndarray:
        share = self._shares(free)
        gains = self._gains(direction)
        return 4.0 * self.free.size * self._collect(share * (gains - share @ gains))


class _Patience:
    """Ends a minimization once the gradient has not become smaller for some iterations: rounding has taken over."""

    def __init__(self, cost: LogCost, most: int) -> None:
        self.cost, self.most, self.least, self.waited = cost, most, np.inf, 0
        self.best = np.zeros(cost.free.size)

    def __call__(self, intermediate_result: Any) -> None:
        size = float(np.abs(self.cost.value_and_gradient(intermediate_result.x)[1]).max())
        self.waited = 0 if size < self.least else self.waited + 1
        if size < self.least:
            self.least, self.best = size, intermediate_result.x.copy()
        if self.waited > self.most:
            raise StopIteration


def _minimize(method: str, patience: int, with_products: bool, options: dict[str, Any]) -> Callable[[Network], Answer]:
    def run(network: Network) -> Answer:
        cost = LogCost(network)
        keeper = _Patience(cost, patience)
        products = {"hessp": cost.hessian_product} if with_products else {}
        start = np.zeros(cost.free.size)
        found = optimize.minimize(
            cost.value_and_gradient, start, jac=True, method=method, callback=keeper, options=options, **products
        )
        return cost.spread(keeper.best), f"{found.nit} iterations: {found.message}"

    return run


def layer_loop(network: Network) -> Answer:
    """Layer after layer as training scripts do it: every unit of a layer at once, dense blocks, over and over.

    For dense layers of equal width only. Ends when no factor differs from 1 by more than rounding.
    """
    width = int(network.pinned.sum()) // 2
    blocks = network.W.data.astype(float).reshape(-1, width, width)
    scales = np.ones((len(blocks) + 1, width))
    for sweep in range(_MOST_SWEEPS):
        furthest = 0.0
        for k in range(len(blocks) - 1):
            into, out_of = (blocks[k] ** 2).sum(axis=0), (blocks[k + 1] ** 2).sum(axis=1)
            factor = (out_of / into) ** 0.25
            blocks[k] *= factor
            blocks[k + 1] /= factor[:, None]
            scales[k + 1] *= factor
            furthest = max(furthest, float(np.abs(factor - 1.0).max()))
        if furthest <= 1e-15:
            return np.log(scales).ravel(), f"{sweep + 1} sweeps"
    return np.log(scales).ravel(), f"stopped after {_MOST_SWEEPS} sweeps"


NEWTON, CLARABEL = "Newton", ("CvxpySolver, CLARABEL", "plain cvxpy, CLARABEL")
PEERS: dict[str, Callable[[Network], Answer]] = {
    NEWTON: _library(bg.NewtonSolver(tol=1e-10)),
    "local, cyclic": _library(bg.StochasticSolver(order="cyclic", max_sweeps=_MOST_SWEEPS)),
    CLARABEL[0]: _library(bg.CvxpySolver(backend="CLARABEL", polish=False)),
    CLARABEL[1]: plain_cvxpy,
    "CvxpySolver, SCS": _library(bg.CvxpySolver(backend="SCS", polish=False)),
    "SciPy L-BFGS-B": _minimize("L-BFGS-B", 200, False, {"ftol": 0.0, "gtol": 1e-13, "maxiter": 5000, "maxfun": 10**5}),
    "SciPy trust-ncg": _minimize("trust-ncg", 10, True, {"gtol": 1e-13, "maxiter": 1000}),
    "NumPy layer loop": layer_loop,
}
LAYERED_ONLY = ("NumPy layer loop",)
