"""Lower bounds on the cost of blocks and terms, against the optimum in 50 digits: none may be above it.

Rooms: problem, certificate, models.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from mpmath import matrix, mp, mpf
from scipy import sparse

import balance_graph as bg
from balance_graph.certificate.blocks import log_cost_and_bound
from balance_graph.models import Trace, find_rule, structure_of
from balance_graph.models.blocks import ArrayBlock
from balance_graph.models.certificate import certify_cost
from balance_graph.models.cost import CountedBlock, ModelCost
from balance_graph.models.tensors import pinned
from balance_graph.models.terms import summed_terms
from balance_graph.problem.block_costs import Terms
from balance_graph.problem.placed_costs import PlacedCosts

DIGITS = 50
POINTS = 20
# Distances from the optimum, in log-scales: at it, near it, as far as any initialization, beyond the range of floats.
DISTANCES = (0.0, 1e-9, 1e-4, 0.1, 3.0, 30.0, 400.0)
# What all weights are multiples of: 1; squares are the least floats; weights are; both ends of their range.
SIZES = (1.0, 1e-162, 5e-324, 1e-300, 1e300)


class Exact(NamedTuple):
    """A sum of ``exp(log_cost + gains @ log_scales)``, each as exact as 50 digits are."""

    gains: list[list[mpf]]
    log_costs: list[mpf]

    def log_optimum(self, start: np.ndarray) -> mpf:
        """Newton's method from a point that floats cannot tell from the optimum; the gradient must vanish."""
        x = matrix([mpf(float(value)) for value in start])
        n = len(start)
        for _ in range(8):
            costs = [mp.exp(c + mp.fdot(a, x)) for a, c in zip(self.gains, self.log_costs, strict=True)]
            total = mp.fsum(costs)
            gradient = matrix([mp.fsum(c * a[i] for a, c in zip(self.gains, costs, strict=True)) for i in range(n)])
            if max(abs(value) for value in gradient) < total * mpf(10) ** (6 - DIGITS):
                # The gap is of the order of the square of the gradient, relative to the least curvature.
                return mp.log(total)
            hessian = matrix(n, n)
            for i in range(n):
                for j in range(n):
                    hessian[i, j] = mp.fsum(c * a[i] * a[j] for a, c in zip(self.gains, costs, strict=True))
            x = x - mp.lu_solve(hessian, gradient)
        raise AssertionError("no optimum to compare with")


def exact(gains, weights, exponents, coefficients):
    """From the gains of weights, their sizes as floats, and powers."""
    rows, logs = [], []
    for gain, weight, p, log_a in zip(gains, weights, exponents, coefficients, strict=True):
        if weight:
            rows.append([mpf(float(p)) * mpf(float(value)) for value in gain])
            logs.append(mpf(float(log_a)) + mpf(float(p)) * mp.log(abs(mpf(float(weight)))))
    return Exact(rows, logs)


def layered(rng, p, size):
    """A small network of two hidden layers in blocks, with degrees and a skip, and its terms."""
    widths = [2, 2, 2, 1]
    degree = rng.choice([1.0, 1.0, 2.0, 0.5], 4) if p < 5 else np.ones(4)
    units = [[-1, -1], [0, 1], [2, 3], [-1]]
    blocks = [(units[k], units[k + 1], sized(rng, (widths[k], widths[k + 1]), size)) for k in range(3)] + [
        ([-1], [0, 1, 2, 3], sized(rng, (1, 4), size)),
        ([-1], [-1], sized(rng, (1, 1), size)),
    ]
    gains, weights = [], []
    for tail, head, values in blocks:
        for i, one in enumerate(tail):
            for j, other in enumerate(head):
                gain = np.zeros(5)
                gain[other] += 1.0
                gain[one] -= degree[one] if one >= 0 else 1.0
                gains.append(gain[:4])
                weights.append(values[i, j])
    problem = bg.BlockProblem(blocks, 4, regularizer=p, degree=degree)
    return problem, exact(gains, weights, [p] * len(weights), [0.0] * len(weights))


def sized(rng, shape, size):
    """Weights of random digits, some powers of two apart; the least floats have few digits."""
    values = (1.0 + rng.random(shape)) * 2.0 ** rng.integers(0, 6, shape)
    return np.round(values) * size if size < 1e-310 else values * size


def modelled(rng, p, size):
    """A cost of two blocks of two powers, an end that several scales move, and terms."""
    n = 4
    forms = np.zeros((6, n))
    forms[0:2, 0:2], forms[2:4, 2:4], forms[4:6, 2:4] = np.eye(2), -np.eye(2), rng.choice([-1.0, 1.0, 2.0], (2, 2))
    first = CountedBlock.of(ArrayBlock(np.array([0, 1]), np.array([2, 3]), sized(rng, (2, 2), size)), p)
    # Of another power where both are in the range of floats.
    other = ArrayBlock(np.array([0, 1, 0]), np.array([4, 5]), sized(rng, (3, 2), size))
    second = CountedBlock.of(other, 1.5 if size == 1.0 else p, 0.3)
    rows = np.vstack([np.eye(n), -np.eye(n), np.ones((1, n)), np.zeros((1, n))])
    logs = first.log_largest + rng.normal(size=len(rows))
    return ModelCost.of(sparse.csr_array(forms), [first, second], [(0.7, Terms.of(sparse.csr_array(rows), logs, 2.0))])


def exact_model(cost):
    """All weights of a model's cost as terms, offsets included."""
    forms, found = cost.forms.toarray(), Exact([], [])
    for one in cost.blocks:
        for i, tail in enumerate(one.tail):
            for j, head in enumerate(one.head):
                gain, offset = forms[tail] + forms[head], mpf(float(cost.offset[tail])) + mpf(float(cost.offset[head]))
                found.gains.append([mpf(one.exponent) * mpf(float(value)) for value in gain])
                log_weight = mp.log(abs(mpf(float(one.block.weights[i, j])))) + offset
                found.log_costs.append(mpf(one.log_coefficient) + mpf(one.exponent) * log_weight)
    for row, log, exponent in zip(cost.terms.A.toarray(), *cost.terms[1:3], strict=True):
        found.gains.append([mpf(float(exponent)) * mpf(float(value)) for value in row])
        found.log_costs.append(mpf(float(log)))
    return found


def assert_below(certificate, log_optimum):
    """The bound and its logarithm, as exact numbers, are not above the optimum."""
    assert mpf(certificate.log_lower_bound) <= log_optimum
    assert mpf(certificate.lower_bound) <= mp.exp(log_optimum)
    assert not math.isnan(certificate.relative_gap)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 20.0])
@pytest.mark.parametrize("size", SIZES)
def test_no_bound_of_blocks_is_above_the_optimum(p, size):
    rng = np.random.default_rng([int(2 * p), SIZES.index(size)])
    problem, found = layered(rng, p, size)
    solution = bg.solve(problem)
    assert solution.converged
    with mp.workdps(DIGITS):
        log_optimum = found.log_optimum(solution.log_scales)
        at_optimum = bg.certify(problem, solution.log_scales)
        assert at_optimum.relative_gap < 1e-9
        assert_below(at_optimum, log_optimum)
        for k in range(POINTS):
            point = solution.log_scales + DISTANCES[k % len(DISTANCES)] / p * rng.normal(size=4)
            assert_below(bg.certify(problem, point), log_optimum)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 20.0])
@pytest.mark.parametrize("size", SIZES)
def test_no_bound_of_a_model_is_above_the_optimum(p, size):
    rng = np.random.default_rng([int(2 * p), SIZES.index(size)])
    cost = modelled(rng, p, size)
    solution = bg.solve(cost.problem)  # every weight a term
    assert solution.converged
    with mp.workdps(DIGITS):
        log_optimum = exact_model(cost).log_optimum(solution.log_scales)
        at_optimum = certify_cost(moved(cost, solution.log_scales), bg.Lp(p))
        assert at_optimum.relative_gap < 1e-9
        assert at_optimum.log_cost - 1e-9 < at_optimum.log_lower_bound <= log_optimum
        for k in range(POINTS):
            point = solution.log_scales + DISTANCES[k % len(DISTANCES)] * rng.normal(size=4)
            log_bound = log_cost_and_bound(cost, point)[1]
            assert log_bound is None or log_bound <= log_optimum
        for distance in DISTANCES[1::2]:
            point = solution.log_scales + distance * rng.normal(size=4)
            other = moved(cost, point)
            assert_below(certify_cost(other, bg.Lp(p)), exact_model(other).log_optimum(solution.log_scales - point))


@pytest.mark.parametrize("gap", [0.0, 300.0, 650.0, 715.0, 735.0, 800.0])
def test_what_the_end_of_the_range_takes_is_noticed(gap):
    """The largest factors of rows and columns meet at weights of zero; all costs are e^-gap of what they could be."""
    forms = sparse.csr_array(np.diag([-1.0, -1.0, 1.0, 1.0]))
    block = CountedBlock.of(ArrayBlock(np.array([0, 1]), np.array([2, 3]), np.eye(2)), 1.0)
    terms = Terms.of(-forms, np.array([-gap, -2.0 * gap, -2.0 * gap, -gap]), 1.0)
    placed = PlacedCosts(ModelCost(forms, np.zeros(4), (block,), terms), np.array([0.0, gap, -gap, 0.0]))
    assert placed.is_complete == (gap < 700.0)
    if placed.is_complete:
        np.testing.assert_allclose(placed.into, placed.out_of, rtol=1e-12)
    else:
        assert (np.abs(placed.into - placed.out_of) / np.maximum(placed.into, placed.out_of)).max() > 1e-13
        assert placed.is_sound == (gap < 744.0)  # floats are there, but their digits are not


def moved(cost, point):
    """The same cost, its log-scales counted from a point."""
    terms = cost.terms
    shifted = terms.log_coefficient + terms.exponent * (terms.A @ point)
    return replace(cost, offset=cost.offset + cost.forms @ point, terms=terms._replace(log_coefficient=shifted))


@pytest.mark.parametrize("size", [1.0, 1e-155, 3e-162])
def test_sums_of_powers_are_off_by_no_more_than_is_said(size):
    """Term by term, down to the least floats, whose last places are all they have."""
    rng = np.random.default_rng(1)
    trace = Trace()
    first, last = trace.parameter("f", "f", (40, 300)), trace.parameter("l", "l", (2, 40))
    x = find_rule("linear")(trace, pinned((2, 300)), first)
    trace.pin(find_rule("linear")(trace, find_rule("relu")(trace, x), last), "output")
    structure = structure_of(trace)
    weights = {"f": size * rng.normal(size=(40, 300)), "l": size * rng.normal(size=(2, 40))}

    def powers(parameter, block):
        costs = weights[parameter.key] ** 2
        return costs.sum() if block is None else block.sums(costs)

    terms = summed_terms(structure, powers, 2.0)
    squares = [sum(Fraction(float(w)) ** 2 for w in row) for row in (*weights["f"], *weights["l"].T)]
    found = dict(zip(map(tuple, terms.A.toarray().astype(int)), range(len(terms.log_coefficient)), strict=True))
    with mp.workdps(DIGITS):
        for k, square in enumerate(squares):
            at = found.get(tuple((1 if k < 40 else -1) * np.eye(40, dtype=int)[k % 40]))
            if at is not None:
                log = float(terms.log_coefficient[at])
                ratio = mp.exp(mpf(log)) * square.denominator / square.numerator
                assert abs(ratio - 1) <= ratio * terms.unsure[at] + 2.0**-52 * (1.0 + abs(log))  # that of the logarithm
    assert size < 1 or terms.unsure.max() < 1e-13
