"""Names for the array types of the package."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.integer[Any]]
Mask: TypeAlias = NDArray[np.bool_]
# A scipy sparse array; the stubs' own generic types do not survive arithmetic.
Sparse: TypeAlias = Any
