"""Recession: along which directions d of the unknowns no row of A grows, and which rows fall.

A row is *dead* when some d with ``A d <= 0`` makes it negative. One direction makes all dead rows negative at once,
for directions can be added. A alone decides, whatever its entries are; four steps, each of which keeps the answer:

1. *Cycles.* A row with entries a > 0 and -b < 0 says ``d_i <= (b / a) d_j``: an edge j -> i, and -i -> -j for the
   negatives, which are vertices of their own. With two entries of one sign it says ``d_i <= -(b / a) d_j``: edges
   -j -> i and -i -> j. A row with one entry is an edge from (+) or to (-) the *ground*, whose d is 0. Around a cycle
   whose gains multiply to 1 these inequalities are equalities, and so they are through the ground, or through some k
   and -k. So a strongly connected component moves as one unknown, and that of the ground not at all. Rows of three
   entries or more take directions away, and cannot bring back any: what these rows force holds for the whole matrix.
2. *Signs.* Where all terms of a row but one are known to be non-negative, that one is not positive, for the sum is not.
   The signs of unknowns spread from row to row; an unknown that can neither rise nor fall joins the ground. (On edges
   alone this finds what the ground holds again.)
3. *One-sided unknowns.* If the entries of a column have one sign, a large move of its unknown makes all their rows
   negative, whatever the others do: those rows are dead, and the answer for the rest is that without them. An acyclic
   graph dissolves completely.
4. What is left (cycles whose gains do not multiply to 1, longer rows that the above does not reach) is decided exactly,
   connected part by connected part: `balance_graph.problem.stiemke`.

Steps 1 and 2 are repeated while they find something: what is merged can turn other rows into edges. After them step 3
only takes rows away, and so cannot give them anything new.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.problem import stiemke
from balance_graph.problem.elimination import ZERO, consistent_ratios

# A row falls by this share of its terms, lest the fall be lost in their rounding: far above 2^-52, and so little that
# moves stay integers where entries are, up to its inverse.
_CLEAR = 2.0**-20


_Entries: TypeAlias = list[list[tuple[int, float]]]


class Recession(NamedTuple):
    """The dead rows of a matrix, and how they fall.

    Attributes
    ----------
    dead : (n_rows,) boolean array
        The rows that some direction makes negative while no row grows.
    direction : (n_unknowns,) array
        A direction that makes exactly the dead rows negative; zero if there are none.
    moving : (n_unknowns,) boolean array
        The unknowns that the direction moves, or that move together with one in a dead row that is not held.
    """

    dead: Mask
    direction: Array
    moving: Mask


def find_recession(matrix: Sparse) -> Recession:
    """The dead rows of A (sparse, in CSR form without stored zeros), and a direction along which they fall."""
    merging, quotient = _contracted(matrix)
    rows = np.flatnonzero(np.diff(quotient.indptr))
    dead = np.zeros(matrix.shape[0], dtype=bool)
    dead[rows], direction, held = _fallen(quotient[rows])
    moving = direction != 0.0
    moving[quotient[np.flatnonzero(dead)].indices] = True
    return Recession(dead, merging.expanded(direction), merging.expanded(moving & ~held) != 0.0)


# --- cycles and signs -----------------------------------------------------------------------------------------------


class _Merging(NamedTuple):
    """Which of so many new unknowns each unknown moves with, -1 for the ground, and in what ratio."""

    column: Index
    ratio: Array
    size: int

    def expanded(self, values: NDArray[Any]) -> Array:
        """Values of the unknowns from those of the new ones."""
        result: Array = self.ratio * np.append(values, 0.0)[self.column]
        return result

    def then(self, later: _Merging) -> _Merging:
        """Both, one after the other."""
        column = np.append(later.column, -1)[self.column]
        return _Merging(column, self.ratio * np.append(later.ratio, 0.0)[self.column], later.size)

    def applied(self, matrix: Sparse) -> Sparse:
        """``A Z`` for the new unknowns; what is rounding of an exact zero is left out."""
        column = self.column[matrix.indices]
        kept = column >= 0
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[kept]
        values = (matrix.data * self.ratio[matrix.indices])[kept]
        place, number = np.unique(row * self.size + column[kept], return_inverse=True)
        sums, sizes = np.bincount(number, values), np.bincount(number, np.abs(values))
        kept = np.abs(sums) > ZERO * sizes
        entries = (sums[kept], np.divmod(place[kept], max(self.size, 1)))
        return sparse.csr_array(entries, shape=(matrix.shape[0], self.size))


def _contracted(matrix: Sparse) -> tuple[_Merging, Sparse]:
    """The directions that cycles and signs leave, and A for those."""
    k = matrix.shape[1]
    merging = _Merging(np.arange(k), np.ones(k), k)
    while (step := _merged(matrix)).size < matrix.shape[1]:
        merging, matrix = merging.then(step), step.applied(matrix)
    return merging, matrix


def _merged(matrix: Sparse) -> _Merging:
    """What cycles and signs merge at once."""
    k = matrix.shape[1]
    lengths = np.diff(matrix.indptr)
    cycles = _Cycles(matrix, lengths)
    up, down, ground = cycles.component[:k], cycles.component[k:-1], cycles.component[-1]
    # Each component has a mirror image; the one with the smaller number stands for both.
    mirrored = down < up
    ratio = np.where(mirrored, -cycles.ratio[k:-1], cycles.ratio[:k])
    loose = np.isnan(ratio)
    still = (up == ground) | ((up == down) & ~loose)
    if not still.all() and np.any(lengths > 2):
        still |= _stopped_by_signs(matrix)
    # An unknown of a component that does not move as one keeps a number of its own.
    label = np.where(loose, 2 * k + 1 + np.arange(k), np.minimum(up, down))
    numbers, number = np.unique(label[~still], return_inverse=True)
    column = np.full(k, -1)
    column[~still] = number
    return _Merging(column, np.where(loose, 1.0, ratio), numbers.size)


class _Cycles:
    """The strongly connected components of the rows of one or two entries, and how their vertices move together.

    Vertices are the unknowns, their negatives, and the ground. The ratio is NaN where gains contradict each other.
    """

    def __init__(self, matrix: Sparse, lengths: Index) -> None:
        from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

        k = matrix.shape[1]
        tail, head, gain = self._edges(matrix, lengths)
        links = sparse.coo_array((np.ones(head.size), (tail, head)), shape=(2 * k + 1, 2 * k + 1)).tocsr()
        self.component: Index
        count, self.component = csgraph.connected_components(links, directed=True, connection="strong")
        inner = self.component[tail] == self.component[head]
        moving = np.arange(count) != self.component[-1]
        self.ratio, loose = consistent_ratios(self.component, tail[inner], head[inner], gain[inner], moving)
        self.ratio[loose[self.component]] = np.nan

    @staticmethod
    def _edges(matrix: Sparse, lengths: Index) -> tuple[Index, Index, Array]:
        """Tails, heads and gains, each edge followed by its mirror image."""
        k = matrix.shape[1]
        single, double = matrix.indptr[:-1][lengths == 1], matrix.indptr[:-1][lengths == 2]
        # The vertex of which an entry is a positive multiple, and the negative of that.
        vertex = np.where(matrix.data > 0, matrix.indices, matrix.indices + k)
        opposite = np.where(matrix.data > 0, matrix.indices + k, matrix.indices)
        ground = np.full(single.size, 2 * k)
        size = np.abs(matrix.data)
        gain = size[double + 1] / size[double]
        ones = np.ones(single.size)
        return (
            np.concatenate([ground, opposite[single], opposite[double + 1], opposite[double]]),
            np.concatenate([vertex[single], ground, vertex[double], vertex[double + 1]]),
            np.concatenate([ones, ones, gain, 1.0 / gain]),
        )


def _stopped_by_signs(matrix: Sparse) -> Mask:
    """The unknowns that neither rise nor fall in any direction, as far as one row at a time tells.

    A *literal* k says ``d_k >= 0``, and n + k says ``d_k <= 0``: each entry of a row has the literal that makes its
    term non-negative. Once all others of its row hold, so does the opposite of the last.
    """
    n = matrix.shape[1]
    row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)).tolist()
    literal_of = np.where(matrix.data > 0, matrix.indices, matrix.indices + n).tolist()
    bounds = matrix.indptr.tolist()
    rows_with: list[list[int]] = [[] for _ in range(2 * n)]
    for row, literal in zip(row_of, literal_of, strict=True):
        rows_with[literal].append(row)
    missing = np.diff(matrix.indptr).tolist()
    holds = [False] * (2 * n)
    waiting: list[int] = []

    def conclude(row: int) -> None:
        for literal in literal_of[bounds[row] : bounds[row + 1]]:
            opposite = (literal + n) % (2 * n)
            if not holds[opposite] and (missing[row] == 0 or not holds[literal]):
                holds[opposite] = True
                waiting.append(opposite)

    for row in np.flatnonzero(np.diff(matrix.indptr) == 1).tolist():
        conclude(row)
    while waiting:
        for row in rows_with[waiting.pop()]:
            missing[row] -= 1
            if missing[row] <= 1:
                conclude(row)
    stopped: Mask = np.array(holds[:n], dtype=bool) & np.array(holds[n:], dtype=bool)
    return stopped


# --- one-sided unknowns, and the rest -------------------------------------------------------------------------------


def _fallen(matrix: Sparse) -> tuple[Mask, Array, Mask]:
    """Dead rows of a contracted matrix without empty rows, a direction, and the unknowns that no direction moves."""
    m, k = matrix.shape
    dead, direction, held = np.zeros(m, dtype=bool), np.zeros(k), np.zeros(k, dtype=bool)
    if m == 0:
        return dead, direction, held
    entries = _entries_by_row(matrix)
    taken = _one_sided(matrix, entries)
    for _, rows in taken:
        dead[rows] = True
    rest = np.flatnonzero(~dead)
    if rest.size:
        dead[rest] = _by_parts(matrix[rest], direction, held)
    return dead, _with_one_sided(entries, taken, direction), held


def _one_sided(matrix: Sparse, entries: _Entries) -> list[tuple[int, list[int]]]:
    """Unknowns with entries of one sign in the rows that are left, in the order in which they take those rows away."""
    columns = sparse.csc_array(matrix)
    column = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
    ups = np.bincount(column[columns.data > 0], minlength=columns.shape[1]).tolist()
    downs = np.bincount(column[columns.data < 0], minlength=columns.shape[1]).tolist()
    waiting = [k for k, (up, down) in enumerate(zip(ups, downs, strict=True)) if (up == 0) != (down == 0)]
    start, row_of = columns.indptr.tolist(), columns.indices.tolist()
    left = [True] * matrix.shape[0]
    taken = []
    for k in waiting:  # which grows on the way
        rows = [row for row in row_of[start[k] : start[k + 1]] if left[row]]
        if rows:
            taken.append((k, rows))
        for row in rows:
            left[row] = False
            for other, value in entries[row]:
                (ups if value > 0 else downs)[other] -= 1
                if (ups[other] == 0) != (downs[other] == 0):
                    waiting.append(other)
    return taken


def _entries_by_row(matrix: Sparse) -> _Entries:
    bounds = matrix.indptr.tolist()
    entries = list(zip(matrix.indices.tolist(), matrix.data.tolist(), strict=True))
    return [entries[one:other] for one, other in pairwise(bounds)]


def _with_one_sided(entries: _Entries, taken: list[tuple[int, list[int]]], direction: Array) -> Array:
    """The direction, in which the rows that one-sided unknowns took away are at most -1."""
    moved = np.array(_moved(entries, taken, direction.tolist(), _CLEAR))
    if np.all(np.isfinite(moved)):
        return moved
    exact = [[(other, Fraction(value)) for other, value in row] for row in entries]
    moves = [Fraction(value) for value in direction.tolist()]
    return stiemke.as_floats(_moved(exact, taken, moves, Fraction(_CLEAR)))


def _moved(entries: Any, taken: list[tuple[int, list[int]]], moves: list[Any], clear: Any) -> list[Any]:
    """Moves, with each one-sided unknown, the last first, moved until the rows that it took away fall."""
    for k, rows in reversed(taken):
        for row in rows:
            others, size, own = 0 * clear, 0 * clear, clear
            for other, value in entries[row]:
                if other == k:
                    own = value
                else:
                    others += value * moves[other]
                    size += abs(value * moves[other])
            # The entries of k have one sign: toward the other side the row falls.
            move = -(others + max(1, clear * size)) / own
            moves[k] = min(moves[k], move) if own > 0 else max(moves[k], move)
    return moves


def _by_parts(matrix: Sparse, direction: Array, held: Mask) -> Mask:
    """Dead rows of a matrix, by connected parts; directions and held unknowns are written in place."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    ones: Any = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    _, part_of_column = csgraph.connected_components(ones.T @ ones, directed=False)
    part_of_row = part_of_column[matrix.indices[matrix.indptr[:-1]]]
    dead = np.zeros(matrix.shape[0], dtype=bool)
    for part in np.unique(part_of_row):
        rows, columns = np.flatnonzero(part_of_row == part), np.flatnonzero(part_of_column == part)
        dead[rows], direction[columns], held[columns] = stiemke.partition(sparse.csr_array(matrix[rows][:, columns]))
    return dead
