"""What reading a model gives: its free scales, the log-gains of its parameters, and what cannot be scaled and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.models.elimination import Form, LabelForms, common_denominator, solve_equations
from balance_graph.models.equations import Equations, Span
from balance_graph.models.labels import ZERO
from balance_graph.models.pieces import Piece, dimension_groups, disjoint, pieces_of
from balance_graph.models.tensors import Parameter
from balance_graph.models.trace import Trace


@dataclass(frozen=True, eq=False)
class Block:
    """Log-gains of a part of a parameter: ``forms[rows] + forms[columns]``, summed by broadcasting.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    selection : tuple of slice or ndarray
        Which indices along each axis; the elements are their product. A `flat` block selects from the parameter as
        one long row.
    split : tuple of int
        Shape in which the selected elements are seen, an axis being one or more of its dimensions.
    rows, columns : ndarray
        Numbers of rows of `Structure.forms`, with size 1 along the dimensions of `split` in which they do not vary;
        no dimension has both.
    flat : bool
        Whether the parameter is taken as one long row.
    """

    parameter: Parameter
    selection: tuple[Any, ...]
    split: tuple[int, ...]
    rows: Index
    columns: Index
    flat: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.rows.size, self.columns.size

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.split, dtype=np.int64))

    def index(self) -> tuple[Any, ...]:
        """Index of the elements in an array of the parameter's shape: slices alone, or arrays alone."""
        if self.flat:
            places = np.arange(self.parameter.size)[self.selection[0]]
            return tuple(np.unravel_index(places, self.parameter.shape))
        if all(isinstance(chosen, slice) for chosen in self.selection):
            return self.selection
        ranges = [np.arange(n)[s] for n, s in zip(self.parameter.shape, self.selection, strict=True)]
        return tuple(np.ix_(*ranges))

    def select(self, array: Any) -> Any:
        """The block's elements of an array of the parameter's shape (NumPy's or PyTorch's), in shape `split`."""
        return array[self.index()].reshape(self.split)

    def sums(self, array: Any) -> Any:
        """The block's elements, summed to one number for each row and column: shape ``(rows, columns)``."""
        selected = self.select(array)
        over = tuple(
            dim for dim in range(len(self.split)) if self.rows.shape[dim] == 1 and self.columns.shape[dim] == 1
        )
        selected = selected.sum(over, keepdims=True) if over else selected
        first = [dim for dim, size in enumerate(self.rows.shape) if size > 1]
        order = [*first, *(dim for dim in range(len(self.split)) if dim not in first)]
        return (selected.transpose(order) if isinstance(selected, np.ndarray) else selected.permute(order)).reshape(
            self.shape
        )

    def gains(self, values: Array) -> Array:
        """Log-gains of the elements, of a shape that broadcasts to `split`; `values` are those of the forms."""
        result: Array = values[self.rows] + values[self.columns]
        return result


@dataclass(frozen=True)
class Unit:
    """A scale that an operation of the model has, and what became of it.

    Attributes
    ----------
    name : str
        The module's path and the channel, unit or element.
    status : str
        ``"scaled"``, ``"tied"`` (scaled with others), ``"pinned"`` or ``"refused"`` (read by an unknown operation).
    scale : str
        Name of the free scale that it follows, or ``""``.
    reason : str
        Why it is pinned or refused.
    """

    name: str
    status: str
    scale: str
    reason: str


@dataclass(frozen=True, eq=False)
class Structure:
    """The scale freedoms of an architecture: no weights are in it.

    Attributes
    ----------
    forms : sparse array, shape (n_forms, n_scales)
        Integer combinations of log-scales that occur in gains; the first is zero.
    blocks : tuple of Block
        Gains of parameters and buffers; what is in no block must not change.
    parameters : tuple of Parameter
        All parameters and buffers that the model uses.
    unknown : dict of str to tuple of str
        Operations that no rule knows, with the modules that use them: what they read is pinned.
    pinned_parameters : dict of str to str
        Parameters that were pinned themselves, and why: read by what is not homogeneous, used only in part by the
        example inputs, sharing memory with others.
    """

    forms: Sparse
    blocks: tuple[Block, ...]
    parameters: tuple[Parameter, ...]
    unknown: Mapping[str, tuple[str, ...]]
    pinned_parameters: Mapping[str, str]
    equations: Equations
    solved: LabelForms
    _columns: Mapping[int, int]
    _denominators: Mapping[int, int]

    @property
    def size(self) -> int:
        """Number of free scales."""
        return int(self.forms.shape[1])

    @cached_property
    def scales(self) -> tuple[str, ...]:
        """Names of the free scales, one for each entry of the vectors of log-scales."""
        return _names(self.equations, self.solved, list(self._columns))

    def values(self, log_scales: Any) -> Array:
        """Values of the forms at given log-scales, one for each free scale."""
        array = np.asarray(log_scales, dtype=np.float64)
        if array.shape != (self.size,) or not np.isfinite(array).all():
            message = f"log_scales must be {self.size} finite numbers, one for each free scale, got shape {array.shape}"
            raise InvalidParameterError(message)
        result: Array = self.forms @ array
        return result

    def log_gains(self, log_scales: Any) -> dict[Any, Array]:
        """Log-gain of every element of every parameter that changes: arrays keyed by the parameters' keys."""
        values = self.values(log_scales)
        result: dict[Any, Array] = {}
        for block in self.blocks:
            whole = result.setdefault(block.parameter.key, np.zeros(block.parameter.shape))
            index = block.index()
            whole[index] = np.broadcast_to(block.gains(values), block.split).reshape(whole[index].shape)
        return result

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """One row for each scale of the model, free or not."""
        counts = np.bincount(self.solved.component, minlength=self.solved.representative.size)
        return tuple(self._unit(span, label, counts) for span, label in self._named_labels())

    def _named_labels(self) -> list[tuple[Span, int]]:
        spans = (span for span in self.equations.spans if span.kind != "constant")
        return [(span, label) for span in spans for label in range(span.start, span.stop)]

    @cached_property
    def unit_forms(self) -> Sparse:
        """Log-scales of the units, in the order of `units`, as combinations of the free ones: shape (units, size)."""
        entries = [
            (row, self._columns[place], int(value * self._denominators[place]))
            for row, (_, label) in enumerate(self._named_labels())
            for place, value in self.solved.form(label).items()
            if place in self._columns
        ]
        rows, columns, data = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        matrix: Sparse = sparse.csr_array((data, (rows, columns)), shape=(len(self._named_labels()), self.size))
        return matrix

    @cached_property
    def scaled_parameters(self) -> tuple[tuple[str, ...], ...]:
        """For each free scale the names of the parameters and buffers that it changes."""
        names: list[dict[str, None]] = [{} for _ in range(self.size)]
        for block in self.blocks:
            used = np.unique(np.concatenate([block.rows.reshape(-1), block.columns.reshape(-1)]))
            for column in np.unique(self.forms[used].indices).tolist():
                names[column][block.parameter.name] = None
        return tuple(tuple(found) for found in names)

    def _unit(self, span: Span, label: int, counts: Index) -> Unit:
        name = span.name(label)
        form = self.solved.form(label)
        if not form:
            reason = self._reason(label)
            return Unit(name, "refused" if reason.startswith("unknown") else "pinned", "", reason)
        single = len(form) == 1 and next(iter(form)) in self._columns
        scale = self.scales[self._columns[next(iter(form))]] if single else ""
        alone = counts[self.solved.component[label]] == 1
        if not any(column in self._columns for column in form):
            return Unit(name, "pinned", "", "no parameter has this scale")
        return Unit(name, "scaled" if alone and name == scale else "tied", scale, "")

    def _reason(self, label: int) -> str:
        return self._reasons.get(int(self.solved.tied[label]), "follows from others that are pinned")

    @cached_property
    def _reasons(self) -> dict[int, str]:
        return self.solved.reasons(self.equations)

    def summary(self) -> str:
        """A few lines: how many scales are free, tied, pinned, refused, and unknown operations."""
        counts: dict[str, int] = {}
        for unit in self.units:
            counts[unit.status] = counts.get(unit.status, 0) + 1
        lines = [
            f"{self.size} free scales; units: " + ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        ]
        lines += [
            f"unknown operation {name}, in {', '.join(sorted(set(owners))) or 'the model'}: pinned"
            for name, owners in self.unknown.items()
        ]
        lines += [f"{name}: pinned, {reason}" for name, reason in self.pinned_parameters.items()]
        return "\n".join(lines)


def structure_of(trace: Trace) -> Structure:
    """Solve what a trace has collected."""
    pieces = _all_pieces(trace)
    solved = solve_equations(trace.equations)
    table = _FormTable(solved)
    drafts = [(piece, *_sides(piece, table)) for piece in pieces]
    columns, denominators, matrix = table.finished()
    blocks = [_block(piece, rows, cols) for piece, rows, cols in drafts]
    return Structure(
        matrix,
        tuple(block for block in blocks if block.rows.any() or block.columns.any()),
        tuple(trace.parameters.values()),
        {name: tuple(owners) for name, owners in trace.unknown.items()},
        trace.pinned_parameters,
        trace.equations,
        solved,
        columns,
        denominators,
    )


def _all_pieces(trace: Trace) -> list[Piece]:
    pieces: list[Piece] = []
    for key, gains in trace.gains.items():
        parameter = trace.parameters[key]
        with trace.at(parameter.name, "gain", ()):
            own = disjoint(trace, [piece for gain in gains for piece in pieces_of(trace, gain)])
            if sum(piece.size for piece in own) < parameter.size:
                reason = "only a part of it is used with these example inputs"
                trace.pinned_parameters[parameter.name] = reason
                for piece in own:
                    trace.equations.pin(trace.sum_of(piece.terms), reason)
        pieces += own
    return pieces


class _FormTable:
    """Distinct forms, numbered; 0 is the zero form."""

    def __init__(self, solved: LabelForms) -> None:
        self.solved = solved
        self.numbers: dict[tuple[tuple[int, Any], ...], int] = {(): 0}

    def number(self, factors: list[Any], labels: list[int]) -> int:
        if len(labels) == 1:  # by far the most are of one scale that is free
            place = int(self.solved.component[labels[0]])
            if labels[0] != ZERO and place != self.solved.pinned and place not in self.solved.pivots:
                return self.numbers.setdefault(((place, factors[0]),), len(self.numbers))
        total: Form = {}
        for factor, label in zip(factors, labels, strict=True):
            if label != ZERO:
                for column, value in self.solved.form(label).items():
                    total[column] = total.get(column, 0) + factor * value
        key = tuple(sorted((column, value) for column, value in total.items() if value))
        return self.numbers.setdefault(key, len(self.numbers))

    def finished(self) -> tuple[dict[int, int], dict[int, int], Sparse]:
        """Columns of the free components that occur, what each is counted in, and the matrix of forms."""
        forms = [dict(key) for key in self.numbers]
        denominators = common_denominator(forms)
        free = sorted(denominators, key=lambda place: int(self.solved.representative[place]))
        columns = {place: k for k, place in enumerate(free)}
        entries = [
            (row, columns[place], int(value * denominators[place]))
            for row, form in enumerate(forms)
            for place, value in form.items()
        ]
        rows, cols, data = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        matrix = sparse.csr_array((data, (rows, cols)), shape=(len(forms), len(free)))
        return columns, denominators, matrix


def _names(equations: Equations, solved: LabelForms, free: list[int]) -> tuple[str, ...]:
    members = np.argsort(solved.component, kind="stable")
    starts = np.searchsorted(solved.component[members], np.arange(solved.representative.size + 1))
    names = []
    for place in free:
        labels = members[starts[place] : starts[place + 1]].tolist()
        spans = ((equations.span(label), label) for label in labels)
        names.append(next((span.name(label) for span, label in spans if span is not None), f"scale {labels[0]}"))
    return tuple(names)


def _sides(piece: Piece, table: _FormTable) -> tuple[Index, Index]:
    """Numbers of forms for rows and columns."""
    groups = dimension_groups(piece.terms, len(piece.split))
    first = next((group for group in groups if any(_varies_in(labels, group) for _, labels in piece.terms)), set())
    rows = [term for term in piece.terms if _varies_in(term[1], first) or term[1].size == 1]
    columns = [term for term in piece.terms if not _varies_in(term[1], first) and term[1].size > 1]
    return _numbers(rows, table, len(piece.split)), _numbers(columns, table, len(piece.split))


def _varies_in(labels: Index, dims: set[int]) -> bool:
    return any(labels.shape[dim] > 1 for dim in dims)


def _numbers(terms: list[Any], table: _FormTable, ndim: int) -> Index:
    if not terms:
        return np.zeros((1,) * ndim, dtype=np.int64)
    arrays = np.broadcast_arrays(*(labels for _, labels in terms))
    rows = np.stack([array.reshape(-1) for array in arrays], axis=1)
    factors = [factor for factor, _ in terms]
    numbers = np.array([table.number(factors, row) for row in rows.tolist()], dtype=np.int64)
    return numbers.reshape(arrays[0].shape)


def _block(piece: Piece, rows: Index, columns: Index) -> Block:
    return Block(piece.parameter, tuple(_as_slice(s) for s in piece.selection), piece.split, rows, columns, piece.flat)


def _as_slice(selection: Index) -> Any:
    """A slice where the indices are consecutive, so that nothing is copied."""
    chosen = selection.tolist() if selection.size < 3 else None
    if chosen is not None:
        consecutive = all(b == a + 1 for a, b in pairwise(chosen))
    else:
        consecutive = bool((np.diff(selection) == 1).all())
    return slice(int(selection[0]), int(selection[-1]) + 1) if consecutive and selection.size else selection
