"""Conjugate gradients that allow a preconditioner that is not linear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from balance_graph._types import Array

# A product that is this share of its terms, or less, is nothing but rounding.
_ROUNDING = float(np.finfo(float).eps)

Operator = Callable[[Array], Array]
# An approximate solution, and the product with it where that is known from the way there.
Precondition = Callable[[Array], tuple[Array, Array | None]]


def conjugate_gradients(
    product: Operator,
    right: Array,
    precondition: Precondition,
    *,
    weight: Array,
    tol: float,
    max_steps: int,
    patience: Callable[[float], bool] = lambda _: False,
) -> tuple[Array, int, float]:
    """Approximate solution of ``product(x) = right`` for a symmetric positive definite product.

    The flexible method of Notay, SIAM J. Sci. Comput. 22, 2000: the preconditioner need not be linear. Stops when
    ``max |residual| / weight`` is at most `tol`, or when ``patience(reduction)``, told each step how far
    the residual has come down in the norm of the preconditioner, says that going on is not worth it, or where rounding
    has used up what the product can tell.

    Returns
    -------
    solution : array
    steps : int
    residual : float
        In the weighted maximum norm.
    """
    from balance_graph import _krylov_kernels as kernels  # compiled: slow to load

    x, residual, scale = np.zeros_like(right), right.copy(), 1.0 / weight
    search, image, share = np.zeros_like(right), np.zeros_like(right), 0.0
    new, image_of_new = precondition(residual)
    first = energy = residual @ new
    step, size = 0, float(np.abs(residual * scale).max(initial=0.0))
    while step < max_steps:
        step += 1
        kernels.turn(search, new, share)
        if image_of_new is None:
            image = product(search)
        else:
            kernels.turn(image, image_of_new, share)
        curvature, within_terms = kernels.curvature(search, image, weight)
        if not curvature > _ROUNDING * within_terms:
            break
        length = energy / curvature
        size = float(kernels.advance(x, search, residual, image, length, scale))
        if size <= tol:
            break
        new, image_of_new = precondition(residual)
        # Polak and Ribiere's form: what the preconditioner changes from step to step is taken out. The residual has
        # changed by -length * image.
        before, (along, energy) = energy, kernels.dots(image, residual, new)
        share = -length * along / before
        if not energy > 0.0 or patience(float(np.sqrt(energy) / np.sqrt(first))):
            break
    return x, step, size
