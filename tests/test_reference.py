"""The reference itself, against closed forms, optimality conditions and its own neighborhood."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from cases import CASES, Case, case_optimum, chain, graph
from mpmath import mp, mpf
from reference import (
    NotAttained,
    ReferenceOptimum,
    constraint_rows,
    costed_edges,
    degree,
    exponential,
    free_degrees,
    gain_row,
    logarithm,
    nonzero_edges,
    null_space,
    powers,
    reference_cost,
    reference_optimum,
    role,
    scale_basis,
    to_mpf,
)

TOLERANCE = mpf(10) ** -45


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(60):
        yield


@pytest.fixture(params=list(CASES))
def case(request) -> Case:
    return CASES[request.param]


def assert_close(actual, expected) -> None:
    assert abs(actual - expected) <= TOLERANCE * abs(expected)


def assert_weights(optimum: ReferenceOptimum, expected: dict) -> None:
    for edge, w in expected.items():
        assert_close(optimum.weights[edge], w)


def bisect(function, low, high):
    """Root of an increasing function, to the last digits of the precision in use."""
    low, high = mpf(low), mpf(high)
    while high - low > mpf(10) ** -55 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return low


@pytest.mark.parametrize("digits", [80, 1000, 20_000])
@pytest.mark.parametrize("x", ["0", "1.25", "-1.25", "1e-30", "-98765.4321", "98765.4321"])
def test_exponentials_and_logarithms_are_right_to_the_last_digits(x: str, digits: int) -> None:
    with mp.workdps(digits):
        power = exponential(mpf(x))
        size = max(1, abs(mpf(x)))
        assert abs(mp.log(power) - mpf(x)) <= mpf(10) ** (2 - digits) * size
        assert abs(logarithm(power) - mp.log(power)) <= mpf(10) ** (1 - digits) * size
        assert max(power._mpf_[3], logarithm(power)._mpf_[3]) <= mp.prec


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chain", "wide_chain"])
def test_chain_ends_at_the_geometric_mean(name):
    G, optimum = CASES[name].make(), case_optimum(name)
    magnitudes = [abs(mpf(w)) for _, _, w in G.edges(data="weight")]
    mean = mp.exp(mp.fsum(map(mp.log, magnitudes)) / len(magnitudes))
    assert_weights(optimum, {(t, h): mp.sign(w) * mean for t, h, w in G.edges(data="weight")})
    assert_close(optimum.cost, len(magnitudes) * mean**2)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 4])
@pytest.mark.parametrize("c", [0.5, 1, 2, 3])
def test_one_bipu_unit(p, c):
    weights = {("x0", "h"): 3.0, ("x1", "h"): -0.5, ("h", "y0"): 7.0, ("h", "y1"): -0.25}
    G = graph([(t, h, w) for (t, h), w in weights.items()], {"h": {"activation": f"bipu({c})"}})
    optimum = reference_optimum(G, ("lp", p))
    in_cost, out_cost = mpf(3) ** p + mpf("0.5") ** p, mpf(7) ** p + mpf("0.25") ** p
    s = (c * out_cost / in_cost) ** (1 / (mpf(p) * (1 + mpf(c))))
    assert_close(optimum.log_scales["h"], mp.log(s))
    assert_weights(optimum, {edge: w * (s if edge[1] == "h" else s ** -mpf(c)) for edge, w in weights.items()})


@pytest.mark.parametrize("factor", [1.0, 1e100])
def test_isolated_two_cycle_with_absolute_values_costs_twice_the_geometric_mean(factor):
    a, b = 5.0 * factor, 0.3 / factor
    optimum = reference_optimum(graph([("h", "k", a), ("k", "h", b)]), ("lp", 1))
    assert_close(optimum.cost, 2 * mp.sqrt(mpf(a) * mpf(b)))
    assert (optimum.dimension, optimum.gauge_dimension) == (1, 1)


@pytest.mark.parametrize("factor", [1.0, 1e20, 1e60])
def test_attached_two_cycle(factor):
    """With z the balanced |w| of a -> b: z^2 = m / z^2 + q / z, where the cycle keeps m and the path keeps q."""
    u, ab, ba, v = 0.3, 2.0 * factor, -5.0 * factor, 7.0
    optimum = reference_optimum(graph([("x", "a", u), ("a", "b", ab), ("b", "a", ba), ("b", "y", v)]), ("lp", 2))
    m, q = (mpf(ab) * ba) ** 2, mpf(u) * ab * v
    z = bisect(lambda z: z**4 - q * z - m, 0, 10 * mpf(factor) + 100)
    assert_weights(optimum, {("a", "b"): z, ("b", "a"): mpf(ab) * ba / z})
    assert_close(abs(optimum.weights["x", "a"]), mp.sqrt(q / z))
    assert_close(abs(optimum.weights["b", "y"]), mp.sqrt(q / z))


def test_self_loop_of_degree_two():
    G = graph([("x", "h", 1.0), ("h", "h", 1.0), ("h", "y", 3.0)], {"h": {"activation": "relu2"}})
    optimum = reference_optimum(G, ("lp", 1))
    assert_weights(optimum, {("x", "h"): mpf(2), ("h", "h"): mpf("0.5"), ("h", "y"): mpf("0.75")})


def test_elastic_net_of_one_unit_by_bisection():
    l1, l2 = 0.3, 1.7
    optimum = reference_optimum(graph([("x0", "h", 3.0), ("x1", "h", -1.0), ("h", "y", 0.2)]), ("elastic", l1, l2))
    l1, l2, w = mpf(l1), mpf(l2), mpf(0.2)
    s = bisect(lambda s: l1 * 4 * s + 2 * l2 * 10 * s**2 - l1 * w / s - 2 * l2 * w**2 / s**2, "1e-3", 10)
    assert_close(optimum.log_scales["h"], mp.log(s))
    assert_close(optimum.cost, l1 * (4 * s + w / s) + l2 * (10 * s**2 + w**2 / s**2))


def test_log1p2_of_one_unit():
    optimum = reference_optimum(graph([("x", "h", 3.0), ("h", "y", 0.25)]), ("log1p2",))
    assert_weights(optimum, {("x", "h"): mp.sqrt(mpf("0.75")), ("h", "y"): mp.sqrt(mpf("0.75"))})


def test_shared_parameter_is_counted_once():
    optimum = case_optimum("shared_twice_in_sum")
    assert_close(optimum.cost, 2 * mp.sqrt(9 * mpf("0.3125")))
    s = (mpf("0.3125") / 9) ** mpf("0.25")
    assert_weights(optimum, {("x", "h1"): 3 * s, ("x", "h2"): 3 * s, ("h1", "y"): mpf("0.5") / s})


def test_shared_edges_in_a_row():
    """x -> a -> b -> y, first and last shared: 4 t + 9 / t^2 for t = s_a^2."""
    shared = {edge: {"shared": "k"} for edge in [("x", "a"), ("b", "y")]}
    G = graph([("x", "a", 2.0), ("a", "b", 3.0), ("b", "y", 2.0)], attributes=shared)
    t = mp.cbrt(mpf("4.5"))
    assert_weights(reference_optimum(G, ("lp", 2)), {("x", "a"): 2 * mp.sqrt(t), ("a", "b"): 3 / t})


def test_shared_edges_between_two_chains():
    """The ends of either chain balance each other: 2 (p1 r1 + p2 r2) e^-b + q^2 e^2b, b the shared log-gain."""
    p1, r1, p2, r2, q = 3.0, 0.25, 0.5, -7.0, 4.0
    edges = [("x", "a", p1), ("a", "b", q), ("b", "y", r1), ("x", "c", p2), ("c", "d", q), ("d", "y", r2)]
    G = graph(edges, attributes={edge: {"shared": 1} for edge in [("a", "b"), ("c", "d")]})
    optimum = reference_optimum(G, ("lp", 2))
    gain = mp.log((mpf(p1) * r1 + mpf(p2) * -r2) / mpf(q) ** 2) / 3
    assert_close(optimum.log_gains["a", "b"], gain)
    assert_close(optimum.weights["x", "a"] ** 2, mpf(p1) * r1 * mp.exp(-gain))
    assert_close(optimum.cost, 2 * (p1 * r1 - p2 * r2) * mp.exp(-gain) + q**2 * mp.exp(2 * gain))


def test_constants_are_in_the_cost():
    assert_close(case_optimum("no_free_node").cost, 13)
    fixed = {("x", "y"): {"fixed": True}}
    G = graph([("x", "h", 4.0), ("h", "y", 1.0), ("x", "y", -3.0)], attributes=fixed)
    assert_close(reference_optimum(G, ("lp", 2)).cost, mpf(17))


def test_coefficients_and_exponents_of_edges():
    """3 (2 s)^1 against 5 / s^4: s^5 = 4 * 5 / 6."""
    attributes = {("x", "h"): {"coefficient": 3.0, "exponent": 1.0}, ("h", "y"): {"coefficient": 5.0}}
    optimum = reference_optimum(graph([("x", "h", 2.0), ("h", "y", 1.0)], attributes=attributes), ("lp", 4))
    assert_close(optimum.log_scales["h"], mp.log(mpf(10) / 3) / 5)


# --- every case -----------------------------------------------------------------------------------------------------


def slope(regularizer, data: dict, w: mpf) -> mpf:
    """``w g'(w)``, coefficient included, written out per regularizer."""
    a, w = mpf(data.get("coefficient", 1)), abs(w)
    if regularizer[0] == "log1p2":
        return a * 2 * w**2 / (1 + w**2)
    terms = powers(regularizer) if data.get("exponent") is None else [(1.0, data["exponent"])]
    return a * mp.fsum(b * mpf(p) * w ** mpf(p) for b, p in terms)


def log_gain_of(row, direction) -> mpf:
    return to_mpf(sum(value * direction.get(node, 0) for node, value in row.items()))


def test_optimum_is_balanced(case):
    """The slopes of the final weights are orthogonal to every admissible direction."""
    G, optimum, degrees = case.make(), case_optimum(case.name), free_degrees(case.make())
    with mp.workdps(optimum.digits):
        slopes = {e: slope(case.regularizer, G.edges[e], optimum.weights[e]) for e in costed_edges(G)}
        for direction in optimum.basis:
            forces = [y * log_gain_of(gain_row(e, degrees), direction) for e, y in slopes.items()]
            assert abs(mp.fsum(forces)) <= TOLERANCE * mp.fsum(map(abs, forces))


def test_evidence(case):
    optimum = case_optimum(case.name)
    assert optimum.gradient < TOLERANCE
    assert optimum.step < TOLERANCE
    assert optimum.dimension + optimum.gauge_dimension == len(optimum.basis)


def test_weights_are_on_the_manifold(case):
    G, optimum = case.make(), case_optimum(case.name)
    shared = {}
    for edge in nonzero_edges(G):
        data = G.edges[edge]
        if data.get("fixed"):
            assert_close(optimum.weights[edge], mpf(data["weight"]))
        if data.get("shared") is not None:
            first = shared.setdefault(data["shared"], edge)
            assert_close(abs(optimum.weights[edge]), abs(optimum.weights[first]))
    groups = {}
    for node, label in G.nodes(data="group"):
        if label is not None:
            first = groups.setdefault(label, node)
            assert abs(optimum.log_scales[node] - optimum.log_scales[first]) < TOLERANCE
    assert all((optimum.weights[e] == 0) == (G.edges[e]["weight"] == 0) for e in G.edges)


def test_no_nearby_point_costs_less(case):
    G, optimum, rng = case.make(), case_optimum(case.name), np.random.default_rng(0)
    with mp.workdps(optimum.digits):
        assert_close(reference_cost(G, case.regularizer, optimum.log_scales), optimum.cost)
        for size in (1.0, 1e-2, 1e-6):
            moved = dict(optimum.log_scales)
            for direction in optimum.basis:
                change = size * float(rng.standard_normal())
                for node, value in direction.items():
                    moved[node] += change * to_mpf(value)
            assert reference_cost(G, case.regularizer, moved) >= optimum.cost * (1 - TOLERANCE)


def test_each_direction_alone_costs_more(case):
    """Along one direction a weak part is not hidden behind a strong one: the cost rises, both ways, strictly."""
    G, optimum = case.make(), case_optimum(case.name)
    degrees = free_degrees(G)
    rows = [gain_row(edge, degrees) for edge in nonzero_edges(G)]
    # Those digits cover twice the decades between the strongest part and the weakest.
    with mp.workdps(optimum.digits):
        least = reference_cost(G, case.regularizer, optimum.log_scales)
        for direction in optimum.basis:
            if not any(log_gain_of(row, direction) for row in rows):
                continue
            for sign in (-1, 1):
                moved = {n: at + sign * to_mpf(direction.get(n, 0)) / 100 for n, at in optimum.log_scales.items()}
                assert reference_cost(G, case.regularizer, moved) > least


def test_flags(case):
    G, optimum = case.make(), case_optimum(case.name)
    degrees = free_degrees(G)
    hidden = nx.DiGraph([e for e in nonzero_edges(G) if e[0] in degrees and e[1] in degrees])
    assert case.cyclic == (not nx.is_directed_acyclic_graph(hidden))
    assert case.tied_only == all(sum(node in d for d in optimum.basis) <= 1 for node in degrees)
    assert len(degrees) <= 25
    values = [data.get(key, 1.0) for *_, data in G.edges(data=True) for key in ("weight", "coefficient")]
    magnitudes = [abs(value) for value in values if value]
    assert case.wide == (max(magnitudes) / min(magnitudes) > 1e30)


def test_recipes_repeat(case):
    first, second = case.make(), case.make()
    assert first is not second
    assert nx.utils.graphs_equal(first, second)
    assert list(first.edges) == list(second.edges)


@pytest.mark.parametrize("name", ["skip_dag", "bipu_self_loops", "log1p2_recurrent", "strong_cycle_1e40", "exponents"])
def test_every_scaling_ends_in_the_same_weights(name):
    """Powers of two keep the scaled weights exact where the degrees are multiples of one half."""
    case, rng = CASES[name], np.random.default_rng(1)
    G = case.make()
    degrees = free_degrees(G)
    for node, c in degrees.items():
        power = 2 * int(rng.integers(-5, 6))
        for tail, head in G.edges:
            change = power * int(head == node) - power * c * int(tail == node)
            G.edges[tail, head]["weight"] *= 2.0 ** float(change)
    assert_weights(reference_optimum(G, case.regularizer), case_optimum(name).weights)


# --- reading, refusing ----------------------------------------------------------------------------------------------


def test_degrees_of_activations():
    assert [degree(a) for a in ("linear", "relu", "leaky_relu(0.1)", "abs", "bilu(-1, 2)")] == [1] * 5
    assert [degree(a) for a in ("relu2", "bipu(0.5)", "bipu( 3 , 1, -1)")] == [2, 0.5, 3]
    assert [degree(a) for a in ("tanh", "sigmoid", "gelu", "relu6")] == [None] * 4


def test_roles():
    G = graph([("x", "h", 1.0), ("h", "y", 0.0), ("loop", "loop", 1.0), ("x", "b", 1.0)], {"b": {"role": "bias"}})
    expected = {"x": "input", "h": "hidden", "y": "output", "loop": "hidden", "b": "bias"}
    assert {node: role(G, node) for node in G} == expected


def test_null_space_is_exact():
    G = CASES["shared_recurrent_unrolled"].make()
    rows = constraint_rows(G, free_degrees(G), "weight")
    for direction in scale_basis(G):
        assert all(sum(value * direction.get(node, 0) for node, value in row.items()) == 0 for row in rows)
    assert len(null_space([], 3)) == 3


@pytest.mark.parametrize(
    "G",
    [
        graph([("x", "h", 1.0), ("h", "y", 2.0), ("x", "k", 3.0)], {"k": {"role": "hidden"}}),
        graph([("x", "h", 1.0), ("h", "y", 2.0), ("k", "k", 3.0)], {"k": {"activation": "relu2"}}),
        graph([("x", "h", 1.0), ("h", "y", 0.0)]),
        graph([("h", "k", 1.0), ("k", "h", 2.0), ("k", "y", 1e-9)]),
    ],
    ids=["leads nowhere", "self-loop of gain 2", "only out-edge is zero", "cycle that leaks"],
)
@pytest.mark.parametrize("regularizer", [("lp", 2), ("lp", 0.5), ("elastic", 1.0, 1.0), ("log1p2",)])
def test_not_attained(G, regularizer):
    with pytest.raises(NotAttained):
        reference_optimum(G, regularizer)


def test_shared_edges_must_agree():
    shared = {edge: {"shared": "k"} for edge in [("x", "h"), ("h", "y")]}
    with pytest.raises(ValueError, match="one parameter"):
        reference_optimum(graph([("x", "h", 1.0), ("h", "y", 2.0)], attributes=shared), ("lp", 2))


def test_exponents_of_edges_go_with_lp_only():
    G = chain([1.0, 2.0])
    G.edges["x", "h0"]["exponent"] = 3.0
    with pytest.raises(ValueError, match="lp only"):
        reference_optimum(G, ("elastic", 1.0, 1.0))


def timing_table() -> None:
    """Print one line per case: what it took, and how far the check went."""
    import time

    start = time.perf_counter()
    for name in CASES:
        before = time.perf_counter()
        optimum = case_optimum(name)
        print(
            f"{name:33} {time.perf_counter() - before:6.2f} s  dimension {optimum.dimension:2}"
            f" + {optimum.gauge_dimension}  iterations {optimum.iterations:3}  digits {optimum.digits:4}"
            f"  gradient {mp.nstr(optimum.gradient, 2):9}  step {mp.nstr(optimum.step, 2):9}"
            f"  log cost {mp.nstr(optimum.log_cost, 9)}"
        )
    print(f"{len(CASES)} cases: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    timing_table()
