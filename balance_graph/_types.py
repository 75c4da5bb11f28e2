"""Names for the array types of the package."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.integer[Any]]
Mask: TypeAlias = NDArray[np.bool_]
# A scipy sparse array; the stubs' own generic types do not survive arithmetic.
Sparse: TypeAlias = Any

# Names that people type, for editors to complete and type checkers to check.
SolverName: TypeAlias = Literal["auto", "cvxpy", "newton", "stochastic", "flow"]
OnUnattained: TypeAlias = Literal["raise", "prune"]
Form: TypeAlias = Literal["nodes", "cycles", "paths"]
Order: TypeAlias = Literal["random", "shuffled", "cyclic", "greedy", "colored"]
Engine: TypeAlias = Literal["auto", "rows", "edges"]
