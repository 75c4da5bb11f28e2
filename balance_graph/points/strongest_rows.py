"""A basis of shifts for rows of any number of entries: each changes one of the strongest independent rows alone.

Taken greedily, strongest first, rows that are independent of those before them are a basis of greatest weight, as the
links of a maximum spanning tree are. Every other row depends on stronger ones only. So a shift that changes one row of
the basis, and no other of them, changes nothing stronger than that row: what its balance asks for is not hidden behind
larger flows, and in the basis of these shifts the Hessian of the cost is known to all digits, whatever the range of
the flows. Where rows are links, these are the nested sets of `balance_graph.points.nested_sets`; here nothing is known
of the rows, and systems are small.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from balance_graph._time_limit import Deadline
from balance_graph._types import Array, Sparse
from balance_graph.points.clusters import in_basis
from balance_graph.problem.elimination import ZERO, clean, independent_numbers
from balance_graph.problem.quotient import Quotient
from balance_graph.problem.rows import PowerRows

# Unknowns up to which the basis is found again for every sweep: elimination and an inverse each time.
_MOST = 200


def strongest_shifts(matrix: Sparse, log_slopes: Array) -> Sparse | None:
    """A basis of the unknowns, shape (n, n), strongest rows first.

    None where there are more than 200 unknowns, or rounding leaves no inverse.
    """
    if matrix.shape[1] > _MOST:
        return None
    order = np.argsort(-log_slopes, kind="stable")
    strongest = matrix[order[independent_numbers(sparse.csr_array(matrix[order]))]].toarray()
    try:
        shifts = np.linalg.inv(strongest)
    except np.linalg.LinAlgError:
        return None
    is_inverse = np.abs(strongest @ shifts - np.eye(matrix.shape[1])).max(initial=0.0) <= ZERO
    return clean(shifts) if is_inverse else None


class StrongestRows:
    """The shifts of a quotient whose rows are powers; see the module's text.

    Parameters
    ----------
    quotient : Quotient
        One that `suits`.

    Attributes
    ----------
    are_many : bool
        Never: factorizations are cheap.
    sweeps : int
        So far.
    """

    name = "shifts of the strongest rows"
    are_many = False

    def __init__(self, quotient: Quotient) -> None:
        self._quotient, self.sweeps = quotient, 0

    @staticmethod
    def suits(quotient: Quotient) -> bool:
        """Whether rows are powers, and unknowns few."""
        return 0 < quotient.size <= _MOST and isinstance(quotient.rows, PowerRows)

    def basis(self, log_slopes: Array) -> Sparse | None:
        """See `strongest_shifts`."""
        return strongest_shifts(self._quotient.matrix, log_slopes)

    def balanced(self, displacement: Array, most: int, near: float, deadline: Deadline | None = None) -> Array:
        """The displacement after local sweeps, at most so many, or until no imbalance exceeds `near` any more."""
        displacement = displacement.copy()
        for _ in range(most):
            if deadline is not None and deadline.is_past:
                break
            self.sweeps += 1
            log_slopes, ratio = self._quotient.log_slopes(displacement)
            basis = self.basis(log_slopes)
            if basis is None or self._balance(basis, log_slopes, ratio, displacement) <= near:
                break
        return displacement

    def _balance(self, basis: Sparse, log_flow: Array, rate: Array, displacement: Array) -> float:
        """Balance every unknown, then every shift, in place; the largest ``|log in - log out|`` that was met.

        Each moves by the imbalance over the fastest changes of its in- and its out-flow: all the way where all flows
        change alike, and never too far, so each move lowers the cost.
        """
        shifts = sparse.csc_array(sparse.hstack([sparse.eye_array(displacement.size), basis]))
        at = sparse.csc_array(in_basis(self._quotient.matrix, shifts))
        largest = 0.0
        for begin, end, first, last in zip(at.indptr, at.indptr[1:], shifts.indptr, shifts.indptr[1:], strict=False):
            row, value = at.indices[begin:end], at.data[begin:end]
            flow, speed = log_flow[row] + np.log(np.abs(value)), rate[row] * np.abs(value)
            enters = value > 0.0
            if enters.all() or not enters.any():
                continue
            log_in, log_out = np.logaddexp.reduce(flow[enters]), np.logaddexp.reduce(flow[~enters])
            largest = max(largest, abs(log_in - log_out))
            move = (log_out - log_in) / (speed[enters].max() + speed[~enters].max())
            displacement[shifts.indices[first:last]] += move * shifts.data[first:last]
            log_flow[row] += move * rate[row] * value
        return largest if math.isfinite(largest) else math.inf
