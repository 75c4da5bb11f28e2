"""Local sweeps with flows kept as logarithms: for every kind of row, and whatever the range of the costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from balance_graph._time_limit import Deadline
from balance_graph._types import Array, Index
from balance_graph.points.equations import BalanceEquations
from balance_graph.points.rows import rounding_of
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import PowerRows
from balance_graph.solvers.local._sweep_state import SweepState
from balance_graph.solvers.local.blocks import Block
from balance_graph.solvers.local.coloring import color_classes

if TYPE_CHECKING:
    from balance_graph.solvers.local._kernels import Entries


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
    deadline : Deadline
        A sweep unknown by unknown in Python ends there, wherever it is.
    """

    def __init__(self, quotient: Quotient, order: str, orders: Iterator[Index], tol: float, deadline: Deadline) -> None:
        self.displacement = np.zeros(quotient.size)
        self._measure = LogMeasure(quotient)
        self.state = self._measure(self.displacement)
        self._sweeper = _sweeper(order, quotient, self.displacement, orders, tol, deadline)

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
    order: str, quotient: Quotient, displacement: Array, orders: Iterator[Index], tol: float, deadline: Deadline
) -> Iterator[Array]:
    """Displacements after each sweep, for ever."""
    if order == "colored":
        return _block_sweeps(quotient, displacement, color_classes(quotient.matrix))
    compiled = isinstance(quotient.rows, PowerRows)
    if order == "greedy":
        return _greedy(quotient, displacement, tol) if compiled else _greedy_blocks(quotient, displacement, deadline)
    if compiled:
        return _kernel_sweeps(quotient, displacement, orders)
    return _single_sweeps(quotient, displacement, orders, deadline)


def _entries(quotient: Quotient) -> Entries:
    """A by columns, as the compiled loops want it."""
    from balance_graph.solvers.local._kernels import Entries

    rows, columns = quotient.rows, sparse.csc_array(quotient.matrix)
    assert isinstance(rows, PowerRows)
    row = columns.indices.astype(np.intp)
    start, rate = columns.indptr.astype(np.intp), columns.data * rows.exponent[row]
    return Entries(start, row, rate, np.log(np.abs(columns.data)))


def _kernel_sweeps(quotient: Quotient, displacement: Array, orders: Iterator[Index]) -> Iterator[Array]:
    from balance_graph.solvers.local import _kernels

    entries = _entries(quotient)
    for order in orders:
        # Flows are computed afresh every sweep, so rounding does not build up in them.
        log_flow = quotient.log_slopes(displacement)[0]
        displacement = displacement.copy()
        _kernels.sweep(order, entries, log_flow, displacement)
        yield displacement


def _greedy(quotient: Quotient, displacement: Array, tol: float) -> Iterator[Array]:
    from balance_graph.solvers.local import _kernels
    from balance_graph.solvers.local._heap import Heap

    n, entries = quotient.size, _entries(quotient)
    owner = np.repeat(np.arange(n), np.diff(entries.start))
    partners = _kernels.Partners(_other_entries(entries.row, quotient.matrix.shape[0]), owner)
    running, key = _kernels.RunningSums(*np.zeros((3, 2 * n))), np.zeros(n)
    while True:
        log_flow = quotient.log_slopes(displacement)[0]
        displacement = displacement.copy()
        _kernels.start_greedy(entries, log_flow, running, key)
        _kernels.greedy_sweep(tol, entries, partners, log_flow, displacement, running, Heap.of(key))
        yield displacement


def _other_entries(row: Index, n_rows: int) -> Index:
    """For each entry the other entry of its row, -1 where there is none."""
    other = np.full(row.size, -1, dtype=np.intp)
    order = np.argsort(row, kind="stable")
    first = np.searchsorted(row[order], np.arange(n_rows))
    both = np.flatnonzero(np.bincount(row, minlength=n_rows) == 2)
    one, two = order[first[both]], order[first[both] + 1]
    other[one], other[two] = two, one
    return other


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


def _single_sweeps(
    quotient: Quotient, displacement: Array, orders: Iterator[Index], deadline: Deadline
) -> Iterator[Array]:
    """One unknown at a time for regularizers that only Python can evaluate."""
    columns = sparse.csc_array(quotient.matrix)
    block = cache(lambda k: Block.of(quotient, columns, np.array([k])))
    for order in orders:
        displacement = displacement.copy()
        log_gains = quotient.log_gains(displacement)
        for k in order.tolist():
            if deadline.is_past:
                break
            _apply(block(k), log_gains, displacement)
        yield displacement


def _greedy_blocks(quotient: Quotient, displacement: Array, deadline: Deadline) -> Iterator[Array]:
    """Greedy order for regularizers that only Python can evaluate."""
    from balance_graph.solvers.local._heap import Heap, reorder

    columns = sparse.csc_array(quotient.matrix)
    block = cache(lambda k: Block.of(quotient, columns, np.array([k])))
    touching = cache(lambda k: np.unique(quotient.matrix[block(k).row].indices).tolist())
    equations = BalanceEquations(quotient.matrix)
    while True:
        displacement = displacement.copy()
        log_gains = quotient.log_gains(displacement)
        heap = Heap.of(np.abs(equations.imbalance(quotient.log_slopes(displacement)[0])))
        for _ in range(quotient.size):
            if deadline.is_past:
                break
            k = int(heap.order[0])
            _apply(block(k), log_gains, displacement)
            for neighbor in touching(k):
                reorder(heap, neighbor, block(neighbor).log_imbalance(log_gains))
        yield displacement
