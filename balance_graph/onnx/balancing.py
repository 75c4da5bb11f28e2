"""Balancing an ONNX model, its function measured before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from balance_graph._types import Array
from balance_graph.models.large import whole_pattern
from balance_graph.models.optimum import free_of_cost, least_cost
from balance_graph.models.report import findings
from balance_graph.models.request import Request
from balance_graph.models.state import state_of
from balance_graph.models.suspects import function_changed
from balance_graph.onnx.costs import model_cost
from balance_graph.onnx.evaluation import compared, relative_change, run, tolerance_of
from balance_graph.onnx.files import ModelLike, save
from balance_graph.onnx.graph import graph_of
from balance_graph.onnx.reading import ModelStructure, read_model
from balance_graph.onnx.report import ModelReport
from balance_graph.onnx.scaling import apply
from balance_graph.problem.regularizers import Regularizer


def balance_model(
    model: ModelLike,
    regularizer: float | Regularizer = 2.0,
    *,
    output: str | Path | None = None,
    example_inputs: Any = None,
    costed: Sequence[str] = ("weights", "biases", "norms"),
    bound: float | None = None,
    tolerance: float | None = None,
) -> ModelReport:
    """Move a model's weights to the scales at which they cost least; what it computes stays the same.

    Initializers keep their names, types and shapes, all else is as it was; nothing is pruned. Outputs are measured
    before and after, by ONNX Runtime: if they move by more than rounding explains, nothing is written.

    Parameters
    ----------
    model : onnx.ModelProto or path
        It is not changed. Opset 9 or later.
    regularizer : float or Regularizer
        A number p, `Lp`, `ElasticNet` or `Posynomial`.
    output : path, optional
        Where to write the balanced model: whole or not at all. Weights go to a file beside it, ``NAME.data``, if they
        were in other files before or are too large for one.
    example_inputs : dict of str to array, or sequence of arrays, optional
        By default random ones of the types and shapes that the model states; dimensions of unknown size are tried
        from small to large until the model runs.
    costed : sequence of str
        Which parameters have a cost: ``"weights"``, ``"biases"``, ``"norms"`` (weights and biases of normalizations).
        A scale that could lower the cost for ever, or that nothing with a cost depends on, is held at 1.
    bound : float, optional
        No log-scale gets larger: the cost is least among those scales. Default 20, a factor of 5e8; ``math.inf`` for
        none.
    tolerance : float, optional
        How far outputs may move, relative to the largest. Default: the square root of the machine epsilon of the
        coarsest floating-point type of parameters and outputs.

    Returns
    -------
    ModelReport
        The balanced model, costs, certificate, change of the outputs, and a row for each unit: scaled, tied, pinned or
        refused, and why.

    Raises
    ------
    FunctionChangedError
        If the outputs move by more.
    InvalidParameterError
        For arguments out of range, weights that are not finite, and regularizers that are no sums of powers.
    NetworkFileError
        If the file holds no ONNX model.
    UnsupportedError
        If the model does not run on the inputs, is older than opset 9, or has sparse initializers.

    See Also
    --------
    balance_graph.pytorch.balance_module : the same for PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> from balance_graph.onnx import balance_model
    >>> floats = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)
    >>> nodes = [helper.make_node("Gemm", ["x", "V"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
    ...          helper.make_node("Gemm", ["r", "W"], ["y"])]
    >>> weights = [numpy_helper.from_array(np.array([[size]]), name) for size, name in ((8.0, "V"), (2.0, "W"))]
    >>> graph = helper.make_graph(nodes, "net", [floats("x", 1, 1)], [floats("y", 1, 1)], weights)
    >>> report = balance_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    >>> [round(float(numpy_helper.to_array(weight)[0, 0]), 9) for weight in report.model.graph.initializer]
    [4.0, 4.0]
    >>> report.relative_imbalance < 1e-10
    True
    """
    request = Request.of(regularizer, costed, bound, tolerance)
    found = read_model(model, example_inputs)
    cost = model_cost(found, request.powers, request.roles)
    reasons = free_of_cost(cost, whole_pattern(found.structure, request.roles))
    optimum = least_cost(cost, reasons, request.bound)
    before = state_of(cost, np.zeros(found.structure.size))
    balanced, measured = _scaled_checked(found, optimum.log_scales, request.tolerance)
    after = model_cost(found.of(balanced), request.powers, request.roles)
    if output is not None:
        save(balanced, output, is_external=found.is_external)
    return ModelReport(
        model=balanced,
        runtime=found.runtime,
        output=None if output is None else Path(output),
        **findings(request, found.structure, optimum, before, after, measured),
    )


def _scaled_checked(
    model: ModelStructure, log_scales: Array, tolerance: float | None
) -> tuple[onnx.ModelProto, tuple[float, float]]:
    """The scaled model; how far its outputs moved, and might have."""
    before = compared(list(model.outputs.values()))
    allowed = tolerance_of(_types(model)) if tolerance is None else tolerance

    def change_of(scaled: onnx.ModelProto) -> float:
        after, _ = run(graph_of(scaled).proto, list(model.outputs), model.inputs)
        return relative_change(before, compared(list(after.values())))

    balanced = apply(model, log_scales)
    change = change_of(balanced)
    if not change <= allowed:
        names = model.structure.scales
        raise function_changed(
            names, log_scales, lambda chosen: change_of(apply(model, chosen)), (change, allowed), "nothing is written"
        )
    return balanced, (change, allowed)


def _types(model: ModelStructure) -> list[int]:
    """Types of elements of parameters and outputs."""
    outputs = [output.type.tensor_type.elem_type for output in model.model.graph.output]
    return [*outputs, *(model.tensor(parameter).data_type for parameter in model.structure.parameters)]
