"""Reading a model operation by operation: what rules may do with the tensors they see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from balance_graph._types import Index
from balance_graph.models.equations import Equations, Number, Term
from balance_graph.models.labels import PINNED, ZERO, compact, constant_like, spread
from balance_graph.models.tensors import Gain, Operand, Parameter, Tensor, View, pinned


@dataclass
class Trace:
    """State of the reading: equations, and the gains of parameters as operations state them.

    Attributes
    ----------
    owner : str
        Path of the module that the current operation belongs to.
    operation : str
        Name of the current operation, for messages.
    shapes : tuple of tuple of int
        Shapes of what the current operation returns.
    """

    equations: Equations = field(default_factory=Equations)
    gains: dict[Hashable, list[Gain]] = field(default_factory=dict)
    parameters: dict[Hashable, Parameter] = field(default_factory=dict)
    pinned_parameters: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, list[str]] = field(default_factory=dict)
    training: bool = False
    owner: str = ""
    operation: str = ""
    shapes: tuple[tuple[int, ...], ...] = ()
    _calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    _materialized: dict[int, tuple[View, Index]] = field(default_factory=dict)

    @contextmanager
    def at(self, owner: str, operation: str, shapes: Sequence[tuple[int, ...]]) -> Iterator[None]:
        """Read one operation of a module."""
        before = self.owner, self.operation, self.shapes
        self.owner, self.operation, self.shapes = owner, operation, tuple(shapes)
        try:
            yield
        finally:
            self.owner, self.operation, self.shapes = before

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first tensor that the current operation returns."""
        return self.shapes[0]

    def parameter(self, key: Hashable, name: str, shape: tuple[int, ...], *, is_buffer: bool = False) -> View:
        """The parameter of this identity: the same whatever the name, so that what is shared is one parameter."""
        found = self.parameters.get(key)
        names = (name,) if found is None else (*found.names, name)
        if found is None:
            self.parameters[key] = Parameter(key, names, shape, is_buffer, "buffer" if is_buffer else "")
        elif name not in found.names:
            found.names = names
        return View.whole(self.parameters[key])

    # What rules ask of tensors -------------------------------------------------------------------------------------

    def labels(self, operand: Any) -> Index:
        """The labels of a tensor, a number, or a view of a parameter; the latter gets an unknown for each element."""
        if isinstance(operand, Tensor):
            return operand.labels
        if isinstance(operand, View):
            return self._materialize(operand)
        return constant_like(operand)

    def _materialize(self, view: View) -> Index:
        if id(view) not in self._materialized:
            shape = joint_shape(view)
            with self.at(view.parameter.name, self.operation, self.shapes):
                labels = np.broadcast_to(self.fresh(shape, "element"), view.shape)
            self.gain(view, [(1, labels)])
            self._materialized[id(view)] = view, labels  # the view too, or its id could be given to another
        return self._materialized[id(view)][1]

    def fresh(self, shape: tuple[int, ...], kind: str) -> Index:
        """Unknown log-scales, named after the module of the current operation."""
        owner = self.owner or "model"
        self._calls[owner, kind] += 1
        call = self._calls[owner, kind]
        return self.equations.fresh(shape, owner if call == 1 else f"{owner} (use {call})", kind)

    def gain(self, view: View, terms: Sequence[Term], role: str = "") -> None:
        """State the log-gain of what the view shows, as a sum of multiples of labels."""
        parameter = view.parameter
        parameter.role = parameter.role or role
        shape = (*view.hidden, *view.shape)
        spread_terms = tuple((factor, np.broadcast_to(labels, shape)) for factor, labels in terms)
        self.gains.setdefault(parameter.key, []).append(Gain(view, spread_terms))

    def tie(self, one: Index, two: Index) -> None:
        """Equal log-scales, element by element."""
        self.equations.tie(one, two)

    def tie_over(self, labels: Index, dims: Sequence[int]) -> Index:
        """Tie all elements along the dimensions; the labels that stand for them, with size 1 there."""
        small = compact(labels)
        dims = sorted({dim % labels.ndim for dim in dims if labels.ndim})
        if all(small.shape[dim] == 1 for dim in dims):
            kept = small
        else:
            front = np.moveaxis(small, dims, range(len(dims)))
            flat = front.reshape(-1, *front.shape[len(dims) :])
            first = (flat != ZERO).argmax(axis=0)
            chosen = np.take_along_axis(flat, first[None], axis=0)
            self.tie(flat, chosen)
            kept = np.expand_dims(chosen[0], tuple(dims))
        return np.broadcast_to(kept, [1 if dim in dims else size for dim, size in enumerate(labels.shape)])

    def sum_of(self, terms: Sequence[Term], shape: tuple[int, ...] | None = None) -> Index:
        """Labels of sums of multiples of log-scales."""
        full = np.broadcast_shapes(*(labels.shape for _, labels in terms)) if shape is None else shape
        return np.broadcast_to(self.equations.sum_of(terms), full)

    def multiple(self, labels: Index, factor: Number) -> Index:
        """Labels of the multiple; exact zeros stay zeros if the factor is positive, and else become constants."""
        if factor <= 0:
            labels = self.settled(labels)
        return labels if factor == 1 else self.sum_of([(factor, labels)])

    def settled(self, labels: Index) -> Index:
        """The same labels, with exact zeros taken as constants."""
        small = compact(labels)
        return np.broadcast_to(np.where(small == ZERO, PINNED, small), labels.shape)

    def pin(self, operand: Any, reason: str) -> None:
        """The operand must not change; a parameter's elements neither."""
        if isinstance(operand, View):
            self.pinned_parameters.setdefault(operand.parameter.name, reason)
            self.gain(operand, [(1, self.pinned_label(reason))])
        elif isinstance(operand, Tensor):
            self.equations.pin(operand.labels, f"{reason} ({self.owner})" if self.owner else reason)

    def pinned_label(self, reason: str) -> Index:
        """A label of its own that is pinned for this reason."""
        label = self.equations.fresh((), self.owner or "model", "constant")
        self.equations.pin(label, f"{reason} ({self.owner})" if self.owner else reason)
        return label

    def move(self, function: Callable[..., Index], *operands: Operand) -> Operand:
        """An operation that only moves elements, executed on labels; on one view of a parameter, on its indices."""
        if len(operands) == 1 and isinstance(operands[0], View):
            return operands[0].moved(function)
        result = function(*(self.labels(operand) for operand in operands))
        return Tensor(spread(result, result.shape))

    def refuse(self, reason: str, operands: Sequence[Any]) -> Tensor | tuple[Tensor, ...]:
        """An operation that no rule knows: whatever it reads must not change."""
        self.unknown.setdefault(self.operation, []).append(self.owner)
        for operand in operands:
            self.pin(operand, reason)
        results = tuple(pinned(shape) for shape in self.shapes)
        return results[0] if len(results) == 1 else results


def joint_shape(view: View) -> tuple[int, ...]:
    """Shape of the view's elements that differ: size 1 along dimensions in which no index varies."""
    count = len(view.hidden)
    return np.broadcast_shapes((1,) * len(view.shape), *(compact(i).shape[count:] for i in view.index))


def channel_labels(trace: Trace, operand: Any, channels: int = 1) -> Index:
    """One label for each index of dimension `channels`: elements along all others are tied."""
    labels = trace.labels(operand)
    tied = trace.tie_over(labels, [dim for dim in range(labels.ndim) if dim != channels % labels.ndim])
    return tied.reshape(-1)


def along(labels: Index, dim: int, shape: tuple[int, ...]) -> Index:
    """Labels of one dimension, spread over the shape."""
    return np.broadcast_to(labels.reshape([-1 if d == dim % len(shape) else 1 for d in range(len(shape))]), shape)
