"""Balancing a model that is never loaded: file to file, component by component."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn

from balance_graph._types import Array
from balance_graph.errors import FunctionChangedError, InvalidParameterError
from balance_graph.models.request import Request
from balance_graph.problem.regularizers import Regularizer
from balance_graph.pytorch.blocks import whole_cost
from balance_graph.pytorch.checkpoint_files import CheckpointFiles
from balance_graph.pytorch.checkpoint_report import CheckpointReport
from balance_graph.pytorch.evaluation import outputs_of, precision_of, relative_change, tolerance_of
from balance_graph.pytorch.new_directory import check_new, new_directory
from balance_graph.pytorch.scaling import scale_block
from balance_graph.pytorch.stored import StoredModel
from balance_graph.pytorch.stored_cost import StoredCost


def balance_checkpoint(
    directory: str | Path,
    model: nn.Module,
    example_inputs: tuple[Any, ...],
    regularizer: float | Regularizer = 2.0,
    *,
    output: str | Path,
    costed: Sequence[str] = ("weights", "biases", "norms"),
    bound: float | None = None,
    kwargs: dict[str, Any] | None = None,
    check: bool = False,
    tolerance: float | None = None,
) -> CheckpointReport:
    """Balance a checkpoint in safetensors files into a new directory; the model itself is never loaded.

    Tensors are mapped from the files, not read: memory holds what one component of the model needs, that is parameters
    which share scales. In a transformer with a norm before each branch that is one attention, or one feed-forward part.

    Parameters
    ----------
    directory : path
        A directory with one safetensors file, several, or several with an index. It is not changed.
    model : torch.nn.Module
        The architecture, best on the meta device: ``with torch.device("meta"): model = MyModel()``. Its `state_dict`
        must have the names and shapes of the checkpoint; of tied parameters one name is enough.
    example_inputs : tuple
        Positional arguments, as for `torch.export.export`, on the CPU; small ones are read faster.
    regularizer : float or Regularizer
        A number p, `Lp`, `ElasticNet` or `Posynomial`.
    output : path
        A new directory. Files, tensors, types, metadata and index are those of the old one, and all other files are
        copied. It appears once it is whole: interrupted runs leave none.
    costed : sequence of str
    bound : float, optional
        As for `balance_module`.
    kwargs : dict, optional
        Keyword arguments of the model.
    check : bool
        Run the model on the example inputs with both checkpoints, mapped, and compare the outputs, as `balance_module`
        does. Every weight is then read once more for each.
    tolerance : float, optional
        How far outputs may move, relative to the largest. Default: the square root of the machine epsilon of the
        coarsest floating-point type of parameters and outputs.

    Returns
    -------
    CheckpointReport
        Costs, imbalance and certificate, measured on the files as written; a row for each unit.

    Raises
    ------
    InvalidParameterError
        For a directory without a checkpoint, an output that exists, names or shapes that the model has not, weights
        that are not finite, and arguments out of range.
    UnsupportedError
        If PyTorch cannot export the model, or a tensor's type cannot be scaled.
    FunctionChangedError
        If rounding to the types of the files changes what a unit reads or feeds by more than the tolerance, as
        underflow does, or, with `check`, the outputs. There is no output directory then.
    MissingDependencyError
        Without safetensors.

    See Also
    --------
    balance_module : Balances a module that is loaded, sharded ones too.

    Examples
    --------
    >>> import os, tempfile, torch
    >>> from safetensors.torch import save_file
    >>> from torch import nn
    >>> from balance_graph.pytorch import balance_checkpoint
    >>> def network():
    ...     return nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 2))
    >>> folder = tempfile.TemporaryDirectory()
    >>> os.mkdir(f"{folder.name}/old")
    >>> save_file(network().state_dict(), f"{folder.name}/old/model.safetensors")
    >>> with torch.device("meta"):
    ...     model = network()
    >>> report = balance_checkpoint(f"{folder.name}/old", model, (torch.ones(1, 3),), output=f"{folder.name}/new")
    >>> report.cost < report.initial_cost, report.certificate.relative_gap < 1e-9
    (True, True)
    >>> os.listdir(f"{folder.name}/new")
    ['model.safetensors']
    >>> folder.cleanup()
    """
    request = Request.of(regularizer, costed, bound, tolerance)
    _check_call(model, example_inputs)
    call, times = (example_inputs, kwargs or {}), _Times()
    files = CheckpointFiles.of(directory)
    check_new(output, files.directory)
    stored = StoredModel.of(model, *call, files)
    times.note("read")
    cost = StoredCost(stored, request.powers, request.roles)
    found = cost.least(request.bound)
    times.note("solve")
    with new_directory(output, files.directory) as partial:
        written = files.at(partial)
        times.note("copy")
        rewrite(stored, written, found.optimum.log_scales)
        times.note("rewrite")
        measured = cost.measured(written, found, request.regularizer, request.tolerance)
        times.note("measure")
        change = _change(stored, written, call, request.tolerance) if check else None
        times.note("check")
    return CheckpointReport(
        output=Path(output),
        initial_cost=found.initial_cost,
        cost=measured.certificate.cost,
        initial_relative_imbalance=found.initial_relative_imbalance,
        relative_imbalance=measured.relative_imbalance,
        certificate=measured.certificate,
        output_change=None if change is None else change[0],
        tolerance=None if change is None else change[1],
        log_scales=found.optimum.log_scales,
        regularizer=request.regularizer,
        costed=request.costed,
        bound=request.bound,
        converged=found.optimum.converged and found.optimum.is_bounded_optimum,
        n_components=len(cost.components),
        seconds=times.seconds,
        _structure=stored.structure,
        _optimum=found.optimum,
    )


# Scales are far from the ranges of single precision and bfloat16; of narrower types they are not.
_NARROW = 1e30


def _check_call(model: object, example_inputs: object) -> None:
    if not isinstance(model, nn.Module):
        message = f"model must be a torch.nn.Module, best on the meta device; got {type(model).__name__}"
        raise InvalidParameterError(message)
    if not isinstance(example_inputs, tuple):
        kind = type(example_inputs).__name__
        message = f"example_inputs must be a tuple of positional arguments, got {kind}; for one argument write (x,)"
        raise InvalidParameterError(message)


class _Times:
    """Seconds of each part of the work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def note(self, part: str) -> None:
        now = perf_counter()
        self.seconds[part], self._last = now - self._last, now


def rewrite(stored: StoredModel, files: CheckpointFiles, log_scales: Array) -> None:
    """Multiply the tensors where they are in the files, one at a time.

    Raises
    ------
    FunctionChangedError
        If a product is beyond the range of the tensor's type.
    """
    values = stored.structure.values(log_scales)
    for parameter, blocks in stored.scaled:
        for name in stored.names[parameter.key]:
            tensor = files.tensor(name, writable=True)
            for block in blocks:
                scale_block(tensor, block, values)
            narrow = torch.finfo(tensor.dtype).max < _NARROW
            if narrow and not math.isfinite(whole_cost(tensor, 1.0)):
                message = (
                    f"{name}: scaled weights exceed the range of {tensor.dtype}; a smaller bound= keeps them in it"
                )
                raise FunctionChangedError(message, change=math.inf, tolerance=0.0, units=[])


def _change(
    stored: StoredModel, written: CheckpointFiles, call: tuple[Any, Any], tolerance: float | None
) -> tuple[float, float]:
    """How far the outputs move, and might have, if that is not too far."""
    old = stored.filled(stored.files)
    before = outputs_of(old, *call)
    if tolerance is None:
        types = {stored.files.dtype(name) for parameter, _ in stored.scaled for name in stored.names[parameter.key]}
        tolerance = max(tolerance_of(old, before), precision_of(types) if types else 0.0)
    allowed = tolerance
    change = relative_change(before, outputs_of(stored.filled(written), *call))
    if not change <= allowed:
        message = (
            f"scaling changed the outputs by {change:.3g} of the largest, more than the {allowed:.2g} that rounding "
            "explains; nothing is written. Either a rule of an operation is wrong, or the model multiplies rounding "
            "errors (tolerance= allows more)"
        )
        raise FunctionChangedError(message, change=change, tolerance=allowed, units=[])
    return change, allowed
