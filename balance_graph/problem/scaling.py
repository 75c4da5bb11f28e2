"""Weights after scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array, Mask
from balance_graph.errors import UnsupportedError
from balance_graph.problem.log_domain import times_exp
from balance_graph.problem.manifold import first_of_label

if TYPE_CHECKING:
    from balance_graph.problem.balance_problem import BalanceProblem


def scaled_weights(problem: BalanceProblem, log_scales: Array, dead: Mask | None = None) -> NDArray[Any]:
    """Each weight of a problem times the exponential of its log-gain, dead weights zero.

    Edges whose log-gain is zero keep their weight exactly; edges of one shared parameter get equal weights. Single
    precision stays single precision.

    Raises
    ------
    UnsupportedError
        If a weight would become infinite or zero: then the network would no longer compute the same.
    """
    at, weight, log_gains = problem.manifold, problem.weight, problem.log_gains(log_scales)
    if at.shared is not None:
        log_gains = log_gains[first_of_label(at.shared)]
    if at.fixed is not None:
        log_gains = np.where(at.fixed, 0.0, log_gains)
    kind = weight.dtype if weight.dtype.kind == "f" else np.dtype(np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        new = times_exp(weight, log_gains).astype(kind, copy=False)
    new[weight == 0.0] = 0.0  # whatever their factor
    lost = (weight != 0.0) & ((new == 0.0) | ~np.isfinite(new))
    if dead is not None:
        lost &= ~dead
        new[dead] = 0.0
    if lost.any():
        k = int(np.argmax(lost))
        (edge,) = at.names_of(np.array([k]))
        message = (
            f"edge {edge!r}: the weight {float(weight[k])!r} times exp({log_gains[k]:.6g}) leaves the range "
            "of floats; scale by less, or keep the log-scales: solve(compile_graph(G, ...)) gives them at any range"
        )
        raise UnsupportedError(message)
    return new
