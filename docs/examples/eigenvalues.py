r"""
Balancing a sparse matrix before an eigenvalue problem
======================================================

Eigenvalues of a badly scaled matrix come out wrong, and nothing warns you. Balancing first, :math:`B = D A D^{-1}` with
a diagonal :math:`D`, keeps them and removes the bad scaling. SciPy does it for dense matrices, in powers of two; this
library does it for sparse ones, and exactly.

The matrix is that of a fluid which carries heat along a line while the heat spreads: convection and diffusion, by
finite differences on 300 points. Downstream counts more than upstream, so entries above and below the diagonal differ.
Its eigenvalues are known: :math:`-2 + 2\sqrt{1 - q^2}\cos(k\pi/301)`, with :math:`q = 0.9`. All are real.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigs

import balance_graph as bg

n, q = 300, 0.9
A = sparse.diags_array(
    [1 + q, -2.0, 1 - q], offsets=[-1, 0, 1], shape=(n, n)
).tocsc()
exact = -2 + 2 * np.sqrt(1 - q**2) * np.cos(np.arange(1, n + 1) * np.pi / (n + 1))

# %%
# Without balancing
# -----------------

as_given = np.linalg.eigvals(np.asfortranarray(A.toarray()))
print("imaginary parts up to", np.abs(as_given.imag).max())

# %%
# LAPACK does balance in ``eigvals``, row by row and only where that pays at once. Here it stops too early: inside the
# line each row has the norm of its column already, only the two ends do not. Exact balance takes the first and the last
# point apart by a factor of

B, scales = bg.balance_matrix(A)
print(f"{scales.max() / scales.min():.3g}")

# %%
# With exact balance
# ------------------
#
# ``B`` is sparse as ``A`` is, with the same eigenvalues. In fact it is symmetric here, which is why they are all real.

print("B - B.T at most", abs(B - B.T).max())
balanced = np.linalg.eigvals(B.toarray())
print("eigenvalues off by", np.abs(np.sort(balanced.real) - np.sort(exact)).max())

# %%
# Sparse solvers gain as well: the four eigenvalues nearest zero, by shift and invert,

for name, M in (("as given", A), ("balanced", B)):
    nearest = eigs(M, k=4, sigma=0.0, v0=np.ones(n), return_eigenvectors=False)
    error = np.abs(nearest[:, None] - exact).min(axis=1).max()
    print(f"{name}: off by {error:.1e}")

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, values, name in zip(
    axes, (as_given, balanced), ("as given", "balanced"), strict=True
):
    ax.plot(exact, 0 * exact, "|", color="black", markersize=14, label="exact")
    ax.plot(values.real, values.imag, ".", color="#D55E00", label="computed")
    ax.set(
        xlabel="real part", ylabel="imaginary part", title=name, ylim=(-1.5, 1.5)
    )
axes[0].legend()
