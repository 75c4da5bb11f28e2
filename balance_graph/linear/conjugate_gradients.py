"""Conjugate gradients that allow a preconditioner that is not linear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from balance_graph._types import Array

# A product that is this share of its terms, or less, is nothing but rounding.
_ROUNDING = float(np.finfo(float).eps)

# Writes the product with its first argument into the second.
Operator = Callable[[Array, Array], object]
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
    """Approximate solution of ``H x = right`` for a symmetric positive definite H; what is left overwrites `right`.

    The flexible method FCG(1) of Notay, SIAM J. Sci. Comput. 22, 2000: the preconditioner need not be linear. It stops
    when ``max |residual| / weight`` is at most `tol`; when ``patience(reduction)``, told each step how far the residual
    has come down in the norm of the preconditioner, says that going on is not worth it; or where rounding has used up
    what the product can tell.

    Parameters
    ----------
    product : callable
        ``product(x, out)`` writes ``H x`` into `out`.
    right : array
        Overwritten.
    precondition : callable
        ``precondition(residual)`` is an approximate solution, and the product with it, or None if that is not known.
    weight : array
    tol : float
    max_steps : int
    patience : callable

    Returns
    -------
    solution : array
    steps : int
    residual : float
        In the weighted maximum norm.
    """
    from balance_graph.linear import _conjugate_gradient_kernels as kernels  # compiled: slow to load

    residual, share = right, 0.0
    x, search, image = np.zeros_like(right), np.zeros_like(right), np.zeros_like(right)
    step, size = 0, float(np.abs(residual / weight).max(initial=0.0))
    new, image_of_new = precondition(residual)
    first = energy = kernels.dots(image, residual, new)[1]
    # Else rounding has left nothing that leads downhill, or the preconditioner has left the range of floats.
    while step < max_steps and 0.0 < energy < np.inf:
        step += 1
        # The new direction, made conjugate to the last one, and its image.
        kernels.turn(search, new, share)
        if image_of_new is None:
            product(search, image)
        else:
            kernels.turn(image, image_of_new, share)
        del new, image_of_new  # before the next ones are made
        curvature, within_terms = kernels.curvature(search, image, weight)
        if not curvature > _ROUNDING * within_terms:
            break
        # The step that minimizes along it.
        length = energy / curvature
        size = float(kernels.advance(x, search, residual, image, length, weight))
        if size <= tol:
            break
        new, image_of_new = precondition(residual)
        # Polak and Ribiere's form: what the preconditioner changes from step to step is taken out. The residual has
        # changed by -length * image.
        before, (along, energy) = energy, kernels.dots(image, residual, new)
        share = -length * along / before
        if energy > 0.0 and patience(float(np.sqrt(energy) / np.sqrt(first))):
            break
    return x, step, size
