"""The names that editors complete are the names that the library takes.

Rooms: graph, solvers.
"""

from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest

import balance_graph as bg
from balance_graph import _types
from balance_graph.theory import rates

G = bg.networks.chain(2, rng=0)
TAKERS = {
    "SolverName": lambda name: bg.balance(G, solver=name),
    "OnUnattained": lambda name: bg.balance(G, on_unattained=name),
    "Form": lambda name: (bg.convex_problem(G, form=name), bg.CvxpySolver(form=name)),
    "Order": lambda name: bg.StochasticSolver(order=name),
    "Engine": lambda name: bg.NewtonSolver(engine=name),
}


@pytest.mark.parametrize("kind", TAKERS)
def test_each_name_is_taken_and_no_other(kind):
    for name in get_args(getattr(_types, kind)):
        TAKERS[kind](name)
    with pytest.raises(bg.InvalidParameterError) as refusal:
        TAKERS[kind]("something else")
    assert all(name in str(refusal.value) for name in get_args(getattr(_types, kind)))


def test_averages():
    assert get_args(rates.Average) == rates.AVERAGES


def test_balance_matrix_says_what_it_returns():
    assert bg.MatrixBalance in get_args(get_type_hints(bg.balance_matrix)["return"])
    A = np.array([[0.0, 4.0], [1.0, 0.0]])
    assert isinstance(bg.balance_matrix(A), bg.MatrixBalance)
    assert isinstance(bg.balance_matrix(A, return_scales=False), np.ndarray)
