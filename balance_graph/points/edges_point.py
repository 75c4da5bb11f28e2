"""A point whose flows are kept on edge lists: large networks with one exponent, in passes over their edges."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from balance_graph._types import Array
from balance_graph.points.edges import EdgeFlows
from balance_graph.points.flows import FlowsPoint
from balance_graph.points.hessian import HessianSolver
from balance_graph.points.preconditioner import Preconditioner
from balance_graph.problem import network_kernels as kernels
from balance_graph.problem.cost_range import THREE_FACTORS
from balance_graph.problem.live_network import LiveNetwork
from balance_graph.problem.numbering import Numbering
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.solution import State

_EPS = float(np.finfo(float).eps)


class EdgesPoint(FlowsPoint):
    """The flows of a quotient on edge lists, which need no matrix.

    Parameters
    ----------
    quotient : Quotient
    pool : Executor
        Runs one of two passes.
    start : (n_nodes,) array, optional
        Log-scales of all nodes; by default a start that does not depend on the scales that the weights come with.

    Raises
    ------
    UnsuitedError
        If the problem is not a network with one exponent, or no scale moves anything.
    NotAttainedError
        If there are dead edges, and the quotient does not prune.
    """

    def __init__(self, quotient: Quotient, pool: Executor, start: Array | None = None) -> None:
        network = LiveNetwork.of(quotient.given, pool)
        self._numbering, self._pool = network.numbering, pool
        self._left_out, log_constant = network.pattern.left_out, network.log_constant
        if self._left_out.dead.size and not quotient.prunes:
            quotient.attainment.raise_if_not_attained()
        flows = EdgeFlows.of(network, None if start is None else self._numbering.restrict(start), pool)
        hessian = HessianSolver(flows, Preconditioner(flows, network.pattern))
        self._edge_flows = flows
        super().__init__(flows, hessian, log_constant, holds=bool(self._numbering.held.size))

    def log_cost_with_dead(self, log_scales: Array) -> float:
        """Logarithm of the cost, that of dead edges included, at the present log-scales of all nodes."""
        dead = self._left_out.dead
        return float(np.logaddexp(self.log_cost, self._numbering.log_cost_of(dead, log_scales)))

    @property
    def log_scales(self) -> Array:
        """Log-scales of all nodes."""
        return self._numbering.expand(self.flows.log_scales)

    def answer(self, tol: float, reached: float) -> tuple[Array, State, bool]:
        """Log-scales of all nodes, their state, and whether it is as balanced as the flows said.

        A held unknown is balanced only up to the errors of all others. Elsewhere, more than was reached on the way,
        and than rounding of the log-scales explains, means that flows drown in others. The flows are given back
        first, since memory peaks here; the point is not to be used any more.

        Parameters
        ----------
        tol, reached : float
            Relative imbalance that was asked for, and that the flows had.
        """
        log_scales, log_unit, rounding = self.log_scales, self.flows.log_cost, self._rounding_of_answer()
        del self.flows, self.hessian, self._edge_flows
        with np.errstate(all="ignore"):  # where flows have left the range of floats, these are no numbers
            log_cost, imbalance = _measured(self._numbering, log_scales, log_unit, self._pool)
            log_cost = float(np.logaddexp(log_cost, self._log_constant))
        held, (_, dead, gauges) = self._holds, self._left_out
        state = State(log_cost, imbalance, dead, gauges)
        return log_scales, state, imbalance <= max(2.0 * reached, rounding, tol if held else 0.0)

    def _rounding_of_answer(self) -> float:
        """Relative imbalance that rounding of the log-scales can make, there and on the way."""
        flows = self._edge_flows
        furthest = max(float(np.abs(flows.log_scales).max(initial=0.0)), flows.longest_move)
        return 1e-14 + 4.0 * _EPS * furthest * flows.exponent * float(flows.degree.max())


def _measured(numbering: Numbering, log_scales: Array, log_unit: float, pool: Executor) -> tuple[float, float]:
    """Logarithm of the cost that scales move, and largest relative imbalance: of the weights as given, at log-scales.

    Held unknowns count like all others.
    """
    problem, manifold = numbering.problem, numbering.problem.manifold
    every = Numbering.of(problem)
    degree = np.ones(every.size + 1)
    degree[every.unknown] = manifold.degree
    up = numbering.exponent * log_scales
    down = -manifold.degree * up
    edges = numbering.edges._replace(unknown=every.unknown)
    if edges.log_coefficient.size == 0 and _is_moderate(numbering, up, down):
        log_unit, ends = 0.0, kernels.Ends(np.exp(up, out=up), np.exp(down, out=down), 0.0, are_logarithms=False)
    else:
        ends = kernels.Ends(up, down, log_unit, are_logarithms=True)
    half = problem.n_edges // 2
    later = pool.submit(kernels.end_sums, edges, ends, half, problem.n_edges, every.size)
    sooner = kernels.end_sums(edges, ends, 0, half, every.size)
    into, out_of = (one + other for one, other in zip(sooner, later.result(), strict=True))
    out_of *= degree
    alone = into + out_of == 0.0
    imbalance = np.abs(into - out_of) / np.where(alone, 1.0, into + out_of)
    return float(np.log(into.sum())) + log_unit, float(imbalance[:-1].max(initial=0.0))


def _is_moderate(numbering: Numbering, up: Array, down: Array) -> bool:
    """Whether costs and their factors can be multiplied as they are."""
    furthest = max(numbering.cost_range.furthest, np.abs(up).max(), np.abs(down).max())
    return bool(furthest < THREE_FACTORS)
