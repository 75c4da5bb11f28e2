"""Local sweeps with flows kept as logarithms: for every kind of row, and whatever the range of the costs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.rows import rounding_of
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import PowerRows
from balance_graph.solvers.local._sweep_state import SweepState
from balance_graph.solvers.local.blocks import Block


class LogSweeps:
    """Sweeps in logarithms, and the state after each, computed afresh from the displacement: nothing drifts.

    Parameters
    ----------
    quotient : Quotient
    order : str
        As in `StochasticSolver`.
    orders : iterator of integer arrays
        The unknowns of each sweep.
    tol : float
        The greedy order takes no more steps once all are this balanced.
    """

    def __init__(self, quotient: Quotient, order: str, orders: Iterator[Index], tol: float) -> None:
        self.displacement = np.zeros(quotient.size)
        self._measure = LogMeasure(quotient)
        self.state = self._measure(self.displacement)
        self._sweeper = _sweeper(order, quotient, self.displacement, orders, tol)

    def advance(self) -> None:
        """Make a sweep."""
        self.displacement = next(self._sweeper)
        self.state = self._measure(self.displacement)


class LogMeasure:
    """The state at a displacement, in logarithms."""

    def __init__(self, quotient: Quotient) -> None:
        self._quotient = quotient

    @cached_property
    def _equations(self) -> BalanceEquations:
        return BalanceEquations(self._quotient.matrix)

    def __call__(self, displacement: Array) -> SweepState:
        log_slopes, _ = self._quotient.log_slopes(displacement)
        largest = float(np.abs(self._equations.imbalance(log_slopes)).max(initial=0.0))
        imbalance = float(np.tanh(0.5 * largest))
        return SweepState(self._quotient.log_cost(displacement), imbalance, rounding_of(log_slopes))


class LogSweep:
    """One sweep over rows that are powers, from any displacement."""

    def __init__(self, quotient: Quotient, order: str, tol: float) -> None:
        self._quotient, self._order, self._tol = quotient, order, tol

    def __call__(self, order: Index, displacement: Array) -> Array:
        if self._order == "greedy":
            return next(_greedy(self._quotient, displacement, self._tol))
        return next(_kernel_sweeps(self._quotient, displacement, iter([order])))


def _sweeper(
    order: str, quotient: Quotient, displacement: Array, orders: Iterator[Index], tol: float
) -> Iterator[Array]:
    """Displacements after each sweep, for ever."""
    if order == "colored":
        return _block_sweeps(quotient, displacement, color_classes(quotient.matrix))
    compiled = isinstance(quotient.rows, PowerRows)
    if order == "greedy":
        return _greedy(quotient, displacement, tol) if compiled else _greedy_blocks(quotient, displacement)
    return (
        _kernel_sweeps(quotient, displacement, orders) if compiled else _single_sweeps(quotient, displacement, orders)
    )


@dataclass(frozen=True, eq=False)
class _Entries:
    """A by columns, as the compiled loops want it."""

    start: Index
    row: Index
    rate: Array
    log_size: Array

    @classmethod
    def of(cls, quotient: Quotient) -> _Entries:
        columns = sparse.csc_array(quotient.matrix)
        rows = quotient.rows
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


def _kernel_sweeps(quotient: Quotient, displacement: Array, orders: Iterator[Index]) -> Iterator[Array]:
    from balance_graph.solvers.local import _kernels

    entries = _Entries.of(quotient)
    for order in orders:
        # Flows are computed afresh every sweep, so rounding does not build up in them.
        log_flow = quotient.log_slopes(displacement)[0]
        displacement = displacement.copy()
        _kernels.sweep(order, *entries.arrays, log_flow, displacement)
        yield displacement


def _greedy(quotient: Quotient, displacement: Array, tol: float) -> Iterator[Array]:
    from balance_graph.solvers.local import _kernels

    entries = _Entries.of(quotient)
    other = _other_entries(entries, quotient.matrix.shape[0])
    n = quotient.size
    owner = np.repeat(np.arange(n), np.diff(entries.start))
    top, total, peak, key = np.zeros(2 * n), np.zeros(2 * n), np.zeros(2 * n), np.zeros(n)
    while True:
        log_flow = quotient.log_slopes(displacement)[0]
        displacement = displacement.copy()
        _kernels.start_greedy(*entries.arrays, log_flow, key, top, total, peak)
        heap = np.argsort(-key, kind="stable")
        place = np.argsort(heap)
        _kernels.greedy_steps(
            n, tol, *entries.arrays, other, owner, log_flow, displacement, heap, place, key, top, total, peak
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


def color_classes(matrix: Sparse) -> list[Index]:
    """Classes of mutually non-adjacent unknowns of the rows with matrix A, in the order in which they are balanced."""
    if matrix.shape[1] == 0:
        return []
    pattern = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    adjacency = sparse.csr_array(pattern.T @ pattern)
    adjacency.setdiag(0.0)
    adjacency.eliminate_zeros()
    color = np.array(_first_fit_colors(adjacency.indptr.tolist(), adjacency.indices.tolist()))
    return [np.flatnonzero(color == c) for c in range(int(color.max()) + 1)]


def _first_fit_colors(start: list[int], neighbor: list[int]) -> list[int]:
    """Color of each vertex of a graph in CSR form, in turn the least that no neighbor has."""
    color: list[int] = []
    for first, last in pairwise(start):
        taken = {color[k] for k in neighbor[first:last] if k < len(color)}
        color.append(next(c for c in count() if c not in taken))
    return color


def _block_sweeps(quotient: Quotient, displacement: Array, classes: list[Index]) -> Iterator[Array]:
    columns = sparse.csc_array(quotient.matrix)
    blocks = [Block.of(quotient, columns, unknowns) for unknowns in classes]
    while True:
        displacement = displacement.copy()
        log_gains = quotient.log_gains(displacement)
        for block in blocks:
            _apply(block, log_gains, displacement)
        yield displacement


def local_sweeps(quotient: Quotient, span: float, max_sweeps: int, *, least: int = 0) -> Array:
    """Displacement after vectorized local sweeps that bring the logarithms of flows within `span` of each other.

    After the `least` number of sweeps none are made if they are; they end as soon as a sweep narrows the spread no
    further.
    """
    displacement = np.zeros(quotient.size)
    sweeps = _block_sweeps(quotient, displacement, color_classes(quotient.matrix))
    spread = np.inf
    for sweep in range(max_sweeps):
        new = float(np.ptp(quotient.log_slopes(displacement)[0]))
        if sweep >= least and (new <= span or new >= spread - 1e-3):
            break
        spread, displacement = new, next(sweeps)
    return displacement


def _apply(block: Block, log_gains: Array, displacement: Array) -> None:
    shift = block.shifts(log_gains)
    displacement[block.unknowns] += shift
    log_gains[block.row] += block.value * shift[block.owner]


def _single_sweeps(quotient: Quotient, displacement: Array, orders: Iterator[Index]) -> Iterator[Array]:
    """One unknown at a time for regularizers that only Python can evaluate."""
    columns = sparse.csc_array(quotient.matrix)
    blocks = [Block.of(quotient, columns, np.array([k])) for k in range(quotient.size)]
    for order in orders:
        displacement = displacement.copy()
        log_gains = quotient.log_gains(displacement)
        for k in order.tolist():
            _apply(blocks[k], log_gains, displacement)
        yield displacement


def _greedy_blocks(quotient: Quotient, displacement: Array) -> Iterator[Array]:
    """Greedy order with a lazy heap: stale entries are skipped when they surface."""
    columns = sparse.csc_array(quotient.matrix)
    blocks = [Block.of(quotient, columns, np.array([k])) for k in range(quotient.size)]
    touching = [np.unique(quotient.matrix[block.row].indices) for block in blocks]
    while True:
        displacement = displacement.copy()
        log_gains = quotient.log_gains(displacement)
        key = [block.log_imbalance(log_gains) for block in blocks]
        heap = [(-value, k) for k, value in enumerate(key)]
        heapq.heapify(heap)
        for _ in range(quotient.size):
            while -heap[0][0] != key[heap[0][1]]:
                heapq.heappop(heap)
            k = heap[0][1]
            _apply(blocks[k], log_gains, displacement)
            for neighbor in touching[k].tolist():
                key[neighbor] = blocks[neighbor].log_imbalance(log_gains)
                heapq.heappush(heap, (-key[neighbor], neighbor))
        yield displacement
