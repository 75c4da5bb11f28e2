"""Compiled vector operations of the Krylov methods, several to a pass."""

from __future__ import annotations

from balance_graph._compiled import compiled


@compiled
def advance(x, search, residual, image, length, weight):  # type: ignore[no-untyped-def]
    """``x += length * search; residual -= length * image``, in place; ``max |residual| / weight``."""
    size = 0.0
    for i in range(x.size):
        x[i] += length * search[i]
        residual[i] -= length * image[i]
        size = max(size, abs(residual[i]) / weight[i])
    return size


@compiled
def curvature(search, image, weight):  # type: ignore[no-untyped-def]
    """``search . image``, and the size of the terms that it is the rest of: ``weight * search^2``."""
    total = size = 0.0
    for i in range(search.size):
        total += search[i] * image[i]
        size += weight[i] * search[i] * search[i]
    return total, size


@compiled
def dots(one, other, vector):  # type: ignore[no-untyped-def]
    """Inner products of a vector with two others."""
    first = second = 0.0
    for i in range(vector.size):
        first += one[i] * vector[i]
        second += other[i] * vector[i]
    return first, second


@compiled
def turn(vector, new, share):  # type: ignore[no-untyped-def]
    """``vector = new + share * vector``, in place."""
    for i in range(vector.size):
        vector[i] = new[i] + share * vector[i]
