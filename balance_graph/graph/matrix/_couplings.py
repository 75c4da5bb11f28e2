"""The factors between irreducible blocks: how far entries that lead from block to block are scaled.

Balance says nothing about them: its cost falls for as long as they shrink. The rule is stated in `balance_matrix`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask
from balance_graph.graph.matrix._entries import Entries
from balance_graph.graph.matrix._potentials import log_potentials
from balance_graph.problem.log_domain import log_sum_by

# Entries between blocks are brought to this share of what lies within: small enough not to spoil the condition of
# eigenvalues (at 1, errors on random cascades were up to 1000 times those of the best other way, at 1/100 five times),
# and not so small that eigenvectors would lose more than two digits.
_SHARE = 0.01
# Beyond this share of the cost within blocks, less of it is not rounding of sums of logarithms.
_LEAST_GAIN = 1e-12
# What a limit may be exceeded by, in logarithms: rounding of the logarithms of floats.
_ROUNDING = 1e-12
_MOST_TRIALS = 60


def balance_between(entries: Entries, block: Index, log_scales: Array, p: float) -> Array:
    """Log-scales with a factor for each block, of mean zero in each connected part of the matrix.

    Parameters
    ----------
    entries : Entries
    block : (n,) integer array
        The irreducible block of each index.
    log_scales : (n,) array
        Logarithms of D that balance each block.
    p : float
    """
    tail, head = block[entries.row], block[entries.column]
    part = _parts(int(block.max(initial=-1)) + 1, tail, head)
    if np.any(tail != head):
        couplings = _Couplings.of(entries, block, part, log_scales, p)
        log_scales = log_scales + couplings.log_factors()[block]
    member = part[block]
    mean: Array = np.bincount(member, log_scales) / np.bincount(member)
    return log_scales - mean[member]


def powers_of_two(entries: Entries, log_scales: Array, block: Index, p: float) -> Index:
    """Exponents of powers of two nearest to scales; 0 in connected parts where these would cost more than none."""
    tail, head = block[entries.row], block[entries.column]
    part = _parts(int(block.max(initial=-1)) + 1, tail, head)
    exponent: Index = np.rint(log_scales / np.log(2.0)).astype(np.int64)
    rounded = entries.log_scaled(exponent * np.log(2.0))
    before, after = (
        log_sum_by(part[tail], p * size, int(part.max(initial=-1)) + 1) for size in (entries.log_size, rounded)
    )
    return np.where((after > before)[part[block]], 0, exponent)


def _parts(count: int, tail: Index, head: Index) -> Index:
    """The connected part that each block belongs to."""
    from scipy.sparse import csgraph  # brings scipy.sparse.linalg: too heavy at import

    graph = sparse.csr_array((np.ones(tail.size), (tail, head)), shape=(count, count))
    part: Index = csgraph.connected_components(graph, directed=False)[1]
    return part


@dataclass(frozen=True, eq=False)
class _Couplings:
    """Entries between blocks, gathered by coupled pairs of blocks.

    Attributes
    ----------
    p : float
    part : (m,) integer array
        The connected part of each block.
    tail, head : (q,) integer arrays
        The blocks of each pair.
    log_cost : (q,) array
        Logarithm of the cost of each pair's entries, the blocks balanced and otherwise as they are.
    log_largest : (q,) array
        Logarithm of the largest of these entries.
    log_unit : (q,) array
        Logarithm of the size that entries of the pair are measured by.
    log_most : array
        Logarithm of the largest that an entry of each part may be.
    log_limit : array
        Logarithm of the cost that the couplings of each part may have together.
    """

    p: float
    part: Index
    tail: Index
    head: Index
    log_cost: Array
    log_largest: Array
    log_unit: Array
    log_most: Array
    log_limit: Array

    @classmethod
    def of(cls, entries: Entries, block: Index, part: Index, log_scales: Array, p: float) -> _Couplings:
        """Those of a matrix and of scales that balance its blocks."""
        tail, head = block[entries.row], block[entries.column]
        between, log_size = tail != head, entries.log_scaled(log_scales)
        pairs, pair = np.unique(tail[between] * np.intp(part.size) + head[between], return_inverse=True)
        one, two = pairs // part.size, pairs % part.size
        sizes = _log_block_sizes(entries, block, log_size, between)
        most = _largest(part, sizes, part.max() + 1)
        as_given = log_sum_by(pair, p * entries.log_size[between], pairs.size)
        return cls(
            p,
            part,
            one,
            two,
            log_sum_by(pair, p * log_size[between], pairs.size),
            _largest(pair, log_size[between], pairs.size),
            _log_units(sizes, part, one, two, as_given / p) + _log_shares(block, part)[part[one]],
            np.where(np.isfinite(most), most, np.inf),
            _log_limits(entries, log_size, between, part[tail], int(part.max()) + 1, p),
        )

    def log_factors(self) -> Array:
        """The logarithm of the factor of each block: units as large, up to 1, as the limits allow."""
        parts = self.log_limit.size
        low, excess_of_low = np.full(parts, -np.inf), np.full(parts, -np.inf)
        high, excess_of_high = np.zeros(parts), np.zeros(parts)
        trial, factors = np.zeros(parts), None
        for _ in range(_MOST_TRIALS):
            factors = self._least(trial, factors)
            excess = self._excess(factors)
            done = (np.abs(excess) <= _ROUNDING) | ((trial == 0.0) & (excess <= _ROUNDING)) | (high - low <= _ROUNDING)
            if done.all():
                break
            is_low = excess <= 0.0
            # Illinois: where the same end moves twice, the other one counts half.
            excess_of_high = np.where(is_low & np.isfinite(low), 0.5 * excess_of_high, excess_of_high)
            low, excess_of_low = np.where(is_low, trial, low), np.where(is_low, excess, excess_of_low)
            high, excess_of_high = np.where(is_low, high, trial), np.where(is_low, excess_of_high, excess)
            trial = np.where(done, trial, _between(low, excess_of_low, high, excess_of_high))
        else:
            factors = self._least(np.where(np.isfinite(low), low, trial), factors)
        return factors

    def _least(self, log_unit: Array, near: Array | None) -> Array:
        """The factors of least sum of ``c - log c`` over pairs, c their cost in units; found sooner from near ones."""
        log_cost = self.log_cost - self.p * (self.log_unit + log_unit[self.part[self.tail]])
        ground = np.unique(self.part, return_index=True)[1]
        start = None if near is None else self.p * near
        return log_potentials(self.tail, self.head, log_cost, ground, self.part.size, start) / self.p

    def _excess(self, factors: Array) -> Array:
        """By how much, in logarithms, the couplings of each part exceed what they may; negative where they do not."""
        change, part = factors[self.tail] - factors[self.head], self.part[self.tail]
        largest = _largest(part, self.log_largest + change, self.log_limit.size) - self.log_most
        cost = log_sum_by(part, self.log_cost + self.p * change, self.log_limit.size)
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(cost), np.maximum(largest, (cost - self.log_limit) / self.p), 0.0)


def _between(low: Array, excess_of_low: Array, high: Array, excess_of_high: Array) -> Array:
    """The next trial: where a line through both ends is zero; below the higher one where there is no lower one yet."""
    is_bracket = np.isfinite(low)
    width = np.where(is_bracket, high - low, 0.0)
    slope = np.where(is_bracket, excess_of_high - excess_of_low, 1.0)
    inside = high - excess_of_high * width / slope
    return np.where(is_bracket, inside, high - np.maximum(excess_of_high, _ROUNDING))


def _largest(label: Index, values: Array, count: int) -> Array:
    """The largest value of each label."""
    largest = np.full(count, -np.inf)
    np.maximum.at(largest, label, values)
    return largest


def _log_block_sizes(entries: Entries, block: Index, log_size: Array, between: Mask) -> Array:
    """Logarithm of the largest entry of each block off its diagonal; of the diagonal entry of a block of one index."""
    count = np.bincount(block)
    sizes = _largest(block[entries.row[~between]], log_size[~between], count.size)
    alone = count[block] == 1
    sizes[block[alone]] = entries.log_diagonal[alone]
    return sizes


def _log_units(sizes: Array, part: Index, tail: Index, head: Index, as_given: Array) -> Array:
    """Logarithm of the unit of each pair: the larger of the sizes of its blocks.

    Where both have none (zeros on the diagonal), the geometric mean of the blocks of their part; where none has any
    (a nilpotent part), that of its couplings as given.
    """
    has_size, of_pair = np.isfinite(sizes), part[tail]
    mean_of_blocks = _mean(part[has_size], sizes[has_size], part.max() + 1)
    mean_of_couplings = _mean(of_pair, as_given, part.max() + 1)
    unit = np.maximum(sizes[tail], sizes[head])
    instead = np.where(np.isfinite(mean_of_blocks), mean_of_blocks, mean_of_couplings)[of_pair]
    return np.where(np.isfinite(unit), unit, instead)


def _log_shares(block: Index, part: Index) -> Array:
    """Logarithm of the share of its unit that a coupling is brought to; 1 in parts that are triangular altogether."""
    is_triangular = np.ones(int(part.max(initial=-1)) + 1, dtype=bool)
    is_triangular[part[np.bincount(block) > 1]] = False
    return np.where(is_triangular, 0.0, np.log(_SHARE))


def _mean(label: Index, values: Array, count: int) -> Array:
    """The mean of the values of each label; ``-inf`` where there are none."""
    number = np.bincount(label, minlength=count)
    return np.where(number > 0, np.bincount(label, values, count) / np.maximum(number, 1), -np.inf)


def _log_limits(entries: Entries, log_size: Array, between: Mask, part: Index, count: int, p: float) -> Array:
    """Logarithm of what the couplings of each part may cost: what they cost as given, and what balance has saved."""
    within = ~between
    before = log_sum_by(part[within], p * entries.log_size[within], count)
    after = log_sum_by(part[within], p * log_size[within], count)
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(before), -np.expm1(after - before), 0.0)
    saved = np.where(share > _LEAST_GAIN, before + np.log(np.maximum(share, _LEAST_GAIN)), -np.inf)
    return np.logaddexp(log_sum_by(part[between], p * entries.log_size[between], count), saved)
