"""Sparse linear algebra over edge lists: factorizations, conjugate gradients, multigrid. Knows nothing of balance."""
