"""Named, seeded families of networks, as functions of the number of edges.

Built as CSR matrices with 32-bit indices, layers without a detour, so that 10^8 edges cost 8 bytes each with weights
in single precision. No family has self-loops: of degree 1 they change nothing, others would be a family of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

import balance_graph as bg

Rng = np.random.Generator
# Ratios of random scales span this many powers of ten either way, which leaves a third of the range of floats.
_DECADES = 200.0
_CHANNEL = 8  # units that share a scale
_SHARE = 0.2  # of units of degree 2; the flow doubles at each, so that deep networks of them alone leave the floats


@dataclass(frozen=True)
class Network:
    """A matrix ``W[u, v]`` of weights with what `BalanceProblem.from_sparse` wants to know besides."""

    W: Any
    pinned: np.ndarray
    degree: np.ndarray | float = 1.0
    groups: np.ndarray | None = None

    def problem(self) -> bg.BalanceProblem:
        return bg.BalanceProblem.from_sparse(self.W, pinned=self.pinned, degree=self.degree, groups=self.groups)

    def without(self, pairs: Any) -> Network:
        """The network with the weights of some edges, given as pairs of nodes, set to zero."""
        if not len(pairs):
            return self
        W = self.W
        rows = ((W.indptr[u], W.indices[W.indptr[u] : W.indptr[u + 1]], v) for u, v in pairs)
        data = W.data.copy()
        data[[start + np.searchsorted(heads, v) for start, heads, v in rows]] = 0.0
        return replace(self, W=_csr(data, W.indices, W.indptr))

    def with_weights(self, weights: np.ndarray) -> Network:
        """The same edges with other weights, in the order of the matrix."""
        return replace(self, W=_csr(weights, self.W.indices, self.W.indptr))

    @property
    def degrees(self) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.degree, dtype=float), self.pinned.shape)


@dataclass(frozen=True)
class Family:
    """A name, a builder (edges, rng, type of weights) and the smallest number of edges that makes sense."""

    name: str
    build: Callable[[int, Rng, Any], Network]
    least: int = 100

    def network(self, edges: int, *, seed: int = 0, dtype: str = "float64", rescaled: bool = False) -> Network:
        network = self.build(edges, np.random.default_rng(seed), np.dtype(dtype))
        return rescale(network, np.random.default_rng(seed + 1)) if rescaled else network


def rescale(network: Network, rng: Rng) -> Network:
    """The same network behind random scales: ``W[u, v] * s_v / s_u**c`` with log-uniform s, and so the same answer.

    With degree 1 everywhere the scales reach from 1e-100 to 1e100; with degree 2 from 1e-66 to 1e66, since their
    squares enter.
    """
    span = _DECADES / (1.0 + network.degrees.max())
    scale = rng.uniform(-span, span, network.pinned.size)
    if network.groups is not None:
        tied = network.groups >= 0
        scale[tied] = rng.uniform(-span, span, int(network.groups.max()) + 1)[network.groups[tied]]
    scale[network.pinned] = 0.0
    W = network.W
    gain = scale[W.indices] - np.repeat(network.degrees * scale, np.diff(W.indptr))
    scaled = sparse.csr_array((W.data.astype(float) * 10.0**gain, W.indices, W.indptr), shape=W.shape)
    return replace(network, W=scaled)


def layers(depth: int, width: int, rng: Rng, dtype: Any, reach: int = 1) -> Network:
    """Every unit feeds all units of the next `reach` layers; the first and the last layer are pinned."""
    n, fans = depth * width, np.minimum(reach, np.arange(depth)[::-1]) * width
    edges = int(fans.sum()) * width
    index = np.int32 if max(edges, n) < 2**31 else np.int64
    indptr = np.zeros(n + 1, dtype=index)
    np.cumsum(np.repeat(fans, width), out=indptr[1:])
    heads = [np.broadcast_to(_heads(depth - reach, width, reach, index), (depth - reach, width, reach * width)).ravel()]
    heads += [np.tile(np.arange(n - fan, n, dtype=index), width) for fan in fans[depth - reach : depth - 1].tolist()]
    indices = heads[0] if len(heads) == 1 else np.concatenate(heads)
    return Network(_csr(_normal(edges, rng, dtype), indices, indptr), _ends(n, width))


def _heads(count: int, width: int, reach: int, index: Any) -> np.ndarray:
    """Heads of one unit of each of the first layers, with an axis to repeat them along."""
    first = np.arange(1, count + 1, dtype=index)[:, None, None] * index(width)
    return first + np.arange(reach * width, dtype=index)


def _ends(n: int, width: int) -> np.ndarray:
    pinned = np.zeros(n, dtype=bool)
    pinned[:width] = pinned[-width:] = True
    return pinned


def _normal(size: int, rng: Rng, dtype: Any) -> np.ndarray:
    return rng.standard_normal(size, dtype=dtype)


def _csr(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> Any:
    n = indptr.size - 1
    return sparse.csr_array((data, indices, indptr), shape=(n, n))


def digraph(n: int, edges: int, rng: Rng, weight: np.ndarray) -> Any:
    """Ends drawn uniformly; parallel edges are added up."""
    tail = rng.integers(0, n, edges, dtype=np.int32)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=n))]).astype(np.int32)
    tail.sort()
    indices = (tail + rng.integers(1, n, edges, dtype=np.int32)) % np.int32(n)
    W = _csr(weight, indices, indptr)
    W.sum_duplicates()
    return W


def of_depth(depth: int, reach: int = 1) -> Callable[[int, Rng, Any], Network]:
    """A given number of layers, as wide as the edges allow."""
    pairs = sum(depth - k for k in range(1, reach + 1))
    return lambda edges, rng, dtype: layers(depth, max(1, round((edges / pairs) ** 0.5)), rng, dtype, reach)


def of_width(width: int) -> Callable[[int, Rng, Any], Network]:
    """Layers of a given width, as many as the edges allow."""
    return lambda edges, rng, dtype: layers(max(3, round(edges / width**2) + 1), width, rng, dtype)


def random(edges: int, rng: Rng, dtype: Any) -> Network:
    """Ten edges a node, a tenth of the nodes pinned."""
    n = edges // 10
    return Network(digraph(n, edges, rng, _normal(edges, rng, dtype)), np.arange(n) < n // 10)


def heavy_tailed(edges: int, rng: Rng, dtype: Any) -> Network:
    """As `random`, with log-normal(3) weights."""
    n = edges // 10
    return Network(digraph(n, edges, rng, np.exp(3 * _normal(edges, rng, dtype))), np.arange(n) < n // 10)


def few_inputs(edges: int, rng: Rng, dtype: Any) -> Network:
    """As `random`, with ten nodes pinned whatever the size: a recurrent network whose scales little holds."""
    n = edges // 10
    return Network(digraph(n, edges, rng, _normal(edges, rng, dtype)), np.arange(n) < 10)


def scale_free(edges: int, rng: Rng, dtype: Any) -> Network:
    """Ends drawn with probability proportional to rank^-0.8; one node in twenty pinned."""
    n = edges // 10
    share = np.cumsum(np.arange(1, n + 1) ** -0.8)
    name = rng.permutation(n).astype(np.int32)
    tail, head = (name[np.searchsorted(share, share[-1] * rng.random(edges))] for _ in range(2))
    kept = tail != head
    W = sparse.coo_array((_normal(edges, rng, dtype)[kept], (tail[kept], head[kept])), shape=(n, n)).tocsr()
    return Network(W, rng.random(n) < 0.05)


def grid(edges: int, rng: Rng, dtype: Any) -> Network:
    """A square with edges both ways between neighbors; the first and the last row pinned."""
    side = max(3, round((edges / 4) ** 0.5))
    line = sparse.diags_array([1.0, 1.0], offsets=[-1, 1], shape=(side, side))
    eye = sparse.eye_array(side)
    W = sparse.csr_array(sparse.kron(line, eye) + sparse.kron(eye, line))
    W.sort_indices()
    return Network(_csr(_normal(W.nnz, rng, dtype), W.indices, W.indptr), _ends(side * side, side))


def with_bipu(build: Callable[[int, Rng, Any], Network]) -> Callable[[int, Rng, Any], Network]:
    """A fifth of the nodes has degree 2."""

    def built(edges: int, rng: Rng, dtype: Any) -> Network:
        network = build(edges, rng, dtype)
        return replace(network, degree=np.where(rng.random(network.pinned.size) < _SHARE, 2.0, 1.0))

    return built


def tied(edges: int, rng: Rng, dtype: Any, depth: int = 20) -> Network:
    """Layers whose units are tied in channels of eight."""
    network = of_depth(depth)(edges, rng, dtype)
    n = network.pinned.size
    width = n // depth
    layer, unit = np.divmod(np.arange(n), width)
    channel = layer * -(-width // _CHANNEL) + unit // _CHANNEL
    return replace(network, groups=np.where(network.pinned, -1, channel))


def _deep(depth: int) -> Family:
    return Family(f"{depth} layers", of_depth(depth), least=4 * depth)


FAMILIES = {
    family.name: family
    for family in (
        _deep(20),
        _deep(200),
        _deep(1000),
        _deep(10_000),
        Family("width 10", of_width(10), least=300),
        Family("width 3", of_width(3)),
        Family("random", random),
        Family("heavy-tailed", heavy_tailed),
        Family("scale-free", scale_free, least=1000),
        Family("grid", grid),
        Family("few inputs", few_inputs, least=1000),
        Family("residual", of_depth(50, reach=2), least=400),
        Family("BiPU, layered", with_bipu(of_depth(20))),
        Family("BiPU, random", with_bipu(random)),
        Family("tied channels", tied, least=20 * 256),
    )
}


def family(name: str) -> Family:
    """A family by its name; any depth is a family."""
    depth = name.removesuffix(" layers")
    return FAMILIES[name] if name in FAMILIES else _deep(int(depth))
