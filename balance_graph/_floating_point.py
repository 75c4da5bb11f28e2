"""NumPy's rules for floating-point errors within this package, whatever the caller has set with `numpy.errstate`."""

from __future__ import annotations

import numpy as np

# A decorator for public functions: NumPy's own default. Small terms of sums underflow all the time, and rightly; any
# other floating-point error that nobody expects would be a fault of ours, and the tests make its warning an error.
own_rules = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
