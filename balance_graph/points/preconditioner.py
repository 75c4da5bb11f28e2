"""The preconditioner that suits a network: its diagonal, a factorization in a band, or multigrid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from balance_graph._types import Array, Index
from balance_graph.linear.band import Band, SolveBeside
from balance_graph.linear.conjugate_gradients import Precondition
from balance_graph.linear.factorization import Solve
from balance_graph.linear.laplacian import Laplacian
from balance_graph.linear.multigrid import Multigrid
from balance_graph.points.edges import EdgeFlows
from balance_graph.problem.live_pattern import LivePattern

One = TypeVar("One")

# Plain steps after which their number is predicted, where a factorization in a band or multigrid could take over; and
# the number from which those cost less.
_BAND_TRIAL, _BAND_PAYS = 8, 25
_MULTIGRID_TRIAL, _MULTIGRID_PAYS = 6, 200
# Multiplications per edge up to which a factorization in a band is cheap, and up to which a new one for each direction
# costs less than the steps it saves.
_NARROW, _VERY_NARROW = 1000.0, 20.0
# A preconditioner set up at an imbalance this many times the present one, and over 0.1, is renewed once it needs more
# steps than this: a factorization, or aggregates.
_STALE, _FAR, _STALE_STEPS, _STALE_AGGREGATES = 3.0, 0.1, 7, 20
# Flows hardly change any more once their imbalance is below this.
_SETTLED = 0.03
# Multigrid set up at a larger imbalance is preceded by local sweeps of aggregates.
_UNBALANCED = 0.3
# Share of all flows that the ground exchanges, below which it hardly holds the common scale of all unknowns.
_LOOSE = 0.01
# Local sweeps on each level of aggregates, and on the coarsest.
_LEVEL_SWEEPS, _COARSEST_SWEEPS = 2, 30


class Preconditioner:
    """An approximate inverse of the Hessian of flows: the diagonal, until something better is set up.

    What moves whole levels of unknowns, those as far from the ground as each other, is slow to show in single unknowns:
    the solution of the network of levels is added to that with the diagonal.

    Parameters
    ----------
    flows : EdgeFlows
    pattern : LivePattern
        Of the same network; orders of its unknowns are kept with it.

    Attributes
    ----------
    name : str
        What is in use, in words.
    has_rough_aggregates : bool
        Whether multigrid was set up far from balance, and its aggregates are still to be balanced.
    """

    def __init__(self, flows: EdgeFlows, pattern: LivePattern) -> None:
        self._flows, self._kept = flows, pattern.kept
        level = pattern.from_ground[:-1]
        self._band = self._found("band as given", lambda: Band.as_given(flows.outward, _NARROW * flows.n_edges))
        self._levels = self._found("levels", lambda: Band.of_levels(flows.outward, level))
        # No order of the unknowns has a much narrower band than that by levels.
        per_level = flows.size / float(level.max())
        self._may_be_narrow = flows.size * per_level**2 <= _NARROW * flows.n_edges
        self._better: Solve | Multigrid | None = None
        self._laplacian: Laplacian | None = None
        self._solve_levels: SolveBeside | None = None
        self._levels_at = np.inf
        self._set_up_at = np.inf
        self.has_rough_aggregates = False
        self.name = "diagonal preconditioner"
        if self._levels.size > 1:
            self.name += f" and {self._levels.size} levels"

    def _found(self, name: str, find: Callable[[], One]) -> One:
        """What is kept with the pattern, found now if it is not known yet."""
        if name not in self._kept:
            self._kept[name] = find()
        found: One = self._kept[name]
        return found

    def here(self, diagonal: Array, imbalance: float) -> Precondition:
        """The approximate inverse at the present flows, whose Hessian has the given diagonal, and their imbalance."""
        if isinstance(self._better, Multigrid):
            self._better.update(self._laplacian_here())
            return self._better
        if self._better is not None:
            solve = self._better
            return lambda residual: (solve(residual), None)
        if self._levels_at > _SETTLED:
            self._solve_levels, self._levels_at = self._set_up_levels(diagonal), imbalance
        solve_levels = self._solve_levels
        if solve_levels is None:
            return lambda residual: (residual / diagonal, None)
        return lambda residual: (solve_levels(residual, diagonal), None)

    def _set_up_levels(self, diagonal: Array) -> SolveBeside | None:
        flows = self._flows
        if self._levels.size == 1 and flows.into[-1] + flows.out_of[-1] > _LOOSE * diagonal.sum():
            return None
        try:
            return self._levels.beside_diagonal(flows.outward, flows.degree)
        except ArithmeticError:  # the flows between levels drown in those within
            return None

    def _laplacian_here(self) -> Laplacian:
        self._laplacian = self._flows.laplacian(self._laplacian)
        return self._laplacian

    @property
    def is_plain(self) -> bool:
        """Whether it is the diagonal still."""
        return self._better is None

    def is_slow(self, reductions: list[float], remaining: float) -> bool:
        """Whether something better would pay, for what plain steps have reached and have yet to reach, as factors."""
        narrow = self._band is not None
        trial, pays = (_BAND_TRIAL, _BAND_PAYS) if narrow else (_MULTIGRID_TRIAL, _MULTIGRID_PAYS)
        steps = len(reductions) - 1
        if self._better is not None or steps < trial:
            return False
        # The first steps settle what few modes are slow; the rate is that of the later half.
        half = steps // 2
        rate = np.log(min(reductions[-1] / reductions[half], 0.999)) / (steps - half)
        return bool(np.log(remaining) / rate > pays)

    def is_due(self, imbalance: float, last_steps: int) -> bool:
        """Whether it is to be set up: cheaper than a few steps without, or set up far from here, which shows."""
        if self._band is not None and self._band.operations <= _VERY_NARROW * self._flows.n_edges:
            return True
        if self.is_plain:
            return False
        steps = _STALE_AGGREGATES if isinstance(self._better, Multigrid) else _STALE_STEPS
        return self._set_up_at > max(_FAR, _STALE * imbalance) and last_steps > steps

    def set_up(self, imbalance: float) -> None:
        """Set up what suits the network, at the present imbalance."""
        self._set_up_at, flows = imbalance, self._flows
        if self.is_plain and self._band is None and self._may_be_narrow:
            self._band = self._found("band", lambda: Band.reordered(flows.outward, _NARROW * flows.n_edges))
        self._better = None  # two at a time would be the peak of memory
        if self._band is not None:
            self._better = self._band.factorized(flows.outward, flows.degree)
            self.name = f"Cholesky factorization in a band of {self._band.width}"
            return
        self._better = multigrid = Multigrid(self._laplacian_here())
        self.name = f"multigrid over {' > '.join(map(str, multigrid.sizes))} unknowns"
        self.has_rough_aggregates = bool(imbalance > _UNBALANCED and np.all(flows.degree == 1.0))

    def balance_aggregates(self) -> bool:
        """Balance the aggregates where multigrid was set up far from balance, once; whether it was."""
        if not (self.has_rough_aggregates and isinstance(self._better, Multigrid)):
            return False
        self.has_rough_aggregates = False
        _balance_aggregates(self._flows, self._better.aggregates)
        return True


def _balance_aggregates(flows: EdgeFlows, aggregates: list[Index]) -> None:
    """Local sweeps over aggregates of unknowns, from the finest level to the coarsest and back: all lower the cost.

    A cluster that is weakly attached must move by far more than the imbalances of its unknowns show, which Newton's
    method on the unknowns finds out only by and by. As one unknown of the network of aggregates it moves at once.
    """
    if not aggregates:
        flows.sweep(_COARSEST_SWEEPS, 1.01)
        return
    flows.sweep(_LEVEL_SWEEPS, 1.01)
    coarse = flows.aggregated(aggregates[0], int(aggregates[0].max()) + 1)
    _balance_aggregates(coarse, aggregates[1:])
    flows.move(coarse.log_scales[aggregates[0]])
    flows.sweep(_LEVEL_SWEEPS, 1.01)
