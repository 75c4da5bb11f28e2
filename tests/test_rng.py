"""Sources of random numbers: seeds, generators of numpy, old and new, or None, wherever an ``rng`` is taken.

Rooms: networks, solvers, theory.
"""

from __future__ import annotations

import numpy as np
import pytest

import balance_graph as bg
from balance_graph.theory.osborne import gibbs_kernel
from balance_graph.theory.rates import predicted_rate


def weights(G):
    return [w for *_, w in G.edges(data="weight")]


TAKERS = {
    "layered": lambda rng: weights(bg.networks.layered([2, 3, 1], rng=rng)),
    "random_dag": lambda rng: weights(bg.networks.random_dag(hidden=4, rng=rng)),
    "convolutional": lambda rng: weights(bg.networks.convolutional(size=4, channels=(1, 2), rng=rng)),
    "residual": lambda rng: weights(bg.networks.residual(blocks=1, rng=rng)),
    "stochastic": lambda rng: (
        bg.solve(
            bg.compile_graph(bg.networks.layered([3, 4, 2], rng=0)), bg.StochasticSolver(rng=rng, max_sweeps=2)
        ).history.log_cost
    ),
    "verify": lambda rng: [bg.verify(bg.networks.chain(2, rng=0), statements=[2], rng=rng)[2].residual],
    "gibbs_kernel": lambda rng: gibbs_kernel(4, rng=rng).ravel().tolist(),
    "rate": lambda rng: [
        predicted_rate(bg.compile_graph(bg.networks.chain(3, rng=0)), order="random", average="mean", rng=rng)
    ],
}


@pytest.mark.parametrize("name", TAKERS)
def test_every_source_repeats(name):
    take = TAKERS[name]
    for source in (lambda: 3, lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)):
        assert take(source()) == take(source())
    take(None)


def test_a_random_state_goes_on():
    state = np.random.RandomState(3)
    first, second = (TAKERS["layered"](state) for _ in range(2))
    assert first != second


@pytest.mark.parametrize("rng", [-1, True, 0.5, "seed", np.random])
@pytest.mark.parametrize("name", ["layered", "stochastic", "verify"])
def test_what_is_no_source_is_refused(name, rng):
    with pytest.raises(
        bg.InvalidParameterError, match="rng must be a non-negative int, a numpy Generator or RandomState"
    ):
        TAKERS[name](rng)
