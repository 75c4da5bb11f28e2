"""The local balancer: one unit at a time is balanced against its neighbors (Osborne's iteration)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._arguments import check_count, check_positive
from balance_graph._types import Array, Index, Sparse
from balance_graph.equations import BalanceEquations
from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.iterate import rounding_of
from balance_graph.progress import Report, silent
from balance_graph.reduction import Reduction
from balance_graph.rows import PowerRows
from balance_graph.solution import History, Outcome, Status
from balance_graph.solvers._blocks import Block

ORDERS = ("random", "shuffled", "cyclic", "greedy", "colored")


@dataclass(frozen=True)
class StochasticSolver:
    """Local balancing in a chosen order; Baldi et al.'s stochastic balancing algorithm for ``order="random"``.

    One *step* balances one free node (or group of tied nodes) exactly, by the unique minimizer of the cost along its
    scale; a *sweep* is as many steps as there are unknowns.

    Parameters
    ----------
    order : {"random", "shuffled", "cyclic", "greedy", "colored"}
        ``"random"``: each step draws a node uniformly, with replacement. ``"shuffled"``: a new permutation every sweep.
        ``"cyclic"``: always in the order of the network. ``"greedy"``: the node of largest relative imbalance, from a
        heap. ``"colored"``: all nodes of one color class of the graph at once; nodes of a class are not adjacent, so
        this equals some cyclic order.
    tol : float
        Stop when the largest relative imbalance after a sweep is at most this, or what rounding allows.
    max_sweeps : int
        Limit on sweeps.
    rng : int, numpy Generator or None
        Seed of the random orders; the same seed gives the same result.
    record : bool
        Keep the log-scales after every sweep in ``history.log_scales``.

    Raises
    ------
    UnsupportedError
        When solving a network whose shared weights do not reduce to tied nodes: no unit can be scaled alone there.

    Notes
    -----
    Converges linearly, from everywhere, to the unique optimum (Baldi et al., arXiv 2405.09688). An interrupt
    (Ctrl-C) ends the run between sweeps with the state reached: any state computes the same function.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([3, 4, 2], rng=0)
    >>> bg.balance(G, solver=bg.StochasticSolver(order="cyclic")).converged
    True
    """

    order: str = "random"
    tol: float = 1e-12
    max_sweeps: int = 10_000
    rng: Any = None
    record: bool = False

    name = "stochastic"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            message = f"StochasticSolver: order must be one of {', '.join(ORDERS)}; got {self.order!r}"
            raise InvalidParameterError(message)
        check_positive(self.tol, "StochasticSolver: tol")
        check_count(self.max_sweeps, "StochasticSolver: max_sweeps")
        seed = isinstance(self.rng, (int, np.integer)) and not isinstance(self.rng, bool) and self.rng >= 0
        if not (self.rng is None or seed or isinstance(self.rng, np.random.Generator)):
            message = f"StochasticSolver: rng must be a non-negative int, a numpy Generator or None, got {self.rng!r}"
            raise InvalidParameterError(message)

    def run(self, reduction: Reduction, *, report: Report = silent) -> Outcome:
        """Balance a reduced problem from its center."""
        if not reduction.problem.manifold.is_tied:
            message = (
                "the shared weights of this network do not reduce to tied nodes, so no node can be scaled without "
                "others and there is nothing to balance locally; use solver='newton' or 'cvxpy'"
            )
            raise UnsupportedError(message)
        generator = np.random.default_rng(self.rng)
        displacement = np.zeros(reduction.size)
        history = History()
        state = _Monitor(reduction, history, record=self.record)
        sweeps = 0
        converged = state.add(displacement, self.tol)
        try:
            report(0, history.log_cost[-1], history.imbalance[-1])
            sweeper = _sweeper(self.order, reduction, displacement, generator, self.tol)
            while not converged and sweeps < self.max_sweeps:
                displacement = next(sweeper)
                sweeps += 1
                converged = state.add(displacement, self.tol)
                report(sweeps, history.log_cost[-1], history.imbalance[-1])
        except KeyboardInterrupt:
            return Outcome(displacement, Status.INTERRUPTED, sweeps, history, (f"order: {self.order}",))
        status = Status.CONVERGED if converged else Status.LIMIT
        return Outcome(displacement, status, sweeps, history, (f"order: {self.order}",))


class _Monitor:
    """Cost and imbalance after each sweep, computed afresh from the displacement: nothing drifts."""

    def __init__(self, reduction: Reduction, history: History, *, record: bool) -> None:
        self.reduction, self.history, self.record = reduction, history, record
        self.equations = BalanceEquations(reduction.matrix)

    def add(self, displacement: Array, tol: float) -> bool:
        """Record a state; whether it is balanced to the tolerance or to rounding."""
        log_slopes, _ = self.reduction.log_slopes(displacement)
        largest = float(np.abs(self.equations.imbalance(log_slopes)).max(initial=0.0))
        imbalance = float(np.tanh(0.5 * largest))
        self.history.add(self.reduction.log_cost(displacement), imbalance)
        if self.record:
            self.history.log_scales.append(displacement.copy())
        return imbalance <= max(tol, rounding_of(log_slopes))


def _sweeper(
    order: str, reduction: Reduction, displacement: Array, generator: np.random.Generator, tol: float
) -> Iterator[Array]:
    """Displacements after each sweep, for ever."""
    if order == "colored":
        return _block_sweeps(reduction, displacement, _color_classes(reduction.matrix))
    compiled = isinstance(reduction.rows, PowerRows)
    if order == "greedy":
        return _greedy(reduction, displacement, tol) if compiled else _greedy_blocks(reduction, displacement)
    orders = _orders(order, reduction.size, generator)
    return (
        _kernel_sweeps(reduction, displacement, orders) if compiled else _single_sweeps(reduction, displacement, orders)
    )


def _orders(order: str, size: int, generator: np.random.Generator) -> Iterator[Index]:
    cyclic = np.arange(size)
    while True:
        if order == "random":
            yield generator.integers(0, max(size, 1), size)
        elif order == "shuffled":
            yield generator.permutation(size)
        else:
            yield cyclic


@dataclass(frozen=True, eq=False)
class _Entries:
    """A by columns, as the compiled loops want it."""

    start: Index
    row: Index
    rate: Array
    log_size: Array

    @classmethod
    def of(cls, reduction: Reduction) -> _Entries:
        columns = sparse.csc_array(reduction.matrix)
        rows = reduction.rows
        assert isinstance(rows, PowerRows)
        row = columns.indices.astype(np.intp)
        return cls(
            start=columns.indptr.astype(np.intp),
            row=row,
            rate=columns.data * rows.exponent[row],
            log_size=np.log(np.abs(columns.data)),
        )

    @property
    def arrays(self) -> tuple[Index, Index, Array, Array]:
        return self.start, self.row, self.rate, self.log_size


def _kernel_sweeps(reduction: Reduction, displacement: Array, orders: Iterator[Index]) -> Iterator[Array]:
    from balance_graph.solvers import _kernels

    entries = _Entries.of(reduction)
    for order in orders:
        # Flows are computed afresh every sweep, so rounding does not build up in them.
        log_flow = reduction.log_slopes(displacement)[0]
        displacement = displacement.copy()
        _kernels.sweep(order, *entries.arrays, log_flow, displacement)
        yield displacement


def _greedy(reduction: Reduction, displacement: Array, tol: float) -> Iterator[Array]:
    from balance_graph.solvers import _kernels

    entries = _Entries.of(reduction)
    other = _other_entries(entries, reduction.matrix.shape[0])
    n = reduction.size
    top, total, peak, key = np.zeros(2 * n), np.zeros(2 * n), np.zeros(2 * n), np.zeros(n)
    while True:
        log_flow = reduction.log_slopes(displacement)[0]
        displacement = displacement.copy()
        _kernels.start_greedy(*entries.arrays, log_flow, key, top, total, peak)
        heap = np.argsort(-key, kind="stable")
        place = np.argsort(heap)
        _kernels.greedy_steps(
            n, tol, *entries.arrays, other, log_flow, displacement, heap, place, key, top, total, peak
        )
        yield displacement


def _other_entries(entries: _Entries, n_rows: int) -> Index:
    """For each entry the other entry of its row, -1 where there is none."""
    other = np.full(entries.row.size, -1, dtype=np.intp)
    order = np.argsort(entries.row, kind="stable")
    first = np.searchsorted(entries.row[order], np.arange(n_rows))
    both = np.flatnonzero(np.bincount(entries.row, minlength=n_rows) == 2)
    one, two = order[first[both]], order[first[both] + 1]
    other[one], other[two] = two, one
    return other


def _color_classes(matrix: Sparse) -> list[Index]:
    from balance_graph.solvers import _kernels

    if matrix.shape[1] == 0:
        return []
    pattern = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    adjacency = sparse.csr_array(pattern.T @ pattern)
    adjacency.setdiag(0.0)
    adjacency.eliminate_zeros()
    color = _kernels.first_fit_colors(adjacency.indptr, adjacency.indices)
    return [np.flatnonzero(color == c) for c in range(int(color.max()) + 1)]


def _block_sweeps(reduction: Reduction, displacement: Array, classes: list[Index]) -> Iterator[Array]:
    columns = sparse.csc_array(reduction.matrix)
    blocks = [Block.of(reduction, columns, unknowns) for unknowns in classes]
    while True:
        displacement = displacement.copy()
        log_gains = reduction.log_gains(displacement)
        for block in blocks:
            _apply(block, log_gains, displacement)
        yield displacement


def local_sweeps(reduction: Reduction, span: float, max_sweeps: int, *, least: int = 0) -> Array:
    """Displacement after vectorized local sweeps that bring the logarithms of flows within `span` of each other.

    After the `least` number of sweeps none are made if they are; they end as soon as a sweep narrows the spread no
    further.
    """
    displacement = np.zeros(reduction.size)
    sweeps = _block_sweeps(reduction, displacement, _color_classes(reduction.matrix))
    spread = np.inf
    for sweep in range(max_sweeps):
        new = float(np.ptp(reduction.log_slopes(displacement)[0]))
        if sweep >= least and (new <= span or new >= spread - 1e-3):
            break
        spread, displacement = new, next(sweeps)
    return displacement


def _apply(block: Block, log_gains: Array, displacement: Array) -> None:
    shift = block.shifts(log_gains)
    displacement[block.unknowns] += shift
    log_gains[block.row] += block.value * shift[block.owner]


def _single_sweeps(reduction: Reduction, displacement: Array, orders: Iterator[Index]) -> Iterator[Array]:
    """One unknown at a time for regularizers that only Python can evaluate."""
    columns = sparse.csc_array(reduction.matrix)
    blocks = [Block.of(reduction, columns, np.array([k])) for k in range(reduction.size)]
    for order in orders:
        displacement = displacement.copy()
        log_gains = reduction.log_gains(displacement)
        for k in order.tolist():
            _apply(blocks[k], log_gains, displacement)
        yield displacement


def _greedy_blocks(reduction: Reduction, displacement: Array) -> Iterator[Array]:
    """Greedy order with a lazy heap: stale entries are skipped when they surface."""
    columns = sparse.csc_array(reduction.matrix)
    blocks = [Block.of(reduction, columns, np.array([k])) for k in range(reduction.size)]
    touching = [np.unique(reduction.matrix[block.row].indices) for block in blocks]
    while True:
        displacement = displacement.copy()
        log_gains = reduction.log_gains(displacement)
        key = [block.log_imbalance(log_gains) for block in blocks]
        heap = [(-value, k) for k, value in enumerate(key)]
        heapq.heapify(heap)
        for _ in range(reduction.size):
            while -heap[0][0] != key[heap[0][1]]:
                heapq.heappop(heap)
            k = heap[0][1]
            _apply(blocks[k], log_gains, displacement)
            for neighbor in touching[k].tolist():
                key[neighbor] = blocks[neighbor].log_imbalance(log_gains)
                heapq.heappush(heap, (-key[neighbor], neighbor))
        yield displacement
