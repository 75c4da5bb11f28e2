"""Flexible GMRES: a Krylov method that allows a preconditioner that is not linear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from balance_graph._types import Array

Operator = Callable[[Array], Array]


def flexible_gmres(
    operator: Operator,
    right: Array,
    precondition: Operator,
    *,
    tol: float,
    max_steps: int,
    patience: Callable[[int, float, float], bool] = lambda *_: False,
) -> tuple[Array, int, float]:
    """Approximate solution of ``operator(x) = right`` in at most `max_steps` steps, without restart.

    Saad, *A flexible inner-outer preconditioned GMRES algorithm*, SIAM J. Sci. Comput. 14, 1993. Stops when the
    residual's 2-norm is at most `tol` times that of `right`, or when ``patience(steps, residual, tol)`` says that going
    on is not worth it.

    Returns
    -------
    solution : array
    steps : int
    residual : float
        Relative to `right`.
    """
    size = float(np.linalg.norm(right))
    if size == 0.0:
        return np.zeros_like(right), 0, 0.0
    basis = [right / size]
    search: list[Array] = []
    columns: list[Array] = []
    for step in range(1, max_steps + 1):
        search.append(precondition(basis[-1]))
        new = operator(search[-1])
        coefficients = np.zeros(step + 1)
        for k, vector in enumerate(basis):  # modified Gram-Schmidt
            coefficients[k] = new @ vector
            new = new - coefficients[k] * vector
        coefficients[step] = np.linalg.norm(new)
        columns.append(coefficients)
        hessenberg = np.zeros((step + 1, step))
        for k, column in enumerate(columns):
            hessenberg[: column.size, k] = column
        target = np.zeros(step + 1)
        target[0] = size
        weights = np.linalg.lstsq(hessenberg, target, rcond=None)[0]
        residual = float(np.linalg.norm(target - hessenberg @ weights)) / size
        if residual <= tol or coefficients[step] == 0.0 or patience(step, residual, tol):
            break
        basis.append(new / coefficients[step])
    solution = np.zeros_like(right)
    for weight, vector in zip(weights, search, strict=True):
        solution += weight * vector
    return solution, step, residual


def conjugate_gradients(
    product: Operator,
    right: Array,
    precondition: Operator,
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

    x, residual = np.zeros_like(right), right.copy()
    search = precondition(residual).copy()  # it is changed in place
    first = energy = residual @ search
    step, size = 0, float(np.abs(residual / weight).max(initial=0.0))
    while step < max_steps:
        step += 1
        image = product(search)
        curvature = search @ image
        if not curvature > 0.0:
            break
        length = energy / curvature
        size = float(kernels.advance(x, search, residual, image, length, weight))
        if size <= tol:
            break
        preconditioned = precondition(residual)
        # Polak and Ribiere's form: what the preconditioner changes from step to step is taken out. The residual has
        # changed by -length * image.
        before, (along, energy) = energy, kernels.dots(image, residual, preconditioned)
        kernels.turn(search, preconditioned, -length * along / before)
        if not energy > 0.0 or patience(float(np.sqrt(energy / first))):
            break
    return x, step, size
